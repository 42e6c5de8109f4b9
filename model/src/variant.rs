//! Broken variants of the protocol: what the checker must find, or it checks nothing.
//!
//! The simulation breaks its clusters in the same ways, under the same names.

/// The protocol as it is, or with one rule taken out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Variant {
    /// Every rule holds.
    Sound,
    /// A restarted node forgets the horizon along with its promises.
    NoHorizon,
    /// A node answers before its write is synced: a restart loses it.
    AnswersBeforeSync,
    /// A read believes the first replica.
    ReadsFromOneReplica,
    /// A proposer takes one replica's word for a majority's, in rounds and in reads.
    MinorityQuorums,
    /// Nodes tell registers without their history.
    HistoryForgotten,
    /// A node that has lost its disk votes under its old name.
    AmnesiacVotes,
    /// A node forgets what it has promised while it runs.
    PromisesForgotten,
    /// A condition that fails on one replica's register is refused.
    RefusesForOneReplica,
    /// A proposer forgets under which ballots it sent an operation before.
    AttemptsForgotten,
    /// A proposer remembers only the last of them.
    LastAttemptOnly,
    /// A read that finds an ended value says that there is none, without a tombstone being chosen.
    ExpiryToldUnchosen,
    /// A condition that fails on a majority's register is refused even if an Accept was sent before.
    RefusesInDoubt,
    /// Operations are proposed without their clients' keys.
    KeysIgnored,
    /// A version is the round alone: changes of one round share it.
    VersionWithoutIndex,
}

impl Variant {
    /// All that must be found.
    pub const BROKEN: [Self; 14] = [
        Self::NoHorizon,
        Self::AnswersBeforeSync,
        Self::ReadsFromOneReplica,
        Self::MinorityQuorums,
        Self::HistoryForgotten,
        Self::AmnesiacVotes,
        Self::PromisesForgotten,
        Self::RefusesForOneReplica,
        Self::AttemptsForgotten,
        Self::LastAttemptOnly,
        Self::ExpiryToldUnchosen,
        Self::RefusesInDoubt,
        Self::KeysIgnored,
        Self::VersionWithoutIndex,
    ];
}
