//! Giving the room of dead values back to the disk.
//!
//! RocksDB frees a value that was replaced or deleted when a compaction meets it together with what replaced it, and
//! it compacts because files were added. On a node that is full, or merely idle, none are: what clients deleted would
//! take its room for ever. So the room is claimed in two steps, both by RocksDB's own compactions.
//!
//! *Merge* flushes a family and compacts its levels into each other. What was replaced in `registers` is gone then. In
//! `values` the sorted files hold keys alone, so this is cheap; their long values lie in blob files, and a blob file
//! without a live value is removed. Of the others RocksDB knows by then how much is garbage.
//!
//! *Collect* has the live values of the oldest blob files moved to new ones, and the old ones removed: of as many files
//! at a time as there is room for their values, were they all alive. RocksDB has that as an ordinary compaction with
//! garbage collection up to an age; the age is set for the time being.
//!
//! Ordinary compactions collect the oldest quarter of the blob files besides, as they meet it; but they don't ask for
//! room, and one that finds none holds up all others. So they may only while a quarter of the blob files would fit.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::atomic::Ordering;

use rocksdb::{BottommostLevelCompaction, CompactOptions, properties};

use super::columns::{self, LOG, META, REGISTERS, VALUES, family};
use super::options::BLOB_GC_AGE_CUTOFF;
use super::sizes::FileSystem;
use super::unapplied::Applied;
use super::{Store, StoreError};

/// Left free by whatever is begun here, for what RocksDB notes about new files.
const LEAVES_BYTES: u64 = 1 << 20;
const AGE_CUTOFF_OPTION: &str = "blob_garbage_collection_age_cutoff";
const COLLECT_OPTION: &str = "enable_blob_garbage_collection";

/// What the database takes of the disk, and how much of it is dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Occupancy {
    /// Blob files.
    pub blob_bytes: u64,
    /// What RocksDB knows to be dead in them.
    pub blob_garbage_bytes: u64,
    /// Values in them, before compression, that were replaced or deleted since their keys were last merged.
    pub dead_value_bytes: u64,
    /// The sorted files of registers.
    pub register_table_bytes: u64,
    /// Values in them, before compression, that were replaced or deleted since they were last merged.
    pub dead_register_bytes: u64,
}

/// One piece of work that gives room back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reclaim {
    /// Merges the rows of long values, and frees the blob files that have none any more.
    MergeValues,
    /// Merges the registers.
    MergeRegisters,
    /// Moves the live values of the oldest blob files, which have this many bytes at the most.
    CollectBlobs {
        /// So many bytes of room may be taken meanwhile.
        bytes_max: u64,
    },
}

/// How a piece of work ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reclaimed {
    /// It is done, over files of this many bytes.
    Done {
        /// Bytes of the blob files that were collected; zero for a merge.
        bytes: u64,
    },
    /// It was not begun, or not done, for lack of room: it might need so much for a while.
    NoRoom {
        /// The room that it may need.
        needed_bytes: u64,
        /// The room that there is.
        free_bytes: u64,
    },
}

impl Store {
    /// How much of the disk is taken, and how much of that is dead. Cheap.
    #[must_use]
    pub fn occupancy(&self) -> Occupancy {
        let dead = self.unapplied.dead();
        Occupancy {
            blob_bytes: self.number(VALUES, c"rocksdb.live-blob-file-size"),
            blob_garbage_bytes: self.number(VALUES, c"rocksdb.live-blob-file-garbage-size"),
            dead_value_bytes: dead.get(true),
            register_table_bytes: self.table_bytes(REGISTERS),
            dead_register_bytes: dead.get(false),
        }
    }

    /// Does one piece of work. Takes as long as the disk takes; commits and reads go on.
    ///
    /// # Errors
    /// When RocksDB cannot flush or the file system cannot be asked.
    pub fn reclaim(&self, work: Reclaim) -> Result<Reclaimed, StoreError> {
        match work {
            Reclaim::MergeValues => self.merge(VALUES, true),
            Reclaim::MergeRegisters => self.merge(REGISTERS, false),
            Reclaim::CollectBlobs { bytes_max } => self.collect_blobs(bytes_max),
        }
    }

