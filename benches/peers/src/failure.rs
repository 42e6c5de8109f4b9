//! What can go wrong with a comparison.

use std::fmt::Display;

/// Why the comparison cannot go on. Whatever was started is stopped by then.
#[derive(Debug, thiserror::Error)]
#[error("{doing}: {cause}")]
pub(crate) struct Failure {
    doing: String,
    cause: String,
}

impl Failure {
    /// What was being done, and what came in between.
    pub(crate) fn new(doing: impl Into<String>, cause: impl Display) -> Self {
        Self { doing: doing.into(), cause: cause.to_string() }
    }
}

/// Names what was being done when an error came.
pub(crate) trait Doing<T> {
    /// As [`Failure::new`], made only when there is an error.
    fn doing<D: Into<String>>(self, what: impl FnOnce() -> D) -> Result<T, Failure>;
}

impl<T, E: Display> Doing<T> for Result<T, E> {
    fn doing<D: Into<String>>(self, what: impl FnOnce() -> D) -> Result<T, Failure> {
        self.map_err(|error| Failure::new(what(), error))
    }
}
