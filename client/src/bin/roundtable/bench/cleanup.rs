//! Removes the keys that a run made.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;

use crate::bench::args::BenchArgs;
use crate::bench::plan::Plan;
use crate::bench::recorder::Ending;
use crate::bench::session::Session;
use crate::output;

/// How long it may take.
const TIME_MAX: Duration = Duration::from_secs(60);

/// How often one key is tried.
const ATTEMPTS_MAX: u32 = 10;

/// The pause after a failed attempt.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// Fewer connections than this would make it slow.
const CONNECTIONS_MIN: u16 = 32;

/// What the connections share.
struct Removal {
    plan: Arc<Plan>,
    /// Where the search for the next key goes on.
    next: Mutex<u64>,
    inserted_until: u64,
    removed: AtomicU64,
    /// Why a key could not be removed.
    failure: Mutex<Option<String>>,
}

/// Removes what this run made, as far as there is time, and says what is left.
pub(crate) async fn run(args: &BenchArgs, plan: &Arc<Plan>) {
    let inserted_until = plan.inserts.begun();
    let count = plan.created.count(inserted_until);
    if count == 0 {
        return;
    }
    output::note(&format!("removing the {count} key(s) that this run made; --keep leaves them"));
    let removal = Arc::new(Removal {
        plan: Arc::clone(plan),
        next: Mutex::new(0),
        inserted_until,
        removed: AtomicU64::new(0),
        failure: Mutex::new(None),
    });
    let mut workers = JoinSet::new();
    let connections = args.connections.iter().copied().max().unwrap_or(1).max(CONNECTIONS_MIN);
    for number in 0..u64::from(connections) {
        let removal = Arc::clone(&removal);
        workers.spawn(async move { removal.work(number).await });
    }
    let in_time = tokio::time::timeout(TIME_MAX, workers.join_all()).await.is_ok();
    let left = count - removal.removed.load(Ordering::Relaxed).min(count);
    if left > 0 {
        let failure = removal.failure.lock().unwrap_or_else(PoisonError::into_inner).take();
        let why = match failure {
            Some(failure) => format!(": {failure}"),
            None if in_time => String::new(),
            None => format!(" within {TIME_MAX:?}"),
        };
        let prefix = output::display(output::bytes_of(&args.key_prefix));
        output::note(&format!(
            "{left} of these keys could not be removed{why}; what begins with {prefix} is left"
        ));
    }
}

impl Removal {
    /// Removes one key after the other, until there is none or one cannot be removed.
    async fn work(&self, number: u64) {
        let Some(endpoint) = self.plan.endpoint(number) else { return };
        let mut session = Session::new(&self.plan, endpoint, number);
        while let Some(key) = self.take() {
            match remove(&mut session, key).await {
                Ok(()) => self.removed.fetch_add(1, Ordering::Relaxed),
                Err(failure) => {
                    self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(failure);
                    return;
                }
            };
        }
    }

    fn take(&self) -> Option<u64> {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let key = self.plan.created.next(*next, self.inserted_until)?;
        *next = key + 1;
        Some(key)
    }
}

async fn remove(session: &mut Session<'_>, key: u64) -> Result<(), String> {
    let mut failure = String::new();
    for _ in 0..ATTEMPTS_MAX {
        match session.delete(key).await {
            Ending::Answered { .. } => return Ok(()),
            Ending::Status(status) => failure = status.to_string(),
            Ending::Failed(error) => failure = error.to_string(),
        }
        tokio::time::sleep(RETRY_PAUSE).await;
    }
    Err(failure)
}
