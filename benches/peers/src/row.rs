//! A case of a system: its windows, and the medians over them.

use serde::{Deserialize, Serialize};

use crate::case::{Case, System};
use crate::load::LoadReport;
use crate::statistics::median;

/// One run of a load in one case.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Window {
    /// What the load tool saw.
    #[serde(flatten)]
    pub(crate) load: LoadReport,
    /// From the first look at the processes to the second: the load tool's start included.
    pub(crate) wall_s: f64,
    /// User and system time of all servers.
    pub(crate) server_cpu_s: f64,
    /// The same of the load tool.
    pub(crate) load_cpu_s: f64,
    /// The same of everything else on the machine.
    pub(crate) other_cpu_s: f64,
    /// Taken by the host of a virtual machine.
    pub(crate) steal_s: f64,
    /// Resident memory of all servers at the end.
    pub(crate) rss_bytes: u64,
}

/// All windows of one system in one case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) system: System,
    #[serde(flatten)]
    pub(crate) case: Case,
    pub(crate) windows: Vec<Window>,
}

/// The columns of the tables: medians over the windows, each taken by itself.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Medians {
    pub(crate) ops_per_s: f64,
    /// Half of the distance between the slowest and the fastest window, of the median.
    pub(crate) ops_spread_percent: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p90_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) p999_ms: f64,
    pub(crate) cpu_us_per_op: f64,
    pub(crate) load_cpu_us_per_op: f64,
    /// Threads' worth of processor time that the load tool used.
    pub(crate) load_threads_busy: f64,
    /// Processors' worth of time that neither servers nor load tool used.
    pub(crate) other_cores_busy: f64,
    pub(crate) rss_mib: f64,
}

impl Row {
    /// Of what was measured; zeros if nothing was.
    pub(crate) fn medians(&self) -> Medians {
        let of = |value: fn(&Window) -> f64| median(self.windows.iter().map(value)).unwrap_or_default();
        let ops_per_s = of(Window::ops_per_s);
        let rates = || self.windows.iter().map(Window::ops_per_s);
        let range = rates().fold(0.0, f64::max) - rates().fold(f64::INFINITY, f64::min);
        Medians {
            ops_per_s,
            ops_spread_percent: if ops_per_s > 0.0 { 50.0 * range / ops_per_s } else { 0.0 },
            p50_ms: of(|window| window.load.p50_us as f64 / 1e3),
            p90_ms: of(|window| window.load.p90_us as f64 / 1e3),
            p99_ms: of(|window| window.load.p99_us as f64 / 1e3),
            p999_ms: of(|window| window.load.p999_us as f64 / 1e3),
            cpu_us_per_op: of(|window| window.per_op_us(window.server_cpu_s)),
            load_cpu_us_per_op: of(|window| window.per_op_us(window.load_cpu_s)),
            load_threads_busy: of(|window| window.load_cpu_s / window.seconds()),
            other_cores_busy: of(|window| window.other_cpu_s / window.wall_s),
            rss_mib: of(|window| window.rss_bytes as f64 / f64::from(1 << 20)),
        }
    }

    /// Everything that went wrong in any window.
    pub(crate) fn errors(&self) -> u64 {
        self.windows.iter().map(|window| window.load.errors()).sum()
    }
}

impl Window {
    fn seconds(&self) -> f64 {
        self.load.duration_us.max(1) as f64 / 1e6
    }

    fn ops_per_s(&self) -> f64 {
        self.load.succeeded() as f64 / self.seconds()
    }

    fn per_op_us(&self, seconds: f64) -> f64 {
        seconds * 1e6 / self.load.succeeded().max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use crate::case::{Operation, System};
    use crate::results::tests::{row, window};

    #[test]
    fn medians_are_taken_column_by_column() {
        let windows = vec![window(1000, 9, 10, 50.0), window(3000, 8, 30, 40.0), window(2000, 7, 20, 90.0)];
        let row = row(System::Redis, Operation::Put, 64, windows);
        let medians = row.medians();
        assert_eq!((medians.ops_per_s, medians.p50_ms, medians.p99_ms), (2000.0, 0.008, 0.02));
        assert_eq!(medians.ops_spread_percent, 50.0, "1000 to 3000 is 2000 ± 1000");
        assert!((medians.cpu_us_per_op - 50.0).abs() < 1e-9, "{medians:?}");
        assert_eq!(medians.load_threads_busy, 0.25);
    }
}
