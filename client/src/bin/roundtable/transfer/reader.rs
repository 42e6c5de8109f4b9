//! Records out of a file, with their line numbers.

use std::io::{self, BufRead, Read as _};

use bytes::Bytes;

use crate::transfer::delimited::{Dialect, KeyColumn, RecordEnd};
use crate::transfer::format::Layout;
use crate::transfer::{Record, RecordError, ndjson};

/// The longest line or record: the largest value in base64 and its key.
const RECORD_BYTES_MAX: usize = 32 << 20;

/// What stands at one place of the file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// A record, or the reason why it is none.
    Record(Result<Record, RecordError>),
    /// A line without anything.
    Blank,
}

/// One entry and where it stands.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Located {
    /// The number of its first line, from 1.
    pub(crate) line: u64,
    /// The bytes of the file up to its end.
    pub(crate) offset: u64,
    /// What it is.
    pub(crate) entry: Entry,
}

/// A file that cannot be read on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("line {line}: longer than {RECORD_BYTES_MAX} bytes")]
    TooLong { line: u64 },
    #[error("the header line has no column {name:?}; it is: {header}")]
    NoColumn { name: String, header: String },
    #[error("the file is empty: a named key column needs a header line")]
    NoHeader,
}

/// Reads records one after the other.
#[derive(Debug)]
pub(crate) struct RecordReader<R> {
    input: R,
    layout: Layout,
    /// The number of the key field once it is known.
    key_field: Option<usize>,
    line: u64,
    offset: u64,
    buffer: Vec<u8>,
}

impl<R: BufRead> RecordReader<R> {
    /// Reads this input.
    pub(crate) fn new(input: R, layout: Layout) -> Self {
        Self { input, layout, key_field: None, line: 0, offset: 0, buffer: Vec::new() }
    }

    /// The next entry; `None` at the end of the file. A header line comes as the record of the header's key.
    ///
    /// # Errors
    /// When the file cannot be read on; what was read before stays good.
    pub(crate) fn next(&mut self) -> Result<Option<Located>, ReadError> {
        match self.layout.clone() {
            Layout::Ndjson => self.next_ndjson(),
            Layout::Delimited { dialect, key_column, header_key } => {
                self.next_delimited(dialect, &key_column, header_key)
            }
        }
    }

    fn next_ndjson(&mut self) -> Result<Option<Located>, ReadError> {
        self.buffer.clear();
        if !self.read_line()? {
            return Ok(None);
        }
        let line = self.line;
        let text = self.buffer.trim_ascii();
        let entry = if text.is_empty() { Entry::Blank } else { Entry::Record(ndjson::parse(text)) };
        Ok(Some(Located { line, offset: self.offset, entry }))
    }

    fn next_delimited(
        &mut self,
        dialect: Dialect,
        key_column: &KeyColumn,
        header_key: Option<String>,
    ) -> Result<Option<Located>, ReadError> {
        self.buffer.clear();
        let first = self.line + 1;
        let mut end = RecordEnd::default();
        loop {
            let begin = self.buffer.len();
            if !self.read_line()? {
                break;
            }
            if end.after(dialect, self.buffer.get(begin..).unwrap_or_default()) {
                let entry = self.delimited_entry(dialect, key_column, header_key)?;
                return Ok(Some(Located { line: first, offset: self.offset, entry }));
            }
        }
        match (self.buffer.is_empty(), self.key_field, key_column) {
            (true, None, KeyColumn::Name(_)) => Err(ReadError::NoHeader),
            (true, _, _) => Ok(None),
            (false, _, _) => {
                let entry = Entry::Record(Err(RecordError::OpenQuote));
                Ok(Some(Located { line: first, offset: self.offset, entry }))
            }
        }
    }

    /// What the complete record in the buffer is.
    fn delimited_entry(
        &mut self,
        dialect: Dialect,
        key_column: &KeyColumn,
        header_key: Option<String>,
    ) -> Result<Entry, ReadError> {
        let raw = self.buffer.strip_suffix(b"\n").unwrap_or(&self.buffer);
        if raw.trim_ascii_end().is_empty() && !raw.contains(&dialect.delimiter) {
            return Ok(Entry::Blank);
        }
        let value = Bytes::copy_from_slice(raw);
        let Some(number) = self.key_field else {
            self.key_field =
                Some(key_column.number(dialect, Some(raw)).ok_or_else(|| no_column(key_column, raw))?);
            return match header_key {
                Some(key) => {
                    let record = Record { key: key.into(), value, expires_at_ms: None };
                    Ok(Entry::Record(Ok(record)))
                }
                None => self.delimited_entry(dialect, key_column, None),
            };
        };
        let key = dialect.key(raw, number);
        Ok(Entry::Record(key.and_then(|key| {
            if header_key.is_some_and(|header| header.as_bytes() == key) {
                return Err(RecordError::HeaderKey);
            }
            Ok(Record { key, value, expires_at_ms: None })
        })))
    }

