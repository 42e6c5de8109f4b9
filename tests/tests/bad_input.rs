//! Bad input of every kind: a clear refusal, nothing changed, and the server lives on.

use std::io::Write as _;

use roundtable_tests::{Scene, encode_key, idempotency_key};

const VALUE_BYTES_MAX: usize = 1 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn key_of_a_wrong_length_is_refused() {
    let scene = Scene::start().await;
    let too_long = encode_key(vec![b'k'; 4097]);
    let much_too_long = encode_key(vec![0; 20_000]);
    for method in ["GET", "HEAD", "PUT", "DELETE", "POST"] {
        let query = if method == "POST" { "?op=increment&by=1" } else { "" };
        let empty = scene.router().call(method, &format!("/v1/kv/{query}")).send().await.must_be(400);
        let long =
            scene.router().call(method, &format!("/v1/kv/{too_long}{query}")).send().await.must_be(414);
        scene.router().call(method, &format!("/v1/kv/{much_too_long}{query}")).send().await.must_be(414);
        if method != "HEAD" {
            let empty = empty.must_refuse(400, "bad_key");
            assert!(empty.text().contains("4096"), "it says what is accepted: {}", empty.text());
            let long = long.must_refuse(414, "key_too_long");
            assert!(long.text().contains("4096"), "the limit is in the body: {}", long.text());
        }
    }
    scene.must_be_unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn percent_encoding_errors_are_refused() {
    let scene = Scene::start().await;
    for key in ["%", "a%", "%4", "%zz", "a%2", "%%41", "%u0041", "anchor%"] {
        scene
            .router()
            .call("PUT", &format!("/v1/kv/{key}"))
            .body("lost")
            .send()
            .await
            .must_refuse(400, "bad_key");
        scene.router().get(&format!("/v1/kv/{key}")).send().await.must_refuse(400, "bad_key");
    }
    scene.router().get("/v1/kv?prefix=%zz").send().await.must_refuse(400, "bad_request");
    scene.must_be_unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn value_above_the_limit_is_refused_with_and_without_a_length() {
    let scene = Scene::start().await;
    let one_too_many = vec![b'v'; VALUE_BYTES_MAX + 1];
    let refused = scene.router().put("anchor", one_too_many).send().await.must_refuse(413, "value_too_large");
    assert!(refused.text().contains("1048576"), "the limit is in the body: {}", refused.text());

    // Refused by its length alone: nothing of the body needs to be sent.
    let mut announced = scene.raw();
    announced.write("PUT /v1/kv/anchor HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999\r\n\r\n");
    assert_eq!(announced.status(), Some(413));

    // A client that waits to be asked is not asked for the body.
    let mut expecting = scene.raw();
    expecting.write(
        "PUT /v1/kv/anchor HTTP/1.1\r\nhost: x\r\ncontent-length: 2000000\r\nexpect: 100-continue\r\n\r\n",
    );
    assert_eq!(expecting.status(), Some(413));

    let mut chunked = scene.raw();
    chunked.write("PUT /v1/kv/anchor HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n");
    let chunk = vec![b'v'; 65_536];
    for _ in 0..17 {
        chunked.write("10000\r\n").write(&chunk).write("\r\n");
    }
    chunked.write("0\r\n\r\n");
    assert_eq!(chunked.status(), Some(413));
    scene.must_be_unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_conditions_are_refused() {
    let scene = Scene::start().await;
    let etag = scene.router().read("anchor").send().await.etag();
    let unquoted = etag.trim_matches('"').to_owned();
    let weak = format!("W/{etag}");
    let unclosed = format!("\"{unquoted}");
    for condition in [
        "",
        "x",
        &unquoted,
        &unclosed,
        &weak,
        "\"\u{1}\"",
        "**",
        &format!("{etag} {etag}"),
        &format!("*, {etag}"),
    ] {
        // Control characters never pass a proper client: such a header goes as raw bytes.
        let mut request = Vec::new();
        write!(request, "PUT /v1/kv/anchor HTTP/1.1\r\nhost: x\r\nif-match: {condition}\r\n").unwrap();
        write!(request, "content-length: 4\r\n\r\nlost").unwrap();
        let status = scene.raw().write(request).status();
        // A weak ETag is well-formed, and never matches (RFC 9110 section 13.1.1).
        let expected: &[u16] = if condition == weak { &[400, 412] } else { &[400] };
        assert!(status.is_some_and(|status| expected.contains(&status)), "{condition:?}: {status:?}");
    }
    // Both at once, and a kind that a write does not take.
    let both = scene.router().put("anchor", "lost").if_match(&etag).if_none_match("*");
    both.send().await.must_refuse(400, "bad_condition");
    scene.router().put("anchor", "lost").if_none_match(&etag).send().await.must_refuse(400, "bad_condition");
    scene.must_be_unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn duplicate_headers_are_refused() {
    let scene = Scene::start().await;
    let key = idempotency_key();
    for (name, value) in [
        // Repeated lines of ETags are one list (RFC 9110 section 5.3); a repeated star is none.
        ("if-match", "*"),
        ("if-none-match", "*"),
        ("idempotency-key", key.as_str()),
        ("content-type", "text/plain"),
    ] {
        let doubled =
            scene.router().put("anchor", "lost").header(name, value).header(name, value).send().await;
        let problem = doubled.must_be(400).problem();
        assert!(problem["detail"].as_str().unwrap().to_lowercase().contains(name), "{problem}");
    }
    scene.must_be_unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_parameters_are_refused() {
    let scene = Scene::start().await;
    let router = &scene.router();
    for query in ["timeout=", "timeout=0", "timeout=61s", "timeout=soon"] {
        router.get(&format!("/v1/kv/anchor?{query}")).send().await.must_refuse(400, "bad_timeout");
    }
    for query in ["consistency=", "consistency=weak", "ttl=1h", "wait=1s", "timeout=1s&timeout=1s"] {
        router.get(&format!("/v1/kv/anchor?{query}")).send().await.must_refuse(400, "bad_request");
    }
    for query in ["ttl=1h&ttl=2h", "tll=1h", "op=increment", "timeout=2s&timeout=3s", "consistency=eventual"]
    {
        let put = router.call("PUT", &format!("/v1/kv/anchor?{query}")).body("lost").send().await;
        put.must_refuse(400, "bad_request");
    }
    for query in [
        "",
        "op=",
        "op=append",
        "op=increment&by=",
        "op=increment&by=one",
        "op=increment&by=1.5",
        "op=increment&by=9223372036854775808",
        "op=increment&by=1&by=2",
        "op=touch",
        "op=touch&by=1&ttl=1h",
    ] {
        let post = router.call("POST", &format!("/v1/kv/anchor?{query}")).send().await.must_be(400);
        assert_eq!(post.problem()["outcome"], "not_applied", "{query}");
    }
    scene.must_be_unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_method_names_the_right_ones() {
    let scene = Scene::start().await;
    for (method, target) in [
        ("PATCH", "/v1/kv/anchor"),
        ("OPTIONS", "/v1/kv/anchor"),
        ("PUT", "/v1/kv"),
        ("POST", "/v1/kv"),
        ("POST", "/livez"),
        ("DELETE", "/metrics"),
        ("PUT", "/v1/cluster"),
        ("POST", "/v1/cluster/where/anchor"),
        ("BREW", "/v1/kv/anchor"),
    ] {
        let answer = scene.router().call(method, target).send().await.must_refuse(405, "method_not_allowed");
        assert!(answer.header("allow").is_some_and(|allow| allow.contains("GET")), "{method} {target}");
    }
    scene.must_be_unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_bodies_between_router_and_node_are_refused() {
    let mut scene = Scene::start().await;
    let garbage: Vec<u8> = (0..=255).collect();
    for node in 1..=3 {
        let http = scene.node(node);
        for path in ["/replica/v1/batch", "/replica/v1/scan"] {
            for body in [Vec::new(), garbage.clone(), vec![0; 100_000]] {
                let answer = http.call("POST", path).body(body).send().await;
                assert!(answer.status < 500, "{path}: {answer:?}");
            }
        }
        http.get("/replica/v1/hello?node=%ff").send().await;
        http.call("DELETE", "/replica/v1/batch").send().await.must_be(405);
        http.get("/nowhere").send().await.must_be(404);
    }
    scene.must_be_unharmed().await;
}
