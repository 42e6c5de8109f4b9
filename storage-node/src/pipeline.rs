//! From requests to replies: shards decide on the thread that brings a batch, one thread commits.
//!
//! ```text
//! batch ─ split by key hash ─► shard 0 ─┐
//!                          ├─► shard 1 ─┼─┬─► replies that wait for nothing leave at once
//!                          └─► shard n ─┘ └─► committer ─► the others leave when their write is durable
//!                                             (group commit)
//! ```
//!
//! No thread stands between a batch and its decision, so a Prepare or a read costs no switch between threads. The
//! price is that deciding must never wait: registers that are not in memory are read off the async threads first.
//! A batch that finds the queue before the committer full is refused (`Overloaded`, nothing done).

use std::panic;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use roundtable_consensus::{
    PromiseLimits, Readiness, Rejection, Replica, ReplicaConfig, Reply, ReplyBody, Request, StripedPromises,
};
use tokio::runtime::{self, Handle, Runtime};
use tokio::sync::oneshot;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::budget::{Budget, Held};
use crate::commit_queue::{Closed, CommitQueue};
use crate::committer::{Answered, Committer, Durability};
use crate::disk_watch::DiskWatch;
use crate::fault::Fault;
use crate::marks::Marks;
use crate::metrics::Metrics;
use crate::shard::{Answers, Decided, NO_MOVE, Reads, Shard, ShardParts, ShardRequest};
use crate::store::{Store, StoreError};
use crate::voting::Voting;

/// The name of the thread that commits.
const COMMITTER: &str = "committer";

/// What the pipeline is made with.
#[derive(Debug, Clone)]
pub struct PipelineConfig {
    /// Shards, at least 1: as many batches can be decided at once.
    pub shards: u16,
    /// Parts of batches that may wait for the committer.
    pub queue_batches_max: usize,
    /// When commits reach the disk.
    pub durability: Durability,
    /// The replication log's oldest entries are dropped beyond this many bytes.
    pub log_bytes_max: u64,
    /// What each replica is made with.
    pub replica: ReplicaConfig,
}

/// The shards and the running committer. Dropping it without [`Self::stop`] lets the committer end by itself.
#[derive(Debug)]
pub struct Pipeline {
    shards: Arc<Shards>,
    committing: Handle,
    committer: Mutex<Option<JoinHandle<()>>>,
    voting: Voting,
}

#[derive(Debug)]
struct Shards {
    shards: Vec<Mutex<Shard>>,
    parts: ShardParts,
    /// Hashes are seeded anew at each start, so that nobody outside can aim keys at one shard.
    hash_seed: u64,
    fault: Fault,
}

/// The pipeline stopped before it answered. What was asked may have been done or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the node stopped before it answered")]
pub struct Stopped;

impl From<Closed> for Stopped {
    fn from(Closed: Closed) -> Self {
        Self
    }
}

impl Shards {
    /// Lets a shard decide.
    ///
    /// A shard that panicked has broken an assertion of the protocol: nothing that it says can be trusted, so the
    /// process must end.
    fn with<T>(&self, index: usize, act: impl FnOnce(&mut Shard) -> Result<T, Closed>) -> Result<T, Stopped> {
        let _guard = self.fault.guard("shard");
        let shard = self.shards.get(index).ok_or(Stopped)?;
        let mut shard = shard.lock().map_err(|_| Stopped)?;
        Ok(act(&mut shard)?)
    }

    fn decide(&self, index: usize, requests: Vec<ShardRequest>, reads: Reads) -> Result<Decided, Stopped> {
        self.with(index, |shard| shard.decide(&self.parts, requests, reads))
    }
}

impl Drop for Shards {
    fn drop(&mut self) {
        self.parts.commits.close();
    }
}

