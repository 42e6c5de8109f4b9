//! What a run was: enough to see that it did something.

use std::fmt;

/// Counts of one run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Calls that clients made.
    pub calls: u64,
    /// Of these, calls whose outcome stayed unknown.
    pub in_doubt: u64,
    /// Of these, changes that were refused as never applied.
    pub never_applied: u64,
    /// Faults that struck.
    pub faults: u64,
    /// Messages that were delivered.
    pub messages: u64,
    /// Keys whose history was too tangled to be decided.
    pub undecided: u64,
    /// Simulated time in milliseconds.
    pub simulated_ms: u64,
    /// Calls that each router ended with a definite answer.
    pub served: Vec<u64>,
    /// Longest time that any call took, in milliseconds.
    pub slowest_call_ms: u64,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} calls ({} in doubt, {} never applied), {} faults, {} messages, {} ms, slowest call {} ms, {} undecided",
            self.calls,
            self.in_doubt,
            self.never_applied,
            self.faults,
            self.messages,
            self.simulated_ms,
            self.slowest_call_ms,
            self.undecided,
        )
    }
}
