//! Between the calls that the judge knows and HTTP.

use std::time::Duration;

use bytes::Bytes;
use hyper::{Method, Response};
use roundtable_consensus::Version;
use roundtable_simulation::checker::{Call, Demand, Ending};

use super::client;

/// What an answer tells of the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// How it ended.
    Done(Ending),
    /// This request changed nothing and never will; nothing is known of earlier ones.
    NotApplied,
    /// Nobody knows.
    Unknown,
    /// No client should ever get this.
    Unexpected(String),
}

/// Everything that makes a call a request.
#[derive(Debug, Clone)]
pub(super) struct Wording<'a> {
    pub(super) key: &'a str,
    pub(super) call: Call,
    pub(super) ttl_ms: Option<u64>,
    pub(super) idempotency_key: Option<&'a str>,
    /// Reads may be answered by any one replica.
    pub(super) is_eventual: bool,
    pub(super) timeout: Duration,
}

/// The request that makes a call.
pub(super) fn request(wording: &Wording<'_>) -> client::Call {
    let mut target = format!("/v1/kv/{}?timeout={}ms", wording.key, wording.timeout.as_millis());
    if let Some(ttl_ms) = wording.ttl_ms {
        target.push_str(&format!("&ttl={ttl_ms}ms"));
    }
    let mut headers = Vec::new();
    if let Some(key) = wording.idempotency_key {
        headers.push(("idempotency-key", key.to_owned()));
    }
    let mut body = String::new();
    let method = match wording.call {
        Call::Read => {
            if wording.is_eventual {
                target.push_str("&consistency=eventual");
            }
            Method::GET
        }
        Call::Put(value, demand) => {
            body = value.to_string();
            headers.extend(condition(demand));
            Method::PUT
        }
        Call::Delete(demand) => {
            headers.extend(condition(demand));
            Method::DELETE
        }
        Call::Increment(by) => {
            target.push_str(&format!("&op=increment&by={by}"));
            Method::POST
        }
        Call::Touch(demand) => {
            target.push_str("&op=touch&ttl=none");
            headers.extend(condition(demand));
            Method::POST
        }
        Call::Expiry(_) => unreachable!("nobody asks for an expiry"),
    };
    client::Call { method, target, headers, body }
}

fn condition(demand: Demand) -> Option<(&'static str, String)> {
    match demand {
        Demand::None => None,
        Demand::Exists => Some(("if-match", "*".to_owned())),
        Demand::Absent => Some(("if-none-match", "*".to_owned())),
        Demand::Version(version) => Some(("if-match", format!("\"{version}\""))),
    }
}

/// What the answer to a call tells.
pub(super) fn outcome(call: Call, answer: &Response<Bytes>) -> Outcome {
    let ending = ending(call, answer);
    let code = || {
        let problem: Option<serde_json::Value> = serde_json::from_slice(answer.body()).ok();
        problem.and_then(|problem| problem["code"].as_str().map(str::to_owned)).unwrap_or_default()
    };
    match (ending, answer.status().as_u16()) {
        (Some(ending), _) => Outcome::Done(ending),
        (None, 503 | 429 | 408) => Outcome::NotApplied,
        // A router whose clock is behind takes a key that was made just now for one from the future.
        (None, 400) if code() == "bad_idempotency_key" => Outcome::NotApplied,
        (None, 504) if call == Call::Read => Outcome::NotApplied,
        (None, 504) => Outcome::Unknown,
        (None, status) => {
            Outcome::Unexpected(format!("{call:?}: {status} {}", String::from_utf8_lossy(answer.body())))
        }
    }
}

fn ending(call: Call, answer: &Response<Bytes>) -> Option<Ending> {
    let status = answer.status().as_u16();
    let version =
        || -> Option<Version> { answer.headers().get("etag")?.to_str().ok()?.trim_matches('"').parse().ok() };
    let number = || -> Option<i64> { std::str::from_utf8(answer.body()).ok()?.parse().ok() };
    match (call, status) {
        (Call::Read, 200) => Some(Ending::Found(number()?, version()?)),
        (Call::Read | Call::Delete(_) | Call::Touch(_), 404) => Some(Ending::Nothing),
        (Call::Put(..), 201 | 204) => {
            Some(Ending::Wrote { version: version()?, created: Some(status == 201) })
        }
        (Call::Touch(_), 200 | 204) => Some(Ending::Wrote { version: version()?, created: None }),
        (Call::Delete(_), 204) => Some(Ending::Removed),
        (Call::Increment(_), 200) => Some(Ending::Counted(number()?, version()?)),
        (Call::Put(..) | Call::Delete(_) | Call::Touch(_), 412) => Some(Ending::Refused(version())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &'static str) -> Response<Bytes> {
        Response::builder().status(status).body(Bytes::from_static(body.as_bytes())).unwrap()
    }

    #[test]
    fn answers_are_taken_for_exactly_what_they_say() {
        let put = Call::Put(1, Demand::Absent);
        let unexpected = |outcome| matches!(outcome, Outcome::Unexpected(_));
        assert_eq!(outcome(put, &answer(503, "")), Outcome::NotApplied);
        assert_eq!(outcome(put, &answer(504, "")), Outcome::Unknown);
        assert_eq!(outcome(Call::Read, &answer(504, "")), Outcome::NotApplied);
        assert_eq!(outcome(put, &answer(412, "")), Outcome::Done(Ending::Refused(None)));
        assert_eq!(outcome(Call::Delete(Demand::None), &answer(404, "")), Outcome::Done(Ending::Nothing));
        assert_eq!(outcome(put, &answer(400, "{\"code\":\"bad_idempotency_key\"}")), Outcome::NotApplied);
        assert!(unexpected(outcome(put, &answer(400, "{\"code\":\"bad_key\"}"))));
        assert!(unexpected(outcome(put, &answer(500, ""))));
        assert!(unexpected(outcome(put, &answer(201, ""))), "a success must tell the version");
    }
}
