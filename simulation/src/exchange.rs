//! A question over the network and its answer, as bytes: what an HTTP exchange is to the programs.

use bytes::Bytes;
use roundtable_consensus::{Key, Register};

/// Who takes part in the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Party {
    /// A router, by its place.
    Router(usize),
    /// A node, by its place.
    Node(usize),
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Path {
    /// A batch of requests on keys.
    Batch,
    /// A page of keys.
    Scan,
    /// Who is there.
    Hello,
}

/// One question on its way, or its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Exchange {
    pub(crate) asker: Party,
    /// In which life of its process the asker asked: a later one doesn't want the answer.
    pub(crate) life: u32,
    /// The asker's number for it.
    pub(crate) id: u64,
    /// The node that is asked.
    pub(crate) node: usize,
    pub(crate) path: Path,
}

/// A question that is to be sent.
#[derive(Debug)]
pub(crate) struct Post {
    /// The asker's number for it.
    pub(crate) id: u64,
    /// The node that is asked.
    pub(crate) node: usize,
    pub(crate) path: Path,
    pub(crate) body: Bytes,
    /// Without an answer for this long, the asker gives up.
    pub(crate) timeout_us: u64,
    /// The registers that the body asks to accept.
    pub(crate) accepts: Vec<(Key, Register)>,
}
