//! Listing keys: order, ranges, pages, and streams.

#![expect(clippy::unwrap_used, reason = "a helper that cannot go on fails its test")]

use roundtable_tests::{Call, Cluster, Http};
use serde_json::Value;

type Parameters = [(&'static str, &'static str)];

async fn with_keys(keys: &[&str]) -> (Cluster, Http) {
    let cluster = Cluster::start().await;
    let router = cluster.router(1);
    for key in keys {
        router.put(key, format!("value of {key}")).send().await.must_be(201);
    }
    (cluster, router)
}

async fn list(router: &Http, parameters: &[(&str, &str)]) -> Value {
    let call = parameters.iter().fold(router.get("/v1/kv"), |call, (name, value)| call.query(name, value));
    call.send().await.must_be(200).json()
}

fn keys_of(listing: &Value) -> Vec<&str> {
    listing["items"].as_array().unwrap().iter().map(|item| item["key"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn listing_gives_keys_in_byte_order_with_their_state() {
    let (_cluster, router) = with_keys(&["b", "a", "a/1", "Z", "é", "a.1"]).await;
    let expiring = router.put("c", "12345").query("ttl", "1h").send().await.must_be(201);
    let listing = list(&router, &[]).await;
    assert_eq!(keys_of(&listing), ["Z", "a", "a.1", "a/1", "b", "c", "é"]);
    assert_eq!(listing["next"], Value::Null);

    let item = &listing["items"][5];
    assert_eq!(format!("\"{}\"", item["etag"].as_str().unwrap().trim_matches('"')), expiring.etag());
    assert_eq!(item["size"], 5);
    assert_eq!(item["expires"].as_u64(), router.read("c").send().await.expires());
    assert_eq!(item.get("value"), None);

    let with_values = list(&router, &[("values", "true")]).await;
    assert_eq!(with_values["items"][0]["value"], "value of Z");
    assert_eq!(with_values["items"][5]["value"], "12345");
}

#[tokio::test(flavor = "multi_thread")]
async fn listing_of_nothing_is_an_empty_page() {
    let (_cluster, router) = with_keys(&["a"]).await;
    for parameters in [[("prefix", "b")], [("start", "b")], [("end", "a")]] {
        let listing = list(&router, &parameters).await;
        assert_eq!((keys_of(&listing).len(), &listing["next"]), (0, &Value::Null), "{parameters:?}");
    }
}

/// A node takes four scans at once; the fifth was refused, and its client told that there is no majority.
#[tokio::test(flavor = "multi_thread")]
async fn listings_at_once_wait_for_their_turn() {
    let (_cluster, router) = with_keys(&["a", "b", "c"]).await;
    let listings: Vec<_> = (0..64)
        .map(|_| {
            let router = router.clone();
            tokio::spawn(async move { list(&router, &[]).await })
        })
        .collect();
    for listing in listings {
        assert_eq!(keys_of(&listing.await.unwrap()), ["a", "b", "c"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn listing_is_bounded_by_prefix_start_and_end() {
    let (_cluster, router) = with_keys(&["a", "a/1", "a/2", "a/3", "a0", "b"]).await;
    let table: [(&Parameters, &[&str]); 7] = [
        (&[("prefix", "a/")], &["a/1", "a/2", "a/3"]),
        (&[("start", "a/2")], &["a/2", "a/3", "a0", "b"]),
        (&[("end", "a/2")], &["a", "a/1"]),
        (&[("start", "a/1"), ("end", "a/3")], &["a/1", "a/2"]),
        (&[("prefix", "a/"), ("start", "a/2")], &["a/2", "a/3"]),
        (&[("prefix", "a/"), ("reverse", "true")], &["a/3", "a/2", "a/1"]),
        (&[("reverse", "true"), ("limit", "2")], &["b", "a0"]),
    ];
    for (parameters, keys) in table {
        assert_eq!(keys_of(&list(&router, parameters).await), keys, "{parameters:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn listing_pages_give_each_key_once() {
    let keys: Vec<String> = (0..253).map(|number| format!("k{number:04}")).collect();
    let names: Vec<&str> = keys.iter().map(String::as_str).collect();
    let (_cluster, router) = with_keys(&names).await;
    // Holes between the pages: deleted keys count for nothing.
    for key in keys.iter().step_by(5) {
        router.delete(key).send().await.must_be(204);
    }
    let left: Vec<&str> = names.iter().enumerate().filter(|(n, _)| n % 5 != 0).map(|(_, key)| *key).collect();
    for (limit, reverse) in
        [("1", "false"), ("7", "false"), ("7", "true"), ("100", "false"), ("10000", "true")]
    {
        let mut seen: Vec<String> = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let mut call = router.get("/v1/kv").query("limit", limit).query("reverse", reverse);
            if let Some(cursor) = &cursor {
                call = call.query("cursor", cursor);
            }
            let page = call.send().await.must_be(200).json();
            assert!(keys_of(&page).len() <= limit.parse().unwrap());
            seen.extend(keys_of(&page).into_iter().map(str::to_owned));
            match page["next"].as_str() {
                Some(next) => cursor = Some(next.to_owned()),
                None => break,
            }
        }
        if reverse == "true" {
            seen.reverse();
        }
        assert_eq!(seen, left, "limit {limit}, reverse {reverse}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn listing_with_a_tag_gives_that_partition_alone() {
    let (mut cluster, router) = with_keys(&["{u1}/a", "x{u1}b", "{u2}/a", "u1", "{u1}/c"]).await;
    assert_eq!(keys_of(&list(&router, &[("tag", "u1")]).await), ["u1", "x{u1}b", "{u1}/a", "{u1}/c"]);
    assert_eq!(keys_of(&list(&router, &[("prefix", "{u1}/")]).await), ["{u1}/a", "{u1}/c"]);
    assert_eq!(keys_of(&list(&router, &[("tag", "u1"), ("prefix", "{u1}/")]).await), ["{u1}/a", "{u1}/c"]);
    // A minority of the replicas is not missed.
    cluster.node(1).kill();
    assert_eq!(keys_of(&list(&router, &[("prefix", "{u1}/")]).await), ["{u1}/a", "{u1}/c"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn listing_gives_bytes_that_are_no_text_in_base64() {
    let (_cluster, router) = with_keys(&[]).await;
    router.put([0xff, 0x00], vec![0x80, 0x81]).send().await.must_be(201);
    let listing = list(&router, &[("values", "true")]).await;
    let item = &listing["items"][0];
    assert_eq!((&item["key_b64"], &item["value_b64"]), (&Value::from("/wA="), &Value::from("gIE=")));
    assert_eq!((item.get("key"), item.get("value")), (None, None));
    let page = router.get("/v1/kv?start=%ff&end=%ff%01").send().await.must_be(200).json();
    assert_eq!(page["items"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn listing_streams_the_whole_range_as_lines() {
    let keys: Vec<String> = (0..1_500).map(|number| format!("k{number:05}")).collect();
    let names: Vec<&str> = keys.iter().map(String::as_str).collect();
    let (_cluster, router) = with_keys(&names).await;
    let stream = |call: Call| call.header("accept", "application/x-ndjson").send();
    let answer = stream(router.get("/v1/kv?values=true")).await.must_be(200);
    assert_eq!(answer.header("content-type"), Some("application/x-ndjson"));
    let items: Vec<Value> = answer.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let listed: Vec<&str> = items.iter().map(|item| item["key"].as_str().unwrap()).collect();
    assert_eq!(listed, names);
    assert!(items.iter().all(|item| item["value"].as_str().unwrap().starts_with("value of ")));

    let part = stream(router.get("/v1/kv?prefix=k0000&reverse=true")).await.must_be(200);
    assert_eq!(part.text().lines().count(), 10);
    assert!(part.text().starts_with("{\"key\":\"k00009\""), "{}", part.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn listing_with_bad_parameters_is_refused() {
    let (_cluster, router) = with_keys(&["a"]).await;
    for query in [
        "limit=0",
        "limit=10001",
        "limit=-1",
        "limit=ten",
        "limit=",
        "cursor=x",
        "cursor=",
        "reverse=maybe",
        "values=2",
        "prefix=a&prefix=b",
        "unknown=1",
        "consistency=eventual",
    ] {
        let problem = router.get(&format!("/v1/kv?{query}")).send().await.must_be(400).problem();
        assert_eq!(problem["outcome"], "not_applied", "{query}");
    }
    router.get("/v1/kv").header("accept", "image/png").send().await.must_be(406).problem();
    router.get("/v1/kv").header("accept", "text/html, */*;q=0.1").send().await.must_be(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn listing_sees_every_acknowledged_write_with_a_node_down() {
    let (mut cluster, router) = with_keys(&["a", "b"]).await;
    cluster.node(2).kill();
    router.put("c", "x").send().await.must_be(201);
    router.delete("a").send().await.must_be(204);
    assert_eq!(keys_of(&list(&router, &[]).await), ["b", "c"]);
    // The node that missed both is one of the majority now.
    cluster.node(2).start();
    cluster.node(2).ready().await;
    cluster.node(1).kill();
    assert_eq!(keys_of(&list(&router, &[]).await), ["b", "c"]);
}
