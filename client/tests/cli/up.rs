//! `roundtable up` before its cluster is ready; with real programs it is tested end to end elsewhere.

#![expect(clippy::unwrap_used, reason = "a helper that cannot go on fails its test")]

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Output;
use std::sync::atomic::{AtomicU16, Ordering};

use crate::support::{must_end_with, run};

/// Puts shell scripts in the place of node and router.
fn programs(folder: &Path, node: &str, router: &str) {
    for (name, script) in [("roundtable-node", node), ("roundtable-router", router)] {
        let path = folder.join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
}

/// Runs `up` in this folder, with the programs in it, on ports that are free as far as can be known.
fn up(folder: &Path, listen: &str, node_port: u16) -> Output {
    let (data, programs) = (folder.join("data"), folder.to_str().unwrap());
    let node_port = node_port.to_string();
    let data = data.to_str().unwrap();
    let arguments =
        ["up", "--data-dir", data, "--bin-dir", programs, "--listen", listen, "--node-port", &node_port];
    run(&[&arguments[..], &["--ready-timeout", "5s", "--nodes", "2"]].concat(), b"")
}

/// The first of `count` successive ports at which nobody listens: below those that the system hands out by itself,
/// and at another place in each test and process.
fn free_ports(count: u16) -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let process = u16::try_from(std::process::id() % 130).unwrap() * 20;
    let is_free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    let places = (0..200).map(|_| 30_000 + (process + NEXT.fetch_add(count, Ordering::Relaxed)) % 2_700);
    places.into_iter().find(|&first| (first..first + count).all(is_free)).unwrap()
}

const WAITS: &str = "exec cat";

#[test]
fn up_reports_a_process_that_ends_at_once_with_its_log_and_stops_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let pid_file = folder.path().join("router.pid");
    let router = format!("echo $$ > {}; {WAITS}", pid_file.display());
    // Node 1 alone ends, once the router runs.
    let node = format!(
        "case \"$*\" in *'--id n2 '*) {WAITS};; esac
         until [ -s {} ]; do sleep 0.01; done
         echo the data directory is in use; exit 3",
        pid_file.display()
    );
    programs(folder.path(), &node, &router);
    let first = free_ports(4);
    let output = must_end_with(up(folder.path(), &format!("127.0.0.1:{first}"), first + 1), 8);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("node n1 ended by itself: exit status: 3"), "{said}");
    assert!(said.contains("the data directory is in use"), "{said}");
    assert!(!folder.path().join("data/processes.json").exists());
    let pid = fs::read_to_string(&pid_file).unwrap();
    assert!(!Path::new("/proc").join(pid.trim()).exists(), "the router is gone");
}

#[test]
fn up_names_a_port_in_use_and_the_option_that_changes_it() {
    let folder = tempfile::tempdir().unwrap();
    programs(folder.path(), WAITS, WAITS);
    let first = free_ports(4);
    let listen = format!("127.0.0.1:{first}");
    let _taken = TcpListener::bind(&listen).unwrap();
    let output = must_end_with(up(folder.path(), &listen, first + 1), 1);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains(&format!("router r1 cannot listen on {listen}")) && said.contains("--listen"),
        "{said}"
    );
}

#[test]
fn up_without_the_programs_says_where_it_looked() {
    let folder = tempfile::tempdir().unwrap();
    let output = must_end_with(up(folder.path(), "127.0.0.1:7400", 7410), 1);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("there is no roundtable-node in") && said.contains("--bin-dir"), "{said}");
}
