//! One page of a scan: the merge of a node's partitions in key order, and what is folded on the way.
//!
//! A listing must notice a key that one replica deleted and another has never heard of, so a node may not simply skip
//! its tombstones: it folds them. Tombstones that follow each other in one partition become a [`Span`], a count and a
//! digest of their keys and ballots, however many they are; the asker compares the spans of a majority and looks at
//! the single registers only where they differ.
//!
//! Spans of two nodes can be compared because they end at the same places if the registers are the same: before a
//! register that is an entry, after a register whose hash says so (one in 256), and after [`SPAN_ROWS_MAX`] registers.
//! Partitions are therefore walked a span at a time, and the walk of a partition may be ahead of the page's end by one
//! span.

mod memory;
mod span;

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use bytes::Bytes;
use roundtable_consensus::{Ballot, Fold, Key, PageEnd, PartitionId, ScanEntry, ScanPage, ScanRequest, Span};

pub use self::memory::page_of;
pub use self::span::SPAN_ROWS_MAX;
use self::span::{OpenSpan, span_bytes};
use crate::wire::register_size_hint;

/// What decides about a register in a scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head<'a> {
    /// The key.
    pub key: &'a [u8],
    /// The accepted ballot.
    pub accepted: Ballot,
    /// Whether there is a value.
    pub live: bool,
    /// When the value ends, in unix milliseconds.
    pub expires_at: Option<u64>,
}

impl Head<'_> {
    fn folds(&self, fold: Fold) -> bool {
        match fold {
            Fold::Nothing => false,
            Fold::Tombstones => !self.live,
            Fold::Settled { now_ms } => !self.live || self.expires_at.is_none_or(|end| end > now_ms),
        }
    }
}

/// The registers of one partition in the scan's range, in the scan's direction.
pub trait Rows {
    /// Why a register cannot be read.
    type Error;

    /// The present register; `None` behind the last.
    ///
    /// # Errors
    /// When it cannot be read.
    fn head(&mut self) -> Result<Option<Head<'_>>, Self::Error>;

    /// The present register as an entry; goes on to the next one.
    ///
    /// # Errors
    /// When it cannot be read.
    fn entry(&mut self) -> Result<Option<ScanEntry>, Self::Error>;

    /// Goes on to the next register.
    fn step(&mut self);

    /// Passes over tombstones that are known without being read: those from `from` on (`None`: from where the range
    /// begins). The present register is then the one behind them. A run of `rows_max` registers must be cut behind them;
    /// one of more is not passed.
    fn pass_known(&mut self, from: Option<&[u8]>, rows_max: u32) -> Option<Run> {
        let _ = (from, rows_max);
        None
    }

    /// Hears of tombstones that were read one by one, and begin at `from`.
    fn learn(&mut self, from: Option<&[u8]>, run: &Run) {
        let _ = (from, run);
    }
}

/// Tombstones of one partition that follow each other, without any other register between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The bound behind them; `None`: where the range ends.
    pub end: Option<Bytes>,
    /// The key of the first one in the direction of the scan.
    pub first: Vec<u8>,
    /// How many they are.
    pub rows: u32,
    /// The sum of their hashes.
    pub digest: u128,
    /// Whether a span ends behind them whatever follows.
    pub is_cut: bool,
}

/// Makes a page of the rows of the request's partitions.
///
/// `is_spent` is asked between spans and entries, with the number of rows read so far, whether the page must end
/// early. A page that ends early accounts for one register at least. Returns the page and the number of rows read.
///
/// # Errors
/// When a row cannot be read.
pub fn page<R: Rows>(
    request: &ScanRequest,
    partitions: impl IntoIterator<Item = (PartitionId, R)>,
    is_spent: impl FnMut(u64) -> bool,
) -> Result<(ScanPage, u64), R::Error> {
    let cursors = partitions.into_iter().map(|(partition, rows)| Cursor {
        partition,
        rows,
        span: OpenSpan::default(),
        from: None,
    });
    let walk = Walk { request, page: Vec::new(), spans: Vec::new(), bytes: 0, rows: 0, is_spent };
    match request.fold {
        Fold::Nothing | Fold::Tombstones => walk.in_key_order(cursors.collect()),
        Fold::Settled { .. } => walk.by_partition(cursors),
    }
}

