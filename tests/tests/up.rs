//! `roundtable up`: a local cluster that starts, serves, stops, and leaves nothing behind.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a helper that cannot go on fails its test"
)]

use std::net::TcpListener;
use std::path::Path;

use roundtable_tests::{Http, Port, Process, eventually, free_ports, is_alive};
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

/// `roundtable up` with a folder and ports of its own.
struct Up {
    process: Process,
    folder: TempDir,
    _ports: Vec<Port>,
}

impl Up {
    fn new() -> Self {
        let folder = TempDir::with_prefix("roundtable-test-").unwrap();
        let ports = free_ports(5);
        let (listen, node_port) = (ports[0].address(), ports[1].number().to_string());
        let process = up_process(folder.path(), &listen, &node_port, "up.log");
        Self { process, folder, _ports: ports }
    }

    async fn started() -> Self {
        let mut up = Self::new();
        up.process.start();
        up.ready().await;
        up
    }

    /// Waits until it serves and says so.
    async fn ready(&mut self) {
        self.process.ready().await;
        let file = self.folder.path().join("data/processes.json");
        eventually("processes.json is there", async || file.exists().then_some(())).await;
    }

    /// What `processes.json` says.
    fn processes(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.folder.path().join("data/processes.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    fn pids(&self) -> Vec<i64> {
        self.processes().iter().map(|process| process["pid"].as_i64().unwrap()).collect()
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.process.print_log();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn up_listens_on_a_host_name_and_refuses_options_that_its_folder_contradicts() {
    let mut up = Up::new();
    let (_, port) = up.process.address().rsplit_once(':').unwrap();
    let listen = format!("localhost:{port}");
    up.process.set_flag("--listen", &listen);
    up.process.start();
    let ready = format!("Roundtable is ready at http://{listen}");
    eventually("it is ready", async || up.process.log().contains(&ready).then_some(())).await;
    assert!(up.process.terminate().success());

    up.process.set_flag("--node-port", "22480");
    up.process.start();
    up.process
        .must_refuse_to_start(&["--node-port 22480", "cluster.toml says that n1 listens on localhost:"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn up_with_settings_that_are_not_accepted_writes_nothing() {
    let mut up = Up::new();
    let settings = up.folder.path().join("node.toml");
    std::fs::write(&settings, "no_such_setting = 1\n").unwrap();
    up.process.set_flag("--node-config", &settings.display().to_string());
    up.process.start();
    up.process.must_refuse_to_start(&["n1 cannot start", "no_such_setting is unknown"]);
    assert!(!up.folder.path().join("data").exists());
}

fn up_process(folder: &Path, listen: &str, node_port: &str, log: &str) -> Process {
    let data = folder.join("data").display().to_string();
    let arguments = ["up", "--data-dir", &data, "--listen", listen, "--node-port", node_port];
    Process::new("up", "roundtable", arguments.map(str::to_owned).to_vec(), &folder.join(log), listen)
}

async fn all_gone(pids: &[i64]) {
    eventually("all child processes are gone", async || pids.iter().all(|pid| !is_alive(*pid)).then_some(()))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn up_serves_names_its_processes_and_stops_on_ctrl_c() {
    let mut up = Up::started().await;
    up.process.http().put("a", "one").send().await.must_be(201);

    let processes = up.processes();
    let roles: Vec<_> =
        processes.iter().map(|p| (p["role"].as_str().unwrap(), p["id"].as_str().unwrap())).collect();
    assert_eq!(roles.iter().filter(|(role, _)| *role == "node").count(), 3);
    assert_eq!(roles.iter().filter(|(role, _)| *role == "router").count(), 1);
    assert!(roles.contains(&("node", "n1")) && roles.contains(&("node", "n3")), "{roles:?}");
    for process in &processes {
        assert!(is_alive(process["pid"].as_i64().unwrap()));
        let http = Http::new(process["address"].as_str().unwrap());
        http.get("/livez").send().await.must_be(200);
    }
    assert!(up.process.log().contains("curl"), "it says what to try: {}", up.process.log());

    let pids = up.pids();
    up.process.signal(Signal::INT);
    assert!(up.process.wait().success(), "{}", up.process.log());
    all_gone(&pids).await;

    // The data is kept, and found again.
    up.process.start();
    up.ready().await;
    assert_eq!(up.process.http().read("a").send().await.must_be(200).text(), "one");
    assert!(up.process.terminate().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn up_killed_takes_its_children_with_it() {
    let mut up = Up::started().await;
    let pids = up.pids();
    assert_eq!(pids.len(), 4);
    up.process.kill();
    all_gone(&pids).await;
    // Nothing is left that would hinder the next.
    up.process.start();
    up.ready().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn up_with_a_killed_node_goes_on() {
    let up = Up::started().await;
    let http = up.process.http();
    http.put("a", "one").send().await.must_be(201);
    let node = up.processes().into_iter().find(|process| process["id"] == "n2").unwrap();
    let pid = rustix::process::Pid::from_raw(i32::try_from(node["pid"].as_i64().unwrap()).unwrap()).unwrap();
    rustix::process::kill_process(pid, Signal::KILL).unwrap();
    for number in 0..20 {
        http.put("a", number.to_string()).send().await.must_be(204);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn up_twice_on_one_folder_is_refused() {
    let up = Up::started().await;
    let others = free_ports(5);
    let (listen, node_port) = (others[0].address(), others[1].number().to_string());
    let mut second = up_process(up.folder.path(), &listen, &node_port, "second.log");
    second.start();
    second.must_refuse_to_start(&["data"]);
    up.process.http().put("a", "unharmed").send().await.must_be(201);
    assert!(up.pids().iter().all(|pid| is_alive(*pid)));
}

#[tokio::test(flavor = "multi_thread")]
async fn up_with_a_port_in_use_names_it_and_leaves_nothing_behind() {
    for place in [0, 2] {
        let mut up = Up::new();
        let taken = up._ports[place].address();
        let _listener = TcpListener::bind(&taken).unwrap();
        up.process.start();
        up.process.must_refuse_to_start(&[&taken]);
        assert!(!up.folder.path().join("data").exists(), "nothing was written");
    }
}
