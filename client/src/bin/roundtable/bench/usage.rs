//! CPU time and memory of processes, out of `/proc` (Linux; elsewhere nothing is reported).

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::up::processes::{self, ProcessEntry};

/// The role of `roundtable bench` itself among the processes.
pub(crate) const DRIVER: &str = "driver";

/// The processes to watch: those of the list, and this one.
#[derive(Debug)]
pub(crate) struct Watched {
    entries: Vec<ProcessEntry>,
}

/// What a process had used at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Usage {
    cpu_user: Duration,
    cpu_system: Duration,
    rss_bytes: u64,
    rss_peak_bytes: u64,
}

/// What a process used between two moments.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Used {
    pub(crate) role: String,
    pub(crate) id: String,
    pub(crate) pid: u32,
    /// Time in the program's own code.
    pub(crate) cpu_user_seconds: f64,
    /// Time in the system on the program's behalf.
    pub(crate) cpu_system_seconds: f64,
    /// Resident memory at the first moment.
    pub(crate) rss_start_bytes: u64,
    /// Resident memory at the second moment.
    pub(crate) rss_bytes: u64,
    /// The most resident memory since the process began.
    pub(crate) rss_peak_bytes: u64,
}

impl Used {
    /// User and system time.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        self.cpu_user_seconds + self.cpu_system_seconds
    }
}

impl Watched {
    /// The processes that this list names, and this one.
    pub(crate) fn new(list: Option<&Path>) -> Result<Self, Failure> {
        let mut entries = list.map_or(Ok(Vec::new()), processes::read)?;
        entries.push(ProcessEntry {
            role: DRIVER.to_owned(),
            id: "bench".to_owned(),
            pid: std::process::id(),
            address: String::new(),
        });
        Ok(Self { entries })
    }

    /// What each has used so far; nothing of a process that is gone.
    pub(crate) fn sample(&self) -> Vec<Option<Usage>> {
        self.entries.iter().map(|entry| usage(entry.pid)).collect()
    }

    /// What each used between two samples. A process that ended in between is left out.
    pub(crate) fn used(&self, before: &[Option<Usage>], after: &[Option<Usage>]) -> Vec<Used> {
        let samples = before.iter().zip(after);
        let both = self.entries.iter().zip(samples).filter_map(|(entry, sample)| match sample {
            (Some(before), Some(after)) => Some((entry, before, after)),
            _ => None,
        });
        let seconds = |from: Duration, to: Duration| to.saturating_sub(from).as_secs_f64();
        both.map(|(entry, before, after)| Used {
            role: entry.role.clone(),
            id: entry.id.clone(),
            pid: entry.pid,
            cpu_user_seconds: seconds(before.cpu_user, after.cpu_user),
            cpu_system_seconds: seconds(before.cpu_system, after.cpu_system),
            rss_start_bytes: before.rss_bytes,
            rss_bytes: after.rss_bytes,
            rss_peak_bytes: after.rss_peak_bytes,
        })
        .collect()
    }
}

fn usage(pid: u32) -> Option<Usage> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let (cpu_user, cpu_system) = cpu_times(&stat, rustix::param::clock_ticks_per_second())?;
    Some(Usage {
        cpu_user,
        cpu_system,
        rss_bytes: kibibytes(&status, "VmRSS:")?,
        rss_peak_bytes: kibibytes(&status, "VmHWM:")?,
    })
}

/// Reads `/proc/PID/stat` (proc(5)): the program's name is in parentheses and may hold anything; after it come the
/// fields from the third on. User time is the 14th, system time the 15th.
fn cpu_times(stat: &str, ticks_per_second: u64) -> Option<(Duration, Duration)> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(14 - 3);
    let mut time = || {
        let ticks = fields.next()?.parse::<u64>().ok()?;
        Some(Duration::from_millis(ticks.checked_mul(1000)?.checked_div(ticks_per_second)?))
    };
    Some((time()?, time()?))
}

/// Reads a line of `/proc/PID/status`, such as `VmRSS:  1234 kB`, in bytes.
fn kibibytes(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_of_a_program_with_an_odd_name_is_read() {
        let stat =
            "42 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 4 0 1000 99999 256 18446744073709551615 1";
        let times = (Duration::from_millis(1_500), Duration::from_millis(500));
        assert_eq!(cpu_times(stat, 100), Some(times));
        assert_eq!(cpu_times("42 (a) S 1", 100), None);
    }

    #[test]
    fn memory_lines_are_told_apart() {
        let status = "Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n";
        assert_eq!(kibibytes(status, "VmRSS:"), Some(1 << 20));
        assert_eq!(kibibytes(status, "VmHWM:"), Some(2 << 20));
        assert_eq!(kibibytes("Name:\tzombie\n", "VmRSS:"), None);
    }

    #[test]
    fn used_is_the_difference_and_leaves_out_the_dead() {
        let entry =
            |id: &str| ProcessEntry { role: "node".into(), id: id.into(), pid: 1, address: String::new() };
        let watched = Watched { entries: vec![entry("n1"), entry("n2")] };
        let usage = |seconds| {
            let cpu = Duration::from_secs(seconds);
            Some(Usage { cpu_user: cpu, cpu_system: cpu / 2, rss_bytes: seconds, rss_peak_bytes: 9 })
        };
        let used = watched.used(&[usage(2), usage(1)], &[usage(6), None]);
        assert_eq!(used.len(), 1);
        let used = &used[0];
        assert_eq!((used.id.as_str(), used.cpu_user_seconds, used.cpu_system_seconds), ("n1", 4.0, 2.0));
        assert_eq!((used.rss_start_bytes, used.rss_bytes, used.rss_peak_bytes), (2, 6, 9));
    }

    #[test]
    fn own_process_is_watched_and_a_missing_list_is_an_error() {
        assert!(Watched::new(Some(Path::new("/nonexistent/processes.json"))).is_err());
        let sample = Watched::new(None).unwrap().sample();
        assert!(sample[0].unwrap().rss_peak_bytes > 0);
    }
}
