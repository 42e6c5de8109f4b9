//! How far a server is from its end.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// How long the rest of a request that has arrived in part is awaited once the listener is closed.
pub(super) const RECEIVE_TIME_MAX: Duration = Duration::from_secs(1);

/// How a process comes to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// It serves.
    Running,
    /// It still serves, tells load balancers to look elsewhere, and ends each connection with its next answer.
    Leaving,
    /// It accepts no connection and ends those that are there.
    Stopping,
}

#[derive(Debug, Clone, Copy)]
struct State {
    stage: Stage,
    since: Instant,
}

/// The stage of a server's life, shared by its connections. Clones are of one server.
#[derive(Debug, Clone)]
pub struct Stop {
    state: Arc<watch::Sender<State>>,
}

/// Keeps [`Stop::ended`] from coming true as long as it exists.
#[derive(Debug)]
pub struct Open(watch::Receiver<State>);

impl Default for Stop {
    fn default() -> Self {
        Self::new()
    }
}

impl Stop {
    /// A server that runs.
    #[must_use]
    pub fn new() -> Self {
        let state = State { stage: Stage::Running, since: Instant::now() };
        Self { state: Arc::new(watch::Sender::new(state)) }
    }

    /// The present stage.
    #[must_use]
    pub fn stage(&self) -> Stage {
        self.state.borrow().stage
    }

    /// Goes on towards the end; never back.
    pub fn advance(&self, stage: Stage) {
        self.state.send_if_modified(|state| {
            let goes_on = stage > state.stage;
            if goes_on {
                *state = State { stage, since: Instant::now() };
            }
            goes_on
        });
    }

    /// One more thing that has to end before the server has ended.
    #[must_use]
    pub fn open(&self) -> Open {
        Open(self.state.subscribe())
    }

    /// Comes true when all that was opened has ended.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn ended(&self) {
        self.state.closed().await;
    }

    /// Comes true when the rest of requests that have arrived in part is no longer awaited.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn receive_time_over(&self) {
        let mut open = self.open();
        sleep_until(open.stopping().await + RECEIVE_TIME_MAX).await;
    }
}

impl Open {
    /// Waits for [`Stage::Stopping`], and returns when it began.
    pub(super) async fn stopping(&mut self) -> Instant {
        let since = self.0.wait_for(|state| state.stage == Stage::Stopping).await.map(|state| state.since);
        match since {
            Ok(since) => since,
            // The server is gone without having been told to stop.
            Err(_) => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn stages_only_go_on_and_the_end_waits_for_everything_open() {
        let stop = Stop::new();
        assert_eq!(stop.stage(), Stage::Running);
        let mut open = stop.open();
        stop.advance(Stage::Stopping);
        let since = open.stopping().await;
        stop.advance(Stage::Leaving);
        assert_eq!((stop.stage(), open.stopping().await), (Stage::Stopping, since));
        let ended = tokio::select! {
            biased;
            () = stop.ended() => true,
            () = std::future::ready(()) => false,
        };
        assert!(!ended, "something is open");
        drop(open);
        stop.ended().await;
    }
}
