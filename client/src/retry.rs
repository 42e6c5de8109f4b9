//! What to do after each attempt: pure, without clock or sockets.

use std::time::Duration;

use hyper::header::RETRY_AFTER;

use crate::error::{Cause, Error};
use crate::idempotency::IdempotencyKey;
use crate::problem::Problem;
use crate::transport::Response;

/// The longest pause that a router's `Retry-After` can ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(10);

/// Pauses double from the first to the longest.
const PAUSE_FIRST: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// The attempts of one call so far.
///
/// Invariant: once an attempt of a write may have been applied, only a definite answer ends the doubt. An answer that
/// speaks of its own request alone ("never applied", "too large") does not.
#[derive(Debug)]
pub(crate) struct Attempts {
    write: Option<IdempotencyKey>,
    in_doubt: bool,
    made: u32,
}

/// What an attempt means for the call.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// The answer of the call: a success, or what the key's history or state says for good.
    Settled(Response),
    /// Another attempt may settle it, after the pause that the router asked for.
    Again { cause: Cause, retry_after: Option<Duration> },
    /// No further attempt helps.
    Failed(Error),
}

impl Attempts {
    /// Before the first attempt of a read, or of the write with this name.
    pub(crate) fn new(write: Option<IdempotencyKey>) -> Self {
        Self { write, in_doubt: false, made: 0 }
    }

    /// Takes in how one more attempt went.
    pub(crate) fn judge(&mut self, router: &str, attempt: Result<Response, Cause>) -> Verdict {
        self.made = self.made.saturating_add(1);
        let response = match attempt {
            Ok(response) => response,
            Err(cause) => {
                self.in_doubt |= self.write.is_some() && !matches!(cause, Cause::Connect { .. });
                return Verdict::Again { cause, retry_after: None };
            }
        };
        if response.status.is_success() || response.status.as_u16() == 304 {
            return Verdict::Settled(response);
        }
        let problem = Problem::from_body(response.status.as_u16(), &response.body);
        match problem.status {
            // What the state of the key, or its history, says of this very operation.
            409 | 412 => Verdict::Settled(response),
            404 if problem.says_key_absent() => Verdict::Settled(response),
            // Never applied, this time.
            408 | 429 | 503 => self.again_or_give_up(router, problem, retry_after(&response)),
            // The router's own doubt, or a proxy's: it may have passed the request on.
            500..=599 => {
                self.in_doubt |= self.write.is_some();
                self.again_or_give_up(router, problem, retry_after(&response))
            }
            _ if self.in_doubt => {
                let cause = Cause::Answered { router: router.to_owned(), problem: Box::new(problem) };
                Verdict::Failed(self.give_up(cause))
            }
            _ => Verdict::Failed(Error::Refused(Box::new(problem))),
        }
    }

    /// The call's error when there is no time for another attempt.
    pub(crate) fn give_up(&self, cause: Cause) -> Error {
        match &self.write {
            Some(name) if self.in_doubt => {
                Error::InDoubt { attempts: self.made, cause, idempotency_key: name.clone() }
            }
            name => Error::Unavailable { attempts: self.made, cause, is_write: name.is_some() },
        }
    }

    fn again_or_give_up(&self, router: &str, problem: Problem, retry_after: Option<Duration>) -> Verdict {
        let hopeless = problem.retryable == Some(false);
        let cause = Cause::Answered { router: router.to_owned(), problem: Box::new(problem) };
        if hopeless { Verdict::Failed(self.give_up(cause)) } else { Verdict::Again { cause, retry_after } }
    }
}

/// The pause before the next attempt, after `rounds` times through all routers. `jitter` is drawn from 0 to 1, so
/// that callers who failed together do not come back together.
pub(crate) fn pause(rounds: u32, retry_after: Option<Duration>, jitter: f64) -> Duration {
    let doubled =
        PAUSE_FIRST.saturating_mul(1_u32.checked_shl(rounds.min(16)).unwrap_or(u32::MAX)).min(PAUSE_MAX);
    let drawn = doubled.mul_f64(0.5 + jitter / 2.0);
    match retry_after {
        Some(asked) => asked + drawn.min(asked / 4),
        None => drawn,
    }
}

