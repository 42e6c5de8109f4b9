//! What an import or an export did.

use std::time::Duration;

use serde::Serialize;

use crate::duration::short;

/// What an import or an export did.
#[derive(Debug, Default, Clone, PartialEq, Serialize)]
pub(crate) struct Tally {
    /// Records stored, or written to the file.
    pub(crate) done: u64,
    /// Records that failed.
    pub(crate) failed: u64,
    /// Records left out: blank lines, and records whose time to live is over.
    pub(crate) skipped: u64,
    /// Records that were under way when a signal came: they may have been stored.
    pub(crate) unfinished: u64,
    /// Bytes of the values done.
    pub(crate) value_bytes: u64,
    /// The slowest call, its repeats included, in milliseconds; zero for an export.
    pub(crate) slowest_ms: u64,
    /// How long it all took, in seconds.
    pub(crate) seconds: f64,
}

impl Tally {
    /// One more record is done.
    pub(crate) fn count(&mut self, value_bytes: usize, took: Duration) {
        self.done += 1;
        self.value_bytes += u64::try_from(value_bytes).unwrap_or(0);
        self.slowest_ms = self.slowest_ms.max(u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
    }

    /// All records that were looked at.
    pub(crate) fn total(&self) -> u64 {
        self.done + self.failed
    }

    /// Records done a second.
    pub(crate) fn rate(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let done = self.done as f64;
        if self.seconds > 0.0 { done / self.seconds } else { 0.0 }
    }

    /// The summary, beginning with `verb`: "imported" or "exported".
    pub(crate) fn summary(&self, verb: &str) -> String {
        let took = short(Duration::from_secs_f64(self.seconds));
        let mut text = format!("{verb} {} record(s) in {took}, {:.0} a second", self.done, self.rate());
        if self.slowest_ms > 0 {
            text.push_str(&format!("; the slowest took {} ms", self.slowest_ms));
        }
        if self.skipped > 0 {
            text.push_str(&format!("; {} skipped (blank or expired)", self.skipped));
        }
        if self.failed > 0 {
            text.push_str(&format!("; {} FAILED", self.failed));
        }
        if self.unfinished > 0 {
            text.push_str(&format!("; {} in doubt, which were under way", self.unfinished));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summary_names_what_was_left_out() {
        let mut tally = Tally { seconds: 2.0, ..Tally::default() };
        tally.count(10, Duration::from_millis(30));
        tally.count(10, Duration::from_millis(20));
        assert_eq!(
            tally.summary("imported"),
            "imported 2 record(s) in 2.00s, 1 a second; the slowest took 30 ms"
        );
        (tally.failed, tally.skipped) = (1, 3);
        assert!(tally.summary("imported").ends_with("; 3 skipped (blank or expired); 1 FAILED"));
        assert_eq!(tally.total(), 3);
    }
}
