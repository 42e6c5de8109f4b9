//! Records out of a file, with their line numbers.

use std::io::{self, BufRead, Cursor, Read as _};

use bytes::Bytes;

use crate::transfer::attributes::Attributes;
use crate::transfer::delimited::{Dialect, KeyColumn, RecordEnd};
use crate::transfer::format::Layout;
use crate::transfer::kind::{self, ForeignKind};
use crate::transfer::{Record, RecordError, attributes, ndjson};

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
    #[error("the header line does not end with the fields content_type and expires, which --attributes adds")]
    NoAttributes,
    #[error("{0}")]
    Foreign(ForeignKind),
}

/// Reads records one after the other.
#[derive(Debug)]
pub(crate) struct RecordReader<R> {
    /// The first bytes, which tell what the file is; empty until something was read.
    head: Cursor<Vec<u8>>,
    input: R,
    layout: Layout,
    /// The number of the key field once it is known.
    key_field: Option<usize>,
    line: u64,
    offset: u64,
    buffer: Vec<u8>,
    has_begun: bool,
    /// Whether a record was seen: before it, a file of another form is recognised.
    has_record: bool,
}

impl<R: BufRead> RecordReader<R> {
    /// Reads this input.
    pub(crate) fn new(input: R, layout: Layout) -> Self {
        Self {
            head: Cursor::default(),
            input,
            layout,
            key_field: None,
            line: 0,
            offset: 0,
            buffer: Vec::new(),
            has_begun: false,
            has_record: false,
        }
    }

    /// The next entry; `None` at the end of the file. A header line comes as the record of the header's key.
    ///
    /// # Errors
    /// When the file cannot be read on; what was read before stays good.
    pub(crate) fn next(&mut self) -> Result<Option<Located>, ReadError> {
        if !self.has_begun {
            self.begin()?;
        }
        match &self.layout {
            Layout::Ndjson => self.next_ndjson(),
            Layout::Delimited { .. } => self.next_delimited(),
        }
    }

    /// Looks at the first bytes, up to the first line end: more need not come for long. A byte order mark is no part of
    /// the first record.
    fn begin(&mut self) -> Result<(), ReadError> {
        self.has_begun = true;
        let head = self.head.get_mut();
        while head.len() < kind::HEAD_BYTES && !head.contains(&b'\n') {
            let read = match self.input.fill_buf() {
                Ok(bytes) => bytes.get(..kind::HEAD_BYTES - head.len()).unwrap_or(bytes),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            };
            let length = read.len();
            if length == 0 {
                break;
            }
            head.extend_from_slice(read);
            self.input.consume(length);
        }
        let is_json = matches!(self.layout, Layout::Ndjson);
        if let Some(kind) = ForeignKind::of(head, is_json) {
            return Err(ReadError::Foreign(kind));
        }
        if head.starts_with(kind::UTF8_MARK) {
            head.drain(..kind::UTF8_MARK.len());
            self.offset = kind::UTF8_MARK.len() as u64;
        }
        Ok(())
    }

    fn next_ndjson(&mut self) -> Result<Option<Located>, ReadError> {
        self.buffer.clear();
        if !self.read_line()? {
            return Ok(None);
        }
        let line = self.line;
        let text = self.json_line();
        if text.trim_ascii().is_empty() {
            return Ok(Some(Located { line, offset: self.offset, entry: Entry::Blank }));
        }
        if !self.has_record {
            let (is_array, goes_on) = (text.trim_ascii().starts_with(b"["), ndjson::goes_on(text));
            self.has_record = true;
            if is_array {
                return Err(ReadError::Foreign(kind::JSON_ARRAY));
            }
            if goes_on && self.has_more()? {
                return Err(ReadError::Foreign(kind::JSON_DOCUMENT));
            }
        }
        let entry = Entry::Record(ndjson::parse(self.json_line()));
        Ok(Some(Located { line, offset: self.offset, entry }))
    }