/// The seconds of `Retry-After`; its date form is not used by routers and counts as absent.
fn retry_after(response: &Response) -> Option<Duration> {
    let seconds = response.headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(RETRY_AFTER_MAX))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use hyper::{HeaderMap, StatusCode};

    use super::*;
    use crate::error::Outcome;

    fn answer(status: u16, code: &str) -> Result<Response, Cause> {
        let body = Bytes::from(format!(r#"{{"code":"{code}"}}"#));
        Ok(Response {
            status: StatusCode::from_u16(status).expect("a status"),
            headers: HeaderMap::new(),
            body,
        })
    }

    fn lost() -> Result<Response, Cause> {
        Err(Cause::Lost { router: "r".into(), detail: "reset".into() })
    }

    fn refused_connection() -> Result<Response, Cause> {
        Err(Cause::Connect { router: "r".into(), detail: "refused".into() })
    }

    fn write() -> Attempts {
        Attempts::new(Some(IdempotencyKey::generate()))
    }

    /// The outcome if the call had to end right after these attempts.
    fn outcome_after(attempts: Vec<Result<Response, Cause>>) -> Outcome {
        let mut state = write();
        let mut last = Outcome::NotApplied;
        for attempt in attempts {
            last = match state.judge("r", attempt) {
                Verdict::Settled(_) => Outcome::NotApplied,
                Verdict::Again { cause, .. } => state.give_up(cause).outcome(),
                Verdict::Failed(error) => error.outcome(),
            };
        }
        last
    }

    #[test]
    fn doubt_begins_with_what_may_have_been_applied() {
        assert_eq!(outcome_after(vec![refused_connection()]), Outcome::NotApplied);
        assert_eq!(outcome_after(vec![answer(503, "no_quorum")]), Outcome::NotApplied);
        assert_eq!(outcome_after(vec![answer(429, "too_many_requests")]), Outcome::NotApplied);
        assert_eq!(outcome_after(vec![answer(408, "request_timeout")]), Outcome::NotApplied);
        assert_eq!(outcome_after(vec![answer(413, "value_too_large")]), Outcome::NotApplied);
        assert_eq!(outcome_after(vec![lost()]), Outcome::Unknown);
        assert_eq!(outcome_after(vec![answer(504, "outcome_unknown")]), Outcome::Unknown);
        assert_eq!(outcome_after(vec![answer(502, "")]), Outcome::Unknown);
    }

    #[test]
    fn doubt_survives_answers_that_speak_of_their_own_request() {
        for later in [answer(503, "no_quorum"), answer(413, "value_too_large"), answer(404, "no_such_route")]
        {
            assert_eq!(outcome_after(vec![lost(), later]), Outcome::Unknown);
        }
        assert_eq!(outcome_after(vec![lost(), refused_connection()]), Outcome::Unknown);
    }

    #[test]
    fn doubt_ends_with_a_definite_answer() {
        for definite in
            [answer(204, ""), answer(412, "x"), answer(404, "not_found"), answer(409, "not_a_counter")]
        {
            let mut state = write();
            assert!(matches!(state.judge("r", lost()), Verdict::Again { .. }));
            assert!(matches!(state.judge("r", definite), Verdict::Settled(_)));
        }
    }

    #[test]
    fn reads_are_never_in_doubt() {
        let mut state = Attempts::new(None);
        assert!(matches!(state.judge("r", answer(504, "timeout")), Verdict::Again { .. }));
        let Verdict::Again { cause, .. } = state.judge("r", lost()) else { panic!("a retry") };
        let error = state.give_up(cause);
        assert_eq!(error.outcome(), Outcome::NotApplied);
        assert!(error.to_string().starts_with("no answer after 2 attempt(s)"), "{error}");
    }

    #[test]
    fn write_that_reached_nobody_is_not_applied_and_says_so() {
        let mut state = write();
        let Verdict::Again { cause, .. } = state.judge("r", refused_connection()) else { panic!("a retry") };
        let error = state.give_up(cause).to_string();
        assert!(error.starts_with("not applied after 1 attempt(s)"), "{error}");
    }

    #[test]
    fn answer_that_no_repeat_can_better_ends_the_call() {
        let body = Bytes::from_static(br#"{"code":"outcome_unknown","retryable":false}"#);
        let response = Response { status: StatusCode::GATEWAY_TIMEOUT, headers: HeaderMap::new(), body };
        let Verdict::Failed(error) = write().judge("r", Ok(response)) else { panic!("an error") };
        assert_eq!((error.outcome(), error.is_retryable()), (Outcome::Unknown, false));
    }

    #[test]
    fn pause_doubles_to_a_limit_and_honours_retry_after() {
        assert_eq!(pause(0, None, 1.0), Duration::from_millis(20));
        assert_eq!(pause(2, None, 0.0), Duration::from_millis(40));
        assert_eq!(pause(40, None, 1.0), Duration::from_secs(1));
        assert!(pause(0, Some(Duration::from_secs(2)), 0.5) >= Duration::from_secs(2));
    }

    #[test]
    fn retry_after_is_read_and_bounded() {
        let mut response = answer(503, "overloaded").expect("an answer");
        assert_eq!(retry_after(&response), None);
        response.headers.insert(RETRY_AFTER, "2".parse().expect("a value"));
        assert_eq!(retry_after(&response), Some(Duration::from_secs(2)));
        response.headers.insert(RETRY_AFTER, "86400".parse().expect("a value"));
        assert_eq!(retry_after(&response), Some(RETRY_AFTER_MAX));
    }
}
