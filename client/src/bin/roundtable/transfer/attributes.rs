//! What a CSV or TSV file says of a value beside the record that the value is: two further fields at the record's end,
//! the media type and the expiry, which `--attributes` writes and reads.

use bytes::Bytes;

use crate::transfer::RecordError;
use crate::transfer::delimited::Dialect;

/// The names of the two fields in a header line.
const NAMES: [&[u8]; 2] = [b"content_type", b"expires"];

/// The two fields; an empty one is absent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Attributes {
    pub(crate) content_type: Option<Bytes>,
    /// Unix milliseconds.
    pub(crate) expires_at_ms: Option<u64>,
}

/// Takes the two fields off a record's end: the record without them, which is the value, and what they say.
pub(crate) fn take_off(dialect: Dialect, record: &[u8]) -> Result<(Bytes, Attributes), RecordError> {
    let (value, [content_type, expires]) = split(dialect, record)?;
    let expires_at_ms = match std::str::from_utf8(&expires).map(str::parse) {
        Ok(_) if expires.is_empty() => None,
        Ok(Ok(number)) => Some(number),
        _ => return Err(RecordError::Expires { found: String::from_utf8_lossy(&expires).into_owned() }),
    };
    let content_type = Some(content_type).filter(|bytes| !bytes.is_empty());
    Ok((value, Attributes { content_type, expires_at_ms }))
}

/// Takes the names of the two fields off a header line's end.
pub(crate) fn take_names_off(dialect: Dialect, header: &[u8]) -> Result<Bytes, RecordError> {
    match split(dialect, header)? {
        (header, names) if names == NAMES => Ok(header),
        _ => Err(RecordError::NoAttributes),
    }
}

/// Appends a value with its attributes, and the line's end, to `out`.
pub(crate) fn write(
    dialect: Dialect,
    value: &[u8],
    attributes: &Attributes,
    out: &mut Vec<u8>,
) -> Result<(), RecordError> {
    let content_type = attributes.content_type.as_deref().unwrap_or_default();
    let expires = attributes.expires_at_ms.map(|at| at.to_string()).unwrap_or_default();
    write_fields(dialect, value, [content_type, expires.as_bytes()], out)
}

/// Appends a header line with the names of the two fields, and the line's end, to `out`.
pub(crate) fn write_names(dialect: Dialect, header: &[u8], out: &mut Vec<u8>) -> Result<(), RecordError> {
    write_fields(dialect, header, NAMES, out)
}

/// A carriage return at the record's end belongs to the line end, and stays there.
fn split(dialect: Dialect, record: &[u8]) -> Result<(Bytes, [Bytes; 2]), RecordError> {
    let (record, line_end) = cut_carriage_return(record);
    let begins = dialect.delimiters(record);
    let &[.., first, _] = begins.as_slice() else { return Err(RecordError::NoAttributes) };
    let (value, rest) = record.split_at_checked(first).ok_or(RecordError::NoAttributes)?;
    let fields = dialect.fields(rest.get(1..).unwrap_or_default())?;
    let field = |index| fields.get(index).map(Bytes::copy_from_slice).ok_or(RecordError::NoAttributes);
    Ok(([value, line_end].concat().into(), [field(0)?, field(1)?]))
}

fn write_fields(
    dialect: Dialect,
    value: &[u8],
    fields: [&[u8]; 2],
    out: &mut Vec<u8>,
) -> Result<(), RecordError> {
    let (value, line_end) = cut_carriage_return(value);
    let begin = out.len();
    out.extend_from_slice(value);
    for field in fields {
        out.push(dialect.delimiter);
        if !dialect.write_field(field, out) {
            out.truncate(begin);
            let content_type = String::from_utf8_lossy(field).into_owned();
            return Err(RecordError::Unwritable { content_type });
        }
    }
    out.extend_from_slice(line_end);
    out.push(b'\n');
    Ok(())
}

fn cut_carriage_return(record: &[u8]) -> (&[u8], &[u8]) {
    record.strip_suffix(b"\r").map_or((record, &[]), |record| (record, b"\r"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CSV: Dialect = Dialect { delimiter: b',', quoting: true };
    const TSV: Dialect = Dialect { delimiter: b'\t', quoting: false };

    fn attributes(content_type: &'static [u8], expires_at_ms: Option<u64>) -> Attributes {
        Attributes { content_type: Some(Bytes::from_static(content_type)), expires_at_ms }
    }

    #[test]
    fn value_and_attributes_come_back_as_they_were() {
        let table: [(Dialect, &[u8], Attributes, &[u8]); 5] = [
            (CSV, b"a,1", Attributes::default(), b"a,1,,\n"),
            (CSV, b"a,\"x,\ny\"", attributes(b"text/x", Some(5)), b"a,\"x,\ny\",text/x,5\n"),
            (CSV, b"a\r", attributes(b"t/x; a=\"1,2\"", None), b"a,\"t/x; a=\"\"1,2\"\"\",\r\n"),
            (TSV, b"a\t\"1", attributes(b"\"x\"", Some(7)), b"a\t\"1\t\"x\"\t7\n"),
            (TSV, b"a", attributes(b"x/\xff", None), b"a\tx/\xff\t\n"),
        ];
        for (dialect, value, attributes, line) in table {
            let mut out = Vec::new();
            write(dialect, value, &attributes, &mut out).unwrap();
            assert_eq!(out.escape_ascii().to_string(), line.escape_ascii().to_string());
            let record = out.strip_suffix(b"\n").unwrap();
            assert_eq!(take_off(dialect, record).unwrap(), (Bytes::copy_from_slice(value), attributes));
        }
    }

    #[test]
    fn header_has_the_names() {
        let mut out = Vec::new();
        write_names(CSV, b"name,code", &mut out).unwrap();
        assert_eq!(out, b"name,code,content_type,expires\n");
        assert_eq!(take_names_off(CSV, b"name,code,content_type,expires").unwrap(), "name,code");
        assert_eq!(take_names_off(CSV, b"name,code"), Err(RecordError::NoAttributes));
    }

    #[test]
    fn record_without_attributes_or_with_others_is_refused() {
        assert_eq!(take_off(CSV, b"a,1"), Err(RecordError::NoAttributes));
        assert!(matches!(take_off(CSV, b"a,1,text/x,soon"), Err(RecordError::Expires { .. })));
        let mut out = b"before".to_vec();
        let unwritable = write(TSV, b"a", &attributes(b"t/x;\ty", None), &mut out);
        assert!(matches!(unwritable, Err(RecordError::Unwritable { .. })));
        assert_eq!(out, b"before");
    }
}
