//! Keys with a time to live: gone on time, for everyone, and never back.

use roundtable_tests::{Cluster, Http, Layout, eventually, now_ms};

async fn wait_until_gone(router: &Http, key: &str) {
    eventually(&format!("{key} has expired"), async || {
        (router.read(key).send().await.status == 404).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn expired_key_is_gone_on_time_through_every_router_and_stays_gone() {
    let cluster = Cluster::start_with(Layout { routers: 2, ..Layout::default() }).await;
    let (one, two) = (cluster.router(1), cluster.router(2));
    let put_at = now_ms();
    one.put("a", "one").query("ttl", "400ms").send().await.must_be(201);
    wait_until_gone(&one, "a").await;
    let lived = now_ms() - put_at;
    assert!(lived >= 400, "gone after {lived} ms");

    for _ in 0..20 {
        two.read("a").send().await.must_be(404);
        one.read("a").send().await.must_be(404);
    }
    two.touch("a", "1h").send().await.must_be(404);
    one.delete("a").send().await.must_be(404);
    one.put("a", "x").if_match("*").send().await.must_be(412);
}

#[tokio::test(flavor = "multi_thread")]
async fn expired_key_can_be_created_again_under_a_higher_etag() {
    let cluster = Cluster::start().await;
    let router = cluster.router(1);
    let first = router.put("lease", "holder-1").query("ttl", "300ms").if_none_match("*").send().await;
    let first = first.must_be(201).etag();
    // Whoever waits for the lease gets it as soon as it has run out, without anyone reading in between.
    let second = eventually("the lease is free", async || {
        let answer = router.put("lease", "holder-2").query("ttl", "1h").if_none_match("*").send().await;
        (answer.status == 201).then_some(answer)
    })
    .await;
    assert!(second.etag() > first);
    // The first holder comes back too late.
    router.touch("lease", "1h").if_match(&first).send().await.must_be(412);
    assert_eq!(router.read("lease").send().await.must_be(200).text(), "holder-2");
}

#[tokio::test(flavor = "multi_thread")]
async fn expired_counter_counts_from_zero_again() {
    let cluster = Cluster::start().await;
    let router = cluster.router(1);
    router.increment("n", 41).query("ttl", "300ms").send().await.must_be(200);
    wait_until_gone(&router, "n").await;
    assert_eq!(router.increment("n", 1).send().await.must_be(200).text(), "1");
    assert_eq!(router.read("n").send().await.must_be(200).header("roundtable-expires"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn touched_key_outlives_its_first_time_to_live() {
    let cluster = Cluster::start().await;
    let router = cluster.router(1);
    router.put("witness", "x").query("ttl", "700ms").send().await.must_be(201);
    router.put("a", "one").query("ttl", "700ms").send().await.must_be(201);
    router.touch("a", "1h").send().await;
    wait_until_gone(&router, "witness").await;
    assert_eq!(router.read("a").send().await.must_be(200).text(), "one");
}

#[tokio::test(flavor = "multi_thread")]
async fn expired_keys_are_not_listed() {
    let cluster = Cluster::start().await;
    let router = cluster.router(1);
    router.put("gone", "x").query("ttl", "300ms").send().await.must_be(201);
    router.put("kept", "x").query("ttl", "1h").send().await.must_be(201);
    let listed = eventually("one key is listed", async || {
        let listing = router.get("/v1/kv").send().await.must_be(200).json();
        (listing["items"].as_array().unwrap().len() == 1).then_some(listing)
    })
    .await;
    assert_eq!(listed["items"][0]["key"], "kept");
    assert!(listed["items"][0]["expires"].as_u64().unwrap() > now_ms());
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_ttl_is_refused_and_changes_nothing() {
    let cluster = Cluster::start().await;
    let router = cluster.router(1);
    let before = router.put("a", "1").send().await.must_be(201).etag();
    for ttl in [
        "",
        "0",
        "0s",
        "-1s",
        "1.5s",
        "1w",
        "s",
        "none",
        "1h30m",
        "3651d",
        "18446744073709551616",
        "1 s",
        "١s",
    ] {
        router.put("a", "lost").query("ttl", ttl).send().await.must_refuse(400, "bad_ttl");
        router.increment("a", 1).query("ttl", ttl).send().await.must_refuse(400, "bad_ttl");
        if ttl != "none" {
            router
                .call("POST", "/v1/kv/a?op=touch")
                .query("ttl", ttl)
                .send()
                .await
                .must_refuse(400, "bad_ttl");
        }
    }
    assert_eq!(router.read("a").send().await.must_be(200).etag(), before);
}
