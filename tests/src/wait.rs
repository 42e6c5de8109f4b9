//! Waiting for a condition.

use std::time::{Duration, Instant};

/// How long a condition may take that is not itself the claim of a test: long, for busy machines.
pub const PATIENCE: Duration = Duration::from_secs(60);

const PAUSE: Duration = Duration::from_millis(20);

/// Asks again and again until `condition` gives something, and returns it.
///
/// # Panics
/// After [`PATIENCE`], naming `what`.
#[track_caller]
pub fn eventually<T, F>(what: &str, mut condition: F) -> impl Future<Output = T>
where
    F: AsyncFnMut() -> Option<T>,
{
    let caller = std::panic::Location::caller();
    async move {
        let started = Instant::now();
        loop {
            if let Some(found) = condition().await {
                return found;
            }
            assert!(started.elapsed() < PATIENCE, "{caller}: not within {PATIENCE:?}: {what}");
            tokio::time::sleep(PAUSE).await;
        }
    }
}