impl Pipeline {
    /// Makes the shards and starts the committer.
    ///
    /// # Errors
    /// When the horizon cannot be read from the store, or the system gives no thread.
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
        let marks = Arc::new(Marks::new(count));
        let commits = Arc::new(CommitQueue::new(config.queue_batches_max.max(1)));
        let committer = Committer {
            store: Arc::clone(store),
            jobs: Arc::clone(&commits),
            marks: Arc::clone(&marks),
            durability: config.durability,
            log_bytes_max: config.log_bytes_max,
            disk: Arc::clone(disk),
            metrics: Arc::clone(metrics),
            fault: fault.clone(),
        };
        let runtime = runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|source| StartError::Thread { name: COMMITTER, source })?;
        let committing = runtime.handle().clone();
        let committer = spawn(COMMITTER, fault, move || run_committer(&runtime, committer))?;
        let replica = || Replica::new(config.replica, StripedPromises::new(PromiseLimits::STANDARD), horizon);
        let shards = (0..count).map(|index| Mutex::new(Shard::new(index, replica()))).collect();
        let parts = ShardParts {
            store: Arc::clone(store),
            commits,
            marks,
            disk: Arc::clone(disk),
            budget: budget.clone(),
            metrics: Arc::clone(metrics),
        };
        // A seed of its own for each start.
        let shards = Arc::new(Shards { shards, parts, hash_seed: rand::random(), fault: fault.clone() });
        Ok(Self { shards, committing, committer: Mutex::new(Some(committer)), voting: Voting::new(count) })
    }

    /// The committer's thread, for connections that bring nothing but what has to be committed. Tasks there end with
    /// [`Self::stop`] at the latest.
    #[must_use]
    pub fn committing(&self) -> &Handle {
        &self.committing
    }

    /// Whether the replicas may vote yet, and if not, why.
    #[must_use]
    pub fn voting(&self) -> &Voting {
        &self.voting
    }

    /// Lets the shards raise their horizons ahead of need, let go of what readers of the store find by now, and say
    /// whether they may vote; ends the process if the database failed. To be called a few times a second.
    pub fn tick(&self) {
        let parts = &self.shards.parts;
        parts.marks.note_found(parts.store.applied());
        if let Some(reason) = parts.store.failure() {
            self.shards.fault.raise(&reason);
        }
        for index in 0..self.shards.shards.len() {
            if let Ok((shard, readiness)) = self.shards.with(index, |shard| {
                let readiness: Readiness = shard.tick(&self.shards.parts)?;
                Ok((shard.index(), readiness))
            }) {
                self.voting.report(shard, readiness);
            }
        }
    }

    /// Decides the requests of one batch, those that `refuse` has a reason against aside. Nothing is done of a batch
    /// that finds the committer's queue full: all its requests are answered `Overloaded`.
    #[must_use]
    pub fn submit(
        &self,
        requests: Vec<Request>,
        refuse: impl Fn(&Request) -> Option<Rejection>,
    ) -> Submitted {
        let count = self.shards.shards.len();
        let overloaded = self.shards.parts.commits.is_full();
        let mut submitted = Submitted::new(requests.len(), Arc::clone(&self.shards));
        let mut parts: Vec<Vec<ShardRequest>> = (0..count).map(|_| Vec::new()).collect();
        for (place, request) in requests.into_iter().enumerate() {
            let refusal = if overloaded { Some(Rejection::Overloaded) } else { refuse(&request) };
            if let Some(rejection) = refusal {
                submitted.reject(place, request.id, rejection);
                continue;
            }
            let key_hash = xxh3_64_with_seed(request.key.as_bytes(), self.shards.hash_seed);
            if let Some(part) = parts.get_mut(shard_of(key_hash, count)) {
                part.push(ShardRequest { place, request, key_hash });
            }
        }
        for (index, part) in parts.into_iter().enumerate() {
            if !part.is_empty() {
                submitted.decide(index, part, Reads::Memory);
            }
        }
        submitted
    }

    /// Ends the committer after everything decided was committed and answered. Blocks until then.
    pub fn stop(&self) {
        self.shards.parts.commits.close();
        let committer = self.committer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(committer) = committer {
            // A thread that panicked has been reported as a fault.
            drop(committer.join());
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

/// A batch under way.
#[derive(Debug)]
pub struct Submitted {
    shards: Arc<Shards>,
    replies: Vec<Option<Reply>>,
    held: Held,
    waits: Vec<oneshot::Receiver<Answered>>,
    /// What needs the disk, by shard.
    cold: Vec<(usize, Vec<ShardRequest>)>,
    stopped: bool,
}

impl Submitted {
    fn new(requests: usize, shards: Arc<Shards>) -> Self {
        let replies = vec![None; requests];
        Self { shards, replies, held: Held::none(), waits: Vec::new(), cold: Vec::new(), stopped: false }
    }

    fn decide(&mut self, index: usize, requests: Vec<ShardRequest>, reads: Reads) {
        match self.shards.decide(index, requests, reads) {
            Ok(Decided { answers, cold }) => {
                match answers {
                    Answers::Now(answered) => self.fill_all(answered),
                    Answers::Later(receiver) => self.waits.push(receiver),
                }
                if !cold.is_empty() {
                    self.cold.push((index, cold));
                }
            }
            Err(Stopped) => self.stopped = true,
        }
    }

    fn fill_all(&mut self, answered: Answered) {
        self.held.join(answered.held);
        for (place, reply) in answered.places.into_iter().zip(answered.replies) {
            self.fill(place, reply);
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
        for (index, requests) in std::mem::take(&mut self.cold) {
            let shards = Arc::clone(&self.shards);
            let reading = tokio::task::spawn_blocking(move || {
                shards.parts.read_into_memory(&requests);
                requests
            });
            let requests = reading.await.map_err(|_| Stopped)?;
            self.decide(index, requests, Reads::Disk);
        }
        for receiver in std::mem::take(&mut self.waits) {
            self.fill_all(receiver.await.map_err(|_| Stopped)?);
        }
        if self.stopped {
            return Err(Stopped);
        }
        let replies: Option<Vec<Reply>> = self.replies.into_iter().collect();
        replies.map(|replies| (replies, self.held)).ok_or(Stopped)
    }
}

/// Shards are equal slices of the key hashes.
fn shard_of(key_hash: u64, shards: usize) -> usize {
    let slice = (u128::from(key_hash) * shards as u128) >> 64;
    usize::try_from(slice).unwrap_or(0)
}

/// As a task, which is cheaper to wake from its own thread than what a runtime is blocked on.
fn run_committer(runtime: &Runtime, committer: Committer) {
    let ended = runtime.block_on(runtime.spawn(committer.run()));
    if let Some(panic) = ended.err().and_then(|error| error.try_into_panic().ok()) {
        panic::resume_unwind(panic);
    }
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
