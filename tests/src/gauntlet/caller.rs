//! One client: makes calls, repeats those that it may repeat, and reports what it knows in the end.

use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use roundtable_simulation::checker::{Call, Ending, Operation};
use tokio::time::sleep;

use super::client::{Connection, Reply};
use super::recorder::{Recorder, Reported};
use super::speech::{Outcome, Wording, outcome, request};
use crate::operation::idempotency_key;

/// Short, so that unknown outcomes occur: some are no longer than a write takes, the longest than a fault.
const TIMEOUTS_MS: [std::ops::Range<u64>; 3] = [2..20, 20..150, 150..700];
/// A router is given this much longer than the timeout that it was told.
const PATIENCE: Duration = Duration::from_millis(250);
/// Attempts of a call that may be repeated.
const ATTEMPTS: usize = 5;
/// The pause before a repeat.
const PAUSE_MS: std::ops::Range<u64> = 5..150;

/// How a call is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// Once.
    Once,
    /// With an idempotency key, and again through the next router while its outcome is not known.
    Repeated,
    /// With an idempotency key, through two routers at the same time.
    Twice,
}

/// A client with a connection to every router.
#[derive(Debug)]
pub(super) struct Caller {
    number: u32,
    pub(super) recorder: Arc<Recorder>,
    pub(super) rng: StdRng,
    routers: Vec<Connection>,
    reads_eventually: bool,
}

impl Caller {
    /// A client of these routers with its own share of the seed. With `reads_eventually` it asks for less than it
    /// reports: a broken client, to see that the judge notices.
    pub(super) fn new(
        number: u32,
        seed: u64,
        routers: &[String],
        recorder: Arc<Recorder>,
        reads_eventually: bool,
    ) -> Self {
        let rng = StdRng::seed_from_u64(seed.wrapping_mul(1_000).wrapping_add(u64::from(number)));
        let routers = routers.iter().map(|address| Connection::new(address)).collect();
        Self { number, recorder, rng, routers, reads_eventually }
    }

    /// Its number.
    pub(super) fn number(&self) -> u32 {
        self.number
    }

    /// Makes a call and reports it. Returns how it ended, if that is known.
    pub(super) async fn call(
        &mut self,
        key: &str,
        call: Call,
        ttl_ms: Option<u64>,
        style: Style,
    ) -> Option<Operation> {
        let invoked = self.recorder.now_us();
        let idempotency_key = idempotency_key();
        let is_keyed = style != Style::Once;
        let timeouts_ms = TIMEOUTS_MS.choose(&mut self.rng).cloned().unwrap_or(1..2);
        let timeout = Duration::from_millis(self.rng.random_range(timeouts_ms));
        let wording = Wording {
            key,
            call,
            ttl_ms,
            idempotency_key: is_keyed.then_some(idempotency_key.as_str()),
            is_eventual: self.reads_eventually,
            timeout,
        };
        let (outcome, ended) = match style {
            Style::Once => self.once(&wording).await,
            Style::Repeated => self.repeated(&wording).await,
            Style::Twice => self.twice(&wording).await,
        };
        let operation = |ended| Operation { client: self.number, call, invoked, ended };
        match outcome {
            Outcome::Done(ending) => {
                let operation = operation(Some((ended, ending)));
                self.recorder.record(key, Reported { operation, ttl_ms, is_keyed });
                Some(operation)
            }
            Outcome::Unknown if call != Call::Read => {
                self.recorder.record(key, Reported { operation: operation(None), ttl_ms, is_keyed });
                None
            }
            Outcome::NotApplied | Outcome::Unknown => {
                self.recorder.refused(call, is_keyed);
                None
            }
            Outcome::Unexpected(what) => {
                self.recorder.unexpected(format!("client {} on {key}: {what}", self.number));
                self.recorder.record(key, Reported { operation: operation(None), ttl_ms, is_keyed });
                None
            }
        }
    }

    /// Reads a key through one router until it answers, for at most `attempts` attempts.
    pub(super) async fn must_read(&mut self, key: &str, router: usize, attempts: usize) -> Option<Ending> {
        let timeout = Duration::from_secs(5);
        let wording = Wording {
            key,
            call: Call::Read,
            ttl_ms: None,
            idempotency_key: None,
            is_eventual: false,
            timeout,
        };
        for _ in 0..attempts {
            let invoked = self.recorder.now_us();
            let connection = &mut self.routers[router];
            let outcome = attempt(connection, &wording).await;
            if let Outcome::Done(ending) = outcome {
                let ended = Some((self.recorder.now_us(), ending));
                let operation = Operation { client: self.number, call: Call::Read, invoked, ended };
                self.recorder.record(key, Reported { operation, ttl_ms: None, is_keyed: false });
                return Some(ending);
            }
        }
        None
    }

    async fn once(&mut self, wording: &Wording<'_>) -> (Outcome, u64) {
        let router = self.rng.random_range(0..self.routers.len());
        let outcome = attempt(&mut self.routers[router], wording).await;
        (outcome, self.recorder.now_us())
    }

    async fn repeated(&mut self, wording: &Wording<'_>) -> (Outcome, u64) {
        let first = self.rng.random_range(0..self.routers.len());
        let mut known = Outcome::NotApplied;
        for number in 0..ATTEMPTS {
            let router = (first + number) % self.routers.len();
            match attempt(&mut self.routers[router], wording).await {
                // Refused this time; an earlier attempt stays in doubt.
                Outcome::NotApplied => {}
                Outcome::Unknown => known = Outcome::Unknown,
                settled => return (settled, self.recorder.now_us()),
            }
            sleep(Duration::from_millis(self.rng.random_range(PAUSE_MS))).await;
        }
        (known, self.recorder.now_us())
    }

    async fn twice(&mut self, wording: &Wording<'_>) -> (Outcome, u64) {
        let recorder = Arc::clone(&self.recorder);
        let timed = async |connection: &mut Connection| {
            let outcome = attempt(connection, wording).await;
            (outcome, recorder.now_us())
        };
        let [first, second, ..] = self.routers.as_mut_slice() else { return self.once(wording).await };
        let (first, second) = tokio::join!(timed(first), timed(second));
        match (first, second) {
            ((Outcome::Done(one), _), (Outcome::Done(other), _)) if one != other => {
                let what = format!("one operation, two answers: {:?}: {one:?} and {other:?}", wording.call);
                (Outcome::Unexpected(what), recorder.now_us())
            }
            ((Outcome::Done(one), at), (Outcome::Done(_), also_at)) => (Outcome::Done(one), at.min(also_at)),
            (unexpected @ (Outcome::Unexpected(_), _), _) | (_, unexpected @ (Outcome::Unexpected(_), _)) => {
                unexpected
            }
            (done @ (Outcome::Done(_), _), _) | (_, done @ (Outcome::Done(_), _)) => done,
            (unknown @ (Outcome::Unknown, _), _) | (_, unknown) => unknown,
        }
    }
}

async fn attempt(connection: &mut Connection, wording: &Wording<'_>) -> Outcome {
    match connection.send(request(wording), wording.timeout + PATIENCE).await {
        Reply::Answer(answer) => outcome(wording.call, &answer),
        Reply::NotSent => Outcome::NotApplied,
        Reply::Lost => Outcome::Unknown,
    }
}
