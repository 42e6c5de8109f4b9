//! The world: one queue of events, one seed, one run.
//!
//! Time is a number. Whatever happens next is the earliest event or timer; whatever is left to chance is drawn from
//! the seed, so the same seed gives the same run to the last message. A run has two halves: first clients call
//! while faults strike; then the faults end, everything starts again, and the cluster must settle and serve.

mod ending;
mod mishaps;
mod traffic;

use std::collections::BTreeMap;
use std::sync::Arc;

use roundtable_consensus::{Key, NodeIndex, Register, ReplicaSet, Reply, Request, Rng, Token};

use crate::faults::{Direction, FaultMix};
use crate::network::Network;
use crate::node::{Asker, Node};
use crate::properties::{Violation, Watch};
use crate::report::Report;
use crate::router::Router;
use crate::variant::Variant;
use crate::workload::{Client, Record, WorkloadConfig};

/// The true time at which every run begins, in unix milliseconds.
const START_MS: u64 = 1_790_000_000_000;

/// A run that needs more events than this does not come to rest.
const EVENTS_MAX: u64 = 5_000_000;

/// What a run consists of.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Everything left to chance is drawn from it.
    pub seed: u64,
    /// Storage nodes, all of them replicas of every key.
    pub nodes: usize,
    /// Routers.
    pub routers: usize,
    /// What clients do.
    pub workload: WorkloadConfig,
    /// The mean time between faults in microseconds; 0 for none.
    pub fault_every_us: u64,
    /// Which faults.
    pub fault_mix: FaultMix,
    /// How far each router's clock is off from the start, in milliseconds; 0 for routers beyond the list.
    pub router_skew_ms: Vec<i64>,
    /// How far each node's clock is off from the start, in milliseconds; 0 for nodes beyond the list.
    pub node_skew_ms: Vec<i64>,
    /// What is deliberately wrong.
    pub variant: Variant,
}

impl Plan {
    /// The plan of the checks for a seed.
    #[must_use]
    pub fn standard(seed: u64) -> Self {
        Self {
            seed,
            nodes: if seed % 4 == 3 { 5 } else { 3 },
            routers: if seed.is_multiple_of(2) { 3 } else { 2 },
            workload: WorkloadConfig { clients: 6, keys: 2, calls: 40, ending_percent: 20 },
            fault_every_us: 400_000,
            fault_mix: FaultMix::All,
            router_skew_ms: Vec::new(),
            node_skew_ms: Vec::new(),
            variant: Variant::Sound,
        }
    }

    /// A plan without faults in which clocks are off and all clients race on one value and one counter.
    #[must_use]
    pub fn skewed(seed: u64, router_skew_ms: Vec<i64>, node_skew_ms: Vec<i64>) -> Self {
        Self {
            nodes: 3,
            routers: router_skew_ms.len(),
            workload: WorkloadConfig { clients: 6, keys: 1, calls: 100, ending_percent: 20 },
            fault_every_us: 0,
            router_skew_ms,
            node_skew_ms,
            ..Self::standard(seed)
        }
    }

    /// A plan in which most values end soon, by clocks that are far apart.
    #[must_use]
    pub fn fleeting(seed: u64) -> Self {
        let standard = Self::standard(seed);
        Self {
            routers: 3,
            workload: WorkloadConfig { ending_percent: 80, ..standard.workload },
            router_skew_ms: vec![3_000, 0, -3_000],
            ..standard
        }
    }

    /// A plan in which nodes restart all the time, in the middle of rounds.
    #[must_use]
    pub fn restless(seed: u64) -> Self {
        Self { fault_every_us: 15_000, fault_mix: FaultMix::Restarts, ..Self::harsh(seed) }
    }

    /// A plan with more of everything that breaks a broken variant: one value and one counter under many hands, and
    /// hardly a moment without a fault.
    #[must_use]
    pub fn harsh(seed: u64) -> Self {
        Self {
            nodes: 3,
            routers: 3,
            workload: WorkloadConfig { clients: 8, keys: 1, calls: 30, ending_percent: 20 },
            fault_every_us: 60_000,
            ..Self::standard(seed)
        }
    }
}

#[derive(Debug)]
enum Event {
    ToNode(usize, Asker, Request),
    ToRouter(usize, Asker, Reply),
    Lost(Asker, usize, u64),
    Synced(usize, u32),
    NodeTick(usize),
    Call(usize),
    Fault,
    StartNode(usize, u32),
    Thaw(usize, u32),
    Heal(usize, usize, Direction),
    Probe(Asker, usize),
    ProbeAnswer(Asker, usize, Option<(bool, u64)>),
}

/// A client that waits for a router.
#[derive(Debug, Clone, Copy)]
struct Caller {
    client: usize,
    since_us: u64,
    timeout_us: u64,
}

/// One run.
#[derive(Debug)]
struct World {
    plan: Plan,
    rng: Rng,
    now_us: u64,
    serial: u64,
    events: BTreeMap<(u64, u64), Event>,
    network: Network,
    nodes: Vec<Node>,
    routers: Vec<Router>,
    replicas: Arc<ReplicaSet>,
    clients: Vec<Client>,
    /// Whose call a router's answer ends; by router, its life and its token.
    callers: BTreeMap<(usize, u32, Token), Caller>,
    /// What a node's yes refers to: registers in Accepts, by router, its life and the request.
    proposed: BTreeMap<(usize, u32, u64), (Key, Register)>,
    record: Record,
    report: Report,
    watch: Watch,
    faults_on: bool,
    /// Now and then a sync takes long.
    disks_hang: bool,
    violation: Option<Violation>,
}

