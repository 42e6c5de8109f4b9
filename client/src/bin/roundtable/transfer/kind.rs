//! What a file is when it cannot be what import reads, told by its first bytes.

use std::fmt;

/// So many bytes tell.
pub(crate) const HEAD_BYTES: usize = 16;

/// The byte order mark of UTF-8, which some editors and spreadsheets put in front of a file.
pub(crate) const UTF8_MARK: &[u8] = b"\xef\xbb\xbf";

/// A kind of file that holds no records, as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ForeignKind {
    name: &'static str,
    /// A command that makes of `FILE` what can be read; none if nothing can.
    remedy: Option<&'static str>,
}

/// First bytes that no text begins with.
const MAGICS: [(&[u8], ForeignKind); 12] = [
    (b"\xff\xfe\0\0", ForeignKind::convertible("UTF-32", "iconv -f UTF-32 -t UTF-8 FILE")),
    (b"\0\0\xfe\xff", ForeignKind::convertible("UTF-32", "iconv -f UTF-32 -t UTF-8 FILE")),
    (b"\xff\xfe", ForeignKind::convertible("UTF-16", "iconv -f UTF-16 -t UTF-8 FILE")),
    (b"\xfe\xff", ForeignKind::convertible("UTF-16", "iconv -f UTF-16 -t UTF-8 FILE")),
    (b"\x1f\x8b", ForeignKind::convertible("compressed with gzip", "gzip -dc FILE")),
    (b"\x28\xb5\x2f\xfd", ForeignKind::convertible("compressed with zstd", "zstd -dc FILE")),
    (b"\xfd7zXZ\0", ForeignKind::convertible("compressed with xz", "xz -dc FILE")),
    (b"\x04\x22\x4d\x18", ForeignKind::convertible("compressed with lz4", "lz4 -dc FILE")),
    (b"PK\x03\x04", ForeignKind::convertible("a ZIP archive", "unzip -p FILE")),
    (b"SQLite format 3\0", ForeignKind::convertible("an SQLite database", "sqlite3 -csv FILE 'select …'")),
    (b"Obj\x01", ForeignKind::convertible("an Avro file", "avro-tools tojson FILE")),
    (b"PAR1\x15", ForeignKind::convertible("a Parquet file", "duckdb -csv -c \"from 'FILE'\"")),
];

/// Two parts of bzip2's first bytes, between which a digit stands.
const BZIP2: (&[u8], &[u8]) = (b"BZh", b"1AY&SY");

/// A file that should be text.
const BINARY: ForeignKind = ForeignKind { name: "a binary file", remedy: None };

/// A file of NDJSON that is another form of JSON.
pub(crate) const JSON_ARRAY: ForeignKind = ForeignKind::convertible("a JSON array", "jq -c '.[]' FILE");
pub(crate) const JSON_DOCUMENT: ForeignKind =
    ForeignKind::convertible("a JSON document over several lines", "jq -c . FILE");

impl ForeignKind {
    const fn convertible(name: &'static str, remedy: &'static str) -> Self {
        Self { name, remedy: Some(remedy) }
    }

    /// The kind of a file that begins with these bytes, if it cannot be read. `is_json` if JSON is expected, which holds
    /// no NUL bytes.
    pub(crate) fn of(head: &[u8], is_json: bool) -> Option<Self> {
        let found = MAGICS.iter().find(|(magic, _)| head.starts_with(magic)).map(|(_, kind)| *kind);
        if found.is_some() {
            return found;
        }
        match head {
            _ if is_bzip2(head) => Some(Self::convertible("compressed with bzip2", "bzip2 -dc FILE")),
            [1..=0xff, 0, 1..=0xff, 0, ..] if is_json => {
                Some(Self::convertible("UTF-16", "iconv -f UTF-16LE -t UTF-8 FILE"))
            }
            [0, 1..=0xff, 0, 1..=0xff, ..] if is_json => {
                Some(Self::convertible("UTF-16", "iconv -f UTF-16BE -t UTF-8 FILE"))
            }
            _ if is_json && head.contains(&0) => Some(BINARY),
            _ => None,
        }
    }
}

fn is_bzip2(head: &[u8]) -> bool {
    let (first, second) = BZIP2;
    head.strip_prefix(first).and_then(|rest| rest.get(1..)).is_some_and(|rest| rest.starts_with(second))
}

impl fmt::Display for ForeignKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, remedy } = self;
        match remedy {
            Some(remedy) => write!(f, "it is {name}; convert it first: {remedy} | roundtable import"),
            None => write!(f, "it is {name}, not one JSON object a line"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_files_are_named_by_their_first_bytes() {
        let utf16 = |text: &str| -> Vec<u8> { text.encode_utf16().flat_map(u16::to_le_bytes).collect() };
        let table: [(&[u8], &str); 9] = [
            (b"\xff\xfe{\0", "it is UTF-16"),
            (b"\xfe\xff\0{", "it is UTF-16"),
            (&utf16("{\"key\":"), "it is UTF-16"),
            (b"\xff\xfe\0\0{\0\0\0", "it is UTF-32"),
            (b"\x1f\x8b\x08\0", "it is compressed with gzip; convert it first: gzip -dc FILE"),
            (b"\x28\xb5\x2f\xfd\x24", "zstd -dc"),
            (b"BZh91AY&SY", "bzip2 -dc"),
            (b"PK\x03\x04", "a ZIP archive"),
            (b"\x7fELF\x02\0", "it is a binary file"),
        ];
        for (head, said) in table {
            let kind = ForeignKind::of(head, true).map(|kind| kind.to_string()).unwrap_or_default();
            assert!(kind.contains(said), "{}: {kind}", head.escape_ascii());
        }
    }

    #[test]
    fn texts_and_records_of_any_bytes_are_not_foreign() {
        for head in [&b""[..], b"{\"key\":", b"BZh9;1", b"PK;1", b"\xc3\xbc,1", b"\xef\xbb\xbf{"] {
            assert_eq!(ForeignKind::of(head, true), None, "{}", head.escape_ascii());
        }
        assert_eq!(ForeignKind::of(b"a\0b\0", false), None, "CSV holds any bytes");
    }
}
