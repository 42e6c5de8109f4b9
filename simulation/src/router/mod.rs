//! A router: the coordinators, the outboxes, the failure detection and the listings that ship, from bytes to bytes.

mod batches;
mod link;
mod listing;
mod listings;
mod seek;
mod service;

use std::sync::Arc;

use bytes::Bytes;
use roundtable_consensus::{
    Answer, Configuration, CoordinatorConfig, CoordinatorStats, Failure, Key, NodeIndex, Now, ReplicaSet,
    Rng, Task, Token,
};

use crate::clock::WallClock;
use crate::cluster::Layout;
use crate::exchange::{Path, Post};
use crate::variant::Variant;
use seek::Seek;
use service::Service;

/// A question about who a node is must be answered within this time.
const HELLO_TIMEOUT_US: u64 = 500_000;

/// What a client is told.
#[derive(Debug, Clone)]
pub(crate) enum Told {
    /// Of one key.
    Answer(Result<Answer, Failure>),
    /// Of all keys: those that have a value, in order.
    Listing(Result<Vec<Item>, Failure>),
}

/// One key of a listing.
pub(crate) type Item = (Key, roundtable_consensus::Register);

/// What a router wants done after an event.
#[derive(Debug, Default)]
pub(crate) struct RouterOutput {
    pub(crate) posts: Vec<Post>,
    pub(crate) told: Vec<(Token, Told)>,
}

/// How often a router took its less usual ways, beside what its coordinators count.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counts {
    pub(crate) batches_shared: u64,
    pub(crate) link_overflows: u64,
    pub(crate) listings: u64,
    pub(crate) listed_by_read: u64,
}

#[derive(Debug)]
enum Phase {
    Seeking(Seek),
    Serving(Box<Service>),
}

/// What every life of a router begins with.
#[derive(Debug, Clone)]
pub(crate) struct RouterSeed {
    pub(crate) variant: Variant,
    pub(crate) file: Configuration,
    /// Where every key of the file's configuration lies.
    pub(crate) layout: Arc<Layout>,
    pub(crate) coordinator: CoordinatorConfig,
}

#[derive(Debug)]
pub(crate) struct Router {
    from: RouterSeed,
    phase: Phase,
    /// Counts the lives of the process.
    pub(crate) life: u32,
    pub(crate) frozen: bool,
    pub(crate) clock: WallClock,
    next_id: u64,
    next_token: u64,
    seed: u64,
}

impl Router {
    pub(crate) fn new(seed: RouterSeed, life: u32, rng: &mut Rng) -> Self {
        Self {
            from: seed,
            phase: Phase::Seeking(Seek::default()),
            life,
            frozen: false,
            clock: WallClock::default(),
            next_id: 0,
            next_token: 0,
            seed: rng.next_u64(),
        }
    }

    /// The process ends and another begins, which knows nothing.
    pub(crate) fn restart(&mut self, rng: &mut Rng) {
        let clock = self.clock;
        *self = Self::new(self.from.clone(), self.life + 1, rng);
        self.clock = clock;
    }

    pub(crate) fn now(&self, true_us: u64, start_ms: u64) -> Now {
        let true_ms = start_ms + true_us / 1_000;
        Now { wall_ms: self.clock.read(true_ms), mono_us: true_us }
    }

    /// Whether it knows its cluster.
    pub(crate) fn is_serving(&self) -> bool {
        matches!(self.phase, Phase::Serving(_))
    }

    /// The router's corrected clock, which judges births and fixes ends.
    pub(crate) fn hybrid_ms(&self, now: Now, key: &Key) -> u64 {
        match &self.phase {
            Phase::Seeking(_) => now.wall_ms,
            Phase::Serving(service) => service.hybrid_ms(now, key),
        }
    }

