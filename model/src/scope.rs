//! How much may happen.

use roundtable_consensus::{Ballot, Content, Expiry, HistoryLimits, Hlc, ProposerId, Register, Version};

use crate::operation::value;
use crate::{Counter, HeadStarts, Op, Reach};

/// How much may happen. Everything within it is explored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// For each proposer its batches of operations; a batch shares a round.
    pub operations: Vec<Vec<Vec<Op>>>,
    /// When the number 10 ends that all nodes hold and all clients know at first; nothing for an absent key.
    pub start: Option<Expiry>,
    /// For each proposer the rounds and reads that it may start.
    pub works: Vec<u8>,
    /// By how much a clock that leaps goes ahead.
    pub leap_ms: u64,
    /// How often how much may go wrong.
    pub budget: Budget,
    /// Whether proposers start rounds at their Accept.
    pub head_starts: HeadStarts,
    /// History that registers carry.
    pub limits: HistoryLimits,
    /// What must be reached.
    pub reaches: Vec<Reach>,
}

/// How often how much may go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Budget {
    /// Times that a proposer is told that a message was lost; it may have been delivered, or still be.
    pub losses: u8,
    /// Messages that are delivered while their replies stay under way for ever, and nobody is told.
    pub silences: u8,
    /// Messages that are delivered twice.
    pub duplicates: u8,
    /// Times that a proposer asks a further replica without need.
    pub widenings: u8,
    /// Restarts of nodes.
    pub restarts: u8,
    /// Nodes that lose their disk. They may vote no more.
    pub disks: u8,
    /// Times that a proposer stops in the middle of something and starts again.
    pub crashes: u8,
    /// Proposers whose clock reaches the end of values that have one.
    pub ends: u8,
    /// Times that a proposer's clock leaps ahead.
    pub leaps: u8,
}

impl Scope {
    /// The number that is there at first, and the name of its end.
    pub(crate) const START_NUMBER: i64 = 10;

    /// An absent key, two rounds or reads for each proposer, nothing that goes wrong.
    #[must_use]
    pub fn of(operations: Vec<Vec<Vec<Op>>>) -> Self {
        Self {
            works: vec![2; operations.len()],
            operations,
            start: None,
            leap_ms: 0,
            budget: Budget::default(),
            head_starts: HeadStarts::Off,
            limits: HistoryLimits::STANDARD,
            reaches: vec![Reach::EverybodyAnswered],
        }
    }

    /// The register that all nodes hold at first.
    pub(crate) fn start_register(&self) -> Option<Register> {
        let expiry = self.start?;
        let accepted = Ballot::new(Hlc::from_millis(1), ProposerId(1));
        Some(Register {
            accepted,
            version: Version { ballot: accepted, index: 0 },
            content: Content::Live(value(Self::START_NUMBER)),
            expires_at: expiry.as_millis(),
            ..Register::absent(Ballot::ZERO)
        })
    }

    /// What the clients take the key to be at first.
    pub(crate) fn start_counter(&self) -> Counter {
        let end = matches!(self.start, Some(Expiry::At(_))).then_some(Self::START_NUMBER);
        self.start_register().map_or_else(Counter::default, |register| {
            Counter::with(Self::START_NUMBER, register.version, end)
        })
    }

    /// The names of the ends that values can have.
    pub(crate) fn ends(&self) -> impl Iterator<Item = i64> {
        let start = matches!(self.start, Some(Expiry::At(_))).then_some(Self::START_NUMBER);
        let put = self.operations.iter().flatten().flatten().filter_map(|op| match op {
            Op::PutUntil(number) => Some(*number),
            _ => None,
        });
        start.into_iter().chain(put)
    }
}
