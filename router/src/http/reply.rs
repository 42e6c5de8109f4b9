//! Successful answers on one key.

use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use roundtable_consensus::{Outcome, Register, Version};

use crate::http::endpoint::EndpointName;
use crate::http::problem::{Code, Problem};

/// When the value ends, in unix milliseconds.
pub(crate) const EXPIRES: HeaderName = HeaderName::from_static("roundtable-expires");
/// How far the answer can be trusted, where it is not linearizable.
pub(crate) const CONSISTENCY: HeaderName = HeaderName::from_static("roundtable-consistency");
/// The request's name in logs.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("roundtable-request-id");

/// May be kept, and must be asked about before each use. Nobody on the way may encode it anew: its ETag would change.
const REVALIDATE: HeaderValue = HeaderValue::from_static("no-cache, no-transform");
/// Good for this moment and this client.
const NEVER_STORE: HeaderValue = HeaderValue::from_static("no-store, no-transform");

/// Sets what every answer has: the request's name, and what caches and proxies may do with it. `endpoint` is `None`
/// for a problem.
pub(super) fn complete(headers: &mut HeaderMap, request_id: &str, endpoint: Option<EndpointName>) {
    set_header(headers, REQUEST_ID, request_id);
    let cache_control = match endpoint {
        Some(endpoint) if endpoint.is_of_keys() => REVALIDATE,
        Some(_) | None => NEVER_STORE,
    };
    headers.insert(header::CACHE_CONTROL, cache_control);
}

/// A version as an entity tag.
#[must_use]
pub(crate) fn etag_value(version: Version) -> String {
    format!("\"{version}\"")
}

/// Sets a header from text that this program made; text that cannot stand in a header is left out.
pub(crate) fn set_header(headers: &mut HeaderMap, name: HeaderName, text: &str) {
    if let Ok(value) = HeaderValue::from_str(text) {
        headers.insert(name, value);
    }
}

/// The answer to a read that found a register.
///
/// # Errors
/// `not_found` when there is no value.
pub(crate) fn value_reply(register: &Register) -> Result<Response<Bytes>, Problem> {
    let (Some(version), Some(value)) = (register.etag(), register.content.value()) else {
        return Err(Problem::new(Code::NotFound, "the key has no value"));
    };
    let mut response = Response::new(value.bytes.clone());
    let headers = response.headers_mut();
    set_header(headers, header::ETAG, &etag_value(version));
    let content_type = match value.content_type.as_bytes() {
        b"" => HeaderValue::from_static("application/octet-stream"),
        bytes => HeaderValue::from_bytes(bytes)
            .unwrap_or_else(|_| HeaderValue::from_static("application/octet-stream")),
    };
    headers.insert(header::CONTENT_TYPE, content_type);
    let changed_at = UNIX_EPOCH + Duration::from_millis(register.changed_ms().min(HTTP_DATE_MS_MAX));
    set_header(headers, header::LAST_MODIFIED, &httpdate::fmt_http_date(changed_at));
    if let Some(end) = register.expires_at {
        set_header(headers, EXPIRES, &end.to_string());
    }
    Ok(response)
}

/// The last second of the year 9999: HTTP dates have four digits for the year.
const HTTP_DATE_MS_MAX: u64 = 253_402_300_799_000;

/// The answer to a read whose client has the value already: the headers of the value without its bytes.
#[must_use]
pub(crate) fn not_modified(full: Response<Bytes>) -> Response<Bytes> {
    let (mut parts, _) = full.into_parts();
    parts.status = StatusCode::NOT_MODIFIED;
    parts.headers.remove(header::CONTENT_TYPE);
    Response::from_parts(parts, Bytes::new())
}