    /// Lets ordinary compactions collect the oldest quarter of the blob files, or not: as long as they may take
    /// `room_bytes` for a while.
    ///
    /// # Errors
    /// When RocksDB does not take the setting.
    pub fn collect_on_the_way(&self, room_bytes: u64) -> Result<(), StoreError> {
        let blob_bytes = self.number(VALUES, c"rocksdb.live-blob-file-size");
        let did = self.collects.load(Ordering::Relaxed);
        // A quarter of the room more turns it on than off: not again and again about the bound.
        let room_bytes = room_bytes as f64 * if did { 1.25 } else { 1.0 };
        let collects = room_bytes >= blob_bytes as f64 * BLOB_GC_AGE_CUTOFF;
        if did == collects {
            return Ok(());
        }
        self.set_collecting(collects, BLOB_GC_AGE_CUTOFF)?;
        self.collects.store(collects, Ordering::Relaxed);
        Ok(())
    }

    fn set_collecting(&self, collects: bool, cutoff: f64) -> Result<(), StoreError> {
        let settings = [(COLLECT_OPTION, &*collects.to_string()), (AGE_CUTOFF_OPTION, &cutoff.to_string())];
        match self.db.set_options_cf(family(&self.db, VALUES), &settings) {
            // They are in effect: only RocksDB's own note of them was not written. On a full disk it is not, and nobody
            // reads it.
            Err(error) if error.as_ref().contains("Unable to persist options") => Ok(()),
            set => set.map_err(StoreError::database("set how dead values are collected")),
        }
    }

    /// Gives up compactions under way. To be called when nothing is wanted of the store any more but to be closed.
    pub fn cancel_compactions(&self) {
        self.db.cancel_all_background_work(true);
    }

    /// Counts the deleted values whose rows were not merged before the last stop: a start knows only the rows.
    pub(super) fn count_found_dead(&self) {
        let values = family(&self.db, VALUES);
        let described = self.db.property_value_cf(values, properties::AGGREGATED_TABLE_PROPERTIES);
        let deleted = described.ok().flatten().and_then(|text| number_behind(&text, "# deletions="));
        let rows = self.number(VALUES, properties::ESTIMATE_NUM_KEYS).max(1);
        let mean_bytes = self.number(VALUES, c"rocksdb.live-blob-file-size") / rows;
        self.unapplied.dead().add_found(true, deleted.unwrap_or(0).saturating_mul(mean_bytes));
    }

    fn merge(&self, name: &'static str, spilled: bool) -> Result<Reclaimed, StoreError> {
        let needed_bytes = self.table_bytes(name).min(self.compaction_bytes_max) + self.buffered_bytes();
        if let Some(no_room) = self.lacks_room(needed_bytes)? {
            return Ok(no_room);
        }
        // Before the rows are written: what is counted from now on may miss the merge.
        let counted = self.unapplied.dead().take(spilled);
        let merged = self.flush_waiting();
        if !matches!(merged, Ok(Applied::All)) {
            self.unapplied.dead().add_found(spilled, counted);
        }
        if merged? == Applied::Refused {
            return self.refused(needed_bytes);
        }
        if self.compact(name, BottommostLevelCompaction::IfHaveCompactionFilter) {
            return Ok(Reclaimed::Done { bytes: 0 });
        }
        self.unapplied.dead().add_found(spilled, counted);
        self.refused(needed_bytes)
    }

    fn collect_blobs(&self, bytes_max: u64) -> Result<Reclaimed, StoreError> {
        let live_files = self.number(VALUES, c"rocksdb.num-blob-files");
        let oldest = blob_file_bytes(&self.directory.database()).map_err(StoreError::Space)?;
        let (count, bytes) = fitting(&oldest, bytes_max);
        let needed_bytes = self.table_bytes(VALUES).min(self.compaction_bytes_max)
            + self.buffered_bytes()
            + if count == 0 { oldest.first().copied().unwrap_or(0) } else { bytes };
        if let Some(no_room) = self.lacks_room(needed_bytes)? {
            return Ok(no_room);
        }
        let count = count.max(1);
        // RocksDB rounds down: between two files.
        let cutoff = ((count as f64 + 0.5) / live_files.max(1) as f64).min(1.0);
        self.set_collecting(true, cutoff)?;
        let compacted = self.compact(VALUES, BottommostLevelCompaction::ForceOptimized);
        self.set_collecting(self.collects.load(Ordering::Relaxed), BLOB_GC_AGE_CUTOFF)?;
        if compacted { Ok(Reclaimed::Done { bytes: bytes.max(1) }) } else { self.refused(needed_bytes) }
    }

    /// Writes what waits into sorted files.
    fn flush_waiting(&self) -> Result<Applied, StoreError> {
        let applied = self.unapplied.apply(&self.db, &self.progress);
        if applied.map_err(StoreError::apply)? == Applied::Refused {
            return Ok(Applied::Refused);
        }
        match columns::flush_all(&self.db) {
            Ok(()) => Ok(Applied::All),
            Err(error) if columns::found_no_room(&error) => Ok(Applied::Refused),
            Err(error) => {
                self.unapplied.note_failure(&error);
                Err(StoreError::database("flush")(error))
            }
        }
    }

