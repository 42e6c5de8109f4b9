//! Listings over HTTP against replicas in memory.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests stop at the first surprise")]

mod support;

use std::time::{Duration, Instant};

use support::TestCluster;
use support::client::{Answer, Client};
use support::node::TestNode;

async fn fill(client: &Client, count: usize) -> Vec<String> {
    let keys: Vec<String> = (0..count).map(|n| format!("k{n:04}")).collect();
    for key in &keys {
        assert_eq!(client.put(&format!("/v1/kv/{key}"), key.as_bytes()).await.status, 201);
    }
    keys
}

fn keys(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("roundtable-consistency"), "per-key");
    answer.json()["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["key"].as_str().unwrap().to_owned())
        .collect()
}

async fn all_pages(client: &Client, query: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = client.get(&format!("/v1/kv?{query}{cursor}")).await;
        found.extend(keys(&page));
        match page.json()["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return found,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_any_size_tell_every_key_once() {
    let cluster = TestCluster::start("").await;
    let written = fill(&cluster.client, 40).await;
    let reversed: Vec<String> = written.iter().rev().cloned().collect();
    for limit in [1, 7, 40, 41, 1000] {
        assert_eq!(all_pages(&cluster.client, &format!("limit={limit}")).await, written, "{limit}");
        assert_eq!(
            all_pages(&cluster.client, &format!("reverse=true&limit={limit}")).await,
            reversed,
            "{limit}"
        );
    }
    assert_eq!(all_pages(&cluster.client, "start=k0010&end=k0013").await, &written[10..13]);
    assert_eq!(all_pages(&cluster.client, "prefix=k003&limit=3").await, &written[30..40]);
    assert_eq!(all_pages(&cluster.client, "prefix=x").await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn values_and_foreign_bytes_are_told() {
    let cluster = TestCluster::start("").await;
    let client = &cluster.client;
    client.request("PUT", "/v1/kv/a", &[("content-type", "text/x")], b"text").await;
    client.put("/v1/kv/%ff?ttl=1h", b"\xfe").await;
    let bare = client.get("/v1/kv").await.json();
    assert_eq!(bare["items"][0]["size"], 4);
    assert!(bare["items"][0]["value"].is_null());
    let full = client.get("/v1/kv?values=true").await.json();
    assert_eq!(
        (&full["items"][0]["value"], &full["items"][0]["content_type"]),
        (&"text".into(), &"text/x".into())
    );
    assert_eq!(
        (&full["items"][1]["key_b64"], &full["items"][1]["value_b64"]),
        (&"/w==".into(), &"/g==".into())
    );
    assert!(full["items"][1]["expires"].as_u64().unwrap() > 0);
    assert!(full["next"].is_null());
}

#[tokio::test(flavor = "multi_thread")]
async fn stream_tells_the_whole_range_line_by_line() {
    let cluster = TestCluster::start("").await;
    let written = fill(&cluster.client, 60).await;
    let accept = [("accept", "application/x-ndjson")];
    let answer = cluster.client.request("GET", "/v1/kv?values=true", &accept, b"").await;
    assert_eq!(answer.header("content-type"), "application/x-ndjson");
    assert_eq!(answer.header("roundtable-consistency"), "per-key");
    let items: Vec<serde_json::Value> =
        answer.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told: Vec<&str> = items.iter().map(|item| item["key"].as_str().unwrap()).collect();
    assert_eq!(told, written);
    assert!(items.iter().all(|item| item["value"] == item["key"]));
    let head = cluster.client.request("HEAD", "/v1/kv", &accept, b"").await;
    assert_eq!((head.status, head.body.len()), (200, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn deleted_and_expired_keys_are_left_out() {
    let cluster = TestCluster::start("").await;
    let client = &cluster.client;
    fill(client, 3).await;
    client.request("DELETE", "/v1/kv/k0001", &[], b"").await;
    client.put("/v1/kv/k0000?ttl=1ms", b"x").await;
    while client.get("/v1/kv/k0000").await.status == 200 {}
    assert_eq!(all_pages(client, "").await, ["k0002"]);
    assert_eq!(all_pages(client, "limit=1").await, ["k0002"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn tag_tells_its_own_keys_alone() {
    let cluster = TestCluster::start("").await;
    let client = &cluster.client;
    for key in ["{u1}a", "{u1}b", "{u2}a", "x{u1}", "u1"] {
        assert_eq!(client.put(&format!("/v1/kv/{key}"), b"x").await.status, 201);
    }
    assert_eq!(all_pages(client, "tag=u1").await, ["u1", "x{u1}", "{u1}a", "{u1}b"]);
    assert_eq!(all_pages(client, "prefix=%7Bu1%7D").await, ["{u1}a", "{u1}b"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn frozen_node_does_not_stop_a_listing() {
    let cluster = TestCluster::start("batch_timeout = \"500ms\"\nprobe_timeout = \"200ms\"").await;
    let written = fill(&cluster.client, 10).await;
    cluster.nodes[1].freeze(true);
    assert_eq!(all_pages(&cluster.client, "limit=4").await, written);
    cluster.nodes[2].freeze(true);
    let refused = cluster.client.get("/v1/kv?timeout=2s").await;
    assert!(matches!(refused.status, 503 | 504), "{refused:?}");
    cluster.nodes.iter().for_each(|node| node.freeze(false));
}

/// Nodes that were slow were given up after 0.4 s, 0.8 s, 1.6 s, and then called missing.
#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_are_slow_are_waited_for() {
    let cluster = TestCluster::start("").await;
    let written = fill(&cluster.client, 3).await;
    cluster.nodes.iter().for_each(|node| node.slow_scans(Duration::from_secs(1)));
    let begun = Instant::now();
    assert_eq!(keys(&cluster.client.get("/v1/kv?timeout=3s&values=true").await), written);
    assert!(begun.elapsed() < Duration::from_millis(2_500), "{:?}", begun.elapsed());
    let late = cluster.client.get("/v1/kv?timeout=500ms").await;
    assert_eq!((late.status, late.code().as_str()), (504, "timeout"), "{late:?}");
    // One that answers sooner is not held up by one that does not.
    cluster.nodes[1..].iter().for_each(|node| node.slow_scans(Duration::ZERO));
    cluster.nodes[0].slow_scans(Duration::from_secs(30));
    assert_eq!(keys(&cluster.client.get("/v1/kv?timeout=5s").await), written);
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_with_too_much_to_do_are_not_called_missing() {
    let cluster = TestCluster::start("").await;
    cluster.nodes.iter().for_each(TestNode::refuse_scans);
    for query in ["timeout=300ms", "timeout=1500ms&values=true", "timeout=300ms&count=true"] {
        let busy = cluster.client.get(&format!("/v1/kv?{query}")).await;
        assert_eq!((busy.status, busy.code().as_str()), (503, "overloaded"), "{busy:?}");
    }
}
