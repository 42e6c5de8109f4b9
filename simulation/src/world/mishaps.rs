//! Faults strike, and end.

use roundtable_consensus::DiskSpace;

use super::{Event, World};
use crate::clock::WallClock;
use crate::exchange::Party;
use crate::faults::{Direction, Fault, draw};
use crate::network::Network;
use crate::report::Mishap;

/// While the nodes found their cluster, faults come no closer than this: each step takes all of them.
const FOUNDING_PAUSE_US: u64 = 100_000;

impl World {
    pub(super) fn on_fault(&mut self) {
        if !self.faults_on {
            return;
        }
        self.report.faults += 1;
        if !self.is_founded() {
            self.report.note(Mishap::FoundingDisturbed);
        }
        let fault = draw(self.plan.fault_mix, &mut self.rng, self.nodes.len(), self.routers.len());
        match fault {
            Fault::KillNode(node, down_us) => self.kill_node(node, down_us),
            Fault::KillAll(down_us) => {
                self.report.note(Mishap::AllNodesKilled);
                for node in 0..self.nodes.len() {
                    let extra_us = self.rng.up_to(500_000);
                    self.kill_node(node, down_us + extra_us);
                }
            }
            Fault::FreezeNode(node, for_us) => self.freeze_node(node, for_us),
            Fault::KillRouter(router) => self.kill_router(router),
            Fault::FreezeRouter(router, for_us) => self.freeze_router(router, for_us),
            Fault::Cut(asker, node, direction, for_us) => self.cut(asker, node, direction, for_us),
            Fault::Weather => {
                self.network.delay_us_max = 500 + self.rng.up_to(60_000);
                self.network.loss_percent = self.rng.up_to(15);
                self.network.repeat_percent = self.rng.up_to(15);
                self.network.damage_permille = self.rng.up_to(20);
            }
            Fault::NodeClock(number, skew_ms, drift_ppm) => {
                let clock = WallClock { skew_ms, drift_ppm, drifts_since_ms: self.true_ms() };
                if let Some(node) = self.nodes.get_mut(number) {
                    node.clock = clock;
                    self.report.note(Mishap::NodeClockWrong);
                }
            }
            Fault::RouterClock(number, skew_ms, drift_ppm) => {
                let clock = WallClock { skew_ms, drift_ppm, drifts_since_ms: self.true_ms() };
                if let Some(router) = self.routers.get_mut(number) {
                    router.clock = clock;
                    self.report.note(Mishap::RouterClockWrong);
                }
            }
            Fault::FailSync(number) => {
                if let Some(node) = self.nodes.get_mut(number).filter(|node| node.is_up()) {
                    node.sync_fails = true;
                }
            }
            Fault::Space(number, space) => self.set_space(number, space),
            Fault::LoseDirectory(node) => self.lose_directory(node),
        }
        let mean_us = match self.is_founded() {
            true => self.plan.fault_every_us,
            false => self.plan.fault_every_us.max(FOUNDING_PAUSE_US),
        };
        let pause_us = self.rng.up_to(2 * mean_us);
        self.schedule(pause_us, Event::Fault);
    }

    pub(super) fn kill_node(&mut self, number: usize, down_us: u64) {
        let Some(node) = self.nodes.get_mut(number).filter(|node| node.is_up()) else { return };
        let life = node.life;
        let mut mishaps = vec![Mishap::NodeKilled];
        let broken = node.crash(&mut self.rng, &mut mishaps);
        mishaps.into_iter().for_each(|mishap| self.report.note(mishap));
        broken.into_iter().for_each(|exchange| self.break_off(exchange));
        self.schedule(down_us, Event::StartNode(number, life));
    }

    fn freeze_node(&mut self, number: usize, for_us: u64) {
        if let Some(node) = self.nodes.get_mut(number).filter(|node| node.is_up() && !node.frozen) {
            node.frozen = true;
            let life = node.life;
            self.report.note(Mishap::NodeFrozen);
            self.schedule(for_us, Event::ThawNode(number, life));
        }
    }

    /// Its timers stand still as well; whoever waits for it waits longer.
    fn freeze_router(&mut self, number: usize, for_us: u64) {
        let Some(router) = self.routers.get_mut(number).filter(|router| !router.frozen) else { return };
        router.frozen = true;
        let life = router.life;
        let waiting =
            self.callers.iter_mut().filter(|((of, of_life, _), _)| *of == number && *of_life == life);
        waiting.for_each(|(_, caller)| caller.timeout_us += for_us);
        self.report.note(Mishap::RouterFrozen);
        self.schedule(for_us, Event::ThawRouter(number, life));
    }

