//! One commit: registers, long values, log entries and horizons in one write batch and one sync.

use std::sync::{Arc, MutexGuard};

use rocksdb::WriteBatch;
use roundtable_consensus::{Ballot, Key, PartitionId, Register};

use super::columns::{LOG, REGISTERS, VALUES, family};
use super::format::{
    LogEntry, encode_log_row, encode_register_row, encode_value_row, log_row_bytes, row_key,
};
use super::log::LogBounds;
use super::meta::put_horizon;
use super::unapplied::{Waiting, Written};
use super::{Store, StoreError, SyncWhen};

/// A commit being put together. Only one exists at a time; dropping it writes nothing.
pub struct Commit<'a> {
    store: &'a Store,
    /// The journal's record.
    batch: WriteBatch,
    /// The same for the database.
    written: Written,
    /// The log's bounds as they will be after the commit.
    next: LogBounds,
    current: MutexGuard<'a, LogBounds>,
    accepts: u64,
}

/// What a commit wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CommitStats {
    /// Its number in the journal, counted up from 1 over all starts; 0 if it wrote nothing.
    pub number: u64,
    /// Registers written.
    pub accepts: u64,
    /// Bytes of the write batch.
    pub bytes: u64,
    /// The replication log afterwards.
    pub log: LogBounds,
}

impl Store {
    /// Begins a commit.
    #[must_use]
    pub fn begin_commit(&self) -> Commit<'_> {
        let current = self.log_guard();
        let (batch, written) = (WriteBatch::default(), Written::default());
        Commit { store: self, batch, written, next: *current, current, accepts: 0 }
    }
}

impl Commit<'_> {
    /// Adds a shard's horizon.
    pub fn horizon(&mut self, shard: u16, horizon: Ballot) {
        put_horizon(&self.store.db, &mut self.batch, shard, horizon);
        self.written.horizons.push((shard, horizon));
    }

    /// Adds a register with its entry in the log, which gets the next seq.
    ///
    /// `spills` tells whether its value goes to `values`, `was_spilled` whether the value that it replaces lies there,
    /// `replaced_bytes` how long that one is.
    pub fn accept(
        &mut self,
        partition: PartitionId,
        key: &Key,
        register: &Arc<Register>,
        spills: bool,
        was_spilled: bool,
        replaced_bytes: u32,
    ) {
        let db = &self.store.db;
        let row = row_key(partition, key.as_bytes());
        let entry = LogEntry {
            seq: self.next.next_seq,
            partition,
            accepted: register.accepted,
            offset: self.next.end_offset,
            key: key.clone(),
        };
        match register.content.value() {
            Some(value) if spills => {
                self.batch.put_cf(family(db, VALUES), &row, encode_value_row(register.accepted, value));
            }
            _ if was_spilled => self.batch.delete_cf(family(db, VALUES), &row),
            _ => {}
        }
        self.batch.put_cf(family(db, REGISTERS), &row, encode_register_row(entry.seq, register, spills));
        let log_row = encode_log_row(&entry);
        self.batch.put_cf(family(db, LOG), entry.seq.to_be_bytes(), &log_row);
        self.written.log.push(entry.seq, &log_row);
        let register = Arc::clone(register);
        let waiting = Waiting { register, seq: entry.seq, spills, was_spilled, replaced_bytes };
        self.written.registers.push((row, waiting));
        self.next.next_seq += 1;
        self.next.end_offset += log_row_bytes(key);
        self.accepts += 1;
    }

    /// Bytes gathered so far.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.batch.size_in_bytes()
    }

    /// Makes it all durable, unless the store was opened without syncs: whatever rests on it may leave. A horizon is
    /// durable in any case: the node keeps the promises below it even where it may forget registers. Readers of the store
    /// find it all after [`Store::apply`].
    ///
    /// # Errors
    /// When the write or the sync fails, or one failed before. The store is poisoned and the process must end: it is
    /// not known what reached the disk, and nothing may be answered.
    pub fn journal(self) -> Result<CommitStats, StoreError> {
        let Self { store, batch, written, next, mut current, accepts } = self;
        store.check_not_poisoned()?;
        let bytes = batch.size_in_bytes() as u64;
        let sync = if written.horizons.is_empty() { SyncWhen::AsOpened } else { SyncWhen::Now };
        let number = if batch.is_empty() { 0 } else { store.journal_batch(batch.data(), written, sync)? };
        *current = next;
        Ok(CommitStats { number, accepts, bytes, log: next })
    }

    /// Both at once.
    ///
    /// # Errors
    /// As [`Self::journal`] and [`Store::apply`].
    pub fn write(self) -> Result<CommitStats, StoreError> {
        let store = self.store;
        let stats = self.journal()?;
        store.apply()?;
        Ok(stats)
    }
}
