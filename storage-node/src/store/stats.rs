//! Figures of RocksDB for the metrics page.

use rocksdb::properties;

use super::Store;
use super::columns::{self, LOG, META, REGISTERS, VALUES, family};

/// The store's figures at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StoreStats {
    /// Bytes of durable writes that wait for the database.
    pub unapplied_bytes: u64,
    /// Bytes of recent writes in the database's memory.
    pub memtable_bytes: u64,
    /// Bytes of the sorted files that are in use.
    pub table_bytes: u64,
    /// Bytes of the blob files that are in use.
    pub blob_bytes: u64,
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
        let of = |name, property: &rocksdb::properties::PropName| {
            self.db.property_int_value_cf(family(&self.db, name), property).ok().flatten().unwrap_or(0)
        };
        let sum = |property| [REGISTERS, VALUES, LOG, META].into_iter().map(|name| of(name, property)).sum();
        StoreStats {
            unapplied_bytes: self.unapplied.bytes().all as u64,
            memtable_bytes: columns::memtable_bytes(&self.db),
            table_bytes: sum(properties::LIVE_SST_FILES_SIZE),
            blob_bytes: self.blob_bytes(),
            // One cache serves all families.
            block_cache_bytes: of(REGISTERS, properties::BLOCK_CACHE_USAGE),
            compaction_pending_bytes: sum(properties::ESTIMATE_PENDING_COMPACTION_BYTES),
            registers_estimate: of(REGISTERS, properties::ESTIMATE_NUM_KEYS),
            background_errors: of(REGISTERS, properties::BACKGROUND_ERRORS),
        }
    }

    fn blob_bytes(&self) -> u64 {
        let values = family(&self.db, VALUES);
        self.db.property_int_value_cf(values, c"rocksdb.live-blob-file-size").ok().flatten().unwrap_or(0)
    }
}
