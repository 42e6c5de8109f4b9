//! Coordinators against plain acceptors in one seeded world: a network that delays, reorders and loses, routers
//! that race, nodes that stop. What clients saw is judged at the end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::{
    Answer, Ballot, Content, Coordinator, CoordinatorConfig, Effects, Failure, Key, NodeIndex, Now, Outcome,
    PartitionId, Reach, Register, Rejection, ReplicaSet, Reply, ReplyBody, Request, RequestBody, Rng, Submit,
    Task, Token,
};

/// An acceptor by the book, without disk: what the rules of the paper say and nothing else.
#[derive(Default)]
pub(super) struct Acceptor {
    pub(super) keys: BTreeMap<Key, (Ballot, Option<Register>)>,
    pub(super) skew: i64,
    /// Below its disk reserve.
    pub(super) disk_low: bool,
    /// Far below it.
    pub(super) disk_critical: bool,
    /// Registers stored.
    pub(super) stored: u32,
}

impl Acceptor {
    pub(super) fn handle(&mut self, now_ms: u64, request: Request) -> Reply {
        let clock_ms = now_ms.saturating_add_signed(self.skew);
        let (promise, stored) = self.keys.entry(request.key).or_default();
        let register = stored.clone().unwrap_or_else(|| Register::absent(Ballot::ZERO));
        let show = |want: bool| if want { register.clone() } else { register.without_value() };
        let limit_ms = clock_ms + 5_000;
        let body = match request.body {
            RequestBody::Prepare { ballot, .. } if ballot.hlc.millis() > limit_ms => {
                ReplyBody::Rejected(Rejection::ClockSkew { limit_ms })
            }
            RequestBody::Prepare { grows: true, .. } if self.disk_low => {
                ReplyBody::Rejected(Rejection::DiskReserve)
            }
            RequestBody::Prepare { ballot, want_value, .. } => {
                let held = register.accepted.max(*promise);
                if ballot > held {
                    *promise = ballot;
                    ReplyBody::Promised(show(want_value))
                } else {
                    ReplyBody::Rejected(Rejection::Outbid(held))
                }
            }
            RequestBody::Accept { register: new, .. }
                if self.disk_critical && new.memory_bytes() > register.memory_bytes() =>
            {
                ReplyBody::Rejected(Rejection::DiskReserve)
            }
            RequestBody::Accept { register: new, next } => {
                assert!(!matches!(new.content, Content::Withheld { .. }));
                let held = register.accepted.max(*promise);
                if new.accepted >= held {
                    assert!(new.accepted > register.accepted || *new == register, "one ballot, one register");
                    let next = next.map(|next| Ballot::new(next, new.accepted.proposer));
                    assert!(next.is_none_or(|next| next > new.accepted), "the next ballot is above this one");
                    let next = next.filter(|next| *promise <= *next);
                    *promise = next.unwrap_or(*promise);
                    let next_promised = next.is_some();
                    *stored = Some(Arc::unwrap_or_clone(new));
                    self.stored += 1;
                    ReplyBody::Accepted { next_promised }
                } else {
                    ReplyBody::Rejected(Rejection::Outbid(held))
                }
            }
            RequestBody::Read { want_value } => ReplyBody::State(show(want_value)),
            RequestBody::Fetch { accepted } => {
                ReplyBody::Fetched((register.accepted == accepted).then_some(register))
            }
        };
        Reply { id: request.id, done: true, body }
    }
}

pub(super) enum Event {
    Request(usize, NodeIndex, Request),
    Reply(usize, NodeIndex, Reply),
    Lost(usize, NodeIndex, u64),
}

pub(super) struct World {
    pub(super) rng: Rng,
    pub(super) now_us: u64,
    pub(super) events: BTreeMap<(u64, u64), Event>,
    pub(super) serial: u64,
    pub(super) nodes: Vec<Acceptor>,
    /// Nodes that refuse every message, after a second.
    pub(super) stopped: BTreeSet<NodeIndex>,
    /// Nodes that answer nothing, and whose messages nobody calls lost.
    pub(super) frozen: BTreeSet<NodeIndex>,
    pub(super) routers: Vec<Coordinator>,
    pub(super) router_skew_ms: Vec<i64>,
    pub(super) answers: BTreeMap<Token, Result<Answer, Failure>>,
    pub(super) next_token: u64,
    pub(super) loss_percent: u64,
    pub(super) delay_us_max: u64,
}

pub(super) const START_MS: u64 = 1_790_000_000_000;

impl World {
    pub(super) fn new(seed: u64, routers: usize) -> Self {
        let mut rng = Rng::new(seed);
        let routers: Vec<Coordinator> =
            (0..routers).map(|_| Coordinator::new(CoordinatorConfig::default(), rng.next_u64())).collect();
        Self {
            now_us: 0,
            events: BTreeMap::new(),
            serial: 0,
            nodes: (0..3).map(|_| Acceptor::default()).collect(),
            stopped: BTreeSet::new(),
            frozen: BTreeSet::new(),
            router_skew_ms: vec![0; routers.len()],
            routers,
            answers: BTreeMap::new(),
            next_token: 0,
            loss_percent: 0,
            delay_us_max: 1_000,
            rng,
        }
    }

