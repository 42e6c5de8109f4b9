//! Every error that a client sees is made here: `application/problem+json` (RFC 9457) with a stable code.

use bytes::Bytes;
use hyper::header::{self, HeaderValue};
use hyper::{Response, StatusCode};
use roundtable_consensus::Version;
use serde::Serialize;

use crate::http::reply::{etag_value, set_header};

/// Seconds that a client is asked to wait before it repeats a request that was not applied.
const RETRY_AFTER_SECONDS: &str = "1";

/// What a client knows of the request that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum KnownOutcome {
    /// The request changed nothing, and never will.
    NotApplied,
    /// The request may take effect now, later, or never.
    Unknown,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $status:ident, $code:literal, $title:literal;)*) => {
        /// The stable name of an error.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code {
            $($(#[$doc])* $name,)*
        }

        impl Code {
            /// All codes, for tests and documents.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The name in the body's `code`.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code),* }
            }

            /// The HTTP status.
            #[must_use]
            pub fn status(self) -> StatusCode {
                match self { $(Self::$name => StatusCode::$status),* }
            }

            fn title(self) -> &'static str {
                match self { $(Self::$name => $title),* }
            }
        }
    };
}

codes! {
    /// Something in the request that no other code names.
    BadRequest = BAD_REQUEST, "bad_request", "The request is not understood";
    /// The key is empty or its percent-encoding is broken.
    BadKey = BAD_REQUEST, "bad_key", "The key is not acceptable";
    /// The time to live is not one.
    BadTtl = BAD_REQUEST, "bad_ttl", "The time to live is not acceptable";
    /// The timeout is not one.
    BadTimeout = BAD_REQUEST, "bad_timeout", "The timeout is not acceptable";
    /// A conditional header that is malformed, or not available here.
    BadCondition = BAD_REQUEST, "bad_condition", "The condition is not acceptable";
    /// An `Idempotency-Key` that is neither a UUIDv7 nor a ULID, or from the future.
    BadIdempotencyKey = BAD_REQUEST, "bad_idempotency_key", "The idempotency key is not acceptable";
    /// A `Content-Type` that is too long.
    BadContentType = BAD_REQUEST, "bad_content_type", "The content type is not acceptable";
    /// A listing's cursor that this API did not give out, or for another direction.
    BadCursor = BAD_REQUEST, "bad_cursor", "The cursor is not acceptable";
    /// The key has no value.
    NotFound = NOT_FOUND, "not_found", "The key has no value";
    /// There is nothing at this path.
    NoSuchRoute = NOT_FOUND, "no_such_route", "There is nothing at this path";
    /// The path does not take this method.
    MethodNotAllowed = METHOD_NOT_ALLOWED, "method_not_allowed", "The path does not take this method";
    /// None of the media types in `Accept` is offered.
    NotAcceptable = NOT_ACCEPTABLE, "not_acceptable", "No accepted media type is offered";
    /// The request did not arrive in time.
    RequestTimeout = REQUEST_TIMEOUT, "request_timeout", "The request did not arrive in time";
    /// The value is not a decimal signed 64-bit integer.
    NotACounter = CONFLICT, "not_a_counter", "The value is not a counter";
    /// The sum does not fit in 64 bits.
    CounterOverflow = CONFLICT, "counter_overflow", "The counter would overflow";
    /// The condition does not hold.
    PreconditionFailed = PRECONDITION_FAILED, "precondition_failed", "The condition does not hold";
    /// The value is larger than the limit.
    ValueTooLarge = PAYLOAD_TOO_LARGE, "value_too_large", "The value is too large";
    /// The key is longer than 4096 bytes.
    KeyTooLong = URI_TOO_LONG, "key_too_long", "The key is too long";
    /// The path and query are longer than the limit.
    UriTooLong = URI_TOO_LONG, "uri_too_long", "The address is too long";
    /// A `Content-Encoding`, which would be lost.
    UnsupportedContentEncoding = UNSUPPORTED_MEDIA_TYPE, "unsupported_content_encoding", "Encoded content is not taken";
    /// The idempotency key belongs to another request.
    IdempotencyKeyReused = UNPROCESSABLE_ENTITY, "idempotency_key_reused", "The idempotency key was used for another request";
    /// More requests are in progress than this router takes.
    TooManyRequests = TOO_MANY_REQUESTS, "too_many_requests", "Too many requests are in progress";
    /// More or longer headers than the limit.
    HeadersTooLarge = REQUEST_HEADER_FIELDS_TOO_LARGE, "headers_too_large", "The headers are too large";
    /// A majority of the key's replicas can't be reached.
    NoQuorum = SERVICE_UNAVAILABLE, "no_quorum", "A majority of the replicas cannot be reached";
    /// A queue is full, or rounds of others keep getting in between.
    Overloaded = SERVICE_UNAVAILABLE, "overloaded", "There is too much to do";
    /// The router is stopping.
    ShuttingDown = SERVICE_UNAVAILABLE, "shutting_down", "The router is stopping";
    /// This router's clock, or the nodes', is wrong by more than the cluster allows.
    ClockSkew = SERVICE_UNAVAILABLE, "clock_skew", "The clocks are too far apart";
    /// The disks of a majority are below their reserve.
    DiskReserve = SERVICE_UNAVAILABLE, "disk_reserve", "The disks are nearly full";
    /// A write whose end is not known.
    OutcomeUnknown = GATEWAY_TIMEOUT, "outcome_unknown", "The outcome is not known";
    /// A read that took too long.
    Timeout = GATEWAY_TIMEOUT, "timeout", "The request took too long";
}

