//! A router that serves: carries events into the coordinators and their sends, answers and timers out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use roundtable_common::wire::{decode_hello, decode_page};
use roundtable_consensus::{
    Adopted, Answer, Coordinator, CoordinatorStats, Effects, Failure, Health, Key, Lane, NodeIndex, Now,
    Reach, ReplicaSet, Rng, ScanPage, Submit, Task, Token,
};
use roundtable_router::links::verdict;
use xxhash_rust::xxh3::xxh3_64;

use super::link::{Link, LinkItem};
use super::listing::Listing;
use super::{Counts, RouterOutput, RouterSeed, Told, hello};
use crate::cluster::{Layout, targets};
use crate::exchange::Post;
use crate::variant::Variant;

/// Independent coordinators, over which keys are spread.
const COORDINATORS: usize = 2;

/// Names of requests that the router makes itself, for its listings, begin here.
const OWN_TOKENS: u64 = 1 << 48;

/// A question without an answer yet.
#[derive(Debug)]
pub(super) enum Pending {
    Batch { node: NodeIndex, lane: Lane, batch: u64, sent: Vec<(usize, u64)> },
    Probe(NodeIndex),
    Scan { listing: Token, ask: usize, node: NodeIndex },
}

#[derive(Debug)]
pub(super) struct Service {
    pub(super) variant: Variant,
    pub(super) layout: Arc<Layout>,
    pub(super) coordinators: Vec<Coordinator>,
    pub(super) links: Vec<Link>,
    pub(super) pending: BTreeMap<u64, Pending>,
    pub(super) listings: BTreeMap<Token, Listing>,
    /// Reads that listings wait for.
    pub(super) reads: BTreeMap<Token, Token>,
    /// Those that were answered, for the listings to take.
    pub(super) reads_done: Vec<(Token, Token, Result<Answer, Failure>)>,
    pub(super) next_own: u64,
    /// Operations whose attempts a variant made their coordinator forget.
    doubted: BTreeSet<Token>,
    pub(super) counts: Counts,
    /// Questions that are to be sent, still without a number.
    pub(super) unnumbered: Vec<(Pending, Post)>,
}

impl Service {
    pub(super) fn new(from: &RouterSeed, adopted: &Adopted, now: Now, rng: &mut Rng) -> Self {
        let coordinator = |_| Coordinator::new(from.coordinator.clone(), rng.next_u64());
        let coordinators = (0..COORDINATORS).map(coordinator).collect();
        let links: Vec<Link> = targets(adopted).into_iter().map(|target| Link::new(target, rng)).collect();
        let mut service = Self {
            variant: from.variant,
            layout: Arc::clone(&from.layout),
            coordinators,
            links,
            pending: BTreeMap::new(),
            listings: BTreeMap::new(),
            reads: BTreeMap::new(),
            reads_done: Vec::new(),
            next_own: OWN_TOKENS,
            doubted: BTreeSet::new(),
            counts: Counts::default(),
            unnumbered: Vec::new(),
        };
        // No node is counted on until its first probe is answered.
        for node in service.nodes() {
            service.tell_reach(now, node, Reach::Doubtful, &mut RouterOutput::default());
        }
        service
    }

    pub(super) fn hybrid_ms(&self, now: Now, key: &Key) -> u64 {
        self.coordinators.get(shard_of(key)).map_or(now.wall_ms, |coordinator| coordinator.hybrid_ms(now))
    }

    pub(super) fn wall_ms(&self, now: Now) -> u64 {
        self.coordinators.first().map_or(now.wall_ms, |coordinator| coordinator.hybrid_ms(now))
    }

    #[expect(clippy::too_many_arguments, reason = "a client's wish, when, and where the answer goes")]
    pub(super) fn submit(
        &mut self,
        now: Now,
        token: Token,
        key: &Key,
        replicas: Option<ReplicaSet>,
        task: Task,
        timeout_us: u64,
        out: &mut RouterOutput,
    ) {
        let (partition, own) = self.layout.place(key);
        let replicas = replicas.map_or(own, Into::into);
        let deadline_us = now.mono_us + timeout_us;
        let submit = Submit { token, key: key.clone(), partition, replicas, task, deadline_us };
        self.event(now, shard_of(key), out, |coordinator, effects| coordinator.submit(now, submit, effects));
    }

