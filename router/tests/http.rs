//! Bad, large, slow and broken requests; the end of a router.

mod support;

use support::client::Client;
use support::{TestCluster, config, start_router};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const SMALL: &str = "value_bytes_max = \"1 KiB\"\nbody_timeout = \"300ms\"\nidle_timeout = \"300ms\"\n";

#[tokio::test(flavor = "multi_thread")]
async fn value_at_the_limit_is_taken_and_one_byte_more_is_not() {
    let cluster = TestCluster::start(SMALL).await;
    let client = &cluster.client;
    let whole = vec![7; 1024];
    assert_eq!(client.put("/v1/kv/v", &whole).await.status, 201);
    let larger = client.put("/v1/kv/v", &vec![8; 1025]).await;
    assert_eq!((larger.status, larger.code().as_str()), (413, "value_too_large"));
    assert_eq!(larger.json()["limit"], 1024);
    assert_eq!(client.get("/v1/kv/v").await.body, whole, "nothing changed");
    assert_eq!(client.put("/v1/kv/empty", b"").await.status, 201);
    assert_eq!(client.get("/v1/kv/empty").await.body, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn chunked_values_are_joined_and_limited() {
    let cluster = TestCluster::start(SMALL).await;
    let head = "PUT /v1/kv/c HTTP/1.1\r\nhost: r\r\ntransfer-encoding: chunked\r\n\r\n";
    let answer = cluster.client.raw(format!("{head}3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n").as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    assert_eq!(cluster.client.get("/v1/kv/c").await.text(), "abcde");
    let chunk = format!("200\r\n{}\r\n", "x".repeat(512));
    let answer = cluster.client.raw(format!("{head}{chunk}{chunk}{chunk}0\r\n\r\n").as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("value_too_large"), "{answer}");
    assert_eq!(cluster.client.get("/v1/kv/c").await.text(), "abcde");
}

#[tokio::test(flavor = "multi_thread")]
async fn truncated_body_changes_nothing() {
    let cluster = TestCluster::start(SMALL).await;
    for request in [
        "PUT /v1/kv/t HTTP/1.1\r\nhost: r\r\ncontent-length: 10\r\n\r\nhalf",
        "PUT /v1/kv/t HTTP/1.1\r\nhost: r\r\ntransfer-encoding: chunked\r\n\r\n5\r\nab",
        "PUT /v1/kv/t HTTP/1.1\r\nhost: r\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n",
        "PUT /v1/kv/t HTTP/1.1\r\nhost",
    ] {
        let answer = cluster.client.raw(request.as_bytes()).await;
        assert!(!answer.starts_with("HTTP/1.1 2"), "{answer}");
    }
    assert_eq!(cluster.client.get("/v1/kv/t").await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn client_that_waits_for_continue_is_refused_before_it_sends() {
    let cluster = TestCluster::start(SMALL).await;
    let head = |length: usize| {
        format!(
            "PUT /v1/kv/e HTTP/1.1\r\nhost: r\r\nexpect: 100-continue\r\ncontent-length: {length}\r\n\r\n"
        )
    };
    let refused = cluster.client.raw_until(head(5000).as_bytes(), "value_too_large").await;
    assert!(refused.starts_with("HTTP/1.1 413"), "{refused}");
    let welcome = cluster.client.raw_until(head(3).as_bytes(), "\r\n\r\n").await;
    assert!(welcome.starts_with("HTTP/1.1 100"), "{welcome}");
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_clients_are_given_up() {
    let cluster = TestCluster::start(SMALL).await;
    let request = b"PUT /v1/kv/s HTTP/1.1\r\nhost: r\r\ncontent-length: 10\r\n\r\nhalf";
    let answer = cluster.client.raw_until(request, "request_timeout").await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    let mut stream = TcpStream::connect(cluster.address).await.unwrap();
    stream.write_all(b"GET /v1/kv/s HTTP/1.1\r\nho").await.unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_of_address_and_headers_are_named() {
    let cluster = TestCluster::start("").await;
    let client = &cluster.client;
    let key = client.get(&format!("/v1/kv/{}", "a".repeat(4097))).await;
    assert_eq!(
        (key.status, key.code().as_str(), key.json()["limit"].as_u64()),
        (414, "key_too_long", Some(4096))
    );
    let address = client.get(&format!("/v1/kv?prefix={}", "a".repeat(30_000))).await;
    assert_eq!((address.status, address.code().as_str()), (414, "uri_too_long"));
    let large = "x".repeat(40_000);
    let headers = client.request("GET", "/livez", &[("x-large", &large)], b"").await;
    assert_eq!((headers.status, headers.code().as_str()), (431, "headers_too_large"));
    let many: Vec<(&str, &str)> = (0..150).map(|_| ("x-many", "y")).collect();
    assert_eq!(client.request("GET", "/livez", &many, b"").await.status, 431);
    let longest = format!("/v1/kv/{}", "%61".repeat(4096));
    assert_eq!(client.put(&longest, b"x").await.status, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_requests_leave_the_router_alive() {
    let cluster = TestCluster::start("").await;
    let client = &cluster.client;
    for (method, path, headers, body, status, code) in [
        ("GET", "/v1/kv/", &[][..], &b""[..], 400, "bad_key"),
        ("PUT", "/v1/kv/k?ttl=-1", &[], b"x", 400, "bad_ttl"),
        ("PUT", "/v1/kv/k?tll=1s", &[], b"x", 400, "bad_request"),
        ("PUT", "/v1/kv/k", &[("if-match", "unquoted")], b"x", 400, "bad_condition"),
        (
            "PUT",
            "/v1/kv/k",
            &[("idempotency-key", "1"), ("idempotency-key", "1")],
            b"x",
            400,
            "bad_idempotency_key",
        ),
        ("GET", "/v1/kv/k", &[], b"body", 400, "bad_request"),
        ("DELETE", "/v1/kv/k", &[], b"body", 400, "bad_request"),
        ("GET", "/v1/kv/k?wait=1s", &[], b"", 400, "bad_request"),
        ("PATCH", "/v1/kv/k", &[], b"", 405, "method_not_allowed"),
        ("GET", "/nowhere", &[], b"", 404, "no_such_route"),
        ("GET", "/v1/kv/k", &[], b"", 404, "not_found"),
    ] {
        let answer = client.request(method, path, headers, body).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{method} {path}");
        assert_eq!(answer.header("roundtable-request-id").len(), 36, "{method} {path}");
    }
    for garbage in [
        "\0\0\0\0\r\n\r\n",
        "GET\r\n\r\n",
        "GET /v1/kv/a HTTP/9.9\r\n\r\n",
        "PUT /v1/kv/a HTTP/1.1\r\ncontent-length: x\r\n\r\n",
    ] {
        client.raw(garbage.as_bytes()).await;
    }
    assert_eq!(client.get("/livez").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_follow_each_other_on_one_connection() {
    let cluster = TestCluster::start("").await;
    let pipelined = "PUT /v1/kv/p HTTP/1.1\r\nhost: r\r\ncontent-length: 1\r\n\r\nxGET /v1/kv/p HTTP/1.1\r\nhost: r\r\n\r\n";
    let answers = cluster.client.raw(pipelined.as_bytes()).await;
    assert!(answers.starts_with("HTTP/1.1 201") && answers.contains("HTTP/1.1 200"), "{answers}");
}

#[tokio::test(flavor = "multi_thread")]
async fn further_connections_and_requests_are_refused_in_words() {
    let cluster = TestCluster::start("connections_max = 1\n").await;
    let held = loop {
        let mut stream = TcpStream::connect(cluster.address).await.unwrap();
        stream.write_all(b"GET /livez HTTP/1.1\r\nhost: r\r\n\r\n").await.unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.unwrap();
        if answer.ends_with(b"200") {
            break stream;
        }
    };
    let refused = cluster.client.raw(b"GET /livez HTTP/1.1\r\nhost: r\r\n\r\n").await;
    assert!(refused.starts_with("HTTP/1.1 503") && refused.contains("\"overloaded\""), "{refused}");
    drop(held);
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_router_says_so_and_ends_what_is_in_progress() {
    let mut cluster = TestCluster::start("drain_delay = \"600ms\"\n").await;
    let mut slow = TcpStream::connect(cluster.address).await.unwrap();
    slow.write_all(b"PUT /v1/kv/z HTTP/1.1\r\nhost: r\r\ncontent-length: 4\r\n\r\nhal").await.unwrap();
    cluster.stop.take().unwrap().send(()).unwrap();
    cluster.until(|readyz| readyz["state"] == "shutting_down").await;
    assert_eq!(cluster.client.put("/v1/kv/y", b"x").await.status, 201, "it still serves");
    while TcpStream::connect(cluster.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    slow.write_all(b"f").await.unwrap();
    let mut answer = Vec::new();
    slow.read_to_end(&mut answer).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 201"), "{:?}", String::from_utf8_lossy(&answer));
    assert_eq!(cluster.stopped.await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn router_without_a_cluster_says_what_it_waits_for() {
    let cluster = TestCluster::start("").await;
    let mut elsewhere = cluster.configuration.clone();
    elsewhere.partitions = 16;
    let (address, _stop, _stopped) = start_router(&config(""), elsewhere);
    let client = Client::new(address);
    let mut reason = String::new();
    while !reason.contains("without a higher version") {
        let readyz = client.get("/readyz").await;
        assert_eq!(readyz.status, 503);
        reason = readyz.json()["reason"].as_str().unwrap().to_owned();
    }
    let refused = client.put("/v1/kv/a", b"x").await;
    assert_eq!((refused.status, refused.code().as_str()), (503, "no_quorum"));
    assert_eq!(client.get("/livez").await.status, 200);
}
