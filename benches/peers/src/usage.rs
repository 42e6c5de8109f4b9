//! Processor time and memory, out of `/proc`.

use procfs::process::{Process, Stat};
use procfs::{CurrentSI as _, KernelStats, ProcResult};

use crate::failure::{Doing as _, Failure};

/// What had been used at one moment, in seconds of processor time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Usage {
    /// User and system time of the servers, with children that they waited for (Redis rewrites its file in one).
    servers: f64,
    /// The same of ended children of this process: the load tools.
    loads: f64,
    /// Of all processors, by whomever.
    busy: f64,
    /// Of all processors, taken by the host of a virtual machine.
    steal: f64,
    /// Resident memory of the servers, in bytes.
    pub(crate) servers_rss_bytes: u64,
}

/// What was used between two moments, in seconds of processor time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Used {
    /// By the servers.
    pub(crate) servers: f64,
    /// By the load tool.
    pub(crate) load: f64,
    /// By everything else on the machine, the kernel's own threads included.
    pub(crate) others: f64,
    /// Taken by the host of a virtual machine.
    pub(crate) steal: f64,
}

impl Usage {
    /// Of now.
    pub(crate) fn now(servers: &[u32]) -> Result<Self, Failure> {
        let mut stats = Vec::with_capacity(servers.len());
        for &pid in servers {
            stats.push(stat_of(pid).doing(|| format!("reading what process {pid} has used"))?);
        }
        let this = Process::myself().and_then(|process| process.stat());
        let this = this.doing(|| "reading what this process has used")?;
        let machine = KernelStats::current().doing(|| "reading what the machine has used")?.total;
        let kernel_side = [machine.irq, machine.softirq, machine.steal].map(Option::unwrap_or_default);
        let busy = machine.user + machine.nice + machine.system + kernel_side.iter().sum::<u64>();
        Ok(Self {
            servers: stats.iter().map(|stat| seconds(stat.utime + stat.stime) + of_children(stat)).sum(),
            loads: of_children(&this),
            busy: seconds(busy),
            steal: seconds(machine.steal.unwrap_or_default()),
            servers_rss_bytes: stats.iter().map(|stat| stat.rss * procfs::page_size()).sum(),
        })
    }

    /// Since an earlier moment.
    pub(crate) fn since(&self, earlier: &Self) -> Used {
        let servers = self.servers - earlier.servers;
        let load = self.loads - earlier.loads;
        let steal = self.steal - earlier.steal;
        // Ticks are coarse: a little below nothing is nothing.
        let others = (self.busy - earlier.busy - servers - load - steal).max(0.0);
        Used { servers, load, others, steal }
    }
}

fn stat_of(pid: u32) -> ProcResult<Stat> {
    let pid = i32::try_from(pid).map_err(|_| procfs::ProcError::Other("no process id".to_owned()))?;
    Process::new(pid)?.stat()
}

fn of_children(stat: &Stat) -> f64 {
    seconds(u64::try_from(stat.cutime + stat.cstime).unwrap_or_default())
}

fn seconds(ticks: u64) -> f64 {
    ticks as f64 / procfs::ticks_per_second() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn used_tells_servers_load_and_others_apart() {
        let before = Usage { servers: 1.0, loads: 2.0, busy: 10.0, steal: 0.5, servers_rss_bytes: 1 };
        let after = Usage { servers: 4.0, loads: 3.0, busy: 15.0, steal: 0.75, servers_rss_bytes: 2 };
        let used = after.since(&before);
        assert_eq!(used, Used { servers: 3.0, load: 1.0, others: 0.75, steal: 0.25 });
    }

    #[test]
    fn own_work_is_seen() {
        let this = [std::process::id()];
        let before = Usage::now(&this).unwrap();
        let mut after = before;
        let mut sum = 0_u64;
        while after.since(&before).servers < 0.02 {
            sum = (0..1_000_000).fold(sum, |sum, number| std::hint::black_box(sum ^ number));
            after = Usage::now(&this).unwrap();
        }
        assert!(after.servers_rss_bytes > 0 && after.busy > before.busy, "{after:?}");
        assert!(Usage::now(&[u32::MAX]).is_err());
    }
}
