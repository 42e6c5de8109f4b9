//! Deliberately broken variants: the properties must catch each of them, or they prove nothing.
//!
//! They live in the simulation's drivers, around the code that ships; nothing of them is in the product.

use std::fmt;
use std::str::FromStr;

/// What a simulated cluster does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Variant {
    /// Nothing: the product.
    #[default]
    Sound,
    /// A restarted node forgets its horizon, and with it every promise of its last run.
    NoHorizon,
    /// A node answers before its writes are synced.
    AnswersBeforeSync,
    /// Routers read from one replica.
    ReadsFromOneReplica,
    /// Routers take one replica's word for a majority's.
    MinorityQuorums,
    /// Nodes tell registers without their history.
    HistoryForgotten,
    /// A node that lost its directory votes under its old name.
    AmnesiacVotes,
    /// Nodes forget promises while they run.
    PromisesForgotten,
    /// Routers refuse a condition that one replica says does not hold.
    RefusesForOneReplica,
    /// A router forgets under which ballots it sent an operation before.
    AttemptsForgotten,
    /// A router remembers only the last of them.
    LastAttemptOnly,
    /// A read that finds an ended value says that there is none, without a tombstone being chosen.
    ExpiryToldUnchosen,
    /// A condition that fails on a majority's register is refused even if an Accept was sent before.
    RefusesInDoubt,
    /// Operations are proposed without their clients' idempotency keys.
    KeysIgnored,
    /// A version is the round alone: changes of one round share it.
    VersionWithoutIndex,
}

impl Variant {
    /// All that must be caught.
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

    fn name(self) -> &'static str {
        match self {
            Self::Sound => "sound",
            Self::NoHorizon => "no-horizon",
            Self::AnswersBeforeSync => "answers-before-sync",
            Self::ReadsFromOneReplica => "reads-from-one-replica",
            Self::MinorityQuorums => "minority-quorums",
            Self::HistoryForgotten => "history-forgotten",
            Self::AmnesiacVotes => "amnesiac-votes",
            Self::PromisesForgotten => "promises-forgotten",
            Self::RefusesForOneReplica => "refuses-for-one-replica",
            Self::AttemptsForgotten => "attempts-forgotten",
            Self::LastAttemptOnly => "last-attempt-only",
            Self::ExpiryToldUnchosen => "expiry-told-unchosen",
            Self::RefusesInDoubt => "refuses-in-doubt",
            Self::KeysIgnored => "keys-ignored",
            Self::VersionWithoutIndex => "version-without-index",
        }
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Variant {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        std::iter::once(Self::Sound).chain(Self::BROKEN).find(|variant| variant.name() == text).ok_or_else(
            || {
                let names: Vec<&str> = Self::BROKEN.iter().map(|variant| variant.name()).collect();
                format!("{text:?} is no variant; accepted are sound, {}", names.join(", "))
            },
        )
    }
}
