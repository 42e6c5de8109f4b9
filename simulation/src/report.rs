//! What a run was: enough to see that it did something.

use std::fmt;

/// How often the routers took their less usual paths: a run that never did has not tested them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Paths {
    /// Rounds without a majority.
    pub rounds_failed: u64,
    /// Reads that needed an identity round.
    pub read_fallbacks: u64,
    /// Reads and refusals answered in one trip.
    pub one_trip_answers: u64,
    /// Operations that shared a round.
    pub operations_combined: u64,
    /// Times a further replica was asked.
    pub hedges: u64,
    /// Times a clock was pulled back.
    pub clock_pull_backs: u64,
}

/// Counts of one run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Calls that clients made.
    pub calls: u64,
    /// Of these, calls whose outcome stayed unknown.
    pub in_doubt: u64,
    /// Of these, changes that were refused as never applied.
    pub never_applied: u64,
    /// The routers' paths.
    pub paths: Paths,
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
