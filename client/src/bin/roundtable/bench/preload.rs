//! Writes every key once before the measurement.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;

use crate::bench::plan::Plan;
use crate::bench::recorder::Ending;
use crate::bench::session::Session;
use crate::failure::Failure;
use crate::output;

/// How often one key is tried.
const ATTEMPTS_MAX: u32 = 10;

/// The pause after a failed attempt.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// Writes all keys over this many connections.
pub(crate) async fn run(plan: &Arc<Plan>, connections: u16) -> Result<(), Failure> {
    output::note(&format!("writing {} key(s) first", plan.shape.keys));
    let next = Arc::new(AtomicU64::new(0));
    let mut writers = JoinSet::new();
    for number in 0..u64::from(connections) {
        writers.spawn(write_keys(Arc::clone(plan), number, Arc::clone(&next)));
    }
    while let Some(joined) = writers.join_next().await {
        match joined {
            Ok(written) => written?,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
    Ok(())
}

async fn write_keys(plan: Arc<Plan>, number: u64, next: Arc<AtomicU64>) -> Result<(), Failure> {
    let Some(endpoint) = plan.endpoint(number) else { return Ok(()) };
    let mut session = Session::new(&plan, endpoint, plan.seed.wrapping_sub(number));
    loop {
        let key = next.fetch_add(1, Ordering::Relaxed);
        if key >= plan.shape.keys {
            return Ok(());
        }
        write_key(&mut session, key).await?;
    }
}

async fn write_key(session: &mut Session<'_>, key: u64) -> Result<(), Failure> {
    let mut failure = String::new();
    for _ in 0..ATTEMPTS_MAX {
        match session.write(key).await {
            Ending::Answered { .. } => return Ok(()),
            Ending::Status(status) => failure = status.to_string(),
            Ending::Failed(error) => failure = error.to_string(),
        }
        tokio::time::sleep(RETRY_PAUSE).await;
    }
    Err(Failure::NotReady(format!("the keys cannot be written: {failure}")))
}