    pub(super) fn now(&self, router: usize) -> Now {
        let wall_ms = (START_MS + self.now_us / 1_000).saturating_add_signed(self.router_skew_ms[router]);
        Now { wall_ms, mono_us: self.now_us }
    }

    pub(super) fn schedule(&mut self, delay_us: u64, event: Event) {
        self.serial += 1;
        self.events.insert((self.now_us + delay_us, self.serial), event);
    }

    pub(super) fn submit(&mut self, router: usize, key: &str, task: Task) -> Token {
        self.next_token += 1;
        let token = Token(self.next_token);
        let submit = Submit {
            token,
            key: Key::new(key.to_owned()).unwrap(),
            partition: PartitionId(0),
            replicas: Arc::new(ReplicaSet::single((0..3).map(NodeIndex).collect())),
            task,
            deadline_us: self.now_us + 5_000_000,
        };
        let now = self.now(router);
        self.with(router, |coordinator, out| coordinator.submit(now, submit, out));
        token
    }

    pub(super) fn with(&mut self, router: usize, act: impl FnOnce(&mut Coordinator, &mut Effects)) {
        let mut out = Effects::default();
        act(&mut self.routers[router], &mut out);
        for (node, request) in out.sends {
            let delay_us = self.rng.up_to(self.delay_us_max);
            if self.rng.up_to(99) < self.loss_percent {
                self.schedule(200_000, Event::Lost(router, node, request.id));
            } else {
                self.schedule(delay_us, Event::Request(router, node, request));
            }
        }
        for (token, answer) in out.answers {
            assert!(self.answers.insert(token, answer).is_none(), "one answer for each request");
        }
    }

    /// Tells every router what failure detection says of a node.
    pub(super) fn health(&mut self, node: NodeIndex, reach: Reach) {
        for router in 0..self.routers.len() {
            let now = self.now(router);
            self.with(router, |coordinator, out| coordinator.on_health(now, node, reach, out));
        }
    }

    /// Runs until nothing happens any more.
    pub(super) fn run(&mut self) {
        self.run_until(|_| false);
    }

    /// Runs until something holds, or nothing happens any more.
    pub(super) fn run_until(&mut self, holds: impl Fn(&Self) -> bool) {
        for _ in 0..2_000_000 {
            if holds(self) {
                return;
            }
            let event_us = self.events.first_key_value().map(|((at_us, _), _)| *at_us);
            let timers =
                self.routers.iter().enumerate().filter_map(|(r, c)| c.next_timer_us().map(|at| (at, r)));
            match (event_us, timers.min()) {
                (Some(at_us), timer) if timer.is_none_or(|(due_us, _)| at_us <= due_us) => {
                    self.now_us = self.now_us.max(at_us);
                    let (_, event) = self.events.pop_first().unwrap();
                    self.on_event(event);
                }
                (_, Some((due_us, router))) => {
                    self.now_us = self.now_us.max(due_us);
                    let now = self.now(router);
                    self.with(router, |coordinator, out| coordinator.tick(now, out));
                }
                (None, None) => return,
                (Some(_), None) => unreachable!("covered by the first arm"),
            }
        }
        panic!("the world does not come to rest");
    }

    pub(super) fn on_event(&mut self, event: Event) {
        match event {
            Event::Request(_, node, _) if self.frozen.contains(&node) => {}
            Event::Request(router, node, request) => {
                if self.stopped.contains(&node) {
                    self.schedule(1_000_000, Event::Lost(router, node, request.id));
                    return;
                }
                let id = request.id;
                let now_ms = START_MS + self.now_us / 1_000;
                let reply = self.nodes[usize::from(node.0)].handle(now_ms, request);
                let delay_us = self.rng.up_to(self.delay_us_max);
                if self.rng.up_to(99) < self.loss_percent {
                    self.schedule(200_000, Event::Lost(router, node, id));
                } else {
                    self.schedule(delay_us, Event::Reply(router, node, reply));
                }
            }
            Event::Reply(router, node, reply) => {
                let node_ms = (START_MS + self.now_us / 1_000)
                    .saturating_add_signed(self.nodes[usize::from(node.0)].skew);
                let now = self.now(router);
                self.with(router, |coordinator, out| coordinator.on_reply(now, node, node_ms, reply, out));
            }
            Event::Lost(router, node, id) => {
                let now = self.now(router);
                self.with(router, |coordinator, out| coordinator.on_lost(now, node, id, out));
            }
        }
    }

    pub(super) fn answer(&self, token: Token) -> &Result<Answer, Failure> {
        self.answers.get(&token).expect("answered")
    }

    pub(super) fn settled(&self, token: Token) -> Outcome {
        match self.answer(token) {
            Ok(Answer::Settled(outcome)) => outcome.clone(),
            other => panic!("{token:?} ended with {other:?}"),
        }
    }

    pub(super) fn read(&mut self, router: usize, key: &str) -> Register {
        let token = self.submit(router, key, Task::Read);
        self.run();
        match self.answer(token) {
            Ok(Answer::State(register)) => (**register).clone(),
            other => panic!("the read ended with {other:?}"),
        }
    }
}
