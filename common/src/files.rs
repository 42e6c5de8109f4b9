//! Files that are replaced as a whole.
//!
//! [`Replacement`] writes a new file beside the one that it replaces and renames it into place when it is complete. So
//! whoever opens the path reads the old contents or the new ones, never a part of them, also after a power failure.
//!
//! The path keeps its meaning:
//!
//! - What is not a regular file (a pipe, a device, a terminal) is written to directly.
//! - A symbolic link stays, and the file that it leads to is replaced, or made if the link dangles.
//! - A file that was there keeps its mode and, where the system permits it, its owner and group. One that the process
//!   may not write is not replaced either.
//! - A new file can be read by its owner alone: backups hold secrets.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use tempfile::{NamedTempFile, TempPath};

/// The mode of files that are made: for their owner alone.
const PRIVATE_MODE: u32 = 0o600;
/// The mode of directories that are made: for their owner alone.
const PRIVATE_DIRECTORY_MODE: u32 = 0o700;

/// As many links in a row as Linux follows.
const LINKS_MAX: usize = 40;
/// So much of the file's name is in the temporary file's name, which may have 255 bytes.
const NAME_BYTES_MAX: usize = 200;
/// The end of the temporary file's name.
const SUFFIX: &str = ".partial";

/// Replaces the file at `path` by one with these contents.
///
/// # Errors
/// When the file system refuses; the file is then as it was before, unless it is a pipe or a device.
pub fn replace(path: &Path, contents: &[u8]) -> io::Result<()> {
    let mut replacement = Replacement::begin(path)?;
    replacement.write_all(contents)?;
    replacement.commit()
}

/// Opens a file that is written in place, such as a log or a lock; a new one can be read by its owner alone.
#[must_use]
pub fn private_options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(PRIVATE_MODE);
    options
}

/// Makes a directory, and those above it, unless they are there; new ones are for their owner alone.
///
/// # Errors
/// When the file system refuses.
pub fn make_private_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(PRIVATE_DIRECTORY_MODE).create(path)
}

/// New contents of a file on their way. Dropped before [`Self::commit`], it leaves the file as it was.
#[derive(Debug)]
pub struct Replacement {
    file: File,
    /// What is renamed to what in the end; `None` when `file` is the pipe or device itself.
    rename: Option<(TempPath, PathBuf)>,
}

/// What a path leads to.
enum Destination {
    /// A name in a directory; it may be free.
    Name(PathBuf),
    /// An open file of a process, by its path in `/proc`, such as `/dev/stdout`.
    Open(PathBuf),
}

