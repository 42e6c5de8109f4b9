//! The attempts of a call, one after the other, over several routers.

use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::Incoming;
use rand::RngExt;
use tokio::time::Instant;

use crate::call::Call;
use crate::error::{Cause, Error};
use crate::problem::Problem;
use crate::retry::{Attempts, Verdict, pause};
use crate::routers::Routers;
use crate::transport::{Response, Transport};

/// What the clones of a client share.
#[derive(Debug)]
pub(crate) struct Engine {
    routers: Routers,
    transport: Transport,
    attempt_timeout: Duration,
    deadline: Duration,
}

impl Engine {
    /// Asks these routers, each attempt within its time and each call within its deadline.
    pub(crate) fn new(routers: Routers, attempt_timeout: Duration, deadline: Duration) -> Self {
        Self { routers, transport: Transport::new(), attempt_timeout, deadline }
    }

    /// How long a call tries in all.
    pub(crate) fn deadline(&self) -> Duration {
        self.deadline
    }

    /// Makes one attempt of a read at the preferred router, and no other.
    pub(crate) async fn once(&self, call: &Call) -> Result<Response, Error> {
        let router = self.routers.address(self.routers.preferred());
        let answer = self.transport.attempt(router, call, self.attempt_timeout).await;
        answer.map_err(|cause| Error::Unavailable { attempts: 1, cause, is_write: false })
    }

    /// Makes attempts until one settles the call; the router that did, and its answer.
    pub(crate) async fn run(&self, call: &Call) -> Result<(String, Response), Error> {
        let mut attempts = Attempts::new(call.write_name().cloned());
        let mut turn = Turn::begin(self);
        loop {
            let router = self.routers.address(turn.place);
            let budget = self.attempt_timeout.min(turn.left());
            let answer = self.transport.attempt(router, call, budget).await;
            match attempts.judge(router, answer) {
                Verdict::Settled(response) => return Ok((router.to_owned(), response)),
                Verdict::Failed(error) => return Err(error),
                Verdict::Again { cause, retry_after } => {
                    if !turn.next(&self.routers, retry_after).await {
                        return Err(attempts.give_up(cause));
                    }
                }
            }
        }
    }

    /// Opens a streamed answer: the router and the body of its success.
    pub(crate) async fn open(&self, call: &Call) -> Result<(String, Incoming), Error> {
        let mut attempts = Attempts::new(None);
        let mut turn = Turn::begin(self);
        loop {
            let router = self.routers.address(turn.place);
            let budget = turn.left();
            let answer = match self.transport.open(router, call, budget).await {
                Ok(response) if response.status().is_success() => {
                    return Ok((router.to_owned(), response.into_body()));
                }
                Ok(response) => whole(router, response, budget).await,
                Err(cause) => Err(cause),
            };
            match attempts.judge(router, answer) {
                Verdict::Settled(response) => {
                    let problem = Problem::from_body(response.status.as_u16(), &response.body);
                    return Err(Error::Refused(Box::new(problem)));
                }
                Verdict::Failed(error) => return Err(error),
                Verdict::Again { cause, retry_after } => {
                    if !turn.next(&self.routers, retry_after).await {
                        return Err(attempts.give_up(cause));
                    }
                }
            }
        }
    }

    /// After a stream broke off for the `failures`-th time in a row: the next router, after a pause.
    pub(crate) async fn turn_away_and_pause(&self, failures: u32) {
        self.routers.failed(self.routers.preferred());
        tokio::time::sleep(pause(failures, None, rand::rng().random_range(0.0..1.0))).await;
    }
}

/// Whose turn it is among the routers, and how long there is time.
struct Turn {
    place: usize,
    failures: usize,
    deadline: Instant,
}

impl Turn {
    fn begin(engine: &Engine) -> Self {
        Self { place: engine.routers.preferred(), failures: 0, deadline: Instant::now() + engine.deadline }
    }

    fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1))
    }

    /// Goes on to the next router, at once while there is one that was not asked in this round, else after a pause.
    /// Whether there is time for another attempt.
    async fn next(&mut self, routers: &Routers, retry_after: Option<Duration>) -> bool {
        routers.failed(self.place);
        self.place = routers.after(self.place);
        self.failures += 1;
        if !self.failures.is_multiple_of(routers.count()) {
            return Instant::now() < self.deadline;
        }
        let rounds = u32::try_from(self.failures / routers.count()).unwrap_or(u32::MAX) - 1;
        let until = Instant::now() + pause(rounds, retry_after, rand::rng().random_range(0.0..1.0));
        if until >= self.deadline {
            return false;
        }
        tokio::time::sleep_until(until).await;
        true
    }
}

/// Reads a failed answer to a streamed request whole.
async fn whole(
    router: &str,
    response: hyper::Response<Incoming>,
    budget: Duration,
) -> Result<Response, Cause> {
    let (parts, body) = response.into_parts();
    match tokio::time::timeout(budget, body.collect()).await {
        Ok(Ok(body)) => Ok(Response { status: parts.status, headers: parts.headers, body: body.to_bytes() }),
        Ok(Err(error)) => Err(Cause::Lost { router: router.to_owned(), detail: error.to_string() }),
        Err(_elapsed) => Err(Cause::TimedOut { router: router.to_owned(), after: budget }),
    }
}
