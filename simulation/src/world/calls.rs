//! Clients' calls and their answers.

use roundtable_consensus::{Answer, Failure, Key, Outcome, ReplicaSet, Task, Token, refusal};

use super::{Caller, Event, START_MS, World};
use crate::properties::{Span, Violation, ended_in_time};
use crate::router::{Item, Router, RouterOutput, Told};
use crate::variant::Variant;
use crate::workload::Next;

impl World {
    /// A client makes its next call, through any router. Clients begin when all routers serve.
    pub(super) fn on_call(&mut self, number: usize) {
        let (true_us, true_ms) = (self.now_us, self.true_ms());
        if !self.clients_begun && !self.routers.iter().all(Router::is_serving) {
            self.schedule(20_000, Event::Call(number));
            return;
        }
        self.clients_begun = true;
        let Some(client) = self.clients.get_mut(number) else { return };
        if client.pending.is_none()
            && client.choose(true_us, true_ms, &self.plan.workload, &mut self.rng).is_none()
        {
            return;
        }
        let lists = client.listing_since.is_some();
        let router = usize::try_from(self.rng.up_to(self.routers.len() as u64 - 1)).unwrap_or(0);
        if lists {
            self.list(number, router);
        } else {
            self.call(number, router);
        }
    }

    /// Asks a router for all keys.
    fn list(&mut self, number: usize, router_number: usize) {
        let timeout_us = 500_000 + self.rng.up_to(4_500_000);
        let reverse = self.rng.up_to(1) == 0;
        let Some(router) = self.routers.get_mut(router_number) else { return };
        let (life, now) = (router.life, router.now(self.now_us, START_MS));
        let caller = Caller { client: number, since_us: self.now_us, timeout_us };
        if router.frozen {
            self.end_listing(number, router_number, &Err(Failure::NoQuorum));
            return;
        }
        let mut out = RouterOutput::default();
        let token = router.list(now, timeout_us, reverse, &mut out);
        self.callers.insert((router_number, life, token), caller);
        self.with_router(router_number, |_, _, carried| *carried = out);
    }

