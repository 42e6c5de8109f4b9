//! From requests to replies: shard threads that decide, one thread that commits.
//!
//! ```text
//! batch ─ split by key hash ─► shard 0 ─┐                 ┌─► replies that wait for nothing leave at once
//!                          ├─► shard 1 ─┼─► committer ────┴─► the others leave when their write is durable
//!                          └─► shard n ─┘   (group commit)
//! ```
//!
//! Every queue is bounded. A full shard queue refuses (`Overloaded`, nothing done); a full commit queue makes the
//! shard wait. The committer waits for nobody, so nothing can wait in a circle.

use std::sync::atomic::AtomicU64;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use roundtable_consensus::{
    PromiseLimits, Rejection, Replica, ReplicaConfig, Reply, ReplyBody, Request, StripedPromises,
};
use tokio::sync::oneshot;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::budget::{Budget, Held};
use crate::committer::{Answered, Committer, Durability};
use crate::disk_watch::DiskWatch;
use crate::fault::Fault;
use crate::metrics::Metrics;
use crate::shard::{NO_MOVE, Shard, ShardJob, ShardRequest};
use crate::store::{Store, StoreError};
use crate::voting::Voting;

/// What the pipeline is made with.
#[derive(Debug, Clone)]
pub struct PipelineConfig {
    /// Shard threads, at least 1.
    pub shards: u16,
    /// Batches that may wait for each shard.
    pub queue_batches_max: usize,
    /// When commits reach the disk.
    pub durability: Durability,
    /// The replication log's oldest entries are dropped beyond this many bytes.
    pub log_bytes_max: u64,
    /// What each replica is made with.
    pub replica: ReplicaConfig,
}

/// The running threads. Dropping it without [`Self::stop`] lets them end by themselves.
#[derive(Debug)]
pub struct Pipeline {
    shards: Mutex<Vec<SyncSender<ShardJob>>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// Hashes are seeded anew at each start, so that nobody outside can aim keys at one shard.
    hash_seed: u64,
    voting: Arc<Voting>,
}

/// The pipeline stopped before it answered. What was asked may have been done or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the node stopped before it answered")]
pub struct Stopped;

impl Pipeline {
    /// Starts the threads.
    ///
    /// # Errors
    /// When the horizon cannot be read from the store.
    pub fn start(
        store: &Arc<Store>,
        config: &PipelineConfig,
        disk: &Arc<DiskWatch>,
        budget: &Budget,
        metrics: &Arc<Metrics>,
        fault: &Fault,
    ) -> Result<Self, StartError> {
        let horizon = store.horizon()?;
        let count = config.shards.max(1);
        let durable: Arc<[AtomicU64]> = (0..count).map(|_| AtomicU64::new(0)).collect();
        let voting = Arc::new(Voting::new(count));
        let mut threads = Vec::new();
        // A few jobs of each shard: enough to keep the committer fed, few enough that a slow disk is felt.
        let (commits, jobs) = sync_channel(usize::from(count) * 4);
        let committer = Committer {
            store: Arc::clone(store),
            jobs,
            durable: Arc::clone(&durable),
            durability: config.durability,
            log_bytes_max: config.log_bytes_max,
            disk: Arc::clone(disk),
            metrics: Arc::clone(metrics),
            fault: fault.clone(),
        };
        threads.push(spawn("committer", fault, move || committer.run())?);
        let mut shards = Vec::new();
        for index in 0..count {
            let (sender, inbox) = sync_channel(config.queue_batches_max.max(1));
            let shard = Shard {
                index,
                replica: Replica::new(config.replica, StripedPromises::new(PromiseLimits::STANDARD), horizon),
                store: Arc::clone(store),
                inbox,
                commits: commits.clone(),
                durable: Arc::clone(&durable),
                disk: Arc::clone(disk),
                budget: budget.clone(),
                metrics: Arc::clone(metrics),
                voting: Arc::clone(&voting),
            };
            threads.push(spawn("shard", fault, move || shard.run())?);
            shards.push(sender);
        }
        // A seed of its own for each start.
        let hash_seed = rand::random();
        Ok(Self { shards: Mutex::new(shards), threads: Mutex::new(threads), hash_seed, voting })
    }

    /// Whether the replicas may vote yet, and if not, why.
    #[must_use]
    pub fn voting(&self) -> &Voting {
        &self.voting
    }