struct Walk<'a, F> {
    request: &'a ScanRequest,
    page: Vec<ScanEntry>,
    spans: Vec<Span>,
    bytes: usize,
    rows: u64,
    is_spent: F,
}

impl<F: FnMut(u64) -> bool> Walk<'_, F> {
    fn in_key_order<R: Rows>(mut self, mut cursors: Vec<Cursor<R>>) -> Result<(ScanPage, u64), R::Error> {
        let mut heap = BinaryHeap::with_capacity(cursors.len());
        for (index, cursor) in cursors.iter_mut().enumerate() {
            heap.extend(self.place(index, cursor)?);
        }
        let mut last: Option<Vec<u8>> = None;
        while let Some(place) = heap.pop() {
            if let Some(key) = last.as_ref().filter(|_| self.is_full()) {
                let end = Key::new(key.clone()).map_or(PageEnd::Exhausted, PageEnd::Through);
                return Ok(self.end(end));
            }
            let Some(cursor) = cursors.get_mut(place.index) else { break };
            self.take(cursor, &place.key, place.stop)?;
            heap.extend(self.place(place.index, cursor)?);
            last = Some(place.key);
        }
        Ok(self.end(PageEnd::Exhausted))
    }

    fn place<R: Rows>(&mut self, index: usize, cursor: &mut Cursor<R>) -> Result<Option<Place>, R::Error> {
        let reverse = self.request.reverse;
        Ok(self.advance(cursor)?.map(|(key, stop)| Place { key, stop, index, reverse }))
    }

    fn by_partition<R: Rows>(
        mut self,
        cursors: impl Iterator<Item = Cursor<R>>,
    ) -> Result<(ScanPage, u64), R::Error> {
        let mut last: Option<Vec<u8>> = None;
        for mut cursor in cursors {
            if last.is_some() && self.is_full() {
                return Ok(self.end(through(last)));
            }
            while let Some((key, stop)) = self.advance(&mut cursor)? {
                self.take(&mut cursor, &key, stop)?;
                if stop == Stop::Entry {
                    let behind = self.bound_behind(&key);
                    self.close(&mut cursor, Some(behind), Close::EvenIfEmpty);
                }
                last = Some(key);
                if self.is_full() {
                    return Ok(self.end(through(last)));
                }
            }
        }
        Ok(self.end(PageEnd::Exhausted))
    }

    /// Folds rows up to the next stop. `None` at the end of the rows.
    fn advance<R: Rows>(&mut self, cursor: &mut Cursor<R>) -> Result<Option<(Vec<u8>, Stop)>, R::Error> {
        if let Some(stopped) = self.pass_known(cursor) {
            return Ok(stopped);
        }
        loop {
            let Some(head) = cursor.rows.head()? else {
                // A count says that a partition is done even when nothing was folded.
                let counts = matches!(self.request.fold, Fold::Settled { .. });
                self.close(cursor, None, if counts { Close::EvenIfEmpty } else { Close::Soft });
                return Ok(None);
            };
            self.rows += 1;
            if !head.folds(self.request.fold) {
                let key = head.key.to_vec();
                let before = if self.request.reverse { just_after(&key) } else { key.clone().into() };
                self.close(cursor, Some(before), Close::Soft);
                return Ok(Some((key, Stop::Entry)));
            }
            let is_end = cursor.span.fold(&head);
            let key = is_end.then(|| head.key.to_vec());
            cursor.rows.step();
            if let Some(key) = key {
                let behind = self.bound_behind(&key);
                self.close(cursor, Some(behind), Close::Cut);
                return Ok(Some((key, Stop::Cut)));
            }
        }
    }

    /// Folds what is known without being read. Returns where that stops, if it does.
    #[expect(clippy::option_option, reason = "no stop, the end of the rows, or a stop")]
    fn pass_known<R: Rows>(&mut self, cursor: &mut Cursor<R>) -> Option<Option<(Vec<u8>, Stop)>> {
        if self.request.fold != Fold::Tombstones {
            return None;
        }
        let mut from = cursor.from.clone();
        loop {
            let left = SPAN_ROWS_MAX.saturating_sub(cursor.span.rows());
            let run = cursor.rows.pass_known(from.as_deref(), left)?;
            cursor.span.add(&run);
            match run.end {
                None => {
                    self.close(cursor, None, Close::Soft);
                    return Some(None);
                }
                Some(end) if run.is_cut => {
                    let behind_key = end.split_last().map_or(&[][..], |(_, key)| key);
                    let key = if self.request.reverse { end.to_vec() } else { behind_key.to_vec() };
                    self.close(cursor, Some(end), Close::Cut);
                    return Some(Some((key, Stop::Cut)));
                }
                // A register that was shown stood there, or nobody has read on: the span may go on.
                Some(end) => from = Some(end),
            }
        }
    }

    /// Accounts for a stop.
    fn take<R: Rows>(&mut self, cursor: &mut Cursor<R>, key: &[u8], stop: Stop) -> Result<(), R::Error> {
        if stop == Stop::Cut {
            return Ok(());
        }
        if let Some(entry) = cursor.rows.entry()? {
            // Histories count too: a page of counters has more of them than of values.
            self.bytes += entry.key.as_bytes().len() + register_size_hint(&entry.register);
            self.page.push(entry);
        }
        cursor.from = Some(self.bound_behind(key));
        Ok(())
    }

    /// Ends the span at a bound; the next one begins there.
    fn close<R: Rows>(&mut self, cursor: &mut Cursor<R>, end: Option<Bytes>, close: Close) {
        let span = cursor.span.take();
        let from = std::mem::replace(&mut cursor.from, end.clone());
        if let Some(mut run) = span.learned().filter(|_| self.request.fold == Fold::Tombstones) {
            (run.end, run.is_cut) = (end.clone(), close == Close::Cut);
            cursor.rows.learn(from.as_deref(), &run);
        }
        if close == Close::EvenIfEmpty || !span.is_empty() {
            let span = span.close(cursor.partition, end);
            self.bytes += span_bytes(&span);
            self.spans.push(span);
        }
    }

    /// The bound behind a key that is accounted for.
    fn bound_behind(&self, key: &[u8]) -> Bytes {
        if self.request.reverse { Bytes::copy_from_slice(key) } else { just_after(key) }
    }

    fn is_full(&mut self) -> bool {
        self.page.len() >= self.request.limit as usize
            || self.bytes >= self.request.bytes_max as usize
            || (self.is_spent)(self.rows)
    }

    fn end(self, end: PageEnd) -> (ScanPage, u64) {
        (ScanPage { entries: self.page, spans: self.spans, end }, self.rows)
    }
}

