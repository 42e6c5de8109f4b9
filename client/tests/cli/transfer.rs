//! Import and export as processes, against a store in memory.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

use crate::support::{MemoryStore, Stored, must_end_with, names, now_ms};

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Imports the text, exports it with the same options, and requires the same bytes.
fn round_trip(options: &[&str], input: &[u8]) {
    let store = MemoryStore::start();
    let import: Vec<&str> = ["import", "--json"].iter().chain(options).copied().collect();
    must_end_with(store.run(&import, input), 0);
    let export: Vec<&str> = ["export"].iter().chain(options).copied().collect();
    let exported = must_end_with(store.run(&export, b""), 0).stdout;
    assert_eq!(text(&exported), text(input));
    assert_eq!(exported, input);
}

#[test]
fn export_gives_back_what_import_took() {
    let ndjson: String = (0..2000)
        .map(|number| format!("{{\"key\":\"k/{number:05}\",\"value\":\"v\\n\\\"é {number}\"}}\n"))
        .collect();
    round_trip(&[], ndjson.as_bytes());
    round_trip(
        &["--key-prefix", "p/"],
        b"{\"key\":\"a\",\"value_b64\":\"/w==\"}\n{\"key_b64\":\"/wA=\",\"value\":\"\"}\n",
    );
    round_trip(&["--format", "tsv", "--delimiter", ";"], b"0041;A;\"Lu\n0042;B;;x\n10000;C; \n");
    round_trip(&["--format", "tsv", "--key-column", "2"], b"z\ta\r\ny\tb\r\n");
    round_trip(
        &["--format", "csv", "--key-column", "id", "--key-prefix", "t/"],
        b"name,id\n\"two\nlines, \"\"quoted\"\"\",a\nplain,\"b\"\n",
    );
}

#[test]
fn import_reports_bad_lines_and_stores_the_others() {
    let store = MemoryStore::start();
    let long = "k".repeat(5000);
    let input = format!(
        "{{\"key\":\"a\",\"value\":\"1\"}}\nnonsense\n\n{{\"key\":\"{long}\",\"value\":\"x\"}}\n{{\"key\":\"b\",\"value\":\"2\"}}\n"
    );
    let output = must_end_with(store.run(&["import", "--json"], input.as_bytes()), 7);
    let said = text(&output.stderr);
    assert!(said.contains("line 2: not a JSON object") && said.contains("line 4: key"), "{said}");
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&summary["done"], &summary["failed"], &summary["skipped"]),
        (&2.into(), &2.into(), &1.into())
    );
    assert_eq!(store.len(), 2);
}

#[test]
fn import_stops_at_the_first_error_if_asked() {
    let store = MemoryStore::start();
    let mut input = b"nonsense\n".to_vec();
    for number in 0..500 {
        input.extend(format!("{{\"key\":\"{number}\",\"value\":\"\"}}\n").bytes());
    }
    must_end_with(store.run(&["import", "--stop-on-error"], &input), 7);
    assert_eq!(store.len(), 0);
}

#[test]
fn import_keeps_the_order_of_records_with_one_key() {
    let store = MemoryStore::start();
    let input: String =
        (0..300).map(|number| format!("{{\"key\":\"k\",\"value\":\"{number}\"}}\n")).collect();
    must_end_with(store.run(&["import"], input.as_bytes()), 0);
    assert_eq!(store.value(b"k").unwrap(), "299");
}

#[test]
fn import_leaves_out_what_has_expired_and_refuses_to_overwrite_if_asked() {
    let store = MemoryStore::start();
    let past = b"{\"key\":\"old\",\"value\":\"x\",\"expires\":1000}\n";
    must_end_with(store.run(&["import"], past), 0);
    assert_eq!(store.len(), 0);
    let record = b"{\"key\":\"a\",\"value\":\"1\"}\n";
    must_end_with(store.run(&["import", "--create"], record), 0);
    must_end_with(store.run(&["import", "--create"], record), 7);
}

