//! What was measured, as it is kept: `data/peers.json` whole, `data/peers.csv` as a table of medians.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::case::{Case, Distribution, Operation, System};
use crate::failure::{Doing as _, Failure};
use crate::machine::Machine;
use crate::matrix::{MAIN_VALUE_BYTES, Matrix};
use crate::row::{Medians, Row};

/// How it was measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Settings {
    pub(crate) matrix: Matrix,
    /// Whether cases or systems were left out of the matrix.
    pub(crate) is_selection: bool,
    pub(crate) keys: u32,
    pub(crate) windows: u32,
    pub(crate) window_s: u32,
    pub(crate) warmup_s: u32,
    pub(crate) load_threads: u32,
}

/// A whole run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Results {
    /// The day of the run.
    pub(crate) date: String,
    pub(crate) machine: Machine,
    /// Name and version.
    pub(crate) versions: Vec<(String, String)>,
    pub(crate) settings: Settings,
    pub(crate) rows: Vec<Row>,
    /// What happened that a reader should know.
    pub(crate) notes: Vec<String>,
}

impl Results {
    /// The row of this system under this load.
    pub(crate) fn row(&self, system: System, case: &Case) -> Option<&Row> {
        self.rows.iter().find(|row| row.system == system && row.case == *case)
    }

    /// The row with the size and the keys that targets and plots are about.
    pub(crate) fn main_row(&self, system: System, operation: Operation, connections: u32) -> Option<&Row> {
        let (value_bytes, distribution) = (MAIN_VALUE_BYTES, Distribution::Uniform);
        self.row(system, &Case { value_bytes, operation, distribution, connections })
    }

    /// The systems that were measured, in the order of the tables.
    pub(crate) fn systems(&self) -> Vec<System> {
        let mut systems: Vec<System> = self.rows.iter().map(|row| row.system).collect();
        systems.sort();
        systems.dedup();
        systems
    }

    /// Writes both files into the folder.
    pub(crate) fn write(&self, folder: &Path) -> Result<(), Failure> {
        fs::create_dir_all(folder).doing(|| format!("making {}", folder.display()))?;
        let path = folder.join("peers.json");
        let text = serde_json::to_string_pretty(self).doing(|| "writing the results")?;
        fs::write(&path, text + "\n").doing(|| format!("writing {}", path.display()))?;
        let path = folder.join("peers.csv");
        self.write_csv(&path).doing(|| format!("writing {}", path.display()))
    }

    fn write_csv(&self, path: &Path) -> csv::Result<()> {
        #[derive(Serialize)]
        struct Line<'a>(System, &'a Case, Medians, u64);
        // The header is written here: the serializer makes none for a tuple.
        let mut file = csv::WriterBuilder::new().has_headers(false).from_path(path)?;
        file.write_record([
            "system",
            "value_bytes",
            "operation",
            "distribution",
            "connections",
            "ops_per_s",
            "ops_spread_percent",
            "p50_ms",
            "p90_ms",
            "p99_ms",
            "p999_ms",
            "cpu_us_per_op",
            "load_cpu_us_per_op",
            "load_threads_busy",
            "other_cores_busy",
            "rss_mib",
            "errors",
        ])?;
        for row in &self.rows {
            file.serialize(Line(row.system, &row.case, row.medians(), row.errors()))?;
        }
        Ok(file.flush()?)
    }

    /// Reads `peers.json` back.
    pub(crate) fn read(folder: &Path) -> Result<Self, Failure> {
        let path = folder.join("peers.json");
        let reading = || format!("reading {}", path.display());
        let text = fs::read_to_string(&path).doing(reading)?;
        serde_json::from_str(&text).doing(reading)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::load::LoadReport;
    use crate::row::Window;

    /// A window of one second.
    pub(crate) fn window(ops: u64, p50_us: u64, p99_us: u64, cpu_us_per_op: f64) -> Window {
        Window {
            load: LoadReport {
                answered: ops,
                refused: 0,
                broken: 0,
                duration_us: 1_000_000,
                p50_us,
                p90_us: p99_us,
                p99_us,
                p999_us: p99_us,
                max_us: p99_us,
            },
            wall_s: 1.0,
            server_cpu_s: cpu_us_per_op * ops as f64 / 1e6,
            load_cpu_s: 0.25,
            other_cpu_s: 0.01,
            steal_s: 0.0,
            rss_bytes: 100 << 20,
        }
    }

    /// A row of the main size and keys.
    pub(crate) fn row(system: System, operation: Operation, connections: u32, windows: Vec<Window>) -> Row {
        let (value_bytes, distribution) = (MAIN_VALUE_BYTES, Distribution::Uniform);
        Row { system, case: Case { value_bytes, operation, distribution, connections }, windows }
    }

    /// Results with these rows.
    pub(crate) fn results(rows: Vec<Row>) -> Results {
        Results {
            date: "2026-01-02".into(),
            machine: Machine {
                processor: "A processor".into(),
                cores: 2,
                memory_gib: 24.0,
                distribution: "A distribution".into(),
                kernel: "6.1".into(),
                disk: "ext4 on /dev/disk".into(),
                syncs_per_s: 5000.0,
                load_before: 0.1,
            },
            versions: vec![("wrk".into(), "4.1".into())],
            settings: Settings {
                matrix: Matrix::Standard,
                is_selection: false,
                keys: 20_000,
                windows: 3,
                window_s: 4,
                warmup_s: 1,
                load_threads: 1,
            },
            rows,
            notes: Vec::new(),
        }
    }

    #[test]
    fn results_are_read_back_and_have_a_csv() {
        let mut spoiled = window(1000, 1, 2, 30.0);
        spoiled.load.refused = 10;
        let rows = vec![
            row(System::Roundtable, Operation::Get, 1, vec![spoiled]),
            row(System::EtcdGrpc, Operation::Get, 1, vec![window(500, 2, 3, 100.0)]),
        ];
        let results = results(rows);
        let folder = tempfile::tempdir().unwrap();
        results.write(folder.path()).unwrap();
        assert_eq!(Results::read(folder.path()).unwrap(), results);
        let csv = fs::read_to_string(folder.path().join("peers.csv")).unwrap();
        let mut lines = csv.lines();
        assert_eq!(lines.next().unwrap().split(',').count(), 17);
        let line = lines.next().unwrap();
        assert!(line.starts_with("roundtable,1024,get,uniform,1,990.0,0.0,0.001,"), "{line}");
        assert!(line.ends_with(",100.0,10"), "{line}");
        assert_eq!(line.split(',').count(), 17);
    }
}
