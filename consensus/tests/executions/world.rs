//! Real coordinators and real replicas in one seeded world in which time passes: messages are delayed, syncs take
//! time, clocks are wrong. Each router keeps one request under way, and asks again as soon as it is answered.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use roundtable_consensus::{
    Coordinator, CoordinatorConfig, Effects, Failure, NodeIndex, Now, PartitionId, Reach, ReplicaSet, Reply,
    Request, Rng, Submit, Task, Token,
};

use crate::script::{Node, increment, key};

const START_MS: u64 = 1_790_000_000_000;
const NETWORK_US_MAX: u64 = 500;
const SYNC_US: u64 = 1_000;

enum Event {
    Request(usize, NodeIndex, Request),
    Reply(usize, NodeIndex, Reply),
}

pub(crate) struct World {
    rng: Rng,
    now_us: u64,
    serial: u64,
    events: BTreeMap<(u64, u64), Event>,
    nodes: Vec<(Node, i64)>,
    frozen: BTreeSet<NodeIndex>,
    routers: Vec<(Coordinator, i64)>,
    /// Requests of each router that were answered, and those that failed.
    pub(crate) done: Vec<u64>,
    pub(crate) failed: Vec<Failure>,
}

impl World {
    /// Three nodes and some routers, each with its clock's error in milliseconds.
    pub(crate) fn new(seed: u64, node_skews_ms: [i64; 3], router_skews_ms: &[i64]) -> Self {
        let mut rng = Rng::new(seed);
        let mut router = |skew_ms| (Coordinator::new(CoordinatorConfig::default(), rng.next_u64()), skew_ms);
        let routers: Vec<_> = router_skews_ms.iter().map(|skew_ms| router(*skew_ms)).collect();
        Self {
            now_us: 0,
            serial: 0,
            events: BTreeMap::new(),
            nodes: node_skews_ms.into_iter().map(|skew_ms| (Node::new(), skew_ms)).collect(),
            frozen: BTreeSet::new(),
            done: vec![0; routers.len()],
            failed: Vec::new(),
            routers,
            rng,
        }
    }

    /// The node answers nothing any more, and failure detection knows it.
    pub(crate) fn freeze(&mut self, node: NodeIndex) {
        self.frozen.insert(node);
        for router in 0..self.routers.len() {
            self.router(router, |coordinator, now, out| {
                coordinator.on_health(now, node, Reach::Doubtful, out);
            });
        }
    }

    /// Lets every router increment one counter, again and again, for some time.
    pub(crate) fn increment_for(&mut self, duration_us: u64) {
        for router in 0..self.routers.len() {
            self.ask(router);
        }
        while self.now_us < duration_us {
            let event_us = self.events.first_key_value().map(|((at_us, _), _)| *at_us);
            let timer = (self.routers.iter().enumerate())
                .filter_map(|(router, (coordinator, _))| Some((coordinator.next_timer_us()?, router)))
                .min();
            match timer.filter(|(due_us, _)| event_us.is_none_or(|at_us| *due_us < at_us)) {
                Some((due_us, router)) => {
                    self.now_us = self.now_us.max(due_us);
                    self.router(router, Coordinator::tick);
                }
                None => {
                    let ((at_us, _), event) = self.events.pop_first().expect("somebody always waits");
                    self.now_us = self.now_us.max(at_us);
                    self.on_event(event);
                }
            }
        }
    }

    fn ask(&mut self, router: usize) {
        self.serial += 1;
        let submit = Submit {
            token: Token(self.serial),
            key: key(),
            partition: PartitionId(0),
            replicas: Arc::new(ReplicaSet::single((0..3).map(NodeIndex).collect())),
            task: Task::Change(increment()),
            deadline_us: self.now_us + 5_000_000,
        };
        self.router(router, |coordinator, now, out| coordinator.submit(now, submit, out));
    }

    fn clock_ms(&self, skew_ms: i64) -> u64 {
        (START_MS + self.now_us / 1_000).saturating_add_signed(skew_ms)
    }

    fn router(&mut self, router: usize, act: impl FnOnce(&mut Coordinator, Now, &mut Effects)) {
        let now = Now { wall_ms: self.clock_ms(self.routers[router].1), mono_us: self.now_us };
        let mut out = Effects::default();
        act(&mut self.routers[router].0, now, &mut out);
        for (node, request) in out.sends {
            let delay_us = self.rng.up_to(NETWORK_US_MAX);
            self.schedule(delay_us, Event::Request(router, node, request));
        }
        for (_, answer) in out.answers {
            match answer {
                Ok(_) => self.done[router] += 1,
                Err(failure) => self.failed.push(failure),
            }
            self.ask(router);
        }
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Request(_, node, _) if self.frozen.contains(&node) => {}
            Event::Request(router, node, request) => {
                let sync_us = if request.body.is_durable() { SYNC_US } else { 0 };
                let place = usize::from(node.0);
                let now_ms = self.clock_ms(self.nodes[place].1);
                let reply = self.nodes[place].0.handle(now_ms, request);
                let delay_us = sync_us + self.rng.up_to(NETWORK_US_MAX);
                self.schedule(delay_us, Event::Reply(router, node, reply));
            }
            Event::Reply(router, node, reply) => {
                let node_ms = self.clock_ms(self.nodes[usize::from(node.0)].1);
                self.router(router, |coordinator, now, out| {
                    coordinator.on_reply(now, node, node_ms, reply, out);
                });
            }
        }
    }

    fn schedule(&mut self, delay_us: u64, event: Event) {
        self.serial += 1;
        self.events.insert((self.now_us + delay_us, self.serial), event);
    }
}