#[test]
fn export_to_a_file_puts_it_in_place_and_reports_what_does_not_fit() {
    let store = MemoryStore::start();
    must_end_with(store.run(&["put", "a", "a\tone"], b""), 0);
    must_end_with(store.run(&["put", "b", "no such field"], b""), 0);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("out.tsv");
    let output = store.run(&["export", file.to_str().unwrap(), "--format", "tsv"], b"");
    let said = text(&must_end_with(output, 7).stderr);
    assert!(said.contains("key \"b\": the record's key field is"), "{said}");
    assert_eq!(std::fs::read(&file).unwrap(), b"a\tone\n");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no partial file is left");
}

/// Keys, values, content types and expiries of many kinds, as a store keeps them.
fn samples() -> Vec<(Vec<u8>, Stored)> {
    let hour = now_ms() + 3_600_000;
    let sample = |value: &[u8], content_type: Option<&[u8]>, expires| Stored {
        version: 1,
        value: value.to_vec().into(),
        content_type: content_type.map(<[u8]>::to_vec),
        expires,
    };
    vec![
        (b"plain".to_vec(), sample(b"1", None, None)),
        (b"text".to_vec(), sample("\u{e9}\n\"".as_bytes(), Some(b"text/plain; charset=utf-8"), None)),
        (b"\xf0\0/\xff".to_vec(), sample(b"\0\xfe", Some(b"x/\xff\xe9"), Some(hour))),
        (b"lease".to_vec(), sample(b"", None, Some(hour))),
        (b"quoted".to_vec(), sample(b"[1]", Some(b"application/json; a=\"b,c\""), Some(hour))),
    ]
}

/// Requires that a store has these, expiries to within the time that the way takes.
#[track_caller]
fn must_hold(store: &MemoryStore, samples: &[(Vec<u8>, Stored)]) {
    assert_eq!(store.len(), samples.len());
    for (key, expected) in samples {
        let found = store.stored(key).unwrap_or_else(|| panic!("{} is missing", key.escape_ascii()));
        assert_eq!(
            (&found.value, &found.content_type, found.expires.is_some()),
            (&expected.value, &expected.content_type, expected.expires.is_some()),
            "{}",
            key.escape_ascii()
        );
        let expiries = found.expires.zip(expected.expires);
        assert!(expiries.is_none_or(|(found, expected)| found.abs_diff(expected) < 30_000));
    }
}

#[test]
fn backup_carries_key_value_content_type_and_expiry() {
    let (from, to) = (MemoryStore::start(), MemoryStore::start());
    for (key, stored) in samples() {
        from.store(&key, stored);
    }
    let exported = must_end_with(from.run(&["export"], b""), 0).stdout;
    must_end_with(to.run(&["import"], &exported), 0);
    must_hold(&to, &samples());
    assert!(
        text(&exported).contains("\"content_type\":\"text/plain; charset=utf-8\""),
        "{}",
        text(&exported)
    );
}

#[test]
fn delimited_files_carry_content_type_and_expiry_if_asked() {
    for (format, separator) in [("csv", ","), ("tsv", "\t")] {
        let (from, to) = (MemoryStore::start(), MemoryStore::start());
        // A value is the record that has its key.
        let mut expected = samples();
        expected.retain(|(key, _)| !key.contains(&0));
        for (key, stored) in &mut expected {
            stored.value = [&key[..], b"1"].join(separator.as_bytes()).into();
            from.store(key, stored.clone());
        }
        let options = ["--format", format, "--attributes"];
        let exported = must_end_with(from.run(&[&["export"][..], &options].concat(), b""), 0).stdout;
        must_end_with(to.run(&[&["import"][..], &options].concat(), &exported), 0);
        must_hold(&to, &expected);

        let output = must_end_with(from.run(&["export", "--format", format], b""), 0);
        let said = text(&output.stderr);
        assert!(said.contains("3 value(s) have a content type or an expiry, which"), "{said}");
    }
    // The header line names the two columns, and is stored without them.
    let store = MemoryStore::start();
    let input = "name,id,content_type,expires\nx,a,text/x,\n\"y\",b,,\r\n";
    let options = ["--format", "csv", "--key-column", "id", "--attributes"];
    must_end_with(store.run(&[&["import"][..], &options].concat(), input.as_bytes()), 0);
    assert_eq!(store.value(b"#header").unwrap(), "name,id");
    let exported = must_end_with(store.run(&[&["export"][..], &options].concat(), b""), 0).stdout;
    assert_eq!(text(&exported), input);
}

