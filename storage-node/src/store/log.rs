//! The replication log: one entry for each register written, numbered without gaps.

use std::sync::{MutexGuard, PoisonError};

use bytes::Bytes;
use rocksdb::{DBRawIterator, ReadOptions, WriteBatch};

use super::columns::{LOG, META, family};
use super::format::{LogEntry, RowError, decode_log_row};
use super::meta::LOG_FIRST;
use super::{Store, StoreError, SyncWhen};

/// Where the log begins and ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogBounds {
    /// The first entry that is kept.
    pub first_seq: u64,
    /// The entry that will be written next; no entry is kept if it equals `first_seq`.
    pub next_seq: u64,
    /// Bytes of all entries ever written before `first_seq`.
    pub first_offset: u64,
    /// Bytes of all entries ever written.
    pub end_offset: u64,
}

impl Default for LogBounds {
    fn default() -> Self {
        Self { first_seq: 1, next_seq: 1, first_offset: 0, end_offset: 0 }
    }
}

impl LogBounds {
    /// Bytes of the entries kept, before compression.
    #[must_use]
    pub fn bytes(self) -> u64 {
        self.end_offset.saturating_sub(self.first_offset)
    }

    /// Entries kept.
    #[must_use]
    pub fn entries(self) -> u64 {
        self.next_seq.saturating_sub(self.first_seq)
    }
}

/// What was dropped from the log's start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogDropped {
    /// How many entries.
    pub entries: u64,
    /// The log afterwards.
    pub bounds: LogBounds,
}

impl Store {
    /// Where the log begins and ends.
    #[must_use]
    pub fn log_bounds(&self) -> LogBounds {
        *self.log_guard()
    }

