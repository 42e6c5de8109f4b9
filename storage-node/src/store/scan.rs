//! Reading the registers of many keys in key order, from one snapshot.
//!
//! A snapshot shows what is synced and nothing else: a commit is given to RocksDB after the journal holds it
//! durably, and one that fails never. It shows every commit that was answered before the scan began, because it is
//! taken when all those are visible.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use bytes::Bytes;
use rocksdb::{DBRawIterator, ReadOptions, Snapshot};
use roundtable_common::wire::register_size_hint;
use roundtable_consensus::{Key, KeyRange, PageEnd, PartitionId, ScanEntry, ScanPage, ScanRequest};

use super::columns::{REGISTERS, VALUES, family};
use super::format::{RowError, row_key};
use super::read::{decode_head, join_value};
use super::{Store, StoreError};

impl Store {
    /// One page of the registers in the request's partitions and range, tombstones included.
    ///
    /// # Errors
    /// When a row cannot be read or is damaged, or when a commit failed before.
    pub fn scan(&self, request: &ScanRequest) -> Result<ScanPage, StoreError> {
        self.apply()?;
        let snapshot = self.db.snapshot();
        let mut cursors = Vec::with_capacity(request.partitions.len());
        for &partition in &request.partitions {
            cursors.push(Cursor::open(self, &snapshot, partition, request));
        }
        let mut heap = BinaryHeap::with_capacity(cursors.len());
        for (index, cursor) in cursors.iter().enumerate() {
            push_position(&mut heap, index, cursor, request.reverse)?;
        }
        let mut page = Page { entries: Vec::new(), bytes: 0 };
        while let Some(position) = heap.pop() {
            if page.is_full(request) {
                return Ok(page.cut());
            }
            let Some(cursor) = cursors.get_mut(position.index) else { break };
            let entry = cursor.entry(self, &snapshot, request.want_values)?;
            page.push(entry);
            cursor.step(request.reverse);
            push_position(&mut heap, position.index, cursor, request.reverse)?;
        }
        Ok(ScanPage { entries: page.entries, end: PageEnd::Exhausted })
    }
}

struct Page {
    entries: Vec<ScanEntry>,
    bytes: usize,
}

impl Page {
    fn is_full(&self, request: &ScanRequest) -> bool {
        let full = self.entries.len() >= request.limit as usize || self.bytes >= request.bytes_max as usize;
        full && !self.entries.is_empty()
    }

    fn push(&mut self, entry: ScanEntry) {
        // Histories count too: a page of counters has more of them than of values.
        self.bytes += entry.key.as_bytes().len() + register_size_hint(&entry.register);
        self.entries.push(entry);
    }

    fn cut(self) -> ScanPage {
        let end = self.entries.last().map_or(PageEnd::Exhausted, |entry| PageEnd::Through(entry.key.clone()));
        ScanPage { entries: self.entries, end }
    }
}

/// A place in one partition's rows.
struct Cursor<'a> {
    partition: PartitionId,
    rows: DBRawIterator<'a>,
}

impl<'a> Cursor<'a> {
    fn open(
        store: &'a Store,
        snapshot: &Snapshot<'a>,
        partition: PartitionId,
        request: &ScanRequest,
    ) -> Self {
        let (lower, upper) = row_bounds(partition, &request.range);
        let mut options = ReadOptions::default();
        options.set_snapshot(snapshot);
        options.set_iterate_lower_bound(lower);
        if let Some(upper) = upper {
            options.set_iterate_upper_bound(upper);
        }
        // A listing of everything should not push the working set out of the cache.
        options.fill_cache(false);
        let mut rows = store.db.raw_iterator_cf_opt(family(&store.db, REGISTERS), options);
        if request.reverse {
            rows.seek_to_last();
        } else {
            rows.seek_to_first();
        }
        Self { partition, rows }
    }

    fn step(&mut self, reverse: bool) {
        if reverse {
            self.rows.prev();
        } else {
            self.rows.next();
        }
    }

    /// The key that the cursor stands at; `None` at the end of its rows.
    fn key(&self) -> Result<Option<&[u8]>, StoreError> {
        match self.rows.key() {
            Some(row) => Ok(row.get(2..)),
            None => self.rows.status().map(|()| None).map_err(StoreError::database("scan registers")),
        }
    }

    fn entry(
        &self,
        store: &Store,
        snapshot: &Snapshot<'_>,
        want_values: bool,
    ) -> Result<ScanEntry, StoreError> {
        let (row, bytes) = self.rows.item().unwrap_or_default();
        let damaged =
            |source| StoreError::Row { column: REGISTERS, row: row.escape_ascii().to_string(), source };
        let head = decode_head(Bytes::copy_from_slice(bytes), row)?;
        let key = Key::new(Bytes::copy_from_slice(row.get(2..).unwrap_or_default()))
            .map_err(|error| damaged(RowError::Key(error)))?;
        let register = match (want_values, head.spilled) {
            (false, _) => head.register.without_value(),
            (true, false) => head.register,
            (true, true) => {
                let found = snapshot
                    .get_cf(family(&store.db, VALUES), row)
                    .map_err(StoreError::database("read a value"))?;
                join_value(head.register, found.map(Bytes::from), row)?
            }
        };
        Ok(ScanEntry { partition: self.partition, key, register })
    }
}

/// The first row key of the range, and the first one behind it (`None`: the end of all rows).
fn row_bounds(partition: PartitionId, range: &KeyRange) -> (Vec<u8>, Option<Vec<u8>>) {
    let lower = row_key(partition, &range.start);
    let upper = match &range.end {
        Some(end) => Some(row_key(partition, end)),
        None => partition.0.checked_add(1).map(|next| next.to_be_bytes().to_vec()),
    };
    (lower, upper)
}

/// A cursor's key in the merge of all partitions; the first in the scan's order is the greatest.
struct Position {
    key: Vec<u8>,
    index: usize,
    reverse: bool,
}

impl Ord for Position {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_key = self.key.cmp(&other.key);
        let by_scan = if self.reverse { by_key } else { by_key.reverse() };
        by_scan.then_with(|| Reverse(self.index).cmp(&Reverse(other.index)))
    }
}

impl PartialOrd for Position {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Position {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Position {}

fn push_position(
    heap: &mut BinaryHeap<Position>,
    index: usize,
    cursor: &Cursor<'_>,
    reverse: bool,
) -> Result<(), StoreError> {
    if let Some(key) = cursor.key()? {
        heap.push(Position { key: key.to_vec(), index, reverse });
    }
    Ok(())
}