    pub(super) fn call(&mut self, number: usize, router_number: usize) {
        let replicas = self.replicas_for_call(number);
        let timeout_us = 500_000 + self.rng.up_to(4_500_000);
        let Some(router) = self.routers.get(router_number) else { return };
        let Some(client) = self.clients.get(number) else { return };
        let Some(pending) = &client.pending else { return };
        let (key, call) = (pending.key.clone(), pending.call);
        let (life, now) = (router.life, router.now(self.now_us, START_MS));
        let hybrid_ms = router.hybrid_ms(now, &key);
        let is_frozen = router.frozen;
        if is_frozen {
            // Its socket takes the request, nobody reads it, and the client gives up.
            self.end_call(number, None);
            return;
        }
        if !client.is_acceptable(hybrid_ms) {
            self.end_call(number, Some(&Err(Failure::ClockSkew)));
            return;
        }
        let Some(task) = client.task(hybrid_ms) else { return };
        self.watch.on_begun(&key, call);
        if let Some(refused) = self.refusal_of_one_replica(&task, &key, hybrid_ms) {
            self.end_call(number, Some(&Ok(Answer::Settled(refused))));
            return;
        }
        let caller = Caller { client: number, since_us: self.now_us, timeout_us };
        let Some(router) = self.routers.get_mut(router_number) else { return };
        let mut out = RouterOutput::default();
        let token = router.submit(now, &key, replicas, task, timeout_us, &mut out);
        self.callers.insert((router_number, life, token), caller);
        // The answer may be there at once: it is carried out now that its caller is known.
        self.with_router(router_number, |_, _, carried| *carried = out);
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

    fn replicas_for_call(&mut self, number: usize) -> Option<ReplicaSet> {
        if self.plan.variant != Variant::MinorityQuorums {
            return None;
        }
        let key = &self.clients.get(number)?.pending.as_ref()?.key;
        let (_, replicas) = self.layout.place(key);
        let place = usize::try_from(self.rng.up_to(replicas.members().len() as u64 - 1)).unwrap_or(0);
        Some(ReplicaSet::single(vec![*replicas.members().get(place)?]))
    }

    /// A router tells something to whoever waits for it.
    pub(super) fn on_told(&mut self, router: usize, life: u32, token: Token, told: &Told) {
        let Some(caller) = self.callers.remove(&(router, life, token)) else { return };
        let took_us = self.now_us - caller.since_us;
        self.report.slowest_call_ms = self.report.slowest_call_ms.max(took_us / 1_000);
        self.check(ended_in_time(took_us, caller.timeout_us));
        match told {
            Told::Answer(answer) => {
                self.note_served(router, answer.is_ok());
                self.report.paths.forgotten += u64::from(*answer == Ok(Answer::Forgotten));
                self.note_failure(answer.as_ref().err());
                self.end_call(caller.client, Some(answer));
            }
            Told::Listing(listing) => {
                self.note_failure(listing.as_ref().err());
                self.end_listing(caller.client, router, listing);
            }
        }
    }

    fn note_failure(&mut self, failure: Option<&Failure>) {
        if let Some(failure) = failure {
            *self.report.failures.entry(*failure).or_default() += 1;
        }
    }

    fn note_served(&mut self, router: usize, ok: bool) {
        if let (true, Some(served)) = (ok, self.report.served.get_mut(router)) {
            *served += 1;
        }
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

    /// The router died with a client's wish: nobody knows what became of it.
    pub(super) fn orphan(&mut self, client: usize) {
        if self.clients.get(client).is_some_and(|client| client.listing_since.is_some()) {
            self.end_listing(client, 0, &Err(Failure::Unknown));
        } else {
            self.end_call(client, None);
        }
    }

    /// A listing ends; then the client pauses and makes the next call.
    fn end_listing(&mut self, number: usize, router: usize, listing: &Result<Vec<Item>, Failure>) {
        let now_us = self.now_us;
        if listing.is_ok() {
            self.note_served(router, true);
        }
        let Some(client) = self.clients.get_mut(number) else { return };
        let since = client.listing_since.take();
        if let (Some(begun_us), Ok(items)) = (since, listing) {
            let span = Span { begun_us, told_us: now_us };
            let keys = self.plan.workload.keys();
            let mut held = in_order(items);
            for key in &keys {
                let listed = items.iter().find(|(of, _)| of == key).map(|(_, register)| register);
                held = held.and_then(|()| self.watch.on_listed(key, listed, span));
            }
            self.record.add_listing(client.number, span, &keys, items);
            self.check(held);
        } else {
            self.record.calls += 1;
        }
        let pause_us = self.rng.up_to(100_000);
        self.schedule(pause_us, Event::Call(number));
    }
}

/// A listing tells each key once, in one direction.
fn in_order(items: &[Item]) -> Result<(), Violation> {
    let pairs = || items.iter().zip(items.iter().skip(1)).map(|((one, _), (next, _))| one.cmp(next));
    if pairs().all(std::cmp::Ordering::is_lt) || pairs().all(std::cmp::Ordering::is_gt) {
        return Ok(());
    }
    let keys: Vec<&Key> = items.iter().map(|(key, _)| key).collect();
    Err(Violation::Linearizability(format!("a listing is not in order, or tells a key twice: {keys:?}")))
}

#[cfg(test)]
mod tests {
    use roundtable_consensus::{Ballot, Register};

    use super::*;

    #[test]
    fn a_listing_out_of_order_or_with_a_key_twice_is_noticed() {
        let items = |names: &[&'static str]| -> Vec<Item> {
            names.iter().map(|name| (Key::new(*name).unwrap(), Register::absent(Ballot::ZERO))).collect()
        };
        assert_eq!(in_order(&items(&["a", "b", "c"])), Ok(()));
        assert_eq!(in_order(&items(&["c", "b", "a"])), Ok(()));
        assert!(in_order(&items(&["a", "c", "b"])).is_err());
        assert!(in_order(&items(&["a", "a"])).is_err());
    }
}
