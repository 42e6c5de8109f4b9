//! The programs as processes: how they start, stop, and refuse to start.

use std::net::TcpListener;
use std::path::Path;

use roundtable_tests::{
    Cluster, Http, Layout, Port, Process, checkout, eventually, free_port, free_ports, run,
};
use serde_json::Value;
use tempfile::TempDir;

const PROGRAMS: [&str; 3] = ["roundtable", "roundtable-node", "roundtable-router"];

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
    second.must_refuse_to_start(&["in use", &cluster.data_dir(1).display().to_string()]);
    cluster.router(1).put("a", "unharmed").send().await.must_be(201);

    let foreign = cluster.folder().join("foreign");
    std::fs::create_dir(&foreign).unwrap();
    std::fs::write(foreign.join("diary.txt"), "dear diary").unwrap();
    let own = cluster.data_dir(1).display().to_string();
    let arguments = arguments.iter().map(|text| text.replace(&own, &foreign.display().to_string())).collect();
    let log = cluster.folder().join("third.log");
    let mut third = Process::new("third", "roundtable-node", arguments, &log, &port.address());
    third.start();
    third.must_refuse_to_start(&["foreign"]);
    assert_eq!(std::fs::read_dir(&foreign).unwrap().count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn port_in_use_is_refused_by_name() {
    let mut cluster = Cluster::prepare(&Layout::default());
    let addresses = [cluster.node(1).address().to_owned(), cluster.router(1).address().to_owned()];
    let _listeners = addresses.clone().map(|address| TcpListener::bind(address).unwrap());
    cluster.node(1).start();
    cluster.node(1).must_refuse_to_start(&[&addresses[0]]);
    cluster.router_process(1).start();
    cluster.router_process(1).must_refuse_to_start(&[&addresses[1]]);
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
    cluster.node(1).must_refuse_to_start(&["--insecure-listen", &anywhere(&ports[0])]);

    let mut router: Vec<String> = cluster.router_process(1).arguments().to_vec();
    *router.last_mut().unwrap() = anywhere(&ports[1]);
    cluster.router_process(1).set_arguments(router.clone());
    cluster.router_process(1).start();
    cluster.router_process(1).must_refuse_to_start(&["--insecure-listen", &anywhere(&ports[1])]);

    router.push("--insecure-listen".to_owned());
    cluster.router_process(1).set_arguments(router);
    cluster.router_process(1).start();
    let http = Http::new(&ports[1].address());
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
    let http = Http::new(&address);
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
    let root = checkout();
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
    let bad_nodes =
        "version = 0\nreplication_factor = 9\nfoo = 1\n[[nodes]]\nid = \"N 1\"\naddress = \"nowhere\"\n";
    std::fs::write(&bad_cluster, bad_nodes).unwrap();
    let bad_config = folder.path().join("config.toml").display().to_string();
    std::fs::write(&bad_config, "max_clock_skew = \"soon\"\nshadows = 3\n").unwrap();
    for program in ["roundtable-node", "roundtable-router"] {
        for (cluster, config, words) in [
            (&bad_cluster, &node, &["version", "replication_factor", "foo", "N 1", "nowhere"][..]),
            (&cluster, &bad_config, &["max_clock_skew", "soon", "shadows"]),
        ] {
            let mut arguments = vec!["--cluster", cluster, "--check"];
            if program == "roundtable-node" {
                arguments.extend(["--config", config, "--id", "n1", "--data-dir", &data]);
            } else if *config != node {
                arguments.extend(["--config", config]);
            }
            let ended = run(program, &arguments);
            assert!(ended.code.is_some_and(|code| code != 0), "{ended:?}");
            for word in words {
                assert!(ended.stderr.contains(word), "{program}: {word:?} is not in: {}", ended.stderr);
            }
        }
    }
    let missing = run("roundtable-router", &["--cluster", "no/such/file.toml", "--check"]);
    assert!(missing.code != Some(0) && missing.stderr.contains("no/such/file.toml"), "{missing:?}");
}