#[test]
fn options_of_an_import_go_before_what_the_file_says() {
    let day = now_ms() + 86_400_000;
    let line = format!("{{\"key\":\"a\",\"value\":\"1\",\"content_type\":\"text/x\",\"expires\":{day}}}\n");
    let past = "{\"key\":\"a\",\"value\":\"1\",\"expires\":1000}\n";
    let import = |options: &[&str], line: &str| {
        let store = MemoryStore::start();
        must_end_with(store.run(&[&["import"][..], options].concat(), line.as_bytes()), 0);
        store.stored(b"a").map(|stored| (stored.content_type, stored.expires))
    };
    let (content_type, expires) = import(&[], &line).unwrap();
    assert_eq!(content_type.as_deref(), Some(&b"text/x"[..]));
    assert!(expires.unwrap().abs_diff(day) < 30_000);
    let hour = now_ms() + 3_600_000;
    for line in [&line, past] {
        let (content_type, expires) = import(&["--ttl", "1h", "--content-type", "text/y"], line).unwrap();
        assert_eq!(content_type.as_deref(), Some(&b"text/y"[..]));
        assert!(expires.unwrap().abs_diff(hour) < 60_000);
        assert_eq!(import(&["--ttl", "none"], line).unwrap().1, None);
    }
    assert_eq!(import(&[], past), None);
}

#[test]
fn keys_and_parts_of_keys_may_be_any_bytes() {
    let bytes = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
    let store = MemoryStore::start();
    let import = ["import".into(), "--key-prefix".into(), bytes(b"\xf0")];
    must_end_with(
        store.run(&import, b"{\"key\":\"a\",\"value\":\"1\"}\n{\"key\":\"b\",\"value\":\"2\"}\n"),
        0,
    );
    must_end_with(store.run(&["put", "other", "3"], b""), 0);
    assert_eq!(store.value(b"\xf0a").unwrap(), "1");
    let export = |options: &[(&str, &[u8])]| {
        let options = options.iter().flat_map(|(name, value)| [OsString::from(name), bytes(value)]);
        let arguments: Vec<OsString> = [OsString::from("export")].into_iter().chain(options).collect();
        text(&must_end_with(store.run(&arguments, b""), 0).stdout)
    };
    let (a, b) = ("{\"key\":\"a\",\"value\":\"1\"}\n", "{\"key\":\"b\",\"value\":\"2\"}\n");
    assert_eq!(export(&[("--key-prefix", b"\xf0")]), [a, b].concat());
    assert_eq!(export(&[("--key-prefix", b"\xf0"), ("--start", b"\xf0b")]), b);
    assert_eq!(export(&[("--key-prefix", b"\xf0"), ("--end", b"\xf0b")]), a);
    // The header's key and name, and the delimiter, too.
    let options = [
        ("--format", &b"csv"[..]),
        ("--key-column", b"\xe9"),
        ("--header-key", b"\xff"),
        ("--delimiter", b"\xa7"),
    ];
    let options: Vec<OsString> =
        options.iter().flat_map(|(name, value)| [OsString::from(name), bytes(value)]).collect();
    let store = MemoryStore::start();
    let with = |command: &str| [&[OsString::from(command)], &options[..]].concat();
    must_end_with(store.run(&with("import"), b"\xe9\xa7x\nk\xa71\n"), 0);
    assert_eq!(store.value(b"\xff").unwrap(), &b"\xe9\xa7x"[..]);
    assert_eq!(must_end_with(store.run(&with("export"), b""), 0).stdout, b"\xe9\xa7x\nk\xa71\n");
}

