//! Every setting of RocksDB, in one place, each with its reason.

use rocksdb::{
    BlockBasedIndexType, BlockBasedOptions, Cache, ColumnFamilyDescriptor, DBCompressionType, Options,
    ReadOptions, ReadTier,
};

use super::columns::{LOG, META, REGISTERS, VALUES};
use super::journal::{self, JournalOptions};
use super::sizes::{FileSystem, Sizes};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;
/// Longer segments would gain nothing, and a start would have to read them.
const SEGMENT_BYTES_MAX: usize = 256 * MIB;
/// Less memory for writes is not configured either.
const WRITE_BUFFER_BYTES_MIN: usize = 4 * MIB;
/// Ordinary compactions move what they meet of the oldest quarter of the blob files, and free these files by that.
pub(super) const BLOB_GC_AGE_CUTOFF: f64 = 0.25;

/// What an operator may choose of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreOptions {
    /// Bytes of the cache for blocks read from disk, indexes and filters included.
    pub block_cache_bytes: usize,
    /// Bytes of recent writes kept in memory before they are written as sorted files.
    pub write_buffer_bytes: usize,
    /// Whether each commit is synced before it returns.
    pub sync_each_commit: bool,
    /// Threads for flushing and compaction.
    pub background_jobs: u16,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            block_cache_bytes: 192 * MIB,
            write_buffer_bytes: 128 * MIB,
            sync_each_commit: true,
            background_jobs: 2,
        }
    }
}

impl StoreOptions {
    /// The same with less memory for writes where the disk is small: the journal, and all that waits to be written into
    /// files, has to fit on it beside the data.
    #[must_use]
    pub(super) fn fitted(mut self, disk: FileSystem) -> Self {
        let most = usize::try_from(disk.share_max()).unwrap_or(usize::MAX).max(WRITE_BUFFER_BYTES_MIN);
        if self.write_buffer_bytes > most {
            tracing::info!(
                write_buffer_bytes = most,
                configured_bytes = self.write_buffer_bytes,
                disk_bytes = disk.bytes,
                "small disk: less memory for writes than configured, and a shorter journal"
            );
            self.write_buffer_bytes = most;
        }
        self
    }

    /// Registers that may wait for the database before they are written there: a quarter of the memory for writes. As
    /// much again may come while the database takes the first.
    pub(super) fn unapplied_bytes_usual(&self) -> usize {
        self.write_buffer_bytes / 4
    }
}

/// The settings of the whole database.
pub(super) fn database_options(options: &StoreOptions, sizes: Sizes, create: bool) -> Options {
    let mut db = Options::default();
    // Only a directory's first start makes a database: a database that vanished must not come back empty.
    db.create_if_missing(create);
    db.create_missing_column_families(create);
    db.set_paranoid_checks(true);
    // Sorted files of all column families are made in one step: after a crash the database holds what it held at one
    // moment, and the row that says how far the journal was durable then goes with everything that rests on it.
    db.set_atomic_flush(true);
    db.set_max_background_jobs(i32::from(options.background_jobs));
    // Files are written back while they are made: no burst of dirty pages delays a commit's sync.
    db.set_bytes_per_sync(MIB as u64);
    // One limit over all column families; the largest is flushed when it is nearly reached, and writes go on meanwhile.
    // The rest of the memory for writes holds what waits for the database.
    db.set_db_write_buffer_size(options.write_buffer_bytes / 8 * 3);
    db.set_max_open_files(open_files_max());
    db.set_max_log_file_size(usize::try_from(sizes.info_log_bytes).unwrap_or(16 * MIB));
    db.set_keep_log_file_num(4);
    db.set_max_manifest_file_size(usize::try_from(sizes.manifest_bytes).unwrap_or(64 * MIB));
    db
}

/// A busy node has some thousand files. Half of what the system grants is left to sockets.
fn open_files_max() -> i32 {
    let granted = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX);
    i32::try_from((granted / 2).clamp(64, 8192)).unwrap_or(64)
}

/// The column families with their settings.
pub(super) fn column_families(options: &StoreOptions, sizes: Sizes) -> Vec<ColumnFamilyDescriptor> {
    let cache = Cache::new_lru_cache(options.block_cache_bytes);
    vec![
        ColumnFamilyDescriptor::new(REGISTERS, registers(options, sizes, &cache)),
        ColumnFamilyDescriptor::new(VALUES, values(options, sizes, &cache)),
        ColumnFamilyDescriptor::new(LOG, log(options, sizes, &cache)),
        ColumnFamilyDescriptor::new(META, meta(&cache)),
        ColumnFamilyDescriptor::new(rocksdb::DEFAULT_COLUMN_FAMILY_NAME, unused()),
    ]
}

