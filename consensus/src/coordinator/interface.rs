//! What goes into a coordinator and what comes out.

use std::sync::Arc;

use crate::history::HistoryLimits;
use crate::ids::{NodeIndex, PartitionId};
use crate::key::Key;
use crate::message::Request;
use crate::operation::{Answer, Change, Operation};
use crate::quorum::ReplicaSet;
use crate::round::Token;

/// The time of an event, read by the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// The wall clock in unix milliseconds; may jump.
    pub wall_ms: u64,
    /// A monotonic clock in microseconds; its zero means nothing.
    pub mono_us: u64,
}

/// One client's request.
#[derive(Debug, Clone)]
pub struct Submit {
    /// The caller's name for it, never used before.
    pub token: Token,
    /// The key.
    pub key: Key,
    /// The key's partition.
    pub partition: PartitionId,
    /// The partition's replicas.
    pub replicas: Arc<ReplicaSet>,
    /// What is asked.
    pub task: Task,
    /// When the caller wants an answer at the latest, on the monotonic clock.
    pub deadline_us: u64,
}

impl Submit {
    /// What it holds in memory until it is answered: key and value.
    pub(super) fn bytes(&self) -> usize {
        let value_bytes = match &self.task {
            Task::Change(Operation { change: Change::Put { value, .. }, .. }) => value.bytes.len(),
            Task::Change(_) | Task::Read | Task::ReadEventual => 0,
        };
        self.key.as_bytes().len() + value_bytes
    }
}

/// What a client asks of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Task {
    /// The current state.
    Read,
    /// Any replica's state: it may be stale, in doubt, or expired here alone.
    ReadEventual,
    /// A change.
    Change(Operation),
}

/// Why a request has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum Failure {
    /// Too few replicas answer. The request is never applied.
    #[error("no majority of the key's replicas can be reached")]
    NoQuorum,
    /// Other routers' rounds on the same key went first every time. The request is never applied.
    #[error("rounds of other routers on the same key went first until the time was over")]
    Contention,
    /// A majority of the replicas refuses this router's clock. The request is never applied.
    #[error("the clocks of this router and of a majority of the key's replicas are too far apart")]
    ClockSkew,
    /// A majority of the replicas has too little disk space left. The request is never applied.
    #[error("too many of the key's replicas have less free disk space than their reserve")]
    DiskReserve,
    /// A queue is full. The request is never applied.
    #[error("too many requests wait")]
    Overloaded,
    /// An Accept of the change was sent and its fate is not known: it may be applied, now, later or never.
    #[error("the outcome is not known")]
    Unknown,
    /// The read could not be settled in time although a majority of the replicas answers.
    #[error("the time was over before the read was settled")]
    Timeout,
}

/// What a coordinator wants done. The caller drains both lists; messages go out in order.
///
/// For every message sent the caller reports exactly one of a reply or a loss.
#[derive(Debug, Default)]
pub struct Effects {
    /// Messages to nodes.
    pub sends: Vec<(NodeIndex, Request)>,
    /// Answers to callers; each token once.
    pub answers: Vec<(Token, Result<Answer, Failure>)>,
}

/// Limits and paces of a coordinator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CoordinatorConfig {
    /// How much history registers carry.
    pub history: HistoryLimits,
    /// How far clocks may be apart, in milliseconds: the nodes' `max_clock_skew`.
    pub skew_ms_max: u64,
    /// Requests without an answer at once; further ones are refused.
    pub operations_max: usize,
    /// Bytes of keys and values that requests without an answer may hold together; further ones are refused. At
    /// least the largest value, or that one could never be stored.
    pub queued_bytes_max: usize,
    /// Changes that wait on one key.
    pub queue_per_key_max: usize,
    /// Changes that one round applies together.
    pub slots_per_round_max: usize,
    /// Bytes that are kept of keys that this router keeps writing, so that their rounds take one round trip.
    pub head_starts_bytes_max: usize,
    /// A further replica is asked at the earliest after this time without an answer, in microseconds; at least 1.
    pub hedge_us_min: u64,
    /// A further replica is asked at the latest after this time without an answer, in microseconds; not below
    /// `hedge_us_min`.
    pub hedge_us_max: u64,
    /// The bound of the first random pause before a round is tried again, in microseconds; it doubles each time.
    pub backoff_us_min: u64,
    /// The bound of any random pause before a round is tried again, in microseconds.
    pub backoff_us_max: u64,
    /// How long a request waits for a majority to come back before it is refused, in microseconds; at least 1.
    pub patience_us: u64,
    /// How long nodes must have been unreachable before requests that need one of them are refused at once, in
    /// microseconds: the time in which probes find those that are back already. At most `patience_us`.
    pub confirmation_us: u64,
}

impl Default for CoordinatorConfig {
    fn default() -> Self {
        Self {
            history: HistoryLimits::STANDARD,
            skew_ms_max: 5_000,
            operations_max: 65_536,
            queued_bytes_max: 128 << 20,
            queue_per_key_max: 8_192,
            slots_per_round_max: 512,
            head_starts_bytes_max: 12 << 20,
            hedge_us_min: 5_000,
            hedge_us_max: 100_000,
            backoff_us_min: 1_000,
            backoff_us_max: 64_000,
            patience_us: 1_000_000,
            confirmation_us: 250_000,
        }
    }
}

/// What a coordinator has done so far, for metrics. All counts only grow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CoordinatorStats {
    /// Rounds started.
    pub rounds: u64,
    /// Rounds that started at their Accept.
    pub one_trip_rounds: u64,
    /// Rounds that a majority refused because it held a higher ballot.
    pub rounds_outbid: u64,
    /// Rounds that ended without a majority for any reason.
    pub rounds_failed: u64,
    /// Operations that shared a round with another.
    pub operations_combined: u64,
    /// Reads and refusals answered in one round trip.
    pub one_trip_answers: u64,
    /// Reads that needed an identity round.
    pub read_fallbacks: u64,
    /// Times a further replica was asked because one was slow.
    pub hedges: u64,
    /// Times the clock was pulled back because a majority refused it.
    pub clock_pull_backs: u64,
}
