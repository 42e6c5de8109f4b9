//! Results as tables.

use clap::ValueEnum;

use crate::bench::report::{Line, Report, Times, as_f64, mebibytes};
use crate::bench::usage::DRIVER;
use crate::output;

impl Report {
    /// The result as tables.
    pub(crate) fn render(&self) -> String {
        let errors: u64 = self.errors.values().sum();
        let mut text = self.title();
        text.push_str(&format!(
            "{} operations in {:.1} s: {:.0} a second, {errors} error(s), {} read(s) of absent keys, {} conflict(s)\n",
            self.operations, self.seconds, self.operations_per_second, self.missing, self.conflicts
        ));
        if let Some(open_loop) = &self.open_loop {
            text.push_str(&format!(
                "open loop: {} a second were asked for, {} operations were due, {} of them never started\n",
                open_loop.rate, open_loop.due, open_loop.not_started
            ));
        }
        text.push('\n');
        text.push_str(&output::table(&self.latency_rows()));
        if !self.errors.is_empty() {
            let rows: Vec<_> =
                self.errors.iter().map(|(kind, count)| vec![kind.clone(), count.to_string()]).collect();
            text.push_str(&format!("\nerrors:\n{}", output::table(&rows)));
        }
        text.push('\n');
        text.push_str(&output::table(&self.process_rows()));
        for warning in &self.warnings {
            text.push_str(&format!("\nwarning: {warning}\n"));
        }
        text
    }

    fn title(&self) -> String {
        let run = match self.line {
            Line::Median => format!("medians of {} runs", self.run),
            Line::Run | Line::Interval => format!("run {}", self.run),
        };
        format!(
            "{}, {} {} key(s), values of {} bytes, {} connection(s), {run}\n",
            name_of(&self.workload),
            self.keys,
            name_of(&self.distribution),
            self.value_bytes,
            self.connections
        )
    }

    fn latency_rows(&self) -> Vec<Vec<String>> {
        let mut rows = vec![row(["LATENCY (ms)", "COUNT", "MEAN", "P50", "P90", "P99", "P99.9", "MAX"])];
        rows.extend(self.kinds().map(|(name, times)| times.row(name)));
        if let Some(open_loop) = &self.open_loop {
            rows.extend(open_loop.start_delay.iter().map(|times| times.row("of it: until begun")));
            rows.extend(open_loop.driver_delay.iter().map(|times| times.row("of it: driver's own")));
        }
        rows
    }

    fn process_rows(&self) -> Vec<Vec<String>> {
        let header =
            ["PROCESS", "USER (s)", "SYSTEM (s)", "CORES", "CPU/OP (us)", "MEMORY (MiB)", "AT START", "PEAK"];
        let mut rows = vec![row(header)];
        for process in &self.processes {
            let used = &process.used;
            rows.push(vec![
                format!("{} {}", used.role, used.id),
                format!("{:.2}", used.cpu_user_seconds),
                format!("{:.2}", used.cpu_system_seconds),
                format!("{:.2}", process.cpu_seconds / self.seconds.max(f64::MIN_POSITIVE)),
                format!("{:.1}", process.cpu_us_per_operation),
                format!("{:.1}", mebibytes(used.rss_bytes)),
                format!("{:.1}", mebibytes(used.rss_start_bytes)),
                format!("{:.1}", mebibytes(used.rss_peak_bytes)),
            ]);
        }
        if self.processes.iter().any(|process| process.used.role != DRIVER) {
            let label = format!("all but {DRIVER}");
            rows.push(vec![
                label,
                "".into(),
                "".into(),
                "".into(),
                format!("{:.1}", self.cpu_us_per_operation),
            ]);
        }
        rows
    }
}

impl Times {
    fn row(&self, name: &str) -> Vec<String> {
        let mut row = vec![name.to_owned(), self.count.to_string(), format!("{:.2}", self.mean_us / 1e3)];
        let percentiles = [self.p50_us, self.p90_us, self.p99_us, self.p999_us, self.max_us];
        row.extend(percentiles.map(|us| format!("{:.2}", as_f64(us) / 1e3)));
        row
    }
}

/// One line for each result: what is compared between numbers of connections.
pub(crate) fn summary(reports: &[Report]) -> String {
    let mut rows = vec![row([
        "CONNECTIONS",
        "OPERATIONS/S",
        "CPU/OP (us)",
        "KIND",
        "P50 (ms)",
        "P99 (ms)",
        "P99.9 (ms)",
    ])];
    for report in reports {
        let mut first = vec![
            report.connections.to_string(),
            format!("{:.0}", report.operations_per_second),
            format!("{:.1}", report.cpu_us_per_operation),
        ];
        for (name, times) in report.kinds() {
            first.push(name.to_owned());
            first.extend(
                [times.p50_us, times.p99_us, times.p999_us].map(|us| format!("{:.2}", as_f64(us) / 1e3)),
            );
            rows.push(std::mem::replace(&mut first, vec![String::new(); 3]));
        }
    }
    output::table(&rows)
}

fn row<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.map(str::to_owned).to_vec()
}

/// As it is called on the command line.
fn name_of(value: &impl ValueEnum) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::report::tests::{measured, measured_open_loop, report};

    #[test]
    fn text_tells_rates_latencies_errors_and_processes() {
        let text = report(measured()).render();
        assert!(text.contains("1000 operations in 2.0 s: 500 a second, 2 error(s)"), "{text}");
        let columns = |label: &str| -> Vec<String> {
            let line = text.lines().find(|line| line.starts_with(label)).unwrap_or_else(|| panic!("{text}"));
            line.trim_start_matches(label).split_whitespace().map(str::to_owned).collect()
        };
        assert_eq!(columns("get"), ["500", "0.25", "0.25", "0.25", "0.25", "0.25", "0.25"]);
        assert_eq!(columns("503"), ["2"]);
        assert_eq!(columns("node n1"), ["0.04", "0.01", "0.03", "50.0", "3.0", "2.0", "4.0"]);
        assert_eq!(columns("all but driver"), ["80.0"]);
        assert!(!text.contains("insert") && !text.contains("open loop"), "{text}");
    }

    #[test]
    fn text_of_an_open_loop_tells_what_was_never_started_and_warns() {
        let text = report(measured_open_loop(198, 50)).render();
        for part in [
            "600 a second were asked for, 1200 operations were due, 198 of them never",
            "until begun",
            "\nwarning: ",
        ] {
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn summary_has_a_line_for_each_kind_of_each_result() {
        let text = summary(&[report(measured()), report(measured())]);
        assert_eq!(text.lines().count(), 5, "{text}");
        assert_eq!(text.lines().nth(1).unwrap().split_whitespace().count(), 7, "{text}");
    }
}
