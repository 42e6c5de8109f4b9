//! The cluster under test, with everything that faults act on.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;
use tokio::time::{Instant, sleep_until};

use crate::cluster::{Cluster, Layout, cluster_toml};
use crate::disk::Disk;
use crate::gauntlet::clock::Clock;
use crate::gauntlet::fault::Fault;
use crate::gauntlet::means::Means;
use crate::gauntlet::network::{Network, address};
use crate::gauntlet::schedule::Schedule;
use crate::gauntlet::{Party, SMALL_DISK};
use crate::process::Process;

/// Its variable in a node's environment.
const RESERVE: &str = "ROUNDTABLE_NODE_FREE_BYTES_MIN";
/// The reserve while the disk is not full: small, so that the machine's own disk is enough.
const SMALL_RESERVE: &str = "16 MiB";

/// Nodes behind gates, routers, and for each process what the machine allows: a network, a disk and a clock.
#[derive(Debug)]
pub(super) struct Arena {
    cluster: Cluster,
    pub(super) network: Network,
    /// Of [`SMALL_DISK`].
    disk: Option<Disk>,
    clocks: BTreeMap<Party, Clock>,
    parties: Vec<Party>,
    /// Processes that ended by themselves, or badly when they were told to.
    deaths: Vec<String>,
}

impl Arena {
    /// Starts everything and waits until it is ready.
    pub(super) async fn start(parties: &[Party], means: Means) -> Self {
        let routers = parties.iter().filter(|party| matches!(party, Party::Router(_))).count();
        let nodes = parties.len() - routers;
        let node_env = vec![
            (RESERVE, SMALL_RESERVE.to_owned()),
            // Small, so that many processes with short lives don't fill the machine's memory.
            ("ROUNDTABLE_NODE_BLOCK_CACHE", "16 MiB".to_owned()),
            ("ROUNDTABLE_NODE_WRITE_BUFFER", "8 MiB".to_owned()),
        ];
        let cluster = Cluster::prepare(&Layout { nodes, routers, node_env, router_env: Vec::new() });
        let Means { wires, disk, clocks: library, .. } = means;
        let network = Network::prepare(nodes, wires);
        std::fs::write(cluster.cluster_file(), cluster_toml(network.addresses())).unwrap();
        let (parties, clocks, deaths) = (parties.to_vec(), BTreeMap::new(), Vec::new());
        let mut arena = Self { cluster, network, disk, clocks, parties, deaths };
        arena.equip(library.as_deref());
        let addresses = arena.cluster.node_addresses();
        arena.network.open(&addresses).await;
        for party in arena.parties.clone() {
            arena.start_process(party);
        }
        arena.cluster.ready().await;
        arena
    }

    fn equip(&mut self, library: Option<&Path>) {
        let folder = self.cluster.folder().to_owned();
        for party in self.parties.clone() {
            let namespace = self.network.wires.as_ref().and_then(|wires| wires.of(party)).cloned();
            let disk = self.disk(party).map(|disk| disk.folder().display().to_string());
            let process = self.process(party);
            // `cluster.toml` tells a node the address of its gate.
            let own = process.address().to_owned();
            process.set_flag("--listen", &own);
            if let Some(namespace) = namespace {
                process.move_to(namespace, address(party));
            }
            if let Some(disk) = disk {
                process.set_flag("--data-dir", &disk);
            }
            if let Some(library) = library {
                let clock = Clock::of(process, library, folder.join(format!("{party}.clock")));
                self.clocks.insert(party, clock);
            }
        }
    }

    /// Where the routers listen, in order.
    pub(super) fn routers(&self) -> Vec<String> {
        let routers = self.parties.iter().filter_map(|party| match party {
            Party::Router(number) => Some(self.cluster.router(*number).address().to_owned()),
            Party::Node(_) => None,
        });
        routers.collect()
    }

    /// Lets the faults come and go at their times, counted from `started`.
    pub(super) async fn play(&mut self, schedule: &Schedule, started: Instant) {
        let mut steps: Vec<(Duration, usize, bool)> = Vec::new();
        for (number, planned) in schedule.0.iter().enumerate() {
            steps.push((planned.from, number, true));
            steps.push((planned.until, number, false));
        }
        steps.sort_unstable();
        let mut rules = BTreeMap::new();
        for (at, number, begins) in steps {
            sleep_until(started + at).await;
            let Some(planned) = schedule.0.get(number) else { continue };
            match planned.fault {
                Fault::Network(span, rule) if begins => {
                    rules.insert(number, self.network.rules.begin(span, rule));
                }
                Fault::Disturb(disturbance) => {
                    // Number 0 is the kernel's own.
                    self.network.disturb(number + 1, disturbance, begins);
                }
                Fault::Network(..) => {
                    if let Some(rule) = rules.remove(&number) {
                        self.network.rules.end(rule);
                    }
                }
                fault if begins => self.begin(fault),
                fault => self.end(fault),
            }
        }
    }

