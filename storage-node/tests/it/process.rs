//! The binary as a child process: signals, exit codes, messages.

use std::io::Read;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Instant;

use roundtable_common::wire::Target;
use roundtable_consensus::{ReplyBody, RequestBody};
use rustix::process::{Pid, Signal, kill_process};

use crate::support::{
    PATIENCE, accept, free_ports, hello, key, next_ballot, register, replies, request, until,
};

/// A node as a process of its own; killed when it is dropped.
pub(crate) struct NodeProcess {
    child: Child,
    pub(crate) address: SocketAddr,
}

/// Writes the `cluster.toml` of one node that listens at `port`.
pub(crate) fn write_cluster_file(dir: &Path, port: u16) -> std::path::PathBuf {
    let path = dir.join("cluster.toml");
    let text = format!(
        "version = 1\nreplication_factor = 1\npartitions = 16\n[[nodes]]\nid = \"n1\"\naddress = \"127.0.0.1:{port}\"\n"
    );
    std::fs::write(&path, text).unwrap();
    path
}

/// The command of a node with data in `dir/data`.
pub(crate) fn arguments(dir: &Path, cluster: &Path) -> Vec<String> {
    let data = dir.join("data");
    let words = [
        "--cluster",
        cluster.to_str().unwrap(),
        "--id",
        "n1",
        "--data-dir",
        data.to_str().unwrap(),
        "--free-bytes-min",
        "0",
        "--log-level",
        "warn",
    ];
    words.map(str::to_owned).to_vec()
}

impl NodeProcess {
    /// Starts `program` and waits until the node votes.
    pub(crate) async fn start(mut command: Command, port: u16) -> Self {
        let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let node = Self { child, address };
        until(async || {
            let connected = tokio::net::TcpStream::connect(address).await.is_ok();
            if connected && hello(address).await.ready { Some(()) } else { None }
        })
        .await;
        node
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    pub(crate) async fn target(&self) -> Target {
        let told = hello(self.address).await;
        let adopted = told.adopted.unwrap();
        Target {
            cluster: adopted.cluster,
            node: told.node,
            storage: told.storage,
            epoch: adopted.configuration.epoch,
        }
    }

    /// Waits until the process ends; returns how, and what it wrote to standard error.
    pub(crate) async fn ended(mut self) -> (ExitStatus, String) {
        let status = wait(&mut self.child).await;
        let mut text = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
        (status, text)
    }
}

impl Drop for NodeProcess {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

async fn wait(child: &mut Child) -> ExitStatus {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        assert!(started.elapsed() < PATIENCE, "the process does not end");
        tokio::task::yield_now().await;
    }
}

pub(crate) fn node_command(dir: &Path, cluster: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_roundtable-node"));
    command.args(arguments(dir, cluster));
    command
}

/// Runs the binary to its end.
fn run(arguments: &[&str]) -> (ExitStatus, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_roundtable-node")).args(arguments).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    (output.status, text)
}

#[tokio::test]
async fn process_told_to_stop_drains_flushes_and_exits_with_zero() {
    let dir = tempfile::tempdir().unwrap();
    let port = free_ports(1)[0];
    let cluster = write_cluster_file(dir.path(), port);
    for round in 0..2 {
        let node = NodeProcess::start(node_command(dir.path(), &cluster), port).await;
        let target = node.target().await;
        let key = key("k");
        if round == 0 {
            let written = request(1, &key, accept(register(next_ballot(), "v")));
            let answered = replies(node.address, &target, &[written]).await;
            assert!(matches!(answered[0].body, ReplyBody::Accepted { .. }));
        } else {
            let read = request(1, &key, RequestBody::Read { want_value: true });
            let answered = replies(node.address, &target, &[read]).await;
            assert!(matches!(&answered[0].body, ReplyBody::State(found) if !found.is_absent()));
        }
        node.signal(Signal::TERM);
        let (status, text) = node.ended().await;
        assert!(status.success(), "{status}: {text}");
    }
}

#[tokio::test]
async fn second_process_on_one_data_directory_is_told_who_holds_it() {
    let dir = tempfile::tempdir().unwrap();
    let ports = free_ports(2);
    let cluster = write_cluster_file(dir.path(), ports[0]);
    let node = NodeProcess::start(node_command(dir.path(), &cluster), ports[0]).await;
    let mut second = node_command(dir.path(), &cluster);
    second.args(["--listen", &format!("127.0.0.1:{}", ports[1])]);
    let output = second.output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    assert!(text.contains("in use") && text.contains(&node.child.id().to_string()), "{text}");
    // And on one port: the port is named, the directory untouched.
    let output = node_command(&dir.path().join("other"), &cluster).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains(&ports[0].to_string()) && text.contains("in use"), "{text}");
    assert!(!dir.path().join("other").exists());
}

#[test]
fn address_beyond_loopback_needs_the_insecure_flag() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = write_cluster_file(dir.path(), free_ports(1)[0]);
    let mut command = node_command(dir.path(), &cluster);
    let output = command.args(["--listen", "0.0.0.0:0"]).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && text.contains("--insecure-listen"), "{text}");
}

#[test]
fn check_tells_what_is_wrong_and_starts_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = write_cluster_file(dir.path(), 7410);
    let cluster = cluster.to_str().unwrap();
    let data = dir.path().join("data");
    let base = ["--cluster", cluster, "--id", "n1", "--data-dir", data.to_str().unwrap(), "--check"];
    let (status, text) = run(&base);
    assert!(status.success() && text.contains("fine"), "{text}");
    let (status, text) = run(&[&base[..], &["--shards", "0", "--block-cache", "much"]].concat());
    assert!(!status.success() && text.contains("shards") && text.contains("block-cache"), "{text}");
    let (status, text) = run(&["--cluster", cluster, "--id", "n7", "--data-dir", "x", "--check"]);
    assert!(!status.success() && text.contains("n7"), "{text}");
    let (status, text) = run(&["--cluster", "/nowhere.toml", "--id", "n1", "--data-dir", "x"]);
    assert!(!status.success() && text.contains("/nowhere.toml"), "{text}");
    assert!(!data.exists());
}

#[test]
fn help_and_version_are_told() {
    let (status, text) = run(&["--help"]);
    assert!(
        status.success()
            && text.contains("ROUNDTABLE_NODE_BLOCK_CACHE")
            && text.contains("--insecure-listen"),
        "{text}"
    );
    let (status, text) = run(&["--version"]);
    assert!(status.success() && text.contains(env!("CARGO_PKG_VERSION")), "{text}");
}
