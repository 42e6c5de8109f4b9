//! The faults that there are.

use std::fmt;

use crate::gauntlet::Party;
use crate::gauntlet::network::{Disturbance, Rule, Span};

/// The kinds of faults, for the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Kind {
    KillNode,
    KillRouter,
    KillAllNodes,
    Stop,
    FreezeNode,
    FreezeRouter,
    Cut,
    Hold,
    Lose,
    Delay,
    Repeat,
    Unplug,
    Drop,
    Narrow,
    RaiseReserve,
    FillDisk,
    SkewClock,
}

impl Kind {
    pub(super) const ALL: [Self; 17] = [
        Self::KillNode,
        Self::KillRouter,
        Self::KillAllNodes,
        Self::Stop,
        Self::FreezeNode,
        Self::FreezeRouter,
        Self::Cut,
        Self::Hold,
        Self::Lose,
        Self::Delay,
        Self::Repeat,
        Self::Unplug,
        Self::Drop,
        Self::Narrow,
        Self::RaiseReserve,
        Self::FillDisk,
        Self::SkewClock,
    ];
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::KillNode => "node killed (SIGKILL) and restarted",
            Self::KillRouter => "router killed (SIGKILL) and restarted",
            Self::KillAllNodes => "all nodes killed at once and restarted",
            Self::Stop => "process stopped (SIGTERM) and restarted",
            Self::FreezeNode => "node frozen (SIGSTOP)",
            Self::FreezeRouter => "router frozen (SIGSTOP)",
            Self::Cut => "network cut: connections closed, none made",
            Self::Hold => "network held: all arrives at the end",
            Self::Lose => "network lossy: nothing arrives",
            Self::Delay => "network slow",
            Self::Repeat => "network repeats batches later",
            Self::Unplug => "cable pulled out",
            Self::Drop => "packets dropped",
            Self::Narrow => "cable narrow: packets queue, some are lost",
            Self::RaiseReserve => "disk below its reserve",
            Self::FillDisk => "disk really full",
            Self::SkewClock => "clock set wrong",
        })
    }
}

/// One fault.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Fault {
    /// SIGKILL; started again at the end.
    Kill(Party),
    /// SIGKILL to this many nodes: all of them; started again at the end.
    KillAllNodes(usize),
    /// SIGTERM: requests under way may end; started again at the end.
    Stop(Party),
    /// SIGSTOP; SIGCONT at the end.
    Freeze(Party),
    /// A rule of the network.
    Network(Span, Rule),
    /// Something beneath TCP.
    Disturb(Disturbance),
    /// The disk has no byte left, and the node is restarted then or not; if it ended, it is started again at the end.
    FillDisk { party: Party, restarts: bool },
    /// Restarted with this multiple of the free space as its reserve; restarted as before at the end. Below 2
    /// what does not grow is taken, above it nothing is.
    RaiseReserve(Party, f64),
    /// The clock jumps by this much, and back at the end.
    SkewClock(Party, i64),
}

impl Fault {
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Kill(Party::Node(_)) => Kind::KillNode,
            Self::Kill(Party::Router(_)) => Kind::KillRouter,
            Self::KillAllNodes(_) => Kind::KillAllNodes,
            Self::Stop(_) => Kind::Stop,
            Self::Freeze(Party::Node(_)) => Kind::FreezeNode,
            Self::Freeze(Party::Router(_)) => Kind::FreezeRouter,
            Self::Network(_, Rule::Hold) => Kind::Hold,
            Self::Network(_, Rule::Lose) => Kind::Lose,
            Self::Network(_, Rule::Delay(_)) => Kind::Delay,
            Self::Network(_, Rule::Repeat(_)) => Kind::Repeat,
            Self::Network(_, Rule::Cut | Rule::Pass) => Kind::Cut,
            Self::Disturb(Disturbance::Unplug(_)) => Kind::Unplug,
            Self::Disturb(Disturbance::Drop(_)) => Kind::Drop,
            Self::Disturb(Disturbance::Narrow(..)) => Kind::Narrow,
            Self::RaiseReserve(..) => Kind::RaiseReserve,
            Self::FillDisk { .. } => Kind::FillDisk,
            Self::SkewClock(..) => Kind::SkewClock,
        }
    }

    /// The processes that stand still or end, or may.
    pub(super) fn stops(&self) -> Vec<Party> {
        match self {
            Self::Kill(party)
            | Self::Stop(party)
            | Self::Freeze(party)
            | Self::FillDisk { party, .. }
            | Self::RaiseReserve(party, _) => vec![*party],
            Self::KillAllNodes(nodes) => (1..=*nodes).map(Party::Node).collect(),
            Self::Network(..) | Self::Disturb(_) | Self::SkewClock(..) => Vec::new(),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill(party) => write!(f, "kill {party}"),
            Self::KillAllNodes(_) => f.write_str("kill all nodes"),
            Self::Stop(party) => write!(f, "stop {party}"),
            Self::Freeze(party) => write!(f, "freeze {party}"),
            Self::Network(span, rule) => write!(f, "{rule:?} {span}"),
            Self::Disturb(disturbance) => write!(f, "{disturbance}"),
            Self::FillDisk { party, restarts: false } => write!(f, "fill disk of {party}"),
            Self::FillDisk { party, restarts: true } => write!(f, "fill disk of {party} and restart it"),
            Self::RaiseReserve(party, multiple) => {
                write!(f, "reserve of {party} is {multiple:.2} of its disk")
            }
            Self::SkewClock(party, by_ms) => write!(f, "skew clock of {party} by {by_ms} ms"),
        }
    }
}
