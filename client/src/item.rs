//! One key of a listing.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;

use crate::etag::ETag;
use crate::problem::Problem;

/// One key of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// The key.
    pub key: Bytes,
    /// The value's version.
    pub etag: ETag,
    /// When the key expires, in Unix milliseconds.
    pub expires_at_ms: Option<u64>,
    /// The value's length in bytes, if the router tells it.
    pub size: Option<u64>,
    /// The value, if values were asked for.
    pub value: Option<Bytes>,
    /// The value's content type, if it has one and values were asked for.
    pub content_type: Option<Bytes>,
}

/// An item that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ItemError {
    /// Not JSON, or without the members of an item.
    #[error("not an item of a listing: {0}")]
    Json(String),
    /// A member that is not base64, or given in both forms, or in neither.
    #[error("an item's {member} must be given once, as text or as base64: {problem}")]
    Bytes {
        /// `key`, `value` or `content_type`.
        member: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// The router ended the listing with an error.
    #[error("the listing broke off: {0}")]
    Problem(Problem),
}

/// An item as it arrives.
#[derive(Deserialize)]
pub(crate) struct RawItem {
    key: Option<String>,
    key_b64: Option<String>,
    etag: Option<String>,
    expires: Option<u64>,
    size: Option<u64>,
    value: Option<String>,
    value_b64: Option<String>,
    content_type: Option<String>,
    content_type_b64: Option<String>,
    status: Option<u16>,
}

impl Item {
    /// Reads one line of a streamed listing.
    pub(crate) fn from_line(line: &[u8]) -> Result<Self, ItemError> {
        let raw: RawItem =
            serde_json::from_slice(line).map_err(|error| ItemError::Json(error.to_string()))?;
        match raw.status {
            Some(status) if raw.key.is_none() && raw.key_b64.is_none() => {
                Err(ItemError::Problem(Problem::from_body(status, line)))
            }
            _ => raw.into_item(),
        }
    }
}

impl RawItem {
    /// The item, checked.
    pub(crate) fn into_item(self) -> Result<Item, ItemError> {
        let key = bytes_of("key", self.key, self.key_b64)?
            .ok_or(ItemError::Bytes { member: "key", problem: "it is missing".to_owned() })?;
        let etag = self.etag.ok_or_else(|| ItemError::Json("it has no etag".to_owned()))?;
        Ok(Item {
            key,
            etag: etag.parse().map_err(|error| ItemError::Json(format!("{error}")))?,
            expires_at_ms: self.expires,
            size: self.size,
            value: bytes_of("value", self.value, self.value_b64)?,
            content_type: bytes_of("content_type", self.content_type, self.content_type_b64)?,
        })
    }
}

/// The bytes that one of the two forms holds, if any does.
fn bytes_of(
    member: &'static str,
    text: Option<String>,
    base64: Option<String>,
) -> Result<Option<Bytes>, ItemError> {
    match (text, base64) {
        (Some(_), Some(_)) => Err(ItemError::Bytes { member, problem: "both are there".to_owned() }),
        (Some(text), None) => Ok(Some(Bytes::from(text))),
        (None, Some(base64)) => match STANDARD.decode(&base64) {
            Ok(bytes) => Ok(Some(Bytes::from(bytes))),
            Err(error) => Err(ItemError::Bytes { member, problem: error.to_string() }),
        },
        (None, None) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn item_line_holds_text_or_base64() {
        let line = br#"{"key":"a","etag":"01","expires":5,"size":2,"value":"hi","later":1}"#;
        let item = Item::from_line(line).unwrap();
        assert_eq!((&item.key[..], item.value.as_deref()), (&b"a"[..], Some(&b"hi"[..])));
        assert_eq!((item.expires_at_ms, item.size), (Some(5), Some(2)));
        assert_eq!(item.content_type, None);
        let line = br#"{"key_b64":"/wA=","etag":"01","value_b64":"","content_type_b64":"/w=="}"#;
        let item = Item::from_line(line).unwrap();
        assert_eq!((&item.key[..], item.value.as_deref()), (&b"\xff\0"[..], Some(&b""[..])));
        assert_eq!(item.content_type.as_deref(), Some(&b"\xff"[..]));
        let item = Item::from_line(br#"{"key":"a","etag":"01","content_type":"text/x"}"#).unwrap();
        assert_eq!(item.content_type.as_deref(), Some(&b"text/x"[..]));
    }

    #[test]
    fn item_line_that_is_not_an_item_is_refused() {
        for bad in [
            &b"{"[..],
            br#"{"etag":"01"}"#,
            br#"{"key":"a"}"#,
            br#"{"key":"a","key_b64":"YQ==","etag":"1"}"#,
            br#"{"key_b64":"*","etag":"1"}"#,
        ] {
            assert!(Item::from_line(bad).is_err());
        }
        let problem = Item::from_line(br#"{"status":503,"code":"no_quorum"}"#);
        assert!(matches!(problem, Err(ItemError::Problem(problem)) if problem.code == "no_quorum"));
    }
}
