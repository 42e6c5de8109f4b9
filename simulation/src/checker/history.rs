//! What clients saw of one key: calls with their times, and how each ended.

use std::fmt;

use roundtable_consensus::Version;

/// What a conditional call demands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Demand {
    /// Nothing.
    None,
    /// There is a value.
    Exists,
    /// There is no value.
    Absent,
    /// The value has this version.
    Version(Version),
}

/// What a client asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Call {
    /// The state.
    Read,
    /// Store a value. Values are numbers that no other call stores.
    Put(i64, Demand),
    /// Remove the value.
    Delete(Demand),
    /// Add to the counter; no value counts as 0.
    Increment(i64),
    /// Give the value a new version, and nothing else.
    Touch(Demand),
    /// Nobody's call: the value `.0`, stored with a time to live, may end by itself, once, at any time.
    Expiry(i64),
}

/// How a call ended, as its client knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ending {
    /// A read found this.
    Found(i64, Version),
    /// A read, a delete or a touch found nothing.
    Nothing,
    /// The value was stored or touched under this version. `created` tells whether there was none before, if known.
    Wrote {
        /// The new version.
        version: Version,
        /// Whether there was no value before.
        created: Option<bool>,
    },
    /// The value was removed.
    Removed,
    /// The counter has this value and version.
    Counted(i64, Version),
    /// The demand did not hold; the version that was there.
    Refused(Option<Version>),
}

/// One call in a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operation {
    /// Who called, for people.
    pub client: u32,
    /// What was asked.
    pub call: Call,
    /// When the call was made; any unit, the same for all.
    pub invoked: u64,
    /// When it ended and how; `None` when nobody knows: it took effect at some later time, or never.
    pub ended: Option<(u64, Ending)>,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "client {} {:?} at {}", self.client, self.call, self.invoked)?;
        match &self.ended {
            Some((at, ending)) => write!(f, " -> {ending:?} at {at}"),
            None => f.write_str(" -> unknown"),
        }
    }
}
