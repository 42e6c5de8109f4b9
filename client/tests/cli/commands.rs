//! `roundtable` as a process, against a store in memory.

use crate::support::{MemoryStore, must_end_with, run};

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn values_pass_through_unchanged_by_argument_file_and_pipe() {
    let store = MemoryStore::start();
    let bytes: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("value");
    std::fs::write(&path, &bytes).unwrap();
    let file = path.to_str().unwrap();

    must_end_with(store.run(&["put", "piped"], &bytes), 0);
    must_end_with(store.run(&["put", "dashed", "-"], &bytes), 0);
    must_end_with(store.run(&["put", "../filed", "--file", file], b"not read"), 0);
    for key in ["piped", "dashed", "../filed"] {
        assert_eq!(store.value(key.as_bytes()).unwrap(), bytes, "{key}");
        assert_eq!(must_end_with(store.run(&["get", key], b""), 0).stdout, bytes, "{key}");
    }
    must_end_with(store.run(&["put", "given", "text"], b"not read"), 0);
    must_end_with(store.run(&["get", "given", "--file", file], b""), 0);
    assert_eq!(std::fs::read(&path).unwrap(), b"text");
}

#[test]
fn exit_codes_tell_scripts_what_happened() {
    let store = MemoryStore::start();
    let absent = must_end_with(store.run(&["get", "absent"], b""), 3);
    assert_eq!(text(&absent.stderr), "roundtable: the key \"absent\" does not exist\n");
    must_end_with(store.run(&["delete", "absent"], b""), 3);
    must_end_with(store.run(&["put", "a", "1", "--create"], b""), 0);
    must_end_with(store.run(&["put", "a", "2", "--create"], b""), 4);
    must_end_with(store.run(&["put", ""], b""), 2);
    must_end_with(store.run(&["put", "a", "--ttl", "soon"], b""), 2);
    must_end_with(store.run(&["put", "a", "--file", "/nonexistent/file"], b""), 1);
    must_end_with(store.run(&["increment", "a"], b""), 1);
    must_end_with(run(&["get", "a", "--router", "https://127.0.0.1:1"], b""), 2);
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nobody = format!("http://{nobody}");
    must_end_with(run(&["put", "a", "b", "--router", &nobody, "--timeout", "100ms"], b""), 5);
    must_end_with(run(&["status", "--router", &nobody, "--timeout", "100ms"], b""), 5);
}

#[test]
fn json_output_is_one_object_a_line() {
    let store = MemoryStore::start();
    let put = must_end_with(store.run(&["put", "k", "v", "--json"], b""), 0);
    assert_eq!(text(&put.stdout), "{\"key\":\"k\",\"etag\":\"0000000000000001\",\"created\":true}\n");
    let get = must_end_with(store.run(&["get", "k", "--json"], b""), 0);
    let get: serde_json::Value = serde_json::from_slice(&get.stdout).unwrap();
    assert_eq!((&get["value"], &get["size"]), (&"v".into(), &1.into()));
    let list = must_end_with(store.run(&["list", "--json"], b""), 0);
    assert_eq!(text(&list.stdout), "{\"key\":\"k\",\"etag\":\"0000000000000001\",\"size\":1}\n");
}

#[test]
fn list_prints_keys_in_order_up_to_the_limit() {
    let store = MemoryStore::start();
    for key in ["b", "a", "c", "other"] {
        must_end_with(store.run(&["put", key, "v"], b""), 0);
    }
    assert_eq!(text(&must_end_with(store.run(&["list", "--limit", "2"], b""), 0).stdout), "a\nb\n");
    assert_eq!(text(&must_end_with(store.run(&["list", "--prefix", "o", "-0"], b""), 0).stdout), "other\0");
}

#[test]
fn list_count_prints_the_number_of_keys_alone() {
    let store = MemoryStore::start();
    for key in ["a/1", "a/2", "b"] {
        must_end_with(store.run(&["put", key, "v"], b""), 0);
    }
    assert_eq!(text(&must_end_with(store.run(&["list", "--count"], b""), 0).stdout), "3\n");
    assert_eq!(text(&must_end_with(store.run(&["list", "--count", "--prefix", "a/"], b""), 0).stdout), "2\n");
    must_end_with(store.run(&["list", "--count", "--limit", "1"], b""), 2);
}

#[test]
fn delete_of_a_range_asks_first_unless_it_is_told_not_to() {
    let store = MemoryStore::start();
    for key in ["a/1", "a/2", "b/1", "c"] {
        must_end_with(store.run(&["put", key, "v"], b""), 0);
    }
    let refused = must_end_with(store.run(&["delete", "--prefix", "a/"], b"y\n"), 2);
    assert!(text(&refused.stderr).contains("--yes"), "{}", text(&refused.stderr));
    let asked = must_end_with(store.run_on_terminal(&["delete", "--prefix", "a/"], "no\n"), 1);
    assert!(text(&asked.stderr).contains("delete 2 keys? [y/N]"), "{}", text(&asked.stderr));
    must_end_with(store.run_on_terminal(&["delete", "--prefix", "a/"], "\n"), 1);
    assert_eq!(store.len(), 4);
    must_end_with(store.run_on_terminal(&["delete", "--prefix", "a/"], "y\n"), 0);
    assert_eq!(store.len(), 2);
    let done = must_end_with(store.run(&["delete", "--prefix", "b/", "--yes"], b""), 0);
    assert_eq!((text(&done.stderr), store.len()), ("roundtable: 1 keys deleted\n".to_owned(), 1));
    for contradiction in [&["delete"][..], &["delete", "c", "--prefix", "c"], &["delete", "c", "--yes"]] {
        must_end_with(store.run(contradiction, b""), 2);
    }
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

#[test]
fn bench_measures_what_it_sends() {
    let store = MemoryStore::start();
    let arguments = [
        "bench",
        "--ops",
        "200",
        "--keys",
        "50",
        "--connections",
        "4",
        "--warmup",
        "1ms",
        "--preload",
        "--json",
        "--reads",
        "50",
    ];
    let output = must_end_with(store.run(&arguments, b""), 0);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["operations"], &report["missing"]), (&200.into(), &0.into()), "{report}");
    assert_eq!(report["processes"][0]["id"], "bench");
    assert_eq!(store.len(), 50);
}

#[test]
fn completions_know_commands_and_options() {
    for shell in ["bash", "zsh", "fish"] {
        let script = text(&must_end_with(run(&["completions", shell], b""), 0).stdout);
        let option = if shell == "fish" { "-l router" } else { "--router" };
        assert!(script.contains("import") && script.contains(option), "{shell}");
    }
}
