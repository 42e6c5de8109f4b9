//! Listing keys: order, ranges, pages, and streams.

#![expect(clippy::unwrap_used, reason = "a helper that cannot go on fails its test")]

use std::time::{Duration, Instant};

use roundtable_tests::{Call, Cluster, Http, eventually};
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

/// Puts many keys, some at once.
async fn put_all(router: &Http, keys: &[String], value: &str) {
    for chunk in keys.chunks(keys.len().div_ceil(16).max(1)) {
        let puts = chunk.iter().map(|key| {
            let (router, key, value) = (router.clone(), key.clone(), value.to_owned());
            tokio::spawn(async move { router.put(&key, value).send().await.must_be(201) })
        });
        for put in puts.collect::<Vec<_>>() {
            put.await.unwrap();
        }
    }
}

/// The lines that a deletion of many keys answers.
async fn delete_range(router: &Http, query: &str) -> Vec<Value> {
    let answer = router.call("DELETE", &format!("/v1/kv?{query}")).send().await.must_be(200);
    assert_eq!(answer.header("content-type"), Some("application/x-ndjson"));
    assert_eq!(answer.header("roundtable-consistency"), Some("per-key"));
    answer.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Registers that the nodes named one by one in scans so far.
async fn scan_entries(cluster: &Cluster) -> u64 {
    sum_of(cluster, "roundtable_node_scan_entries_total").await
}

/// A counter of the nodes, all together.
async fn sum_of(cluster: &Cluster, counter: &str) -> u64 {
    let mut sum = 0;
    for address in cluster.node_addresses() {
        let metrics = Http::new(&address).get("/metrics").send().await.must_be(200).text();
        let line = metrics.lines().find(|line| line.starts_with(counter)).unwrap();
        sum += line.rsplit(' ').next().unwrap().parse::<u64>().unwrap();
    }
    sum
}

/// A page with a small limit crawled over deleted keys, a page of nodes' rows each: 5 s, and then nothing.
#[tokio::test(flavor = "multi_thread")]
async fn listing_passes_over_deleted_keys_without_naming_them() {
    let (cluster, router) = with_keys(&[]).await;
    let keys: Vec<String> = (0..3_000).map(|number| format!("tc/{{t}}{number:05}")).collect();
    put_all(&router, &keys[..1_500], "v").await;
    let spread: Vec<String> = keys[1_500..].iter().map(|key| key.replace("{t}", "")).collect();
    put_all(&router, &spread, "v").await;
    let left = ["tc/01502", "tc/{t}00001"];
    let ranges = ["end=tc/01502", "start=tc/01502%00&end=tc/%7Bt%7D00001", "start=tc/%7Bt%7D00001%00"];
    let mut deleted = 0;
    for range in ranges {
        deleted += delete_range(&router, range).await.last().unwrap()["deleted"].as_u64().unwrap();
    }
    assert_eq!(deleted, 2_998);
    // A deletion is acknowledged when a majority has it; the listing looks closer until the last replica has it too.
    list(&router, &[]).await;
    eventually("listings that name few keys", async || {
        let before = scan_entries(&cluster).await;
        let listed = list(&router, &[("prefix", "tc/")]).await;
        assert_eq!(keys_of(&listed), left);
        (scan_entries(&cluster).await - before < 20).then_some(())
    })
    .await;
    let table: [(&Parameters, &[&str]); 5] = [
        (&[("prefix", "tc/"), ("limit", "1")], &left[..1]),
        (&[("limit", "1"), ("reverse", "true")], &left[1..]),
        (&[("prefix", "tc/{t}"), ("limit", "1")], &left[1..]),
        (&[("tag", "t"), ("limit", "10"), ("reverse", "true")], &left[1..]),
        (&[("start", "tc/01502"), ("limit", "2")], &left),
    ];
    for (parameters, expected) in table {
        let before = scan_entries(&cluster).await;
        let begun = Instant::now();
        assert_eq!(keys_of(&list(&router, parameters).await), expected, "{parameters:?}");
        assert!(begun.elapsed() < Duration::from_secs(2), "{parameters:?}: {:?}", begun.elapsed());
        let named = scan_entries(&cluster).await - before;
        assert!(named < 20, "{parameters:?}: {named} registers named one by one");
    }
    let stream = router.get("/v1/kv?prefix=tc/").header("accept", "application/x-ndjson").send().await;
    assert_eq!(stream.must_be(200).text().lines().count(), 2);
}

/// A queue stood still after 50 keys were taken.
#[tokio::test(flavor = "multi_thread")]
async fn listing_gives_a_queue_its_first_key_again_and_again() {
    let (cluster, router) = with_keys(&[]).await;
    let keys: Vec<String> = (0..400).map(|number| format!("{{q}}/{number:04}")).collect();
    put_all(&router, &keys, "job").await;
    for (reverse, keys) in [("false", &keys[..200]), ("true", &keys[200..])] {
        let mut keys: Vec<&String> = keys.iter().collect();
        if reverse == "true" {
            keys.reverse();
        }
        let first = [("prefix", "{q}/"), ("limit", "1"), ("reverse", reverse)];
        for key in keys {
            assert_eq!(keys_of(&list(&router, &first).await), [key]);
            router.delete(key).send().await.must_be(204);
        }
        // As soon as the last replica has the deletions too, nobody reads all 2 * 200 of them again.
        eventually("listings that read few rows", async || {
            let before = sum_of(&cluster, "roundtable_node_scan_rows_total").await;
            list(&router, &first).await;
            let read = sum_of(&cluster, "roundtable_node_scan_rows_total").await - before;
            (read < 100).then_some(())
        })
        .await;
    }
    assert_eq!(keys_of(&list(&router, &[("prefix", "{q}/"), ("limit", "1")]).await).len(), 0);
}

/// Values that expired without anybody looking are deleted by whoever lists them: a page does not give up after one.
#[tokio::test(flavor = "multi_thread")]
async fn listing_finds_the_first_key_behind_expired_ones() {
    let (_cluster, router) = with_keys(&["x/zz"]).await;
    let puts = (0..200).map(|number| {
        let router = router.clone();
        tokio::spawn(async move {
            router.put(format!("x/{number:04}"), "v").query("ttl", "1ms").send().await.must_be(201)
        })
    });
    for put in puts.collect::<Vec<_>>() {
        put.await.unwrap();
    }
    assert_eq!(keys_of(&list(&router, &[("prefix", "x/"), ("limit", "1")]).await), ["x/zz"]);
    let count = router.get("/v1/kv?prefix=x/&count=true").send().await.must_be(200).json();
    assert_eq!(count, serde_json::json!({"count": 1}));
}

/// Nodes that were busy with large values counted as missing: 503 `no_quorum`.
#[tokio::test(flavor = "multi_thread")]
async fn pages_of_large_values_at_once_are_slower_or_too_many_but_miss_no_node() {
    let (_cluster, router) = with_keys(&[]).await;
    let keys: Vec<String> = (0..40).map(|number| format!("large/{number:02}")).collect();
    put_all(&router, &keys, &"v".repeat(512 << 10)).await;
    let pages: Vec<_> = (0..20)
        .map(|_| {
            let router = router.clone();
            tokio::spawn(async move { router.get("/v1/kv?limit=10000&values=true").send().await })
        })
        .collect();
    let mut whole = 0;
    for page in pages {
        let page = page.await.unwrap();
        if page.status == 200 {
            whole += 1;
            assert!(keys_of(&page.json()).len() >= 8, "a page of 8 MiB or more");
        } else {
            page.must_refuse(503, "overloaded");
        }
    }
    assert!(whole > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn count_is_what_a_listing_shows() {
    let names: Vec<String> = (0..300).map(|number| format!("c/{number:03}")).collect();
    let keys: Vec<&str> = names.iter().map(String::as_str).collect();
    let (mut cluster, router) = with_keys(&keys).await;
    router.put("{u}/1", "v").send().await.must_be(201);
    router.put("x{u}", "v").query("ttl", "1h").send().await.must_be(201);
    delete_range(&router, "prefix=c/1").await;
    let table = [
        ("", 202),
        ("&prefix=c/", 200),
        ("&prefix=c/1", 0),
        ("&prefix=c/2", 100),
        ("&start=c/05&end=c/25", 100),
        ("&tag=u", 2),
        ("&prefix=%7Bu%7D", 1),
        ("&prefix=none", 0),
    ];
    let check = async |router: &Http| {
        for (query, expected) in table {
            let answer = router.get(&format!("/v1/kv?count=true{query}")).send().await.must_be(200);
            assert_eq!(answer.header("roundtable-consistency"), Some("per-key"));
            assert_eq!(answer.json(), serde_json::json!({"count": expected}), "{query:?}");
        }
    };
    check(&router).await;
    // A node that missed writes doesn't change what is counted.
    cluster.node(2).kill();
    for key in ["c/200", "c/201"] {
        router.delete(key).send().await.must_be(204);
        router.put(format!("{key}+"), "v").send().await.must_be(201);
    }
    cluster.node(2).start();
    cluster.node(2).ready().await;
    cluster.node(1).kill();
    check(&router).await;
    router.get("/v1/kv?count=true&limit=5").send().await.must_refuse(400, "bad_request");
}

#[tokio::test(flavor = "multi_thread")]
async fn delete_of_a_range_deletes_what_a_listing_shows_and_says_how_far_it_is() {
    let (_cluster, router) = with_keys(&["other", "r{u}", "s{u}"]).await;
    let keys: Vec<String> = (0..2_300).map(|number| format!("d/{number:05}")).collect();
    put_all(&router, &keys, "v").await;
    let lines = delete_range(&router, "prefix=d/&end=d/02250").await;
    let deleted: Vec<u64> = lines.iter().map(|line| line["deleted"].as_u64().unwrap()).collect();
    assert_eq!(deleted.last(), Some(&2_250), "{lines:?}");
    assert!(deleted.len() > 1 && deleted.is_sorted(), "{lines:?}");
    let (last, before) = lines.split_last().unwrap();
    assert_eq!(last["next"], Value::Null);
    // Broken off after its first line it goes on there, or is simply sent again.
    let cursor = before.first().unwrap()["next"].as_str().unwrap();
    assert_eq!(
        delete_range(&router, &format!("prefix=d/&end=d/02250&cursor={cursor}")).await[0]["deleted"],
        0
    );
    assert_eq!(
        delete_range(&router, "prefix=d/&end=d/02250").await,
        [serde_json::json!({"deleted": 0, "next": null})]
    );
    assert_eq!(delete_range(&router, "tag=u&start=s").await[0]["deleted"], 1);
    let left = list(&router, &[("limit", "100")]).await;
    assert_eq!(
        (keys_of(&left).len(), keys_of(&left)[0], keys_of(&left).last()),
        (52, "d/02250", Some(&"r{u}"))
    );

    let refused = router.call("DELETE", "/v1/kv").send().await.must_refuse(400, "bad_request");
    assert!(refused.problem()["detail"].as_str().unwrap().contains("prefix, start, end or tag"));
    let conditional = router.call("DELETE", "/v1/kv?prefix=d/").header("if-match", "*");
    conditional.send().await.must_refuse(400, "bad_request");
    assert_eq!(keys_of(&list(&router, &[]).await).len(), 52);
}
