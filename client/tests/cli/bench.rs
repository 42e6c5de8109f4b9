//! `roundtable bench` as a process, against a store in memory.

use crate::support::{MemoryStore, command, must_end_with, signal, until};

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
        "--keep",
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
fn bench_removes_the_keys_that_it_made_and_no_others() {
    let store = MemoryStore::start();
    let put = |key: &str| must_end_with(store.run(&["put", key, "kept"], b""), 0);
    for key in ["bench/0000000003", "bench/other", "bench/0000000051"] {
        let _ = put(key);
    }
    let load = "bench --ops 300 --keys 50 --connections 4 --warmup 1ms --workload ycsb-d --preload --json";
    let load: Vec<&str> = load.split(' ').collect();
    let output = must_end_with(store.run(&load, b""), 0);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("removing ") && said.contains("--keep"), "{said}");
    // The two that were there before and were overwritten are not the run's, unless it inserted them.
    assert!(store.value(b"bench/0000000003").is_some() && store.value(b"bench/other").is_some());
    assert_eq!(store.len(), 2, "{said}");

    must_end_with(store.run(&[&load[..], &["--keep"]].concat(), b""), 0);
    assert!(store.len() >= 51);
    let reads = "bench --ops 50 --keys 50 --warmup 1ms --workload get".split(' ').collect::<Vec<_>>();
    let output = must_end_with(store.run(&reads, b""), 0);
    assert!(!String::from_utf8_lossy(&output.stderr).contains("removing"));
    assert!(store.len() >= 51, "reading makes no keys");
}

#[test]
fn bench_ended_by_a_signal_removes_its_keys_too() {
    let store = MemoryStore::start();
    let load = "bench --workload put --keys 100 --duration 1h --connections 4 --rate 500";
    let load: Vec<&str> = load.split(' ').collect();
    let bench = command(&store.with_router(&load)).spawn().unwrap();
    until("keys are there", || store.len() > 20);
    signal(&bench, "INT");
    let output = must_end_with(bench.wait_with_output().unwrap(), 130);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("interrupted: the measurement has no result"), "{said}");
    assert_eq!(store.len(), 0, "{said}");
}

#[test]
fn bench_says_which_keys_it_could_not_remove() {
    let store = MemoryStore::start();
    store.refuse_deletes();
    let load = "bench --ops 20 --keys 5 --connections 1 --warmup 1ms --workload put --key-prefix p/";
    let load: Vec<&str> = load.split(' ').collect();
    let output = must_end_with(store.run(&load, b""), 0);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let expected = "could not be removed: 503; what begins with \"p/\" is left";
    assert!(said.contains(expected), "{said}");
}

#[test]
fn bench_takes_a_prefix_of_any_bytes() {
    use std::os::unix::ffi::OsStringExt as _;
    let store = MemoryStore::start();
    let prefix = std::ffi::OsString::from_vec(b"\xf0/".to_vec());
    let load = "bench --ops 20 --keys 1 --warmup 1ms --workload put --keep --key-prefix";
    let load = load.split(' ').map(Into::into).chain([prefix]).collect::<Vec<std::ffi::OsString>>();
    must_end_with(store.run(&load, b""), 0);
    assert!(store.value(b"\xf0/0000000000").is_some());
}