/// How commits are written.
///
/// A full segment has the database flushed. What was written into it takes as much of the database's memory at most,
/// less where keys were written again.
pub(super) fn journal_options(options: &StoreOptions) -> JournalOptions {
    let bytes = options.write_buffer_bytes.min(SEGMENT_BYTES_MAX) as u64;
    JournalOptions {
        sync_each: options.sync_each_commit,
        segment_bytes: bytes.next_multiple_of(journal::BLOCK_BYTES as u64),
    }
}

/// How registers are read where nobody may wait for the disk.
pub(super) fn memory_only_options() -> ReadOptions {
    let mut read = ReadOptions::default();
    read.set_read_tier(ReadTier::BlockCache);
    read
}

/// Point lookups by whole key, most of them for keys that exist or never did; scans by partition.
fn registers(options: &StoreOptions, sizes: Sizes, cache: &Cache) -> Options {
    let mut family = compressed(options, sizes);
    let mut table = table(cache, 8 * KIB);
    // Ten bits a key: one in a hundred lookups of an absent key reads a block.
    table.set_bloom_filter(10.0, false);
    table.set_optimize_filters_for_memory(true);
    // Index and filter in blocks of their own under a small pinned index: at 50 million keys the whole of them is half
    // of the block cache, and a compaction would hold a file's filter in memory until the file ends.
    table.set_index_type(BlockBasedIndexType::TwoLevelIndexSearch);
    table.set_partition_filters(true);
    table.set_metadata_block_size(4 * KIB);
    table.set_pin_top_level_index_and_filter(true);
    family.set_block_based_table_factory(&table);
    family
}

/// Long values: kept out of the sorted files, so that compaction moves their keys and not their bytes.
fn values(options: &StoreOptions, sizes: Sizes, cache: &Cache) -> Options {
    let mut family = compressed(options, sizes);
    family.set_block_based_table_factory(&table(cache, 4 * KIB));
    family.set_enable_blob_files(true);
    // Every row of this family is longer than the inline limit.
    family.set_min_blob_size(super::format::INLINE_BYTES_MAX.into());
    family.set_blob_file_size(sizes.blob_file_bytes);
    family.set_blob_compression_type(DBCompressionType::Lz4);
    // Turned on while there is room for what a compaction may move: see `reclaim.rs`.
    family.set_enable_blob_gc(false);
    family.set_blob_gc_age_cutoff(BLOB_GC_AGE_CUTOFF);
    family
}

/// Written at its end, read in order, dropped at its start: no filter, larger blocks.
fn log(options: &StoreOptions, sizes: Sizes, cache: &Cache) -> Options {
    let mut family = compressed(options, sizes);
    family.set_block_based_table_factory(&table(cache, 16 * KIB));
    family
}

/// RocksDB wants its default family opened; nothing is kept in it.
///
/// After a lack of room RocksDB goes on when there is some for the largest write buffer of all families: not for its
/// standard 64 MiB.
fn unused() -> Options {
    let mut family = Options::default();
    family.set_write_buffer_size(MIB);
    family
}

/// A few dozen small rows, some of them written again and again. A full buffer has all families flushed.
fn meta(cache: &Cache) -> Options {
    let mut family = Options::default();
    family.set_write_buffer_size(4 * MIB);
    family.set_block_based_table_factory(&table(cache, 4 * KIB));
    family
}

/// LZ4 where data is young and rewritten often, ZSTD at the bottom where nine tenths of it lie.
fn compressed(options: &StoreOptions, sizes: Sizes) -> Options {
    let mut family = Options::default();
    family.set_compression_type(DBCompressionType::Lz4);
    family.set_bottommost_compression_type(DBCompressionType::Zstd);
    family.set_level_compaction_dynamic_level_bytes(true);
    family.set_target_file_size_base(sizes.table_bytes);
    family.set_max_bytes_for_level_base(sizes.base_level_bytes);
    family.set_max_compaction_bytes(sizes.compaction_bytes_max);
    // The journal has it flushed when it is half full; by itself only if that is slow.
    family.set_write_buffer_size(options.write_buffer_bytes);
    // A third buffer takes writes while two are flushed: commits don't stall on one slow flush.
    family.set_max_write_buffer_number(3);
    family
}

/// Blocks, indexes and filters share one cache, so that the operator's one number bounds them.
fn table(cache: &Cache, block_bytes: usize) -> BlockBasedOptions {
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(cache);
    table.set_block_size(block_bytes);
    table.set_cache_index_and_filter_blocks(true);
    table.set_cache_index_and_filter_blocks_with_high_priority(true);
    table.set_pin_l0_filter_and_index_blocks_in_cache(true);
    table.set_format_version(6);
    table
}