    /// Takes a client's wish for a key. `replicas` decide instead of the key's own, where a variant says so.
    pub(crate) fn submit(
        &mut self,
        now: Now,
        key: &Key,
        replicas: Option<ReplicaSet>,
        task: Task,
        timeout_us: u64,
        out: &mut RouterOutput,
    ) -> Token {
        let token = self.token();
        match &mut self.phase {
            Phase::Seeking(_) => out.told.push((token, Told::Answer(Err(Failure::NoQuorum)))),
            Phase::Serving(service) => {
                let task = self.from.variant.task(task);
                service.submit(now, token, key, replicas, task, timeout_us, out);
            }
        }
        self.pump(now, out);
        token
    }

    /// Takes a client's wish for all keys.
    pub(crate) fn list(&mut self, now: Now, timeout_us: u64, reverse: bool, out: &mut RouterOutput) -> Token {
        let token = self.token();
        match &mut self.phase {
            Phase::Seeking(_) => out.told.push((token, Told::Listing(Err(Failure::NoQuorum)))),
            Phase::Serving(service) => service.list(now, token, timeout_us, reverse, out),
        }
        self.pump(now, out);
        token
    }

    /// Takes the answer to a question, or learns that there will be none.
    pub(crate) fn on_answer(&mut self, now: Now, id: u64, answer: Option<Bytes>, out: &mut RouterOutput) {
        match &mut self.phase {
            Phase::Seeking(seek) => {
                if let Some(adopted) = seek.on_answer(now.mono_us, &self.from.file, id, answer) {
                    assert_eq!(adopted.configuration, self.from.file, "another file was adopted");
                    let mut rng = Rng::new(self.seed);
                    let service = Service::new(&self.from, &adopted, now, &mut rng);
                    self.phase = Phase::Serving(Box::new(service));
                    self.tick(now, out);
                }
            }
            Phase::Serving(service) => service.on_answer(now, id, answer, out),
        }
        self.pump(now, out);
    }

    pub(crate) fn tick(&mut self, now: Now, out: &mut RouterOutput) {
        match &mut self.phase {
            Phase::Seeking(seek) => {
                let mut ids = (self.next_id + 1)..;
                if seek.begin(now.mono_us, &self.from.file, &mut ids) {
                    for (node, id) in seek.questions().into_iter().enumerate() {
                        self.next_id = self.next_id.max(id);
                        out.posts.push(hello(id, node));
                    }
                }
            }
            Phase::Serving(service) => service.tick(now, &mut self.next_id, out),
        }
        self.pump(now, out);
    }

    pub(crate) fn next_timer_us(&self) -> Option<u64> {
        match &self.phase {
            Phase::Seeking(seek) => seek.next_timer_us(),
            Phase::Serving(service) => service.next_timer_us(),
        }
    }

    /// What was done in this life.
    pub(crate) fn stats(&self) -> (CoordinatorStats, Counts) {
        match &self.phase {
            Phase::Seeking(_) => (CoordinatorStats::default(), Counts::default()),
            Phase::Serving(service) => service.stats(),
        }
    }

    /// What is left in its tables and queues.
    pub(crate) fn leftovers(&self) -> Vec<(&'static str, usize)> {
        match &self.phase {
            Phase::Seeking(_) => Vec::new(),
            Phase::Serving(service) => service.leftovers(),
        }
    }

    /// Whether requests go to a node.
    pub(crate) fn is_usable(&self, node: NodeIndex) -> bool {
        match &self.phase {
            Phase::Seeking(_) => false,
            Phase::Serving(service) => service.is_usable(node),
        }
    }

    fn token(&mut self) -> Token {
        self.next_token += 1;
        Token(self.next_token)
    }

    /// Lets every batch leave that may.
    fn pump(&mut self, now: Now, out: &mut RouterOutput) {
        if let Phase::Serving(service) = &mut self.phase {
            service.pump(now, &mut self.next_id, out);
        }
    }
}

fn hello(id: u64, node: usize) -> Post {
    Post {
        id,
        node,
        path: Path::Hello,
        body: Bytes::new(),
        timeout_us: HELLO_TIMEOUT_US,
        accepts: Vec::new(),
    }
}
