//! What the connections saw.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::bench::connection::CallError;
use crate::bench::workload::Kind;

/// The longest time that is told apart, in microseconds.
const TIME_US_MAX: u64 = 60_000_000;

/// What came of one operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It was answered.
    Answered {
        /// The key that was read does not exist.
        missing: bool,
        /// How often another write came between reading and writing.
        conflicts: u64,
    },
    /// The router refused it or did not know, with this status.
    Status(u16),
    /// It brought no answer.
    Failed(CallError),
}

/// How long after it was due an operation of an open loop began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StartDelay {
    pub(crate) delay: Duration,
    /// The connection that took it was free already when it was due: the delay is the driver's own.
    pub(crate) was_free: bool,
}

/// What all connections saw of the operations that count.
#[derive(Debug)]
pub(crate) struct Counts {
    /// How long operations took until they were answered, in microseconds, by kind.
    pub(crate) latencies: [Histogram<u64>; Kind::ALL.len()],
    /// How long after they were due operations of an open loop began, in microseconds.
    pub(crate) start_delays: Histogram<u64>,
    /// Those of them that are the driver's own fault: a connection was free.
    pub(crate) driver_delays: Histogram<u64>,
    /// Reads of keys that do not exist; they are among the answered.
    pub(crate) missing: u64,
    /// Attempts of read-modify-writes that another write came between.
    pub(crate) conflicts: u64,
    /// Operations that failed, by status or kind.
    pub(crate) errors: BTreeMap<String, u64>,
}

/// What all connections saw since the last look.
#[derive(Debug)]
pub(crate) struct Slice {
    /// How long the answered operations of every kind took, in microseconds.
    pub(crate) latencies: Histogram<u64>,
    /// Operations that failed.
    pub(crate) errors: u64,
}

/// Where all connections write what they saw; few enough at once that they hardly meet.
#[derive(Debug)]
pub(crate) struct Recorder {
    recorded: Mutex<(Counts, Option<Slice>)>,
}

impl Counts {
    /// Nothing yet.
    pub(crate) fn new() -> Self {
        Self {
            latencies: Kind::ALL.map(|_| new_histogram()),
            start_delays: new_histogram(),
            driver_delays: new_histogram(),
            missing: 0,
            conflicts: 0,
            errors: BTreeMap::new(),
        }
    }

    /// How many operations were answered.
    pub(crate) fn answered(&self) -> u64 {
        self.latencies.iter().map(Histogram::len).sum()
    }

    /// Notes one operation.
    pub(crate) fn record(&mut self, kind: Kind, took: Duration, ending: Ending) {
        let error = match ending {
            Ending::Answered { missing, conflicts } => {
                self.missing += u64::from(missing);
                self.conflicts += conflicts;
                let of_kind = Kind::ALL.iter().zip(&mut self.latencies).find(|(of, _)| **of == kind);
                if let Some((_, latencies)) = of_kind {
                    latencies.saturating_record(microseconds(took));
                }
                return;
            }
            Ending::Status(status) => status.to_string(),
            Ending::Failed(error) => error.to_string(),
        };
        *self.errors.entry(error).or_default() += 1;
    }
}

impl Slice {
    fn new() -> Self {
        Self { latencies: new_histogram(), errors: 0 }
    }
}

impl Recorder {
    /// One that also keeps slices, if asked to.
    pub(crate) fn new(slices: bool) -> Self {
        Self { recorded: Mutex::new((Counts::new(), slices.then(Slice::new))) }
    }

    /// Notes one operation; in an open loop also how long after it was due it began.
    pub(crate) fn record(&self, kind: Kind, took: Duration, delay: Option<StartDelay>, ending: Ending) {
        let (counts, slice) = &mut *self.lock();
        counts.record(kind, took, ending);
        if let Some(StartDelay { delay, was_free }) = delay {
            counts.start_delays.saturating_record(microseconds(delay));
            if was_free {
                counts.driver_delays.saturating_record(microseconds(delay));
            }
        }
        if let Some(slice) = slice {
            match ending {
                Ending::Answered { .. } => slice.latencies.saturating_record(microseconds(took)),
                Ending::Status(_) | Ending::Failed(_) => slice.errors += 1,
            }
        }
    }

    /// What was seen since the last time; nothing if slices are not kept.
    pub(crate) fn take_slice(&self) -> Option<Slice> {
        self.lock().1.as_mut().map(|slice| std::mem::replace(slice, Slice::new()))
    }

    /// All that was seen.
    pub(crate) fn take(&self) -> Counts {
        std::mem::replace(&mut self.lock().0, Counts::new())
    }

    fn lock(&self) -> MutexGuard<'_, (Counts, Option<Slice>)> {
        self.recorded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Three significant digits from 1 µs to a minute.
pub(crate) fn new_histogram() -> Histogram<u64> {
    #[expect(clippy::expect_used, reason = "constant bounds that the type accepts")]
    Histogram::new_with_bounds(1, TIME_US_MAX, 3).expect("constant bounds")
}

/// A time as histograms take it.
pub(crate) fn microseconds(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOOK: Duration = Duration::from_micros(300);

    fn answered(missing: bool, conflicts: u64) -> Ending {
        Ending::Answered { missing, conflicts }
    }

    #[test]
    fn counts_tell_answers_from_errors_and_kinds_from_each_other() {
        let mut counts = Counts::new();
        counts.record(Kind::Get, TOOK, answered(false, 0));
        counts.record(Kind::Get, TOOK, answered(true, 0));
        counts.record(Kind::ReadModifyWrite, TOOK, answered(false, 2));
        counts.record(Kind::Put, TOOK, Ending::Status(503));
        counts.record(Kind::Put, TOOK, Ending::Failed(CallError::Lost));
        assert_eq!(counts.latencies.each_ref().map(Histogram::len), [2, 0, 0, 0, 1]);
        assert_eq!((counts.answered(), counts.missing, counts.conflicts), (3, 1, 2));
        assert_eq!((counts.errors["503"], counts.errors["connection lost"]), (1, 1));
    }

    #[test]
    fn slice_holds_what_came_since_the_last_one() {
        let recorder = Recorder::new(true);
        let delay = |was_free| Some(StartDelay { delay: TOOK, was_free });
        recorder.record(Kind::Get, TOOK, delay(true), answered(false, 0));
        recorder.record(Kind::Get, TOOK, delay(false), Ending::Status(504));
        let slice = recorder.take_slice().unwrap();
        assert_eq!((slice.latencies.len(), slice.errors), (1, 1));
        assert_eq!(recorder.take_slice().unwrap().latencies.len(), 0);
        let counts = recorder.take();
        assert_eq!(counts.answered(), 1, "slices take nothing from the whole");
        assert_eq!((counts.start_delays.len(), counts.driver_delays.len()), (2, 1));
        assert!(Recorder::new(false).take_slice().is_none());
    }
}
