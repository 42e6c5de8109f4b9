//! CSV and TSV records. The stored value is the record exactly as it stands in the file, without its line end, so
//! that quoting and blanks come back as they were.

use bytes::Bytes;

use crate::transfer::RecordError;
use crate::transfer::kind::UTF8_MARK;

/// How fields are separated and quoted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Dialect {
    /// The byte between fields.
    pub(crate) delimiter: u8,
    /// Whether a field may stand in double quotes and then hold delimiters, line ends and doubled quotes (RFC 4180).
    pub(crate) quoting: bool,
}

/// Which field is the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum KeyColumn {
    /// The one with this number, counted from 1; the file has no header line.
    Number(usize),
    /// The one with this name in the header line.
    Name(Bytes),
}

impl KeyColumn {
    /// The field's number from 1, given the header line if the file has one; `None` if no field has the name.
    pub(crate) fn number(&self, dialect: Dialect, header: Option<&[u8]>) -> Option<usize> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Name(name) => {
                let fields = dialect.fields(header?).ok()?;
                fields.iter().position(|field| field == name).map(|index| index + 1)
            }
        }
    }
}

/// Where a scan of a record stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Place {
    #[default]
    FieldStart,
    Plain,
    Quoted,
    AfterQuote,
}

impl Place {
    /// After a further byte.
    fn after(self, dialect: Dialect, byte: u8) -> Self {
        match (self, byte) {
            (Self::FieldStart | Self::AfterQuote, b'"') if dialect.quoting => Self::Quoted,
            (Self::Quoted, b'"') => Self::AfterQuote,
            (Self::Quoted, _) => Self::Quoted,
            (_, byte) if byte == dialect.delimiter => Self::FieldStart,
            _ => Self::Plain,
        }
    }
}

/// Tells, line by line, where a record ends.
#[derive(Debug, Default)]
pub(crate) struct RecordEnd {
    place: Place,
}

impl RecordEnd {
    /// Takes in a further line. Whether the record is complete with it.
    pub(crate) fn after(&mut self, dialect: Dialect, line: &[u8]) -> bool {
        self.place = line.iter().fold(self.place, |place, &byte| place.after(dialect, byte));
        let complete = self.place != Place::Quoted;
        if complete {
            self.place = Place::FieldStart;
        }
        complete
    }
}

impl Dialect {
    /// The fields of one record, without quotes. A carriage return at its very end belongs to the line end.
    pub(crate) fn fields(self, record: &[u8]) -> Result<csv::ByteRecord, RecordError> {
        let record = record.strip_suffix(b"\r").unwrap_or(record);
        // The reader takes a byte order mark for the beginning of a file and drops it: one that belongs to the record is
        // given to it twice.
        let marked;
        let record = if record.starts_with(UTF8_MARK) {
            marked = [UTF8_MARK, record].concat();
            &marked
        } else {
            record
        };
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(self.delimiter)
            .terminator(csv::Terminator::Any(b'\n'))
            .quoting(self.quoting)
            .buffer_capacity(record.len() + 1)
            .from_reader(record);
        let mut fields = csv::ByteRecord::new();
        // Reading from memory cannot fail, and bytes need no encoding.
        let read = reader.read_byte_record(&mut fields).unwrap_or(false);
        if read { Ok(fields) } else { Err(RecordError::NotOneRecord) }
    }

    /// Where the delimiters of one record are, other than those in quotes.
    pub(crate) fn delimiters(self, record: &[u8]) -> Vec<usize> {
        let mut place = Place::default();
        let mut delimiters = Vec::new();
        for (at, &byte) in record.iter().enumerate() {
            let is_quoted = place == Place::Quoted;
            place = place.after(self, byte);
            if byte == self.delimiter && !is_quoted {
                delimiters.push(at);
            }
        }
        delimiters
    }

    /// Appends a field, quoted if it must be. `false`, with part of it appended, if this dialect cannot hold it.
    pub(crate) fn write_field(self, field: &[u8], out: &mut Vec<u8>) -> bool {
        let breaks = |byte: &u8| *byte == self.delimiter || matches!(byte, b'\n' | b'\r');
        if !self.quoting {
            out.extend_from_slice(field);
            return !field.iter().any(breaks);
        }
        if !field.iter().any(|byte| breaks(byte) || *byte == b'"') {
            out.extend_from_slice(field);
            return true;
        }
        out.push(b'"');
        for &byte in field {
            out.extend_from_slice(if byte == b'"' { b"\"\"" } else { std::slice::from_ref(&byte) });
        }
        out.push(b'"');
        true
    }

