//! Writes every key once before the measurement.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hyper::Method;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use tokio::task::JoinSet;

use crate::bench::connection::{Connection, Endpoint};
use crate::bench::worker::{Plan, call};
use crate::failure::Failure;
use crate::output;

/// How often one key is tried.
const ATTEMPTS_MAX: u32 = 10;

/// The pause after a failed attempt.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// Writes the first `count` keys over this many connections.
pub(crate) async fn run(plan: &Arc<Plan>, count: u64, connections: u16) -> Result<(), Failure> {
    output::note(&format!("writing {count} keys first"));
    let next = Arc::new(AtomicU64::new(0));
    let mut writers = JoinSet::new();
    for number in 0..u64::from(connections) {
        writers.spawn(write_keys(Arc::clone(plan), number, count, Arc::clone(&next)));
    }
    while let Some(joined) = writers.join_next().await {
        match joined {
            Ok(written) => written?,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
    Ok(())
}

async fn write_keys(plan: Arc<Plan>, number: u64, count: u64, next: Arc<AtomicU64>) -> Result<(), Failure> {
    let mut random = StdRng::seed_from_u64(plan.seed.wrapping_sub(number));
    let mut connection = None;
    let Some(endpoint) = plan.endpoint(number) else { return Ok(()) };
    loop {
        let key = next.fetch_add(1, Ordering::Relaxed);
        if key >= count {
            return Ok(());
        }
        write_key(&plan, endpoint, &mut connection, key, &mut random).await?;
    }
}

async fn write_key(
    plan: &Plan,
    endpoint: &Endpoint,
    connection: &mut Option<Connection>,
    key: u64,
    random: &mut StdRng,
) -> Result<(), Failure> {
    let mut failure = String::new();
    for _ in 0..ATTEMPTS_MAX {
        match call(endpoint, connection, Method::PUT, plan.keys.path(key), plan.value(random)).await {
            Ok(status) if status.is_success() => return Ok(()),
            Ok(status) => failure = status.to_string(),
            Err(error) => failure = error.to_string(),
        }
        tokio::time::sleep(RETRY_PAUSE).await;
    }
    Err(Failure::NotReady(format!("the keys cannot be written: {failure}")))
}
