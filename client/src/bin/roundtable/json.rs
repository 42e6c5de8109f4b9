//! Keys and values as JSON.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

/// Bytes as a JSON string if they are UTF-8, else as base64 in the member with `_b64`.
pub(crate) fn split(bytes: &[u8]) -> (Option<&str>, Option<String>) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (Some(text), None),
        Err(_) => (None, Some(STANDARD.encode(bytes))),
    }
}

/// What `--json` prints of one key: one object on one line; what is not known is left out.
#[derive(Debug, Default, Serialize)]
pub(crate) struct KeyLine<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key_b64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) etag: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) created: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) counter: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) content_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) expires: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) value: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) value_b64: Option<String>,
}

impl<'a> KeyLine<'a> {
    /// Of this key.
    pub(crate) fn of(key: &'a [u8]) -> Self {
        let (key, key_b64) = split(key);
        Self { key, key_b64, ..Self::default() }
    }

    /// With this value.
    pub(crate) fn value(mut self, value: &'a [u8]) -> Self {
        (self.value, self.value_b64) = split(value);
        self
    }

    /// The line, without its end.
    pub(crate) fn line(&self) -> String {
        // Strings, numbers and booleans: nothing that serialization could refuse.
        serde_json::to_string(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_line_leaves_out_what_is_not_known() {
        let line = KeyLine { etag: Some("01".into()), ..KeyLine::of(b"a\"b") }.value(b"\xff");
        assert_eq!(line.line(), r#"{"key":"a\"b","etag":"01","value_b64":"/w=="}"#);
    }
}