/// A page that counts ends somewhere in its last partition; its spans say how far each partition is done.
fn through(last: Option<Vec<u8>>) -> PageEnd {
    last.and_then(|key| Key::new(key).ok()).map_or(PageEnd::Exhausted, PageEnd::Through)
}

/// The smallest bound above a key.
fn just_after(key: &[u8]) -> Bytes {
    [key, &[0]].concat().into()
}

/// A place in one partition's rows.
struct Cursor<R> {
    partition: PartitionId,
    rows: R,
    span: OpenSpan,
    /// Where the span begins; `None`: where the range does.
    from: Option<Bytes>,
}

/// Why the walk of a partition stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    /// At a row that is an entry.
    Entry,
    /// Behind a row that was folded, and whose span ends with it.
    Cut,
}

/// Why a span ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Close {
    /// Behind a register whose hash or number says so.
    Cut,
    /// Before a register that is shown, or at the end of the range.
    Soft,
    /// As a sign of how far the scan came, even if nothing was folded.
    EvenIfEmpty,
}

/// Where a cursor stopped; the first in the scan's order is the greatest.
struct Place {
    key: Vec<u8>,
    stop: Stop,
    index: usize,
    reverse: bool,
}

impl Ord for Place {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_key = self.key.cmp(&other.key);
        let by_scan = if self.reverse { by_key } else { by_key.reverse() };
        by_scan.then_with(|| Reverse(self.index).cmp(&Reverse(other.index)))
    }
}

impl PartialOrd for Place {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Place {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Place {}

#[cfg(test)]
mod tests;
