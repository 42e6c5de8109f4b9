//! What the clients saw, by key.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use roundtable_consensus::Version;
use roundtable_simulation::checker::{Call, Demand, Ending, Operation};
use tokio::time::Instant;

use super::schedule::SKEW_MS_MAX;

/// What the clocks of one machine may seem apart for: scheduling, and the steps in which clocks are read.
const SLACK_US: u64 = 300_000;

/// How calls of one kind ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// With a definite answer.
    pub(super) answered: u64,
    /// Never applied.
    pub(super) refused: u64,
    /// Nobody knows.
    pub(super) in_doubt: u64,
}

/// A time for which a client held a lock for certain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hold {
    /// Who.
    pub(super) client: u32,
    /// The fencing token.
    pub(super) token: Version,
    /// When the client asked for it.
    pub(super) invoked: u64,
    /// When the client knew that it held the lock.
    pub(super) from: u64,
    /// From when on the client must count on others: it has asked for the release, or the time is over.
    pub(super) until: u64,
}

/// One call with its end, as a client reports it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reported {
    pub(super) operation: Operation,
    pub(super) ttl_ms: Option<u64>,
    /// A repeat is safe.
    pub(super) is_keyed: bool,
}

/// Collects all histories of a run.
#[derive(Debug)]
pub(super) struct Recorder {
    started: Instant,
    /// From when on clocks may be wrong.
    skewed_from_us: Option<u64>,
    histories: Mutex<BTreeMap<String, Vec<Operation>>>,
    holds: Mutex<BTreeMap<String, Vec<Hold>>>,
    tallies: Mutex<BTreeMap<&'static str, Tally>>,
    unexpected: Mutex<Vec<String>>,
    value: AtomicI64,
}

/// Everything that was recorded.
#[derive(Debug)]
pub(super) struct Recorded {
    pub(super) histories: BTreeMap<String, Vec<Operation>>,
    pub(super) holds: BTreeMap<String, Vec<Hold>>,
    pub(super) tallies: BTreeMap<&'static str, Tally>,
    pub(super) unexpected: Vec<String>,
}

impl Recorder {
    /// An empty one; times count from `started`, clocks may be wrong from `skewed_from` on.
    pub(super) fn new(started: Instant, skewed_from: Option<Duration>) -> Self {
        Self {
            started,
            skewed_from_us: skewed_from.map(micros),
            histories: Mutex::default(),
            holds: Mutex::default(),
            tallies: Mutex::default(),
            unexpected: Mutex::default(),
            value: AtomicI64::new(1),
        }
    }

    /// Microseconds since the start.
    pub(super) fn now_us(&self) -> u64 {
        micros(self.started.elapsed())
    }

    /// A value that no other call stores.
    pub(super) fn fresh_value(&self) -> i64 {
        self.value.fetch_add(1, Ordering::Relaxed)
    }

    /// The earliest time at which what was asked for at `invoked` may have expired.
    pub(super) fn earliest_expiry_us(&self, invoked: u64, ttl_ms: u64) -> u64 {
        let expires = invoked + ttl_ms * 1_000;
        let is_skewed = self.skewed_from_us.is_some_and(|from| from <= expires);
        let early = SLACK_US + if is_skewed { SKEW_MS_MAX.unsigned_abs() * 1_000 } else { 0 };
        expires.saturating_sub(early).max(invoked)
    }

    /// A call that ended, with an answer or in doubt.
    pub(super) fn record(&self, key: &str, reported: Reported) {
        let Reported { operation, ttl_ms, is_keyed } = reported;
        self.tally(operation.call, is_keyed, |tally| match operation.ended {
            Some(_) => tally.answered += 1,
            None => tally.in_doubt += 1,
        });
        let mut histories = self.histories.lock().unwrap();
        let history = histories.entry(key.to_owned()).or_default();
        history.push(operation);
        let may_have_stored = matches!(operation.ended, None | Some((_, Ending::Wrote { .. })));
        if let (Call::Put(value, _), Some(ttl_ms), true) = (operation.call, ttl_ms, may_have_stored) {
            let invoked = self.earliest_expiry_us(operation.invoked, ttl_ms);
            history.push(Operation {
                client: operation.client,
                call: Call::Expiry(value),
                invoked,
                ended: None,
            });
        }
    }

    /// A call that was never applied, or a read without an answer: the history is the same without it.
    pub(super) fn refused(&self, call: Call, is_keyed: bool) {
        self.tally(call, is_keyed, |tally| tally.refused += 1);
    }

    /// A client held a lock.
    pub(super) fn hold(&self, key: &str, hold: Hold) {
        self.holds.lock().unwrap().entry(key.to_owned()).or_default().push(hold);
    }

    /// Something that no client should ever see.
    pub(super) fn unexpected(&self, what: String) {
        self.unexpected.lock().unwrap().push(what);
    }

    /// The keys so far.
    pub(super) fn keys(&self) -> Vec<String> {
        self.histories.lock().unwrap().keys().cloned().collect()
    }

    /// Ends the recording.
    pub(super) fn finish(self) -> Recorded {
        Recorded {
            histories: self.histories.into_inner().unwrap(),
            holds: self.holds.into_inner().unwrap(),
            tallies: self.tallies.into_inner().unwrap(),
            unexpected: self.unexpected.into_inner().unwrap(),
        }
    }

    fn tally(&self, call: Call, is_keyed: bool, change: impl FnOnce(&mut Tally)) {
        change(self.tallies.lock().unwrap().entry(name(call, is_keyed)).or_default());
    }
}

/// The kind of a call, for the report.
fn name(call: Call, is_keyed: bool) -> &'static str {
    match (call, is_keyed) {
        (Call::Read, _) => "read",
        (Call::Put(_, Demand::Absent), false) => "create",
        (Call::Put(_, Demand::Absent), true) => "create, repeated with its key",
        (Call::Put(_, Demand::Version(_)), false) => "compare-and-set",
        (Call::Put(_, Demand::Version(_)), true) => "compare-and-set, repeated with its key",
        (Call::Put(..), false) => "put",
        (Call::Put(..), true) => "put, repeated with its key",
        (Call::Delete(_), false) => "delete",
        (Call::Delete(_), true) => "delete, repeated with its key",
        (Call::Touch(_), false) => "touch",
        (Call::Touch(_), true) => "touch, repeated with its key",
        (Call::Increment(_), false) => "increment",
        (Call::Increment(_), true) => "increment, repeated with its key",
        (Call::Expiry(_), _) => "expiry",
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
