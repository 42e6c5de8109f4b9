//! How a file's records are keys and values: the options that import and export share.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;

use bytes::Bytes;
use clap::builder::{OsStringValueParser, TypedValueParser as _};
use clap::{Args, ValueEnum};

use crate::failure::Failure;
use crate::output;
use crate::transfer::delimited::{Dialect, KeyColumn};

/// A kind of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// One JSON object a line: {"key":"…","value":"…"}, with content_type and expires where there are any, and key_b64,
    /// value_b64 and content_type_b64 for bytes that are not UTF-8
    Ndjson,
    /// Fields between commas, with "quotes" where needed; the value is the whole record as it stands in the file
    Csv,
    /// Fields between tabs, without quoting; the value is the whole record as it stands in the file
    Tsv,
}

/// How a file's records are keys and values.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Format")]
pub(crate) struct FormatArgs {
    /// The kind of file
    #[arg(long, value_enum, default_value_t = Format::Ndjson)]
    format: Format,

    /// CSV and TSV: the field that is the key, by its number from 1, or by its name in the header line
    #[arg(long, value_name = "NAME|N", default_value = "1")]
    key_column: OsString,

    /// CSV and TSV: the character between fields, one byte, if not a comma or a tab; "\t" is a tab
    #[arg(long, value_name = "CHAR", value_parser = OsStringValueParser::new().try_map(|text| parse_delimiter(text.as_bytes())))]
    delimiter: Option<u8>,

    /// CSV and TSV with a named key column: the key under which the header line is stored
    #[arg(long, value_name = "KEY", default_value = "#header")]
    header_key: OsString,

    /// CSV and TSV: each record ends with two more fields that are not in the value: its content type, and its expiry
    /// in Unix milliseconds; either may be empty
    #[arg(long)]
    attributes: bool,

    /// The beginning that all keys have in the store, and none in the file
    #[arg(long, value_name = "TEXT", default_value = "")]
    key_prefix: OsString,
}

/// The options, checked.
#[derive(Debug, Clone)]
pub(crate) enum Layout {
    /// One JSON object a line.
    Ndjson,
    /// One record of fields each.
    Delimited {
        /// How fields are separated and quoted.
        dialect: Dialect,
        /// Which field is the key.
        key_column: KeyColumn,
        /// Where the header line is stored, without the prefix; only if the key column has a name.
        header_key: Option<Bytes>,
        /// Whether each record ends with content type and expiry.
        attributes: bool,
    },
}

impl FormatArgs {
    /// What the keys have in front in the store and not in the file.
    pub(crate) fn key_prefix(&self) -> Bytes {
        Bytes::copy_from_slice(output::bytes_of(&self.key_prefix))
    }

    /// Checks the options against each other.
    pub(crate) fn layout(&self) -> Result<Layout, Failure> {
        let (comma, quoting) = match self.format {
            Format::Ndjson if self.delimiter.is_some() => {
                return Err(Failure::Usage("--delimiter goes with --format csv or tsv".to_owned()));
            }
            Format::Ndjson if self.attributes => {
                return Err(Failure::Usage(
                    "--attributes goes with --format csv or tsv; ndjson has content type and expiry anyway"
                        .to_owned(),
                ));
            }
            Format::Ndjson => return Ok(Layout::Ndjson),
            Format::Csv => (b',', true),
            Format::Tsv => (b'\t', false),
        };
        let key_column = match self.key_column.to_str().map(str::parse::<usize>) {
            Some(Ok(0)) => return Err(Failure::Usage("--key-column counts from 1".to_owned())),
            Some(Ok(number)) => KeyColumn::Number(number),
            _ => KeyColumn::Name(Bytes::copy_from_slice(output::bytes_of(&self.key_column))),
        };
        let header_key = matches!(key_column, KeyColumn::Name(_))
            .then(|| Bytes::copy_from_slice(output::bytes_of(&self.header_key)));
        let attributes = self.attributes;
        let dialect = Dialect { delimiter: self.delimiter.unwrap_or(comma), quoting };
        Ok(Layout::Delimited { dialect, key_column, header_key, attributes })
    }
}

fn parse_delimiter(text: &[u8]) -> Result<u8, String> {
    match text {
        br"\t" => Ok(b'\t'),
        [byte] if !matches!(byte, b'\n' | b'\r' | b'"') => Ok(*byte),
        _ => Err("expected one byte that is neither a quote nor a line end".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(format: Format, key_column: &str, delimiter: Option<u8>) -> FormatArgs {
        let (key_column, header_key) = (key_column.into(), "#header".into());
        FormatArgs {
            format,
            key_column,
            delimiter,
            header_key,
            attributes: false,
            key_prefix: OsString::new(),
        }
    }

    #[test]
    fn layout_with_a_named_column_has_a_header() {
        let layout = args(Format::Tsv, "code", None).layout().unwrap();
        let Layout::Delimited { dialect, header_key, .. } = layout else { panic!("fields") };
        assert_eq!(
            (dialect, header_key.as_deref()),
            (Dialect { delimiter: b'\t', quoting: false }, Some(&b"#header"[..]))
        );
        let layout = args(Format::Csv, "2", Some(b';')).layout().unwrap();
        let Layout::Delimited { dialect, header_key, .. } = layout else { panic!("fields") };
        assert_eq!((dialect, header_key), (Dialect { delimiter: b';', quoting: true }, None));
    }

    #[test]
    fn layout_refuses_what_contradicts_itself() {
        assert!(args(Format::Csv, "0", None).layout().is_err());
        assert!(args(Format::Ndjson, "1", Some(b';')).layout().is_err());
        let attributes = FormatArgs { attributes: true, ..args(Format::Ndjson, "1", None) };
        assert!(attributes.layout().is_err());
        assert_eq!((parse_delimiter(br"\t"), parse_delimiter(b"\xa7")), (Ok(b'\t'), Ok(b'\xa7')));
        assert!(["", "ab", "\"", "\n"].iter().all(|bad| parse_delimiter(bad.as_bytes()).is_err()));
    }
}
