//! Reading the registers of many keys in key order, from one snapshot.
//!
//! A snapshot shows what is synced and nothing else: a commit is given to RocksDB after the journal holds it
//! durably, whatever was chosen for the durability of commits, and one that fails never. It shows every commit that was answered before the scan began, because it is
//! taken when all those are visible.

use std::time::{Duration, Instant};

use bytes::Bytes;
use rocksdb::{DBRawIterator, ReadOptions, Snapshot};
use roundtable_common::scan::{self, Head, Rows, Run};
use roundtable_consensus::{Fold, Key, KeyRange, PartitionId, ScanEntry, ScanPage, ScanRequest};

use super::columns::{REGISTERS, VALUES, family};
use super::format::{RowError, peek_register_row, row_key};
use super::read::{decode_head, join_value};
use super::runs::{KnownRun, Learner};
use super::{Store, StoreError};

/// Rows that one page reads, about: then it ends, with what it has.
const ROWS_MAX: u64 = 1 << 18;
/// A page that has taken this long ends, with what it has: a slow disk makes shorter pages, not longer waits.
const TIME_MAX: Duration = Duration::from_millis(200);

/// So many deletions are written into the database ahead of the next listing.
const WAITING_TOMBSTONES_MAX: usize = 4_096;
/// Rows that reading ahead reads of one partition at once.
const READ_AHEAD_ROWS: u64 = 1 << 16;
/// Values that it passes at most: it is for stretches in which almost everything is deleted.
const READ_AHEAD_ENTRIES: u32 = 256;

/// A page, and what it took.
#[derive(Debug)]
pub struct Scanned {
    /// The page.
    pub page: ScanPage,
    /// Rows read, those that were folded included.
    pub rows: u64,
}

impl Store {
    /// One page of the registers in the request's partitions and range, tombstones included. The page ends early when
    /// it has read many rows or taken long, and accounts for one register at least.
    ///
    /// # Errors
    /// When a row cannot be read or is damaged, or when a commit failed before.
    pub fn scan(&self, request: &ScanRequest) -> Result<Scanned, StoreError> {
        self.apply()?;
        let learner = self.unapplied.runs.learner();
        let snapshot = self.db.snapshot();
        let partitions =
            request.partitions.iter().map(|&p| (p, Cursor::new(self, &snapshot, &learner, p, request)));
        let until = Instant::now() + TIME_MAX;
        let is_spent = |rows| rows >= ROWS_MAX || Instant::now() >= until;
        let (page, rows) = scan::page(request, partitions, is_spent)?;
        Ok(Scanned { page, rows })
    }
}

impl Store {
    /// Reads what many deletions left behind, so that the next listing passes over it. To be called every now and then,
    /// off the async threads.
    ///
    /// # Errors
    /// As [`Self::scan`].
    pub fn read_ahead_of_listings(&self) -> Result<(), StoreError> {
        if self.unapplied.tombstones() >= WAITING_TOMBSTONES_MAX {
            self.apply()?;
        }
        for unread in self.unapplied.runs.take_unread() {
            let learner = self.unapplied.runs.learner();
            let snapshot = self.db.snapshot();
            let Some((partition, _)) = unread.low.split_first_chunk::<2>() else { continue };
            let partition = PartitionId(u16::from_be_bytes(*partition));
            let near = match unread.near {
                Some(near) => near,
                None => self.behind_the_row_before(&snapshot, partition, &unread.low)?,
            };
            let key_of = |row: &[u8]| row.get(2..).unwrap_or_default().to_vec();
            let request = ScanRequest {
                partitions: vec![partition],
                range: KeyRange {
                    start: key_of(&near).into(),
                    end: Some([&key_of(&unread.high)[..], &[0]].concat().into()),
                },
                reverse: false,
                want_values: false,
                fold: Fold::Tombstones,
                limit: READ_AHEAD_ENTRIES,
                bytes_max: u32::MAX,
            };
            let cursor = Cursor::new(self, &snapshot, &learner, partition, &request);
            scan::page(&request, [(partition, cursor)], |rows| rows >= READ_AHEAD_ROWS)?;
        }
        Ok(())
    }

    /// The bound just behind the row before `row`; where the partition begins, if there is none.
    fn behind_the_row_before(
        &self,
        snapshot: &Snapshot<'_>,
        partition: PartitionId,
        row: &[u8],
    ) -> Result<Vec<u8>, StoreError> {
        let begin = row_key(partition, &[]);
        let mut options = ReadOptions::default();
        options.set_snapshot(snapshot);
        options.set_iterate_lower_bound(begin.clone());
        let mut rows = self.db.raw_iterator_cf_opt(family(&self.db, REGISTERS), options);
        rows.seek_for_prev(row);
        if rows.key() == Some(row) {
            rows.prev();
        }
        match rows.key() {
            Some(before) => Ok([before, &[0]].concat()),
            None => rows.status().map(|()| begin).map_err(StoreError::database("scan registers")),
        }
    }
}

/// A place in one partition's rows.
struct Cursor<'a> {
    store: &'a Store,
    snapshot: &'a Snapshot<'a>,
    learner: &'a Learner<'a>,
    partition: PartitionId,
    /// The first row of the range, and the first one behind it (`None`: the end of all rows).
    bounds: (Vec<u8>, Option<Vec<u8>>),
    reverse: bool,
    want_values: bool,
    /// Opened when a row is needed.
    rows: Option<DBRawIterator<'a>>,
    /// Where to go before the next row is read.
    seek: Option<Seek>,
}

