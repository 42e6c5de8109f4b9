//! Durations and sizes as people write them in configuration files and on command lines.

mod byte_size;
mod duration;

pub use byte_size::ByteSize;
pub use duration::Duration;

/// A text that is not the quantity it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is not a {what}: {accepted}")]
pub struct ParseUnitError {
    what: &'static str,
    found: String,
    accepted: &'static str,
}

impl ParseUnitError {
    fn new(what: &'static str, found: &str, accepted: &'static str) -> Self {
        Self { what, found: found.chars().take(80).collect(), accepted }
    }
}