/// The answer to a change that was settled.
///
/// # Errors
/// When it was settled with a refusal.
pub(crate) fn outcome_reply(outcome: &Outcome) -> Result<Response<Bytes>, Problem> {
    let (status, version) = match outcome {
        Outcome::Created(version) => (StatusCode::CREATED, Some(version)),
        Outcome::Replaced(version) | Outcome::Touched(version) => (StatusCode::NO_CONTENT, Some(version)),
        Outcome::Deleted(_) => (StatusCode::NO_CONTENT, None),
        Outcome::Incremented { version, .. } => (StatusCode::OK, Some(version)),
        Outcome::PreconditionFailed { current } => {
            let detail = match current {
                Some(version) => format!("the key's present version is {}", etag_value(*version)),
                None => "the key has no value".to_owned(),
            };
            return Err(Problem::new(Code::PreconditionFailed, detail).with_etag(*current));
        }
        Outcome::NotFound => return Err(Problem::new(Code::NotFound, "the key has no value")),
        Outcome::NotACounter => {
            return Err(Problem::new(
                Code::NotACounter,
                "the value is not a decimal signed 64-bit integer; nothing changed",
            ));
        }
        Outcome::CounterOverflow => {
            return Err(Problem::new(
                Code::CounterOverflow,
                "the sum does not fit in a signed 64-bit integer; nothing changed",
            ));
        }
    };
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status;
    if let Some(version) = version {
        set_header(response.headers_mut(), header::ETAG, &etag_value(*version));
    }
    if let Outcome::Incremented { value, .. } = outcome {
        *response.body_mut() = Bytes::from(value.to_string());
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    }
    Ok(response)
}

/// A JSON answer.
#[must_use]
pub(crate) fn json_reply(status: StatusCode, body: &impl serde::Serialize) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(serde_json::to_vec(body).unwrap_or_default()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests {
    use roundtable_consensus::{Ballot, Content, ContentType, Hlc, ProposerId, Value};

    use super::*;

    fn version() -> Version {
        Version { ballot: Ballot::new(Hlc::from_millis(1_700_000_000_123), ProposerId(7)), index: 2 }
    }

    fn register(content_type: &'static str) -> Register {
        let content_type = ContentType::new(content_type).unwrap();
        Register {
            version: version(),
            content: Content::Live(Value { bytes: "abc".into(), content_type }),
            expires_at: Some(1_800_000_000_000),
            ..Register::absent(Ballot::ZERO)
        }
    }

    #[test]
    fn value_comes_with_its_headers() {
        let response = value_reply(&register("text/x")).unwrap();
        let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(header("etag"), format!("\"{}\"", version()));
        assert_eq!(header("content-type"), "text/x");
        assert_eq!(header("last-modified"), "Tue, 14 Nov 2023 22:13:20 GMT");
        assert_eq!(header("roundtable-expires"), "1800000000000");
        assert_eq!(response.body(), "abc");
        let plain = value_reply(&register("")).unwrap();
        assert_eq!(plain.headers()["content-type"], "application/octet-stream");
        assert_eq!(not_modified(plain).status(), StatusCode::NOT_MODIFIED);
    }

    #[test]
    fn tombstone_is_not_found() {
        assert_eq!(value_reply(&Register::absent(Ballot::ZERO)).unwrap_err().code(), Code::NotFound);
    }

    #[test]
    fn version_at_the_end_of_time_has_a_date() {
        let mut late = register("");
        late.version.ballot.hlc = Hlc(u64::MAX);
        assert!(value_reply(&late).unwrap().headers()["last-modified"].to_str().unwrap().contains("9999"));
    }

    #[test]
    fn outcomes_have_their_statuses() {
        let v = version();
        let table = [
            (Outcome::Created(v), Ok(201)),
            (Outcome::Replaced(v), Ok(204)),
            (Outcome::Deleted(v), Ok(204)),
            (Outcome::Touched(v), Ok(204)),
            (Outcome::Incremented { version: v, value: -3 }, Ok(200)),
            (Outcome::PreconditionFailed { current: Some(v) }, Err(412)),
            (Outcome::NotFound, Err(404)),
            (Outcome::NotACounter, Err(409)),
            (Outcome::CounterOverflow, Err(409)),
        ];
        for (outcome, expected) in table {
            let found = outcome_reply(&outcome);
            let status = found.as_ref().map(|r| r.status().as_u16()).map_err(|p| p.code().status().as_u16());
            assert_eq!(status, expected, "{outcome:?}");
        }
        let counter = outcome_reply(&Outcome::Incremented { version: v, value: -3 }).unwrap();
        assert_eq!(
            (counter.body().as_ref(), &counter.headers()["content-type"]),
            (&b"-3"[..], &HeaderValue::from_static("text/plain"))
        );
    }
}
