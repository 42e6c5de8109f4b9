//! What a load tool reports, `wrk` and the drivers alike.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// What came of one run of a load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LoadReport {
    /// Requests that were answered, with whatever status.
    pub(crate) answered: u64,
    /// Those of them whose answer was an error.
    pub(crate) refused: u64,
    /// Connections and requests that failed without an answer in time.
    pub(crate) broken: u64,
    pub(crate) duration_us: u64,
    pub(crate) p50_us: u64,
    pub(crate) p90_us: u64,
    pub(crate) p99_us: u64,
    pub(crate) p999_us: u64,
    pub(crate) max_us: u64,
}

impl LoadReport {
    /// Out of what a load tool printed: the last line that is a JSON object.
    pub(crate) fn parse(output: &str) -> Result<Self, String> {
        let line = output.lines().rev().find(|line| line.starts_with('{'));
        let line = line.ok_or_else(|| format!("the load tool reported nothing: {output}"))?;
        serde_json::from_str(line).map_err(|error| format!("{error} in {line}"))
    }

    /// Of the latencies of all successful requests, in microseconds.
    ///
    /// `wrk` 4 fills in the requests that a stalled connection did not send meanwhile ("coordinated omission"), with the
    /// mean time between a connection's requests as the interval. So does this, or the two would not compare.
    pub(crate) fn of_latencies(
        latencies: &Histogram<u64>,
        refused: u64,
        broken: u64,
        connections: u64,
        duration_us: u64,
    ) -> Self {
        let answered = latencies.len() + refused;
        let per_connection = answered / connections.max(1);
        let corrected = match duration_us.checked_div(per_connection) {
            Some(interval) => latencies.clone_correct(interval),
            None => latencies.clone(),
        };
        let at = |quantile| corrected.value_at_quantile(quantile);
        Self {
            answered,
            refused,
            broken,
            duration_us,
            p50_us: at(0.5),
            p90_us: at(0.9),
            p99_us: at(0.99),
            p999_us: at(0.999),
            max_us: corrected.max(),
        }
    }

    /// Requests that succeeded.
    pub(crate) fn succeeded(&self) -> u64 {
        self.answered.saturating_sub(self.refused)
    }

    /// Everything that went wrong.
    pub(crate) fn errors(&self) -> u64 {
        self.refused + self.broken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OF_WRK: &str = r#"Running 1s test @ http://127.0.0.1:21000
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     4.32ms    2.01ms  21.00ms   81.10%
Requests/sec:  14000.00
{"answered":14100,"refused":2,"broken":1,"duration_us":1007142,"p50_us":4100,"p90_us":6000,"p99_us":9000,"p999_us":15000,"max_us":21000}
"#;

    #[test]
    fn report_of_wrk_is_the_line_of_its_script() {
        let report = LoadReport::parse(OF_WRK).unwrap();
        assert_eq!((report.succeeded(), report.errors(), report.p999_us), (14_098, 3, 15_000));
        assert!(LoadReport::parse("unable to connect").unwrap_err().contains("unable to connect"));
        assert!(LoadReport::parse("{\"answered\":1}").is_err());
    }

    #[test]
    fn stalls_are_filled_in_as_wrk_does() {
        let mut latencies = Histogram::<u64>::new_with_bounds(1, 60_000_000, 3).unwrap();
        // One connection for a second: 90 requests of 1 ms, and one that stalled for 910 ms.
        latencies.record_n(1000, 90).unwrap();
        latencies.record(910_000).unwrap();
        let report = LoadReport::of_latencies(&latencies, 0, 0, 1, 1_000_000);
        assert_eq!(report.answered, 91, "filled in requests count for latency alone");
        // An interval is 10,989 µs: the stall stands for 82 requests, of 910 ms, 899 ms and so on down to nothing.
        assert!(report.p50_us < 1_010 && report.p90_us > 700_000, "{report:?}");
        let nothing = Histogram::<u64>::new_with_bounds(1, 60_000_000, 3).unwrap();
        assert_eq!(LoadReport::of_latencies(&nothing, 0, 3, 4, 1).errors(), 3);
    }
}
