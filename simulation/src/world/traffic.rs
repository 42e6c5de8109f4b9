//! Calls, messages and their answers.

use std::sync::Arc;

use roundtable_consensus::{
    Answer, Failure, Key, NodeIndex, Now, Outcome, ReplicaSet, Reply, ReplyBody, Request, RequestBody, Task,
    refusal,
};

use super::{Caller, Event, START_MS, World};
use crate::network::Fate;
use crate::node::{Asker, Outgoing};
use crate::properties::{Span, ended_in_time};
use crate::router::{Router, RouterOutput};
use crate::variant::Variant;
use crate::workload::Next;

impl World {
    /// Lets a router take an event and carries out what it wants.
    pub(super) fn with_router(
        &mut self,
        number: usize,
        event: impl FnOnce(&mut Router, Now, &mut RouterOutput),
    ) {
        let Some(router) = self.routers.get_mut(number) else { return };
        let asker = Asker { router: number, life: router.life };
        let now = router.now(self.now_us, START_MS);
        let mut out = RouterOutput::default();
        event(router, now, &mut out);
        for (node, request) in out.sends {
            self.send(asker, usize::from(node.0), request);
        }
        for node in out.probes {
            let delay_us = self.rng.up_to(self.network.delay_us_max);
            self.schedule(delay_us, Event::Probe(asker, usize::from(node.0)));
        }
        for (token, answer) in out.answers {
            if let Some(caller) = self.callers.remove(&(number, asker.life, token)) {
                self.note_answer(number, caller, &answer);
                self.end_call(caller.client, Some(&answer));
            }
        }
    }

    fn note_answer(&mut self, router: usize, caller: Caller, answer: &Result<Answer, Failure>) {
        let took_us = self.now_us - caller.since_us;
        self.report.slowest_call_ms = self.report.slowest_call_ms.max(took_us / 1_000);
        if let (Ok(_), Some(served)) = (answer, self.report.served.get_mut(router)) {
            *served += 1;
        }
        self.check(ended_in_time(took_us, caller.timeout_us));
    }

    fn send(&mut self, asker: Asker, node: usize, request: Request) {
        if let RequestBody::Accept { register, .. } = &request.body {
            let held = self.watch.on_proposed(&request.key, register);
            self.proposed
                .insert((asker.router, asker.life, request.id), (request.key.clone(), register.clone()));
            self.check(held);
        }
        let id = request.id;
        match self.network.fate(&mut self.rng, asker.router, node, true) {
            Fate::Arrives(delays) => {
                for delay_us in delays {
                    self.schedule(delay_us, Event::ToNode(node, asker, request.clone()));
                }
            }
            Fate::Lost { after_us, arrives_us } => {
                self.schedule(after_us, Event::Lost(asker, node, id));
                if let Some(arrives_us) = arrives_us {
                    self.schedule(arrives_us, Event::ToNode(node, asker, request));
                }
            }
        }
    }

    /// A message reaches a node, or finds nobody there.
    pub(super) fn deliver(&mut self, number: usize, asker: Asker, request: Request) {
        self.report.messages += 1;
        let true_ms = self.true_ms();
        let Some(node) = self.nodes.get_mut(number) else { return };
        if !node.is_up() {
            let delay_us = self.rng.up_to(2_000);
            self.schedule(delay_us, Event::Lost(asker, number, request.id));
            return;
        }
        let frozen_id = node.frozen.then_some(request.id);
        let (leaving, sync) = node.receive(true_ms, asker, request, &mut self.rng);
        if let Some(id) = frozen_id {
            self.schedule(1_000_000, Event::Lost(asker, number, id));
        }
        self.carry_on(number, leaving, sync);
    }

    pub(super) fn on_synced(&mut self, number: usize, life: u32) {
        let Some(node) = self.nodes.get_mut(number).filter(|node| node.life == life && node.is_up()) else {
            return;
        };
        if node.sync_fails {
            // Nothing is answered after a failed sync: the process ends, and may find the writes on its disk or not.
            self.kill_node(number, 300_000);
            return;
        }
        let (leaving, sync) = node.synced();
        self.carry_on(number, leaving, sync);
    }

