//! Messages between routers and nodes, and between nodes: bytes on their way, and what follows when they arrive.

use bytes::Bytes;
use roundtable_consensus::{NodeIndex, Now};

use super::{Event, START_MS, World};
use crate::exchange::{Exchange, Party, Path, Post};
use crate::network::Fate;
use crate::node::{Node, NodeOutput};
use crate::report::Mishap;
use crate::router::{Router, RouterOutput};

/// How long a node waits for another one to say who it is.
const PEER_TIMEOUT_US: u64 = 500_000;

/// How often a node raises its horizon, and goes on with the choice of the first configuration.
const TICK_US: u64 = 200_000;

impl World {
    /// Lets a router take an event and carries out what it wants.
    pub(super) fn with_router(
        &mut self,
        number: usize,
        event: impl FnOnce(&mut Router, Now, &mut RouterOutput),
    ) {
        let Some(router) = self.routers.get_mut(number) else { return };
        let (asker, life) = (Party::Router(number), router.life);
        let now = router.now(self.now_us, START_MS);
        let mut out = RouterOutput::default();
        event(router, now, &mut out);
        for post in out.posts {
            for (key, register) in &post.accepts {
                let held = self.watch.on_proposed(key, register);
                self.check(held);
            }
            self.post(asker, life, post);
        }
        for (token, told) in out.told {
            self.on_told(number, life, token, &told);
        }
    }

    /// Lets a node take an event, unless it died since, and carries out what it wants.
    pub(super) fn with_node(
        &mut self,
        number: usize,
        life: u32,
        event: impl FnOnce(&mut Node, u64, &mut roundtable_consensus::Rng, &mut NodeOutput),
    ) {
        let true_ms = self.true_ms();
        let Some(node) = self.nodes.get_mut(number).filter(|node| node.life == life && node.is_up()) else {
            return;
        };
        let mut out = NodeOutput::default();
        event(node, true_ms, &mut self.rng, &mut out);
        self.carry_out(number, out);
    }

    pub(super) fn carry_out(&mut self, number: usize, out: NodeOutput) {
        let life = self.nodes.get(number).map_or(0, |node| node.life);
        let index = NodeIndex(u16::try_from(number).unwrap_or(u16::MAX));
        for (key, register) in &out.accepted {
            let held = self.watch.on_accepted(index, key, register);
            self.check(held);
        }
        out.mishaps.into_iter().for_each(|mishap| self.report.note(mishap));
        if out.work {
            let delay_us = self.rng.up_to(200);
            self.schedule(delay_us, Event::Work(number, life));
        }
        if out.sync {
            let slow = self.disks_hang && self.rng.up_to(19) == 0;
            if slow {
                self.report.note(Mishap::SyncSlow);
            }
            let took_us = 100 + self.rng.up_to(if slow { 300_000 } else { 3_000 });
            self.schedule(took_us, Event::Synced(number, life));
        }
        for (id, peer) in out.asks {
            let post = Post {
                id,
                node: peer,
                path: Path::Hello,
                body: Bytes::new(),
                timeout_us: PEER_TIMEOUT_US,
                accepts: Vec::new(),
            };
            self.post(Party::Node(number), life, post);
        }
        for (exchange, body) in out.answers {
            self.travel(Party::Node(number), exchange.asker, exchange, body, Event::Return);
        }
        if self.report.founded_ms == 0 && self.nodes.iter().all(Node::has_adopted) {
            self.report.founded_ms = self.now_us.div_ceil(1_000).max(1);
        }
    }

    fn post(&mut self, asker: Party, life: u32, post: Post) {
        let exchange = Exchange { asker, life, id: post.id, node: post.node, path: post.path };
        self.schedule(post.timeout_us, Event::Broken(exchange));
        self.travel(asker, Party::Node(post.node), exchange, post.body, Event::Arrive);
    }

