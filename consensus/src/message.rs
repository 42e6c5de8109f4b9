//! What routers ask of nodes, and what nodes answer. Field by field; the bytes are `common`'s matter.

use std::sync::Arc;

use crate::ballot::{Ballot, Hlc};
use crate::ids::{Epoch, PartitionId};
use crate::key::Key;
use crate::register::Register;

/// One request on one key.
///
/// Cluster, target node, storage id and epoch are named once by the batch that carries it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Request {
    /// The sender's number for it, repeated by the reply.
    pub id: u64,
    /// The key's partition.
    pub partition: PartitionId,
    /// The sender knows that the partition has no move under way: the new replica set alone decides.
    pub done: bool,
    /// The key.
    pub key: Key,
    /// What is asked.
    pub body: RequestBody,
}

/// What is asked of an acceptor.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum RequestBody {
    /// Phase one: promise to accept nothing below `ballot`, and tell the register.
    Prepare {
        /// The round.
        ballot: Ballot,
        /// Whether the value's bytes are wanted too.
        want_value: bool,
        /// Whether the round may make the data larger: refused below the disk reserve.
        grows: bool,
    },
    /// Phase two: store the register; its `accepted` ballot is the round.
    Accept {
        /// The whole register, never with a withheld value; shared by the messages to all replicas.
        register: Arc<Register>,
        /// The reading of the proposer's next ballot, above this one's, if it would like that promised at once
        /// (piggybacked promise).
        next: Option<Hlc>,
    },
    /// Tell the register; promise nothing.
    Read {
        /// Whether the value's bytes are wanted too.
        want_value: bool,
    },
    /// Tell the whole register if it still holds exactly this accepted ballot.
    Fetch {
        /// The accepted ballot that the asker saw.
        accepted: Ballot,
    },
}

impl RequestBody {
    /// Whether the answer waits for a disk's sync: such requests travel apart from those that don't.
    #[must_use]
    pub fn is_durable(&self) -> bool {
        matches!(self, Self::Accept { .. })
    }
}

/// The answer to one [`Request`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Reply {
    /// The request's number.
    pub id: u64,
    /// The node knows that the partition has no move under way.
    pub done: bool,
    /// The answer.
    pub body: ReplyBody,
}

/// What an acceptor answers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ReplyBody {
    /// To Prepare: promised. The register as it stands, its value withheld unless asked for.
    Promised(Register),
    /// To Accept: stored and durable.
    Accepted {
        /// Whether the next ballot that the Accept named is promised too.
        next_promised: bool,
    },
    /// To Read: the register as it stands without its history, its value withheld unless asked for.
    State(Register),
    /// To Fetch: the whole register, or nothing when the accepted ballot is another one by now.
    Fetched(Option<Register>),
    /// Not done, and why.
    Rejected(Rejection),
}

/// Why an acceptor did not do what was asked. It changed nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rejection {
    /// A ballot that is not lower is promised or accepted, or stands as a floor: propose above it.
    Outbid(Ballot),
    /// The ballot is too far ahead of the node's clock; the last millisecond that it would take.
    ClockSkew {
        /// Node's unix milliseconds plus the skew it allows.
        limit_ms: u64,
    },
    /// The node's disk is below its reserve: nothing that grows is taken.
    DiskReserve,
    /// The node's queue is full: nothing was done.
    Overloaded,
    /// The node is stopping, or not ready to vote yet.
    NotReady,
    /// The partition is not the node's in this epoch.
    NotMine(Epoch),
}

/// A stretch of keys in byte order: `start` is in it, `end` is not.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct KeyRange {
    /// The first key that may be in it; empty for no bound.
    pub start: bytes::Bytes,
    /// The first key beyond it; `None` for no bound.
    pub end: Option<bytes::Bytes>,
}

impl KeyRange {
    /// Whether a key lies in the range.
    #[must_use]
    pub fn contains(&self, key: &[u8]) -> bool {
        key >= &self.start[..] && self.end.as_ref().is_none_or(|end| key < &end[..])
    }
}

/// Asks one node for the registers of some of its partitions, in key order over all of them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ScanRequest {
    /// The partitions, ascending.
    pub partitions: Vec<PartitionId>,
    /// The keys.
    pub range: KeyRange,
    /// From the end of the range to its start.
    pub reverse: bool,
    /// Whether the values' bytes are wanted too.
    pub want_values: bool,
    /// Which registers get no entry of their own.
    pub fold: Fold,
    /// Entries in the page at most; what is folded doesn't count.
    pub limit: u32,
    /// Bytes of keys and values in the page at most (one entry is always given).
    pub bytes_max: u32,
}

/// Which registers of a scan are summed up in [`Span`]s instead of being listed as entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fold {
    /// None: every register is an entry.
    Nothing,
    /// Tombstones.
    Tombstones,
    /// Tombstones and values that have not expired by this time, in unix milliseconds: for counting keys. The
    /// partitions are scanned one after the other, not merged in key order.
    Settled {
        /// The time by which expiry is judged.
        now_ms: u64,
    },
}

/// Registers of one partition that stand next to each other in key order, folded into a digest of their keys and
/// accepted ballots. Two nodes whose spans are equal hold the same registers there.
///
/// A partition's spans follow each other in the direction of the scan, and a span begins where the one before ended
/// (the first one where the range begins). Keys between them that are not folded are entries.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Span {
    /// The partition.
    pub partition: PartitionId,
    /// Where it ends: the first key beyond it, or in a scan from the end to the start, the first key that may be in
    /// it. `None`: where the range ends.
    pub end: Option<bytes::Bytes>,
    /// Folded registers.
    pub rows: u32,
    /// Those of them that have a value.
    pub live: u32,
    /// The sum of the registers' 128-bit hashes.
    pub digest: u128,
}

/// One key that a node holds. Tombstones are listed too: to a reader they are not the same as absence.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ScanEntry {
    /// The key's partition.
    pub partition: PartitionId,
    /// The key.
    pub key: Key,
    /// The register as it stands, its value withheld unless asked for.
    pub register: Register,
}

/// Up to where a page tells everything.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PageEnd {
    /// The whole range.
    Exhausted,
    /// Up to and including this key, in the direction of the scan.
    Through(Key),
}

/// The answer to a [`ScanRequest`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ScanPage {
    /// The entries in the scan's order.
    pub entries: Vec<ScanEntry>,
    /// What was folded. Spans may reach beyond the page's end.
    pub spans: Vec<Span>,
    /// How far entries and spans account for every register.
    pub end: PageEnd,
}
