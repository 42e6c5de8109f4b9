//! `roundtable bench` against a running cluster: every workload, both loops, and what is told of the processes.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a helper that cannot go on fails its test"
)]

use roundtable_tests::{Cluster, Finished, run};
use serde_json::{Value, json};

/// Runs the load driver on few keys; returns the lines that it printed.
fn bench(cluster: &Cluster, options: &str) -> Vec<Value> {
    let address = format!("http://{}", cluster.router(1).address());
    let mut arguments = vec!["bench", "--router", &address, "--json", "--keys", "40", "--warmup", "50ms"];
    arguments.extend(options.split_whitespace());
    let Finished { stdout, .. } = run("roundtable", &arguments).must_end_with(0);
    let text = String::from_utf8(stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn count(result: &Value, kind: &str) -> u64 {
    result[kind]["count"].as_u64().unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_workload_does_what_it_says_without_an_error() {
    let cluster = Cluster::start().await;
    let kinds = ["get", "put", "insert", "scan", "read_modify_write"];
    let table: [(&str, &[&str]); 9] = [
        ("put", &["put"]),
        ("get", &["get"]),
        ("mixed --reads 50 --distribution hot", &["get", "put"]),
        ("ycsb-a", &["get", "put"]),
        ("ycsb-b", &["get", "put"]),
        ("ycsb-c", &["get"]),
        ("ycsb-d", &["get", "insert"]),
        ("ycsb-e", &["scan", "insert"]),
        ("ycsb-f", &["get", "read_modify_write"]),
    ];
    let _ = bench(&cluster, "--workload get --ops 1 --preload --keep --value-bytes 77");
    assert_eq!(cluster.router(1).read("bench/0000000039").send().await.must_be(200).body.len(), 77);
    for (workload, expected) in table {
        let lines = bench(&cluster, &format!("--workload {workload} --connections 8 --ops 300 --keep"));
        let [result] = lines.as_slice() else { panic!("{workload}: {lines:?}") };
        assert_eq!((&result["errors"], &result["missing"]), (&json!({}), &json!(0)), "{workload}: {result}");
        for kind in kinds {
            assert_eq!(count(result, kind) > 0, expected.contains(&kind), "{workload}, {kind}: {result}");
        }
        assert_eq!(kinds.iter().map(|kind| count(result, kind)).sum::<u64>(), 300, "{workload}: {result}");
    }
    let router = cluster.router(1);
    // What ycsb-d and ycsb-e inserted comes after the keys that were there.
    let _ = router.read("bench/0000000040").send().await.must_be(200);
    // Without --keep a run takes away what it made, and leaves what was there.
    let _ = bench(&cluster, "--workload put --ops 300 --key-prefix other/");
    let _ = router.read("bench/0000000039").send().await.must_be(200);
    let page = router.get("/v1/kv?prefix=other/").send().await.must_be(200).text();
    assert!(page.contains("\"items\":[]"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_intervals_and_processes_are_reported() {
    let mut cluster = Cluster::start().await;
    let entry = |role: &str, id: &str, pid: i32| json!({"role": role, "id": id, "pid": pid, "address": ""});
    let node_pid = cluster.node(1).pid().as_raw_nonzero().get();
    let router_pid = cluster.router_process(1).pid().as_raw_nonzero().get();
    let list = json!([entry("node", "n1", node_pid), entry("router", "r1", router_pid)]);
    let file = cluster.folder().join("processes.json");
    std::fs::write(&file, list.to_string()).unwrap();
    let options = "--workload put --connections 1,4 --runs 3 --duration 400ms --interval 100ms";
    let lines = bench(&cluster, &format!("{options} --processes {}", file.display()));
    let of = |kind: &str| lines.iter().filter(|line| line["line"] == kind).collect::<Vec<_>>();
    assert_eq!((of("run").len(), of("median").len()), (6, 2));
    // The last interval may end after the measurement did.
    assert!(of("interval").len() >= 6 * 2, "{}", of("interval").len());
    for result in of("run").into_iter().chain(of("median")) {
        let ids: Vec<_> = result["processes"].as_array().unwrap().iter().map(|p| p["id"].clone()).collect();
        assert_eq!(ids, ["n1", "r1", "bench"]);
        assert!(result["processes"][0]["rss_peak_bytes"].as_u64().unwrap() > 1 << 20, "{result}");
    }
    assert!(of("interval").iter().any(|line| line["operations"].as_u64().unwrap() > 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn open_loop_accounts_for_every_operation_that_was_due() {
    let cluster = Cluster::start().await;
    let lines = bench(&cluster, "--workload put --rate 400 --duration 500ms --connections 8");
    let result = &lines[0];
    let open_loop = &result["open_loop"];
    assert_eq!(open_loop["due"], 200);
    let errors: u64 =
        result["errors"].as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum();
    let ended = result["operations"].as_u64().unwrap() + errors;
    assert_eq!(ended + open_loop["not_started"].as_u64().unwrap(), 200, "{result}");
    assert!(ended > 0, "{result}");
}

#[tokio::test(flavor = "multi_thread")]
async fn options_that_do_not_go_together_are_a_usage_error() {
    for options in [
        vec!["--workload", "get", "--reads", "5"],
        vec!["--arrivals", "poisson"],
        vec!["--ops", "5", "--duration", "1s"],
        vec!["--workload", "ycsb-g"],
    ] {
        let arguments: Vec<&str> = ["bench"].into_iter().chain(options).collect();
        let _ = run("roundtable", &arguments).must_end_with(2);
    }
}
