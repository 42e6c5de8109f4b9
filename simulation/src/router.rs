//! A router: the coordinator and the failure detection that ship, one request a batch.

use std::collections::BTreeMap;
use std::sync::Arc;

use roundtable_consensus::{
    Answer, Coordinator, CoordinatorConfig, CoordinatorStats, Effects, Failure, Health, HealthConfig, Key,
    Lane, NodeIndex, Now, PartitionId, ReplicaSet, Reply, Request, Rng, Submit, Task, Token,
};

use crate::clock::WallClock;
use crate::variant::Variant;

const HEALTH: HealthConfig = HealthConfig {
    suspect_after_us: 100_000,
    suspect_after_us_max: 1_000_000,
    probe_interval_us: 200_000,
    probe_backoff_us_min: 50_000,
    probe_backoff_us_max: 1_000_000,
};

/// What a router wants done after an event.
#[derive(Debug, Default)]
pub(crate) struct RouterOutput {
    pub(crate) sends: Vec<(NodeIndex, Request)>,
    pub(crate) answers: Vec<(Token, Result<Answer, Failure>)>,
    pub(crate) probes: Vec<NodeIndex>,
}

#[derive(Debug)]
pub(crate) struct Router {
    variant: Variant,
    coordinator: Coordinator,
    health: Vec<Health>,
    /// Which batch a request went with; in the simulation each goes alone.
    batches: BTreeMap<u64, u64>,
    /// Counts the lives of the process.
    pub(crate) life: u32,
    pub(crate) clock: WallClock,
    next_token: u64,
}

impl Router {
    pub(crate) fn new(variant: Variant, nodes: usize, life: u32, rng: &mut Rng) -> Self {
        Self {
            variant,
            coordinator: Coordinator::new(CoordinatorConfig::default(), rng.next_u64()),
            health: (0..nodes).map(|_| Health::new(HEALTH, rng.next_u64())).collect(),
            batches: BTreeMap::new(),
            life,
            clock: WallClock::default(),
            next_token: 0,
        }
    }

    pub(crate) fn now(&self, true_us: u64, start_ms: u64) -> Now {
        let true_ms = start_ms + true_us / 1_000;
        Now { wall_ms: self.clock.read(true_ms), mono_us: true_us }
    }

    /// The router's corrected clock, which judges births and fixes ends.
    pub(crate) fn hybrid_ms(&self, now: Now) -> u64 {
        self.coordinator.hybrid_ms(now)
    }

    pub(crate) fn submit(
        &mut self,
        now: Now,
        key: &Key,
        replicas: Arc<ReplicaSet>,
        task: Task,
        timeout_us: u64,
        out: &mut RouterOutput,
    ) -> Token {
        self.next_token += 1;
        let token = Token(self.next_token);
        let deadline_us = now.mono_us + timeout_us;
        let task = self.variant.task(task);
        let submit =
            Submit { token, key: key.clone(), partition: PartitionId(0), replicas, task, deadline_us };
        self.drive(now, out, |coordinator, effects| coordinator.submit(now, submit, effects));
        token
    }

    pub(crate) fn on_reply(
        &mut self,
        now: Now,
        from: NodeIndex,
        node_ms: u64,
        mut reply: Reply,
        out: &mut RouterOutput,
    ) {
        self.variant.heard(self.hybrid_ms(now), &mut reply.body);
        let batch = self.batches.remove(&reply.id);
        self.judge(now, from, out, |health| {
            batch.and_then(|batch| health.batch_answered(now.mono_us, batch))
        });
        self.drive(now, out, |coordinator, effects| coordinator.on_reply(now, from, node_ms, reply, effects));
    }

    pub(crate) fn on_lost(&mut self, now: Now, to: NodeIndex, id: u64, out: &mut RouterOutput) {
        let batch = self.batches.remove(&id);
        self.judge(now, to, out, |health| {
            batch.and_then(|batch| health.batch_lost(now.mono_us, batch, "lost".to_owned()))
        });
        self.drive(now, out, |coordinator, effects| coordinator.on_lost(now, to, id, effects));
    }

    pub(crate) fn on_probe(
        &mut self,
        now: Now,
        node: NodeIndex,
        answer: Option<(bool, u64)>,
        out: &mut RouterOutput,
    ) {
        if let Some((_, node_ms)) = answer {
            self.coordinator.observe_clock(now, node, node_ms);
        }
        self.judge(now, node, out, |health| match answer {
            Some((true, _)) => health.probe_answered(now.mono_us, Ok(())),
            Some((false, _)) => health.probe_answered(now.mono_us, Err("not ready".to_owned())),
            None => health.probe_failed(now.mono_us, "no answer".to_owned()),
        });
    }

    pub(crate) fn tick(&mut self, now: Now, out: &mut RouterOutput) {
        for node in self.nodes() {
            self.judge(now, node, out, |health| health.tick(now.mono_us));
            if let Some(health) = self.health.get_mut(usize::from(node.0))
                && health.start_probe(now.mono_us)
            {
                out.probes.push(node);
            }
        }
        self.drive(now, out, |coordinator, effects| coordinator.tick(now, effects));
    }

    pub(crate) fn next_timer_us(&self) -> Option<u64> {
        let health = self.health.iter().filter_map(Health::next_timer_us).min();
        self.coordinator.next_timer_us().into_iter().chain(health).min()
    }

    /// What the coordinator has done in this life.
    pub(crate) fn stats(&self) -> CoordinatorStats {
        self.coordinator.stats()
    }

    /// What is left in its tables.
    pub(crate) fn leftovers(&self) -> [(&'static str, usize); 2] {
        [
            ("requests without an answer", self.coordinator.in_flight()),
            ("batches on their way", self.batches.len()),
        ]
    }

    /// Whether requests go to a node.
    pub(crate) fn is_usable(&self, node: NodeIndex) -> bool {
        self.health.get(usize::from(node.0)).is_some_and(|health| health.standing().is_usable())
    }

    fn nodes(&self) -> impl Iterator<Item = NodeIndex> + use<> {
        (0..u16::try_from(self.health.len()).unwrap_or(u16::MAX)).map(NodeIndex)
    }

    /// Lets failure detection take an event and tells the coordinator of a change.
    fn judge(
        &mut self,
        now: Now,
        node: NodeIndex,
        out: &mut RouterOutput,
        event: impl FnOnce(&mut Health) -> Option<bool>,
    ) {
        let changed = self.health.get_mut(usize::from(node.0)).and_then(event);
        if let Some(usable) = changed {
            self.drive(now, out, |coordinator, effects| coordinator.on_health(now, node, usable, effects));
        }
    }

    fn drive(
        &mut self,
        now: Now,
        out: &mut RouterOutput,
        event: impl FnOnce(&mut Coordinator, &mut Effects),
    ) {
        let mut effects = Effects::default();
        event(&mut self.coordinator, &mut effects);
        if self.variant.forgets() {
            self.coordinator.tamper_with_waiting(|proposal| self.variant.remembered(proposal));
        }
        for answer in effects.answers.iter_mut().filter_map(|(_, answer)| answer.as_mut().ok()) {
            self.variant.told(answer);
        }
        for (node, request) in &effects.sends {
            let lane = if request.body.is_durable() { Lane::Durable } else { Lane::Quick };
            if let Some(health) = self.health.get_mut(usize::from(node.0)) {
                let (batch, _) = health.batch_sent(now.mono_us, lane);
                self.batches.insert(request.id, batch);
            }
        }
        out.sends.append(&mut effects.sends);
        out.answers.append(&mut effects.answers);
    }
}