impl Code {
    /// What the client knows of its request.
    #[must_use]
    pub fn outcome(self) -> KnownOutcome {
        match self {
            Self::OutcomeUnknown => KnownOutcome::Unknown,
            _ => KnownOutcome::NotApplied,
        }
    }

    /// Whether the same request may succeed when it is repeated unchanged.
    #[must_use]
    pub fn is_retryable(self) -> bool {
        let status = self.status();
        self == Self::RequestTimeout
            || self == Self::Timeout
            || status == StatusCode::TOO_MANY_REQUESTS
            || status == StatusCode::SERVICE_UNAVAILABLE
    }
}

/// An error on its way to the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    code: Code,
    detail: String,
    retryable: bool,
    limit: Option<u64>,
    etag: Option<Version>,
    allow: Option<&'static str>,
}

/// The body, field by field as RFC 9457 and the API name them.
#[derive(Serialize)]
struct Body<'a> {
    r#type: String,
    title: &'static str,
    status: u16,
    detail: &'a str,
    code: &'static str,
    outcome: KnownOutcome,
    retryable: bool,
    request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<u64>,
}

impl Problem {
    /// An error; `detail` says what, where, and what is accepted.
    #[must_use]
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
            retryable: code.is_retryable(),
            limit: None,
            etag: None,
            allow: None,
        }
    }

    /// Puts before the words what could not be done.
    #[must_use]
    pub fn within(self, what: &str) -> Self {
        Self { detail: format!("{what}: {}", self.detail), ..self }
    }

    /// Names the limit that was exceeded.
    #[must_use]
    pub fn with_limit(self, limit: u64) -> Self {
        Self { limit: Some(limit), ..self }
    }

    /// Tells the key's present version.
    #[must_use]
    pub fn with_etag(self, etag: Option<Version>) -> Self {
        Self { etag, ..self }
    }

    /// Tells the methods that the path takes.
    #[must_use]
    pub fn with_allow(self, allow: Option<&'static str>) -> Self {
        Self { allow, ..self }
    }

    /// Says whether the same request may be repeated, where the code alone does not tell.
    #[must_use]
    pub fn with_retryable(self, retryable: bool) -> Self {
        Self { retryable, ..self }
    }

    /// The code.
    #[must_use]
    pub fn code(&self) -> Code {
        self.code
    }

    /// The words.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// The body as JSON.
    #[must_use]
    pub fn to_json(&self, request_id: &str) -> String {
        let body = Body {
            r#type: format!("urn:roundtable:problem:{}", self.code.as_str()),
            title: self.code.title(),
            status: self.code.status().as_u16(),
            detail: &self.detail,
            code: self.code.as_str(),
            outcome: self.code.outcome(),
            retryable: self.retryable,
            request_id,
            limit: self.limit,
        };
        serde_json::to_string(&body).unwrap_or_default()
    }

    /// The whole answer, headers included.
    #[must_use]
    pub fn to_response(&self, request_id: &str) -> Response<Bytes> {
        let mut response = Response::new(Bytes::from(self.to_json(request_id)));
        *response.status_mut() = self.code.status();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if matches!(self.code.status(), StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS));
        }
        if let Some(version) = self.etag {
            set_header(headers, header::ETAG, &etag_value(version));
        }
        if let Some(allow) = self.allow {
            headers.insert(header::ALLOW, HeaderValue::from_static(allow));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problem_body_has_every_field_of_the_api() {
        let problem = Problem::new(Code::ValueTooLarge, "the value has 5 bytes").with_limit(4);
        let body: serde_json::Value = serde_json::from_str(&problem.to_json("r-1")).unwrap();
        assert_eq!(
            body,
            serde_json::json!({
                "type": "urn:roundtable:problem:value_too_large", "title": "The value is too large",
                "status": 413, "detail": "the value has 5 bytes", "code": "value_too_large",
                "outcome": "not_applied", "retryable": false, "request_id": "r-1", "limit": 4,
            })
        );
    }

    #[test]
    fn retry_after_stands_exactly_on_429_and_503() {
        for &code in Code::ALL {
            let response = Problem::new(code, "x").to_response("r");
            let expected = matches!(code.status().as_u16(), 429 | 503);
            assert_eq!(response.headers().contains_key(header::RETRY_AFTER), expected, "{code:?}");
        }
    }

    #[test]
    fn only_an_unknown_outcome_is_unknown() {
        for &code in Code::ALL {
            let unknown = code.outcome() == KnownOutcome::Unknown;
            assert_eq!(unknown, code == Code::OutcomeUnknown, "{code:?}");
            assert!(!unknown || code.status() == StatusCode::GATEWAY_TIMEOUT);
        }
    }

    #[test]
    fn codes_are_distinct() {
        let names: std::collections::BTreeSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(names.len(), Code::ALL.len());
    }

    #[test]
    fn allow_and_etag_are_headers() {
        let version = Version { index: 3, ..Version::ZERO };
        let response = Problem::new(Code::PreconditionFailed, "x")
            .with_etag(Some(version))
            .with_allow(Some("GET"))
            .to_response("r");
        assert_eq!(response.headers()[header::ETAG], format!("\"{version}\""));
        assert_eq!(response.headers()[header::ALLOW], "GET");
    }
}