    pub(super) fn target(&self, node: NodeIndex) -> Option<&roundtable_common::wire::Target> {
        self.links.get(usize::from(node.0)).map(|link| &link.target)
    }

    pub(super) fn is_usable(&self, node: NodeIndex) -> bool {
        self.links.get(usize::from(node.0)).is_some_and(|link| link.health.standing().is_usable())
    }

    pub(super) fn on_answer(&mut self, now: Now, id: u64, answer: Option<Bytes>, out: &mut RouterOutput) {
        match self.pending.remove(&id) {
            None => {}
            Some(Pending::Batch { node, lane, batch, sent }) => {
                self.on_batch(now, node, lane, batch, &sent, answer, out);
            }
            Some(Pending::Probe(node)) => self.on_probe(now, node, answer, out),
            Some(Pending::Scan { listing, ask, node }) => {
                let page = answer.and_then(|body| self.page(node, body));
                if let Some(waiting) = self.listings.get_mut(&listing) {
                    waiting.on_page(ask, page);
                }
                self.advance_listing(now, listing, out);
            }
        }
        self.settle_listings(now, out);
    }

    fn page(&self, node: NodeIndex, body: Bytes) -> Option<ScanPage> {
        decode_page(body).ok()?.from_target(self.target(node)?).ok()
    }

    fn on_probe(&mut self, now: Now, node: NodeIndex, answer: Option<Bytes>, out: &mut RouterOutput) {
        let hello = answer.and_then(|body| decode_hello(body).ok());
        let Some(link) = self.links.get(usize::from(node.0)) else { return };
        match hello {
            Some(hello) => {
                let found = verdict(&link.target, &hello);
                let heard =
                    |coordinator: &mut Coordinator| coordinator.observe_clock(now, node, hello.node_ms);
                self.coordinators.iter_mut().for_each(heard);
                self.judge(now, node, out, |health| health.probe_answered(now.mono_us, found));
            }
            None => {
                self.judge(now, node, out, |health| health.probe_failed(now.mono_us, "no answer".to_owned()));
            }
        }
    }

    pub(super) fn tick(&mut self, now: Now, next_id: &mut u64, out: &mut RouterOutput) {
        for node in self.nodes() {
            self.judge(now, node, out, |health| health.tick(now.mono_us));
            let place = usize::from(node.0);
            if self.links.get_mut(place).is_some_and(|link| link.health.start_probe(now.mono_us)) {
                *next_id += 1;
                self.pending.insert(*next_id, Pending::Probe(node));
                out.posts.push(hello(*next_id, place));
            }
        }
        for shard in 0..self.coordinators.len() {
            self.event(now, shard, out, |coordinator, effects| coordinator.tick(now, effects));
        }
        let listings: Vec<Token> = self.listings.keys().copied().collect();
        for listing in listings {
            self.advance_listing(now, listing, out);
        }
        self.settle_listings(now, out);
    }

    pub(super) fn next_timer_us(&self) -> Option<u64> {
        let health = self.links.iter().filter_map(|link| link.health.next_timer_us());
        let coordinators = self.coordinators.iter().filter_map(Coordinator::next_timer_us);
        let listings = self.listings.values().map(Listing::next_timer_us);
        health.chain(coordinators).chain(listings).min()
    }

    pub(super) fn stats(&self) -> (CoordinatorStats, Counts) {
        let mut sum = CoordinatorStats::default();
        for stats in self.coordinators.iter().map(Coordinator::stats) {
            sum.rounds += stats.rounds;
            sum.rounds_failed += stats.rounds_failed;
            sum.operations_combined += stats.operations_combined;
            sum.one_trip_answers += stats.one_trip_answers;
            sum.read_fallbacks += stats.read_fallbacks;
            sum.hedges += stats.hedges;
            sum.clock_pull_backs += stats.clock_pull_backs;
        }
        (sum, self.counts)
    }

