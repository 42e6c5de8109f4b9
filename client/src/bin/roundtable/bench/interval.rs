//! The line that is printed in the course of a measurement.

use std::time::Duration;

use serde::Serialize;

use crate::bench::recorder::Slice;
use crate::bench::report::{Line, as_f64, mebibytes};
use crate::bench::usage::Used;
use crate::failure::Failure;
use crate::output;

/// What happened in one interval.
#[derive(Debug, Serialize)]
pub(crate) struct IntervalLine {
    line: Line,
    /// Since the end of the warm-up.
    seconds: f64,
    operations: u64,
    operations_per_second: f64,
    errors: u64,
    p50_us: u64,
    p99_us: u64,
    max_us: u64,
    processes: Vec<ProcessNow>,
}

/// A process at the end of the interval.
#[derive(Debug, Serialize)]
struct ProcessNow {
    role: String,
    id: String,
    /// How much of one processor it used in the interval.
    cores: f64,
    rss_bytes: u64,
}

impl IntervalLine {
    /// Of an interval that ended so long after the warm-up and took so long.
    pub(crate) fn new(elapsed: Duration, took: Duration, slice: &Slice, used: &[Used]) -> Self {
        let took_seconds = took.as_secs_f64().max(f64::MIN_POSITIVE);
        let latencies = &slice.latencies;
        Self {
            line: Line::Interval,
            seconds: elapsed.as_secs_f64(),
            operations: latencies.len(),
            operations_per_second: as_f64(latencies.len()) / took_seconds,
            errors: slice.errors,
            p50_us: latencies.value_at_quantile(0.5),
            p99_us: latencies.value_at_quantile(0.99),
            max_us: latencies.max(),
            processes: used
                .iter()
                .map(|used| ProcessNow {
                    role: used.role.clone(),
                    id: used.id.clone(),
                    cores: used.cpu_seconds() / took_seconds,
                    rss_bytes: used.rss_bytes,
                })
                .collect(),
        }
    }

    /// Prints it.
    pub(crate) fn print(&self, json: bool) -> Result<(), Failure> {
        if json { output::print_json(self) } else { output::print_line(&self.render()) }
    }

    fn render(&self) -> String {
        let milliseconds = |us| as_f64(us) / 1e3;
        let mut text = format!(
            "{:>7.1} s  {:>8.0}/s  p50 {:.2} ms  p99 {:.2} ms  max {:.2} ms  errors {}  MiB:",
            self.seconds,
            self.operations_per_second,
            milliseconds(self.p50_us),
            milliseconds(self.p99_us),
            milliseconds(self.max_us),
            self.errors
        );
        for process in &self.processes {
            text.push_str(&format!(" {} {:.1}", process.id, mebibytes(process.rss_bytes)));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::connection::CallError;
    use crate::bench::recorder::{Ending, Recorder};
    use crate::bench::report::tests::used;
    use crate::bench::workload::Kind;

    #[test]
    fn line_tells_rate_latency_and_memory_of_the_interval() {
        let recorder = Recorder::new(true);
        for _ in 0..500 {
            let answered = Ending::Answered { missing: false, conflicts: 0 };
            recorder.record(Kind::Get, Duration::from_micros(250), None, answered);
        }
        recorder.record(Kind::Get, Duration::from_micros(250), None, Ending::Failed(CallError::Lost));
        let slice = recorder.take_slice().unwrap();
        let (elapsed, took) = (Duration::from_secs(30), Duration::from_secs(10));
        let line = IntervalLine::new(elapsed, took, &slice, &[used("node", "n1", 5.0)]);
        assert_eq!(
            line.render(),
            "   30.0 s        50/s  p50 0.25 ms  p99 0.25 ms  max 0.25 ms  errors 1  MiB: n1 3.0"
        );
        let json = serde_json::to_value(&line).unwrap();
        assert_eq!(
            json,
            serde_json::json!({
                "line": "interval", "seconds": 30.0, "operations": 500, "operations_per_second": 50.0,
                "errors": 1, "p50_us": 250, "p99_us": 250, "max_us": 250,
                "processes": [{"role": "node", "id": "n1", "cores": 0.5, "rss_bytes": 3 << 20}],
            })
        );
    }
}
