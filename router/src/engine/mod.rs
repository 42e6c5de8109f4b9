//! Drives the coordinators: carries events in, and sends, answers and timers out.
//!
//! Keys are spread over independent coordinators by a hash. Whatever an event sets going is sent after the
//! coordinator's lock is released, by the task that brought the event: no task stands between a node's reply and the
//! next phase of a round.

mod shard;
mod timer;

use std::sync::Arc;

use roundtable_consensus::{
    Answer, Coordinator, CoordinatorConfig, CoordinatorStats, Effects, Failure, Key, NodeIndex, Now,
    PartitionId, Reach, ReplicaSet, Reply, Task,
};
use tracing::{info, warn};
use xxhash_rust::xxh3::xxh3_64;

use crate::clock::Clock;
use crate::engine::shard::Shard;
pub use crate::engine::timer::run_timer;
use crate::links::{Link, LinkItem, NodeStatus};
use crate::metrics::Metrics;

/// A request that went to a node: whose it is, and its number.
pub type SentRequest = (usize, u64);

/// The coordinators and the links to all nodes of one configuration.
pub struct Engine {
    clock: Clock,
    shards: Vec<Shard>,
    links: Vec<Arc<Link>>,
    metrics: Arc<Metrics>,
}

impl Engine {
    /// Coordinators that count on no node until its first probe is answered.
    ///
    /// `links` are in the order of their [`NodeIndex`]; each of `seeds` makes one coordinator, and is random: two
    /// coordinators must not share a proposer's name.
    #[must_use]
    pub fn new(
        clock: Clock,
        config: &CoordinatorConfig,
        seeds: &[u64],
        links: Vec<Arc<Link>>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let shards = seeds.iter().map(|seed| Shard::new(Coordinator::new(config.clone(), *seed))).collect();
        let engine = Self { clock, shards, links, metrics };
        for link in &engine.links {
            engine.tell_reach(link);
        }
        engine
    }

    /// The clock by which everything is timed.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// Where figures are kept.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The links, in the order of their nodes' numbers.
    #[must_use]
    pub fn links(&self) -> &[Arc<Link>] {
        &self.links
    }

    /// The link to a node.
    #[must_use]
    pub fn link(&self, node: NodeIndex) -> Option<&Arc<Link>> {
        self.links.get(usize::from(node.0))
    }

    /// How many coordinators there are.
    #[must_use]
    pub fn shard_count(&self) -> usize {
        self.shards.len()
    }

    /// The corrected time by which a key's coordinator judges expiry, in unix milliseconds.
    #[must_use]
    pub fn hybrid_ms(&self, key: &Key) -> u64 {
        let now = self.clock.now();
        self.shard_of(key)
            .map_or(now.wall_ms, |(_, shard)| shard.with(|state| state.coordinator.hybrid_ms(now)))
    }

    /// The wall clock, corrected by the first coordinator, in unix milliseconds.
    #[must_use]
    pub fn wall_ms(&self) -> u64 {
        let now = self.clock.now();
        self.shards.first().map_or(now.wall_ms, |shard| shard.with(|state| state.coordinator.hybrid_ms(now)))
    }

    /// Asks a key's coordinator and waits for its answer.
    ///
    /// # Errors
    /// As [`Failure`] says.
    ///
    /// # Cancel safety
    /// When the future is dropped, the operation goes on and its answer is dropped.
    pub async fn submit(
        &self,
        key: Key,
        partition: PartitionId,
        replicas: Arc<ReplicaSet>,
        task: Task,
        deadline_us: u64,
    ) -> Result<Answer, Failure> {
        let Some((place, shard)) = self.shard_of(&key) else { return Err(Failure::Overloaded) };
        let (submit, answer) =
            shard.with(|state| state.register(key, partition, replicas, task, deadline_us));
        self.event(place, |coordinator, now, out| coordinator.submit(now, submit, out));
        answer.await.unwrap_or(Err(Failure::Unknown))
    }

    /// Hands a batch's replies to the coordinators that asked. A request without a proper reply counts as lost.
    pub fn on_replies(&self, node: NodeIndex, node_ms: u64, sent: &[SentRequest], replies: Vec<Reply>) {
        let mut replies = replies.into_iter();
        let mut by_shard: Vec<Vec<(u64, Option<Reply>)>> = self.shards.iter().map(|_| Vec::new()).collect();
        for (place, id) in sent {
            let reply = replies.next().filter(|reply| reply.id == *id);
            if let Some(events) = by_shard.get_mut(*place) {
                events.push((*id, reply));
            }
        }
        for (place, events) in by_shard.into_iter().enumerate().filter(|(_, events)| !events.is_empty()) {
            self.event(place, |coordinator, now, out| {
                for (id, reply) in events {
                    match reply {
                        Some(reply) => coordinator.on_reply(now, node, node_ms, reply, out),
                        None => coordinator.on_lost(now, node, id, out),
                    }
                }
            });
        }
    }

    /// Tells the coordinators that these requests were not answered and never will be.
    pub fn on_lost(&self, link: &Link, sent: &[SentRequest]) {
        self.metrics.count_lost(&link.target.node, sent.len());
        for place in 0..self.shards.len() {
            let ids: Vec<u64> = sent.iter().filter(|(shard, _)| *shard == place).map(|(_, id)| *id).collect();
            if !ids.is_empty() {
                self.event(place, |coordinator, now, out| {
                    ids.iter().for_each(|id| coordinator.on_lost(now, link.node, *id, out));
                });
            }
        }
    }

