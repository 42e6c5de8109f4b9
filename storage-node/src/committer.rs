//! The thread that commits: everything that was queued while the last sync ran becomes one write batch and one sync
//! (group commit). The slower the disk, the larger the groups.
//!
//! The order of writes: each shard's jobs come in the order of their tickets, and each group is written whole before
//! the next. The log's seqs are given here, so they are gapless over all shards. Replies are released when the group
//! that holds their writes is in the journal, before the database has it; a job without writes is released with the
//! group that it was drained into, when all earlier writes of its shard are durable already. Into the database a group
//! goes much later, with others; replicas are told when its readers find it, and answer for the registers themselves
//! until then.
//!
//! The thread is an async runtime too, for connections that bring nothing but what has to be committed (see
//! `lane.rs`): their batches are decided here, and answered between the two halves of a commit, without a switch between
//! threads. All of it waits for the disk anyway, so that the thread may wait for it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use roundtable_consensus::{Reply, Ticket, Write};
use tokio::sync::oneshot;
use tokio::task::yield_now;

use crate::budget::Held;
use crate::commit_queue::{Closed, CommitQueue};
use crate::disk_watch::DiskWatch;
use crate::fault::Fault;
use crate::marks::Marks;
use crate::metrics::Metrics;
use crate::store::{CommitStats, Store, StoreError};

/// A group stops growing at this many bytes: one sync of more would delay its first job too long.
const GROUP_BYTES_MAX: usize = 32 << 20;
/// After this many bytes written the disk's free space is asked for again, whatever the time.
const POLL_SPACE_AFTER_BYTES: u64 = 8 << 20;

/// What one shard wants written, and what may leave afterwards.
#[derive(Debug)]
pub(crate) struct CommitJob {
    /// The shard.
    pub(crate) shard: u16,
    /// Its writes in order.
    pub(crate) writes: Vec<(Ticket, Write)>,
    /// Replies that wait for these writes, or for earlier ones of the shard.
    pub(crate) releases: Vec<Release>,
}

/// The replies to the requests of one batch that fell to one shard.
#[derive(Debug)]
pub(crate) struct Release {
    /// Who waits for them.
    pub(crate) to: oneshot::Sender<Answered>,
    /// The replies in the order of the requests.
    pub(crate) answered: Answered,
}

/// Replies with the memory that they were granted.
#[derive(Debug)]
pub(crate) struct Answered {
    /// The places of their requests in the batch.
    pub(crate) places: Vec<usize>,
    pub(crate) replies: Vec<Reply>,
    pub(crate) held: Held,
}

impl Answered {
    pub(crate) fn with_capacity(replies: usize) -> Self {
        Self { places: Vec::with_capacity(replies), replies: Vec::with_capacity(replies), held: Held::none() }
    }
}

impl Release {
    /// Lets the replies go. The asker may be gone: then nobody needs them.
    pub(crate) fn send(self) {
        drop(self.to.send(self.answered));
    }
}

/// When commits reach the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Each group is synced before its replies leave.
    Sync,
    /// Groups are synced at least this often, and whenever a horizon is among them. A power cut takes the registers that
    /// came since from this node, although it answered for them; it votes without them afterwards. So the power cut of
    /// one node can lose a write that was acknowledged, or revert it. Promises are kept.
    Interval(Duration),
}

/// The committing thread's state.
pub(crate) struct Committer {
    pub(crate) store: Arc<Store>,
    pub(crate) jobs: Arc<CommitQueue>,
    pub(crate) marks: Arc<Marks>,
    pub(crate) durability: Durability,
    pub(crate) log_bytes_max: u64,
    pub(crate) disk: Arc<DiskWatch>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) fault: Fault,
}

impl Committer {
    /// Commits until the queue is closed, or until a commit fails: then the process must end, and whoever waits for
    /// a reply gets none. To be run on a thread of its own, which it keeps from going on while the disk works.
    pub(crate) async fn run(self) {
        if let Err(error) = self.run_until_closed().await {
            tracing::error!(%error, "commit failed: the node stops and answers nothing");
            self.jobs.close();
            drop(self.jobs.take_now());
            self.fault.raise(&error.to_string());
        }
    }

