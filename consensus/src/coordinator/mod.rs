//! The coordinator: a router's whole conduct of rounds and reads, without its sockets and clocks.
//!
//! Requests, replies, losses, changes of node health and the passing of time go in; messages and answers come
//! out. Per key one round runs at a time: operations that arrive meanwhile wait and are applied together by the
//! next one, so a hot key costs one round per round trip however many clients hit it. Reads share a quorum read
//! in the same way: one that arrives after the messages were sent waits for the next.
//!
//! The split that clients rely on is made here: an operation whose Accept was never sent is refused (it is never
//! applied); one whose Accept was sent is retried under its history, and if the time runs out its outcome is
//! unknown. So no Accept is sent as the first message to a majority that failure detection does not count on, and
//! where a majority is known to be unreachable whatever was never sent is refused at once.

mod entries;
mod entry;
mod eventual;
mod guesses;
mod head_starts;
mod interface;
mod pace;
mod reads;
mod rounds;
mod seam;
#[cfg(test)]
mod tests;
mod timing;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use entries::{Entries, EntryId};
use entry::Entry;
use eventual::EventualRead;
use head_starts::HeadStarts;
pub use interface::{CoordinatorConfig, CoordinatorStats, Effects, Failure, Now, Submit, Task};
use pace::Pace;

use crate::apply::Proposal;
use crate::ballot::Ballot;
use crate::clock::HybridClock;
use crate::health::Reach;
use crate::ids::{NodeIndex, PartitionId};
use crate::key::Key;
use crate::message::{Reply, Request, RequestBody};
use crate::number_map::NumberMap;
use crate::operation::{Answer, Change, Operation};
use crate::rng::Rng;
use crate::round::{Slot, Step, Token};

/// Node times are taken from replies at most this often per node.
const CLOCK_OBSERVATION_US: u64 = 100_000;

/// Drives rounds and reads for a share of the keys.
#[derive(Debug)]
pub struct Coordinator {
    config: CoordinatorConfig,
    clock: HybridClock,
    rng: Rng,
    pace: Pace,
    entries: Entries,
    head_starts: HeadStarts,
    /// By the numbers of their tokens.
    clients: NumberMap<Client>,
    /// Bytes of keys and values that `clients` stand for.
    held_bytes: usize,
    deadlines: BTreeSet<(u64, Token)>,
    timers: BTreeSet<(u64, EntryId)>,
    requests: NumberMap<Sent>,
    next_request: u64,
    next_serial: u64,
    unusable: BTreeSet<NodeIndex>,
    /// Those of `unusable` that are known not to serve, each with the time since when.
    unreachable: BTreeMap<NodeIndex, u64>,
    clock_heard_us: BTreeMap<NodeIndex, u64>,
    stats: CoordinatorStats,
}

/// Someone who waits for an answer.
#[derive(Debug)]
struct Client {
    waits: Waits,
    submitted_us: u64,
    deadline_us: u64,
    /// Bytes of its key and value.
    bytes: usize,
    /// Whether nothing is changed: such a request is never in doubt.
    reads: bool,
}

/// What a client waits for.
#[derive(Debug)]
enum Waits {
    /// A round or a quorum read of its key.
    Entry(EntryId),
    /// An eventual read, which goes from replica to replica by itself.
    Eventual(EventualRead),
}

/// A message whose reply or loss has not been reported yet.
#[derive(Debug)]
struct Sent {
    purpose: Purpose,
    sent_us: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Round(EntryId, Ballot, Step),
    Read(EntryId, u64),
    Eventual(Token),
}

/// What every message about a key says beside the key.
#[derive(Debug, Clone, Copy)]
struct Route {
    partition: PartitionId,
    done: bool,
}

impl Coordinator {
    /// A coordinator that draws its names and pauses from `seed`. In production the seed is random: two
    /// coordinators must not share a proposer's name.
    ///
    /// # Panics
    /// When `config` has no time between hedges, or bounds that cross.
    #[must_use]
    pub fn new(config: CoordinatorConfig, seed: u64) -> Self {
        assert!(config.hedge_us_min >= 1, "hedges need a time between them");
        assert!(config.hedge_us_min <= config.hedge_us_max, "the bounds of the time between hedges cross");
        assert!(config.patience_us >= 1, "waiting for a majority takes time");
        assert!(config.confirmation_us <= config.patience_us, "a majority is given up within the patience");
        assert!(config.slots_per_round_max >= 1, "a round needs room for an operation");
        let mut rng = Rng::new(seed);
        let clock = HybridClock::new(config.skew_ms_max, Rng::new(rng.next_u64()));
        let entries = Entries::new(rng.next_u64());
        Self {
            config,
            clock,
            rng,
            pace: Pace::new(),
            entries,
            head_starts: HeadStarts::new(),
            clients: NumberMap::default(),
            held_bytes: 0,
            deadlines: BTreeSet::new(),
            timers: BTreeSet::new(),
            requests: NumberMap::default(),
            next_request: 0,
            next_serial: 0,
            unusable: BTreeSet::new(),
            unreachable: BTreeMap::new(),
            clock_heard_us: BTreeMap::new(),
            stats: CoordinatorStats::default(),
        }
    }