    /// How far a node can be counted on has changed, or has not.
    pub fn on_reach(&self, link: &Link, change: Option<Reach>) {
        let Some(reach) = change else { return };
        let NodeStatus { standing, detail, .. } = link.status();
        let node_id = &link.target.node;
        match reach {
            Reach::Usable => info!(%node_id, "node is usable"),
            Reach::Doubtful => warn!(%node_id, ?standing, detail, "node is suspected"),
            Reach::Unreachable => warn!(%node_id, ?standing, detail, "node is not usable"),
        }
        self.tell_reach(link);
        if reach != Reach::Usable {
            self.look_for_others(link);
        }
    }

    /// A node that was away may be back without the router knowing yet, and now its majority may hang on it.
    fn look_for_others(&self, lost: &Link) {
        let now_us = self.clock.mono_us();
        for link in self.links.iter().filter(|link| link.node != lost.node) {
            let brought_forward = link.health().missed(now_us);
            if brought_forward {
                link.wake_monitor();
            }
        }
    }

    /// Nothing goes over the link: what waits in its queues is lost. (What waits for a node that is only slow is
    /// kept: a late Accept still brings its replica up to date.)
    pub fn give_up_queues(&self, link: &Link) {
        let waiting: Vec<SentRequest> =
            link.drain().into_iter().map(|item| (item.shard, item.request.id)).collect();
        if !waiting.is_empty() {
            self.on_lost(link, &waiting);
        }
    }

    /// Suspects a node whose answer is overdue.
    pub fn tick_health(&self, link: &Link) {
        let change = link.health().tick(self.clock.mono_us());
        if change.is_some() {
            link.wake_monitor();
        }
        self.on_reach(link, change);
    }

    /// Hears a node's time.
    pub fn observe_clock(&self, link: &Link, node_ms: u64) {
        let now = self.clock.now();
        link.note_clock(node_ms, now.wall_ms);
        for shard in &self.shards {
            shard.with(|state| state.coordinator.observe_clock(now, link.node, node_ms));
        }
    }

    /// Figures of all coordinators together, and their requests without an answer.
    #[must_use]
    pub fn stats(&self) -> (CoordinatorStats, usize) {
        let mut sum = CoordinatorStats::default();
        let mut in_flight = 0;
        for shard in &self.shards {
            let (stats, requests) =
                shard.with(|state| (state.coordinator.stats(), state.coordinator.in_flight()));
            in_flight += requests;
            sum.rounds += stats.rounds;
            sum.rounds_outbid += stats.rounds_outbid;
            sum.rounds_failed += stats.rounds_failed;
            sum.operations_combined += stats.operations_combined;
            sum.one_trip_answers += stats.one_trip_answers;
            sum.one_trip_rounds += stats.one_trip_rounds;
            sum.read_fallbacks += stats.read_fallbacks;
            sum.hedges += stats.hedges;
            sum.clock_pull_backs += stats.clock_pull_backs;
        }
        (sum, in_flight)
    }

    /// The largest correction of the wall clock among the coordinators, in milliseconds.
    #[must_use]
    pub fn clock_offset_ms(&self) -> i64 {
        let offsets = self.shards.iter().map(|shard| shard.with(|state| state.coordinator.clock_offset_ms()));
        offsets.max_by_key(|offset| offset.unsigned_abs()).unwrap_or_default()
    }

    /// Tells each coordinator how far a node can be counted on now.
    ///
    /// Two changes may be on their way at once, from the monitor and from a batch, and the later one may get here first.
    /// So the state is read under the coordinator's lock: whichever comes last finds the newest one.
    fn tell_reach(&self, link: &Link) {
        for place in 0..self.shards.len() {
            self.event(place, |coordinator, now, out| {
                let reach = link.health().standing().reach();
                coordinator.on_health(now, link.node, reach, out);
            });
        }
    }

    fn shard_of(&self, key: &Key) -> Option<(usize, &Shard)> {
        let count = u64::try_from(self.shards.len()).unwrap_or(1).max(1);
        let place = usize::try_from(xxh3_64(key.as_bytes()) % count).unwrap_or_default();
        self.shards.get(place).map(|shard| (place, shard))
    }

    /// Lets a coordinator take an event, then does what came of it: answers, messages, timers. A message that finds
    /// its link's queue full is lost at once, which is an event of its own.
    fn event(&self, place: usize, event: impl FnOnce(&mut Coordinator, Now, &mut Effects)) {
        let Some(shard) = self.shards.get(place) else { return };
        let mut lost = self.send(place, shard.run(self.clock.now(), event));
        while !lost.is_empty() {
            let again = shard.run(self.clock.now(), |coordinator, now, out| {
                for (node, id) in lost.drain(..) {
                    coordinator.on_lost(now, node, id, out);
                }
            });
            lost = self.send(place, again);
        }
    }

    /// Puts messages into the links' queues. Returns those that found no room.
    fn send(
        &self,
        shard: usize,
        sends: Vec<(NodeIndex, roundtable_consensus::Request)>,
    ) -> Vec<(NodeIndex, u64)> {
        let mut lost = Vec::new();
        for (node, request) in sends {
            let id = request.id;
            let pushed = self.link(node).is_some_and(|link| link.push(LinkItem { shard, request }).is_ok());
            if !pushed {
                self.metrics.outbox_overflows.inc();
                lost.push((node, id));
            }
        }
        lost
    }
}

#[cfg(test)]
mod tests;
