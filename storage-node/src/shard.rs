//! One shard: a replica of the keys whose hashes fall to it, behind a lock.
//!
//! Whoever brings requests decides them, on its own thread and without waiting: what is known from memory (the
//! memtables and the block cache included) is answered there and then, and what is written goes to the committer.
//! Requests that need the disk are given back undecided, to be brought again once it was read.

use std::collections::BTreeSet;
use std::sync::Arc;

use roundtable_common::wire::{BODY_BYTES_MAX, reply_size_hint};
use roundtable_consensus::{
    Ballot, Conditions, Content, Handled, Key, Lookup, PartitionId, ReadNeed, Readiness, Rejection, Replica,
    Reply, ReplyBody, Request, RequestBody, Stored, StripedPromises, Ticket, Write,
};
use tokio::sync::oneshot;

use crate::budget::Budget;
use crate::clock::unix_ms;
use crate::commit_queue::{Closed, CommitQueue};
use crate::committer::{Answered, CommitJob, Release};
use crate::disk_watch::DiskWatch;
use crate::marks::Marks;
use crate::metrics::Metrics;
use crate::store::format::RegisterRow;
use crate::store::{Store, StoreError};

/// Replies say that no partition has a move under way: configurations after the first are not adopted yet.
pub(crate) const NO_MOVE: bool = true;

/// One request with its place in the batch and its key's hash.
#[derive(Debug)]
pub(crate) struct ShardRequest {
    pub(crate) place: usize,
    pub(crate) request: Request,
    pub(crate) key_hash: u64,
}

/// Where registers may be read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reads {
    /// From memory alone: never waits for a disk.
    Memory,
    /// From the disk too. What was just read by [`ShardParts::read_into_memory`] is most likely in memory.
    Disk,
}

/// What came of the requests of one batch that fall to a shard.
pub(crate) struct Decided {
    pub(crate) answers: Answers,
    /// Nothing was done of these: the disk has to be read first.
    pub(crate) cold: Vec<ShardRequest>,
}

/// The answers to those that were decided.
pub(crate) enum Answers {
    /// Here.
    Now(Answered),
    /// They come when what they say is durable.
    Later(oneshot::Receiver<Answered>),
}

/// What all shards share.
#[derive(Debug)]
pub(crate) struct ShardParts {
    pub(crate) store: Arc<Store>,
    pub(crate) commits: Arc<CommitQueue>,
    pub(crate) marks: Arc<Marks>,
    pub(crate) disk: Arc<DiskWatch>,
    pub(crate) budget: Budget,
    pub(crate) metrics: Arc<Metrics>,
}

/// One shard's state.
#[derive(Debug)]
pub(crate) struct Shard {
    index: u16,
    replica: Replica<StripedPromises>,
    /// What the shard last added to the metric.
    shown_cache_bytes: i64,
}

impl ShardParts {
    /// Reads what the requests may need from the disk into memory. Takes the time that the disk takes.
    pub(crate) fn read_into_memory(&self, requests: &[ShardRequest]) {
        let keys: Vec<(PartitionId, &Key)> =
            requests.iter().map(|item| (item.request.partition, &item.request.key)).collect();
        for (item, head) in requests.iter().zip(self.store.read_heads(&keys)) {
            let wants_value = match item.request.body {
                RequestBody::Prepare { want_value, .. } | RequestBody::Read { want_value } => want_value,
                RequestBody::Fetch { .. } => true,
                RequestBody::Accept { .. } => false,
            };
            if let Ok(Some(row)) = head
                && row.spilled
                && wants_value
            {
                // For the page cache alone: whether these bytes are the register's is judged when it is decided.
                drop(self.store.read_value(item.request.partition, &item.request.key, row.register));
            }
        }
    }
}

impl Shard {
    pub(crate) fn new(index: u16, replica: Replica<StripedPromises>) -> Self {
        Self { index, replica, shown_cache_bytes: 0 }
    }

    pub(crate) fn index(&self) -> u16 {
        self.index
    }

