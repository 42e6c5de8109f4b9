//! Figures of RocksDB for the metrics page.

use rocksdb::properties;

use super::columns::{self, REGISTERS};
use super::{Occupancy, Store};

/// The store's figures at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StoreStats {
    /// Bytes of durable writes that wait for the database.
    pub unapplied_bytes: u64,
    /// Bytes of recent writes in the database's memory.
    pub memtable_bytes: u64,
    /// Bytes of the sorted files that are in use.
    pub table_bytes: u64,
    /// Blob files, and what is dead in them and in the registers.
    pub occupancy: Occupancy,
    /// Bytes in the block cache.
    pub block_cache_bytes: u64,
    /// Bytes that compaction would have to rewrite to be done.
    pub compaction_pending_bytes: u64,
    /// Keys with a register, tombstones included; an estimate.
    pub registers_estimate: u64,
    /// Flushes and compactions that failed.
    pub background_errors: u64,
}

impl Store {
    /// Reads the figures; cheap, and zero where RocksDB knows none.
    #[must_use]
    pub fn stats(&self) -> StoreStats {
        StoreStats {
            unapplied_bytes: self.unapplied.bytes().all as u64,
            memtable_bytes: columns::memtable_bytes(&self.db),
            table_bytes: self.sum(properties::LIVE_SST_FILES_SIZE),
            occupancy: self.occupancy(),
            // One cache serves all families.
            block_cache_bytes: self.number(REGISTERS, properties::BLOCK_CACHE_USAGE),
            compaction_pending_bytes: self.sum(properties::ESTIMATE_PENDING_COMPACTION_BYTES),
            registers_estimate: self.number(REGISTERS, properties::ESTIMATE_NUM_KEYS),
            background_errors: self.number(REGISTERS, properties::BACKGROUND_ERRORS),
        }
    }
}
