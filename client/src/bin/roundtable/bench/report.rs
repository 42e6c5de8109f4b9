//! The result of a measurement, as `--json` prints it.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::bench::args::{Arrivals, BenchArgs, Distribution, Workload};
use crate::bench::measure::{Measured, OpenLoopMeasured};
use crate::bench::recorder::Counts;
use crate::bench::usage::{DRIVER, Used};
use crate::bench::workload::{Kind, Shape};

/// What a line of output is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Line {
    /// What happened in one interval of a run.
    Interval,
    /// A run.
    Run,
    /// Of each figure the median over all runs with the same number of connections.
    Median,
}

/// The result of a measurement.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) line: Line,
    /// The number of the run, from 1; of medians, how many there were.
    pub(crate) run: u16,
    pub(crate) workload: Workload,
    pub(crate) distribution: Distribution,
    pub(crate) theta: f64,
    pub(crate) keys: u64,
    pub(crate) value_bytes: u32,
    pub(crate) connections: u16,
    pub(crate) threads: u16,
    pub(crate) seed: u64,
    pub(crate) seconds: f64,
    /// Operations that were answered.
    pub(crate) operations: u64,
    pub(crate) operations_per_second: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) open_loop: Option<OpenLoop>,
    /// Reads of keys that do not exist.
    pub(crate) missing: u64,
    /// Attempts of read-modify-writes that another write came between.
    pub(crate) conflicts: u64,
    pub(crate) errors: BTreeMap<String, u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) get: Option<Times>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) put: Option<Times>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) insert: Option<Times>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) scan: Option<Times>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) read_modify_write: Option<Times>,
    /// CPU time of all processes but the driver for each operation that was answered.
    pub(crate) cpu_us_per_operation: f64,
    pub(crate) processes: Vec<Process>,
    /// What makes the figures say less than they seem to.
    pub(crate) warnings: Vec<String>,
}

/// What is known beside when operations are due at a rate.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct OpenLoop {
    /// Operations a second that were asked for.
    pub(crate) rate: u32,
    pub(crate) arrivals: Arrivals,
    /// Operations that were due.
    pub(crate) due: u64,
    /// Operations that were due and never began, as too many waited or the time was over.
    pub(crate) not_started: u64,
    /// How long after they were due operations began; part of their latency.
    pub(crate) start_delay: Option<Times>,
    /// The start delay of those operations for which a connection was free when they were due: the driver's own fault.
    pub(crate) driver_delay: Option<Times>,
}

/// How long something took, in microseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Times {
    pub(crate) count: u64,
    pub(crate) mean_us: f64,
    pub(crate) p50_us: u64,
    pub(crate) p90_us: u64,
    pub(crate) p99_us: u64,
    pub(crate) p999_us: u64,
    pub(crate) max_us: u64,
}

/// What one process used.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Process {
    #[serde(flatten)]
    pub(crate) used: Used,
    /// User and system time.
    pub(crate) cpu_seconds: f64,
    /// CPU time for each operation that was answered, of all kinds together.
    pub(crate) cpu_us_per_operation: f64,
}

impl Report {
    /// Of one run.
    pub(crate) fn new(
        args: &BenchArgs,
        shape: &Shape,
        connections: u16,
        run: u16,
        measured: Measured,
    ) -> Self {
        let Measured { seconds, counts, used, open_loop } = measured;
        let operations = counts.answered();
        let per_operation = |cpu_seconds: f64| cpu_seconds * 1e6 / as_f64(operations.max(1));
        let servers = used.iter().filter(|used| used.role != DRIVER);
        let [get, put, insert, scan, read_modify_write] = counts.latencies.each_ref().map(Times::of);
        const { assert!(Kind::ALL.len() == 5) };
        Self {
            line: Line::Run,
            run,
            workload: args.workload,
            distribution: shape.distribution,
            theta: shape.theta,
            keys: shape.keys,
            value_bytes: shape.value_bytes,
            connections,
            threads: args.threads,
            seed: args.seed,
            seconds,
            operations,
            operations_per_second: as_f64(operations) / seconds.max(f64::MIN_POSITIVE),
            open_loop: open_loop.map(|open_loop| OpenLoop::new(&open_loop, &counts)),
            missing: counts.missing,
            conflicts: counts.conflicts,
            errors: counts.errors,
            get,
            put,
            insert,
            scan,
            read_modify_write,
            cpu_us_per_operation: per_operation(servers.map(Used::cpu_seconds).sum()),
            processes: used
                .into_iter()
                .map(|used| Process {
                    cpu_seconds: used.cpu_seconds(),
                    cpu_us_per_operation: per_operation(used.cpu_seconds()),
                    used,
                })
                .collect(),
            warnings: Vec::new(),
        }
        .with_warnings()
    }