    /// The corrected time in unix milliseconds: ends of values are fixed by it, births judged against it.
    #[must_use]
    pub fn hybrid_ms(&self, now: Now) -> u64 {
        self.clock.now_ms(now.wall_ms)
    }

    /// The present correction of the wall clock, in milliseconds.
    #[must_use]
    pub fn clock_offset_ms(&self) -> i64 {
        self.clock.offset_ms()
    }

    /// What was done so far.
    #[must_use]
    pub fn stats(&self) -> CoordinatorStats {
        self.stats
    }

    /// Requests without an answer yet.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.clients.len()
    }

    /// When [`Self::tick`] is wanted next, on the monotonic clock.
    #[must_use]
    pub fn next_timer_us(&self) -> Option<u64> {
        let timer = self.timers.first().map(|(at_us, _)| *at_us);
        let deadline = self.deadlines.first().map(|(at_us, _)| *at_us);
        timer.into_iter().chain(deadline).min()
    }

    /// Takes a client's request.
    ///
    /// # Panics
    /// When the token was used before.
    pub fn submit(&mut self, now: Now, submit: Submit, out: &mut Effects) {
        let bytes = submit.bytes();
        let Submit { token, key, partition, replicas, task, deadline_us } = submit;
        let room_bytes = self.config.queued_bytes_max.saturating_sub(self.held_bytes);
        if self.clients.len() >= self.config.operations_max || bytes > room_bytes {
            out.answers.push((token, Err(Failure::Overloaded)));
            return;
        }
        let can_be_served = match task {
            Task::ReadEventual => replicas.members().iter().any(|node| !self.unreachable.contains_key(node)),
            Task::Read | Task::Change(_) => self.has_reachable_quorum(now, &replicas),
        };
        if !can_be_served {
            out.answers.push((token, Err(Failure::NoQuorum)));
            return;
        }
        let reads = !matches!(task, Task::Change(_));
        let client = |waits| Client { waits, submitted_us: now.mono_us, deadline_us, bytes, reads };
        let operation = match task {
            Task::ReadEventual => {
                let read = EventualRead::new(key, partition, replicas);
                self.admit(token, client(Waits::Eventual(read)));
                return self.ask_eventual(now, token, out);
            }
            Task::Read => Operation::new(Change::Read),
            Task::Change(operation) => operation,
        };
        let id = self.entries.enter(key, |key| Entry::new(key, partition, Arc::clone(&replicas)));
        self.admit(token, client(Waits::Entry(id)));
        let Some(entry) = self.entries.get_mut(id) else { return };
        entry.replicas = replicas;
        if operation.change == Change::Read && !entry.is_changing() {
            entry.readers.push(token);
            return self.pump(now, id, out);
        }
        self.enqueue(now, id, Slot { token, proposal: Proposal::new(operation) }, out);
    }

    fn admit(&mut self, token: Token, client: Client) {
        self.deadlines.insert((client.deadline_us, token));
        self.held_bytes += client.bytes;
        assert!(self.clients.get(token.0).is_none(), "a token names one request");
        self.clients.insert_new(token.0, client);
    }

    /// Takes a node's reply. Replies to messages that no longer matter are ignored.
    pub fn on_reply(&mut self, now: Now, from: NodeIndex, node_ms: u64, reply: Reply, out: &mut Effects) {
        self.observe_clock(now, from, node_ms);
        let Some(sent) = self.requests.remove(reply.id) else { return };
        match sent.purpose {
            Purpose::Round(id, ballot, step) => {
                if step == Step::Prepare {
                    self.pace.observe(now.mono_us.saturating_sub(sent.sent_us));
                }
                self.with_round(now, id, ballot, out, |round, now_ms, usable, output| {
                    round.on_reply(now_ms, from, step, reply.body, usable, output)
                });
            }
            Purpose::Read(id, serial) => {
                self.pace.observe(now.mono_us.saturating_sub(sent.sent_us));
                self.with_read(now, id, serial, out, |read, usable, sends| {
                    read.on_reply(from, reply.body, usable, sends)
                });
            }
            Purpose::Eventual(token) => self.on_eventual(now, token, from, reply.body, out),
        }
    }

    /// Learns that a message was not sent, or that its reply will never come.
    pub fn on_lost(&mut self, now: Now, to: NodeIndex, request_id: u64, out: &mut Effects) {
        let Some(sent) = self.requests.remove(request_id) else { return };
        match sent.purpose {
            Purpose::Round(id, ballot, step) => {
                self.with_round(now, id, ballot, out, |round, now_ms, usable, output| {
                    round.on_lost(now_ms, to, step, usable, output)
                });
            }
            Purpose::Read(id, serial) => {
                self.with_read(now, id, serial, out, |read, usable, sends| read.on_lost(to, usable, sends));
            }
            Purpose::Eventual(token) => self.on_eventual_lost(now, token, to, out),
        }
    }

    /// Learns how far failure detection counts on a node. What waits for one that is not usable asks another at once;
    /// what waits for a majority tries again when one comes back.
    pub fn on_health(&mut self, now: Now, node: NodeIndex, reach: Reach, out: &mut Effects) {
        let usable = reach == Reach::Usable;
        let usability_changed = if usable { self.unusable.remove(&node) } else { self.unusable.insert(node) };
        if reach == Reach::Unreachable {
            self.unreachable.entry(node).or_insert(now.mono_us);
        } else {
            self.unreachable.remove(&node);
        }
        if !usable {
            self.hedge_eventual(now, node, out);
        }
        if !usability_changed {
            return;
        }
        let mut affected: Vec<EntryId> = (self.entries.iter())
            .filter(|(_, entry)| entry.replicas.members().contains(&node))
            .map(|(id, _)| id)
            .collect();
        affected.sort_unstable();
        for id in affected {
            if usable && let Some(entry) = self.entries.get_mut(id) {
                entry.retry_at_us = None;
            }
            self.hedge(now, id, out);
            self.pump(now, id, out);
        }
    }

    /// Hears a node's time.
    pub fn observe_clock(&mut self, now: Now, node: NodeIndex, node_ms: u64) {
        let heard = self.clock_heard_us.get(&node).copied();
        if heard.is_none_or(|at_us| now.mono_us.saturating_sub(at_us) >= CLOCK_OBSERVATION_US) {
            self.clock_heard_us.insert(node, now.mono_us);
            self.clock.observe(now.wall_ms, node, node_ms);
        }
    }

    fn enqueue(&mut self, now: Now, id: EntryId, slot: Slot, out: &mut Effects) {
        let slots_max = self.config.slots_per_round_max;
        let queue_max = self.config.queue_per_key_max;
        let Some(entry) = self.entries.get_mut(id) else { return };
        let slot = match &mut entry.round {
            Some(running) => match running.round.join(slot, slots_max) {
                None => {
                    self.stats.operations_combined += 1;
                    return;
                }
                Some(slot) => slot,
            },
            None => slot,
        };
        if entry.queue.len() >= queue_max {
            self.answer(slot.token, Err(Failure::Overloaded), out);
            return;
        }
        // Those for whom it was said may have gone.
        entry.no_room &= !entry.queue.is_empty();
        entry.queue.push_back(slot);
        self.pump(now, id, out);
    }

    /// Starts whatever can start on a key, keeps its timer, and forgets it when nothing is left.
    fn pump(&mut self, now: Now, id: EntryId, out: &mut Effects) {
        self.start_round(now, id, out);
        self.start_read(now, id, out);
        let Some(entry) = self.entries.get_mut(id) else { return };
        let wanted = if entry.is_idle() { None } else { entry.wanted_timer_us() };
        if entry.timer_us != wanted {
            if let Some(at_us) = entry.timer_us.take() {
                self.timers.remove(&(at_us, id));
            }
            if let Some(at_us) = wanted {
                entry.timer_us = Some(at_us);
                self.timers.insert((at_us, id));
            }
        }
        if entry.is_idle() {
            self.entries.remove(id);
        }
    }

    #[expect(clippy::too_many_arguments, reason = "what a message is made of, from three places")]
    fn send(
        &mut self,
        now: Now,
        node: NodeIndex,
        key: Key,
        route: Route,
        purpose: Purpose,
        body: RequestBody,
        out: &mut Effects,
    ) {
        self.next_request += 1;
        let id = self.next_request;
        self.requests.insert_new(id, Sent { purpose, sent_us: now.mono_us });
        let Route { partition, done } = route;
        out.sends.push((node, Request { id, partition, done, key, body }));
    }

    fn answer(&mut self, token: Token, answer: Result<Answer, Failure>, out: &mut Effects) {
        if let Some(client) = self.clients.remove(token.0) {
            self.deadlines.remove(&(client.deadline_us, token));
            self.held_bytes -= client.bytes;
            out.answers.push((token, answer));
        }
    }
}
