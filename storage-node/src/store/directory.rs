//! A data directory: held by one process at a time, and never one that is something else.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use roundtable_common::files;

use super::identity;

const LOCK_NAME: &str = "LOCK";
const DATABASE_NAME: &str = "db";
const JOURNAL_NAME: &str = "journal";

/// A data directory that this process holds until the value is dropped.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    /// Keeps the lock: the system lets go of it when the file is closed, however the process ends.
    _lock: File,
}

/// Why a data directory could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// The file system said no.
    #[error("cannot use the data directory {path}: {source}")]
    Io {
        /// The directory or file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process holds it.
    #[error(
        "the data directory {path} is in use by another process ({holder}); stop it, or choose another directory"
    )]
    Locked {
        /// The directory.
        path: PathBuf,
        /// What the holder wrote about itself.
        holder: String,
    },
    /// It holds files that are not Roundtable's.
    #[error(
        "{path} is not a data directory of Roundtable and not empty (it holds {found:?}); choose an empty or a new one"
    )]
    Foreign {
        /// The directory.
        path: PathBuf,
        /// One of the files.
        found: String,
    },
}

impl DirectoryError {
    pub(super) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        |source| Self::Io { path, source }
    }
}

impl Directory {
    /// Makes the directory if needed and takes its lock.
    ///
    /// # Errors
    /// When another process holds it, when it is full of something else, or when the file system says no.
    pub fn take(path: &Path) -> Result<Self, DirectoryError> {
        let io_error = |source| DirectoryError::Io { path: path.to_owned(), source };
        make_durably(path).map_err(io_error)?;
        if let Some(found) = foreign_file(path).map_err(io_error)? {
            return Err(DirectoryError::Foreign { path: path.to_owned(), found });
        }
        let lock = take_lock(path)?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the database lies.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.path.join(DATABASE_NAME)
    }

    /// Where the journal lies.
    #[must_use]
    pub fn journal(&self) -> PathBuf {
        self.path.join(JOURNAL_NAME)
    }

    /// Whether a database was ever made here and is still here.
    #[must_use]
    pub fn has_database(&self) -> bool {
        // RocksDB writes CURRENT last when it makes a database.
        self.database().join("CURRENT").exists()
    }
}

/// Makes the directory and those above it, so that a power cut after the node joined its cluster leaves them there.
fn make_durably(path: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = path.ancestors().take_while(|ancestor| !ancestor.exists()).collect();
    files::make_private_directory(path)?;
    for made in missing {
        // A relative path's last ancestor is the empty one: the working directory.
        let parent = made.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if !made.as_os_str().is_empty() {
            File::open(parent)?.sync_all()?;
        }
    }
    Ok(())
}

/// One entry that no version of this program makes, if the directory isn't a data directory already.
fn foreign_file(path: &Path) -> io::Result<Option<String>> {
    let ours = |name: &str| {
        name == LOCK_NAME
            || name == DATABASE_NAME
            || name == JOURNAL_NAME
            || name == "lost+found"
            || name.starts_with(identity::FILE_NAME)
    };
    let mut foreign = None;
    for entry in fs::read_dir(path)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name == identity::FILE_NAME {
            return Ok(None);
        }
        if !ours(&name) {
            foreign = Some(name);
        }
    }
    Ok(foreign)
}

fn take_lock(directory: &Path) -> Result<File, DirectoryError> {
    let path = directory.join(LOCK_NAME);
    let io_error = |source| DirectoryError::Io { path: path.clone(), source };
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(io_error)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            let read = Read::by_ref(&mut file).take(200).read_to_string(&mut holder).is_ok();
            let holder = if read && !holder.trim().is_empty() {
                holder.trim().to_owned()
            } else {
                "unknown".to_owned()
            };
            return Err(DirectoryError::Locked { path: directory.to_owned(), holder });
        }
        Err(TryLockError::Error(source)) => return Err(io_error(source)),
    }
    let note = format!("process {}\n", std::process::id());
    file.set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| file.write_all(note.as_bytes()))
        .map_err(io_error)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_directory_is_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("above/data");
        drop(Directory::take(&path).unwrap());
        for made in [&path, &dir.path().join("above")] {
            assert_eq!(fs::metadata(made).unwrap().permissions().mode() & 0o777, 0o700);
        }
    }

    #[test]
    fn directory_held_twice_names_the_holder() {
        let dir = tempfile::tempdir().unwrap();
        let held = Directory::take(dir.path()).unwrap();
        let error = Directory::take(dir.path()).unwrap_err();
        assert!(
            matches!(&error, DirectoryError::Locked { holder, .. } if holder.contains(&std::process::id().to_string())),
            "{error}"
        );
        drop(held);
        assert!(Directory::take(dir.path()).is_ok());
    }

    #[test]
    fn directory_with_foreign_files_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("thesis.tex"), "x").unwrap();
        let error = Directory::take(dir.path()).unwrap_err();
        assert!(matches!(&error, DirectoryError::Foreign { found, .. } if found == "thesis.tex"), "{error}");
    }

    #[test]
    fn directory_that_does_not_exist_is_made() {
        let dir = tempfile::tempdir().unwrap();
        let held = Directory::take(&dir.path().join("a/b")).unwrap();
        assert!(!held.has_database());
    }
}