    fn begin(&mut self, fault: Fault) {
        // Nobody must send signals to a process that is gone.
        fault.stops().into_iter().for_each(|party| self.revive(party));
        match fault {
            Fault::Kill(party) => self.process(party).kill(),
            Fault::KillAllNodes(_) => fault.stops().into_iter().for_each(|party| self.process(party).kill()),
            Fault::Stop(party) => self.process(party).signal(Signal::TERM),
            Fault::Freeze(party) => self.process(party).freeze(),
            Fault::FillDisk { party, restarts } => {
                self.disk(party).map(Disk::fill).transpose().unwrap();
                if restarts {
                    self.restart_process(party);
                }
            }
            Fault::RaiseReserve(party, multiple) => {
                let free = self.free_bytes(party);
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rough figure")]
                #[expect(clippy::cast_precision_loss, reason = "a rough figure")]
                let reserve = (free as f64 * multiple) as u64;
                self.process(party).set_env(RESERVE, &reserve.to_string());
                self.restart_process(party);
            }
            Fault::SkewClock(party, by_ms) => self.set_clock(party, by_ms),
            Fault::Network(..) | Fault::Disturb(_) => {}
        }
    }

    fn end(&mut self, fault: Fault) {
        match fault {
            Fault::Kill(_) | Fault::KillAllNodes(_) => {
                fault.stops().into_iter().for_each(|party| self.start_process(party));
            }
            Fault::Stop(party) => {
                // It has ended well by now, or has had its time.
                let badly = self.process(party).exited().filter(|status| !status.success());
                self.deaths
                    .extend(badly.map(|status| format!("{party} was told to stop and ended with {status}")));
                self.restart_process(party);
            }
            Fault::Freeze(party) => self.process(party).thaw(),
            Fault::FillDisk { party, .. } => {
                self.disk(party).map(Disk::relieve).transpose().unwrap();
                // Without a byte for its log it may have ended; it must not have lost anything.
                if self.process(party).exited().is_some() {
                    self.restart_process(party);
                }
            }
            Fault::RaiseReserve(party, _) => {
                self.process(party).set_env(RESERVE, SMALL_RESERVE);
                self.restart_process(party);
            }
            Fault::SkewClock(party, _) => self.set_clock(party, 0),
            Fault::Network(..) | Fault::Disturb(_) => {}
        }
    }

    /// Waits until every process is ready; faults must be over.
    pub(super) async fn ready(&mut self) {
        self.cluster.ready().await;
    }

    /// Prints the ends of all logs.
    pub(super) fn print_logs(&mut self) {
        for party in self.parties.clone() {
            self.process(party).print_log();
        }
    }

    /// How processes ended by themselves, or badly when they were told to: none may. They run again after this.
    pub(super) fn deaths(&mut self) -> Vec<String> {
        self.parties.clone().into_iter().for_each(|party| self.revive(party));
        std::mem::take(&mut self.deaths)
    }

    /// Starts a process again that has ended by itself, and takes a note.
    fn revive(&mut self, party: Party) {
        if let Some(status) = self.process(party).exited() {
            self.deaths.push(format!("{party} ended by itself with {status}"));
            self.restart_process(party);
        }
    }

    fn process(&mut self, party: Party) -> &mut Process {
        match party {
            Party::Node(number) => self.cluster.node(number),
            Party::Router(number) => self.cluster.router_process(number),
        }
    }

    fn start_process(&mut self, party: Party) {
        let process = self.process(party);
        process.start();
        let pid = process.pid().as_raw_nonzero().get();
        self.network.callers.register(party, pid);
    }

    fn restart_process(&mut self, party: Party) {
        self.process(party).kill();
        self.start_process(party);
    }

    fn set_clock(&self, party: Party, by_ms: i64) {
        if let Some(clock) = self.clocks.get(&party) {
            clock.skew(by_ms);
        }
    }

    /// A node's own disk, if it has one.
    fn disk(&self, party: Party) -> Option<&Disk> {
        self.disk.as_ref().filter(|_| party == SMALL_DISK)
    }

    fn free_bytes(&self, party: Party) -> u64 {
        if let Some(disk) = self.disk(party) {
            return disk.free_bytes().unwrap();
        }
        let disk = rustix::fs::statvfs(self.cluster.folder()).unwrap();
        disk.f_bavail.saturating_mul(disk.f_frsize)
    }
}