    /// Appends a line to the buffer. Whether there was one.
    fn read_line(&mut self) -> Result<bool, ReadError> {
        let room = (RECORD_BYTES_MAX + 1).saturating_sub(self.buffer.len());
        let room = u64::try_from(room).unwrap_or(u64::MAX);
        let read = self.input.by_ref().take(room).read_until(b'\n', &mut self.buffer)?;
        self.offset += u64::try_from(read).unwrap_or(u64::MAX);
        if read > 0 {
            self.line += 1;
        }
        if self.buffer.len() > RECORD_BYTES_MAX {
            return Err(ReadError::TooLong { line: self.line });
        }
        Ok(read > 0)
    }
}

fn no_column(key_column: &KeyColumn, header: &[u8]) -> ReadError {
    let name = match key_column {
        KeyColumn::Name(name) => name.clone(),
        KeyColumn::Number(number) => number.to_string(),
    };
    ReadError::NoColumn { name, header: header.escape_ascii().to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delimited(key_column: KeyColumn, quoting: bool) -> Layout {
        let header_key = matches!(key_column, KeyColumn::Name(_)).then(|| "#header".to_owned());
        Layout::Delimited { dialect: Dialect { delimiter: b';', quoting }, key_column, header_key }
    }

    /// Line number and key, error or blank of every entry.
    fn entries(text: &str, layout: Layout) -> Vec<(u64, String)> {
        let mut reader = RecordReader::new(text.as_bytes(), layout);
        let mut entries = Vec::new();
        while let Some(located) = reader.next().expect("readable") {
            let entry = match located.entry {
                Entry::Blank => "blank".to_owned(),
                Entry::Record(Ok(record)) => {
                    format!("{}={}", record.key.escape_ascii(), record.value.escape_ascii())
                }
                Entry::Record(Err(error)) => format!("error: {error}"),
            };
            entries.push((located.line, entry));
        }
        assert_eq!(reader.offset, text.len() as u64);
        entries
    }

    #[test]
    fn ndjson_lines_are_numbered_and_blank_ones_told() {
        let text = "{\"key\":\"a\",\"value\":\"1\"}\n\n{\"key\":\"b\",\"value\":\"2\"}";
        let expected = [(1, "a=1".to_owned()), (2, "blank".to_owned()), (3, "b=2".to_owned())];
        assert_eq!(entries(text, Layout::Ndjson), expected);
    }

    #[test]
    fn ndjson_line_that_is_no_record_does_not_end_the_file() {
        let entries = entries("nonsense\n{\"key\":\"b\",\"value\":\"2\"}\n", Layout::Ndjson);
        assert!(entries[0].1.starts_with("error: not a JSON object"), "{}", entries[0].1);
        assert_eq!(entries[1], (2, "b=2".to_owned()));
    }

    #[test]
    fn delimited_value_is_the_record_as_it_stands() {
        let text = "0041;LATIN CAPITAL LETTER A;Lu\n0042;\"B;\nb\";x\r\n0043;C";
        let expected = [
            (1, "0041=0041;LATIN CAPITAL LETTER A;Lu".to_owned()),
            (2, "0042=0042;\\\"B;\\nb\\\";x\\r".to_owned()),
            (4, "0043=0043;C".to_owned()),
        ];
        assert_eq!(entries(text, delimited(KeyColumn::Number(1), true)), expected);
    }

    #[test]
    fn delimited_header_names_the_key_and_is_stored() {
        let text = "name;code\nalpha;a\n#;#header\n";
        let entries = entries(text, delimited(KeyColumn::Name("code".into()), false));
        assert_eq!(entries[0], (1, "#header=name;code".to_owned()));
        assert_eq!(entries[1], (2, "a=alpha;a".to_owned()));
        assert!(entries[2].1.contains("--header-key"), "{}", entries[2].1);
    }

    #[test]
    fn delimited_file_without_the_named_column_is_refused() {
        let layout = delimited(KeyColumn::Name("code".into()), false);
        let mut reader = RecordReader::new(&b"name;size\n"[..], layout.clone());
        assert!(matches!(reader.next(), Err(ReadError::NoColumn { .. })));
        assert!(matches!(RecordReader::new(&b""[..], layout).next(), Err(ReadError::NoHeader)));
    }

    #[test]
    fn delimited_record_with_an_open_quote_is_told_with_its_first_line() {
        let entries = entries("a;1\nb;\"2\nc;3\n", delimited(KeyColumn::Number(1), true));
        assert_eq!(entries[1], (2, "error: a quoted field has no end".to_owned()));
    }
}
