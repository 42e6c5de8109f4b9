//! The coordinator: a router's whole conduct of rounds and reads, without its sockets and clocks.
//!
//! Requests, replies, losses, changes of node health and the passing of time go in; messages and answers come
//! out. Per key one round runs at a time: operations that arrive meanwhile wait and are applied together by the
//! next one, so a hot key costs one round per round trip however many clients hit it. Reads share a quorum read
//! in the same way: one that arrives after the messages were sent waits for the next.
//!
//! The split that clients rely on is made here: an operation whose Accept was never sent is refused (it is never
//! applied); one whose Accept was sent is retried under its history, and if the time runs out its outcome is
//! unknown.

mod entry;
mod eventual;
mod interface;
mod pace;
mod reads;
mod rounds;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use entry::{Entry, Withdrawn};
pub use interface::{CoordinatorConfig, CoordinatorStats, Effects, Failure, Now, Submit, Task};
use pace::Pace;

use crate::apply::Proposal;
use crate::ballot::Ballot;
use crate::clock::HybridClock;
use crate::ids::{NodeIndex, PartitionId};
use crate::key::Key;
use crate::message::{Reply, Request, RequestBody};
use crate::operation::{Answer, Change, Operation};
use crate::quorum::ReplicaSet;
use crate::rng::Rng;
use crate::round::{LostRequest, Progress, Slot, Token};

/// Node times are taken from replies at most this often per node.
const CLOCK_OBSERVATION_US: u64 = 100_000;

/// Drives rounds and reads for a share of the keys.
#[derive(Debug)]
pub struct Coordinator {
    config: CoordinatorConfig,
    clock: HybridClock,
    rng: Rng,
    pace: Pace,
    entries: BTreeMap<Key, Entry>,
    clients: BTreeMap<Token, Client>,
    deadlines: BTreeSet<(u64, Token)>,
    timers: BTreeSet<(u64, Key)>,
    requests: BTreeMap<u64, Sent>,
    next_request: u64,
    next_serial: u64,
    unusable: BTreeSet<NodeIndex>,
    clock_heard_us: BTreeMap<NodeIndex, u64>,
    stats: CoordinatorStats,
}

/// Someone who waits for an answer.
#[derive(Debug)]
struct Client {
    key: Key,
    submitted_us: u64,
    deadline_us: u64,
    /// Whether nothing is changed: such a request is never in doubt.
    reads: bool,
    /// An eventual read goes from replica to replica by itself.
    eventual: Option<EventualRead>,
}

#[derive(Debug)]
struct EventualRead {
    partition: PartitionId,
    replicas: Arc<ReplicaSet>,
    asked: usize,
}

/// A message whose reply or loss has not been reported yet.
#[derive(Debug)]
struct Sent {
    key: Key,
    purpose: Purpose,
    sent_us: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Round(Ballot, LostRequest),
    Read(u64),
    Eventual(Token),
}

