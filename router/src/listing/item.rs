//! One key as a listing tells it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use roundtable_consensus::{Content, Key, Register};
use serde::Serialize;

/// The JSON of one key. Bytes that are not UTF-8 stand in the fields named `…_b64`, as base64 (RFC 4648, padded).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Item {
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_b64: Option<String>,
    etag: String,
    /// When the value ends, in unix milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<u64>,
    /// Length of the value in bytes.
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type_b64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value_b64: Option<String>,
}

impl Item {
    /// The item of a live register; `None` for a tombstone.
    #[must_use]
    pub fn new(key: &Key, register: &Register, with_value: bool) -> Option<Self> {
        let etag = register.etag()?.to_string();
        let (key, key_b64) = text_or_b64(key.as_bytes());
        let (size, value) = match &register.content {
            Content::Live(value) => (value.bytes.len() as u64, Some(value)),
            Content::Withheld { value_bytes } => (u64::from(*value_bytes), None),
            Content::Tombstone => return None,
        };
        let told = value.filter(|_| with_value);
        let (value, value_b64) = told.map_or((None, None), |value| text_or_b64(&value.bytes));
        let content_type = told.map(|value| value.content_type.as_bytes()).filter(|bytes| !bytes.is_empty());
        let (content_type, content_type_b64) = content_type.map_or((None, None), text_or_b64);
        Some(Self {
            key,
            key_b64,
            etag,
            expires: register.expires_at,
            size,
            content_type,
            content_type_b64,
            value,
            value_b64,
        })
    }

    /// About how many bytes its JSON has.
    #[must_use]
    pub fn weight(&self) -> usize {
        let text = |field: &Option<String>| field.as_ref().map_or(0, String::len);
        128 + text(&self.key) + text(&self.key_b64) + text(&self.value) + text(&self.value_b64)
    }
}

/// Bytes as text if they are UTF-8, else as base64.
#[must_use]
pub fn text_or_b64(bytes: &[u8]) -> (Option<String>, Option<String>) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (Some(text.to_owned()), None),
        Err(_) => (None, Some(STANDARD.encode(bytes))),
    }
}

#[cfg(test)]
mod tests {
    use roundtable_consensus::{Ballot, ContentType, Value, Version};

    use super::*;

    fn json(key: &[u8], value: &[u8], with_value: bool) -> serde_json::Value {
        let value = Value { bytes: value.to_vec().into(), content_type: ContentType::new("text/x").unwrap() };
        let register = Register { content: Content::Live(value), ..Register::absent(Ballot::ZERO) };
        let item = Item::new(&Key::new(key.to_vec()).unwrap(), &register, with_value).unwrap();
        serde_json::to_value(item).unwrap()
    }

    #[test]
    fn text_stands_as_text_and_other_bytes_as_base64() {
        let etag = Version::ZERO.to_string();
        assert_eq!(
            json(b"k", b"v", true),
            serde_json::json!({"key": "k", "etag": etag, "size": 1, "content_type": "text/x", "value": "v"})
        );
        assert_eq!(
            json(b"\xff", b"\xfe\x00", true),
            serde_json::json!({"key_b64": "/w==", "etag": etag, "size": 2, "content_type": "text/x", "value_b64": "/gA="})
        );
        assert_eq!(json(b"k", b"v", false), serde_json::json!({"key": "k", "etag": etag, "size": 1}));
    }

    #[test]
    fn media_type_that_is_not_text_keeps_its_bytes() {
        let content_type = ContentType::new(&b"x/\xff"[..]).unwrap();
        let value = Value { bytes: "v".into(), content_type };
        let register = Register { content: Content::Live(value), ..Register::absent(Ballot::ZERO) };
        let item = Item::new(&Key::new("k").unwrap(), &register, true).unwrap();
        let json = serde_json::to_value(item).unwrap();
        assert_eq!((&json["content_type"], &json["content_type_b64"]), (&().into(), &"eC//".into()));
    }

    #[test]
    fn tombstone_is_no_item() {
        assert_eq!(Item::new(&Key::new("k").unwrap(), &Register::absent(Ballot::ZERO), true), None);
    }
}
