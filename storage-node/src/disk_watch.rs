//! Free space on the data directory's file system, and whether it is below the reserve.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use roundtable_common::telemetry::Recurring;
use roundtable_consensus::{DiskShortage, DiskSpace};

use crate::store::sizes::FileSystem;

/// Watches the disk reserve. Answers come from the last poll of the file system, so they cost nothing.
#[derive(Debug)]
pub struct DiskWatch {
    directory: PathBuf,
    /// Below this many free bytes nothing that grows is taken.
    free_bytes_min: u64,
    free_bytes: AtomicU64,
    disk_bytes: AtomicU64,
    low: AtomicBool,
    /// The disk fell below its reserve.
    turns: Recurring,
    /// Its last fall was logged.
    logged: AtomicBool,
    /// The file system does not answer.
    silent: Recurring,
}

impl DiskWatch {
    /// Asks once.
    ///
    /// # Errors
    /// When the file system cannot be asked.
    pub fn new(directory: &Path, free_bytes_min: u64) -> io::Result<Self> {
        let space = Self {
            directory: directory.to_owned(),
            free_bytes_min,
            free_bytes: AtomicU64::new(0),
            disk_bytes: AtomicU64::new(0),
            low: AtomicBool::new(false),
            turns: Recurring::new(),
            logged: AtomicBool::new(false),
            silent: Recurring::new(),
        };
        space.poll()?;
        Ok(space)
    }

    /// Asks the file system for the space that this process may still use, and notes it. When it does not answer, what
    /// was noted before stands, and the log says so.
    pub fn poll_or_log(&self) {
        match self.poll() {
            Ok(()) => drop(self.silent.over()),
            Err(error) => {
                if let Some(count) = self.silent.met() {
                    tracing::warn!(%error, count, "cannot ask for free disk space");
                }
            }
        }
    }

    fn poll(&self) -> io::Result<()> {
        let FileSystem { free_bytes, bytes } = FileSystem::of(&self.directory)?;
        self.free_bytes.store(free_bytes, Ordering::Relaxed);
        self.disk_bytes.store(bytes, Ordering::Relaxed);
        let low = free_bytes < self.free_bytes_min;
        let was_low = self.low.swap(low, Ordering::Relaxed);
        if low != was_low {
            self.log(low, free_bytes);
        }
        Ok(())
    }

    /// A disk about at its reserve goes below and above it again and again: that takes one line a minute.
    fn log(&self, low: bool, free_bytes: u64) {
        if low {
            let due = self.turns.met();
            self.logged.store(due.is_some(), Ordering::Relaxed);
            if let Some(count) = due {
                tracing::error!(
                    free_bytes,
                    free_bytes_min = self.free_bytes_min,
                    directory = %self.directory.display(),
                    count,
                    "disk below its reserve: writes that grow are refused"
                );
            }
        } else if self.logged.load(Ordering::Relaxed) {
            tracing::info!(free_bytes, "disk above its reserve again");
        }
    }

    /// How much room there was when the disk was last asked.
    #[must_use]
    pub fn space(&self) -> DiskSpace {
        match self.free_bytes() {
            free if free < self.free_bytes_min / 2 => DiskSpace::Critical,
            free if free < self.free_bytes_min => DiskSpace::Low,
            _ => DiskSpace::Enough,
        }
    }

    /// What lacks, if the disk is below its reserve: writes that grow are refused.
    #[must_use]
    pub fn shortage(&self) -> Option<DiskShortage> {
        let free_bytes = self.free_bytes();
        (free_bytes < self.free_bytes_min).then(|| DiskShortage {
            free_bytes,
            reserve_bytes: self.free_bytes_min,
            directory: self.directory.display().to_string(),
        })
    }

    /// The data directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The reserve.
    #[must_use]
    pub fn free_bytes_min(&self) -> u64 {
        self.free_bytes_min
    }

    /// Free bytes when the disk was last asked.
    #[must_use]
    pub fn free_bytes(&self) -> u64 {
        self.free_bytes.load(Ordering::Relaxed)
    }

    /// The replication log takes no more of a small disk than this, whatever the settings say.
    #[must_use]
    pub fn log_bytes_max(&self) -> u64 {
        FileSystem { free_bytes: self.free_bytes(), bytes: self.disk_bytes() }.share_max()
    }

    /// Size of the file system when it was last asked.
    #[must_use]
    pub fn disk_bytes(&self) -> u64 {
        self.disk_bytes.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disk_below_its_reserve_is_low_and_below_half_of_it_critical() {
        let dir = tempfile::tempdir().unwrap();
        let ample = DiskWatch::new(dir.path(), 0).unwrap();
        assert_eq!((ample.space(), ample.shortage()), (DiskSpace::Enough, None));
        assert!(ample.free_bytes() > 0 && ample.disk_bytes() > ample.free_bytes());
        let free_bytes = ample.free_bytes();
        let with_reserve = |bytes| DiskWatch::new(dir.path(), bytes).unwrap();
        assert_eq!(with_reserve(free_bytes + free_bytes / 2).space(), DiskSpace::Low);
        let critical = with_reserve(u64::MAX);
        assert_eq!(critical.space(), DiskSpace::Critical);
        let shortage = critical.shortage().unwrap();
        assert_eq!(
            (shortage.reserve_bytes, shortage.directory.as_str()),
            (u64::MAX, dir.path().to_str().unwrap())
        );
    }

    #[test]
    fn disk_that_cannot_be_asked_is_an_error() {
        assert!(DiskWatch::new(Path::new("/nowhere/at/all"), 0).is_err());
    }
}
