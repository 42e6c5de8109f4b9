//! The node's own records: name → bytes, each written with a sync.

use bytes::{Buf, Bytes};
use rocksdb::{DB, IteratorMode, WriteBatch};
use roundtable_common::wire::{decode_adopted, encode_adopted};
use roundtable_consensus::{Adopted, Ballot, Epoch, StorageId};

use super::columns::{META, family};
use super::format::{FORMAT_VERSION, RowError, get_ballot, put_ballot};
use super::journal::JournalSeen;
use super::{Store, StoreError, SyncWhen};

const FORMAT: &[u8] = b"format";
const STORAGE: &[u8] = b"storage";
const BOUND: &[u8] = b"bound";
const ADOPTED_PREFIX: &[u8] = b"adopted/";
const HORIZON_PREFIX: &[u8] = b"horizon/";
const JOURNAL: &[u8] = b"journal";
pub(super) const LOG_FIRST: &[u8] = b"log-first";

/// What a database was made as.
#[derive(Debug, Clone, Copy)]
pub(super) struct BirthRecord {
    pub(super) format: u32,
    pub(super) storage: StorageId,
}

impl Store {
    /// The first configuration that this node has bound itself to, if any.
    ///
    /// # Errors
    /// When the record cannot be read.
    pub fn bound(&self) -> Result<Option<Adopted>, StoreError> {
        self.meta(BOUND)?.map(|bytes| decode_configuration(BOUND, bytes)).transpose()
    }

    /// Binds this node to a first configuration, durably before it returns.
    ///
    /// # Errors
    /// When the write fails: the store is poisoned.
    pub fn write_bound(&self, first: &Adopted) -> Result<(), StoreError> {
        self.put_meta(BOUND, &encode_adopted(first))
    }

    /// The configurations that this node has adopted, in order; they are kept for ever.
    ///
    /// # Errors
    /// When a record cannot be read.
    pub fn adopted(&self) -> Result<Vec<Adopted>, StoreError> {
        self.meta_with_prefix(ADOPTED_PREFIX)?
            .into_iter()
            .map(|(name, bytes)| decode_configuration(&name, bytes))
            .collect()
    }

    /// Adopts a configuration, durably before it returns.
    ///
    /// # Errors
    /// When the write fails: the store is poisoned.
    pub fn write_adopted(&self, adopted: &Adopted) -> Result<(), StoreError> {
        let Epoch(epoch) = adopted.configuration.epoch;
        let name = [ADOPTED_PREFIX, &epoch.to_be_bytes()].concat();
        self.put_meta(&name, &encode_adopted(adopted))
    }

    /// The highest horizon that any shard has written: a key may have been promised to any ballot below it.
    ///
    /// The number of shards may change between starts, so the highest of all records counts for every shard.
    ///
    /// # Errors
    /// When a record cannot be read.
    pub fn horizon(&self) -> Result<Ballot, StoreError> {
        let mut highest = Ballot::ZERO;
        for (name, mut bytes) in self.meta_with_prefix(HORIZON_PREFIX)? {
            if bytes.len() != 16 {
                return Err(damaged(&name, RowError::Short(bytes.len())));
            }
            highest = highest.max(get_ballot(&mut bytes));
        }
        Ok(highest)
    }

    pub(super) fn write_birth_record(&self, storage: StorageId) -> Result<(), StoreError> {
        let mut batch = WriteBatch::default();
        let meta = family(&self.db, META);
        batch.put_cf(meta, FORMAT, FORMAT_VERSION.to_be_bytes());
        batch.put_cf(meta, STORAGE, storage.0.to_be_bytes());
        // Identity and configurations are synced whatever the durability of clients' writes.
        self.write_batch(batch, SyncWhen::Now)
    }

    pub(super) fn meta(&self, name: &[u8]) -> Result<Option<Bytes>, StoreError> {
        read(&self.db, name)
    }

    fn meta_with_prefix(&self, prefix: &[u8]) -> Result<Vec<(Bytes, Bytes)>, StoreError> {
        let start = IteratorMode::From(prefix, rocksdb::Direction::Forward);
        let mut found = Vec::new();
        for row in self.db.iterator_cf(family(&self.db, META), start) {
            let (name, bytes) = row.map_err(StoreError::database("read the records"))?;
            if !name.starts_with(prefix) {
                break;
            }
            found.push((Bytes::from(name), Bytes::from(bytes)));
        }
        Ok(found)
    }

    fn put_meta(&self, name: &[u8], bytes: &[u8]) -> Result<(), StoreError> {
        let mut batch = WriteBatch::default();
        batch.put_cf(family(&self.db, META), name, bytes);
        self.write_batch(batch, SyncWhen::Now)
    }
}

pub(super) fn put_horizon(db: &DB, batch: &mut WriteBatch, shard: u16, horizon: Ballot) {
    let name = [HORIZON_PREFIX, &shard.to_be_bytes()].concat();
    let mut bytes = Vec::with_capacity(16);
    put_ballot(&mut bytes, horizon);
    batch.put_cf(family(db, META), name, bytes);
}

/// Notes how far the journal is durable, with rows that rest on it.
///
/// Sorted files of all column families are made in one step, so whichever of these rows is found there, this is too.
pub(super) fn put_journal_seen(db: &DB, batch: &mut WriteBatch, seen: JournalSeen) {
    let bytes = [seen.commit.to_be_bytes(), seen.segment.to_be_bytes()].concat();
    batch.put_cf(family(db, META), JOURNAL, bytes);
}

/// How far the journal was durable when the database got what it holds; zeroes in one that has got nothing.
pub(super) fn read_journal_seen(db: &DB) -> Result<JournalSeen, StoreError> {
    let Some(mut bytes) = read(db, JOURNAL)? else { return Ok(JournalSeen::default()) };
    if bytes.len() != 16 {
        return Err(damaged(JOURNAL, RowError::Short(bytes.len())));
    }
    Ok(JournalSeen { commit: bytes.get_u64(), segment: bytes.get_u64() })
}

/// What the database was made as; `None` if that was never finished.
pub(super) fn read_birth_record(db: &DB) -> Result<Option<BirthRecord>, StoreError> {
    let Some(mut format) = read(db, FORMAT)? else { return Ok(None) };
    if format.len() != 4 {
        return Err(damaged(FORMAT, RowError::Short(format.len())));
    }
    let mut storage = read(db, STORAGE)?.unwrap_or_default();
    if storage.len() != 16 {
        return Err(damaged(STORAGE, RowError::Short(storage.len())));
    }
    Ok(Some(BirthRecord { format: format.get_u32(), storage: StorageId(storage.get_u128()) }))
}

fn read(db: &DB, name: &[u8]) -> Result<Option<Bytes>, StoreError> {
    let found = db.get_cf(family(db, META), name).map_err(StoreError::database("read a record"))?;
    Ok(found.map(Bytes::from))
}

fn decode_configuration(name: &[u8], bytes: Bytes) -> Result<Adopted, StoreError> {
    decode_adopted(bytes).map_err(|error| damaged(name, RowError::Register(error.to_string())))
}

fn damaged(name: &[u8], source: RowError) -> StoreError {
    StoreError::Row { column: META, row: name.escape_ascii().to_string(), source }
}
