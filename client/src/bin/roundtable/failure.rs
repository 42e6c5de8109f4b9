//! Why a command failed, as a message and an exit code.

use std::io;

use roundtable_client::{BuildError, Error, Outcome};

use crate::exit::Exit;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// Arguments that contradict each other or the world.
    #[error("{0}")]
    Usage(String),
    /// A router's address that is none.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The key does not exist.
    #[error("the key {0} does not exist")]
    NotFound(String),
    /// A call that failed.
    #[error("{}", explain(.0))]
    Client(#[from] Error),
    /// A file, a socket or a terminal that failed.
    #[error("{what}: {source}")]
    Io {
        /// What was being done, and with what.
        what: String,
        #[source]
        source: io::Error,
    },
    /// Some records failed; each was reported already.
    #[error("{failed} of {total} records failed")]
    Records {
        /// How many failed.
        failed: u64,
        /// Out of how many.
        total: u64,
    },
    /// Not every router is ready.
    #[error("{0}")]
    NotReady(String),
    /// A signal came before everything was done.
    #[error("{0}")]
    Interrupted(String),
    /// A process of the local cluster.
    #[error("{0}")]
    Process(String),
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

impl Failure {
    /// A failed piece of input or output.
    pub(crate) fn io(what: impl Into<String>, source: io::Error) -> Self {
        Self::Io { what: what.into(), source }
    }

    /// The reader of our output went away, as `head` does: nothing to complain about.
    pub(crate) fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::BrokenPipe)
    }

    /// The exit code.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            _ if self.is_closed_pipe() => Exit::Success,
            Self::Usage(_) | Self::Build(_) => Exit::Usage,
            Self::NotFound(_) => Exit::NotFound,
            Self::Client(Error::Request(_)) => Exit::Usage,
            Self::Client(Error::PreconditionFailed { .. }) => Exit::Condition,
            Self::Client(error) if error.outcome() == Outcome::Unknown => Exit::InDoubt,
            Self::Client(Error::Unavailable { .. }) | Self::NotReady(_) => Exit::Unavailable,
            Self::Client(_) | Self::Io { .. } | Self::Other(_) => Exit::Failure,
            Self::Records { .. } => Exit::Records,
            Self::Interrupted(_) => Exit::Interrupted,
            Self::Process(_) => Exit::Process,
        }
    }
}

/// The error, and what to do about a doubt.
fn explain(error: &Error) -> String {
    match error.idempotency_key() {
        Some(key) => format!(
            "{error}\nthe change may have been applied; to learn, or to apply it if it was not, repeat the same \
             command within a minute with --idempotency-key {key}"
        ),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use roundtable_client::{Cause, IdempotencyKey};

    use super::*;

    #[test]
    fn exit_code_follows_the_outcome() {
        let cause = Cause::Connect { router: "r".into(), detail: "refused".into() };
        let in_doubt =
            Error::InDoubt { attempts: 1, cause: cause.clone(), idempotency_key: IdempotencyKey::generate() };
        let table = [
            (Failure::Client(Error::Unavailable { attempts: 1, cause, is_write: true }), Exit::Unavailable),
            (Failure::Client(in_doubt), Exit::InDoubt),
            (Failure::Client(Error::PreconditionFailed { current: None }), Exit::Condition),
            (Failure::NotFound("k".into()), Exit::NotFound),
            (Failure::io("reading x", io::Error::other("no")), Exit::Failure),
            (Failure::io("writing", io::ErrorKind::BrokenPipe.into()), Exit::Success),
        ];
        for (failure, exit) in table {
            assert_eq!(failure.exit(), exit, "{failure}");
        }
    }

    #[test]
    fn doubt_names_the_key_to_repeat_with() {
        let key = IdempotencyKey::generate();
        let cause = Cause::Lost { router: "r".into(), detail: "reset".into() };
        let failure = Failure::Client(Error::InDoubt { attempts: 2, cause, idempotency_key: key.clone() });
        assert!(failure.to_string().contains(&format!("--idempotency-key {key}")));
    }
}
