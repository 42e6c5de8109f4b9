//! What a client is told when a request cannot be served: exactly what it may conclude from it.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a helper that cannot go on fails its test"
)]

use std::time::Duration;

use roundtable_tests::{Answer, Cluster, Http, Layout, idempotency_key};
use tokio::task::JoinSet;

/// A client may repeat this request at once or later: it was never applied.
#[track_caller]
fn must_be_never_applied(answer: Answer, code: &str) {
    let answer = answer.must_refuse(503, code);
    assert_eq!(answer.problem()["retryable"], true);
    let seconds: u32 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!(seconds <= 60, "{seconds}");
}

#[tokio::test(flavor = "multi_thread")]
async fn majority_lost_is_no_quorum_and_never_applied() {
    let mut cluster = Cluster::start().await;
    let router = cluster.router(1);
    let before = router.put("a", "1").send().await.must_be(201).etag();
    cluster.node(1).kill();
    cluster.node(2).kill();

    for call in [
        router.read("a"),
        router.put("a", "lost"),
        router.put("a", "lost").keyed(&idempotency_key()),
        router.put("a", "lost").if_match(&before),
        router.delete("a"),
        router.increment("a", 1),
        router.touch("a", "1h"),
    ] {
        let answer = call.query("timeout", "2s").send().await;
        assert!(answer.elapsed < Duration::from_secs(10), "{answer:?}");
        must_be_never_applied(answer, "no_quorum");
    }
    let listing = router.get("/v1/kv").send().await;
    assert_eq!(listing.must_be(503).problem()["code"], "no_quorum");

    for number in [1, 2] {
        cluster.node(number).start();
        cluster.node(number).ready().await;
    }
    cluster.router_process(1).ready().await;
    let after = router.read("a").send().await.must_be(200);
    assert_eq!((after.text().as_str(), after.etag()), ("1", before));
}

