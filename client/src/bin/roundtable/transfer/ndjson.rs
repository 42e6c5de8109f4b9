//! NDJSON records.
//!
//! Canonical form, which export writes: the members `key` or `key_b64`, `value` or `value_b64`, `content_type` or
//! `content_type_b64` if the value has one, and `expires` if the key expires, in this order, without blanks; base64
//! (standard alphabet, padded) only for bytes that are not UTF-8; in strings, escapes for `"`, `\` and control characters
//! alone: `\b \t \n \f \r`, else `\u00xx` in lower case.

use base64::DecodeError;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize};

use crate::json::split;
use crate::transfer::{Record, RecordError};

/// So much of a line that is no object is shown.
const SHOWN_CHARACTERS: usize = 20;

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
    content_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type_b64: Option<String>,
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
    content_type: Option<String>,
    content_type_b64: Option<String>,
    expires: Option<UnixMillis>,
}

/// A number in JSON, with an error that says what it is.
struct UnixMillis(u64);

impl<'de> Deserialize<'de> for UnixMillis {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_u64(UnixMillisVisitor).map(Self)
    }
}

struct UnixMillisVisitor;

impl Visitor<'_> for UnixMillisVisitor {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a Unix time in milliseconds")
    }

    fn visit_u64<E>(self, number: u64) -> Result<u64, E> {
        Ok(number)
    }
}

/// Reads the record of one line.
pub(crate) fn parse(line: &[u8]) -> Result<Record, RecordError> {
    // A struct would be read out of an array too.
    if !line.trim_ascii_start().starts_with(b"{") {
        let begin = String::from_utf8_lossy(line.trim_ascii()).chars().take(SHOWN_CHARACTERS).collect();
        return Err(RecordError::NoObject { begin });
    }
    let raw: Raw = serde_json::from_slice(line).map_err(|error| json_error(line, &error))?;
    let key = one_of("key", raw.key, raw.key_b64)?;
    if key.is_empty() {
        return Err(RecordError::EmptyKey);
    }
    let content_type = match (raw.content_type, raw.content_type_b64) {
        (None, None) => None,
        (text, base64) => Some(one_of("content_type", text, base64)?).filter(|bytes| !bytes.is_empty()),
    };
    let value = one_of("value", raw.value, raw.value_b64)?;
    Ok(Record { key, value, content_type, expires_at_ms: raw.expires.map(|at| at.0) })
}

/// Whether the line is the beginning of a JSON text that goes on in the next lines.
pub(crate) fn goes_on(line: &[u8]) -> bool {
    serde_json::from_slice::<serde::de::IgnoredAny>(line).is_err_and(|error| error.is_eof())
}

/// Appends a record's canonical line to `out`.
pub(crate) fn write(record: &Record, out: &mut Vec<u8>) {
    let (key, key_b64) = split(&record.key);
    let (value, value_b64) = split(&record.value);
    let (content_type, content_type_b64) = record.content_type.as_deref().map_or((None, None), split);
    let expires = record.expires_at_ms;
    let line = Canonical { key, key_b64, value, value_b64, content_type, content_type_b64, expires };
    // Strings and a number into memory: nothing that serialization could refuse.
    let written = serde_json::to_writer(&mut *out, &line);
    debug_assert!(written.is_ok(), "strings always serialize");
    out.push(b'\n');
}

/// The parser's error with its place apart: what the parser calls line 1 is some line of a file.
fn json_error(line: &[u8], error: &serde_json::Error) -> RecordError {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    let before = line.get(..error.column()).unwrap_or(line);
    let column = String::from_utf8_lossy(before).chars().count().max(1);
    RecordError::Json { column, problem: text.strip_suffix(&place).unwrap_or(&text).to_owned() }
}

fn one_of(member: &'static str, text: Option<String>, base64: Option<String>) -> Result<Bytes, RecordError> {
    match (text, base64) {
        (Some(text), None) => Ok(Bytes::from(text)),
        (None, Some(base64)) => match STANDARD.decode(&base64) {
            Ok(bytes) => Ok(Bytes::from(bytes)),
            Err(error) => Err(RecordError::Base64 { member, problem: explain(&base64, error) }),
        },
        (Some(_), Some(_)) | (None, None) => Err(RecordError::Member { member }),
    }
}

/// What is wrong with a base64 text, by the place in it rather than in the file.
fn explain(text: &str, error: DecodeError) -> String {
    match error {
        DecodeError::InvalidByte(at, _) | DecodeError::InvalidLastSymbol { offset: at, .. } => {
            let character = text.get(at..).and_then(|rest| rest.chars().next()).unwrap_or('?');
            format!("its character {} is {character:?}", at + 1)
        }
        other => other.to_string(),
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
            r#"{"key":"k","value":"v","content_type":"text/plain; charset=utf-8"}"#,
            r#"{"key":"k","value":"v","content_type_b64":"eC//","expires":1900000000000}"#,
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
            r#"["a",null,"1",null,null,null,null]"#,
            r#"{"key":"a","value":"1","content_type":"x","content_type_b64":"eA=="}"#,
        ] {
            assert!(parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn error_has_one_place_and_that_is_the_column() {
        for (line, expected, said) in [
            (r#"  {"key":"ü","value":1}"#, 22, "expected a string"),
            (r#"{"key":"a","value":"1""#, 22, "EOF"),
            (r#"{"key":"a" "value":"1"}"#, 12, "expected `,` or `}`"),
            (r#"{"key":"a","value":"1","expires":-5}"#, 35, "expected a Unix time in milliseconds"),
        ] {
            let error = parse(line.as_bytes()).unwrap_err();
            let text = error.to_string();
            assert_eq!(error.column(), Some(expected), "{line}: {text}");
            assert!(text.contains(said) && !text.contains("line 1"), "{text}");
        }
        let text = parse(br#"{"key":"a","value_b64":"YQ*="}"#).unwrap_err().to_string();
        assert!(text.ends_with("its character 3 is '*'"), "{text}");
    }

    #[test]
    fn document_over_several_lines_is_told_from_a_broken_record() {
        assert!(goes_on(b"{") && goes_on(b"{\"key\":\"a\","));
        assert!(!goes_on(b"{\"key\":\"a\"}") && !goes_on(b"nonsense"));
    }
}
