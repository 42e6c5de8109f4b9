//! Free space on the data directory's file system, and whether it is below the reserve.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use roundtable_consensus::DiskSpace;

/// Watches the disk reserve. Cheap to ask; [`Self::poll`] asks the file system.
#[derive(Debug)]
pub struct DiskWatch {
    directory: PathBuf,
    /// Below this many free bytes nothing that grows is taken.
    free_bytes_min: u64,
    free_bytes: AtomicU64,
    low: AtomicBool,
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
            low: AtomicBool::new(false),
        };
        space.poll()?;
        Ok(space)
    }

    /// Asks the file system for the space that this process may still use, and notes it.
    ///
    /// # Errors
    /// When the file system cannot be asked; what was noted before stands.
    pub fn poll(&self) -> io::Result<()> {
        let answer = rustix::fs::statvfs(&self.directory)?;
        let free_bytes = answer.f_bavail.saturating_mul(answer.f_frsize);
        self.free_bytes.store(free_bytes, Ordering::Relaxed);
        let low = free_bytes < self.free_bytes_min;
        let was_low = self.low.swap(low, Ordering::Relaxed);
        if low && !was_low {
            tracing::error!(
                free_bytes,
                free_bytes_min = self.free_bytes_min,
                directory = %self.directory.display(),
                "disk below its reserve: writes that grow are refused"
            );
        } else if was_low && !low {
            tracing::info!(free_bytes, "disk above its reserve again");
        }
        Ok(())
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disk_below_its_reserve_is_low_and_below_half_of_it_critical() {
        let dir = tempfile::tempdir().unwrap();
        let ample = DiskWatch::new(dir.path(), 0).unwrap();
        assert_eq!(ample.space(), DiskSpace::Enough);
        assert!(ample.free_bytes() > 0);
        let free_bytes = ample.free_bytes();
        let reserve_of = |bytes| DiskWatch::new(dir.path(), bytes).unwrap().space();
        assert_eq!(reserve_of(free_bytes + free_bytes / 2), DiskSpace::Low);
        assert_eq!(reserve_of(u64::MAX), DiskSpace::Critical);
    }

    #[test]
    fn disk_that_cannot_be_asked_is_an_error() {
        assert!(DiskWatch::new(Path::new("/nowhere/at/all"), 0).is_err());
    }
}
