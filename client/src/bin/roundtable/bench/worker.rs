//! What each connection does during a measurement.

use std::sync::Arc;

use tokio::time::Instant;

use crate::bench::backlog::Backlog;
use crate::bench::plan::Plan;
use crate::bench::recorder::{Ending, Recorder, StartDelay};
use crate::bench::session::Session;
use crate::bench::window::Window;

/// What all connections of a measurement share.
#[derive(Debug, Clone)]
pub(crate) struct Shared {
    pub(crate) plan: Arc<Plan>,
    pub(crate) window: Arc<Window>,
    pub(crate) recorder: Arc<Recorder>,
    /// Where the requests of an open loop wait.
    pub(crate) backlog: Option<Arc<Backlog>>,
}

/// The connection with this number: one operation after the other, until there is nothing more to do.
pub(crate) async fn worker(shared: Shared, number: u64, seed: u64) {
    let Some(endpoint) = shared.plan.endpoint(number) else { return };
    let mut session = Session::new(&shared.plan, endpoint, seed);
    match &shared.backlog {
        None => closed_loop(&shared, &mut session).await,
        Some(backlog) => open_loop(&shared, backlog, &mut session).await,
    }
}

/// The next operation begins when the one before has ended.
async fn closed_loop(shared: &Shared, session: &mut Session<'_>) {
    let mut begun = Instant::now();
    while let Some(counted) = shared.window.admit(begun) {
        let kind = session.draw();
        let ending = session.perform(kind).await;
        let mut ended = Instant::now();
        if counted {
            shared.recorder.record(kind, ended - begun, None, ending);
        }
        if let Ending::Failed(_) = ending {
            session.pause().await;
            ended = Instant::now();
        }
        begun = ended;
    }
}

/// Operations begin when they are due, or as soon after that as a connection is free; time counts from when they were
/// due.
async fn open_loop(shared: &Shared, backlog: &Backlog, session: &mut Session<'_>) {
    let mut free_since = Instant::now();
    while let Some(due) = backlog.take().await {
        let delay = StartDelay { delay: due.elapsed(), was_free: free_since <= due };
        let kind = session.draw();
        let ending = session.perform(kind).await;
        if due >= shared.window.measure_from {
            shared.recorder.record(kind, due.elapsed(), Some(delay), ending);
        }
        if let Ending::Failed(_) = ending {
            session.pause().await;
        }
        free_since = Instant::now();
    }
}
