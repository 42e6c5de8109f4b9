//! The result of a measurement.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::bench::cpu::Used;
use crate::bench::worker::Counts;
use crate::bench::{BenchArgs, Distribution, Workload};
use crate::output;

/// The result of a measurement, as `--json` prints it.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    workload: Workload,
    distribution: Distribution,
    keys: u64,
    value_bytes: u32,
    connections: u16,
    seed: u64,
    seconds: f64,
    operations: u64,
    operations_per_second: f64,
    /// Reads of keys that do not exist.
    missing: u64,
    errors: BTreeMap<String, u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    get: Option<Latencies>,
    #[serde(skip_serializing_if = "Option::is_none")]
    put: Option<Latencies>,
    processes: Vec<Process>,
}

/// How long one kind of request took, in microseconds.
#[derive(Debug, Serialize)]
struct Latencies {
    count: u64,
    mean_us: f64,
    p50_us: u64,
    p90_us: u64,
    p99_us: u64,
    p999_us: u64,
    max_us: u64,
}

/// What one process used.
#[derive(Debug, Serialize)]
struct Process {
    #[serde(flatten)]
    used: Used,
    /// CPU time for each operation that was answered, of reads and writes together.
    cpu_us_per_operation: f64,
}

impl Report {
    /// Of these counts over this time.
    pub(crate) fn new(args: &BenchArgs, seconds: f64, counts: &Counts, used: Vec<Used>) -> Self {
        let operations = counts.answered();
        let per_operation = |seconds: f64| seconds * 1e6 / as_f64(operations.max(1));
        Self {
            workload: args.workload,
            distribution: args.distribution,
            keys: args.keys,
            value_bytes: args.value_bytes,
            connections: args.connections,
            seed: args.seed,
            seconds,
            operations,
            operations_per_second: as_f64(operations) / seconds.max(f64::MIN_POSITIVE),
            missing: counts.missing,
            errors: counts.errors.clone(),
            get: Latencies::of(&counts.gets),
            put: Latencies::of(&counts.puts),
            processes: used
                .into_iter()
                .map(|used| Process { cpu_us_per_operation: per_operation(used.cpu_seconds), used })
                .collect(),
        }
    }

    /// The result as tables.
    pub(crate) fn render(&self) -> String {
        let errors: u64 = self.errors.values().sum();
        let mut text = format!(
            "{} operations in {:.1} s: {:.0} a second, {errors} error(s), {} read(s) of absent keys\n\n",
            self.operations, self.seconds, self.operations_per_second, self.missing
        );
        text.push_str(&output::table(&self.latency_rows()));
        if !self.errors.is_empty() {
            let rows: Vec<_> =
                self.errors.iter().map(|(kind, count)| vec![kind.clone(), count.to_string()]).collect();
            text.push_str(&format!("\nerrors:\n{}", output::table(&rows)));
        }
        text.push('\n');
        text.push_str(&output::table(&self.process_rows()));
        text
    }

    fn latency_rows(&self) -> Vec<Vec<String>> {
        let header = ["LATENCY (ms)", "COUNT", "MEAN", "P50", "P90", "P99", "P99.9", "MAX"];
        let mut rows = vec![header.map(str::to_owned).to_vec()];
        for (name, latencies) in [("get", &self.get), ("put", &self.put)] {
            let Some(latencies) = latencies else { continue };
            let mut row =
                vec![name.to_owned(), latencies.count.to_string(), format!("{:.2}", latencies.mean_us / 1e3)];
            let percentiles =
                [latencies.p50_us, latencies.p90_us, latencies.p99_us, latencies.p999_us, latencies.max_us];
            row.extend(percentiles.map(|us| format!("{:.2}", as_f64(us) / 1e3)));
            rows.push(row);
        }
        rows
    }

    fn process_rows(&self) -> Vec<Vec<String>> {
        let header = ["PROCESS", "CPU (s)", "CPU/OP (us)", "CORES", "MEMORY (MiB)"];
        let mut rows = vec![header.map(str::to_owned).to_vec()];
        for process in &self.processes {
            let used = &process.used;
            rows.push(vec![
                format!("{} {}", used.role, used.id),
                format!("{:.2}", used.cpu_seconds),
                format!("{:.1}", process.cpu_us_per_operation),
                format!("{:.2}", used.cpu_seconds / self.seconds.max(f64::MIN_POSITIVE)),
                format!("{:.1}", as_f64(used.rss_bytes) / 1_048_576.0),
            ]);
        }
        rows
    }
}

impl Latencies {
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

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn as_f64(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};

    #[test]
    fn report_divides_cpu_time_by_answered_operations() {
        let Command::Bench(args) = Cli::try_parse_from(["roundtable", "bench"]).unwrap().command else {
            panic!("a bench");
        };
        let mut counts = Counts::new();
        counts.gets.record_n(250, 500).unwrap();
        counts.puts.record_n(1500, 500).unwrap();
        counts.errors.insert("503".into(), 2);
        let used =
            Used { role: "node".into(), id: "n1".into(), pid: 9, cpu_seconds: 0.05, rss_bytes: 3 << 20 };
        let report = Report::new(&args, 2.0, &counts, vec![used]);
        assert_eq!((report.operations, report.operations_per_second), (1000, 500.0));
        assert!((report.processes[0].cpu_us_per_operation - 50.0).abs() < 1e-9);
        let text = report.render();
        assert!(text.contains("1000 operations in 2.0 s: 500 a second, 2 error(s)"), "{text}");
        assert!(text.contains("node n1"), "{text}");
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["processes"][0]["id"], "n1");
        assert_eq!(json["get"]["count"], 500);
    }
}
