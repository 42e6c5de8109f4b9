//! One shard of a node: the replica that ships, with the jobs that wait for it and the replies that wait for the disk.

use std::collections::VecDeque;

use roundtable_consensus::{
    Ballot, Conditions, Handled, Lookup, PromiseLimits, PromiseTable, ReadNeed, Readiness, Replica,
    ReplicaConfig, Reply, Request, Stored, StripedPromises, Ticket, Write,
};

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::disk::Disk;
use crate::variant::Variant;

/// Registers above this size are stored apart; small, so that the simulation meets both kinds.
const INLINE_BYTES_MAX: u32 = 8;

/// Small enough for the table to overflow now and then.
const PROMISES: PromiseLimits = PromiseLimits { stripes: 2, stripe_bytes_max: 8 * 1024 };

/// Small enough for some keys to be known without the disk and others not.
const RECENT_BYTES_MAX: usize = 3 * 1024;

/// Jobs that may wait; what comes beyond is refused as overload.
const JOBS_MAX: usize = 3;

/// The requests of one batch that fall to the shard, with their places in it.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) batch: u64,
    pub(super) requests: Vec<(usize, Request)>,
}

/// A job's replies, each with its place in the batch.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) batch: u64,
    pub(super) replies: Vec<(usize, Reply)>,
}

#[derive(Debug)]
pub(super) struct Shard {
    pub(super) replica: Replica<StripedPromises>,
    inbox: VecDeque<Job>,
    waiting: Vec<(Ticket, Answered)>,
    /// What the committer has made durable.
    durable: Ticket,
}

impl Shard {
    pub(super) fn new(horizon: Ballot) -> Self {
        let replica = new_replica(horizon);
        Self { replica, inbox: VecDeque::new(), waiting: Vec::new(), durable: Ticket::NONE }
    }

    /// Takes a job, or gives it back when too many wait.
    pub(super) fn push(&mut self, job: Job) -> Result<(), Job> {
        if self.inbox.len() >= JOBS_MAX {
            return Err(job);
        }
        self.inbox.push_back(job);
        Ok(())
    }

    pub(super) fn readiness(&self, now_ms: u64) -> Readiness {
        self.replica.readiness(now_ms)
    }

    /// Works off everything that waits. Returns the jobs that may be answered now.
    pub(super) fn work(
        &mut self,
        conditions: &Conditions,
        disk: &Disk,
        hash_seed: u64,
        variant: Variant,
        writes: &mut Vec<(Ticket, Write)>,
    ) -> Vec<Answered> {
        // Before anything is read from disk: what the replica lets go of now, the disk shows.
        self.replica.committed(self.durable);
        let mut released = Vec::new();
        while let Some(Job { batch, requests }) = self.inbox.pop_front() {
            let mut answered = Answered { batch, replies: Vec::new() };
            let mut wait = Ticket::NONE;
            let mut handled = Handled::default();
            for (place, request) in requests {
                let key_hash = hash(hash_seed, request.key.as_bytes());
                let lookup = self.look_up(conditions, disk, &request, key_hash);
                self.replica.handle(conditions, request, key_hash, lookup, &mut handled);
                for (mut reply, ticket) in handled.replies.drain(..) {
                    variant.register_told(&mut reply.body);
                    wait = wait.max(ticket);
                    answered.replies.push((place, reply));
                }
            }
            writes.append(&mut handled.writes);
            if wait <= self.durable || variant == Variant::AnswersBeforeSync {
                released.push(answered);
            } else {
                self.waiting.push((wait, answered));
            }
        }
        released
    }

    fn look_up(
        &self,
        conditions: &Conditions,
        disk: &Disk,
        request: &Request,
        key_hash: u64,
    ) -> Option<Lookup> {
        let need = self.replica.read_needed(conditions, request, key_hash);
        if need == ReadNeed::None {
            return None;
        }
        let mut stored = disk.read(&request.key);
        if let Some(Stored { register, spilled: true }) = &mut stored
            && need == ReadNeed::Head
        {
            *register = register.without_value();
        }
        Some(Lookup { as_of: self.replica.durable(), stored })
    }

    /// Raises the horizon ahead of need.
    pub(super) fn tick(&mut self, now_ms: u64, writes: &mut Vec<(Ticket, Write)>) {
        self.replica.committed(self.durable);
        let mut handled = Handled::default();
        self.replica.tick(now_ms, &mut handled);
        writes.append(&mut handled.writes);
    }

    /// Everything up to `ticket` is durable. Returns the jobs that waited for it.
    pub(super) fn committed(&mut self, ticket: Ticket) -> Vec<Answered> {
        self.durable = self.durable.max(ticket);
        let (released, waiting) =
            std::mem::take(&mut self.waiting).into_iter().partition(|(wait, _)| *wait <= self.durable);
        self.waiting = waiting;
        released.into_iter().map(|(_, answered)| answered).collect()
    }

    /// What the variant of that name does, when nothing is under way.
    pub(super) fn forget_promises(&mut self) {
        let idle = self.waiting.is_empty() && self.replica.issued() == self.durable;
        if idle {
            self.replica = new_replica(Ballot::ZERO);
            self.durable = Ticket::NONE;
        }
    }

    /// What is left in its tables and queues.
    pub(super) fn leftovers(&mut self, keys: usize) -> [(&'static str, usize); 4] {
        self.replica.committed(self.durable);
        [
            ("registers on their way to the disk", self.replica.pending()),
            // An Accept may leave its proposer's next promise behind, one for each key.
            ("promises beyond one for each key", self.replica.promises().len().saturating_sub(keys)),
            ("jobs not begun", self.inbox.len()),
            ("replies not sent", self.waiting.len()),
        ]
    }
}

fn new_replica(horizon: Ballot) -> Replica<StripedPromises> {
    let config = ReplicaConfig {
        inline_bytes_max: INLINE_BYTES_MAX,
        recent_bytes_max: RECENT_BYTES_MAX,
        ..ReplicaConfig::STANDARD
    };
    Replica::new(config, StripedPromises::new(PROMISES), horizon)
}

/// A key's hash, seeded anew at each start as in the product.
pub(super) fn hash(seed: u64, bytes: &[u8]) -> u64 {
    xxh3_64_with_seed(bytes, seed)
}
