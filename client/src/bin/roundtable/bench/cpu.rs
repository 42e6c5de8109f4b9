//! CPU time and memory of processes, out of `/proc` (Linux; elsewhere nothing is reported).

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use crate::failure::Failure;
use crate::up::processes::{self, ProcessEntry};

/// The processes to watch: those of the list, and this one.
#[derive(Debug)]
pub(crate) struct Watched {
    entries: Vec<ProcessEntry>,
}

/// What a process had used at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Usage {
    cpu: Duration,
    rss_bytes: u64,
}

/// What a process used during the measurement.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Used {
    pub(crate) role: String,
    pub(crate) id: String,
    pub(crate) pid: u32,
    /// User and system time.
    pub(crate) cpu_seconds: f64,
    /// Resident memory at the end.
    pub(crate) rss_bytes: u64,
}

impl Watched {
    /// The processes that this list names, and this one.
    pub(crate) fn new(list: Option<&Path>) -> Result<Self, Failure> {
        let mut entries = list.map_or(Ok(Vec::new()), processes::read)?;
        entries.push(ProcessEntry {
            role: "driver".to_owned(),
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
        both.map(|(entry, before, after)| Used {
            role: entry.role.clone(),
            id: entry.id.clone(),
            pid: entry.pid,
            cpu_seconds: after.cpu.saturating_sub(before.cpu).as_secs_f64(),
            rss_bytes: after.rss_bytes,
        })
        .collect()
    }
}

fn usage(pid: u32) -> Option<Usage> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let page_bytes = u64::try_from(rustix::param::page_size()).ok()?;
    parse_stat(&stat, rustix::param::clock_ticks_per_second(), page_bytes)
}

/// Reads `/proc/PID/stat` (proc(5)): the program's name is in parentheses and may hold anything; after it come the
/// fields from the third on. User time is the 14th, system time the 15th, resident pages the 24th.
fn parse_stat(stat: &str, ticks_per_second: u64, page_bytes: u64) -> Option<Usage> {
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    let ticks = field(14)?.checked_add(field(15)?)?;
    let cpu = Duration::from_millis(ticks.checked_mul(1000)?.checked_div(ticks_per_second)?);
    Some(Usage { cpu, rss_bytes: field(24)?.checked_mul(page_bytes)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_of_a_program_with_an_odd_name_is_read() {
        let stat =
            "42 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 4 0 1000 99999 256 18446744073709551615 1";
        let usage = parse_stat(stat, 100, 4096).unwrap();
        assert_eq!(usage, Usage { cpu: Duration::from_secs(2), rss_bytes: 256 * 4096 });
        assert_eq!(parse_stat("42 (a) S 1", 100, 4096), None);
    }

    #[test]
    fn used_is_the_difference_and_leaves_out_the_dead() {
        let entry =
            |id: &str| ProcessEntry { role: "node".into(), id: id.into(), pid: 1, address: String::new() };
        let watched = Watched { entries: vec![entry("n1"), entry("n2")] };
        let usage = |seconds| Some(Usage { cpu: Duration::from_secs(seconds), rss_bytes: seconds });
        let used = watched.used(&[usage(2), usage(1)], &[usage(5), None]);
        assert_eq!(used.len(), 1);
        assert_eq!((used[0].id.as_str(), used[0].cpu_seconds, used[0].rss_bytes), ("n1", 3.0, 5));
    }

    #[test]
    fn list_that_cannot_be_read_is_an_error() {
        assert!(Watched::new(Some(Path::new("/nonexistent/processes.json"))).is_err());
        assert_eq!(Watched::new(None).unwrap().entries.len(), 1);
    }
}
