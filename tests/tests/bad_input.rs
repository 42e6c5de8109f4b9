//! Bad input of every kind: a clear refusal, nothing changed, and the server lives on.

use std::io::Write as _;

use roundtable_tests::{Answer, Cluster, Http, Raw, encode_key};

const VALUE_BYTES_MAX: usize = 1 << 20;

/// A cluster with one key, and what stood there before the bad input came.
struct Scene {
    cluster: Cluster,
    router: Http,
    before: Answer,
}

impl Scene {
    async fn new() -> Self {
        let cluster = Cluster::start().await;
        let router = cluster.router(1);
        router.put("anchor", "untouched").header("content-type", "text/plain").send().await.must_be(201);
        let before = router.get("/v1/kv").query("values", "true").send().await.must_be(200);
        Self { cluster, router, before }
    }

    fn raw(&self) -> Raw {
        Raw::connect(self.router.address())
    }

    /// Requires that nothing has changed and that every process still serves.
    async fn must_be_unharmed(mut self) {
        let after = self.router.get("/v1/kv").query("values", "true").send().await.must_be(200);
        assert_eq!(after.text(), self.before.text());
        assert_eq!(self.router.read("anchor").send().await.must_be(200).text(), "untouched");
        for number in 1..=3 {
            assert!(self.cluster.node(number).exited().is_none());
        }
        assert!(self.cluster.router_process(1).exited().is_none());
        self.router.put("new", "x").send().await.must_be(201);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn key_of_a_wrong_length_is_refused() {
    let scene = Scene::new().await;
    let too_long = encode_key(vec![b'k'; 4097]);
    let much_too_long = encode_key(vec![0; 20_000]);
    for method in ["GET", "HEAD", "PUT", "DELETE", "POST"] {
        let query = if method == "POST" { "?op=increment&by=1" } else { "" };
        let empty = scene.router.call(method, &format!("/v1/kv/{query}")).send().await.must_be(400);
        let long = scene.router.call(method, &format!("/v1/kv/{too_long}{query}")).send().await.must_be(414);
        scene.router.call(method, &format!("/v1/kv/{much_too_long}{query}")).send().await.must_be(414);
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
    let scene = Scene::new().await;
    for key in ["%", "a%", "%4", "%zz", "a%2", "%%41", "%u0041", "anchor%"] {
        scene
            .router
            .call("PUT", &format!("/v1/kv/{key}"))
            .body("lost")
            .send()
            .await
            .must_refuse(400, "bad_key");
        scene.router.get(&format!("/v1/kv/{key}")).send().await.must_refuse(400, "bad_key");
    }
    scene.router.get("/v1/kv?prefix=%zz").send().await.must_refuse(400, "bad_request");
    scene.must_be_unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_no_url_may_have_are_refused() {
    let scene = Scene::new().await;
    for target in [
        &b"/v1/kv/a b"[..],
        b"/v1/kv/a\0b",
        b"/v1/kv/a\x01b",
        b"/v1/kv/a\x7fb",
        b"/v1/kv/a\rb",
        b"/v1/kv/\tanchor",
    ] {
        let mut request = b"PUT ".to_vec();
        request.extend_from_slice(target);
        request.extend_from_slice(b" HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\nlost");
        assert_eq!(scene.raw().write(request).status(), Some(400), "{}", target.escape_ascii());
    }
    scene.must_be_unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn raw_bytes_above_ascii_are_a_key_or_refused_but_never_garbled() {
    let scene = Scene::new().await;
    // Not allowed by RFC 3986, sent by some clients nevertheless.
    let status = scene
        .raw()
        .write(b"PUT /v1/kv/\xff\xc3\x28 HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\nkept")
        .status()
        .unwrap();
    match status {
        201 => {
            assert_eq!(scene.router.read([0xff, 0xc3, 0x28]).send().await.must_be(200).text(), "kept");
            scene.router.delete([0xff, 0xc3, 0x28]).send().await.must_be(204);
        }
        _ => assert_eq!(status, 400),
    }
    scene.must_be_unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn value_above_the_limit_is_refused_with_and_without_a_length() {
    let scene = Scene::new().await;
    let one_too_many = vec![b'v'; VALUE_BYTES_MAX + 1];
    let refused = scene.router.put("anchor", one_too_many).send().await.must_refuse(413, "value_too_large");
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
async fn chunked_value_within_the_limit_is_stored_whole() {
    let scene = Scene::new().await;
    let mut chunked = scene.raw();
    chunked.write("PUT /v1/kv/chunked HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n");
    chunked.write("3\r\nabc\r\n").write("1;extension=1\r\nd\r\n").write("0\r\ntrailer: x\r\n\r\n");
    assert_eq!(chunked.status(), Some(201));
    assert_eq!(scene.router.read("chunked").send().await.must_be(200).text(), "abcd");
    scene.router.delete("chunked").send().await.must_be(204);
    scene.must_be_unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_chunks_change_nothing() {
    let scene = Scene::new().await;
    for body in ["zz\r\nabc\r\n0\r\n\r\n", "-1\r\n", "fffffffffffffffff\r\nabc", "3\r\nabcdef\r\n0\r\n\r\n"] {
        let mut chunked = scene.raw();
        chunked
            .write("PUT /v1/kv/anchor HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n")
            .write(body);
        let status = chunked.finish().status();
        assert!(matches!(status, None | Some(400 | 413)), "{body:?}: {status:?}");
    }
    scene.must_be_unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn truncated_requests_change_nothing() {
    let scene = Scene::new().await;
    let whole = "PUT /v1/kv/anchor HTTP/1.1\r\nhost: x\r\ncontent-length: 20\r\n\r\nonly a part of";
    for length in [1, 3, 10, 25, 40, 60, whole.len() - 1, whole.len()] {
        let status = scene.raw().write(&whole[..length]).finish().status();
        assert!(matches!(status, None | Some(400)), "{length} bytes: {status:?}");
    }
    let mut half_chunk = scene.raw();
    half_chunk.write("PUT /v1/kv/anchor HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n5\r\nab");
    let status = half_chunk.finish().status();
    assert!(matches!(status, None | Some(400)), "{status:?}");
    scene.must_be_unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_requests_are_refused() {
    let scene = Scene::new().await;
    for request in [
        "\r\n\r\nhello\r\n\r\n",
        "PUT\r\n\r\n",
        "PUT /v1/kv/anchor\r\n\r\n",
        "PUT /v1/kv/anchor HTTP/9.9\r\n\r\n",
        "PUT /v1/kv/anchor HTTP/1.1\r\nno colon\r\n\r\n",
        "PUT /v1/kv/anchor HTTP/1.1\r\n: nameless\r\n\r\n",
        "PUT /v1/kv/anchor HTTP/1.1\r\nhost: x\r\ncontent-length: four\r\n\r\nlost",
        "PUT /v1/kv/anchor HTTP/1.1\r\nhost: x\r\ncontent-length: -4\r\n\r\nlost",
        "PUT /v1/kv/anchor HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\ncontent-length: 5\r\n\r\nlost!",
        "PUT /v1/kv/anchor HTTP/1.1\r\nhost: x\r\ncontent-length: 18446744073709551616\r\n\r\nlost",
        "PUT /v1/kv/anchor HTTP/1.1\r\nhost: x\r\ntransfer-encoding: gzip\r\n\r\nlost",
        "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}hello tls",
    ] {
        let status = scene.raw().write(request).finish().status();
        assert!(matches!(status, None | Some(400 | 411 | 413 | 501 | 505)), "{request:?}: {status:?}");
    }
    scene.must_be_unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn request_with_a_length_and_chunks_at_once_is_not_smuggled() {
    let scene = Scene::new().await;
    let mut both = scene.raw();
    both.write(
        "PUT /v1/kv/smuggled HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n",
    );
    both.write("0\r\n\r\nDELETE /v1/kv/anchor HTTP/1.1\r\nhost: x\r\n\r\n");
    let status = both.status();
    // RFC 9112 section 6.3: chunked wins and the connection ends, or the request is refused.
    if status == Some(201) {
        scene.router.delete("smuggled").send().await.must_be(204);
    } else {
        assert!(matches!(status, None | Some(400)), "{status:?}");
    }
    scene.must_be_unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_conditions_are_refused() {
    let scene = Scene::new().await;
    let etag = scene.router.read("anchor").send().await.etag();
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
    let both = scene.router.put("anchor", "lost").if_match(&etag).if_none_match("*");
    both.send().await.must_refuse(400, "bad_condition");
    scene.router.put("anchor", "lost").if_none_match(&etag).send().await.must_refuse(400, "bad_condition");
    scene.must_be_unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn duplicate_headers_are_refused() {
    let scene = Scene::new().await;
    let key = roundtable_tests::idempotency_key();
    for (name, value) in [
        // Repeated lines of ETags are one list (RFC 9110 section 5.3); a repeated star is none.
        ("if-match", "*"),
        ("if-none-match", "*"),
        ("idempotency-key", key.as_str()),
        ("content-type", "text/plain"),
    ] {
        let doubled = scene.router.put("anchor", "lost").header(name, value).header(name, value).send().await;
        let problem = doubled.must_be(400).problem();
        assert!(problem["detail"].as_str().unwrap().to_lowercase().contains(name), "{problem}");
    }
    scene.must_be_unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_parameters_are_refused() {
    let scene = Scene::new().await;
    let router = &scene.router;
    for query in ["timeout=", "timeout=0", "timeout=61s", "timeout=soon", "consistency=", "consistency=weak"]
    {
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
    let scene = Scene::new().await;
    for (method, target) in [
        ("PATCH", "/v1/kv/anchor"),
        ("OPTIONS", "/v1/kv/anchor"),
        ("PUT", "/v1/kv"),
        ("DELETE", "/v1/kv"),
        ("POST", "/livez"),
        ("DELETE", "/metrics"),
        ("PUT", "/v1/cluster"),
        ("POST", "/v1/cluster/where/anchor"),
        ("BREW", "/v1/kv/anchor"),
    ] {
        let answer = scene.router.call(method, target).send().await.must_refuse(405, "method_not_allowed");
        assert!(answer.header("allow").is_some_and(|allow| allow.contains("GET")), "{method} {target}");
    }
    scene.must_be_unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_beyond_the_limit_are_refused() {
    let scene = Scene::new().await;
    let mut large = scene.raw();
    large
        .write("PUT /v1/kv/anchor HTTP/1.1\r\nhost: x\r\nfiller: ")
        .write("x".repeat(1 << 20))
        .write("\r\n\r\n");
    let status = large.status();
    assert!(matches!(status, None | Some(431)), "{status:?}");

    let mut many = scene.raw();
    many.write("PUT /v1/kv/anchor HTTP/1.1\r\nhost: x\r\n");
    for number in 0..2_000 {
        many.write(format!("h{number}: x\r\n"));
    }
    assert_eq!(many.write("\r\n").status(), Some(431));
    scene.must_be_unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refusal_leaves_a_kept_connection_in_step() {
    let scene = Scene::new().await;
    let mut connection = scene.raw();
    for _ in 0..3 {
        connection.write("PUT /v1/kv/anchor?ttl=never HTTP/1.1\r\nhost: x\r\ncontent-length: 28\r\n\r\n");
        connection.write("GET /v1/kv/other HTTP/1.1\r\n\r");
        let (status, body) = connection.answer();
        assert_eq!(status, 400);
        assert!(body.contains("bad_ttl"), "{body}");
        // The refused body is not taken for the next request.
        connection.write("GET /v1/kv/anchor HTTP/1.1\r\nhost: x\r\n\r\n");
        assert_eq!(connection.answer(), (200, "untouched".to_owned()));
    }
    scene.must_be_unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pipelined_requests_are_answered_in_order() {
    let scene = Scene::new().await;
    let mut connection = scene.raw();
    connection.write(
        "PUT /v1/kv/p HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\n\r\n1GET /v1/kv/p HTTP/1.1\r\nhost: x\r\n\r\n\
         DELETE /v1/kv/p HTTP/1.1\r\nhost: x\r\n\r\nGET /v1/kv/anchor HTTP/1.1\r\nhost: x\r\n\r\n",
    );
    assert_eq!(connection.answer().0, 201);
    assert_eq!(connection.answer(), (200, "1".to_owned()));
    assert_eq!(connection.answer().0, 204);
    assert_eq!(connection.answer(), (200, "untouched".to_owned()));
    scene.must_be_unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_bodies_between_router_and_node_are_refused() {
    let mut scene = Scene::new().await;
    let garbage: Vec<u8> = (0..=255).collect();
    for node in 1..=3 {
        let http = scene.cluster.node(node).http();
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

#[tokio::test(flavor = "multi_thread")]
async fn slow_client_keeps_nobody_else_waiting() {
    let scene = Scene::new().await;
    // Five hundred clients that begin a request and never go on.
    let mut idle = Vec::new();
    for _ in 0..500 {
        let mut connection = scene.raw();
        connection.write("PUT /v1/kv/anchor HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nslow");
        idle.push(connection);
    }
    scene.router.read("anchor").send().await.must_be(200);
    drop(idle);
    scene.must_be_unharmed().await;
}
