//! One operation as HTTP, before any attempt.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{HeaderName, HeaderValue, IF_MATCH, IF_NONE_MATCH};
use hyper::{Method, Request};

use crate::error::RequestError;
use crate::idempotency::IdempotencyKey;
use crate::path::Query;
use crate::write::Condition;

/// The header that names a write.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// One operation: everything that its attempts have in common.
#[derive(Debug)]
pub(crate) struct Call {
    method: Method,
    path: String,
    query: Query,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Bytes,
    write: Option<IdempotencyKey>,
    takes_timeout: bool,
}

impl Call {
    /// A read of this path.
    pub(crate) fn read(path: String, query: Query) -> Self {
        Self {
            method: Method::GET,
            path,
            query,
            headers: Vec::new(),
            body: Bytes::new(),
            write: None,
            takes_timeout: true,
        }
    }

    /// A write of this path, under a new name unless one is given.
    pub(crate) fn write(method: Method, path: String, query: Query, name: Option<IdempotencyKey>) -> Self {
        let name = name.unwrap_or_else(IdempotencyKey::generate);
        // Both forms of the key are plain ASCII, so this header always exists.
        let headers = HeaderValue::from_str(name.as_str()).map(|value| (IDEMPOTENCY_KEY, value));
        let headers = headers.into_iter().collect();
        Self { method, path, query, headers, body: Bytes::new(), write: Some(name), takes_timeout: true }
    }

    /// A change that may be made any number of times, and so needs no name.
    pub(crate) fn repeatable(method: Method, path: String, query: Query) -> Self {
        Self { method, ..Self::read(path, query) }
    }

    /// Of a path that takes no `timeout` parameter.
    pub(crate) fn without_timeout(mut self) -> Self {
        self.takes_timeout = false;
        self
    }

    /// With this body.
    pub(crate) fn body(mut self, body: Bytes) -> Self {
        self.body = body;
        self
    }

    /// With one more header.
    pub(crate) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// With a condition as headers.
    ///
    /// # Errors
    /// When a header cannot hold the ETag.
    pub(crate) fn condition(self, condition: &Condition) -> Result<Self, RequestError> {
        Ok(match condition {
            Condition::Always => self,
            Condition::Present => self.header(IF_MATCH, HeaderValue::from_static("*")),
            Condition::Absent => self.header(IF_NONE_MATCH, HeaderValue::from_static("*")),
            Condition::Matches(etag) => {
                let value = HeaderValue::from_str(&etag.quoted()).map_err(|_| RequestError::Condition)?;
                self.header(IF_MATCH, value)
            }
        })
    }

    /// The name of a write; reads have none.
    pub(crate) fn write_name(&self) -> Option<&IdempotencyKey> {
        self.write.as_ref()
    }

    /// The request of one attempt at the router with this address (scheme and authority, without a path).
    ///
    /// # Errors
    /// When the parts make no request, which the checks of path and headers exclude.
    pub(crate) fn request(
        &self,
        router: &str,
        timeout_ms: Option<u128>,
    ) -> Result<Request<Full<Bytes>>, hyper::http::Error> {
        let mut target = format!("{router}{}{}", self.path, self.query.as_str());
        if let Some(timeout_ms) = timeout_ms.filter(|_| self.takes_timeout) {
            target.push(if self.query.as_str().is_empty() { '?' } else { '&' });
            target.push_str(&format!("timeout={timeout_ms}ms"));
        }
        let mut request = Request::builder().method(self.method.clone()).uri(target);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        request.body(Full::new(self.body.clone()))
    }
}