    pub(super) fn on_node_tick(&mut self, number: usize) {
        let true_ms = self.true_ms();
        let sync = self.nodes.get_mut(number).is_some_and(|node| node.tick(true_ms));
        self.carry_on(number, Vec::new(), sync);
        self.schedule(250_000, Event::NodeTick(number));
    }

    /// Sends what may leave a node, and starts its next sync.
    pub(super) fn carry_on(&mut self, number: usize, leaving: Vec<Outgoing>, sync: bool) {
        if sync {
            let slow = self.disks_hang && self.rng.up_to(19) == 0;
            let took_us = 100 + self.rng.up_to(if slow { 300_000 } else { 3_000 });
            let life = self.nodes.get(number).map_or(0, |node| node.life);
            self.schedule(took_us, Event::Synced(number, life));
        }
        for (asker, reply) in leaving {
            self.note_acceptance(number, asker, &reply);
            match self.network.fate(&mut self.rng, asker.router, number, false) {
                Fate::Arrives(delays) => {
                    for delay_us in delays {
                        self.schedule(delay_us, Event::ToRouter(number, asker, reply.clone()));
                    }
                }
                Fate::Lost { after_us, arrives_us } => {
                    self.schedule(after_us, Event::Lost(asker, number, reply.id));
                    if let Some(arrives_us) = arrives_us {
                        self.schedule(arrives_us, Event::ToRouter(number, asker, reply));
                    }
                }
            }
        }
    }

    fn note_acceptance(&mut self, number: usize, asker: Asker, reply: &Reply) {
        if !matches!(reply.body, ReplyBody::Accepted { .. }) {
            return;
        }
        let node = NodeIndex(u16::try_from(number).unwrap_or(u16::MAX));
        if let Some((key, register)) = self.proposed.get(&(asker.router, asker.life, reply.id)) {
            let held = self.watch.on_accepted(node, key, register);
            self.check(held);
        }
    }

    pub(super) fn on_reply(&mut self, number: usize, asker: Asker, reply: Reply) {
        let node_ms = self.nodes.get(number).map_or(0, |node| node.clock_ms(self.true_ms()));
        if self.is_alive(asker) {
            let node = NodeIndex(u16::try_from(number).unwrap_or(u16::MAX));
            self.with_router(asker.router, |router, now, out| {
                router.on_reply(now, node, node_ms, reply, out);
            });
        }
    }

    pub(super) fn on_lost(&mut self, asker: Asker, number: usize, id: u64) {
        if self.is_alive(asker) {
            let node = NodeIndex(u16::try_from(number).unwrap_or(u16::MAX));
            self.with_router(asker.router, |router, now, out| router.on_lost(now, node, id, out));
        }
    }

    pub(super) fn on_probe(&mut self, asker: Asker, number: usize) {
        let true_ms = self.true_ms();
        let cut = |toward| self.network.cut.contains(&(asker.router, number, toward));
        let answering =
            self.nodes.get(number).filter(|node| node.is_up() && !node.frozen && !cut(true) && !cut(false));
        let answer = answering.map(|node| (node.is_ready(true_ms), node.clock_ms(true_ms)));
        let delay_us = if answer.is_some() { self.rng.up_to(self.network.delay_us_max) } else { 200_000 };
        self.schedule(delay_us, Event::ProbeAnswer(asker, number, answer));
    }

    pub(super) fn on_probe_answer(&mut self, asker: Asker, number: usize, answer: Option<(bool, u64)>) {
        if self.is_alive(asker) {
            let node = NodeIndex(u16::try_from(number).unwrap_or(u16::MAX));
            self.with_router(asker.router, |router, now, out| router.on_probe(now, node, answer, out));
        }
    }

    /// A client makes its next call, through any router.
    pub(super) fn on_call(&mut self, number: usize) {
        let (true_us, true_ms) = (self.now_us, self.true_ms());
        let Some(client) = self.clients.get_mut(number) else { return };
        if client.pending.is_some()
            || client.choose(true_us, true_ms, &self.plan.workload, &mut self.rng).is_some()
        {
            let router = usize::try_from(self.rng.up_to(self.routers.len() as u64 - 1)).unwrap_or(0);
            self.call(number, router);
        }
    }

