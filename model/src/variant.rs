//! Broken variants of the protocol: what the checker must find, or it checks nothing.

/// The protocol as it is, or with one rule taken out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Variant {
    /// Every rule holds.
    Sound,
    /// A restarted node forgets the horizon along with its promises.
    HorizonLost,
    /// A node answers before its write is synced: a restart loses it.
    AnswersUnsynced,
    /// A proposer forgets under which ballots it sent an operation before.
    AttemptsForgotten,
    /// A proposer remembers only the last of them.
    LastAttemptOnly,
    /// A read believes the first replica.
    ReadsOneReplica,
    /// A read that finds an ended value says that there is none, without a tombstone being chosen.
    ExpiryToldUnchosen,
    /// A condition that fails on one replica's register is refused.
    RefusesOnOneWord,
    /// A condition that fails on a majority's register is refused even if an Accept was sent before.
    RefusesInDoubt,
    /// Operations are proposed without their clients' keys.
    KeysIgnored,
    /// A version is the round alone: changes of one round share it.
    VersionWithoutIndex,
}
