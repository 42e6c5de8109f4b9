//! The world: one queue of events, one seed, one run.
//!
//! Time is a number. Whatever happens next is the earliest event or timer; whatever is left to chance is drawn from
//! the seed, so the same seed gives the same run to the last message. A run has two halves: first nodes that have never
//! met found their cluster and clients call, while faults strike; then the faults end, everything starts again, and the
//! cluster must settle, serve and agree.

mod calls;
mod ending;
mod mishaps;
mod traffic;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use roundtable_consensus::{Rng, Token};

use crate::cluster::{Layout, file};
use crate::exchange::{Exchange, Party};
use crate::faults::{Direction, FaultMix};
use crate::network::Network;
use crate::node::Node;
use crate::plan::Plan;
use crate::properties::{Violation, Watch};
use crate::report::Report;
use crate::router::{Router, RouterSeed};
use crate::workload::{Client, Record};

/// The true time at which every run begins, in unix milliseconds.
const START_MS: u64 = 1_790_000_000_000;

/// A run that needs more events than this does not come to rest.
const EVENTS_MAX: u64 = 5_000_000;

#[derive(Debug)]
enum Event {
    /// A question reaches a node.
    Arrive(Exchange, Bytes),
    /// An answer reaches its asker.
    Return(Exchange, Bytes),
    /// The asker's connection breaks, or its patience ends.
    Broken(Exchange),
    /// The shards of a node work off what waits.
    Work(usize, u32),
    Synced(usize, u32),
    NodeTick(usize, u32),
    Call(usize),
    Fault,
    StartNode(usize, u32),
    ThawNode(usize, u32),
    ThawRouter(usize, u32),
    Heal(Party, Party, Direction),
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
    layout: Arc<Layout>,
    clients: Vec<Client>,
    /// Whose call a router's answer ends; by router, its life and its token.
    callers: BTreeMap<(usize, u32, Token), Caller>,
    /// When the last message on a way arrives.
    last_arrivals: BTreeMap<(Party, Party), u64>,
    record: Record,
    report: Report,
    watch: Watch,
    /// Clients have begun to call.
    clients_begun: bool,
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
        let file = file(plan.nodes, plan.replication_factor);
        let mut nodes: Vec<Node> =
            file.ids().map(|id| Node::new(plan.variant, id.clone(), file.clone(), &mut rng)).collect();
        for (node, skew_ms) in nodes.iter_mut().zip(&plan.node_skew_ms) {
            node.clock.skew_ms = *skew_ms;
        }
        let layout = Arc::new(Layout::new(&file));
        let seed = RouterSeed {
            variant: plan.variant,
            file: file.clone(),
            layout: Arc::clone(&layout),
            coordinator: plan.coordinator(),
        };
        let router = |_| Router::new(seed.clone(), 1, &mut rng);
        let mut routers: Vec<Router> = (0..plan.routers).map(router).collect();
        for (router, skew_ms) in routers.iter_mut().zip(&plan.router_skew_ms) {
            router.clock.skew_ms = *skew_ms;
        }
        Self {
            now_us: 0,
            serial: 0,
            events: BTreeMap::new(),
            network: Network::calm(),
            nodes,
            routers,
            layout,
            clients: (0..plan.workload.clients).map(|n| Client::new(n, &plan.workload)).collect(),
            callers: BTreeMap::new(),
            last_arrivals: BTreeMap::new(),
            record: Record::default(),
            report: Report { served: vec![0; plan.routers], ..Report::default() },
            watch: Watch::new(usize::from(plan.replication_factor)),
            clients_begun: false,
            faults_on: plan.fault_every_us > 0,
            disks_hang: plan.fault_every_us > 0 && plan.fault_mix != FaultMix::Clocks,
            violation: None,
            rng,
            plan,
        }
    }

    fn run(mut self) -> Result<Report, Violation> {
        for node in 0..self.nodes.len() {
            let delay_us = self.rng.up_to(300_000);
            self.schedule(delay_us, Event::StartNode(node, 0));
        }
        for client in 0..self.clients.len() {
            let delay_us = self.rng.up_to(100_000);
            self.schedule(delay_us, Event::Call(client));
        }
        if self.faults_on {
            self.schedule(self.plan.fault_every_us.min(100_000), Event::Fault);
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
        let awake = self.routers.iter().enumerate().filter(|(_, router)| !router.frozen);
        let timers = awake.filter_map(|(number, router)| Some((router.next_timer_us()?, number)));
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
            Event::Arrive(exchange, body) => self.on_arrival(exchange, body),
            Event::Return(exchange, body) => self.on_return(exchange, Some(body)),
            Event::Broken(exchange) => self.on_return(exchange, None),
            Event::Work(node, life) => {
                self.with_node(node, life, |node, true_ms, _, out| node.work(true_ms, out));
            }
            Event::Synced(node, life) => self.on_synced(node, life),
            Event::NodeTick(node, life) => self.on_node_tick(node, life),
            Event::Call(client) => self.on_call(client),
            Event::Fault => self.on_fault(),
            Event::StartNode(node, life) => self.start_node(node, life),
            Event::ThawNode(node, life) => self.thaw_node(node, life),
            Event::ThawRouter(router, life) => self.thaw_router(router, life),
            Event::Heal(one, other, direction) => self.heal(one, other, direction),
        }
    }

    fn schedule(&mut self, delay_us: u64, event: Event) {
        self.serial += 1;
        self.events.insert((self.now_us + delay_us, self.serial), event);
    }

    /// Adds what a router has done in its life to the report.
    fn note_stats(&mut self, router: usize) {
        let Some((stats, counts)) = self.routers.get(router).map(Router::stats) else { return };
        let paths = &mut self.report.paths;
        paths.rounds += stats.rounds;
        paths.rounds_failed += stats.rounds_failed;
        paths.read_fallbacks += stats.read_fallbacks;
        paths.one_trip_answers += stats.one_trip_answers;
        paths.operations_combined += stats.operations_combined;
        paths.hedges += stats.hedges;
        paths.clock_pull_backs += stats.clock_pull_backs;
        paths.batches_shared += counts.batches_shared;
        paths.link_overflows += counts.link_overflows;
        paths.listings += counts.listings;
        paths.listed_by_read += counts.listed_by_read;
    }

    /// Whether every node has adopted the first configuration.
    fn is_founded(&self) -> bool {
        self.report.founded_ms > 0
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
