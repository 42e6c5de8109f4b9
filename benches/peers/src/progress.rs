//! What the person in front of it sees while it runs.

use std::io::Write as _;
use std::time::Instant;

use crate::report::number;
use crate::row::Row;

/// Counts cases.
#[derive(Debug)]
pub(crate) struct Progress {
    begun: Instant,
    cases: usize,
    done: usize,
}

impl Progress {
    /// So many cases are to come.
    pub(crate) fn new(cases: usize) -> Self {
        Self { begun: Instant::now(), cases, done: 0 }
    }

    /// A line with the time passed.
    pub(crate) fn say(&self, what: &str) {
        let seconds = self.begun.elapsed().as_secs();
        // Nobody may be looking any more; the results are in files.
        let _shown = writeln!(std::io::stdout(), "{:02}:{:02} {what}", seconds / 60, seconds % 60);
    }

    /// One more case is measured.
    pub(crate) fn done(&mut self, row: &Row) {
        self.done += 1;
        let medians = row.medians();
        let errors = match row.errors() {
            0 => String::new(),
            errors => format!(", {errors} ERRORS"),
        };
        self.say(&format!(
            "{}/{} {}: {}: {} ops/s, p50 {} ms, p99 {} ms, {} µs/op{errors}",
            self.done,
            self.cases,
            row.system.name(),
            row.case.describe(),
            number(medians.ops_per_s),
            number(medians.p50_ms),
            number(medians.p99_ms),
            number(medians.cpu_us_per_op),
        ));
    }
}