enum Seek {
    First,
    Behind(Vec<u8>),
}

impl<'a> Cursor<'a> {
    fn new(
        store: &'a Store,
        snapshot: &'a Snapshot<'a>,
        learner: &'a Learner<'a>,
        partition: PartitionId,
        request: &ScanRequest,
    ) -> Self {
        Self {
            store,
            snapshot,
            learner,
            partition,
            bounds: row_bounds(partition, &request.range),
            reverse: request.reverse,
            want_values: request.want_values,
            rows: None,
            seek: Some(Seek::First),
        }
    }

    fn open(&self) -> DBRawIterator<'a> {
        let (lower, upper) = self.bounds.clone();
        let mut options = ReadOptions::default();
        options.set_snapshot(self.snapshot);
        options.set_iterate_lower_bound(lower);
        if let Some(upper) = upper {
            options.set_iterate_upper_bound(upper);
        }
        // A listing of everything should not push the working set out of the cache.
        options.fill_cache(false);
        self.store.db.raw_iterator_cf_opt(family(&self.store.db, REGISTERS), options)
    }

    fn rows(&mut self) -> &mut DBRawIterator<'a> {
        let mut rows = self.rows.take().unwrap_or_else(|| self.open());
        match (self.seek.take(), self.reverse) {
            (None, _) => {}
            (Some(Seek::First), false) => rows.seek_to_first(),
            (Some(Seek::First), true) => rows.seek_to_last(),
            (Some(Seek::Behind(bound)), false) => rows.seek(bound),
            (Some(Seek::Behind(bound)), true) => {
                rows.seek_for_prev(&bound);
                // A bound is not in the range that it ends.
                if rows.key() == Some(&bound[..]) {
                    rows.prev();
                }
            }
        }
        self.rows.insert(rows)
    }

    /// The row at a bound in the direction of the scan; `None`: the end of all rows.
    fn row_at(&self, from: Option<&[u8]>) -> Option<Vec<u8>> {
        match (from, self.reverse) {
            (Some(bound), _) => Some(row_key(self.partition, bound)),
            (None, false) => Some(self.bounds.0.clone()),
            (None, true) => self.bounds.1.clone(),
        }
    }

    /// The row where the scan ends; `None`: the end of all rows.
    fn far_end(&self) -> Option<&[u8]> {
        if self.reverse { Some(&self.bounds.0) } else { self.bounds.1.as_deref() }
    }
}

impl Rows for Cursor<'_> {
    type Error = StoreError;

    fn head(&mut self) -> Result<Option<Head<'_>>, StoreError> {
        let rows = self.rows();
        let Some((row, bytes)) = rows.item() else {
            return rows.status().map(|()| None).map_err(StoreError::database("scan registers"));
        };
        let head = peek_register_row(bytes).map_err(|source| damaged(row, source))?;
        let key = row.get(2..).unwrap_or_default();
        Ok(Some(Head { key, accepted: head.accepted, live: head.live, expires_at: head.expires_at }))
    }

    fn pass_known(&mut self, from: Option<&[u8]>, rows_max: u32) -> Option<Run> {
        let near = self.row_at(from)?;
        let KnownRun { far, first, rows, digest, is_cut } =
            self.learner.known(&near, self.reverse, self.far_end())?;
        if rows > rows_max || (rows == rows_max && !is_cut) {
            return None;
        }
        // A span that a register ended has that end, also where the range ends with it.
        let is_end = !is_cut && self.far_end() == Some(&far[..]);
        let end = if is_end { None } else { far.get(2..).map(Bytes::copy_from_slice) };
        self.seek = Some(Seek::Behind(far));
        let first = first.get(2..).unwrap_or_default().to_vec();
        Some(Run { end, first, rows, digest, is_cut })
    }

    fn learn(&mut self, from: Option<&[u8]>, run: &Run) {
        let far = match &run.end {
            Some(end) => Some(row_key(self.partition, end)),
            None => self.far_end().map(<[u8]>::to_vec),
        };
        if let (Some(near), Some(far)) = (self.row_at(from), far) {
            let first = row_key(self.partition, &run.first);
            let known = KnownRun { far, first, rows: run.rows, digest: run.digest, is_cut: run.is_cut };
            self.learner.learn(near, known, self.reverse);
        }
    }

    fn entry(&mut self) -> Result<Option<ScanEntry>, StoreError> {
        let Some((row, bytes)) = self.rows.as_ref().and_then(DBRawIterator::item) else { return Ok(None) };
        let head = decode_head(Bytes::copy_from_slice(bytes), row)?;
        let key = Key::new(Bytes::copy_from_slice(row.get(2..).unwrap_or_default()))
            .map_err(|error| damaged(row, RowError::Key(error)))?;
        let register = match (self.want_values, head.spilled) {
            (false, _) => head.register.without_value(),
            (true, false) => head.register,
            (true, true) => {
                let found = self
                    .snapshot
                    .get_cf(family(&self.store.db, VALUES), row)
                    .map_err(StoreError::database("read a value"))?;
                join_value(head.register, found.map(Bytes::from), row)?
            }
        };
        self.step();
        Ok(Some(ScanEntry { partition: self.partition, key, register }))
    }

    fn step(&mut self) {
        match (&mut self.rows, self.reverse) {
            (Some(rows), true) => rows.prev(),
            (Some(rows), false) => rows.next(),
            (None, _) => {}
        }
    }
}

fn damaged(row: &[u8], source: RowError) -> StoreError {
    StoreError::Row { column: REGISTERS, row: row.escape_ascii().to_string(), source }
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