    async fn run_until_closed(&self) -> Result<(), StoreError> {
        let mut last_sync = Instant::now();
        let (mut unsynced, mut bytes_since_poll) = (false, 0);
        // What was taken from the queue and did not fit the last group.
        let mut left = Vec::new();
        loop {
            if left.is_empty() {
                match self.jobs.take(self.wait_max(last_sync, unsynced)).await {
                    Ok(jobs) => left = jobs,
                    Err(Closed) => return self.store.sync(),
                }
            }
            if !left.is_empty() {
                let bytes = self.commit_group(&mut left).await?;
                unsynced |= bytes > 0;
                bytes_since_poll += bytes;
            }
            if let Durability::Interval(interval) = self.durability
                && unsynced
                && last_sync.elapsed() >= interval
            {
                self.store.sync()?;
                (last_sync, unsynced) = (Instant::now(), false);
            }
            if bytes_since_poll >= POLL_SPACE_AFTER_BYTES {
                bytes_since_poll = 0;
                self.disk.poll_or_log();
            }
        }
    }

    /// How long to wait for a job at the most.
    fn wait_max(&self, last_sync: Instant, unsynced: bool) -> Option<Duration> {
        match self.durability {
            Durability::Interval(interval) if unsynced => Some(interval.saturating_sub(last_sync.elapsed())),
            Durability::Interval(_) | Durability::Sync => None,
        }
    }

    /// Commits one group and releases its replies; jobs beyond the bound stay in `jobs`. Returns the bytes written.
    async fn commit_group(&self, jobs: &mut Vec<CommitJob>) -> Result<u64, StoreError> {
        let started = Instant::now();
        let (added, stats) = self.journal_group(jobs)?;
        self.metrics.observe_commit(&stats, started.elapsed());
        let group = jobs.get_mut(..added).unwrap_or_default();
        for job in group.iter() {
            if let Some((ticket, _)) = job.writes.last() {
                self.marks.note_durable(stats.number, job.shard, *ticket);
            }
        }
        group.iter_mut().flat_map(|job| std::mem::take(&mut job.releases)).for_each(Release::send);
        // Answers leave before anything else is done.
        yield_now().await;
        self.store.apply_if_much()?;
        self.marks.note_found(self.store.applied());
        drop(jobs.drain(..added));
        self.limit_log(stats.log.bytes())?;
        Ok(stats.bytes)
    }

    /// Makes one group durable. Returns how many of the jobs are in it: the first ones.
    fn journal_group(&self, jobs: &mut Vec<CommitJob>) -> Result<(usize, CommitStats), StoreError> {
        let mut commit = self.store.begin_commit();
        let mut added = 0;
        loop {
            // What comes while the group is put together still joins it.
            if added == jobs.len() {
                jobs.append(&mut self.jobs.take_now());
            }
            let Some(job) = jobs.get(added).filter(|_| commit.bytes() < GROUP_BYTES_MAX) else { break };
            for (_, write) in &job.writes {
                match write {
                    Write::Horizon(horizon) => commit.horizon(job.shard, *horizon),
                    Write::Accept { partition, key, register, spills, was_spilled, replaced_bytes } => {
                        commit.accept(*partition, key, register, *spills, *was_spilled, *replaced_bytes);
                    }
                }
            }
            added += 1;
        }
        Ok((added, commit.journal()?))
    }