    fn set_space(&mut self, number: usize, space: DiskSpace) {
        let Some(node) = self.nodes.get_mut(number) else { return };
        let was = std::mem::replace(&mut node.space, space);
        match space {
            DiskSpace::Low => self.report.note(Mishap::DiskLow),
            DiskSpace::Critical => self.report.note(Mishap::DiskCritical),
            DiskSpace::Enough if was != DiskSpace::Enough => self.report.note(Mishap::DiskEnough),
            DiskSpace::Enough => {}
        }
    }

    /// Loses at most a minority of the copies of any key: beyond that the data is gone by right. And none before others
    /// can tell what it was bound to: a cluster that loses a disk while it is founded is founded anew, by hand.
    fn lose_directory(&mut self, number: usize) {
        let lost = self.nodes.iter().filter(|node| !node.is_whole()).count();
        let spare = (usize::from(self.plan.replication_factor) - 1) / 2;
        if lost >= spare || !self.is_founded() {
            return;
        }
        self.kill_node(number, 500_000);
        if let Some(node) = self.nodes.get_mut(number) {
            node.lose_directory(&mut self.rng);
            self.report.note(Mishap::DirectoryLost);
        }
    }

    fn cut(&mut self, asker: Party, node: usize, direction: Direction, for_us: u64) {
        self.network.cut.extend(cuts(asker, Party::Node(node), direction));
        self.report.note(match direction {
            Direction::ToNode => Mishap::CutToNode,
            Direction::ToAsker => Mishap::CutToAsker,
            Direction::Both => Mishap::CutBoth,
        });
        if matches!(asker, Party::Node(_)) {
            self.report.note(Mishap::CutBetweenNodes);
        }
        self.schedule(for_us, Event::Heal(asker, Party::Node(node), direction));
    }

    fn kill_router(&mut self, number: usize) {
        self.note_stats(number);
        let Some(router) = self.routers.get_mut(number) else { return };
        let life = router.life;
        router.restart(&mut self.rng);
        self.report.note(Mishap::RouterKilled);
        let orphans: Vec<_> = (self.callers.iter())
            .filter(|((router, of_life, _), _)| *router == number && *of_life == life)
            .map(|(token, caller)| (*token, caller.client))
            .collect();
        for (token, client) in orphans {
            self.callers.remove(&token);
            self.orphan(client);
        }
    }

    pub(super) fn thaw_node(&mut self, number: usize, life: u32) {
        let Some(node) = self.nodes.get_mut(number).filter(|node| node.life == life && node.frozen) else {
            return;
        };
        for (exchange, body) in node.thaw() {
            self.on_arrival(exchange, body);
        }
        self.with_node(number, life, |node, true_ms, _, out| node.work(true_ms, out));
    }

    pub(super) fn thaw_router(&mut self, number: usize, life: u32) {
        if let Some(router) = self.routers.get_mut(number).filter(|router| router.life == life) {
            router.frozen = false;
        }
    }

    pub(super) fn heal(&mut self, one: Party, other: Party, direction: Direction) {
        for cut in cuts(one, other, direction) {
            self.network.cut.remove(&cut);
        }
    }

    /// All is well from now on, except that lost directories stay lost.
    pub(super) fn end_faults(&mut self) {
        self.faults_on = false;
        self.disks_hang = false;
        self.network = Network::calm();
        for router in &mut self.routers {
            router.clock = WallClock::default();
            router.frozen = false;
        }
        for number in 0..self.nodes.len() {
            let Some(node) = self.nodes.get_mut(number) else { continue };
            node.clock = WallClock::default();
            node.sync_fails = false;
            node.space = DiskSpace::Enough;
            let (life, frozen, up) = (node.life, node.frozen, node.is_up());
            if !up {
                self.start_node(number, life);
            } else if frozen {
                self.thaw_node(number, life);
            }
        }
    }
}

fn cuts(asker: Party, node: Party, direction: Direction) -> Vec<(Party, Party)> {
    match direction {
        Direction::ToNode => vec![(asker, node)],
        Direction::ToAsker => vec![(node, asker)],
        Direction::Both => vec![(asker, node), (node, asker)],
    }
}
