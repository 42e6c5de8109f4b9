//! The programs as processes: how they start, stop, and refuse to start.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a helper that cannot go on fails its test"
)]

use std::net::TcpListener;
use std::path::Path;

use roundtable_tests::{Cluster, Layout, Port, Process, eventually, free_port, free_ports, is_alive, run};
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

const PROGRAMS: [&str; 3] = ["roundtable", "roundtable-node", "roundtable-router"];

/// `roundtable up` with a folder and ports of its own.
struct Up {
    process: Process,
    folder: TempDir,
    _ports: Vec<Port>,
}

impl Up {
    fn new() -> Self {
        let folder = TempDir::with_prefix("roundtable-test-").unwrap();
        let ports = free_ports(4);
        let (listen, node_port) = (ports[0].address(), ports[1].number().to_string());
        let process = up_process(folder.path(), &listen, &node_port, "up.log");
        Self { process, folder, _ports: ports }
    }

    async fn started() -> Self {
        let mut up = Self::new();
        up.process.start();
        up.process.ready().await;
        up
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

fn up_process(folder: &Path, listen: &str, node_port: &str, log: &str) -> Process {
    let data = folder.join("data").display().to_string();
    let arguments = ["up", "--data-dir", &data, "--listen", listen, "--node-port", node_port];
    Process::new("up", "roundtable", arguments.map(str::to_owned).to_vec(), &folder.join(log), listen)
}

async fn all_gone(pids: &[i64]) {
    eventually("all child processes are gone", async || pids.iter().all(|pid| !is_alive(*pid)).then_some(()))
        .await;
}

/// Requires that a start failed with these words.
#[track_caller]
fn must_refuse(process: &mut Process, words: &[&str]) {
    let status = process.wait();
    let log = process.log();
    assert!(!status.success(), "{log}");
    for word in words {
        assert!(log.contains(word), "{word:?} is not in: {log}");
    }
    assert!(!log.contains("panicked"), "{log}");
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
        let http = roundtable_tests::Http::new(process["address"].as_str().unwrap());
        http.get("/livez").send().await.must_be(200);
    }
    assert!(up.process.log().contains("curl"), "it says what to try: {}", up.process.log());

    let pids = up.pids();
    up.process.signal(Signal::INT);
    assert!(up.process.wait().success(), "{}", up.process.log());
    all_gone(&pids).await;

    // The data is kept, and found again.
    up.process.start();
    up.process.ready().await;
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
    up.process.ready().await;
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
    let others = free_ports(4);
    let (listen, node_port) = (others[0].address(), others[1].number().to_string());
    let mut second = up_process(up.folder.path(), &listen, &node_port, "second.log");
    second.start();
    must_refuse(&mut second, &["data"]);
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
        must_refuse(&mut up.process, &[&taken]);
        let file = up.folder.path().join("data/processes.json");
        if file.exists() {
            all_gone(&up.pids()).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn terminated_processes_finish_their_work_and_end_with_zero() {
    let mut cluster = Cluster::start_with(Layout { routers: 2, ..Layout::default() }).await;
    let (stopping, staying) = (cluster.router(1), cluster.router(2));
    let writers: Vec<_> = (0..8)
        .map(|writer| {
            let router = stopping.clone();
            tokio::spawn(async move {
                let mut acknowledged = Vec::new();
                for number in 0.. {
                    let key = format!("{writer}/{number}");
                    match router.put(&key, key.clone()).try_send().await {
                        Ok(answer) if answer.status == 201 => acknowledged.push(key),
                        // Refused as stopping, or the port is closed already.
                        Ok(answer) => {
                            answer.must_refuse(503, "shutting_down");
                            break;
                        }
                        Err(_) => break,
                    }
                }
                acknowledged
            })
        })
        .collect();
    eventually("writes flow", async || (staying.read("0/3").send().await.status == 200).then_some(())).await;
    assert!(cluster.router_process(1).terminate().success());
    for writer in writers {
        for key in writer.await.unwrap() {
            assert_eq!(staying.read(&key).send().await.must_be(200).text(), key);
        }
    }

    staying.put("a", "one").send().await.must_be(201);
    for number in 1..=3 {
        assert!(cluster.node(number).terminate().success());
        cluster.node(number).start();
        cluster.node(number).ready().await;
    }
    cluster.router_process(2).ready().await;
    assert_eq!(staying.read("a").send().await.must_be(200).text(), "one");
}

#[tokio::test(flavor = "multi_thread")]
async fn data_folder_in_use_or_of_something_else_is_refused() {
    let mut cluster = Cluster::start().await;
    let port = free_port();
    let mut arguments = cluster.node(1).arguments().to_vec();
    arguments.extend(["--listen".to_owned(), port.address()]);
    let log = cluster.folder().join("second.log");
    let mut second = Process::new("second", "roundtable-node", arguments.clone(), &log, &port.address());
    second.start();
    must_refuse(&mut second, &["in use", &cluster.data_dir(1).display().to_string()]);
    cluster.router(1).put("a", "unharmed").send().await.must_be(201);

    let foreign = cluster.folder().join("foreign");
    std::fs::create_dir(&foreign).unwrap();
    std::fs::write(foreign.join("diary.txt"), "dear diary").unwrap();
    let own = cluster.data_dir(1).display().to_string();
    let arguments = arguments.iter().map(|text| text.replace(&own, &foreign.display().to_string())).collect();
    let log = cluster.folder().join("third.log");
    let mut third = Process::new("third", "roundtable-node", arguments, &log, &port.address());
    third.start();
    must_refuse(&mut third, &["foreign"]);
    assert_eq!(std::fs::read_dir(&foreign).unwrap().count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn port_in_use_is_refused_by_name() {
    let mut cluster = Cluster::prepare(&Layout::default());
    let addresses = [cluster.node(1).address().to_owned(), cluster.router(1).address().to_owned()];
    let _listeners = addresses.clone().map(|address| TcpListener::bind(address).unwrap());
    cluster.node(1).start();
    must_refuse(cluster.node(1), &[&addresses[0]]);
    cluster.router_process(1).start();
    must_refuse(cluster.router_process(1), &[&addresses[1]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn listening_beyond_loopback_asks_for_consent() {
    let mut cluster = Cluster::prepare(&Layout::default());
    let anywhere = |port: &Port| format!("0.0.0.0:{}", port.number());
    let ports = free_ports(2);

    let mut node = cluster.node(1).arguments().to_vec();
    node.extend(["--listen".to_owned(), anywhere(&ports[0])]);
    cluster.node(1).set_arguments(node);
    cluster.node(1).start();
    must_refuse(cluster.node(1), &["--insecure-listen", &anywhere(&ports[0])]);

    let mut router: Vec<String> = cluster.router_process(1).arguments().to_vec();
    *router.last_mut().unwrap() = anywhere(&ports[1]);
    cluster.router_process(1).set_arguments(router.clone());
    cluster.router_process(1).start();
    must_refuse(cluster.router_process(1), &["--insecure-listen", &anywhere(&ports[1])]);

    router.push("--insecure-listen".to_owned());
    cluster.router_process(1).set_arguments(router);
    cluster.router_process(1).start();
    let http = roundtable_tests::Http::new(&ports[1].address());
    eventually("it listens", async || http.get("/livez").try_send().await.ok()).await.must_be(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn router_listens_on_ipv6() {
    let mut cluster = Cluster::start().await;
    let port = free_port();
    let address = format!("[::1]:{}", port.number());
    if TcpListener::bind(&address).is_err() {
        return; // a machine without IPv6
    }
    let file = cluster.cluster_file();
    let router = cluster.add_router(&file);
    let mut arguments = router.arguments().to_vec();
    arguments.last_mut().unwrap().clone_from(&address);
    router.set_arguments(arguments);
    router.start();
    let http = roundtable_tests::Http::new(&address);
    eventually("it is ready", async || {
        http.get("/readyz").try_send().await.ok().filter(|answer| answer.status == 200)
    })
    .await;
    http.put("a", "x").send().await.must_be(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_as_json_are_json_line_by_line() {
    let mut cluster = Cluster::prepare(&Layout::default());
    for number in 1..=3 {
        add(cluster.node(number), &["--log-format", "json"]);
    }
    add(cluster.router_process(1), &["--log-format", "json"]);
    cluster.start_all();
    cluster.ready().await;
    cluster.router(1).put("a", "x").send().await.must_be(201);
    let logs = [cluster.node(1).log(), cluster.router_process(1).log()];
    for log in logs {
        assert!(!log.is_empty());
        for line in log.lines() {
            let entry: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
            assert!(entry["level"].is_string() && entry["timestamp"].is_string(), "{line}");
        }
    }
}

fn add(process: &mut Process, arguments: &[&str]) {
    let mut all = process.arguments().to_vec();
    all.extend(arguments.iter().map(|&argument| argument.to_owned()));
    process.set_arguments(all);
}

#[test]
fn help_and_version_say_what_there_is() {
    for program in PROGRAMS {
        let version = run(program, &["--version"]).must_end_with(0).text();
        assert!(version.starts_with(program) && version.contains(env!("CARGO_PKG_VERSION")), "{version}");
        let help = run(program, &["--help"]).must_end_with(0).text();
        assert!(help.contains("Usage") && help.contains("--version"), "{help}");
    }
    let node = run("roundtable-node", &["--help"]).text();
    for flag in
        ["--cluster", "--id", "--data-dir", "--config", "--check", "--insecure-listen", "ROUNDTABLE_NODE_"]
    {
        assert!(node.contains(flag), "{flag}");
    }
    let router = run("roundtable-router", &["--help"]).text();
    for flag in ["--cluster", "--listen", "--config", "--check", "--insecure-listen", "ROUNDTABLE_ROUTER_"] {
        assert!(router.contains(flag), "{flag}");
    }
    let client = run("roundtable", &["--help"]).text();
    for command in ["up", "get", "put", "delete", "increment", "touch", "import", "export", "status", "where"]
    {
        assert!(client.contains(command), "{command}");
    }
    let unknown = run("roundtable-node", &["--nonsense"]);
    assert!(unknown.code != Some(0) && unknown.stderr.contains("--nonsense"));
}

#[test]
fn check_accepts_the_shipped_files_and_reports_all_problems_of_others() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let file = |name: &str| root.join("config").join(name).display().to_string();
    let folder = TempDir::with_prefix("roundtable-test-").unwrap();
    let data = folder.path().join("data").display().to_string();

    let (cluster, node, router) = (file("cluster.toml"), file("node.toml"), file("router.toml"));
    let node_arguments =
        ["--cluster", &cluster, "--id", "n1", "--data-dir", &data, "--config", &node, "--check"];
    let _ = run("roundtable-node", &node_arguments).must_end_with(0);
    let router_arguments = ["--cluster", &cluster, "--config", &router, "--check"];
    let _ = run("roundtable-router", &router_arguments).must_end_with(0);
    assert!(!Path::new(&data).exists(), "a check leaves nothing behind");

    let bad_cluster = folder.path().join("cluster.toml").display().to_string();
    std::fs::write(
        &bad_cluster,
        "version = 0\nreplication_factor = 9\nfoo = 1\n[[nodes]]\nid = \"N 1\"\naddress = \"nowhere\"\n",
    )
    .unwrap();
    let bad_config = folder.path().join("config.toml").display().to_string();
    std::fs::write(&bad_config, "max_clock_skew = \"soon\"\nshadows = 3\n").unwrap();
    for program in ["roundtable-node", "roundtable-router"] {
        let mut arguments = vec!["--cluster", &bad_cluster, "--config", &bad_config, "--check"];
        if program == "roundtable-node" {
            arguments.extend(["--id", "n1", "--data-dir", &data]);
        }
        let ended = run(program, &arguments);
        assert!(ended.code.is_some_and(|code| code != 0), "{ended:?}");
        for word in
            ["version", "replication_factor", "foo", "N 1", "nowhere", "max_clock_skew", "soon", "shadows"]
        {
            assert!(ended.stderr.contains(word), "{program}: {word:?} is not in: {}", ended.stderr);
        }
    }
    let missing = run("roundtable-router", &["--cluster", "no/such/file.toml", "--check"]);
    assert!(missing.code != Some(0) && missing.stderr.contains("no/such/file.toml"), "{missing:?}");
}