    /// Queues the requests of one batch, those that `refuse` has a reason against aside. Requests of a shard whose
    /// queue is full are answered `Overloaded`.
    #[must_use]
    pub fn submit(
        &self,
        requests: Vec<Request>,
        refuse: impl Fn(&Request) -> Option<Rejection>,
    ) -> Submitted {
        let senders = self.shards.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut submitted =
            Submitted { replies: vec![None; requests.len()], waits: Vec::new(), stopped: false };
        if senders.is_empty() {
            submitted.stopped = true;
            return submitted;
        }
        let mut parts: Vec<Part> = senders.iter().map(|_| Part::default()).collect();
        for (place, request) in requests.into_iter().enumerate() {
            if let Some(rejection) = refuse(&request) {
                submitted.reject(place, request.id, rejection);
                continue;
            }
            let key_hash = xxh3_64_with_seed(request.key.as_bytes(), self.hash_seed);
            let shard = shard_of(key_hash, senders.len());
            if let Some(part) = parts.get_mut(shard) {
                part.places.push((place, request.id));
                part.requests.push(ShardRequest { request, key_hash });
            }
        }
        for (sender, part) in senders.iter().zip(parts) {
            if !part.requests.is_empty() {
                submitted.send(sender, part);
            }
        }
        submitted
    }

    /// Ends the threads after everything queued was decided, committed and answered. Blocks until then.
    pub fn stop(&self) {
        self.shards.lock().unwrap_or_else(PoisonError::into_inner).clear();
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            // A thread that panicked has been reported as a fault.
            drop(thread.join());
        }
    }
}

/// Why the pipeline did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The horizon could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The system gave no thread.
    #[error("cannot start the thread {name}: {source}")]
    Thread {
        /// Which.
        name: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
}

/// Places in a batch, each with its request's id.
type Places = Vec<(usize, u64)>;

/// The requests of a batch that fall to one shard, and their places in the batch.
#[derive(Default)]
struct Part {
    places: Places,
    requests: Vec<ShardRequest>,
}

/// A batch under way.
#[derive(Debug)]
pub struct Submitted {
    replies: Vec<Option<Reply>>,
    waits: Vec<(Places, oneshot::Receiver<Answered>)>,
    stopped: bool,
}

impl Submitted {
    fn send(&mut self, sender: &SyncSender<ShardJob>, part: Part) {
        let (answer, receiver) = oneshot::channel();
        match sender.try_send(ShardJob { requests: part.requests, answer }) {
            Ok(()) => self.waits.push((part.places, receiver)),
            Err(TrySendError::Full(_)) => {
                for (place, id) in part.places {
                    self.reject(place, id, Rejection::Overloaded);
                }
            }
            Err(TrySendError::Disconnected(_)) => self.stopped = true,
        }
    }

    fn reject(&mut self, place: usize, id: u64, rejection: Rejection) {
        self.fill(place, Reply { id, done: NO_MOVE, body: ReplyBody::Rejected(rejection) });
    }

    fn fill(&mut self, place: usize, reply: Reply) {
        if let Some(slot) = self.replies.get_mut(place) {
            *slot = Some(reply);
        }
    }

    /// All replies in the order of the requests, each released: what they say is durable. With them the memory that
    /// they were granted, to be held until they are sent.
    ///
    /// # Errors
    /// When the node stops first.
    pub async fn replies(mut self) -> Result<(Vec<Reply>, Held), Stopped> {
        let mut held = Held::none();
        for (places, receiver) in std::mem::take(&mut self.waits) {
            let answered = receiver.await.map_err(|_| Stopped)?;
            held.join(answered.held);
            for ((place, ..), reply) in places.into_iter().zip(answered.replies) {
                self.fill(place, reply);
            }
        }
        if self.stopped {
            return Err(Stopped);
        }
        let replies: Option<Vec<Reply>> = self.replies.into_iter().collect();
        replies.map(|replies| (replies, held)).ok_or(Stopped)
    }
}

/// Shards are equal slices of the key hashes.
fn shard_of(key_hash: u64, shards: usize) -> usize {
    let slice = (u128::from(key_hash) * shards as u128) >> 64;
    usize::try_from(slice).unwrap_or(0)
}

fn spawn(
    name: &'static str,
    fault: &Fault,
    run: impl FnOnce() + Send + 'static,
) -> Result<JoinHandle<()>, StartError> {
    let guard = fault.guard(name);
    let guarded = move || {
        let _guard = guard;
        run();
    };
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(guarded)
        .map_err(|source| StartError::Thread { name, source })
}
