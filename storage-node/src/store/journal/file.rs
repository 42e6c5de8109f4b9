//! The one way from the journal to its files: every write, and every sync.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{FallocateFlags, OFlags, fallocate};
use rustix::io::Errno;

#[cfg(test)]
use super::recorder::Watched;

/// A file of the journal.
#[derive(Debug)]
pub(super) struct JournalFile {
    file: File,
    #[cfg(test)]
    watched: Watched,
}

impl JournalFile {
    /// Opens it for reading, and for [`Self::sync_data`], which needs no more.
    pub(super) fn open_to_read(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        Ok(Self {
            file,
            #[cfg(test)]
            watched: Watched::new(path, false),
        })
    }

    /// Opens it for writing: past the page cache and with each write durable when it returns, or through the page
    /// cache, to be synced later.
    pub(super) fn open_to_write(path: &Path, sync_each: bool) -> io::Result<Self> {
        let with = |flags: OFlags| {
            let flags = i32::try_from(flags.bits()).unwrap_or_default();
            OpenOptions::new().read(true).write(true).custom_flags(flags).open(path)
        };
        let file = if sync_each {
            match with(OFlags::DIRECT | OFlags::DSYNC) {
                // Not every file system writes past the page cache.
                Err(error) if error.raw_os_error() == Some(Errno::INVAL.raw_os_error()) => {
                    with(OFlags::DSYNC)
                }
                opened => opened,
            }
        } else {
            with(OFlags::empty())
        }?;
        Ok(Self {
            file,
            #[cfg(test)]
            watched: Watched::new(path, sync_each),
        })
    }

    pub(super) fn bytes(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    pub(super) fn read_exact_at(&self, bytes: &mut [u8], position: u64) -> io::Result<()> {
        self.file.read_exact_at(bytes, position)
    }

    pub(super) fn write_all_at(&self, bytes: &[u8], position: u64) -> io::Result<()> {
        #[cfg(test)]
        self.watched.before_write(bytes, position);
        self.file.write_all_at(bytes, position)?;
        #[cfg(test)]
        self.watched.after_write();
        Ok(())
    }

    /// Makes everything written durable, whoever wrote it.
    pub(super) fn sync_data(&self) -> io::Result<()> {
        #[cfg(test)]
        let pending = self.watched.before_sync();
        self.file.sync_data()?;
        #[cfg(test)]
        self.watched.after_sync(pending);
        Ok(())
    }

    /// The same with the file's length, for a new file.
    pub(super) fn sync_all(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    /// Takes room for so many bytes in one piece, where the file system can.
    pub(super) fn allocate(&self, bytes: u64) -> io::Result<()> {
        match fallocate(&self.file, FallocateFlags::empty(), 0, bytes) {
            Ok(()) | Err(Errno::OPNOTSUPP) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