#[tokio::test(flavor = "multi_thread")]
async fn majority_known_to_be_dead_refuses_every_request_at_once() {
    let mut cluster = Cluster::start().await;
    let router = cluster.router(1);
    // The second write of a key leaves the third one free to begin with its second phase.
    for name in ["put", "cas", "delete", "touch"] {
        router.put(name, "1").send().await.must_be(201);
        router.put(name, "2").send().await.must_be(204);
    }
    for _ in 0..2 {
        router.increment("sum", 1).send().await.must_be(200);
    }
    let etag = router.put("cas", "3").send().await.must_be(204).etag();
    cluster.node(1).kill();
    cluster.node(2).kill();
    roundtable_tests::eventually("the router knows that they are dead", async || {
        (router.get("/readyz").send().await.status == 503).then_some(())
    })
    .await;

    for call in [
        router.put("put", "lost"),
        router.put("cas", "lost").if_match(&etag),
        router.increment("sum", 1),
        router.increment("sum", 1).keyed(&idempotency_key()),
        router.delete("delete"),
        router.touch("touch", "1h"),
        router.put("new", "lost"),
        router.read("put"),
    ] {
        let answer = call.send().await;
        // Half a second is far more than is needed, and far less than anything that waits.
        assert!(answer.elapsed < Duration::from_millis(500), "{answer:?}");
        must_be_never_applied(answer, "no_quorum");
    }
    let stale = router.read("put").query("consistency", "eventual").send().await;
    assert_eq!(stale.must_be(200).text(), "2");

    for number in [1, 2] {
        cluster.node(number).start();
        cluster.node(number).ready().await;
    }
    cluster.router_process(1).ready().await;
    assert_eq!(router.read("put").send().await.must_be(200).text(), "2");
    assert_eq!(router.read("cas").send().await.must_be(200).etag(), etag);
    assert_eq!(router.read("sum").send().await.must_be(200).text(), "2");
    router.read("delete").send().await.must_be(200);
    router.read("new").send().await.must_be(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn write_in_doubt_is_outcome_unknown_and_settled_by_a_repeat() {
    let mut cluster = Cluster::start().await;
    let router = cluster.router(1);
    let mut unknown = Vec::new();
    // Two nodes freeze while many writes are under way: those whose second phase was sent are in doubt.
    for round in 0..20 {
        let mut writers = JoinSet::new();
        for writer in 0..64 {
            let router = router.clone();
            writers.spawn(async move {
                let mut in_doubt = Vec::new();
                for number in 0.. {
                    let (name, key) = (format!("{round}/{writer}/{number}"), idempotency_key());
                    let put = router.put(&name, name.clone()).keyed(&key).query("timeout", "1s");
                    let answer = put.clone().send().await;
                    match answer.status {
                        201 => continue,
                        504 => {
                            let problem = answer.problem();
                            assert_eq!(problem["code"], "outcome_unknown", "{problem}");
                            assert_eq!(problem["outcome"], "unknown", "{problem}");
                            in_doubt.push((name, put));
                        }
                        _ => must_be_never_applied(answer, "no_quorum"),
                    }
                    break;
                }
                in_doubt
            });
        }
        // Under way: some writes of this round are done.
        let first = format!("{round}/0/1");
        roundtable_tests::eventually("writes flow", async || {
            (router.read(&first).send().await.status == 200).then_some(())
        })
        .await;
        cluster.node(1).freeze();
        cluster.node(2).freeze();
        unknown.extend(writers.join_all().await.into_iter().flatten());
        cluster.node(1).thaw();
        cluster.node(2).thaw();
        cluster.router_process(1).ready().await;
        if !unknown.is_empty() {
            break;
        }
    }
    assert!(!unknown.is_empty(), "no write was caught between its phases");
    for (name, put) in unknown {
        put.send().await.must_be(201);
        assert_eq!(router.read(&name).send().await.must_be(200).text(), name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn request_ends_at_its_own_timeout() {
    let mut cluster = Cluster::start().await;
    let router = cluster.router(1);
    let before = router.put("a", "one").send().await.must_be(201).etag();
    cluster.node(2).freeze();
    cluster.node(3).freeze();
    for call in [router.read("a"), router.put("a", "lost"), router.get("/v1/kv")] {
        let answer = call.query("timeout", "300ms").send().await;
        assert!(matches!(answer.status, 503 | 504), "{answer:?}");
        // The figure is 300 ms; the rest is for a busy machine.
        assert!(answer.elapsed < Duration::from_secs(3), "{:?}", answer.elapsed);
        let problem = answer.problem();
        assert!(
            ["no_quorum", "timeout", "outcome_unknown"].contains(&problem["code"].as_str().unwrap()),
            "{problem}"
        );
    }
    cluster.node(2).thaw();
    cluster.node(3).thaw();
    cluster.router_process(1).ready().await;
    let after = router.read("a").send().await.must_be(200);
    assert!(after.etag() == before || after.text() == "lost");
}

#[tokio::test(flavor = "multi_thread")]
async fn disk_below_its_reserve_refuses_writes_and_serves_reads() {
    let mut cluster = Cluster::start().await;
    let router = cluster.router(1);
    router.put("a", "one").send().await.must_be(201);
    // More than any disk of a test machine has free.
    for number in 1..=3 {
        cluster.node(number).kill();
        cluster.node(number).set_env("ROUNDTABLE_NODE_FREE_BYTES_MIN", "1000 TiB");
        cluster.node(number).start();
    }
    cluster.ready().await;
    assert_eq!(router.read("a").send().await.must_be(200).text(), "one");
    must_be_never_applied(router.put("b", "x").send().await, "disk_reserve");
    must_be_never_applied(router.put("a", "a longer value").send().await, "disk_reserve");
    router.read("b").send().await.must_be(404);
    // What makes the data smaller is how an operator gets out of it.
    router.delete("a").send().await.must_be(204);
}

#[tokio::test(flavor = "multi_thread")]
async fn router_that_knows_no_cluster_yet_says_so() {
    let mut cluster = Cluster::prepare(&Layout::default());
    cluster.router_process(1).start();
    let http = cluster.router(1);
    roundtable_tests::eventually("the router listens", async || http.get("/livez").try_send().await.ok())
        .await;
    must_be_never_applied(http.put("a", "x").send().await, "no_quorum");
    http.get("/readyz").send().await.must_be(503);

    // One node short: the first configuration is chosen by all of them.
    cluster.node(1).start();
    cluster.node(2).start();
    must_be_never_applied(http.put("a", "x").send().await, "no_quorum");
    cluster.node(3).start();
    cluster.ready().await;
    http.put("a", "x").send().await.must_be(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_refusal_is_a_whole_problem() {
    let cluster = Cluster::start().await;
    let router = cluster.router(1);
    router.put("text", "no number").send().await.must_be(201);
    router.put("full", i64::MAX.to_string()).send().await.must_be(201);
    let (etag, key) = (router.read("text").send().await.etag(), idempotency_key());
    router.put("text", "first").keyed(&key).send().await.must_be(204);
    let long = "k".repeat(4097);
    let table = [
        (400, "bad_request", router.read("text").query("consistency", "weak")),
        (400, "bad_key", router.get("/v1/kv/")),
        (400, "bad_ttl", router.put("text", "x").query("ttl", "never")),
        (400, "bad_idempotency_key", router.put("text", "x").keyed("again")),
        (400, "bad_timeout", router.read("text").query("timeout", "61s")),
        (400, "bad_condition", router.put("text", "x").if_match("unquoted")),
        (400, "bad_cursor", router.get("/v1/kv?cursor=x")),
        (400, "bad_content_type", router.put("text", "x").header("content-type", &"t".repeat(256))),
        (404, "not_found", router.read("missing")),
        (404, "no_such_route", router.get("/v1/nothing")),
        (405, "method_not_allowed", router.call("PATCH", "/v1/kv/text")),
        (406, "not_acceptable", router.get("/v1/kv").header("accept", "image/png")),
        (409, "not_a_counter", router.increment("text", 1)),
        (409, "counter_overflow", router.increment("full", 1)),
        (412, "precondition_failed", router.put("text", "x").if_match(&etag)),
        (413, "value_too_large", router.put("text", vec![0; (1 << 20) + 1])),
        (414, "key_too_long", router.read(&long)),
        (415, "unsupported_content_encoding", router.put("text", "x").header("content-encoding", "gzip")),
        (422, "idempotency_key_reused", router.put("text", "second").keyed(&key)),
    ];
    for (status, code, call) in table {
        let problem = call.send().await.must_refuse(status, code).problem();
        assert_eq!(problem["retryable"], false, "{problem}");
    }
    assert_eq!(router.read("text").send().await.text(), "first");
}

#[tokio::test(flavor = "multi_thread")]
async fn node_frozen_or_dead_is_not_waited_for() {
    let mut cluster = Cluster::start().await;
    let router = cluster.router(1);
    router.put("a", "0").send().await.must_be(201);
    cluster.node(1).freeze();
    all_within_a_second(&router).await;
    cluster.node(1).thaw();
    cluster.node(1).ready().await;
    cluster.router_process(1).ready().await;
    settled(&router).await;
    cluster.node(2).kill();
    all_within_a_second(&router).await;
}

async fn all_within_a_second(router: &Http) {
    for number in 1..=100 {
        for call in [router.put("a", number.to_string()), router.read("a")] {
            let answer = call.send().await;
            assert!(matches!(answer.status, 200 | 204), "{answer:?}");
            assert!(answer.elapsed < Duration::from_secs(1), "{:?}", answer.elapsed);
        }
    }
}

/// Waits until the router uses every node again.
async fn settled(router: &Http) {
    roundtable_tests::eventually("all nodes are up", async || {
        let cluster = router.get("/v1/cluster").send().await.must_be(200).json();
        let up = |node: &serde_json::Value| node["health"] == "up";
        cluster["nodes"].as_array().unwrap().iter().all(up).then_some(())
    })
    .await;
}
