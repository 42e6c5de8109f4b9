//! A plain HTTP/1.1 client: one connection per request, no retries, no redirects.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use tokio::net::TcpStream;

/// Longer than any deadline that the product gives a request.
const ANSWER_WITHIN: Duration = Duration::from_secs(90);

const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// A key as it is written after `/v1/kv/`.
#[must_use]
pub fn encode_key(key: impl AsRef<[u8]>) -> String {
    percent_encoding::percent_encode(key.as_ref(), KEPT).to_string()
}

/// A client of one server.
#[derive(Debug, Clone)]
pub struct Http {
    address: String,
}

/// One request, not sent yet.
#[derive(Debug, Clone)]
pub struct Call {
    address: String,
    method: Method,
    target: String,
    headers: HeaderMap,
    body: Bytes,
}

/// One answer, whole.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// From the first byte out to the last byte in.
    pub elapsed: Duration,
}

impl Http {
    /// A client of the server at `address`.
    #[must_use]
    pub fn new(address: &str) -> Self {
        Self { address: address.to_owned() }
    }

    /// The server's address.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Any request.
    ///
    /// # Panics
    /// When the method is malformed.
    #[must_use]
    pub fn call(&self, method: &str, target: &str) -> Call {
        Call {
            address: self.address.clone(),
            method: method.parse().unwrap(),
            target: target.to_owned(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
        }
    }

    /// GET of a path.
    #[must_use]
    pub fn get(&self, target: &str) -> Call {
        self.call("GET", target)
    }

    /// GET of a key.
    #[must_use]
    pub fn read(&self, key: impl AsRef<[u8]>) -> Call {
        self.call("GET", &format!("/v1/kv/{}", encode_key(key)))
    }

    /// PUT of a key.
    #[must_use]
    pub fn put(&self, key: impl AsRef<[u8]>, value: impl Into<Bytes>) -> Call {
        self.call("PUT", &format!("/v1/kv/{}", encode_key(key))).body(value)
    }

    /// DELETE of a key.
    #[must_use]
    pub fn delete(&self, key: impl AsRef<[u8]>) -> Call {
        self.call("DELETE", &format!("/v1/kv/{}", encode_key(key)))
    }

    /// Increment of a key.
    #[must_use]
    pub fn increment(&self, key: impl AsRef<[u8]>, by: i64) -> Call {
        self.call("POST", &format!("/v1/kv/{}?op=increment&by={by}", encode_key(key)))
    }

    /// Touch of a key.
    #[must_use]
    pub fn touch(&self, key: impl AsRef<[u8]>, ttl: &str) -> Call {
        self.call("POST", &format!("/v1/kv/{}?op=touch&ttl={ttl}", encode_key(key)))
    }
}

impl Call {
    /// Adds a parameter to the query.
    #[must_use]
    pub fn query(mut self, name: &str, value: &str) -> Self {
        let separator = if self.target.contains('?') { '&' } else { '?' };
        let value = utf8_percent_encode(value, KEPT);
        self.target = format!("{}{separator}{name}={value}", self.target);
        self
    }

    /// Adds a header.
    ///
    /// # Panics
    /// When it is malformed.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let name: HeaderName = name.parse().unwrap();
        self.headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        self
    }

    /// `If-Match`.
    #[must_use]
    pub fn if_match(self, etag: &str) -> Self {
        self.header("if-match", etag)
    }

    /// `If-None-Match`.
    #[must_use]
    pub fn if_none_match(self, etag: &str) -> Self {
        self.header("if-none-match", etag)
    }

    /// `Idempotency-Key`.
    #[must_use]
    pub fn keyed(self, key: &str) -> Self {
        self.header("idempotency-key", key)
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// Sends it.
    ///
    /// # Errors
    /// When no whole answer comes.
    pub async fn try_send(self) -> Result<Answer, String> {
        let what = format!("{} {} at {}", self.method, self.target, self.address);
        match tokio::time::timeout(ANSWER_WITHIN, self.exchange()).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(format!("{what}: {error}")),
            Err(_) => Err(format!("{what}: no answer within {ANSWER_WITHIN:?}")),
        }
    }

