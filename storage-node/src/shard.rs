//! One shard: a replica of the keys whose hashes fall to it, on a thread of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant};

use roundtable_common::wire::{BODY_BYTES_MAX, reply_size_hint};
use roundtable_consensus::{
    Ballot, Conditions, Content, Handled, Key, Lookup, PartitionId, ReadNeed, Readiness, Rejection, Replica,
    Reply, ReplyBody, Request, Stored, StripedPromises, Ticket, Write,
};
use tokio::sync::oneshot;

use crate::budget::{Budget, Held};
use crate::clock::unix_ms;
use crate::committer::{Answered, CommitJob, Release};
use crate::disk_watch::DiskWatch;
use crate::metrics::Metrics;
use crate::store::format::RegisterRow;
use crate::store::{Store, StoreError};
use crate::voting::Voting;

/// How often the replica is ticked: it raises its horizon ahead of need.
const TICK: Duration = Duration::from_millis(100);
/// Replies say that no partition has a move under way: configurations after the first are not adopted yet.
pub(crate) const NO_MOVE: bool = true;
/// Requests taken from the queue at once: one multi-get and at most one commit job for all of them.
const DRAIN_REQUESTS_MAX: usize = 2048;

/// One request with its key's hash.
#[derive(Debug)]
pub(crate) struct ShardRequest {
    pub(crate) request: Request,
    pub(crate) key_hash: u64,
}

/// The requests of one batch that fall to this shard.
#[derive(Debug)]
pub(crate) struct ShardJob {
    pub(crate) requests: Vec<ShardRequest>,
    pub(crate) answer: oneshot::Sender<Answered>,
}

/// The shard thread's state.
pub(crate) struct Shard {
    pub(crate) index: u16,
    pub(crate) replica: Replica<StripedPromises>,
    pub(crate) store: Arc<Store>,
    pub(crate) inbox: Receiver<ShardJob>,
    pub(crate) commits: SyncSender<CommitJob>,
    pub(crate) durable: Arc<[AtomicU64]>,
    pub(crate) disk: Arc<DiskWatch>,
    pub(crate) budget: Budget,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) voting: Arc<Voting>,
}

/// The committer is gone: the node is stopping.
struct CommitterGone;