    /// Decides the requests of one batch, in their order.
    ///
    /// # Errors
    /// When nothing is committed any more: the node is stopping.
    pub(crate) fn decide(
        &mut self,
        parts: &ShardParts,
        requests: Vec<ShardRequest>,
        reads: Reads,
    ) -> Result<Decided, Closed> {
        // Before anything is read from disk: what the replica lets go of now, the disk shows.
        self.forget_found(parts);
        let conditions = Conditions {
            now_ms: unix_ms(),
            disk: parts.disk.space(),
            // Nothing is purged before logs are followed.
            purge_floor: Ballot::ZERO,
            done: NO_MOVE,
        };
        let heads = self.read_ahead(parts, &conditions, &requests, reads);
        let (warm, cold) = split(requests, heads);
        let mut handled = Handled::default();
        let mut answered = Answered::with_capacity(warm.len());
        let mut wait = Ticket::NONE;
        let mut reply_bytes = 0;
        for (item, head) in warm {
            answered.places.push(item.place);
            let ticket =
                self.answer(parts, &conditions, item, head, &mut reply_bytes, &mut answered, &mut handled);
            wait = wait.max(ticket);
        }
        let answers = self.release(parts, wait, answered, handled.writes)?;
        Ok(Decided { answers, cold })
    }

    /// Raises the horizon ahead of need. To be called a few times a second.
    ///
    /// # Errors
    /// When nothing is committed any more: the node is stopping.
    pub(crate) fn tick(&mut self, parts: &ShardParts) -> Result<Readiness, Closed> {
        let now_ms = unix_ms();
        self.forget_found(parts);
        let mut handled = Handled::default();
        self.replica.tick(now_ms, &mut handled);
        self.show_cache(parts);
        if !handled.writes.is_empty() {
            let job = CommitJob { shard: self.index, writes: handled.writes, releases: Vec::new() };
            parts.commits.push(job)?;
        }
        Ok(self.replica.readiness(now_ms))
    }

    /// Lets the answers go, at once or with the commit of what they rest on. Under the shard's lock, so that its jobs
    /// are queued in the order of their tickets.
    fn release(
        &self,
        parts: &ShardParts,
        wait: Ticket,
        answered: Answered,
        writes: Vec<(Ticket, Write)>,
    ) -> Result<Answers, Closed> {
        let ready = wait <= parts.marks.durable(self.index);
        if ready && writes.is_empty() {
            return Ok(Answers::Now(answered));
        }
        if ready {
            parts.commits.push(CommitJob { shard: self.index, writes, releases: Vec::new() })?;
            return Ok(Answers::Now(answered));
        }
        let (to, receiver) = oneshot::channel();
        let releases = vec![Release { to, answered }];
        parts.commits.push(CommitJob { shard: self.index, writes, releases })?;
        Ok(Answers::Later(receiver))
    }

    /// Reads in one go what the replica cannot answer by itself; one head for each request.
    fn read_ahead(
        &self,
        parts: &ShardParts,
        conditions: &Conditions,
        requests: &[ShardRequest],
        reads: Reads,
    ) -> Vec<Head> {
        let needs: Vec<ReadNeed> = (requests.iter())
            .map(|item| self.replica.read_needed(conditions, &item.request, item.key_hash))
            .collect();
        let keys: Vec<(PartitionId, &Key)> = (requests.iter().zip(&needs))
            .filter(|(_, need)| **need != ReadNeed::None)
            .map(|(item, _)| (item.request.partition, &item.request.key))
            .collect();
        parts.metrics.register_reads.inc_by(keys.len() as u64);
        let found: Vec<Option<HeadRead>> = match reads {
            Reads::Disk => parts.store.read_heads(&keys).into_iter().map(Some).collect(),
            Reads::Memory => parts.store.cached_heads(&keys),
        };
        let mut found = found.into_iter();
        let head = |need| {
            if need == ReadNeed::None {
                return Head::NotNeeded;
            }
            match found.next().flatten() {
                None => Head::Cold,
                // A value that is stored apart is never in memory for certain.
                Some(Ok(Some(row))) if row.spilled && need == ReadNeed::Value && reads == Reads::Memory => {
                    Head::Cold
                }
                Some(read) => Head::Read(read),
            }
        };
        needs.into_iter().map(head).collect()
    }

