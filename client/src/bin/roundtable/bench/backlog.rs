//! Requests of an open loop that are due and wait for a connection.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Semaphore;
use tokio::time::Instant;

/// Requests that wait at most. A further one is never started, and counted.
pub(crate) const BACKLOG_MAX: usize = 100_000;

/// The waiting requests, each as the moment when it was due, in order.
#[derive(Debug)]
pub(crate) struct Backlog {
    due: Mutex<VecDeque<Instant>>,
    /// A permit for each request, and in the end one for each connection.
    ready: Semaphore,
    capacity: usize,
    finished: AtomicBool,
    not_started: AtomicU64,
}

impl Backlog {
    /// With room for so many.
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            due: Mutex::new(VecDeque::new()),
            ready: Semaphore::new(0),
            capacity,
            finished: AtomicBool::new(false),
            not_started: AtomicU64::new(0),
        }
    }

    /// A request is due.
    pub(crate) fn push(&self, at: Instant, counted: bool) {
        let mut due = self.lock();
        if due.len() < self.capacity {
            due.push_back(at);
            drop(due);
            self.ready.add_permits(1);
        } else if counted {
            self.not_started.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The request that is due for the longest time; waits for one. `None` at the end.
    pub(crate) async fn take(&self) -> Option<Instant> {
        loop {
            self.ready.acquire().await.ok()?.forget();
            let first = self.lock().pop_front();
            // A permit without a request: the end, or the request was cut off between the two.
            if first.is_some() || self.finished.load(Ordering::Acquire) {
                return first;
            }
        }
    }

    /// No more will be due: lets each of so many connections find the end, after those that wait.
    pub(crate) fn finish(&self, connections: usize) {
        self.finished.store(true, Ordering::Release);
        self.ready.add_permits(connections);
    }

    /// Those that wait are never started; the ones due from `counted_from` on are counted.
    pub(crate) fn cut_off(&self, counted_from: Instant) {
        let mut due = self.lock();
        self.ready.forget_permits(due.len());
        let counted = due.drain(..).filter(|at| *at >= counted_from).count();
        self.not_started.fetch_add(counted as u64, Ordering::Relaxed);
    }

    /// How many counted requests were never started.
    pub(crate) fn not_started(&self) -> u64 {
        self.not_started.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Instant>> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn requests_come_in_order_and_then_the_end() {
        let backlog = Backlog::new(10);
        let first = Instant::now();
        let second = first + Duration::from_millis(1);
        backlog.push(first, true);
        backlog.push(second, true);
        backlog.finish(2);
        assert_eq!(backlog.take().await, Some(first));
        assert_eq!(backlog.take().await, Some(second));
        assert_eq!((backlog.take().await, backlog.take().await), (None, None));
        assert_eq!(backlog.not_started(), 0);
    }

    #[tokio::test]
    async fn what_finds_no_room_or_is_cut_off_is_counted_from_the_warmup_on() {
        let backlog = Backlog::new(2);
        let (warmup, measured) = (Instant::now(), Instant::now() + Duration::from_secs(1));
        backlog.push(warmup, false);
        backlog.push(measured, true);
        backlog.push(warmup, false);
        assert_eq!(backlog.not_started(), 0, "a request of the warm-up found no room");
        backlog.push(measured, true);
        assert_eq!(backlog.not_started(), 1);
        backlog.cut_off(measured);
        assert_eq!(backlog.not_started(), 2);
        let later = measured + Duration::from_secs(1);
        backlog.push(later, true);
        assert_eq!(backlog.take().await, Some(later), "goes on after a cut");
        backlog.finish(1);
        assert_eq!(backlog.take().await, None);
    }
}
