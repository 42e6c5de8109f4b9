//! What clients ask for, and how it ended.

use crate::ballot::{Ballot, Hlc, Version};
use crate::ids::OpId;
use crate::register::{Register, Value};

/// When a value ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Expiry {
    /// Never.
    #[default]
    Never,
    /// At this time in unix milliseconds, by the hybrid clock of the router that took the request.
    At(u64),
}

impl Expiry {
    /// The form that a register keeps.
    #[must_use]
    pub fn as_millis(self) -> Option<u64> {
        match self {
            Self::Never => None,
            Self::At(unix_ms) => Some(unix_ms),
        }
    }
}

/// What must hold for a change to be made.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum Condition {
    /// Nothing.
    #[default]
    None,
    /// There is a value (`If-Match: *`).
    Exists,
    /// There is no value (`If-None-Match: *`).
    Absent,
    /// There is a value of one of these versions (`If-Match: "…"`).
    Matches(Vec<Version>),
}

impl Condition {
    /// Whether it holds of a register with this ETag.
    #[must_use]
    pub fn holds(&self, etag: Option<Version>) -> bool {
        match self {
            Self::None => true,
            Self::Exists => etag.is_some(),
            Self::Absent => etag.is_none(),
            Self::Matches(versions) => etag.is_some_and(|version| versions.contains(&version)),
        }
    }
}

/// What to do with a key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Change {
    /// Nothing: tell the state (an identity round).
    Read,
    /// Store a value.
    Put {
        /// The value.
        value: Value,
        /// When it ends.
        expiry: Expiry,
    },
    /// Remove the value.
    Delete,
    /// Add to a decimal counter; no value counts as 0.
    Increment {
        /// What to add.
        by: i64,
        /// When the counter ends, if this creates it.
        expiry: Expiry,
    },
    /// Give the value a new end.
    Touch {
        /// The new end.
        expiry: Expiry,
    },
}

impl Change {
    /// Whether the change is likely to need the present value's bytes.
    #[must_use]
    pub fn wants_value(&self) -> bool {
        matches!(self, Self::Read | Self::Increment { .. } | Self::Touch { .. })
    }

    /// Whether the change can make the data larger; a node below its disk reserve refuses only those.
    #[must_use]
    pub fn grows(&self) -> bool {
        matches!(self, Self::Put { .. } | Self::Increment { .. })
    }
}

/// A client's `Idempotency-Key` with what it was sent for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClientKey {
    /// The key's 128 bits.
    pub id: OpId,
    /// The time in the key: the operation is proposed only under ballots at or above it.
    pub birth: Hlc,
    /// A hash of the request as the client made it.
    pub fingerprint: u64,
}

impl ClientKey {
    /// The lowest ballot under which the operation can have been recorded.
    #[must_use]
    pub fn birth_ballot(&self) -> Ballot {
        Ballot::floor_of(self.birth)
    }
}

/// One request of a client on one key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Operation {
    /// What to do.
    pub change: Change,
    /// What must hold.
    pub condition: Condition,
    /// The client's name for it, if it gave one.
    pub client_key: Option<ClientKey>,
}

impl Operation {
    /// An operation without condition or client's key.
    #[must_use]
    pub fn new(change: Change) -> Self {
        Self { change, condition: Condition::None, client_key: None }
    }
}

/// How a change ended. Kept in the register's history for operations with a client's key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// A value was stored where there was none.
    Created(Version),
    /// A value was stored over another.
    Replaced(Version),
    /// The value was removed.
    Deleted(Version),
    /// The counter has a new value.
    Incremented {
        /// The new version.
        version: Version,
        /// The counter after the change.
        value: i64,
    },
    /// The value has a new end.
    Touched(Version),
    /// The condition did not hold; nothing changed.
    PreconditionFailed {
        /// The version that was there, if there was a value.
        current: Option<Version>,
    },
    /// There was no value to remove or touch.
    NotFound,
    /// The value is not a decimal signed 64-bit integer.
    NotACounter,
    /// The sum does not fit in a signed 64-bit integer.
    CounterOverflow,
}

impl Outcome {
    /// Whether the register was changed.
    #[must_use]
    pub fn is_change(&self) -> bool {
        match self {
            Self::Created(_)
            | Self::Replaced(_)
            | Self::Deleted(_)
            | Self::Incremented { .. }
            | Self::Touched(_) => true,
            Self::PreconditionFailed { .. } | Self::NotFound | Self::NotACounter | Self::CounterOverflow => {
                false
            }
        }
    }
}

/// What a round tells the caller of an operation.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Answer {
    /// The change ended thus, now or when it was first sent.
    Settled(Outcome),
    /// The state that a read found; a tombstone means that there is no value. The history is left out.
    State(Box<Register>),
    /// The client's key was used before for another request; nothing changed.
    KeyReused,
    /// The history no longer reaches back to the operation's birth: it may have been applied before.
    Forgotten,
    /// It has not taken effect, is not applied now either, and none of this router's attempts of it ever will be: the nodes'
    /// disks have no room for it.
    NoRoom,
}

impl Answer {
    /// Whether a round that computes this answer makes the operation effective by being chosen. A read or a refusal
    /// leaves the key's value as it was, whatever becomes of the round.
    #[must_use]
    pub fn is_change(&self) -> bool {
        matches!(self, Self::Settled(outcome) if outcome.is_change())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_hold_as_http_says() {
        let (one, two) = (Version { index: 1, ..Version::ZERO }, Version { index: 2, ..Version::ZERO });
        let table = [
            (Condition::None, true, true),
            (Condition::Exists, false, true),
            (Condition::Absent, true, false),
            (Condition::Matches(vec![two, one]), false, true),
            (Condition::Matches(vec![two]), false, false),
            (Condition::Matches(vec![]), false, false),
        ];
        for (condition, without_value, with_one) in table {
            assert_eq!(condition.holds(None), without_value, "{condition:?}");
            assert_eq!(condition.holds(Some(one)), with_one, "{condition:?}");
        }
    }
}
