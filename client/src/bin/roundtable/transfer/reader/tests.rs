use super::*;

fn delimited(key_column: KeyColumn, quoting: bool) -> Layout {
    let header_key = matches!(key_column, KeyColumn::Name(_)).then(|| "#header".into());
    let dialect = Dialect { delimiter: b';', quoting };
    Layout::Delimited { dialect, key_column, header_key, attributes: false }
}

/// Line number and key, error or blank of every entry.
fn entries(text: impl AsRef<[u8]>, layout: Layout) -> Vec<(u64, String)> {
    let text = text.as_ref();
    // Bytes may come one by one, as through a slow pipe.
    let mut reader = RecordReader::new(io::BufReader::with_capacity(1, text), layout);
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
    assert!(
        entries[0].1.starts_with("error: not a JSON object but text that begins with \"nonsense\""),
        "{}",
        entries[0].1
    );
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

/// What stops the reading of this text at its first record.
fn refusal(text: &[u8], layout: Layout) -> String {
    RecordReader::new(text, layout).next().unwrap_err().to_string()
}

#[test]
fn byte_order_mark_is_no_part_of_the_first_record() {
    let text = "\u{feff}{\"key\":\"a\",\"value\":\"1\"}\n\u{feff}{\"key\":\"b\",\"value\":\"2\"}\n";
    assert_eq!(entries(text, Layout::Ndjson), [(1, "a=1".to_owned()), (2, "b=2".to_owned())]);
    let found = entries("\u{feff}code;x\na;1", delimited(KeyColumn::Name("code".into()), true));
    assert_eq!(found, [(1, "#header=code;x".to_owned()), (2, "a=a;1".to_owned())]);
    assert_eq!(entries("\u{feff}", Layout::Ndjson), []);
    // Elsewhere in such a file it is a character like any other.
    let found = entries("a;1\n\u{feff}b;2\n", delimited(KeyColumn::Number(1), true));
    assert_eq!(found[1].1, "\\xef\\xbb\\xbfb=\\xef\\xbb\\xbfb;2");
}

#[test]
fn file_of_another_kind_is_named_with_what_to_do() {
    let utf16: Vec<u8> = "\u{feff}{\"key\":\"a\"}\n".encode_utf16().flat_map(u16::to_be_bytes).collect();
    assert!(refusal(&utf16, Layout::Ndjson).contains("UTF-16; convert it first: iconv"));
    assert!(refusal(b"\x1f\x8b\x08", delimited(KeyColumn::Number(1), true)).contains("gzip"));
    for array in ["[]", "\n [\n{\"key\":\"a\",\"value\":\"1\"}]", "\u{feff}[{\"key\":\"a\",\"value\":\"1\"}]"]
    {
        let mut reader = RecordReader::new(array.as_bytes(), Layout::Ndjson);
        let refused = std::iter::repeat_with(|| reader.next()).find_map(Result::err).unwrap().to_string();
        assert!(refused.contains("a JSON array; convert it first: jq -c '.[]'"), "{refused}");
    }
    let document = b"{\n  \"key\": \"a\",\n  \"value\": \"1\"\n}\n";
    assert!(refusal(document, Layout::Ndjson).contains("over several lines; convert it first: jq -c ."));
}

#[test]
fn record_that_is_cut_off_at_the_end_of_the_file_is_that_records_error() {
    let found = entries("{\"key\":\"a\",\"val", Layout::Ndjson);
    assert!(found[0].1.contains("EOF"), "{found:?}");
    let found = entries("{\"key\":\"a\",\"value\":\"1\"}\n[1]\n", Layout::Ndjson);
    assert!(found[1].1.contains("begins with \"[1]\""), "{found:?}");
}

#[test]
fn delimited_attributes_are_no_part_of_header_and_value() {
    let Layout::Delimited { dialect, key_column, header_key, .. } =
        delimited(KeyColumn::Name("code".into()), true)
    else {
        panic!("fields")
    };
    let layout = Layout::Delimited { dialect, key_column, header_key, attributes: true };
    let text = b"code;x;content_type;expires\na;1;\"text/x; a=b\";9\nb;2\n";
    let mut reader = RecordReader::new(&text[..], layout.clone());
    let mut next = || match reader.next().unwrap().unwrap().entry {
        Entry::Record(record) => record,
        Entry::Blank => panic!("no blank line"),
    };
    assert_eq!(next().unwrap().value, "code;x");
    let record = next().unwrap();
    assert_eq!((&record.key[..], &record.value[..]), (&b"a"[..], &b"a;1"[..]));
    assert_eq!((record.content_type, record.expires_at_ms), (Some("text/x; a=b".into()), Some(9)));
    assert_eq!(next(), Err(RecordError::NoAttributes));
    assert!(refusal(b"code;x\n", layout).contains("--attributes"));
}