    /// Nobody follows the log yet, so nothing holds its entries back: the oldest go when it is too long.
    fn limit_log(&self, bytes: u64) -> Result<(), StoreError> {
        let log_bytes_max = self.log_bytes_max.min(self.disk.log_bytes_max());
        if bytes > log_bytes_max
            && let Some(dropped) = self.store.drop_log_beyond(log_bytes_max)?
        {
            self.metrics.log_dropped_entries.inc_by(dropped.entries);
            tracing::info!(
                dropped_entries = dropped.entries,
                first_seq = dropped.bounds.first_seq,
                next_seq = dropped.bounds.next_seq,
                log_bytes = dropped.bounds.bytes(),
                log_bytes_max,
                "replication log at its limit: oldest entries dropped"
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use roundtable_consensus::{Ballot, Hlc, Key, PartitionId, Register, ReplyBody};

    use std::future::Future;
    use std::path::Path;
    use std::pin::pin;
    use std::sync::OnceLock;
    use std::task::{Context, Wake, Waker};

    use super::*;
    use crate::metrics::Observed;
    use crate::store::StoreOptions;

    fn job(number: u64) -> (CommitJob, oneshot::Receiver<Answered>) {
        let register = Register { accepted: Ballot::floor_of(Hlc(number)), ..Register::absent(Ballot::ZERO) };
        let write = Write::Accept {
            partition: PartitionId(0),
            key: Key::new(format!("k{number}")).unwrap(),
            register: Arc::new(register),
            spills: false,
            was_spilled: false,
            replaced_bytes: 0,
        };
        let (to, receiver) = oneshot::channel();
        let reply = Reply { id: number, done: true, body: ReplyBody::Accepted { next_promised: false } };
        let answered = Answered { places: vec![0], replies: vec![reply], held: Held::none() };
        let writes = vec![(Ticket(number), write)];
        (CommitJob { shard: 1, writes, releases: vec![Release { to, answered }] }, receiver)
    }

    fn committer(dir: &Path, store: &Arc<Store>, jobs: Arc<CommitQueue>) -> Committer {
        Committer {
            store: Arc::clone(store),
            jobs,
            marks: Arc::new(Marks::new(2)),
            durability: Durability::Sync,
            log_bytes_max: u64::MAX,
            disk: Arc::new(DiskWatch::new(dir, 0).unwrap()),
            metrics: Arc::new(Metrics::new()),
            fault: Fault::new().0,
        }
    }

    fn block_on(future: impl Future<Output = ()>) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future);
    }

    /// What is true at the moment when a reply leaves: it wakes whoever waits for it on the committer's thread.
    struct AtRelease {
        store: Arc<Store>,
        marks: Arc<Marks>,
        /// The marks of the shard, and whether readers of the store find the register.
        seen: OnceLock<(Ticket, Ticket, bool)>,
    }

    fn is_found(store: &Store) -> bool {
        let head = store.read_heads(&[(PartitionId(0), &Key::new("k1").unwrap())]).pop().unwrap();
        head.unwrap().is_some()
    }

    impl Wake for AtRelease {
        fn wake(self: Arc<Self>) {
            let seen = (self.marks.durable(1), self.marks.found(1), is_found(&self.store));
            self.seen.set(seen).unwrap();
        }
    }

    #[test]
    fn reply_leaves_before_the_store_has_its_write_and_the_replica_is_told_when_it_has() {
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(dir.path(), &StoreOptions::default()).unwrap());
        let jobs = Arc::new(CommitQueue::new(1));
        let committer = committer(dir.path(), &store, Arc::clone(&jobs));
        let marks = Arc::clone(&committer.marks);
        let (first, receiver) = job(1);
        let seen = OnceLock::new();
        let at_release = Arc::new(AtRelease { store: Arc::clone(&store), marks: Arc::clone(&marks), seen });
        let waker = Waker::from(Arc::clone(&at_release));
        let mut receiver = pin!(receiver);
        assert!(receiver.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        jobs.push(first).unwrap();
        block_on(async {
            let running = tokio::spawn(committer.run());
            while at_release.seen.get().is_none() {
                yield_now().await;
            }
            assert_eq!(at_release.seen.get(), Some(&(Ticket(1), Ticket::NONE, false)));
            store.apply().unwrap();
            assert!(is_found(&store));
            let (second, receiver) = job(2);
            jobs.push(second).unwrap();
            receiver.await.unwrap();
            jobs.close();
            running.await.unwrap();
        });
        assert_eq!((marks.durable(1), marks.found(1)), (Ticket(2), Ticket(1)));
    }

    #[test]
    fn jobs_queued_together_are_one_commit_and_released_after_it() {
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(dir.path(), &StoreOptions::default()).unwrap());
        let jobs = Arc::new(CommitQueue::new(100));
        let mut released = Vec::new();
        for number in 1..=100 {
            let (job, receiver) = job(number);
            jobs.push(job).unwrap();
            released.push(receiver);
        }
        jobs.close();
        let (fault, watch) = Fault::new();
        let committer = Committer { fault, ..committer(dir.path(), &store, jobs) };
        let (marks, metrics) = (Arc::clone(&committer.marks), Arc::clone(&committer.metrics));
        block_on(committer.run());
        assert_eq!(watch.reason(), None);
        for (number, mut receiver) in (1..).zip(released) {
            assert_eq!(receiver.try_recv().unwrap().replies[0].id, number);
        }
        assert_eq!((marks.durable(0), marks.durable(1)), (Ticket::NONE, Ticket(100)));
        let page = metrics.encode(&Observed::default()).unwrap();
        assert!(page.contains("roundtable_node_commit_registers_count 1\n"), "{page}");
        assert!(page.contains("roundtable_node_commit_registers_sum 100"), "{page}");
        assert_eq!(store.log_bounds().next_seq, 101);
    }
}