    pub(super) fn call(&mut self, number: usize, router_number: usize) {
        let replicas = self.replicas_for_call();
        let timeout_us = 500_000 + self.rng.up_to(4_500_000);
        let Some(router) = self.routers.get(router_number) else { return };
        let (life, hybrid_ms) = (router.life, router.hybrid_ms(router.now(self.now_us, START_MS)));
        let Some(client) = self.clients.get(number) else { return };
        if !client.is_acceptable(hybrid_ms) {
            self.end_call(number, Some(&Err(Failure::ClockSkew)));
            return;
        }
        let (Some(task), Some(pending)) = (client.task(hybrid_ms), &client.pending) else { return };
        let key = pending.key.clone();
        self.watch.on_begun(&key, pending.call);
        if let Some(refused) = self.refusal_of_one_replica(&task, &key, hybrid_ms) {
            self.end_call(number, Some(&Ok(Answer::Settled(refused))));
            return;
        }
        let now_us = self.now_us;
        // The answer may come at once, before the token is known here.
        let mut at_once = Vec::new();
        let mut token = None;
        self.with_router(router_number, |router, now, out| {
            let given = router.submit(now, &key, replicas, task, timeout_us, out);
            token = Some(given);
            at_once = std::mem::take(&mut out.answers);
        });
        let Some(token) = token else { return };
        let caller = Caller { client: number, since_us: now_us, timeout_us };
        self.callers.insert((router_number, life, token), caller);
        for (answered, answer) in at_once {
            if let Some(caller) = self.callers.remove(&(router_number, life, answered)) {
                self.note_answer(router_number, caller, &answer);
                self.end_call(caller.client, Some(&answer));
            }
        }
    }

    /// What the variant of that name would answer: the sound product asks a majority.
    fn refusal_of_one_replica(&mut self, task: &Task, key: &Key, now_ms: u64) -> Option<Outcome> {
        let Task::Change(operation) = task else { return None };
        if self.plan.variant != Variant::RefusesForOneReplica {
            return None;
        }
        let place = usize::try_from(self.rng.up_to(self.nodes.len() as u64 - 1)).unwrap_or(0);
        let stored = self.nodes.get(place)?.disk.read(key)?;
        refusal(&stored.register, now_ms, operation)
    }

    fn replicas_for_call(&mut self) -> Arc<ReplicaSet> {
        if self.plan.variant != Variant::MinorityQuorums {
            return Arc::clone(&self.replicas);
        }
        let place = usize::try_from(self.rng.up_to(self.nodes.len() as u64 - 1)).unwrap_or(0);
        let one = self.replicas.members().get(place).copied();
        Arc::new(ReplicaSet::single(one.into_iter().collect()))
    }

    /// A call ends, or goes on under its idempotency key; then the client pauses and makes the next.
    pub(super) fn end_call(&mut self, number: usize, answer: Option<&Result<Answer, Failure>>) {
        let now_us = self.now_us;
        let Some(client) = self.clients.get_mut(number) else { return };
        let mut held = Ok(());
        if let Some(pending) = &client.pending {
            if pending.is_never_applied(answer) {
                self.watch.on_never_applied(&pending.key, pending.call);
            }
            if let Some(Ok(answer)) = answer {
                let span = Span { begun_us: pending.invoked, told_us: now_us };
                held = self.watch.on_answer(&pending.key, pending.call, span, answer);
            }
        }
        let next = client.on_answer(now_us, answer, &mut self.record);
        let pause_us = match next {
            Next::Repeat => self.rng.up_to(200_000),
            Next::Done => self.rng.up_to(100_000),
        };
        self.schedule(pause_us, Event::Call(number));
        self.check(held);
    }

    fn is_alive(&self, asker: Asker) -> bool {
        self.routers.get(asker.router).is_some_and(|router| router.life == asker.life)
    }
}