    /// Sends it.
    ///
    /// # Panics
    /// When no whole answer comes.
    pub async fn send(self) -> Answer {
        self.try_send().await.unwrap_or_else(|error| panic!("{error}"))
    }

    async fn exchange(self) -> Result<Answer, Box<dyn std::error::Error + Send + Sync>> {
        let started = Instant::now();
        let stream = TcpStream::connect(&self.address).await?;
        stream.set_nodelay(true)?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let driver = tokio::spawn(connection);
        let mut request =
            Request::builder().method(self.method).uri(self.target).header("host", &self.address);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let answer = sender.send_request(request.body(Full::new(self.body))?).await?;
        let (head, body) = answer.into_parts();
        let body = body.collect().await?.to_bytes();
        driver.abort();
        Ok(Answer { status: head.status.as_u16(), headers: head.headers, body, elapsed: started.elapsed() })
    }
}

impl Answer {
    /// Requires a status.
    ///
    /// # Panics
    /// When it is another one, printing the answer.
    #[track_caller]
    pub fn must_be(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{:?}\n{}", self.headers, self.text());
        self
    }

    /// Requires a problem with this status and code, of a request that was never applied, with all of the
    /// members that a problem has.
    ///
    /// # Panics
    /// When the answer is another one.
    #[track_caller]
    pub fn must_refuse(self, status: u16, code: &str) -> Self {
        let answer = self.must_be(status);
        let problem = answer.problem();
        assert_eq!(problem["code"], code, "{problem}");
        assert_eq!(problem["outcome"], "not_applied", "{problem}");
        answer
    }

    /// The problem in the body.
    ///
    /// # Panics
    /// When the body is not a whole problem.
    #[track_caller]
    pub fn problem(&self) -> Value {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{}", self.text());
        let problem = self.json();
        assert_eq!(problem["status"], self.status, "{problem}");
        for member in ["type", "title", "detail", "code", "outcome", "request_id"] {
            assert!(problem[member].as_str().is_some_and(|text| !text.is_empty()), "{member}: {problem}");
        }
        assert!(problem["retryable"].is_boolean(), "{problem}");
        assert_eq!(problem["request_id"].as_str(), self.header("roundtable-request-id"), "{problem}");
        problem
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    #[track_caller]
    pub fn json(&self) -> Value {
        match serde_json::from_slice(&self.body) {
            Ok(value) => value,
            Err(error) => panic!("{error}: {}", self.text()),
        }
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as text; of a problem without its request's id, in which two equal answers differ.
    #[must_use]
    pub fn text_without_ids(&self) -> String {
        if self.header("content-type") != Some("application/problem+json") {
            return self.text();
        }
        let mut problem = self.json();
        problem.as_object_mut().unwrap().remove("request_id");
        problem.to_string()
    }

    /// A header that occurs once.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// `Roundtable-Expires`: unix milliseconds.
    ///
    /// # Panics
    /// When it is no number.
    #[must_use]
    pub fn expires(&self) -> Option<u64> {
        self.header("roundtable-expires").map(|text| text.parse().unwrap())
    }

    /// The ETag, quotes included.
    ///
    /// # Panics
    /// When there is none, or it is not strong and of the fixed width.
    #[must_use]
    #[track_caller]
    pub fn etag(&self) -> String {
        let etag = self.header("etag").unwrap_or_else(|| panic!("no ETag: {self:?}"));
        let digits = etag.trim_matches('"');
        assert_eq!(etag.len(), digits.len() + 2, "quoted and strong: {etag}");
        assert!(digits.len() == 40 && digits.bytes().all(|b| b.is_ascii_hexdigit()), "{etag}");
        etag.to_owned()
    }
}