    /// Compacts the levels of a family into each other. Whether that went well, RocksDB tells by its count of errors
    /// alone; one of another compaction is taken for this one's.
    fn compact(&self, name: &'static str, bottom: BottommostLevelCompaction) -> bool {
        let errors = self.number(name, properties::BACKGROUND_ERRORS);
        let mut options = CompactOptions::default();
        options.set_exclusive_manual_compaction(false);
        options.set_bottommost_level_compaction(bottom);
        self.db.compact_range_cf_opt(family(&self.db, name), None::<&[u8]>, None::<&[u8]>, &options);
        self.number(name, properties::BACKGROUND_ERRORS) == errors
    }

    /// What is to be written into files before any of it can be merged.
    fn buffered_bytes(&self) -> u64 {
        columns::memtable_bytes(&self.db) + self.unapplied.bytes().all as u64
    }

    fn lacks_room(&self, needed_bytes: u64) -> Result<Option<Reclaimed>, StoreError> {
        let free_bytes = FileSystem::of(self.directory.path()).map_err(StoreError::Space)?.free_bytes;
        let enough = free_bytes >= needed_bytes + LEAVES_BYTES;
        Ok((!enough).then_some(Reclaimed::NoRoom { needed_bytes, free_bytes }))
    }

    fn refused(&self, needed_bytes: u64) -> Result<Reclaimed, StoreError> {
        let free_bytes = FileSystem::of(self.directory.path()).map_err(StoreError::Space)?.free_bytes;
        Ok(Reclaimed::NoRoom { needed_bytes, free_bytes })
    }

    pub(super) fn table_bytes(&self, name: &'static str) -> u64 {
        self.number(name, properties::LIVE_SST_FILES_SIZE)
    }

    /// A figure of one family; zero where RocksDB knows none.
    pub(super) fn number(&self, name: &'static str, property: &std::ffi::CStr) -> u64 {
        self.db.property_int_value_cf(family(&self.db, name), property).ok().flatten().unwrap_or(0)
    }

    /// The sum of a figure over all families.
    pub(super) fn sum(&self, property: &std::ffi::CStr) -> u64 {
        [REGISTERS, VALUES, LOG, META].into_iter().map(|name| self.number(name, property)).sum()
    }
}

/// The lengths of the blob files, oldest first.
fn blob_file_bytes(database: &Path) -> io::Result<Vec<u64>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(database)? {
        let entry = entry?;
        let name = entry.file_name();
        let number = Path::new(&name).extension().is_some_and(|extension| extension == "blob");
        let number = Path::new(&name).file_stem().filter(|_| number).and_then(|stem| stem.to_str());
        if let Some(number) = number.and_then(|number| number.parse::<u64>().ok()) {
            match entry.metadata() {
                Ok(found) => files.push((number, found.len())),
                // Removed since the folder was read.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }
    files.sort_unstable();
    Ok(files.into_iter().map(|(_, bytes)| bytes).collect())
}

/// How many of the first files have together at most `bytes_max` bytes, and how many bytes these are.
fn fitting(files: &[u64], bytes_max: u64) -> (usize, u64) {
    let mut sum = 0_u64;
    for (count, bytes) in files.iter().enumerate() {
        match sum.checked_add(*bytes).filter(|sum| *sum <= bytes_max) {
            Some(more) => sum = more,
            None => return (count, sum),
        }
    }
    (files.len(), sum)
}

fn number_behind(text: &str, name: &str) -> Option<u64> {
    let (_, rest) = text.split_once(name)?;
    let digits = rest.find(|c: char| !c.is_ascii_digit()).map_or(rest, |end| rest.get(..end).unwrap_or(rest));
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn oldest_files_are_taken_up_to_the_bound() {
        assert_eq!(fitting(&[5, 5, 5], 11), (2, 10));
        assert_eq!(fitting(&[5, 5, 5], 4), (0, 0));
        assert_eq!(fitting(&[5, 5, 5], u64::MAX), (3, 15));
        assert_eq!(fitting(&[], 1), (0, 0));
    }

    #[test]
    fn number_is_read_from_the_properties_that_rocksdb_writes() {
        let text = "# data blocks=1; # entries=12; # deletions=34; # merge operands=0; ";
        assert_eq!(number_behind(text, "# deletions="), Some(34));
        assert_eq!(number_behind(text, "# inserts="), None);
    }
}
