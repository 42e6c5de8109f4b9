//! Import and export: files of records against keys and values.
//!
//! Both directions share the options that say how a record is a key and a value, so that the same options give the
//! same bytes back. `docs/cli.md` ("Formats") is the promise.

mod attributes;
mod delimited;
pub(crate) mod export;
mod format;
pub(crate) mod import;
mod kind;
mod ndjson;
mod progress;
mod reader;
mod sink;
mod storing;
mod tally;

use bytes::Bytes;

/// One record of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    /// The key under which it is stored, without the prefix of the command line.
    pub(crate) key: Bytes,
    /// The value that is stored.
    pub(crate) value: Bytes,
    /// The value's media type, if it has one.
    pub(crate) content_type: Option<Bytes>,
    /// When the key expires, in Unix milliseconds.
    pub(crate) expires_at_ms: Option<u64>,
}

/// Text that is not a record, or a value that is no record of the chosen format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RecordError {
    #[error("not a JSON object with key and value: {problem}")]
    Json {
        /// Where in the line, in characters from 1.
        column: usize,
        problem: String,
    },
    #[error(
        "not a JSON object but text that begins with {begin:?}; one such as {{\"key\":\"a\",\"value\":\"1\"}} is \
         expected (CSV and TSV are read with --format)"
    )]
    NoObject { begin: String },
    #[error("{member} must be given once: as \"{member}\" (text) or as \"{member}_b64\" (base64)")]
    Member { member: &'static str },
    #[error("{member}_b64 is not base64: {problem}")]
    Base64 { member: &'static str, problem: String },
    #[error("the record has {found} field(s); the key is in field {wanted}")]
    Field { found: usize, wanted: usize },
    #[error("the router sent no value")]
    NoValue,
    #[error("the key is empty")]
    EmptyKey,
    #[error("the key is that of the header line; choose another with --header-key")]
    HeaderKey,
    #[error("a quoted field has no end")]
    OpenQuote,
    #[error("the value is not exactly one record of this format")]
    NotOneRecord,
    #[error("the record's key field is {found:?}")]
    OtherKey { found: String },
    #[error("the record does not end with the fields content_type and expires, which --attributes adds")]
    NoAttributes,
    #[error("the last field is {found:?}; expires is a Unix time in milliseconds, or nothing")]
    Expires { found: String },
    #[error("the content type {content_type:?} does not fit into a field of this format")]
    Unwritable { content_type: String },
}

impl RecordError {
    /// Where in its line the error is, in characters from 1, if that is known.
    pub(crate) fn column(&self) -> Option<usize> {
        match self {
            Self::Json { column, .. } => Some(*column),
            _ => None,
        }
    }
}