impl Shard {
    /// Works until the queue's senders or the committer are gone.
    pub(crate) fn run(mut self) {
        let mut ready = false;
        let mut next_tick = Instant::now();
        loop {
            if Instant::now() >= next_tick {
                next_tick = Instant::now() + TICK;
                if self.tick(&mut ready).is_err() {
                    return;
                }
            }
            let jobs = match self.inbox.recv_timeout(next_tick.saturating_duration_since(Instant::now())) {
                Ok(first) => self.drain(first),
                Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            if self.handle(jobs).is_err() {
                return;
            }
        }
    }

    fn tick(&mut self, ready: &mut bool) -> Result<(), CommitterGone> {
        let now_ms = unix_ms();
        if !*ready {
            let readiness = self.replica.readiness(now_ms);
            *ready = readiness == Readiness::Ready;
            self.voting.report(self.index, readiness);
        }
        self.forget_durable();
        let mut handled = Handled::default();
        self.replica.tick(now_ms, &mut handled);
        self.commit(handled.writes, Vec::new())
    }

    /// The first job and what else waits, up to a bound.
    fn drain(&self, first: ShardJob) -> Vec<ShardJob> {
        let mut requests = first.requests.len();
        let mut jobs = vec![first];
        while requests < DRAIN_REQUESTS_MAX
            && let Ok(next) = self.inbox.try_recv()
        {
            requests += next.requests.len();
            jobs.push(next);
        }
        jobs
    }

    fn handle(&mut self, jobs: Vec<ShardJob>) -> Result<(), CommitterGone> {
        // Before anything is read from disk: what the replica lets go of now, the disk shows.
        self.forget_durable();
        let conditions = Conditions {
            now_ms: unix_ms(),
            disk: self.disk.space(),
            // Nothing is purged before logs are followed.
            purge_floor: Ballot::ZERO,
            done: NO_MOVE,
        };
        let mut heads = self.read_ahead(&conditions, &jobs);
        let mut handled = Handled::default();
        let mut releases = Vec::new();
        for job in jobs {
            let mut answered =
                Answered { replies: Vec::with_capacity(job.requests.len()), held: Held::none() };
            let mut wait = Ticket(0);
            let mut reply_bytes = 0;
            for item in job.requests {
                let head = heads.next().unwrap_or_default();
                let ticket =
                    self.answer(&conditions, item, head, &mut reply_bytes, &mut answered, &mut handled);
                wait = wait.max(ticket);
            }
            let release = Release { to: job.answer, answered };
            if wait.0 <= self.durable_ticket() {
                release.send();
            } else {
                releases.push(release);
            }
        }
        self.commit(handled.writes, releases)
    }

    /// Reads in one go what the replica cannot answer from memory; one entry for each request.
    fn read_ahead(&self, conditions: &Conditions, jobs: &[ShardJob]) -> std::vec::IntoIter<Option<HeadRead>> {
        let items = || jobs.iter().flat_map(|job| &job.requests);
        let needs: Vec<bool> = items()
            .map(|item| self.replica.read_needed(conditions, &item.request, item.key_hash) != ReadNeed::None)
            .collect();
        let keys: Vec<(PartitionId, &Key)> = items()
            .zip(&needs)
            .filter_map(|(item, needed)| needed.then_some((item.request.partition, &item.request.key)))
            .collect();
        let mut found = self.store.read_heads(&keys).into_iter();
        let heads: Vec<Option<HeadRead>> =
            needs.into_iter().map(|needed| needed.then(|| found.next()).flatten()).collect();
        heads.into_iter()
    }

    /// Answers one request into `answered`; returns the ticket that the answer waits for.
    fn answer(
        &mut self,
        conditions: &Conditions,
        item: ShardRequest,
        head: Option<HeadRead>,
        reply_bytes: &mut usize,
        answered: &mut Answered,
        handled: &mut Handled,
    ) -> Ticket {
        let id = item.request.id;
        let refuse = |rejection| Reply { id, done: NO_MOVE, body: ReplyBody::Rejected(rejection) };
        let lookup = match self.look_up(conditions, &item, head, *reply_bytes, answered) {
            Ok(lookup) => lookup,
            Err(Unread::NoRoom) => {
                answered.replies.push(refuse(Rejection::Overloaded));
                return Ticket(0);
            }
            Err(Unread::Failed(error)) => {
                // This key only: the other keys' rows may be whole, and refusing is always safe.
                tracing::error!(%error, "cannot read a register: its requests are refused");
                self.metrics.read_errors.inc();
                answered.replies.push(refuse(Rejection::NotReady));
                return Ticket(0);
            }
        };
        self.replica.handle(conditions, item.request, item.key_hash, lookup, handled);
        let mut wait = Ticket(0);
        for (reply, ticket) in handled.replies.drain(..) {
            *reply_bytes += reply_size_hint(&reply);
            wait = wait.max(ticket);
            answered.replies.push(reply);
        }
        wait
    }

    /// What the replica must know of the disk. Asked again here, because an earlier request of this drain may have
    /// changed what is needed.
    fn look_up(
        &self,
        conditions: &Conditions,
        item: &ShardRequest,
        head: Option<HeadRead>,
        reply_bytes: usize,
        answered: &mut Answered,
    ) -> Result<Option<Lookup>, Unread> {
        let need = self.replica.read_needed(conditions, &item.request, item.key_hash);
        if need == ReadNeed::None {
            return Ok(None);
        }
        let (partition, key) = (item.request.partition, &item.request.key);
        let head = match head {
            Some(head) => head,
            None => self.store.read_heads(&[(partition, key)]).pop().unwrap_or(Ok(None)),
        };
        let as_of = self.replica.durable();
        let found = |stored| Ok(Some(Lookup { as_of, stored }));
        let Some(RegisterRow { register, spilled, .. }) = head? else { return found(None) };
        if need == ReadNeed::Head || !spilled {
            return found(Some(Stored { register, spilled }));
        }
        let value_bytes = match register.content {
            Content::Withheld { value_bytes } => value_bytes as usize,
            Content::Tombstone | Content::Live(_) => 0,
        };
        if reply_bytes + value_bytes > BODY_BYTES_MAX {
            return Err(Unread::NoRoom);
        }
        answered.held.join(self.budget.take(value_bytes).ok_or(Unread::NoRoom)?);
        let register = self.store.read_value(partition, key, register)?;
        found(Some(Stored { register, spilled }))
    }

    fn commit(&self, writes: Vec<(Ticket, Write)>, releases: Vec<Release>) -> Result<(), CommitterGone> {
        if writes.is_empty() && releases.is_empty() {
            return Ok(());
        }
        self.commits.send(CommitJob { shard: self.index, writes, releases }).map_err(|_| CommitterGone)
    }

    fn forget_durable(&mut self) {
        let durable = self.durable_ticket();
        self.replica.committed(Ticket(durable));
    }

    fn durable_ticket(&self) -> u64 {
        self.durable.get(usize::from(self.index)).map_or(0, |ticket| ticket.load(Ordering::Acquire))
    }
}

type HeadRead = Result<Option<RegisterRow>, StoreError>;

/// Why a request's register was not read.
enum Unread {
    /// The reply would not fit the body or the memory.
    NoRoom,
    /// The disk's fault.
    Failed(StoreError),
}

impl From<StoreError> for Unread {
    fn from(error: StoreError) -> Self {
        Self::Failed(error)
    }
}
