//! Reading registers by key.

use bytes::Bytes;
use rocksdb::{DBPinnableSlice, ErrorKind, ReadOptions};
use roundtable_consensus::{Key, PartitionId, Register};

use super::columns::{REGISTERS, VALUES, family};
use super::format::{RegisterRow, decode_register_row, join_value_row, row_key};
use super::{Store, StoreError};

impl Store {
    /// Reads the registers of many keys in one go; long values stay withheld. Answers in the order of the keys,
    /// `None` for absent keys. Each key fails by itself.
    #[must_use]
    pub fn read_heads(&self, keys: &[(PartitionId, &Key)]) -> Vec<Result<Option<RegisterRow>, StoreError>> {
        let rows: Vec<Vec<u8>> =
            keys.iter().map(|(partition, key)| row_key(*partition, key.as_bytes())).collect();
        let found = self.db.batched_multi_get_cf(family(&self.db, REGISTERS), &rows, false);
        found.into_iter().zip(&rows).map(|(found, row)| decode_found(found, row)).collect()
    }

    /// The same from memory alone, without ever waiting for the disk: `None` for keys that are not there.
    ///
    /// One by one: RocksDB's multi-get reads data blocks from the disk whatever it is told.
    pub fn cached_heads(
        &self,
        keys: &[(PartitionId, &Key)],
    ) -> Vec<Option<Result<Option<RegisterRow>, StoreError>>> {
        let family = family(&self.db, REGISTERS);
        let read = |(partition, key): &(PartitionId, &Key)| {
            let row = row_key(*partition, key.as_bytes());
            let found = self.db.get_pinned_cf_opt(family, &row, &self.memory_only);
            // RocksDB says "incomplete", or, where it could not even tell whether the key exists, "found" with an
            // empty value. No row of ours is empty.
            let is_cold = match &found {
                Ok(found) => found.as_ref().is_some_and(|bytes| bytes.is_empty()),
                Err(error) => error.kind() == ErrorKind::Incomplete,
            };
            (!is_cold).then(|| decode_found(found, &row))
        };
        keys.iter().map(read).collect()
    }

    /// Reads the bytes of a long value into the register that points to them.
    ///
    /// Only the thread that writes the key may call this: it alone knows that no commit came between.
    ///
    /// # Errors
    /// When the value cannot be read, is damaged, or is not there.
    pub fn read_value(
        &self,
        partition: PartitionId,
        key: &Key,
        head: Register,
    ) -> Result<Register, StoreError> {
        let row = row_key(partition, key.as_bytes());
        let found = self
            .db
            .get_cf_opt(family(&self.db, VALUES), &row, &ReadOptions::default())
            .map_err(StoreError::database("read a value"))?;
        join_value(head, found.map(Bytes::from), &row)
    }
}

type Found<'a> = Result<Option<DBPinnableSlice<'a>>, rocksdb::Error>;

fn decode_found(found: Found<'_>, row: &[u8]) -> Result<Option<RegisterRow>, StoreError> {
    let Some(bytes) = found.map_err(StoreError::database("read a register"))? else { return Ok(None) };
    decode_head(Bytes::copy_from_slice(&bytes), row).map(Some)
}

pub(super) fn decode_head(bytes: Bytes, row: &[u8]) -> Result<RegisterRow, StoreError> {
    decode_register_row(bytes).map_err(|source| StoreError::Row {
        column: REGISTERS,
        row: describe(row),
        source,
    })
}

pub(super) fn join_value(head: Register, found: Option<Bytes>, row: &[u8]) -> Result<Register, StoreError> {
    let Some(bytes) = found else {
        return Err(StoreError::ValueMissing { column: VALUES, key: describe(row) });
    };
    join_value_row(head, bytes).map_err(|source| StoreError::Row {
        column: VALUES,
        row: describe(row),
        source,
    })
}

fn describe(row: &[u8]) -> String {
    match row.split_first_chunk::<2>() {
        Some((partition, key)) => {
            let shown = key.get(..80).unwrap_or(key);
            format!("{} {}", PartitionId(u16::from_be_bytes(*partition)), shown.escape_ascii())
        }
        None => row.escape_ascii().to_string(),
    }
}
