//! What routers answer, and what calls make of it.

use bytes::Bytes;
use hyper::header::{CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue};

use crate::error::{Cause, Error, Outcome};
use crate::etag::ETag;
use crate::problem::Problem;
use crate::transport::Response;

/// The header of a key's expiry, in Unix milliseconds.
const EXPIRES: HeaderName = HeaderName::from_static("roundtable-expires");

/// How fresh a read must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Consistency {
    /// The latest value, agreed on by a majority.
    #[default]
    Linearizable,
    /// Any one replica's answer: it may be stale, in doubt, or expired there alone.
    Eventual,
}

/// A key's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The value's bytes.
    pub value: Bytes,
    /// Its version.
    pub etag: ETag,
    /// Its content type, as it was written; bytes that are not UTF-8 are replaced.
    pub content_type: String,
    /// When the key expires, in Unix milliseconds.
    pub expires_at_ms: Option<u64>,
}

/// What a write made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The new version.
    pub etag: ETag,
    /// Whether the key did not exist before.
    pub created: bool,
}

/// A counter after its change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counter {
    /// The new value.
    pub value: i64,
    /// The new version.
    pub etag: ETag,
}

impl Entry {
    /// Of the answer to a read that found the key.
    pub(crate) fn from_answer(router: &str, response: Response) -> Result<Self, Error> {
        let content_type = response.headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
        let content_type = String::from_utf8_lossy(content_type.unwrap_or(b"application/octet-stream"));
        Ok(Self {
            etag: etag(router, &response.headers, Outcome::NotApplied)?,
            content_type: content_type.into_owned(),
            expires_at_ms: text(&response.headers, &EXPIRES).and_then(|ms| ms.parse().ok()),
            value: response.body,
        })
    }
}

impl Counter {
    /// Of the answer to an increment.
    pub(crate) fn from_answer(router: &str, response: &Response) -> Result<Self, Error> {
        let value = std::str::from_utf8(&response.body).ok().and_then(|text| text.trim().parse().ok());
        let value = value.ok_or_else(|| {
            malformed(router, "the new value of the counter is not a number", Outcome::Unknown)
        })?;
        Ok(Self { value, etag: etag(router, &response.headers, Outcome::Unknown)? })
    }
}

/// A settled answer of a write as success or error.
pub(crate) fn settled(response: &Response) -> Result<(), Error> {
    match response.status.as_u16() {
        412 => Err(Error::PreconditionFailed {
            current: text(&response.headers, &ETAG).and_then(|etag| etag.parse().ok()),
        }),
        status if !response.status.is_success() => {
            Err(Error::Refused(Box::new(Problem::from_body(status, &response.body))))
        }
        _ => Ok(()),
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// The version in an answer; of a write without one it is not even sure that it is an answer to the write.
pub(crate) fn etag(router: &str, headers: &HeaderMap, outcome: Outcome) -> Result<ETag, Error> {
    text(headers, &ETAG)
        .and_then(|etag| etag.parse().ok())
        .ok_or_else(|| malformed(router, "a success without a usable ETag", outcome))
}

/// A success that makes no sense.
pub(crate) fn malformed(router: &str, detail: &str, outcome: Outcome) -> Error {
    let cause = Cause::Malformed { router: router.to_owned(), detail: detail.to_owned() };
    Error::Malformed { cause, outcome }
}