    /// The key of one record: its field with this number from 1.
    pub(crate) fn key(self, record: &[u8], number: usize) -> Result<Bytes, RecordError> {
        let fields = self.fields(record)?;
        let index = number.saturating_sub(1);
        match fields.get(index) {
            None => Err(RecordError::Field { found: fields.len(), wanted: number }),
            Some(b"") => Err(RecordError::EmptyKey),
            Some(key) => Ok(Bytes::copy_from_slice(key)),
        }
    }

    /// Checks that a stored value is one record that import would read back to this key.
    pub(crate) fn check(self, key: &[u8], value: &[u8], number: usize) -> Result<(), RecordError> {
        let mut end = RecordEnd::default();
        let mut lines = value.split_inclusive(|&byte| byte == b'\n').peekable();
        while let Some(line) = lines.next() {
            // A line end inside the value must be inside quotes, and the last line must end them.
            let complete = end.after(self, line);
            if complete != lines.peek().is_none() || (complete && line.ends_with(b"\n")) {
                return Err(RecordError::NotOneRecord);
            }
        }
        let found = self.key(value, number)?;
        if found == key {
            Ok(())
        } else {
            Err(RecordError::OtherKey { found: String::from_utf8_lossy(&found).into_owned() })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CSV: Dialect = Dialect { delimiter: b',', quoting: true };
    const TSV: Dialect = Dialect { delimiter: b'\t', quoting: false };

    #[test]
    fn record_ends_at_a_line_end_outside_quotes() {
        let table: [(&[&[u8]], bool); 6] = [
            (&[b"a,b\n"], true),
            (&[b"a,\"b\n"], false),
            (&[b"a,\"b\n", b"c\"\n"], true),
            (&[b"a,\"b\"\"c\n"], false),
            (&[b"a,b\"c\n"], true),
            (&[b"\"a\" x,\"y\"\n"], true),
        ];
        for (lines, complete) in table {
            let mut end = RecordEnd::default();
            let last = lines.iter().map(|line| end.after(CSV, line)).next_back();
            assert_eq!(last, Some(complete), "{lines:?}");
        }
        assert!(RecordEnd::default().after(TSV, b"\"open\n"));
    }

    #[test]
    fn key_is_the_decoded_field() {
        assert_eq!(CSV.key(b"x,\"a\"\"b,c\",y", 2).unwrap(), "a\"b,c");
        assert_eq!(TSV.key(b"\"q\ty", 1).unwrap(), "\"q");
        assert_eq!(CSV.key(b"a,b", 3), Err(RecordError::Field { found: 2, wanted: 3 }));
        assert_eq!(CSV.key(b",b", 1), Err(RecordError::EmptyKey));
        assert_eq!(CSV.key(b"a,b\r", 2).unwrap(), "b", "a carriage return belongs to the line end");
        assert_eq!(TSV.key(b"a\rb\tc", 1).unwrap(), "a\rb", "elsewhere it is a byte like any other");
        assert_eq!(CSV.key("\u{feff}a,b".as_bytes(), 1).unwrap(), "\u{feff}a", "inside a file it is no mark");
    }

    #[test]
    fn named_column_is_found_in_the_header() {
        let column = KeyColumn::Name("code".into());
        assert_eq!(column.number(CSV, Some(b"name,\"code\"")), Some(2));
        assert_eq!(column.number(CSV, Some(b"name")), None);
        assert_eq!(KeyColumn::Number(3).number(CSV, None), Some(3));
    }

    #[test]
    fn check_accepts_one_record_with_its_own_key_alone() {
        assert_eq!(CSV.check(b"k", b"k,\"two\nlines\"", 1), Ok(()));
        assert_eq!(CSV.check(b"k", b"k,one\nk,two", 1), Err(RecordError::NotOneRecord));
        assert_eq!(CSV.check(b"k", b"k,\"open", 1), Err(RecordError::NotOneRecord));
        assert_eq!(CSV.check(b"k", b"", 1), Err(RecordError::NotOneRecord));
        assert_eq!(TSV.check(b"k", b"k\tv\n", 1), Err(RecordError::NotOneRecord));
        assert_eq!(TSV.check(b"k", b"j\tv", 1), Err(RecordError::OtherKey { found: "j".into() }));
    }
}
