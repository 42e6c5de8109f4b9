//! NDJSON records.
//!
//! Canonical form, which export writes: the members `key` or `key_b64`, `value` or `value_b64`, and `expires` if the
//! key expires, in this order, without blanks; base64 (standard alphabet, padded) only for bytes that are not UTF-8;
//! in strings, escapes for `"`, `\` and control characters alone: `\b \t \n \f \r`, else `\u00xx` in lower case.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::json::split;
use crate::transfer::{Record, RecordError};

#[derive(Serialize)]
struct Canonical<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_b64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value_b64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<u64>,
}

/// Members beyond these, such as `etag` and `size` of a listing, are read over.
#[derive(Deserialize)]
struct Raw {
    key: Option<String>,
    key_b64: Option<String>,
    value: Option<String>,
    value_b64: Option<String>,
    expires: Option<u64>,
}

/// Reads the record of one line.
pub(crate) fn parse(line: &[u8]) -> Result<Record, RecordError> {
    let raw: Raw = serde_json::from_slice(line).map_err(|error| RecordError::Json(error.to_string()))?;
    let key = one_of("key", raw.key, raw.key_b64)?;
    if key.is_empty() {
        return Err(RecordError::EmptyKey);
    }
    Ok(Record { key, value: one_of("value", raw.value, raw.value_b64)?, expires_at_ms: raw.expires })
}

/// Appends a record's canonical line to `out`.
pub(crate) fn write(record: &Record, out: &mut Vec<u8>) {
    let (key, key_b64) = split(&record.key);
    let (value, value_b64) = split(&record.value);
    let line = Canonical { key, key_b64, value, value_b64, expires: record.expires_at_ms };
    // Strings and a number into memory: nothing that serialization could refuse.
    let written = serde_json::to_writer(&mut *out, &line);
    debug_assert!(written.is_ok(), "strings always serialize");
    out.push(b'\n');
}

fn one_of(member: &'static str, text: Option<String>, base64: Option<String>) -> Result<Bytes, RecordError> {
    match (text, base64) {
        (Some(text), None) => Ok(Bytes::from(text)),
        (None, Some(base64)) => match STANDARD.decode(&base64) {
            Ok(bytes) => Ok(Bytes::from(bytes)),
            Err(error) => Err(RecordError::Base64 { member, problem: error.to_string() }),
        },
        (Some(_), Some(_)) | (None, None) => Err(RecordError::Member { member }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(line: &str) -> String {
        let mut out = Vec::new();
        write(&parse(line.as_bytes()).unwrap(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn canonical_lines_come_back_byte_by_byte() {
        for line in [
            r#"{"key":"a","value":""}"#,
            r#"{"key":"é/\"\\","value":"tab\t line\n nul\u0000 \u001f del ✓/"}"#,
            r#"{"key_b64":"/wA=","value":"text"}"#,
            r#"{"key":"k","value_b64":"gIE="}"#,
            r#"{"key":"k","value":"v","expires":1900000000000}"#,
        ] {
            assert_eq!(rewritten(line), format!("{line}\n"));
        }
    }

    #[test]
    fn other_lines_become_canonical() {
        let line = r#" {"size":1, "value_b64":"aGk=", "etag":"01", "key_b64":"aw=="} "#;
        assert_eq!(rewritten(line), "{\"key\":\"k\",\"value\":\"hi\"}\n");
    }

    #[test]
    fn line_without_one_key_and_one_value_is_refused() {
        for bad in [
            "",
            "[]",
            r#"{"key":"a"}"#,
            r#"{"value":"a"}"#,
            r#"{"key":"","value":"a"}"#,
            r#"{"key":"a","key_b64":"YQ==","value":""}"#,
            r#"{"key":"a","value":{"x":1}}"#,
            r#"{"key":"a","value_b64":"*"}"#,
        ] {
            assert!(parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
