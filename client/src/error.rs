//! Why a call failed, and what that says about the change it asked for.

use std::time::Duration;

use crate::etag::ETag;
use crate::idempotency::IdempotencyKey;
use crate::problem::Problem;

/// What is known about the change that a failed call asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It has not taken effect and never will.
    NotApplied,
    /// It may have taken effect, may take effect later, or never. A repeat with the same idempotency key tells.
    Unknown,
}

/// A request that cannot be made: nothing was sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// No bytes at all.
    #[error("the key is empty; a key has 1 to 4096 bytes")]
    EmptyKey,
    /// More than 4096 bytes.
    #[error("the key has {length} bytes; a key has 1 to 4096 bytes")]
    KeyTooLong {
        /// How many it has.
        length: usize,
    },
    /// A content type that a header cannot hold, or longer than 255 bytes.
    #[error("{found:?} cannot be a content type: 1 to 255 bytes without control characters")]
    ContentType {
        /// What was given; bytes that are not UTF-8 are replaced.
        found: String,
    },
    /// A condition that this operation does not offer.
    #[error("only \"the key exists\" and \"this ETag\" can be a condition here")]
    Condition,
}

/// What one attempt ran into.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Cause {
    /// No connection: the request was not sent.
    #[error("{router} cannot be reached: {detail}")]
    Connect {
        /// The router's address.
        router: String,
        /// What the system said.
        detail: String,
    },
    /// The connection ended after the request may have been sent.
    #[error("the connection to {router} was lost: {detail}")]
    Lost {
        /// The router's address.
        router: String,
        /// What the system said.
        detail: String,
    },
    /// No answer in time.
    #[error("no answer from {router} within {after:?}")]
    TimedOut {
        /// The router's address.
        router: String,
        /// How long the attempt waited.
        after: Duration,
    },
    /// An answer that does not settle the call.
    #[error("{router} answered {problem}")]
    Answered {
        /// The router's address.
        router: String,
        /// The answer.
        problem: Box<Problem>,
    },
    /// A success whose headers or body make no sense; not a Roundtable router, perhaps.
    #[error("the answer of {router} cannot be understood: {detail}")]
    Malformed {
        /// The router's address.
        router: String,
        /// What is wrong with it.
        detail: String,
    },
}

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The request cannot be made; nothing was sent.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The condition did not hold; nothing changed.
    #[error("the condition does not hold: {}", current.as_ref()
        .map_or_else(|| "the key does not exist".to_owned(), |etag| format!("the key is at ETag {etag}")))]
    PreconditionFailed {
        /// The key's present version; absent when the key does not exist.
        current: Option<ETag>,
    },
    /// A router refused the request for good; nothing changed.
    #[error("refused: {0}")]
    Refused(Box<Problem>),
    /// No attempt succeeded before the deadline, and none was applied.
    #[error("{} after {attempts} attempt(s): {cause}", if *is_write { "not applied" } else { "no answer" })]
    Unavailable {
        /// How many attempts were made.
        attempts: u32,
        /// What the last one ran into.
        cause: Cause,
        /// Whether the call was a write; a read changes nothing in any case.
        is_write: bool,
    },
    /// At least one attempt may have been applied, and no definite answer came before the deadline.
    #[error("in doubt after {attempts} attempt(s), idempotency key {idempotency_key}: {cause}")]
    InDoubt {
        /// How many attempts were made.
        attempts: u32,
        /// What the last one ran into.
        cause: Cause,
        /// Repeats the same operation under the same name, to learn what became of it.
        idempotency_key: IdempotencyKey,
    },
    /// A deletion of many keys could not go on; what was deleted stays deleted.
    #[error(
        "the deletion broke off, with {deleted} key(s) deleted for certain: {cause}; repeat it to delete the rest"
    )]
    BrokenOff {
        /// How many keys were deleted, as far as the answers told.
        deleted: u64,
        /// How many attempts failed in a row.
        attempts: u32,
        /// What the last one ran into.
        cause: Cause,
    },
    /// A success whose headers or body make no sense.
    #[error("{cause}")]
    Malformed {
        /// What is wrong with it.
        cause: Cause,
        /// Of a write, whether it was applied cannot be told.
        outcome: Outcome,
    },
}

impl Error {
    /// What is known about the change. A failed read changed nothing.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::InDoubt { .. } | Self::BrokenOff { .. } => Outcome::Unknown,
            Self::Malformed { outcome, .. } => *outcome,
            Self::Request(_)
            | Self::PreconditionFailed { .. }
            | Self::Refused(_)
            | Self::Unavailable { .. } => Outcome::NotApplied,
        }
    }

    /// Whether the same call may succeed later. After [`Outcome::Unknown`], repeat it only with the idempotency key
    /// that the error holds, or it may be applied twice.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        let cause = match self {
            Self::Unavailable { cause, .. } | Self::InDoubt { cause, .. } | Self::BrokenOff { cause, .. } => {
                cause
            }
            Self::Request(_)
            | Self::PreconditionFailed { .. }
            | Self::Refused(_)
            | Self::Malformed { .. } => return false,
        };
        !matches!(cause, Cause::Answered { problem, .. } if problem.retryable == Some(false))
    }

    /// The name under which to repeat an operation that is in doubt.
    #[must_use]
    pub fn idempotency_key(&self) -> Option<&IdempotencyKey> {
        match self {
            Self::InDoubt { idempotency_key, .. } => Some(idempotency_key),
            _ => None,
        }
    }
}