    /// Puts a message on its way.
    fn travel(
        &mut self,
        from: Party,
        to: Party,
        exchange: Exchange,
        body: Bytes,
        event: impl Fn(Exchange, Bytes) -> Event,
    ) {
        let Fate { arrives, breaks_us, mishaps } = self.network.fate(&mut self.rng, from, to, body);
        mishaps.into_iter().for_each(|mishap| self.report.note(mishap));
        for (delay_us, body) in arrives {
            let last_us = self.last_arrivals.entry((from, to)).or_default();
            if self.now_us + delay_us < *last_us {
                self.report.note(Mishap::MessageReordered);
            } else {
                *last_us = self.now_us + delay_us;
            }
            self.schedule(delay_us, event(exchange, body));
        }
        if let Some(breaks_us) = breaks_us {
            self.schedule(breaks_us, Event::Broken(exchange));
        }
    }

    /// A question reaches a node, or finds nobody there.
    pub(super) fn on_arrival(&mut self, exchange: Exchange, body: Bytes) {
        self.report.messages += 1;
        let Some(node) = self.nodes.get(exchange.node) else { return };
        let life = node.life;
        if node.is_up() {
            self.with_node(exchange.node, life, |node, true_ms, rng, out| {
                node.receive(true_ms, exchange, body, rng, out);
            });
        } else {
            self.break_off(exchange);
        }
    }

    /// Whoever listened is gone: the asker's connection breaks at once, unless the way back is cut.
    pub(super) fn break_off(&mut self, exchange: Exchange) {
        if !self.network.cut.contains(&(Party::Node(exchange.node), exchange.asker)) {
            let delay_us = self.rng.up_to(2_000);
            self.schedule(delay_us, Event::Broken(exchange));
        }
    }

    /// An answer reaches who asked, or it is clear that none will. It takes the first of these and ignores the others.
    pub(super) fn on_return(&mut self, exchange: Exchange, answer: Option<Bytes>) {
        let is_frozen = match exchange.asker {
            Party::Router(number) => self.routers.get(number).is_some_and(|router| router.frozen),
            Party::Node(number) => self.nodes.get(number).is_some_and(|node| node.frozen),
        };
        if is_frozen {
            // It waits in the asker's socket.
            let event = match answer {
                Some(body) => Event::Return(exchange, body),
                None => Event::Broken(exchange),
            };
            self.schedule(50_000, event);
            return;
        }
        match exchange.asker {
            Party::Router(number) => {
                if self.routers.get(number).is_none_or(|router| router.life != exchange.life) {
                    return;
                }
                self.with_router(number, |router, now, out| router.on_answer(now, exchange.id, answer, out));
            }
            Party::Node(number) => {
                self.with_node(number, exchange.life, |node, _, _, out| {
                    node.on_hello(exchange.id, answer, out);
                });
            }
        }
    }

    pub(super) fn on_synced(&mut self, number: usize, life: u32) {
        let Some(node) = self.nodes.get_mut(number).filter(|node| node.life == life && node.is_up()) else {
            return;
        };
        if node.sync_fails {
            // Nothing is answered after a failed sync: the process ends, and may find the writes on its disk or not.
            self.report.note(Mishap::SyncFailed);
            self.kill_node(number, 300_000);
            return;
        }
        self.with_node(number, life, |node, true_ms, _, out| node.synced(true_ms, out));
    }

    pub(super) fn on_node_tick(&mut self, number: usize, life: u32) {
        if self.nodes.get(number).is_some_and(|node| node.life == life && node.is_up()) {
            self.with_node(number, life, |node, true_ms, _, out| node.tick(true_ms, out));
            self.schedule(TICK_US, Event::NodeTick(number, life));
        }
    }

    pub(super) fn start_node(&mut self, number: usize, life: u32) {
        let true_ms = self.true_ms();
        let Some(node) = self.nodes.get_mut(number).filter(|node| node.life == life && !node.is_up()) else {
            return;
        };
        let mut out = NodeOutput::default();
        node.start(true_ms, &mut self.rng, &mut out);
        let life = node.life;
        self.carry_out(number, out);
        self.schedule(TICK_US, Event::NodeTick(number, life));
    }
}