    /// The line in the buffer, without its end. A byte order mark is passed over in every line: files that begin with one
    /// may have been joined.
    fn json_line(&self) -> &[u8] {
        let line = self.buffer.strip_suffix(b"\n").unwrap_or(&self.buffer);
        line.strip_prefix(kind::UTF8_MARK).unwrap_or(line)
    }

    fn next_delimited(&mut self) -> Result<Option<Located>, ReadError> {
        let Layout::Delimited { dialect, key_column, .. } = self.layout.clone() else { return Ok(None) };
        self.buffer.clear();
        let first = self.line + 1;
        let mut end = RecordEnd::default();
        loop {
            let begin = self.buffer.len();
            if !self.read_line()? {
                break;
            }
            if end.after(dialect, self.buffer.get(begin..).unwrap_or_default()) {
                let entry = self.delimited_entry()?;
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
    fn delimited_entry(&mut self) -> Result<Entry, ReadError> {
        let Layout::Delimited { dialect, key_column, header_key, attributes } = &self.layout else {
            return Ok(Entry::Blank);
        };
        let raw = self.buffer.strip_suffix(b"\n").unwrap_or(&self.buffer);
        if raw.trim_ascii_end().is_empty() && !raw.contains(&dialect.delimiter) {
            return Ok(Entry::Blank);
        }
        let Some(number) = self.key_field else {
            let header = match (header_key, attributes) {
                (Some(_), true) => {
                    attributes::take_names_off(*dialect, raw).map_err(|_| ReadError::NoAttributes)?
                }
                _ => Bytes::copy_from_slice(raw),
            };
            let number = key_column.number(*dialect, Some(&header));
            self.key_field = Some(number.ok_or_else(|| no_column(key_column, &header))?);
            return match header_key {
                Some(key) => Ok(Entry::Record(Ok(Record {
                    key: key.clone(),
                    value: header,
                    content_type: None,
                    expires_at_ms: None,
                }))),
                None => self.delimited_entry(),
            };
        };
        let record = read_record(*dialect, number, *attributes, raw);
        let is_header = |record: &Record| header_key.as_ref() == Some(&record.key);
        Ok(Entry::Record(
            record.and_then(
                |record| {
                    if is_header(&record) { Err(RecordError::HeaderKey) } else { Ok(record) }
                },
            ),
        ))
    }

    /// Whether the file goes on.
    fn has_more(&mut self) -> io::Result<bool> {
        let unread = self.head.get_ref().len() as u64 > self.head.position();
        Ok(unread || !self.input.fill_buf()?.is_empty())
    }

    /// Appends a line to the buffer. Whether there was one.
    fn read_line(&mut self) -> Result<bool, ReadError> {
        let room = (RECORD_BYTES_MAX + 1).saturating_sub(self.buffer.len());
        let room = u64::try_from(room).unwrap_or(u64::MAX);
        let read =
            self.head.by_ref().chain(&mut self.input).take(room).read_until(b'\n', &mut self.buffer)?;
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

/// The record that one line, or several with quoted line ends, holds.
fn read_record(
    dialect: Dialect,
    key_field: usize,
    has_attributes: bool,
    raw: &[u8],
) -> Result<Record, RecordError> {
    let (value, attributes) = if has_attributes {
        attributes::take_off(dialect, raw)?
    } else {
        (Bytes::copy_from_slice(raw), Attributes::default())
    };
    let key = dialect.key(&value, key_field)?;
    let Attributes { content_type, expires_at_ms } = attributes;
    Ok(Record { key, value, content_type, expires_at_ms })
}

fn no_column(key_column: &KeyColumn, header: &[u8]) -> ReadError {
    let name = match key_column {
        KeyColumn::Name(name) => String::from_utf8_lossy(name).into_owned(),
        KeyColumn::Number(number) => number.to_string(),
    };
    ReadError::NoColumn { name, header: header.escape_ascii().to_string() }
}

#[cfg(test)]
mod tests;
