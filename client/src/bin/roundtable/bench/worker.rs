//! One connection's loop.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use hdrhistogram::Histogram;
use hyper::{Method, StatusCode};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::time::Instant;

use crate::bench::connection::{CallError, Connection, Endpoint};
use crate::bench::keys::KeyChooser;

/// The longest latency that is told apart, in microseconds.
const LATENCY_US_MAX: u64 = 60_000_000;

/// How long a connection that failed waits before it is opened again.
const RECONNECT_PAUSE: Duration = Duration::from_millis(50);

/// What all connections do.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) endpoints: Vec<Endpoint>,
    pub(crate) keys: KeyChooser,
    pub(crate) pool: Bytes,
    pub(crate) value_bytes: usize,
    pub(crate) reads_percent: u8,
    pub(crate) seed: u64,
}

/// When requests begin and when they count.
#[derive(Debug)]
pub(crate) struct Window {
    /// Requests that begin from here on are counted.
    pub(crate) measure_from: Instant,
    /// No request begins from here on.
    pub(crate) until: Option<Instant>,
    /// How many counted requests may still begin.
    pub(crate) budget: Option<AtomicU64>,
}

/// What one connection, or all of them, saw.
#[derive(Debug)]
pub(crate) struct Counts {
    /// Latencies in microseconds of reads that were answered.
    pub(crate) gets: Histogram<u64>,
    /// Latencies in microseconds of writes that were answered.
    pub(crate) puts: Histogram<u64>,
    /// Reads of keys that do not exist; they are among the answered.
    pub(crate) missing: u64,
    /// Requests that failed, by status or kind.
    pub(crate) errors: BTreeMap<String, u64>,
}

impl Plan {
    /// The router of the connection with this number.
    pub(crate) fn endpoint(&self, number: u64) -> Option<&Endpoint> {
        let count = u64::try_from(self.endpoints.len()).ok()?;
        self.endpoints.get(usize::try_from(number.checked_rem(count)?).ok()?)
    }

    /// A value.
    pub(crate) fn value(&self, random: &mut StdRng) -> Bytes {
        let begin = random.random_range(0..=self.pool.len().saturating_sub(self.value_bytes));
        self.pool.slice(begin..begin + self.value_bytes)
    }
}

impl Window {
    /// Whether a request may begin now; whether it counts.
    fn admit(&self, now: Instant) -> Option<bool> {
        if self.until.is_some_and(|until| now >= until) {
            return None;
        }
        if now < self.measure_from {
            return Some(false);
        }
        match &self.budget {
            None => Some(true),
            Some(budget) => {
                let take = |left: u64| left.checked_sub(1);
                budget.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).ok().map(|_| true)
            }
        }
    }
}

impl Counts {
    /// Nothing yet.
    pub(crate) fn new() -> Self {
        Self { gets: latencies(), puts: latencies(), missing: 0, errors: BTreeMap::new() }
    }

    /// Takes in what another connection saw.
    pub(crate) fn add(&mut self, other: &Self) {
        self.gets += &other.gets;
        self.puts += &other.puts;
        self.missing += other.missing;
        for (kind, count) in &other.errors {
            *self.errors.entry(kind.clone()).or_default() += count;
        }
    }

    /// How many requests were answered.
    pub(crate) fn answered(&self) -> u64 {
        self.gets.len() + self.puts.len()
    }

    fn record(&mut self, is_read: bool, took: Duration, result: Result<StatusCode, CallError>) {
        let error = match result {
            Ok(status) if status.is_success() || (is_read && status == StatusCode::NOT_FOUND) => {
                self.missing += u64::from(status == StatusCode::NOT_FOUND);
                let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
                let latencies = if is_read { &mut self.gets } else { &mut self.puts };
                latencies.saturating_record(took_us);
                return;
            }
            Ok(status) => status.as_u16().to_string(),
            Err(error) => error.to_string(),
        };
        *self.errors.entry(error).or_default() += 1;
    }
}

/// Three significant digits from 1 µs to a minute.
fn latencies() -> Histogram<u64> {
    #[expect(clippy::expect_used, reason = "constant bounds that the type accepts")]
    Histogram::new_with_bounds(1, LATENCY_US_MAX, 3).expect("constant bounds")
}

/// Sends one request after the other until the plan ends.
pub(crate) async fn worker(plan: Arc<Plan>, window: Arc<Window>, number: u64) -> Counts {
    let mut counts = Counts::new();
    let mut random = StdRng::seed_from_u64(plan.seed.wrapping_add(number + 1));
    let mut connection: Option<Connection> = None;
    let Some(endpoint) = plan.endpoint(number) else { return counts };
    while let Some(counted) = window.admit(Instant::now()) {
        let is_read = random.random_range(0..100) < plan.reads_percent;
        let path = plan.keys.path(plan.keys.draw(&mut random));
        let (method, body) =
            if is_read { (Method::GET, Bytes::new()) } else { (Method::PUT, plan.value(&mut random)) };
        let begun = Instant::now();
        let result = call(endpoint, &mut connection, method, path, body).await;
        if counted {
            counts.record(is_read, begun.elapsed(), result);
        }
        if result.is_err() {
            tokio::time::sleep(RECONNECT_PAUSE).await;
        }
    }
    counts
}

/// One request over the connection, opened if need be and dropped after an error.
pub(crate) async fn call(
    endpoint: &Endpoint,
    connection: &mut Option<Connection>,
    method: Method,
    path: String,
    body: Bytes,
) -> Result<StatusCode, CallError> {
    let mut open = match connection.take() {
        Some(open) => open,
        None => endpoint.connect().await?,
    };
    let status = open.call(method, path, body).await?;
    *connection = Some(open);
    Ok(status)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::Distribution;

    #[test]
    fn window_counts_after_the_warmup_until_budget_or_end() {
        let from = Instant::now();
        let mut window = Window { measure_from: from, until: None, budget: Some(AtomicU64::new(1)) };
        assert_eq!(window.admit(from - Duration::from_millis(1)), Some(false));
        assert_eq!(window.admit(from), Some(true));
        assert_eq!(window.admit(from), None, "the budget is spent");
        (window.budget, window.until) = (None, Some(from + Duration::from_secs(1)));
        assert_eq!(window.admit(from), Some(true));
        assert_eq!(window.admit(from + Duration::from_secs(1)), None);
    }

    #[test]
    fn value_has_the_asked_size() {
        let keys = KeyChooser::new("", 1, Distribution::Uniform, 0.99).unwrap();
        let pool = Bytes::from_static(b"0123456789");
        let plan = Plan { endpoints: vec![], keys, pool, value_bytes: 4, reads_percent: 50, seed: 1 };
        let mut random = StdRng::seed_from_u64(3);
        assert!((0..100).all(|_| plan.value(&mut random).len() == 4));
    }

    #[test]
    fn counts_tell_answers_from_errors() {
        let (mut one, mut all) = (Counts::new(), Counts::new());
        let took = Duration::from_micros(300);
        one.record(true, took, Ok(StatusCode::OK));
        one.record(true, took, Ok(StatusCode::NOT_FOUND));
        one.record(false, took, Ok(StatusCode::NO_CONTENT));
        one.record(false, took, Ok(StatusCode::SERVICE_UNAVAILABLE));
        one.record(false, took, Err(CallError::Lost));
        all.add(&one);
        all.add(&one);
        assert_eq!((all.gets.len(), all.puts.len(), all.missing), (4, 2, 2));
        assert_eq!((all.errors["503"], all.errors["connection lost"]), (2, 2));
    }
}
