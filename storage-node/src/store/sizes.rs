//! How large files may get, by the size of the disk.
//!
//! On a disk of 16 GiB or more these are RocksDB's usual sizes. On a smaller one they shrink with it, so that
//! everything that takes room beside the data (the journal, writes on their way, the inputs of a compaction that
//! stay until its outputs are there) takes a small share of the disk, and a compaction can run in the room that the
//! reserve leaves.

use std::io;
use std::path::Path;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// The free and the whole space of a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileSystem {
    /// Bytes that this process may still use.
    pub free_bytes: u64,
    /// All bytes.
    pub bytes: u64,
}

impl FileSystem {
    /// Asks the file system that holds `path`.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn of(path: &Path) -> io::Result<Self> {
        let answer = rustix::fs::statvfs(path)?;
        let bytes = |blocks: u64| blocks.saturating_mul(answer.f_frsize);
        Ok(Self { free_bytes: bytes(answer.f_bavail), bytes: bytes(answer.f_blocks) })
    }

    /// The most that may be taken by something that is bounded in bytes by a setting, beside the data.
    #[must_use]
    pub fn share_max(self) -> u64 {
        self.bytes / 16
    }
}

/// The sizes of the database's files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sizes {
    /// A sorted file.
    pub(super) table_bytes: u64,
    /// A file of long values.
    pub(super) blob_file_bytes: u64,
    /// The level above which levels grow tenfold.
    pub(super) base_level_bytes: u64,
    /// What one compaction reads at the most, unless a single file overlaps more.
    pub(super) compaction_bytes_max: u64,
    /// The file that lists the others, before it is written anew.
    pub(super) manifest_bytes: u64,
    /// One file of RocksDB's own log.
    pub(super) info_log_bytes: u64,
}

impl Sizes {
    pub(super) fn of(disk: FileSystem) -> Self {
        let table_bytes = (disk.bytes / 256).clamp(MIB, 64 * MIB);
        Self {
            table_bytes,
            blob_file_bytes: 2 * table_bytes,
            base_level_bytes: 4 * table_bytes,
            // A file, and the ten that it overlaps one level below.
            compaction_bytes_max: 12 * table_bytes,
            manifest_bytes: table_bytes,
            info_log_bytes: (disk.bytes / 1024).clamp(256 * KIB, 16 * MIB),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(bytes: u64) -> FileSystem {
        FileSystem { free_bytes: bytes, bytes }
    }

    #[test]
    fn sizes_shrink_with_a_small_disk_and_stop_growing_on_a_large_one() {
        let small = Sizes::of(disk(256 * MIB));
        assert_eq!((small.table_bytes, small.compaction_bytes_max), (MIB, 12 * MIB));
        let large = Sizes::of(disk(16 << 30));
        assert_eq!((large.table_bytes, large.blob_file_bytes), (64 * MIB, 128 * MIB));
        assert_eq!(Sizes::of(disk(1 << 50)), large);
    }

    #[test]
    fn file_system_that_is_there_tells_its_size() {
        let found = FileSystem::of(Path::new("/")).unwrap();
        assert!(found.bytes > found.free_bytes && found.share_max() > 0);
        assert!(FileSystem::of(Path::new("/nowhere/at/all")).is_err());
    }
}