    /// At most `count` entries from `seq` on.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn read_log(&self, seq: u64, count: usize) -> Result<Vec<LogEntry>, StoreError> {
        let mut rows = self.db.raw_iterator_cf(family(&self.db, LOG));
        rows.seek(seq.to_be_bytes());
        let mut entries = Vec::new();
        while entries.len() < count {
            let Some(entry) = current_entry(&rows)? else { break };
            entries.push(entry);
            rows.next();
        }
        Ok(entries)
    }

    /// Drops the oldest entries until at most `bytes_max` bytes are left; `None` if nothing had to go.
    ///
    /// An eighth more than needed is dropped, so that this is not done for every commit. The offsets in the entries
    /// make it a binary search; the dropped range costs one record, whatever its length.
    ///
    /// # Errors
    /// When the log cannot be read, or the write fails: then the store is poisoned.
    pub fn drop_log_beyond(&self, bytes_max: u64) -> Result<Option<LogDropped>, StoreError> {
        self.check_not_poisoned()?;
        self.apply()?;
        let mut bounds = self.log_guard();
        if bounds.bytes() <= bytes_max {
            return Ok(None);
        }
        let keep_from = bounds.end_offset.saturating_sub(bytes_max - bytes_max / 8);
        let (first_seq, first_offset) = self.first_at_or_behind(*bounds, keep_from)?;
        let log = family(&self.db, LOG);
        let mut batch = WriteBatch::default();
        batch.delete_range_cf(log, bounds.first_seq.to_be_bytes(), first_seq.to_be_bytes());
        let record = [first_seq.to_be_bytes(), first_offset.to_be_bytes()].concat();
        batch.put_cf(family(&self.db, META), LOG_FIRST, record);
        // Durable before the files go, in every mode: that they go is durable at once.
        self.write_batch(batch, SyncWhen::Now)?;
        // Whole files in the range go at once; compaction gives the rest back.
        if let Some(last) = first_seq.checked_sub(1) {
            self.db
                .delete_file_in_range_cf(log, 0_u64.to_be_bytes(), last.to_be_bytes())
                .map_err(StoreError::database("free the log's files"))?;
        }
        let dropped = LogDropped {
            entries: first_seq - bounds.first_seq,
            bounds: LogBounds { first_seq, first_offset, ..*bounds },
        };
        *bounds = dropped.bounds;
        Ok(Some(dropped))
    }

    pub(super) fn log_guard(&self) -> MutexGuard<'_, LogBounds> {
        // A thread that panicked while it held the bounds had not changed them: they are set in one store.
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The bounds as the rows tell them: at a start.
    pub(super) fn read_log_bounds(&self) -> Result<LogBounds, StoreError> {
        let mut bounds = LogBounds::default();
        if let Some(record) = self.meta(LOG_FIRST)? {
            let damaged = || StoreError::Row {
                column: META,
                row: LOG_FIRST.escape_ascii().to_string(),
                source: RowError::Short(record.len()),
            };
            let (seq, offset) = record.split_first_chunk::<8>().ok_or_else(damaged)?;
            bounds.first_seq = u64::from_be_bytes(*seq);
            bounds.first_offset = u64::from_be_bytes(<[u8; 8]>::try_from(offset).map_err(|_| damaged())?);
            (bounds.next_seq, bounds.end_offset) = (bounds.first_seq, bounds.first_offset);
        }
        let mut rows = self.db.raw_iterator_cf(family(&self.db, LOG));
        rows.seek_to_last();
        if let Some(last) = current_entry(&rows)? {
            bounds.next_seq = last.seq + 1;
            bounds.end_offset = last.end_offset();
        }
        Ok(bounds)
    }

    /// Two neighbouring entries of which the second does not follow the first, if there are any. The newest entries
    /// are looked at, at most [`GAP_CHECK_ENTRIES`]: those that a start may have written again from the journal.
    pub(super) fn find_log_gap(&self, bounds: LogBounds) -> Result<Option<(u64, u64)>, StoreError> {
        let start = bounds.next_seq.saturating_sub(GAP_CHECK_ENTRIES).max(bounds.first_seq);
        let mut options = ReadOptions::default();
        // A start should not push the registers' blocks out of the cache before it has any.
        options.fill_cache(false);
        let mut rows = self.db.raw_iterator_cf_opt(family(&self.db, LOG), options);
        rows.seek(start.to_be_bytes());
        let (mut expected, mut offset) = (start, None);
        while let Some(entry) = current_entry(&rows)? {
            if entry.seq != expected || offset.is_some_and(|offset| offset != entry.offset) {
                return Ok(Some((expected.saturating_sub(1), entry.seq)));
            }
            (expected, offset) = (entry.seq + 1, Some(entry.end_offset()));
            rows.next();
        }
        Ok((expected != bounds.next_seq).then_some((expected.saturating_sub(1), bounds.next_seq)))
    }

    /// The first entry whose offset is at least `offset`: its seq and offset.
    fn first_at_or_behind(&self, bounds: LogBounds, offset: u64) -> Result<(u64, u64), StoreError> {
        let (mut low, mut high) =
            ((bounds.first_seq, bounds.first_offset), (bounds.next_seq, bounds.end_offset));
        while low.0 < high.0 {
            let middle = low.0 + (high.0 - low.0) / 2;
            let Some(entry) = self.read_log(middle, 1)?.pop() else { break };
            if entry.offset < offset {
                low = (entry.seq + 1, entry.end_offset());
            } else {
                high = (entry.seq, entry.offset);
            }
        }
        Ok(low)
    }
}

/// Entries that a start checks for gaps: more than the journal can hold of them at its standard size.
const GAP_CHECK_ENTRIES: u64 = 2_000_000;

fn current_entry(rows: &DBRawIterator<'_>) -> Result<Option<LogEntry>, StoreError> {
    let Some((seq, row)) = rows.item() else {
        return rows.status().map(|()| None).map_err(StoreError::database("read the log"));
    };
    let damaged = |source| StoreError::Row { column: LOG, row: seq.escape_ascii().to_string(), source };
    let number = <[u8; 8]>::try_from(seq).map_err(|_| damaged(RowError::Short(seq.len())))?;
    decode_log_row(u64::from_be_bytes(number), Bytes::copy_from_slice(row)).map(Some).map_err(damaged)
}
