//! What waits for the committer: jobs of all shards in the order of their coming.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;

use crate::committer::CommitJob;

/// A bounded queue of jobs. The bound is kept at the door: who finds it full decides nothing and so adds nothing,
/// while a job that has been decided is always taken.
#[derive(Debug)]
pub(crate) struct CommitQueue {
    state: Mutex<State>,
    /// The committer, which may wait for the first job or for the end.
    changed: Notify,
    jobs_max: usize,
}

#[derive(Debug, Default)]
struct State {
    jobs: Vec<CommitJob>,
    closed: bool,
}

/// Nothing is committed any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Closed;

impl CommitQueue {
    pub(crate) fn new(jobs_max: usize) -> Self {
        Self { state: Mutex::default(), changed: Notify::new(), jobs_max }
    }

    /// Whether no further work should be begun.
    pub(crate) fn is_full(&self) -> bool {
        self.state().jobs.len() >= self.jobs_max
    }

    /// Adds a job that has been decided, even beyond the bound.
    ///
    /// # Errors
    /// When the queue is closed; the job is dropped, and with it whoever waits for its replies.
    pub(crate) fn push(&self, job: CommitJob) -> Result<(), Closed> {
        let mut state = self.state();
        if state.closed {
            return Err(Closed);
        }
        state.jobs.push(job);
        // Who did not take the job before this one has been told already.
        if state.jobs.len() == 1 {
            drop(state);
            self.changed.notify_one();
        }
        Ok(())
    }

    /// Takes all that waits, in order; at once, perhaps nothing.
    pub(crate) fn take_now(&self) -> Vec<CommitJob> {
        std::mem::take(&mut self.state().jobs)
    }

    /// Takes all that waits, in order. Waits until there is something, for `limit` at most if there is one: then it
    /// may be nothing. For one taker.
    ///
    /// # Errors
    /// When the queue is closed and empty.
    pub(crate) async fn take(&self, limit: Option<Duration>) -> Result<Vec<CommitJob>, Closed> {
        loop {
            {
                let mut state = self.state();
                if !state.jobs.is_empty() {
                    return Ok(std::mem::take(&mut state.jobs));
                }
                if state.closed {
                    return Err(Closed);
                }
            }
            let changed = self.changed.notified();
            match limit {
                None => changed.await,
                Some(limit) => {
                    if timeout(limit, changed).await.is_err() {
                        return Ok(self.take_now());
                    }
                }
            }
        }
    }

    /// Takes no further jobs; those that wait are still committed.
    pub(crate) fn close(&self) {
        self.state().closed = true;
        self.changed.notify_one();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use super::*;

    fn job(shard: u16) -> CommitJob {
        CommitJob { shard, writes: Vec::new(), releases: Vec::new() }
    }

    #[tokio::test]
    async fn queue_keeps_the_order_and_says_when_it_is_full() {
        let queue = CommitQueue::new(2);
        for shard in 0..3 {
            assert_eq!(queue.is_full(), shard == 2);
            assert_eq!(queue.push(job(shard)), Ok(()), "what was decided is taken");
        }
        let taken = queue.take(None).await.unwrap();
        assert_eq!(taken.iter().map(|job| job.shard).collect::<Vec<_>>(), [0, 1, 2]);
        assert!(!queue.is_full() && queue.take_now().is_empty());
    }

    #[tokio::test]
    async fn queue_that_is_closed_gives_what_waits_and_takes_nothing() {
        let queue = CommitQueue::new(2);
        queue.push(job(7)).unwrap();
        queue.close();
        assert_eq!(queue.push(job(8)), Err(Closed));
        assert_eq!(queue.take(None).await.unwrap().len(), 1);
        assert_eq!(queue.take(None).await.err(), Some(Closed));
        assert_eq!(queue.take(Some(Duration::ZERO)).await.err(), Some(Closed));
    }

    #[tokio::test]
    async fn queue_wakes_who_waits() {
        let queue = Arc::new(CommitQueue::new(10));
        let pushing = thread::spawn({
            let queue = Arc::clone(&queue);
            move || {
                for shard in 0..1_000 {
                    queue.push(job(shard)).unwrap();
                }
                queue.close();
            }
        });
        let mut taken = 0;
        while let Ok(jobs) = queue.take(None).await {
            taken += jobs.len();
        }
        assert_eq!(taken, 1_000);
        pushing.join().unwrap();
    }

    #[tokio::test]
    async fn queue_that_stays_empty_gives_nothing_after_the_time() {
        let queue = CommitQueue::new(2);
        assert!(queue.take(Some(Duration::from_millis(1))).await.unwrap().is_empty());
    }
}
