//! The column families by name, and all of them together.

use rocksdb::{ColumnFamily, DB, FlushOptions, properties};

/// `partition | key` → the register, its value inline if it is short.
pub const REGISTERS: &str = "registers";
/// `partition | key` → the bytes of a long value.
pub const VALUES: &str = "values";
/// `seq` → partition, accepted ballot and key of one write.
pub const LOG: &str = "log";
/// Name → format, storage id, configurations, horizons, the log's start.
pub const META: &str = "meta";

/// The family of that name.
///
/// # Panics
/// When the database was opened without it: every way of opening names all families.
pub(super) fn family<'a>(db: &'a DB, name: &'static str) -> &'a ColumnFamily {
    db.cf_handle(name).unwrap_or_else(|| unreachable!("the store is opened with the column family {name}"))
}

/// Whether the file system had no room for it.
pub(super) fn found_no_room(error: &rocksdb::Error) -> bool {
    error.as_ref().contains("No space left on device")
}

/// Bytes of recent writes in memory.
pub(super) fn memtable_bytes(db: &DB) -> u64 {
    let of = |name| db.property_int_value_cf(family(db, name), properties::CUR_SIZE_ALL_MEM_TABLES);
    [REGISTERS, VALUES, LOG, META].into_iter().map(|name| of(name).ok().flatten().unwrap_or(0)).sum()
}

/// Writes everything from memory into sorted files; returns when it is durable.
///
/// The one way to ask for a flush: RocksDB flushes a single family if it is asked to, and then that family's files would
/// hold what the row `journal` in `meta` does not cover.
pub(super) fn flush_all(db: &DB) -> Result<(), rocksdb::Error> {
    let families = [REGISTERS, VALUES, LOG, META].map(|name| family(db, name));
    let mut options = FlushOptions::default();
    options.set_wait(true);
    db.flush_cfs_opt(&families, &options)
}