    pub(super) fn leftovers(&self) -> Vec<(&'static str, usize)> {
        let questions = self.pending.values().filter(|pending| !matches!(pending, Pending::Probe(_)));
        vec![
            ("requests without an answer", self.coordinators.iter().map(Coordinator::in_flight).sum()),
            ("requests in the links", self.links.iter().map(Link::left).sum()),
            ("questions without an answer", questions.count()),
            ("listings", self.listings.len() + self.reads.len()),
        ]
    }

    fn nodes(&self) -> impl Iterator<Item = NodeIndex> + use<> {
        (0..u16::try_from(self.links.len()).unwrap_or(u16::MAX)).map(NodeIndex)
    }

    /// Lets failure detection take an event, and tells the coordinators of a change.
    pub(super) fn judge(
        &mut self,
        now: Now,
        node: NodeIndex,
        out: &mut RouterOutput,
        event: impl FnOnce(&mut Health) -> Option<Reach>,
    ) {
        let changed = self.links.get_mut(usize::from(node.0)).and_then(|link| event(&mut link.health));
        let Some(reach) = changed else { return };
        self.tell_reach(now, node, reach, out);
        if reach != Reach::Usable {
            // A node that was away may be back without the router knowing yet, and now its majority may hang on it.
            for (_, link) in (0..).map(NodeIndex).zip(&mut self.links).filter(|(other, _)| *other != node) {
                let _brought_forward = link.health.missed(now.mono_us);
            }
        }
    }

    fn tell_reach(&mut self, now: Now, node: NodeIndex, reach: Reach, out: &mut RouterOutput) {
        for shard in 0..self.coordinators.len() {
            self.event(now, shard, out, |coordinator, effects| {
                coordinator.on_health(now, node, reach, effects);
            });
        }
    }

    /// Lets a coordinator take an event, then does what came of it. A message that finds its link's queue full is lost
    /// at once, which is an event of its own.
    pub(super) fn event(
        &mut self,
        now: Now,
        shard: usize,
        out: &mut RouterOutput,
        event: impl FnOnce(&mut Coordinator, &mut Effects),
    ) {
        let Some(coordinator) = self.coordinators.get_mut(shard) else { return };
        let mut effects = Effects::default();
        event(coordinator, &mut effects);
        let mut lost = self.take_effects(shard, effects, out);
        while !lost.is_empty() {
            let Some(coordinator) = self.coordinators.get_mut(shard) else { return };
            let mut effects = Effects::default();
            for (node, id) in lost.drain(..) {
                coordinator.on_lost(now, node, id, &mut effects);
            }
            lost = self.take_effects(shard, effects, out);
        }
    }

    /// Puts messages into the links' queues and tells answers. Returns the messages that found no room.
    fn take_effects(
        &mut self,
        shard: usize,
        effects: Effects,
        out: &mut RouterOutput,
    ) -> Vec<(NodeIndex, u64)> {
        let (variant, doubted) = (self.variant, &mut self.doubted);
        if let (true, Some(coordinator)) = (variant.forgets(), self.coordinators.get_mut(shard)) {
            coordinator.tamper_with_waiting(|slot| variant.remembered(slot, doubted));
        }
        let mut lost = Vec::new();
        for (node, request) in effects.sends {
            let id = request.id;
            let link = self.links.get_mut(usize::from(node.0));
            if link.is_none_or(|link| !link.push(LinkItem { shard, request })) {
                self.counts.link_overflows += 1;
                lost.push((node, id));
            }
        }
        for (token, mut answer) in effects.answers {
            if self.doubted.remove(&token) && answer.is_err() {
                answer = Err(Failure::Unknown);
            }
            if let Ok(answer) = &mut answer {
                self.variant.told(answer);
            }
            match self.reads.remove(&token) {
                Some(listing) => self.reads_done.push((listing, token, answer)),
                None => out.told.push((token, Told::Answer(answer))),
            }
        }
        lost
    }
}

fn shard_of(key: &Key) -> usize {
    usize::try_from(xxh3_64(key.as_bytes()) % COORDINATORS as u64).unwrap_or(0)
}