impl Coordinator {
    /// A coordinator that draws its names and pauses from `seed`. In production the seed is random: two
    /// coordinators must not share a proposer's name.
    #[must_use]
    pub fn new(config: CoordinatorConfig, seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let clock = HybridClock::new(config.skew_ms_max, Rng::new(rng.next_u64()));
        Self {
            config,
            clock,
            rng,
            pace: Pace::new(),
            entries: BTreeMap::new(),
            clients: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            timers: BTreeSet::new(),
            requests: BTreeMap::new(),
            next_request: 0,
            next_serial: 0,
            unusable: BTreeSet::new(),
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
        let Submit { token, key, partition, replicas, task, deadline_us } = submit;
        if self.clients.len() >= self.config.operations_max {
            out.answers.push((token, Err(Failure::Overloaded)));
            return;
        }
        let reads = !matches!(task, Task::Change(_));
        let mut client =
            Client { key: key.clone(), submitted_us: now.mono_us, deadline_us, reads, eventual: None };
        self.deadlines.insert((deadline_us, token));
        if task == Task::ReadEventual {
            client.eventual = Some(EventualRead { partition, replicas, asked: 0 });
            assert!(self.clients.insert(token, client).is_none(), "a token names one request");
            self.ask_eventual(now, token, out);
            return;
        }
        assert!(self.clients.insert(token, client).is_none(), "a token names one request");
        let entry = self.entries.entry(key.clone()).or_insert_with(|| Entry::new(partition, replicas));
        let operation = match task {
            Task::Change(operation) => operation,
            Task::Read if !entry.is_changing() => {
                entry.readers.push(token);
                self.pump(now, &key, out);
                return;
            }
            Task::Read | Task::ReadEventual => Operation::new(Change::Read),
        };
        self.enqueue(now, &key, Slot { token, proposal: Proposal::new(operation) }, out);
    }

    /// Takes a node's reply. Replies to messages that no longer matter are ignored.
    pub fn on_reply(&mut self, now: Now, from: NodeIndex, node_ms: u64, reply: Reply, out: &mut Effects) {
        self.observe_clock(now, from, node_ms);
        let Some(sent) = self.requests.remove(&reply.id) else { return };
        match sent.purpose {
            Purpose::Round(ballot, kind) => {
                if kind == LostRequest::Prepare {
                    self.pace.observe(now.mono_us.saturating_sub(sent.sent_us));
                }
                self.with_round(now, &sent.key, ballot, out, |round, now_ms, usable, output| {
                    round.on_reply(now_ms, from, reply.body, usable, output)
                });
            }
            Purpose::Read(serial) => {
                self.pace.observe(now.mono_us.saturating_sub(sent.sent_us));
                self.with_read(now, &sent.key, serial, out, |read, usable, sends| {
                    read.on_reply(from, reply.body, usable, sends)
                });
            }
            Purpose::Eventual(token) => self.on_eventual(now, token, reply.body, out),
        }
    }

    /// Learns that a message was not sent, or that its reply will never come.
    pub fn on_lost(&mut self, now: Now, to: NodeIndex, request_id: u64, out: &mut Effects) {
        let Some(sent) = self.requests.remove(&request_id) else { return };
        match sent.purpose {
            Purpose::Round(ballot, kind) => {
                self.with_round(now, &sent.key, ballot, out, |round, now_ms, usable, output| {
                    round.on_lost(now_ms, to, kind, usable, output)
                });
            }
            Purpose::Read(serial) => {
                self.with_read(now, &sent.key, serial, out, |read, usable, sends| {
                    read.on_lost(to, usable, sends)
                });
            }
            Purpose::Eventual(token) => self.ask_eventual(now, token, out),
        }
    }

    /// Learns whether failure detection counts on a node. What waits for an unusable one asks another at once;
    /// what waits for a majority tries again when one comes back.
    pub fn on_health(&mut self, now: Now, node: NodeIndex, usable: bool, out: &mut Effects) {
        let changed = if usable { self.unusable.remove(&node) } else { self.unusable.insert(node) };
        if !changed {
            return;
        }
        let keys: Vec<Key> = (self.entries.iter())
            .filter(|(_, entry)| entry.replicas.members().contains(&node))
            .map(|(key, _)| key.clone())
            .collect();
        for key in keys {
            if usable {
                if let Some(entry) = self.entries.get_mut(&key) {
                    entry.retry_at_us = None;
                }
                self.pump(now, &key, out);
            } else {
                self.hedge(now, &key, out);
            }
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

    /// Does what is due: ends requests whose time is over, asks further replicas, tries again.
    pub fn tick(&mut self, now: Now, out: &mut Effects) {
        while let Some((at_us, token)) = self.deadlines.first().copied() {
            if at_us > now.mono_us {
                break;
            }
            self.on_deadline(now, token, out);
        }
        while let Some((at_us, key)) = self.timers.first().cloned() {
            if at_us > now.mono_us {
                break;
            }
            self.on_timer(now, &key, out);
        }
    }

    fn enqueue(&mut self, now: Now, key: &Key, slot: Slot, out: &mut Effects) {
        let slots_max = self.config.slots_per_round_max;
        let queue_max = self.config.queue_per_key_max;
        let Some(entry) = self.entries.get_mut(key) else { return };
        let slot = match &mut entry.round {
            Some(running) => match running.round.join(slot, slots_max) {
                Ok(()) => {
                    self.stats.operations_combined += 1;
                    return;
                }
                Err(slot) => slot,
            },
            None => slot,
        };
        if entry.queue.len() >= queue_max {
            self.answer(slot.token, Err(Failure::Overloaded), out);
            return;
        }
        entry.queue.push_back(slot);
        self.pump(now, key, out);
    }

    /// Starts whatever can start on a key, keeps its timer, and forgets it when nothing is left.
    fn pump(&mut self, now: Now, key: &Key, out: &mut Effects) {
        self.start_round(now, key, out);
        self.start_read(now, key, out);
        let Some(entry) = self.entries.get_mut(key) else { return };
        let wanted = if entry.is_idle() { None } else { entry.wanted_timer_us() };
        if entry.timer_us != wanted {
            if let Some(at_us) = entry.timer_us.take() {
                self.timers.remove(&(at_us, key.clone()));
            }
            if let Some(at_us) = wanted {
                entry.timer_us = Some(at_us);
                self.timers.insert((at_us, key.clone()));
            }
        }
        if entry.is_idle() {
            self.entries.remove(key);
        }
    }

    fn has_usable_quorum(&self, replicas: &ReplicaSet) -> bool {
        replicas.is_quorum(|node| !self.unusable.contains(&node))
    }

    fn on_deadline(&mut self, now: Now, token: Token, out: &mut Effects) {
        let Some(client) = self.clients.get(&token) else {
            self.deadlines.retain(|(_, other)| *other != token);
            return;
        };
        let (key, reads) = (client.key.clone(), client.reads);
        if let Some(eventual) = &client.eventual {
            let failure =
                if self.has_usable_quorum(&eventual.replicas) { Failure::Timeout } else { Failure::NoQuorum };
            self.answer(token, Err(failure), out);
            return;
        }
        let Some(entry) = self.entries.get_mut(&key) else { return };
        let withdrawn = entry.withdraw(token);
        if entry
            .round
            .as_ref()
            .is_some_and(|running| running.round.is_empty() && !running.round.is_accepting())
        {
            entry.round = None;
        }
        let (replicas, last) = (Arc::clone(&entry.replicas), entry.last_failure.clone().unwrap_or_default());
        let reachable = self.has_usable_quorum(&replicas);
        let failure = match withdrawn {
            Withdrawn::InDoubt if !reads => Failure::Unknown,
            _ if last.skew_limit_ms.is_some() => Failure::ClockSkew,
            _ if !reachable => Failure::NoQuorum,
            _ if reads => Failure::Timeout,
            _ if last.outbid.is_some() => Failure::Contention,
            _ if last.unwilling => Failure::Overloaded,
            _ => Failure::NoQuorum,
        };
        self.answer(token, Err(failure), out);
        self.pump(now, &key, out);
    }

    fn on_timer(&mut self, now: Now, key: &Key, out: &mut Effects) {
        let Some(entry) = self.entries.get_mut(key) else {
            self.timers.retain(|(_, other)| other != key);
            return;
        };
        let due = |at_us: u64| at_us <= now.mono_us;
        let round_due = (entry.round.as_ref())
            .is_some_and(|running| !running.round.is_accepting() && due(running.hedge_at_us));
        let read_due = entry.read.as_ref().is_some_and(|running| due(running.hedge_at_us));
        if round_due || read_due {
            self.hedge(now, key, out);
        }
        self.pump(now, key, out);
    }

    /// Asks further replicas for whatever waits on a key.
    fn hedge(&mut self, now: Now, key: &Key, out: &mut Effects) {
        let again_at_us =
            now.mono_us + self.pace.patience_us(self.config.hedge_us_min, self.config.hedge_us_max);
        let Some(entry) = self.entries.get_mut(key) else { return };
        let ballot = entry.round.as_mut().filter(|running| !running.round.is_accepting()).map(|running| {
            running.hedge_at_us = again_at_us;
            running.round.ballot()
        });
        let serial = entry.read.as_mut().map(|running| {
            running.hedge_at_us = again_at_us;
            running.serial
        });
        if let Some(ballot) = ballot {
            self.stats.hedges += 1;
            self.with_round(now, key, ballot, out, |round, _, usable, output| {
                round.widen(usable, output);
                Progress::Running
            });
        }
        if let Some(serial) = serial {
            self.stats.hedges += 1;
            self.with_read(now, key, serial, out, |read, usable, sends| read.widen(usable, sends));
        }
    }

    fn send(
        &mut self,
        now: Now,
        (node, key, partition, done): (NodeIndex, Key, PartitionId, bool),
        purpose: Purpose,
        body: RequestBody,
        out: &mut Effects,
    ) {
        self.next_request += 1;
        let id = self.next_request;
        self.requests.insert(id, Sent { key: key.clone(), purpose, sent_us: now.mono_us });
        out.sends.push((node, Request { id, partition, done, key, body }));
    }

    fn answer(&mut self, token: Token, answer: Result<Answer, Failure>, out: &mut Effects) {
        if let Some(client) = self.clients.remove(&token) {
            self.deadlines.remove(&(client.deadline_us, token));
            out.answers.push((token, answer));
        }
    }
}