    /// The kinds of operations that there were, by name.
    pub(crate) fn kinds(&self) -> impl Iterator<Item = (&'static str, &Times)> {
        let all = [
            ("get", &self.get),
            ("put", &self.put),
            ("insert", &self.insert),
            ("scan", &self.scan),
            ("read-modify-write", &self.read_modify_write),
        ];
        all.into_iter().filter_map(|(name, times)| times.as_ref().map(|times| (name, times)))
    }
}

impl OpenLoop {
    fn new(measured: &OpenLoopMeasured, counts: &Counts) -> Self {
        Self {
            rate: measured.rate,
            arrivals: measured.arrivals,
            due: measured.due,
            not_started: measured.not_started,
            start_delay: Times::of(&counts.start_delays),
            driver_delay: Times::of(&counts.driver_delays),
        }
    }
}

impl Times {
    fn of(histogram: &Histogram<u64>) -> Option<Self> {
        (!histogram.is_empty()).then(|| Self {
            count: histogram.len(),
            mean_us: histogram.mean(),
            p50_us: histogram.value_at_quantile(0.5),
            p90_us: histogram.value_at_quantile(0.9),
            p99_us: histogram.value_at_quantile(0.99),
            p999_us: histogram.value_at_quantile(0.999),
            max_us: histogram.max(),
        })
    }
}

/// For people's eyes.
#[expect(clippy::cast_precision_loss, reason = "figures for people")]
pub(crate) fn as_f64(number: u64) -> f64 {
    number as f64
}

/// Bytes for people's eyes.
pub(crate) fn mebibytes(bytes: u64) -> f64 {
    as_f64(bytes) / 1_048_576.0
}

#[cfg(test)]
pub(crate) mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};

    /// What a process used in so many seconds of CPU time, a fifth of them in the system.
    pub(crate) fn used(role: &str, id: &str, cpu_seconds: f64) -> Used {
        Used {
            role: role.into(),
            id: id.into(),
            pid: 9,
            cpu_user_seconds: cpu_seconds * 0.8,
            cpu_system_seconds: cpu_seconds * 0.2,
            rss_start_bytes: 2 << 20,
            rss_bytes: 3 << 20,
            rss_peak_bytes: 4 << 20,
        }
    }

    /// Two seconds of 500 gets and 500 puts, with two refusals.
    pub(crate) fn measured() -> Measured {
        let mut counts = Counts::new();
        counts.latencies[0].record_n(250, 500).unwrap();
        counts.latencies[1].record_n(1500, 500).unwrap();
        counts.errors.insert("503".into(), 2);
        let used = vec![used("node", "n1", 0.05), used("router", "r1", 0.03), used(DRIVER, "bench", 0.02)];
        Measured { seconds: 2.0, counts, used, open_loop: None }
    }

    /// The same with operations that were due at 600 a second.
    pub(crate) fn measured_open_loop(not_started: u64, lateness_us: u64) -> Measured {
        let open_loop = OpenLoopMeasured { rate: 600, arrivals: Arrivals::Constant, due: 1200, not_started };
        let mut measured = measured();
        measured.counts.start_delays.record_n(70, 1002).unwrap();
        measured.counts.driver_delays.record_n(lateness_us, 1000).unwrap();
        Measured { open_loop: Some(open_loop), ..measured }
    }

    pub(crate) fn report(measured: Measured) -> Report {
        let Command::Bench(args) = Cli::try_parse_from(["roundtable", "bench"]).unwrap().command else {
            panic!("a bench");
        };
        Report::new(&args, &Shape::new(&args).unwrap(), 32, 1, measured)
    }

    #[test]
    fn report_divides_cpu_time_by_answered_operations() {
        let report = report(measured());
        assert_eq!((report.operations, report.operations_per_second), (1000, 500.0));
        assert!((report.processes[0].cpu_us_per_operation - 50.0).abs() < 1e-9);
        assert!((report.cpu_us_per_operation - 80.0).abs() < 1e-9, "the driver does not count");
    }

    #[test]
    fn json_has_the_documented_members() {
        const REFERENCE: &str = include_str!("../../../../../docs/cli.md");
        let json = serde_json::to_value(report(measured_open_loop(198, 50))).unwrap();
        assert_eq!((&json["line"], &json["get"]["count"]), (&"run".into(), &500.into()));
        assert_eq!(json["open_loop"]["not_started"], 198);
        assert_eq!(json["processes"][1]["cpu_user_seconds"], 0.03 * 0.8);
        let members =
            |value: &serde_json::Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        let nested = [&json["open_loop"], &json["get"], &json["processes"][0]];
        for name in nested.into_iter().flat_map(members).chain(members(&json)) {
            assert!(REFERENCE.contains(&format!("\"{name}\"")), "docs/cli.md lacks the member {name:?}");
        }
    }
}
