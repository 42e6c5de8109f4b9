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
        let checked = "case \"$*\" in *--check*) exit 0;; esac";
        fs::write(&path, format!("#!/bin/sh\n{checked}\n{script}\n")).unwrap();
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
    assert!(said.contains(&format!("router r1: {listen} is in use")) && said.contains("--listen"), "{said}");
    assert!(!folder.path().join("data").exists(), "nothing was written");
}

#[test]
fn up_that_fails_at_first_leaves_a_later_one_free_to_choose() {
    let folder = tempfile::tempdir().unwrap();
    // Programs that end at once: whether they were started is what matters here.
    programs(folder.path(), "exit 3", "exit 3");
    let first = free_ports(4);
    let data = folder.path().join("data");
    let taken = TcpListener::bind(("127.0.0.1", first + 2)).unwrap();
    for (listen, node_port, said) in [
        (format!("127.0.0.1:{first}"), first + 1, "node n1"),
        ("0.0.0.0:7400".to_owned(), first + 1, "--insecure-listen"),
        (format!("127.0.0.1:{first}"), first - 1, "would both listen"),
    ] {
        let output = up(folder.path(), &listen, node_port);
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(message.contains(said), "{said}: {message}");
        assert!(!data.exists(), "nothing was written: {message}");
    }
    drop(taken);
    let listen = format!("localhost:{first}");
    must_end_with(up(folder.path(), &listen, first), 8);
    let file = fs::read_to_string(data.join("cluster.toml")).unwrap();
    assert!(file.contains(&format!("localhost:{}", first + 1)), "{file}");
    // From now on the file holds, and an option that says otherwise is an error.
    let output = must_end_with(up(folder.path(), &listen, first + 1), 2);
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    let held = format!("cluster.toml says that n1 listens on localhost:{}", first + 1);
    assert!(message.contains(&held) && message.contains("another --data-dir"), "{message}");
}

#[test]
fn up_lets_the_programs_check_their_settings_before_it_writes() {
    let folder = tempfile::tempdir().unwrap();
    programs(folder.path(), WAITS, WAITS);
    let refusal = "#!/bin/sh\ncase \"$*\" in *--check*) echo shards is out of range >&2; exit 1;; esac\n";
    fs::write(folder.path().join("roundtable-node"), refusal).unwrap();
    let first = free_ports(4);
    let output = must_end_with(up(folder.path(), &format!("127.0.0.1:{first}"), first), 8);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("n1 cannot start") && said.contains("shards is out of range"), "{said}");
    assert!(!folder.path().join("data").exists(), "nothing was written");
}

#[test]
fn up_makes_folders_and_files_for_their_owner_alone() {
    let folder = tempfile::tempdir().unwrap();
    programs(folder.path(), "exit 3", "exit 3");
    let first = free_ports(4);
    must_end_with(up(folder.path(), &format!("127.0.0.1:{first}"), first), 8);
    let data = folder.path().join("data");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    for name in ["cluster.toml", "up.lock", "logs/n1.log"] {
        assert_eq!(mode(&data.join(name)), 0o600, "{name}");
    }
    for folder in [data.clone(), data.join("logs"), data.join("nodes")] {
        assert_eq!(mode(&folder), 0o700, "{}", folder.display());
    }
}

#[test]
fn up_without_the_programs_says_where_it_looked() {
    let folder = tempfile::tempdir().unwrap();
    let output = must_end_with(up(folder.path(), "127.0.0.1:7400", 7410), 1);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("roundtable-node is not there; ") && said.contains("--bin-dir"), "{said}");
}