/// Runs a plan.
///
/// # Errors
/// The first property that did not hold.
pub fn run(plan: Plan) -> Result<Report, Violation> {
    World::new(plan).run()
}

impl World {
    fn new(plan: Plan) -> Self {
        let mut rng = Rng::new(plan.seed);
        let mut nodes: Vec<Node> = (0..plan.nodes).map(|_| Node::new(plan.variant)).collect();
        for (node, skew_ms) in nodes.iter_mut().zip(&plan.node_skew_ms) {
            node.clock.skew_ms = *skew_ms;
        }
        let mut routers: Vec<Router> =
            (0..plan.routers).map(|_| Router::new(plan.variant, plan.nodes, 1, &mut rng)).collect();
        for (router, skew_ms) in routers.iter_mut().zip(&plan.router_skew_ms) {
            router.clock.skew_ms = *skew_ms;
        }
        let members = (0..u16::try_from(plan.nodes).unwrap_or(u16::MAX)).map(NodeIndex).collect();
        Self {
            now_us: 0,
            serial: 0,
            events: BTreeMap::new(),
            network: Network::calm(),
            nodes,
            routers,
            replicas: Arc::new(ReplicaSet::single(members)),
            clients: (0..plan.workload.clients).map(|n| Client::new(n, &plan.workload)).collect(),
            callers: BTreeMap::new(),
            proposed: BTreeMap::new(),
            record: Record::default(),
            report: Report { served: vec![0; plan.routers], ..Report::default() },
            watch: Watch::new(plan.nodes),
            faults_on: plan.fault_every_us > 0,
            disks_hang: true,
            violation: None,
            rng,
            plan,
        }
    }

    fn run(mut self) -> Result<Report, Violation> {
        for client in 0..self.clients.len() {
            let delay_us = self.rng.up_to(100_000);
            self.schedule(delay_us, Event::Call(client));
        }
        for node in 0..self.nodes.len() {
            self.schedule(250_000, Event::NodeTick(node));
        }
        if self.faults_on {
            self.schedule(self.plan.fault_every_us, Event::Fault);
        }
        self.run_until(|world| world.clients.iter().all(Client::is_done))?;
        self.end()
    }

    fn run_until(&mut self, done: impl Fn(&Self) -> bool) -> Result<(), Violation> {
        for _ in 0..EVENTS_MAX {
            if let Some(violation) = self.violation.take() {
                return Err(violation);
            }
            if done(self) {
                return Ok(());
            }
            self.step();
        }
        Err(Violation::Unserved("the run does not come to rest".to_owned()))
    }

    /// Whatever is due next: an event or a router's timer.
    fn step(&mut self) {
        let event_us = self.events.first_key_value().map_or(u64::MAX, |((at_us, _), _)| *at_us);
        let timers = self.routers.iter().enumerate().filter_map(|(n, r)| r.next_timer_us().map(|at| (at, n)));
        match timers.min() {
            Some((at_us, router)) if at_us < event_us => {
                self.now_us = self.now_us.max(at_us);
                self.with_router(router, Router::tick);
            }
            _ => {
                if let Some(((at_us, _), event)) = self.events.pop_first() {
                    self.now_us = self.now_us.max(at_us);
                    self.on_event(event);
                }
            }
        }
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::ToNode(node, asker, request) => self.deliver(node, asker, request),
            Event::ToRouter(node, asker, reply) => self.on_reply(node, asker, reply),
            Event::Lost(asker, node, id) => self.on_lost(asker, node, id),
            Event::Synced(node, life) => self.on_synced(node, life),
            Event::NodeTick(node) => self.on_node_tick(node),
            Event::Call(client) => self.on_call(client),
            Event::Fault => self.on_fault(),
            Event::StartNode(node, life) => self.start_node(node, life),
            Event::Thaw(node, life) => self.thaw(node, life),
            Event::Heal(router, node, direction) => self.heal(router, node, direction),
            Event::Probe(asker, node) => self.on_probe(asker, node),
            Event::ProbeAnswer(asker, node, answer) => self.on_probe_answer(asker, node, answer),
        }
    }

    fn schedule(&mut self, delay_us: u64, event: Event) {
        self.serial += 1;
        self.events.insert((self.now_us + delay_us, self.serial), event);
    }

    /// Adds what a router has done in its life to the report.
    fn note_stats(&mut self, router: usize) {
        let Some(stats) = self.routers.get(router).map(Router::stats) else { return };
        let paths = &mut self.report.paths;
        paths.rounds_failed += stats.rounds_failed;
        paths.read_fallbacks += stats.read_fallbacks;
        paths.one_trip_answers += stats.one_trip_answers;
        paths.operations_combined += stats.operations_combined;
        paths.hedges += stats.hedges;
        paths.clock_pull_backs += stats.clock_pull_backs;
    }

    fn true_ms(&self) -> u64 {
        START_MS + self.now_us / 1_000
    }

    fn check(&mut self, held: Result<(), Violation>) {
        if let Err(violation) = held {
            self.violation.get_or_insert(violation);
        }
    }
}
