//! Faults strike, and end.

use roundtable_consensus::DiskSpace;

use super::{Event, World};
use crate::clock::WallClock;
use crate::faults::{Direction, Fault, draw};
use crate::network::Network;
use crate::router::Router;

impl World {
    pub(super) fn on_fault(&mut self) {
        if !self.faults_on {
            return;
        }
        self.report.faults += 1;
        let fault = draw(self.plan.fault_mix, &mut self.rng, self.nodes.len(), self.routers.len());
        match fault {
            Fault::KillNode(node, down_us) => self.kill_node(node, down_us),
            Fault::KillAll(down_us) => {
                for node in 0..self.nodes.len() {
                    let extra_us = self.rng.up_to(500_000);
                    self.kill_node(node, down_us + extra_us);
                }
            }
            Fault::FreezeNode(number, for_us) => {
                if let Some(node) = self.nodes.get_mut(number).filter(|node| node.is_up() && !node.frozen) {
                    node.frozen = true;
                    let life = node.life;
                    self.schedule(for_us, Event::Thaw(number, life));
                }
            }
            Fault::KillRouter(router) => self.kill_router(router),
            Fault::Cut(router, node, direction, for_us) => {
                self.network.cut.extend(cuts(router, node, direction));
                self.schedule(for_us, Event::Heal(router, node, direction));
            }
            Fault::Weather => {
                self.network.delay_us_max = 500 + self.rng.up_to(60_000);
                self.network.loss_percent = self.rng.up_to(15);
                self.network.repeat_percent = self.rng.up_to(15);
            }
            Fault::NodeClock(number, skew_ms, drift_ppm) => {
                let clock = WallClock { skew_ms, drift_ppm, drifts_since_ms: self.true_ms() };
                if let Some(node) = self.nodes.get_mut(number) {
                    node.clock = clock;
                }
            }
            Fault::RouterClock(number, skew_ms, drift_ppm) => {
                let clock = WallClock { skew_ms, drift_ppm, drifts_since_ms: self.true_ms() };
                if let Some(router) = self.routers.get_mut(number) {
                    router.clock = clock;
                }
            }
            Fault::FailSync(number) => {
                if let Some(node) = self.nodes.get_mut(number).filter(|node| node.is_up()) {
                    node.sync_fails = true;
                }
            }
            Fault::Space(number, space) => {
                if let Some(node) = self.nodes.get_mut(number) {
                    node.space = space;
                }
            }
            Fault::LoseDirectory(node) => self.lose_directory(node),
        }
        let pause_us = self.rng.up_to(2 * self.plan.fault_every_us);
        self.schedule(pause_us, Event::Fault);
    }

    pub(super) fn kill_node(&mut self, number: usize, down_us: u64) {
        let Some(node) = self.nodes.get_mut(number).filter(|node| node.is_up()) else { return };
        let life = node.life;
        for (asker, id) in node.crash(&mut self.rng) {
            let delay_us = self.rng.up_to(2_000);
            self.schedule(delay_us, Event::Lost(asker, number, id));
        }
        self.schedule(down_us, Event::StartNode(number, life));
    }

    /// Loses at most a minority of the directories: beyond that the data is gone by right.
    fn lose_directory(&mut self, number: usize) {
        let lost = self.nodes.iter().filter(|node| node.disk.storage > 0).count();
        let spare = (self.nodes.len() - 1) / 2;
        if lost >= spare {
            return;
        }
        self.kill_node(number, 500_000);
        if let Some(node) = self.nodes.get_mut(number) {
            node.disk.lose();
        }
    }

    fn kill_router(&mut self, number: usize) {
        let nodes = self.nodes.len();
        self.note_stats(number);
        let Some(router) = self.routers.get_mut(number) else { return };
        let (life, clock) = (router.life, router.clock);
        *router = Router::new(self.plan.variant, nodes, life + 1, &mut self.rng);
        router.clock = clock;
        let orphans: Vec<_> = (self.callers.iter())
            .filter(|((router, of_life, _), _)| *router == number && *of_life == life)
            .map(|(token, caller)| (*token, caller.client))
            .collect();
        for (token, client) in orphans {
            self.callers.remove(&token);
            self.end_call(client, None);
        }
    }

    pub(super) fn start_node(&mut self, number: usize, life: u32) {
        if let Some(node) = self.nodes.get_mut(number).filter(|node| node.life == life && !node.is_up()) {
            node.start();
        }
    }

    pub(super) fn thaw(&mut self, number: usize, life: u32) {
        let Some(node) = self.nodes.get_mut(number).filter(|node| node.life == life && node.frozen) else {
            return;
        };
        for (asker, request) in node.thaw() {
            self.deliver(number, asker, request);
        }
    }

    pub(super) fn heal(&mut self, router: usize, node: usize, direction: Direction) {
        for cut in cuts(router, node, direction) {
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
                self.thaw(number, life);
            }
        }
    }
}

fn cuts(router: usize, node: usize, direction: Direction) -> Vec<(usize, usize, bool)> {
    match direction {
        Direction::ToNode => vec![(router, node, true)],
        Direction::ToRouter => vec![(router, node, false)],
        Direction::Both => vec![(router, node, true), (router, node, false)],
    }
}
