//! `roundtable` as a process, against a store in memory.

use crate::support::{MemoryStore, command, finish, must_end_with, run};

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
    must_end_with(store.run(&["put", "dashed file", "--file", "-"], &bytes), 0);
    must_end_with(store.run(&["put", "../filed", "--file", file], b"not read"), 0);
    for key in ["piped", "dashed", "dashed file", "../filed"] {
        assert_eq!(store.value(key.as_bytes()).unwrap(), bytes, "{key}");
        assert_eq!(must_end_with(store.run(&["get", key], b""), 0).stdout, bytes, "{key}");
        assert_eq!(must_end_with(store.run(&["get", key, "--file", "-"], b""), 0).stdout, bytes, "{key}");
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

#[test]
fn completions_know_commands_and_options() {
    for shell in ["bash", "zsh", "fish"] {
        let script = text(&must_end_with(run(&["completions", shell], b""), 0).stdout);
        let option = if shell == "fish" { "-l router" } else { "--router" };
        assert!(script.contains("import") && script.contains(option), "{shell}");
    }
}

#[test]
fn list_of_routers_may_be_empty_in_the_environment_or_have_empty_elements() {
    let store = MemoryStore::start();
    let with_variable = |value: &str, arguments: &[&str]| {
        let child = command(arguments).env("ROUNDTABLE_ROUTERS", value).spawn().unwrap();
        finish(child, b"")
    };
    let address = store.address();
    for value in [format!("{address},"), format!(",{address}"), format!("{address}, ")] {
        must_end_with(with_variable(&value, &["put", "k", "v"]), 0);
        must_end_with(run(&["get", "k", "--router", &value], b""), 0);
    }
    // An empty variable is none: the flag, and else the default, holds.
    must_end_with(with_variable("", &["get", "k", "--router", address]), 0);
    let unset = with_variable("", &["status", "--timeout", "100ms"]);
    assert!(text(&unset.stdout).contains("http://127.0.0.1:7400"), "{}", text(&unset.stderr));
    let nothing = must_end_with(run(&["get", "k", "--router", ","], b""), 2);
    assert!(text(&nothing.stderr).contains("names no router"), "{}", text(&nothing.stderr));
}

#[test]
fn read_without_an_answer_is_not_called_a_change_that_was_not_applied() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nobody = format!("http://{nobody}");
    let said = |arguments: &[&str]| {
        let all = [arguments, &["--router", &nobody, "--timeout", "100ms"]].concat();
        text(&must_end_with(run(&all, b""), 5).stderr)
    };
    for read in [&["get", "k"][..], &["list"], &["where", "k"], &["export"]] {
        let said = said(read);
        assert!(said.contains("no answer after") && !said.contains("applied"), "{read:?}: {said}");
    }
    let said = said(&["put", "k", "v"]);
    assert!(said.contains("not applied after"), "{said}");
}
