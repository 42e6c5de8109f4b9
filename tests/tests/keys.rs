//! One key at a time: what each request on `/v1/kv/{key}` answers and leaves behind.

use std::collections::BTreeSet;
use std::process::Command;

use roundtable_tests::{Cluster, Http, eventually, now_ms, run};

/// The state of a key as a reader sees it.
async fn value_of(router: &Http, key: &str) -> String {
    router.read(key).send().await.must_be(200).text()
}

#[tokio::test(flavor = "multi_thread")]
async fn put_of_an_absent_key_creates_it() {
    let cluster = Cluster::start().await;
    let router = cluster.router(1);

    let created = router.put("a", "one").send().await.must_be(201);
    assert!(created.body.is_empty());

    let read = router.read("a").send().await.must_be(200);
    assert_eq!(read.text(), "one");
    assert_eq!(read.etag(), created.etag());
    assert_eq!(read.header("content-type"), Some("application/octet-stream"));
    assert_eq!(read.header("content-length"), Some("3"));
    assert!(read.header("last-modified").unwrap().ends_with(" GMT"));
    assert_eq!(read.expires(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn put_of_a_present_key_replaces_it_under_a_higher_etag() {
    let cluster = Cluster::start().await;
    let router = cluster.router(1);
    let first = router.put("a", "one").send().await.must_be(201).etag();
    let second = router.put("a", "two").send().await.must_be(204).etag();
    assert!(second > first, "{second} after {first}");
    assert_eq!(value_of(&router, "a").await, "two");
}

#[tokio::test(flavor = "multi_thread")]
async fn content_type_is_kept_with_the_value() {
    let cluster = Cluster::start().await;
    let router = cluster.router(1);
    let longest = format!("text/{}", "x".repeat(250));
    for content_type in ["text/plain; charset=utf-8", &longest] {
        let put = router.put("a", "{}").header("content-type", content_type).send().await;
        assert!(matches!(put.status, 201 | 204));
        let read = router.read("a").send().await.must_be(200);
        assert_eq!(read.header("content-type"), Some(content_type));
    }
    let too_long = format!("{longest}x");
    router
        .put("a", "lost")
        .header("content-type", &too_long)
        .send()
        .await
        .must_refuse(400, "bad_content_type");
    assert_eq!(value_of(&router, "a").await, "{}");
}

#[tokio::test(flavor = "multi_thread")]
async fn head_answers_the_headers_of_get_without_the_value() {
    let cluster = Cluster::start().await;
    let router = cluster.router(1);
    router.put("a", "12345").header("content-type", "text/plain").send().await.must_be(201);

    let get = router.read("a").send().await.must_be(200);
    let head = router.call("HEAD", "/v1/kv/a").send().await.must_be(200);
    assert!(head.body.is_empty());
    for name in ["etag", "content-type", "content-length", "last-modified"] {
        assert_eq!(head.header(name), get.header(name), "{name}");
    }
    let missing = router.call("HEAD", "/v1/kv/b").send().await.must_be(404);
    assert!(missing.body.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn get_of_a_missing_key_is_not_a_missing_route() {
    let cluster = Cluster::start().await;
    let router = cluster.router(1);
    let key = router.read("a").send().await.must_be(404).problem();
    let route = router.get("/v2/kv/a").send().await.must_be(404).problem();
    assert_ne!(key["code"], route["code"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn get_if_none_match_answers_304_until_the_value_changes() {
    let cluster = Cluster::start().await;
    let router = cluster.router(1);
    let first = router.put("a", "one").send().await.must_be(201).etag();

    let unchanged = router.read("a").if_none_match(&first).send().await.must_be(304);
    assert!(unchanged.body.is_empty());
    assert_eq!(unchanged.etag(), first);
    router.read("a").if_none_match(&format!("\"other\", {first}")).send().await.must_be(304);

    router.put("a", "two").send().await.must_be(204);
    let changed = router.read("a").if_none_match(&first).send().await.must_be(200);
    assert_eq!(changed.text(), "two");
}

#[tokio::test(flavor = "multi_thread")]
async fn get_eventual_is_marked_as_such() {
    let mut cluster = Cluster::start().await;
    let router = cluster.router(1);
    router.put("a", "one").send().await.must_be(201);

    let linearizable = router.read("a").send().await.must_be(200);
    assert_eq!(linearizable.header("roundtable-consistency"), None);
    // A replica that the write has not reached may answer 404: that is what "eventual" says.
    let eventual = eventually("a replica holds the value", async || {
        let answer = router.read("a").query("consistency", "eventual").send().await;
        (answer.status == 200).then_some(answer)
    })
    .await;
    assert_eq!(eventual.text(), "one");
    assert_eq!(eventual.header("roundtable-consistency"), Some("eventual"));

    // One replica of three is enough for it. With one node down, both others hold what is written.
    cluster.node(1).kill();
    router.put("a", "two").send().await.must_be(204);
    cluster.node(2).kill();
    let alone = router.read("a").query("consistency", "eventual").send().await.must_be(200);
    assert_eq!(alone.text(), "two");
    router.read("a").query("consistency", "strong").send().await.must_refuse(400, "bad_request");
}

#[tokio::test(flavor = "multi_thread")]
async fn put_ttl_sets_an_absolute_expiry_in_each_unit() {
    let cluster = Cluster::start().await;
    let router = cluster.router(1);
    let table = [
        ("90000ms", 90_000),
        ("90s", 90_000),
        ("90", 90_000),
        ("5m", 300_000),
        ("2h", 7_200_000),
        ("3d", 259_200_000),
        ("3650d", 315_360_000_000),
    ];
    for (ttl, ttl_ms) in table {
        let before = now_ms();
        router.put("a", "one").query("ttl", ttl).send().await;
        let after = now_ms();
        let expires = router.read("a").send().await.must_be(200).expires().unwrap();
        // The router's clock may be corrected a little by what the nodes tell.
        let earliest = before + ttl_ms - 1_000;
        let latest = after + ttl_ms + 1_000;
        assert!((earliest..=latest).contains(&expires), "{ttl}: {expires} not in {earliest}..={latest}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn put_without_ttl_removes_the_expiry() {
    let cluster = Cluster::start().await;
    let router = cluster.router(1);
    router.put("a", "one").query("ttl", "1h").send().await.must_be(201);
    assert!(router.read("a").send().await.expires().is_some());
    router.put("a", "two").send().await.must_be(204);
    assert_eq!(router.read("a").send().await.expires(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn put_if_match_holds_only_for_the_current_etag() {
    let cluster = Cluster::start().await;
    let router = cluster.router(1);

    let absent = router.put("a", "x").if_match("*").send().await.must_refuse(412, "precondition_failed");
    assert_eq!(absent.header("etag"), None);
    let first = router.put("a", "one").send().await.must_be(201).etag();
    let other = router.put("b", "x").if_match(&first).send().await.must_refuse(412, "precondition_failed");
    assert_eq!(other.header("etag"), None);

    let second = router.put("a", "two").if_match(&first).send().await.must_be(204).etag();
    let stale = router.put("a", "lost").if_match(&first).send().await.must_refuse(412, "precondition_failed");
    assert_eq!(stale.etag(), second);
    let third = router.put("a", "three").if_match("*").send().await.must_be(204).etag();
    assert!(third > second);
    router.put("a", "four").if_match(&format!("{first}, {third}")).send().await.must_be(204);
    assert_eq!(value_of(&router, "a").await, "four");
}

#[tokio::test(flavor = "multi_thread")]
async fn put_if_none_match_star_only_creates() {
    let cluster = Cluster::start().await;
    let router = cluster.router(1);
    let first = router.put("a", "one").if_none_match("*").send().await.must_be(201).etag();
    let second = router.put("a", "lost").if_none_match("*").send().await;
    assert_eq!(second.must_refuse(412, "precondition_failed").etag(), first);
    assert_eq!(value_of(&router, "a").await, "one");

    router.delete("a").send().await.must_be(204);
    router.put("a", "again").if_none_match("*").send().await.must_be(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn delete_removes_a_key_once() {
    let cluster = Cluster::start().await;
    let router = cluster.router(1);
    router.delete("a").send().await.must_be(404).problem();
    let first = router.put("a", "one").send().await.must_be(201).etag();

    let wrong = first.replace(|digit| digit != '"', "0");
    let refused = router.delete("a").if_match(&wrong).send().await.must_refuse(412, "precondition_failed");
    assert_eq!(refused.etag(), first);
    assert!(router.delete("a").if_match(&first).send().await.must_be(204).body.is_empty());
    router.read("a").send().await.must_be(404).problem();
    router.delete("a").send().await.must_be(404).problem();

    router.put("a", "two").send().await.must_be(201);
    router.delete("a").if_match("*").send().await.must_be(204);
}

#[tokio::test(flavor = "multi_thread")]
async fn increment_adds_to_a_decimal_value() {
    let cluster = Cluster::start().await;
    let router = cluster.router(1);
    let mut etags = BTreeSet::new();
    for (by, sum) in [(5, "5"), (-7, "-2"), (0, "-2"), (i64::MAX, "9223372036854775805")] {
        let answer = router.increment("n", by).send().await.must_be(200);
        assert_eq!(answer.text(), sum);
        assert!(etags.insert(answer.etag()));
        assert_eq!(etags.last(), Some(&answer.etag()), "each is above the one before");
    }
    let read = router.read("n").send().await.must_be(200);
    assert_eq!(read.text(), "9223372036854775805");
    assert_eq!(Some(&read.etag()), etags.last());

    router.put("n", "-12").send().await.must_be(204);
    assert_eq!(router.increment("n", 2).send().await.must_be(200).text(), "-10");
}

#[tokio::test(flavor = "multi_thread")]
async fn increment_of_what_is_no_counter_changes_nothing() {
    let cluster = Cluster::start().await;
    let router = cluster.router(1);
    for text in ["", "x", "1.5", "+1", " 1", "1\n", "9223372036854775808"] {
        router.put("a", text.to_owned()).send().await;
        let before = router.read("a").send().await.must_be(200).etag();
        router.increment("a", 1).send().await.must_refuse(409, "not_a_counter");
        let after = router.read("a").send().await.must_be(200);
        assert_eq!((after.text().as_str(), after.etag()), (text, before));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn increment_beyond_64_bits_changes_nothing() {
    let cluster = Cluster::start().await;
    let router = cluster.router(1);
    for (value, by) in [(i64::MAX, 1), (i64::MIN, -1), (i64::MIN, i64::MIN)] {
        router.put("n", value.to_string()).send().await;
        router.increment("n", by).send().await.must_refuse(409, "counter_overflow");
        assert_eq!(value_of(&router, "n").await, value.to_string());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn increment_ttl_applies_when_it_creates() {
    let cluster = Cluster::start().await;
    let router = cluster.router(1);
    router.increment("n", 1).query("ttl", "1h").send().await.must_be(200);
    let created = router.read("n").send().await.expires().unwrap();
    router.increment("n", 1).query("ttl", "9h").send().await.must_be(200);
    let read = router.read("n").send().await;
    assert_eq!((read.text().as_str(), read.expires()), ("2", Some(created)));
}

#[tokio::test(flavor = "multi_thread")]
async fn touch_renews_the_time_to_live_and_keeps_the_value() {
    let cluster = Cluster::start().await;
    let router = cluster.router(1);
    router.touch("a", "1h").send().await.must_be(404).problem();
    let put = router.put("a", "one").header("content-type", "text/plain").send().await.must_be(201).etag();

    let touched = router.touch("a", "1h").send().await;
    assert!(matches!(touched.status, 200 | 204), "{touched:?}");
    assert!(touched.etag() > put);
    let read = router.read("a").send().await.must_be(200);
    assert_eq!((read.text().as_str(), read.etag()), ("one", touched.etag()));
    assert_eq!(read.header("content-type"), Some("text/plain"));
    assert!(read.expires().unwrap() > now_ms() + 3_500_000);

    let refused = router.touch("a", "2h").if_match(&put).send().await.must_refuse(412, "precondition_failed");
    assert_eq!(refused.etag(), touched.etag());
    router.touch("a", "none").if_match(&touched.etag()).send().await;
    let read = router.read("a").send().await.must_be(200);
    assert_eq!(read.expires(), None);
    assert!(read.etag() > touched.etag());
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_any_bytes_are_kept_apart() {
    let cluster = Cluster::start().await;
    let router = cluster.router(1);
    let longest = vec![b'k'; 4096];
    let mut keys: Vec<Vec<u8>> = [
        "plain",
        "a b",
        "a+b",
        "a%20b",
        "%",
        "?",
        "#",
        "a/b",
        "/a",
        "a/",
        "a//b",
        "../a",
        ".",
        "..",
        "{tag}/x",
        "{}",
        "ключ",
        "\u{0}",
        "a\u{0}b",
        "\r\n",
        "\"quoted\"",
        "a&b=c",
    ]
    .map(|key| key.as_bytes().to_vec())
    .to_vec();
    keys.extend([vec![0xff], vec![0xc3, 0x28], (0..=255).collect(), longest.clone()]);
    for (number, key) in keys.iter().enumerate() {
        router.put(key, number.to_string()).send().await.must_be(201);
    }
    for (number, key) in keys.iter().enumerate() {
        let read = router.read(key).send().await.must_be(200);
        assert_eq!(read.text(), number.to_string(), "{}", key.escape_ascii());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_may_be_written_with_or_without_percent_encoding() {
    let cluster = Cluster::start().await;
    let router = cluster.router(1);
    for (written, same) in
        [("a/b", "a%2Fb"), ("a/b", "%61%2fb"), ("x//../y", "x%2F%2F..%2Fy"), ("%7Bt%7D", "{t}")]
    {
        router.call("PUT", &format!("/v1/kv/{written}")).body(written.to_owned()).send().await;
        let read = router.get(&format!("/v1/kv/{same}")).send().await.must_be(200);
        assert_eq!(read.text(), written);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn values_of_any_bytes_and_size_come_back_whole() {
    let cluster = Cluster::start().await;
    let router = cluster.router(1);
    let all_bytes: Vec<u8> = (0..=255).collect();
    // Around the size from which values are stored apart, and up to the limit.
    for size in [0, 1, 4_095, 4_096, 4_097, 65_536, 1 << 20] {
        let value: Vec<u8> = all_bytes.iter().copied().cycle().take(size).collect();
        router.put("v", value.clone()).send().await;
        let read = router.read("v").send().await.must_be(200);
        assert!(read.body == value, "{size} bytes");
        // A precondition that fails and a touch carry the value forward without having been given it.
        router.put("v", "lost").if_none_match("*").send().await.must_be(412);
        router.touch("v", "1h").send().await;
        assert!(router.read("v").send().await.must_be(200).body == value, "{size} bytes after a touch");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn etag_strictly_increases_through_a_keys_whole_life() {
    let cluster = Cluster::start().await;
    let router = cluster.router(1);
    let mut last = String::new();
    for round in 0..3 {
        for call in
            [router.put("n", "1"), router.increment("n", 1), router.touch("n", "1h"), router.put("n", "2")]
        {
            let etag = call.send().await.etag();
            assert!(etag > last, "{etag} after {last} in round {round}");
            last = etag;
        }
        assert_eq!(router.read("n").send().await.etag(), last, "reading changes nothing");
        router.delete("n").send().await.must_be(204);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn request_id_is_taken_over_or_made() {
    let cluster = Cluster::start().await;
    let router = cluster.router(1);
    let given = router.put("a", "one").header("roundtable-request-id", "my-request-7").send().await;
    assert_eq!(given.header("roundtable-request-id"), Some("my-request-7"));
    let first = router.read("a").send().await;
    let second = router.read("missing").send().await;
    let ids = [&first, &second].map(|answer| answer.header("roundtable-request-id").unwrap().to_owned());
    assert!(!ids[0].is_empty() && ids[0] != ids[1], "{ids:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn key_that_url_libraries_rewrite_is_reached_by_its_second_form() {
    let cluster = Cluster::start().await;
    let router = cluster.router(1);
    let address = format!("http://{}", router.address());
    let curl = |arguments: &[&str]| {
        let output = Command::new("curl").args(["-sS", "-f"]).args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    for (key, form) in [(".", "Lg"), ("..", "Li4"), ("a/../b", "YS8uLi9i"), ("/.", "Ly4")] {
        let url = format!("{address}/v1/kvb/{form}");
        curl(&["-X", "PUT", "--data-binary", key, &url]);
        assert_eq!(curl(&[&url]), key.as_bytes());
        // It is the same key as in the first form, sent byte for byte.
        assert_eq!(value_of(&router, key).await, key);
        let got = run("roundtable", &["get", key, "--router", &address]).must_end_with(0);
        assert_eq!(got.text(), key);
        let place: serde_json::Value =
            serde_json::from_slice(&curl(&[&format!("{address}/v1/cluster/whereb/{form}")])).unwrap();
        assert_eq!(place["key"], key);
        curl(&["-X", "DELETE", &url]);
        router.read(key).send().await.must_be(404);
    }
}
