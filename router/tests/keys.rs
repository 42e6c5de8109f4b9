//! Every row of "Keys", and the outcomes, over HTTP against replicas in memory.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests stop at the first surprise")]

mod support;

use std::collections::BTreeSet;

use roundtable_common::wire::{BATCH_PATH, DURABLE_BATCH_PATH};
use roundtable_consensus::{DiskSpace, StorageId};
use support::TestCluster;
use support::client::Answer;
use support::node::TestNode;
use uuid::Uuid;

fn assert_problem(answer: &Answer, status: u16, code: &str, outcome: &str) {
    assert_eq!((answer.status, answer.code().as_str()), (status, code), "{answer:?}");
    let body = answer.json();
    assert_eq!(answer.header("content-type"), "application/problem+json");
    assert_eq!(body["status"], status);
    assert_eq!(body["outcome"], outcome);
    assert_eq!(body["request_id"], answer.header("roundtable-request-id"));
    assert_eq!(answer.headers.contains_key("retry-after"), matches!(status, 429 | 503));
}

#[tokio::test(flavor = "multi_thread")]
async fn value_goes_in_and_comes_out_with_its_headers() {
    let cluster = TestCluster::start("").await;
    let client = &cluster.client;
    assert_problem(&client.get("/v1/kv/a").await, 404, "not_found", "not_applied");
    let created = client.request("PUT", "/v1/kv/a", &[("content-type", "text/x")], b"one").await;
    assert_eq!((created.status, created.text()), (201, ""));
    let replaced = client.put("/v1/kv/a?ttl=1h", b"two\0\xff").await;
    assert_eq!(replaced.status, 204);
    assert!(replaced.header("etag") > created.header("etag"), "a fencing token");
    let found = client.request("GET", "/v1/kv/a", &[("roundtable-request-id", "mine")], b"").await;
    assert_eq!((found.status, &found.body[..]), (200, &b"two\0\xff"[..]));
    assert_eq!(found.header("etag"), replaced.header("etag"));
    assert_eq!(found.header("content-type"), "application/octet-stream");
    assert_eq!(found.header("roundtable-request-id"), "mine");
    assert!(found.header("roundtable-expires").parse::<u64>().unwrap() > 1_700_000_000_000);
    assert!(found.header("last-modified").ends_with("GMT"));
    let head = client.request("HEAD", "/v1/kv/a", &[], b"").await;
    assert_eq!((head.status, head.header("content-length"), head.body.len()), (200, "5", 0));
    let known = client.request("GET", "/v1/kv/a", &[("if-none-match", replaced.header("etag"))], b"").await;
    assert_eq!((known.status, known.body.len(), known.header("etag")), (304, 0, replaced.header("etag")));
    let eventual = client.get("/v1/kv/a?consistency=eventual").await;
    assert_eq!((eventual.status, eventual.header("roundtable-consistency")), (200, "eventual"));
    assert_eq!(client.request("DELETE", "/v1/kv/a", &[], b"").await.status, 204);
    assert_problem(&client.request("DELETE", "/v1/kv/a", &[], b"").await, 404, "not_found", "not_applied");
    assert_problem(
        &client.request("HEAD", "/v1/kv/a", &[], b"").await.with_body_of_get(),
        404,
        "not_found",
        "not_applied",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn accepts_and_nothing_else_travel_where_nodes_commit() {
    let cluster = TestCluster::start("").await;
    let client = &cluster.client;
    for value in [&b"one"[..], b"two"] {
        assert!(matches!(client.put("/v1/kv/a", value).await.status, 201 | 204));
        assert_eq!(client.get("/v1/kv/a").await.text(), std::str::from_utf8(value).unwrap());
    }
    let came: BTreeSet<(String, bool)> = cluster.nodes.iter().flat_map(TestNode::came).collect();
    assert_eq!(came, [(BATCH_PATH.to_owned(), false), (DURABLE_BATCH_PATH.to_owned(), true)].into());
}

#[tokio::test(flavor = "multi_thread")]
async fn conditions_compare_and_set() {
    let cluster = TestCluster::start("").await;
    let client = &cluster.client;
    let create = [("if-none-match", "*")];
    let replace = [("if-match", "*")];
    assert_problem(
        &client.request("PUT", "/v1/kv/c", &replace, b"x").await,
        412,
        "precondition_failed",
        "not_applied",
    );
    let created = client.request("PUT", "/v1/kv/c", &create, b"1").await;
    assert_eq!(created.status, 201);
    let refused = client.request("PUT", "/v1/kv/c", &create, b"2").await;
    assert_problem(&refused, 412, "precondition_failed", "not_applied");
    assert_eq!(refused.header("etag"), created.header("etag"));
    let etag = created.header("etag").to_owned();
    let list = format!("\"other\", W/{etag}, {etag}");
    assert_eq!(client.request("PUT", "/v1/kv/c", &[("if-match", &list)], b"3").await.status, 204);
    assert_eq!(client.request("PUT", "/v1/kv/c", &[("if-match", &etag)], b"4").await.status, 412);
    assert_eq!(client.request("DELETE", "/v1/kv/c", &[("if-match", &etag)], b"").await.status, 412);
    assert_eq!(client.request("DELETE", "/v1/kv/c", &replace, b"").await.status, 204);
}

#[tokio::test(flavor = "multi_thread")]
async fn counters_and_leases_work() {
    let cluster = TestCluster::start("").await;
    let client = &cluster.client;
    let post = async |query: &str| client.request("POST", &format!("/v1/kv/n?{query}"), &[], b"").await;
    let five = post("op=increment&by=5").await;
    assert_eq!((five.status, five.text(), five.header("content-type")), (200, "5", "text/plain"));
    assert_eq!(post("op=increment&by=-7").await.text(), "-2");
    assert_problem(
        &post("op=increment&by=-9223372036854775808").await,
        409,
        "counter_overflow",
        "not_applied",
    );
    assert_eq!(client.get("/v1/kv/n").await.text(), "-2");
    let touched = post("op=touch&ttl=1h").await;
    assert_eq!(touched.status, 204);
    let found = client.get("/v1/kv/n").await;
    assert_eq!((found.header("etag"), found.text()), (touched.header("etag"), "-2"));
    assert_eq!(post("op=touch&ttl=none").await.status, 204);
    assert!(!client.get("/v1/kv/n").await.headers.contains_key("roundtable-expires"));
    client.put("/v1/kv/n", b"text").await;
    assert_problem(&post("op=increment&by=1").await, 409, "not_a_counter", "not_applied");
    let missing = client.request("POST", "/v1/kv/gone?op=touch&ttl=1s", &[], b"").await;
    assert_problem(&missing, 404, "not_found", "not_applied");
    assert_eq!(client.put("/v1/kv/brief?ttl=1ms", b"x").await.status, 201);
    let mut status = 200;
    while status == 200 {
        status = client.get("/v1/kv/brief").await.status;
    }
    assert_eq!(status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn repeated_operation_gets_its_first_answer() {
    let cluster = TestCluster::start("").await;
    let client = &cluster.client;
    let key = Uuid::now_v7().to_string();
    let named = [("idempotency-key", key.as_str())];
    let first = client.request("POST", "/v1/kv/i?op=increment&by=1", &named, b"").await;
    assert_eq!((first.status, first.text()), (200, "1"));
    client.request("POST", "/v1/kv/i?op=increment&by=10", &[], b"").await;
    let again = client.request("POST", "/v1/kv/i?op=increment&by=1", &named, b"").await;
    assert_eq!((again.status, again.text(), again.header("etag")), (200, "1", first.header("etag")));
    assert_eq!(client.get("/v1/kv/i").await.text(), "11");
    let other = client.request("POST", "/v1/kv/i?op=increment&by=2", &named, b"").await;
    assert_problem(&other, 422, "idempotency_key_reused", "not_applied");
    let refusal = Uuid::now_v7().to_string();
    let named = [("idempotency-key", refusal.as_str()), ("if-none-match", "*")];
    assert_eq!(client.request("PUT", "/v1/kv/i", &named, b"x").await.status, 412);
    client.request("DELETE", "/v1/kv/i", &[], b"").await;
    assert_eq!(client.request("PUT", "/v1/kv/i", &named, b"x").await.status, 412, "a refusal is an outcome");
    let future = "7fffffffffff-7cc3-98c4-dc0c0c07398f".replacen("7fffffffffff", "7fffffff-ffff", 1);
    let ahead = client.request("PUT", "/v1/kv/i", &[("idempotency-key", &future)], b"x").await;
    assert_problem(&ahead, 400, "bad_idempotency_key", "not_applied");
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_increments_each_repeated_add_up() {
    let cluster = std::sync::Arc::new(TestCluster::start("").await);
    let mut tasks = tokio::task::JoinSet::new();
    // The key's history remembers 128 named operations: as many as there are here at once.
    for _ in 0..60 {
        let cluster = std::sync::Arc::clone(&cluster);
        tasks.spawn(async move {
            let key = Uuid::now_v7().to_string();
            let named = [("idempotency-key", key.as_str())];
            let path = "/v1/kv/sum?op=increment&by=1";
            let (a, b) = tokio::join!(
                cluster.client.request("POST", path, &named, b""),
                cluster.client.request("POST", path, &named, b"")
            );
            assert_eq!((a.status, b.status, a.text()), (200, 200, b.text()));
        });
    }
    tasks.join_all().await;
    assert_eq!(cluster.client.get("/v1/kv/sum").await.text(), "60");
}

#[tokio::test(flavor = "multi_thread")]
async fn frozen_node_is_skipped_and_comes_back() {
    let cluster = TestCluster::start("batch_timeout = \"500ms\"\nprobe_timeout = \"200ms\"").await;
    cluster.nodes[0].freeze(true);
    let mut slowest = std::time::Duration::ZERO;
    for place in 0..50 {
        let started = std::time::Instant::now();
        assert_eq!(cluster.client.put(&format!("/v1/kv/f{place}"), b"x").await.status, 201);
        assert_eq!(cluster.client.get(&format!("/v1/kv/f{place}")).await.status, 200);
        slowest = slowest.max(started.elapsed());
    }
    assert!(slowest.as_millis() < 1_000, "{slowest:?}");
    cluster.until(|readyz| readyz["ready"] == true && !readyz["nodes"]["n1"].is_null()).await;
    cluster.nodes[0].freeze(false);
    cluster.ready().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_majority_is_told_and_nothing_is_applied() {
    let cluster = TestCluster::start("batch_timeout = \"500ms\"\nprobe_timeout = \"200ms\"").await;
    cluster.nodes[0].freeze(true);
    cluster.nodes[1].freeze(true);
    cluster
        .until(|readyz| readyz["state"] == "no_quorum" && readyz["nodes"].as_object().unwrap().len() == 2)
        .await;
    let refused = cluster.client.put("/v1/kv/q?timeout=3s", b"x").await;
    assert_problem(&refused, 503, "no_quorum", "not_applied");
    let detail = refused.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("n1 (") && detail.contains("n2 ("), "{detail}");
    let unread = cluster.client.get("/v1/kv/q").await;
    assert_problem(&unread, 503, "no_quorum", "not_applied");
    let detail = unread.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.starts_with("the value could not be read: "), "{detail}");
    cluster.nodes.iter().for_each(|node| node.freeze(false));
    cluster.ready().await;
    assert_problem(&cluster.client.get("/v1/kv/q").await, 404, "not_found", "not_applied");
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_node_beside_a_dead_one_leaves_the_router_ready() {
    let cluster = TestCluster::start("probe_timeout = \"2s\"\nbatch_timeout = \"2s\"").await;
    cluster.nodes[2].set_identity("n3", StorageId(99));
    cluster
        .until(|readyz| readyz["nodes"]["n3"].as_str().is_some_and(|why| why.contains("lost or swapped")))
        .await;
    cluster.nodes[1].freeze(true);
    let late = tokio::spawn({
        let client = support::client::Client::new(cluster.address);
        async move { client.put("/v1/kv/late", b"x").await.status }
    });
    cluster
        .until(|readyz| {
            assert_eq!(readyz["ready"], true, "{readyz}");
            readyz["nodes"]["n2"].as_str().is_some_and(|why| why.contains("overdue"))
        })
        .await;
    cluster.nodes[1].freeze(false);
    cluster.until(|readyz| readyz["nodes"]["n2"].is_null()).await;
    assert_eq!(late.await.unwrap(), 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_without_disk_space_refuse_growth_and_serve_the_rest() {
    let cluster = TestCluster::start("").await;
    cluster.client.put("/v1/kv/d", b"x").await;
    // The next round could begin at its Accept, where room is not asked for. A refused one ends that.
    let create = [("if-none-match", "*")];
    assert_eq!(cluster.client.request("PUT", "/v1/kv/d", &create, b"y").await.status, 412);
    cluster.nodes.iter().for_each(|node| node.set_disk(DiskSpace::Low));
    let refused = cluster.client.put("/v1/kv/d?timeout=1s", b"much larger than before").await;
    assert_problem(&refused, 503, "disk_reserve", "not_applied");
    assert_eq!(cluster.client.get("/v1/kv/d").await.text(), "x");
    assert_eq!(cluster.client.request("DELETE", "/v1/kv/d", &[], b"").await.status, 204);
}

#[tokio::test(flavor = "multi_thread")]
async fn node_of_another_identity_is_refused_by_name() {
    let cluster = TestCluster::start("probe_interval = \"50ms\"").await;
    cluster.nodes[2].set_identity("n3", StorageId(99));
    cluster
        .until(|readyz| readyz["nodes"]["n3"].as_str().is_some_and(|why| why.contains("lost or swapped")))
        .await;
    assert_eq!(cluster.client.put("/v1/kv/x", b"1").await.status, 201);
    cluster.nodes[2].set_identity("n9", StorageId(3));
    cluster.until(|readyz| readyz["nodes"]["n3"].as_str().is_some_and(|why| why.contains("n9"))).await;
    let view = cluster.client.get("/v1/cluster").await.json();
    assert_eq!(view["nodes"][2]["health"], "refused");
    assert_eq!(view["partitions"].as_array().unwrap().len(), 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_tells_what_each_replica_holds() {
    let cluster = TestCluster::start("").await;
    let etag = cluster.client.put("/v1/kv/w", b"abc").await.header("etag").trim_matches('"').to_owned();
    let view = cluster.client.get("/v1/cluster/where/w").await.json();
    assert_eq!(view["key"], "w");
    let replicas = view["replicas"].as_array().unwrap();
    assert_eq!(replicas.len(), 3);
    let live: Vec<_> = replicas.iter().filter(|replica| replica["state"] == "live").collect();
    assert!(live.len() >= 2, "{view}");
    assert!(live.iter().all(|replica| replica["etag"] == etag && replica["size"] == 3), "{view}");
    let metrics = cluster.client.get("/metrics").await;
    assert!(metrics.text().contains("roundtable_router_requests_total{endpoint=\"put\",status=\"201\"} 1"));
}

trait BodyOfGet {
    fn with_body_of_get(self) -> Answer;
}

impl BodyOfGet for Answer {
    /// The answer to HEAD has the headers of a problem and no body: puts one there that agrees with them.
    fn with_body_of_get(mut self) -> Answer {
        assert!(self.body.is_empty() && self.header("content-length").parse::<usize>().unwrap() > 0);
        let id = self.header("roundtable-request-id").to_owned();
        self.body = serde_json::json!({
            "code": "not_found", "status": 404, "outcome": "not_applied", "request_id": id,
        })
        .to_string()
        .into();
        self
    }
}
