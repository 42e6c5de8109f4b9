//! Says once that connections can't be accepted, and once that they can again.

use std::io;
use std::time::{Duration, Instant};

/// Failures that are so far apart belong to two troubles.
const QUIET_MIN: Duration = Duration::from_secs(1);

/// A trouble that goes on, or none.
#[derive(Debug, Default)]
pub(super) struct Failures(Option<Trouble>);

/// A trouble from its first failure on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Trouble {
    /// The system's number for it.
    code: Option<i32>,
    failures: u64,
    first: Instant,
    last: Instant,
}

/// A trouble that is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ended {
    /// How often accepting failed.
    pub(super) failures: u64,
    /// From the first failure to the last.
    pub(super) lasted: Duration,
}

impl Failures {
    /// Accepting failed. Returns whether that is news.
    pub(super) fn failed(&mut self, now: Instant, error: &io::Error) -> bool {
        let code = error.raw_os_error();
        match &mut self.0 {
            Some(trouble) if trouble.code == code => {
                trouble.failures += 1;
                trouble.last = now;
                false
            }
            _ => {
                self.0 = Some(Trouble { code, failures: 1, first: now, last: now });
                true
            }
        }
    }

    /// A connection was accepted. Returns the trouble that is over: one that still lets single connections through
    /// is not.
    pub(super) fn accepted(&mut self, now: Instant) -> Option<Ended> {
        let over = self.0.take_if(|trouble| now.saturating_duration_since(trouble.last) >= QUIET_MIN)?;
        Some(Ended { failures: over.failures, lasted: over.last - over.first })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_is_told_once_at_its_start_and_once_at_its_end_with_a_count() {
        let (out_of_files, out_of_memory) =
            (io::Error::from_raw_os_error(24), io::Error::from_raw_os_error(12));
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let mut failures = Failures::default();
        assert_eq!(failures.accepted(at(0)), None);
        assert!(failures.failed(at(0), &out_of_files));
        for number in 1..100 {
            assert!(!failures.failed(at(50 * number), &out_of_files));
            assert_eq!(failures.accepted(at(50 * number + 20)), None, "one got through");
        }
        let ended = Ended { failures: 100, lasted: Duration::from_millis(50 * 99) };
        assert_eq!(failures.accepted(at(50 * 99 + 1_000)), Some(ended));
        assert_eq!(failures.accepted(at(20_000)), None);
        assert!(failures.failed(at(30_000), &out_of_files));
        assert!(failures.failed(at(30_050), &out_of_memory), "another trouble");
    }
}
