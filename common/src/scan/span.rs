//! Folding registers into a span.

use bytes::Bytes;
use roundtable_consensus::{PartitionId, Span};
use xxhash_rust::xxh3::xxh3_128;

use super::{Head, Run};

/// Registers in one span at most.
pub const SPAN_ROWS_MAX: u32 = 1024;
/// Fewer tombstones are as quickly read as looked up.
const LEARN_ROWS_MIN: u32 = 8;
/// A register whose hash has none of these bits ends its span.
const END_MASK: u128 = 0xff;

/// A span that may still grow.
#[derive(Debug, Default)]
pub(super) struct OpenSpan {
    rows: u32,
    live: u32,
    digest: u128,
    /// Registers that were read and not known before, and known runs that were joined.
    read: u32,
    /// The key of the first one.
    first: Vec<u8>,
    scratch: Vec<u8>,
}

impl OpenSpan {
    /// What was folded so far; the next span begins.
    pub(super) fn take(&mut self) -> Self {
        let scratch = std::mem::take(&mut self.scratch);
        std::mem::replace(self, Self { scratch, ..Self::default() })
    }

    pub(super) fn rows(&self) -> u32 {
        self.rows
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Adds a register. Returns whether the span ends with it.
    ///
    /// The digest is a sum, so it doesn't depend on the order. Its hash has no secret seed: who could choose keys
    /// whose sums collide would still have to choose their ballots, which routers draw from a clock and a random
    /// name, and would gain that a listing overlooks a deletion of his own that is still under way.
    pub(super) fn fold(&mut self, head: &Head<'_>) -> bool {
        if self.is_empty() {
            self.first = head.key.to_vec();
        }
        self.scratch.clear();
        self.scratch.extend_from_slice(&head.accepted.hlc.0.to_le_bytes());
        self.scratch.extend_from_slice(&head.accepted.proposer.0.to_le_bytes());
        self.scratch.extend_from_slice(head.key);
        let row = xxh3_128(&self.scratch);
        self.digest = self.digest.wrapping_add(row);
        self.rows += 1;
        self.read += 1;
        self.live += u32::from(head.live);
        row & END_MASK == 0 || self.rows >= SPAN_ROWS_MAX
    }

    /// Adds tombstones that are known.
    pub(super) fn add(&mut self, run: &Run) {
        if self.is_empty() {
            self.first.clone_from(&run.first);
        } else {
            self.read += 1;
        }
        self.rows += run.rows;
        self.digest = self.digest.wrapping_add(run.digest);
    }

    /// What is worth remembering: not a few rows, and not what was known already.
    pub(super) fn learned(&self) -> Option<Run> {
        let is_new = self.read > 0 && self.rows >= LEARN_ROWS_MIN;
        is_new.then(|| Run {
            end: None,
            first: self.first.clone(),
            rows: self.rows,
            digest: self.digest,
            is_cut: false,
        })
    }

    pub(super) fn close(self, partition: PartitionId, end: Option<Bytes>) -> Span {
        Span { partition, end, rows: self.rows, live: self.live, digest: self.digest }
    }
}

/// About how many bytes a span takes in a page.
pub(super) fn span_bytes(span: &Span) -> usize {
    2 + 1 + 4 + 4 + 16 + span.end.as_ref().map_or(0, |end| 2 + end.len())
}
