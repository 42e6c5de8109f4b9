//! What operators and their tools ask.

use std::collections::BTreeSet;

use roundtable_tests::{Cluster, Http, Layout, eventually};
use serde_json::Value;

async fn cluster_of(router: &Http) -> Value {
    router.get("/v1/cluster").send().await.must_be(200).json()
}

#[tokio::test(flavor = "multi_thread")]
async fn livez_and_readyz_tell_alive_from_ready() {
    let mut cluster = Cluster::start().await;
    let router = cluster.router(1);
    router.get("/livez").send().await.must_be(200);
    router.get("/readyz").send().await.must_be(200);
    for number in 1..=3 {
        let node = cluster.node(number).http();
        node.get("/livez").send().await.must_be(200);
        node.get("/readyz").send().await.must_be(200);
    }

    // One node of three: every partition has its majority still.
    cluster.node(1).kill();
    for _ in 0..20 {
        router.get("/readyz").send().await.must_be(200);
    }
    cluster.node(2).kill();
    let unready = eventually("the router is not ready", async || {
        let answer = router.get("/readyz").send().await;
        (answer.status == 503).then_some(answer)
    })
    .await;
    let reason = unready.text();
    assert!(reason.contains("n1") && reason.contains("n2") && !reason.contains("n3"), "{reason}");
    router.get("/livez").send().await.must_be(200);

    cluster.node(1).start();
    cluster.router_process(1).ready().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn node_alone_is_alive_and_says_whom_it_waits_for() {
    let mut cluster = Cluster::prepare(&Layout::default());
    cluster.node(1).start();
    let node = cluster.node(1).http();
    let unready = eventually("the node answers", async || node.get("/readyz").try_send().await.ok()).await;
    let unready = unready.must_be(503).text();
    assert!(unready.contains("n2") || unready.contains("n3"), "{unready}");
    node.get("/livez").send().await.must_be(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn cluster_tells_topology_and_health() {
    let mut cluster = Cluster::start_with(Layout { nodes: 4, routers: 2, ..Layout::default() }).await;
    // A router is ready with a majority; the last node may follow a moment later.
    let router = cluster.router(1);
    let told = eventually("every node is up", async || {
        let told = cluster_of(&router).await;
        let all_up = told["nodes"].as_array()?.iter().all(|node| node["health"] == "up");
        all_up.then_some(told)
    })
    .await;
    assert_eq!((told["epoch"].as_u64(), told["replication_factor"].as_u64()), (Some(1), Some(3)));
    assert_eq!(told["partition_count"], 64);
    assert_eq!(told["cluster_id"].as_str().unwrap().len(), 32);
    assert_eq!(told["moves"], Value::Array(Vec::new()));

    let ids: Vec<&str> =
        told["nodes"].as_array().unwrap().iter().map(|node| node["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["n1", "n2", "n3", "n4"]);
    for (node, address) in told["nodes"].as_array().unwrap().iter().zip(cluster.node_addresses()) {
        assert_eq!((&node["health"], &node["address"]), (&Value::from("up"), &Value::from(address)));
        assert_eq!(node["storage_id"].as_str().unwrap().len(), 32);
    }
    let partitions = told["partitions"].as_array().unwrap();
    assert_eq!(partitions.len(), 64);
    let mut load: std::collections::BTreeMap<&str, usize> = std::collections::BTreeMap::new();
    for partition in partitions {
        let replicas: BTreeSet<&str> =
            partition["replicas"].as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect();
        assert_eq!(replicas.len(), 3, "{partition}");
        replicas.into_iter().for_each(|id| *load.entry(id).or_default() += 1);
    }
    assert!(ids.iter().all(|id| load.contains_key(id)), "{load:?}");

    // Every router places alike.
    let other = cluster_of(&cluster.router(2)).await;
    assert_eq!((&other["partitions"], &other["cluster_id"]), (&told["partitions"], &told["cluster_id"]));

    cluster.node(4).kill();
    eventually("n4 is seen down", async || {
        (cluster_of(&router).await["nodes"][3]["health"] == "down").then_some(())
    })
    .await;
    cluster.node(4).start();
    eventually("n4 is seen up again", async || {
        (cluster_of(&router).await["nodes"][3]["health"] == "up").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_tells_each_replicas_state_of_a_key() {
    let mut cluster = Cluster::start().await;
    let router = cluster.router(1);
    // A majority is enough for a write: until a node is in use again it may miss one.
    let (etag, told) = eventually("all replicas hold it", async || {
        let etag = router.put("{t}/a", "12345").query("ttl", "1h").send().await.etag();
        let told = router.get("/v1/cluster/where/%7Bt%7D/a").send().await.must_be(200).json();
        let same = |replica: &Value| replica["etag"].as_str().is_some_and(|found| etag.contains(found));
        told["replicas"].as_array().unwrap().iter().all(same).then_some((etag, told))
    })
    .await;
    assert_eq!(told["key"], "{t}/a");
    let replicas = told["replicas"].as_array().unwrap();
    assert_eq!(replicas.len(), 3);
    for replica in replicas {
        assert_eq!(
            (&replica["state"], &replica["etag"]),
            (&Value::from("live"), &Value::from(etag.trim_matches('"')))
        );
        assert_eq!((&replica["size"], &replica["ballot"]), (&Value::from(5), &replicas[0]["ballot"]));
        assert!(replica["expires"].is_u64());
    }
    let sibling = router.get("/v1/cluster/where/%7Bt%7D/b").send().await.must_be(200).json();
    assert_eq!(sibling["partition"], told["partition"], "keys that share a tag share a partition");
    assert!(sibling["replicas"].as_array().unwrap().iter().all(|replica| replica["state"] == "absent"));

    // Only the two that are left can be the majority that deletes it.
    cluster.node(2).kill();
    router.delete("{t}/a").send().await.must_be(204);
    eventually("a tombstone at the others", async || {
        let told = router.get("/v1/cluster/where/%7Bt%7D/a").send().await.must_be(200).json();
        let mut states: Vec<String> =
            told["replicas"].as_array().unwrap().iter().map(|replica| replica["state"].to_string()).collect();
        states.sort();
        (states == ["\"tombstone\"", "\"tombstone\"", "\"unreachable\""]).then_some(())
    })
    .await;
    let bytes = router.get("/v1/cluster/where/%ff").send().await.must_be(200).json();
    assert_eq!(bytes["key_b64"], "/w==");
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_prometheus_text_and_never_name_keys() {
    let mut cluster = Cluster::start().await;
    let router = cluster.router(1);
    for _ in 0..10 {
        router.put("a-very-secret-key", "x").send().await;
        router.read("a-very-secret-key").send().await.must_be(200);
    }
    let mut sources = vec![("roundtable_router_", router)];
    sources.extend((1..=3).map(|number| ("roundtable_node_", cluster.node(number).http())));
    for (prefix, http) in sources {
        let answer = http.get("/metrics").send().await.must_be(200);
        let content_type = answer.header("content-type").unwrap();
        assert!(
            content_type.starts_with("application/openmetrics-text")
                || content_type.starts_with("text/plain")
        );
        let text = answer.text();
        assert!(!text.contains("secret"));
        let mut samples = 0;
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            assert!(line.starts_with(prefix), "{line}");
            let (_, value) = line.rsplit_once(' ').unwrap();
            assert!(value.parse::<f64>().is_ok(), "{line}");
            samples += 1;
        }
        assert!(samples > 10, "{text}");
    }
}