    /// Answers one request into `answered`; returns the ticket that the answer waits for.
    #[expect(clippy::too_many_arguments, reason = "what one request of a batch shares with the others")]
    fn answer(
        &mut self,
        parts: &ShardParts,
        conditions: &Conditions,
        item: ShardRequest,
        head: Option<HeadRead>,
        reply_bytes: &mut usize,
        answered: &mut Answered,
        handled: &mut Handled,
    ) -> Ticket {
        let id = item.request.id;
        let refuse = |rejection| Reply { id, done: NO_MOVE, body: ReplyBody::Rejected(rejection) };
        let lookup = match self.look_up(parts, conditions, &item, head, *reply_bytes, answered) {
            Ok(lookup) => lookup,
            Err(Unread::NoRoom) => {
                answered.replies.push(refuse(Rejection::Overloaded));
                return Ticket::NONE;
            }
            Err(Unread::Failed(error)) => {
                // This key only: the other keys' rows may be whole, and refusing is always safe.
                parts.metrics.observe_read_error(&error);
                answered.replies.push(refuse(Rejection::NotReady));
                return Ticket::NONE;
            }
        };
        self.replica.handle(conditions, item.request, item.key_hash, lookup, handled);
        let mut wait = Ticket::NONE;
        for (reply, ticket) in handled.replies.drain(..) {
            *reply_bytes += reply_size_hint(&reply);
            wait = wait.max(ticket);
            answered.replies.push(reply);
        }
        wait
    }

    /// What the replica must know of the disk. Asked again here, because an earlier request of this batch may have
    /// changed what is needed.
    fn look_up(
        &self,
        parts: &ShardParts,
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
            None => parts.store.read_heads(&[(partition, key)]).pop().unwrap_or(Ok(None)),
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
        answered.held.join(parts.budget.take(value_bytes).ok_or(Unread::NoRoom)?);
        let register = parts.store.read_value(partition, key, register)?;
        found(Some(Stored { register, spilled }))
    }

    fn show_cache(&mut self, parts: &ShardParts) {
        let bytes = i64::try_from(self.replica.recent_bytes()).unwrap_or(i64::MAX);
        parts.metrics.register_cache_bytes.inc_by(bytes - self.shown_cache_bytes);
        self.shown_cache_bytes = bytes;
    }

    fn forget_found(&mut self, parts: &ShardParts) {
        self.replica.synced(parts.marks.durable(self.index));
        self.replica.committed(parts.marks.found(self.index));
    }
}

type HeadRead = Result<Option<RegisterRow>, StoreError>;

/// What is known of a request's register before anything is decided.
enum Head {
    /// The replica answers by itself.
    NotNeeded,
    /// It was read.
    Read(HeadRead),
    /// It is not in memory.
    Cold,
}

/// Takes the requests apart: those on keys that are not in memory, all of each key so that they stay in order, and
/// the others with what was read for them.
fn split(
    requests: Vec<ShardRequest>,
    heads: Vec<Head>,
) -> (Vec<(ShardRequest, Option<HeadRead>)>, Vec<ShardRequest>) {
    let is_cold = |head: &Head| matches!(head, Head::Cold);
    let cold_keys: BTreeSet<Key> = (requests.iter().zip(&heads))
        .filter(|(_, head)| is_cold(head))
        .map(|(item, _)| item.request.key.clone())
        .collect();
    let mut warm = Vec::with_capacity(requests.len());
    let mut cold = Vec::new();
    for (item, head) in requests.into_iter().zip(heads) {
        match head {
            _ if !cold_keys.is_empty() && cold_keys.contains(&item.request.key) => cold.push(item),
            Head::Read(read) => warm.push((item, Some(read))),
            Head::NotNeeded | Head::Cold => warm.push((item, None)),
        }
    }
    (warm, cold)
}

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