impl Replacement {
    /// Opens what is to be written. Blocks while `path` is a named pipe that nobody reads.
    ///
    /// # Errors
    /// When there is a file that may not be written, or none can be made beside it.
    pub fn begin(path: &Path) -> io::Result<Self> {
        let path = match destination(path)? {
            Destination::Open(path) => return Ok(Self { file: reopen(&path)?, rename: None }),
            Destination::Name(path) => path,
        };
        match fs::symlink_metadata(&path) {
            Ok(found) if !found.is_file() => Ok(Self { file: open_to_write(&path)?, rename: None }),
            Ok(found) => {
                // Opened for its permission alone: renaming would ask for that of the directory.
                drop(open_to_write(&path)?);
                let replacement = Self::beside(path)?;
                keep_owner_and_mode(&replacement.file, &found)?;
                Ok(replacement)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::beside(path),
            Err(error) => Err(error),
        }
    }

    fn beside(path: PathBuf) -> io::Result<Self> {
        let directory = directory_of(&path);
        let name = path.file_name().unwrap_or_default().as_bytes();
        let mut prefix = name.get(..NAME_BYTES_MAX).unwrap_or(name).to_vec();
        prefix.push(b'.');
        let made = tempfile::Builder::new()
            .prefix(std::ffi::OsStr::from_bytes(&prefix))
            .suffix(SUFFIX)
            .permissions(Permissions::from_mode(PRIVATE_MODE))
            .tempfile_in(directory)
            .map_err(|error| {
                let reason = io::Error::from(error.kind());
                io::Error::new(
                    error.kind(),
                    format!("cannot make a file in {}: {reason}", directory.display()),
                )
            })?;
        let (file, temporary) = NamedTempFile::into_parts(made);
        Ok(Self { file, rename: Some((temporary, path)) })
    }

    /// Another handle of the open file, for a writer of one's own.
    ///
    /// # Errors
    /// When the process has no file descriptor left.
    pub fn handle(&self) -> io::Result<File> {
        self.file.try_clone()
    }

    /// Whether readers see the contents as they are written, because this is a pipe or a device.
    #[must_use]
    pub fn is_direct(&self) -> bool {
        self.rename.is_none()
    }

    /// Makes the contents durable and puts the file in place.
    ///
    /// # Errors
    /// When the file system refuses; unless only the last step failed, making the new name durable, the file is as
    /// it was before.
    pub fn commit(self) -> io::Result<()> {
        let Some((temporary, path)) = self.rename else { return Ok(()) };
        self.file.sync_all()?;
        temporary.persist(&path).map_err(|error| error.error)?;
        File::open(directory_of(&path))?.sync_all()
    }
}

impl Write for Replacement {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Follows the symbolic links of a path, also to where nothing is. The links of `/proc` are not followed: they are open
/// files, and what they show as their target need not be a name.
fn destination(path: &Path) -> io::Result<Destination> {
    let mut path = path.to_owned();
    for _ in 0..LINKS_MAX {
        let Some(name) = path.file_name() else {
            // "/", ".." and the like, all of which are directories; or nothing at all.
            return Ok(Destination::Name(path));
        };
        let directory = directory_of(&path);
        // Under the name that was given: a directory may have no other, such as one that is reached through an open file.
        let place = directory.join(name);
        let is_open_file = || fs::canonicalize(directory).is_ok_and(|found| found.starts_with("/proc"));
        match fs::read_link(&place) {
            Ok(_) if is_open_file() => return Ok(Destination::Open(fs::canonicalize(directory)?.join(name))),
            Ok(target) => path = directory.join(target),
            // Not a link, or nothing there.
            Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::NotFound) => {
                return Ok(Destination::Name(place));
            }
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("too many symbolic links"))
}

/// Opens an open file of a process once more. This process's standard output and standard error are written through
/// the descriptors that it has, which know how far the file was written already; others are appended to.
fn reopen(path: &Path) -> io::Result<File> {
    let own = format!("/proc/{}/fd", std::process::id());
    let is_own = path.parent() == Some(Path::new(&own));
    match path.file_name().and_then(|name| name.to_str()) {
        Some("1") if is_own => io::stdout().as_fd().try_clone_to_owned().map(File::from),
        Some("2") if is_own => io::stderr().as_fd().try_clone_to_owned().map(File::from),
        _ => OpenOptions::new().append(true).open(path),
    }
}

fn open_to_write(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).open(path)
}

/// The directory that a path's last name is in.
fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Gives a new file the group, the owner and the mode of the one that it replaces. If the system does not permit the
/// group to be kept, the new file's own group gets no rights.
fn keep_owner_and_mode(file: &File, replaced: &Metadata) -> io::Result<()> {
    let made = file.metadata()?;
    let mut mode = replaced.mode() & 0o777;
    if made.gid() != replaced.gid() && fchown(file, None, Some(replaced.gid())).is_err() {
        mode &= !0o070;
    }
    if made.uid() != replaced.uid() {
        // Only the superuser can give files away; for others it becomes their own.
        let _not_permitted = fchown(file, Some(replaced.uid()), None);
    }
    file.set_permissions(Permissions::from_mode(mode))
}

#[cfg(test)]
mod tests;
