//! One coordinator behind its lock, with those who wait for its answers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use roundtable_consensus::{
    Answer, Coordinator, Effects, Failure, Key, NodeIndex, Now, PartitionId, ReplicaSet, Request, Submit,
    Task, Token,
};
use tokio::sync::{Notify, oneshot};
use tracing::error;

type Waiter = oneshot::Sender<Result<Answer, Failure>>;

/// One coordinator.
pub(super) struct Shard {
    state: Mutex<ShardState>,
    /// Tells the timer that it has to wake earlier than it knows.
    pub(super) timer_moved: Notify,
}

/// What the lock protects.
pub(super) struct ShardState {
    pub(super) coordinator: Coordinator,
    waiters: HashMap<Token, Waiter>,
    next_token: u64,
    /// When the timer will wake, on the monotonic clock.
    pub(super) armed_us: u64,
}

impl Shard {
    pub(super) fn new(coordinator: Coordinator) -> Self {
        let state = ShardState { coordinator, waiters: HashMap::new(), next_token: 0, armed_us: u64::MAX };
        Self { state: Mutex::new(state), timer_moved: Notify::new() }
    }

    /// Does something under the lock.
    ///
    /// A coordinator that panicked has broken an assertion of the protocol: nothing that it says can be trusted, so
    /// the process stops. Routers keep nothing; another serves on.
    pub(super) fn with<T>(&self, act: impl FnOnce(&mut ShardState) -> T) -> T {
        let Ok(mut state) = self.state.lock() else {
            error!("a coordinator panicked; the process stops");
            std::process::abort();
        };
        act(&mut state)
    }

    /// Lets the coordinator take an event, answers those whose answers came of it, and moves the timer. Returns the
    /// messages to send.
    pub(super) fn run(
        &self,
        now: Now,
        event: impl FnOnce(&mut Coordinator, Now, &mut Effects),
    ) -> Vec<(NodeIndex, Request)> {
        let mut out = Effects::default();
        let (answers, sooner) = self.with(|state| {
            event(&mut state.coordinator, now, &mut out);
            let answers: Vec<_> = out
                .answers
                .drain(..)
                .filter_map(|(token, answer)| Some((state.waiters.remove(&token)?, answer)))
                .collect();
            let wanted_us = state.coordinator.next_timer_us().unwrap_or(u64::MAX);
            (answers, wanted_us < state.armed_us)
        });
        if sooner {
            self.timer_moved.notify_one();
        }
        for (waiter, answer) in answers {
            // A client that left no longer wants to know.
            let _ = waiter.send(answer);
        }
        out.sends
    }
}

impl ShardState {
    /// Names a request, and keeps who waits for it.
    pub(super) fn register(
        &mut self,
        key: Key,
        partition: PartitionId,
        replicas: Arc<ReplicaSet>,
        task: Task,
        deadline_us: u64,
    ) -> (Submit, oneshot::Receiver<Result<Answer, Failure>>) {
        let token = Token(self.next_token);
        self.next_token += 1;
        let (sender, receiver) = oneshot::channel();
        self.waiters.insert(token, sender);
        (Submit { token, key, partition, replicas, task, deadline_us }, receiver)
    }
}
