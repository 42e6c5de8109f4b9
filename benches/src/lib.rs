//! What the micro-benchmarks share: samples of the sizes that the product meets, the core's whole path, and the figures
//! that are committed of it.

pub mod figures;
pub mod path;

use bytes::Bytes;
use roundtable_consensus::{
    Ballot, ClusterId, Content, Epoch, History, Hlc, Key, NodeId, PartitionId, ProposerId, Register, Request,
    RequestBody, StorageId, Value, Version,
};

use roundtable_common::wire::Target;

/// A time in unix milliseconds that all samples share.
pub const NOW_MS: u64 = 1_790_000_000_000;

/// The `n`th ballot of one proposer.
#[must_use]
pub fn ballot(n: u64) -> Ballot {
    Ballot::new(Hlc(Hlc::from_millis(NOW_MS).0 + n), ProposerId(7))
}

/// The `n`th key.
#[must_use]
pub fn key(n: u64) -> Key {
    Key::new(format!("user:{n:012}")).unwrap_or_else(|error| panic!("a sample key is valid: {error}"))
}

/// A register with a value of so many bytes and a history of so many rounds.
#[must_use]
pub fn register(accepted: Ballot, value_bytes: usize, rounds: u64) -> Register {
    Register {
        accepted,
        version: Version { ballot: accepted, index: 0 },
        lag_ms: 0,
        content: Content::Live(Value { bytes: Bytes::from(vec![b'x'; value_bytes]), ..Value::default() }),
        expires_at: None,
        history: History::from_parts(
            (1..=rounds).map(ballot).collect(),
            Ballot::ZERO,
            Vec::new(),
            Ballot::ZERO,
        ),
    }
}

/// Prepares for `count` different keys.
#[must_use]
pub fn prepares(count: u64) -> Vec<Request> {
    let prepare = |n| RequestBody::Prepare { ballot: ballot(n + 1_000_000), want_value: false, grows: true };
    (0..count).map(|n| request(n, prepare(n))).collect()
}

/// Accepts of 1 KiB values for `count` different keys, at the ballots of [`prepares`].
#[must_use]
pub fn accepts(count: u64) -> Vec<Request> {
    let accept =
        |n| RequestBody::Accept { register: register(ballot(n + 1_000_000), 1024, 2).into(), next: None };
    (0..count).map(|n| request(n, accept(n))).collect()
}

/// Whom sample bodies name.
#[must_use]
pub fn target() -> Target {
    let node: NodeId = "n1".parse().unwrap_or_else(|error| panic!("a sample name is valid: {error}"));
    Target { cluster: ClusterId(1), node, storage: StorageId(2), epoch: Epoch(1) }
}

fn request(n: u64, body: RequestBody) -> Request {
    Request { id: n, partition: PartitionId(0), done: true, key: key(n), body }
}