/// What an import of these bytes says, which ends with this code.
#[track_caller]
fn complaint(options: &[&str], input: &[u8], code: i32) -> String {
    let store = MemoryStore::start();
    let arguments = [&["import"][..], options].concat();
    let said = text(&must_end_with(store.run(&arguments, input), code).stderr);
    if code == 1 {
        assert_eq!(store.len(), 0, "{said}");
    }
    said
}

#[test]
fn import_names_a_file_that_is_no_ndjson() {
    let record = "{\"key\":\"a\",\"value\":\"1\"}\n";
    let utf16 = |to_bytes: fn(u16) -> [u8; 2], mark: &str| -> Vec<u8> {
        format!("{mark}{record}").encode_utf16().flat_map(to_bytes).collect()
    };
    for (input, named) in [
        (
            utf16(u16::to_le_bytes, "\u{feff}"),
            "it is UTF-16; convert it first: iconv -f UTF-16 -t UTF-8 FILE",
        ),
        (
            utf16(u16::to_be_bytes, "\u{feff}"),
            "it is UTF-16; convert it first: iconv -f UTF-16 -t UTF-8 FILE",
        ),
        (utf16(u16::to_le_bytes, ""), "it is UTF-16; convert it first: iconv -f UTF-16LE -t UTF-8 FILE"),
        (b"\x1f\x8b\x08\0\0\0".to_vec(), "it is compressed with gzip; convert it first: gzip -dc FILE"),
        (b"\x28\xb5\x2f\xfd\0".to_vec(), "it is compressed with zstd; convert it first: zstd -dc FILE"),
        (
            b"[{\"key\":\"a\",\"value\":\"1\"}]".to_vec(),
            "it is a JSON array; convert it first: jq -c '.[]' FILE",
        ),
        (
            b"{\n\"key\":\"a\"\n}".to_vec(),
            "it is a JSON document over several lines; convert it first: jq -c . FILE",
        ),
    ] {
        let said = complaint(&[], &input, 1);
        assert_eq!(said, format!("roundtable: standard input: {named} | roundtable import\n"));
    }
    complaint(&[], format!("\u{feff}{record}").as_bytes(), 0);
}

#[test]
fn import_gives_one_position_that_of_the_file() {
    let good = "{\"key\":\"a\",\"value\":\"1\"}\n";
    let input = format!("\u{feff}{good}\n  {{\"key\":\"\u{e9}\",\"value\":1}}\n{good}[1]\nname,code\n");
    let said = complaint(&[], input.as_bytes(), 7);
    assert!(said.contains("line 3, column 22: not a JSON object with key and value: invalid type"), "{said}");
    assert!(said.contains("line 5: not a JSON object but text that begins with \"[1]\""), "{said}");
    assert!(said.contains("line 6: ") && said.contains("read with --format"), "{said}");
    assert!(!said.contains("line 1") && !said.contains("struct"), "{said}");
    let said = complaint(&["--format", "csv"], b"a,1\n\"b\n,2\n", 7);
    assert!(said.contains("line 2: a quoted field has no end"), "{said}");
}

#[test]
fn export_that_stops_at_an_error_leaves_the_file_as_it_was() {
    let store = MemoryStore::start();
    must_end_with(store.run(&["put", "a", "no such field"], b""), 0);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("out.tsv");
    std::fs::write(&file, "an older backup").unwrap();
    let arguments = ["export", file.to_str().unwrap(), "--format", "tsv", "--stop-on-error"];
    must_end_with(store.run(&arguments, b""), 7);
    assert_eq!(std::fs::read(&file).unwrap(), b"an older backup");
    assert_eq!(names(folder.path()), ["out.tsv"]);
}
