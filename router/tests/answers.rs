//! What every answer has, also where no handler made it.

mod support;

use roundtable_router::http::EndpointName;
use support::TestCluster;
use support::client::Answer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const REVALIDATE: &str = "no-cache, no-transform";
const NEVER_STORE: &str = "no-store, no-transform";

/// A request of each endpoint, and what caches may do with its answer.
fn example(name: EndpointName) -> (&'static str, &'static str, &'static [u8], &'static str) {
    match name {
        EndpointName::Get => ("GET", "/v1/kv/k", b"", REVALIDATE),
        EndpointName::Put => ("PUT", "/v1/kv/k", b"1", REVALIDATE),
        EndpointName::Delete => ("DELETE", "/v1/kv/k", b"", REVALIDATE),
        EndpointName::Increment => ("POST", "/v1/kv/k?op=increment&by=1", b"", REVALIDATE),
        EndpointName::Touch => ("POST", "/v1/kv/k?op=touch&ttl=1h", b"", REVALIDATE),
        EndpointName::List => ("GET", "/v1/kv", b"", REVALIDATE),
        EndpointName::Count => ("GET", "/v1/kv?prefix=k&count=true", b"", REVALIDATE),
        EndpointName::DeleteRange => ("DELETE", "/v1/kv?prefix=k", b"", REVALIDATE),
        EndpointName::Livez => ("GET", "/livez", b"", NEVER_STORE),
        EndpointName::Readyz => ("GET", "/readyz", b"", NEVER_STORE),
        EndpointName::Metrics => ("GET", "/metrics", b"", NEVER_STORE),
        EndpointName::Cluster => ("GET", "/v1/cluster", b"", NEVER_STORE),
        EndpointName::Where => ("GET", "/v1/cluster/where/k", b"", NEVER_STORE),
        EndpointName::Other => ("GET", "/nowhere", b"", NEVER_STORE),
    }
}

fn cache_control(answer: &Answer) -> &str {
    assert_eq!(answer.headers.get_all("cache-control").iter().count(), 1, "{answer:?}");
    answer.header("cache-control")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_says_what_caches_and_proxies_may_do() {
    let cluster = TestCluster::start("").await;
    let client = &cluster.client;
    for name in EndpointName::ALL {
        client.put("/v1/kv/k", b"1").await;
        let (method, path, body, expected) = example(*name);
        let answer = client.request(method, path, &[], body).await;
        assert_eq!(answer.status >= 300, *name == EndpointName::Other, "{method} {path}");
        assert_eq!(cache_control(&answer), expected, "{method} {path}");
        if method == "GET" {
            let head = client.request("HEAD", path, &[], b"").await;
            assert_eq!((head.status, cache_control(&head)), (answer.status, expected), "HEAD {path}");
        }
        let mark = if path.contains('?') { '&' } else { '?' };
        let refused = client.request(method, &format!("{path}{mark}unknown=1"), &[], body).await;
        assert!(refused.status >= 400);
        assert_eq!(cache_control(&refused), NEVER_STORE, "{method} {path}, refused");
    }
    let metrics = client.get("/metrics").await;
    for name in EndpointName::ALL {
        let counted = format!("requests_total{{endpoint=\"{}\"", name.as_str());
        assert!(metrics.text().contains(&counted), "no request reached {}", name.as_str());
    }
    let etag = client.put("/v1/kv/k", b"1").await.header("etag").to_owned();
    let known = client.request("GET", "/v1/kv/k", &[("if-none-match", &etag)], b"").await;
    assert_eq!((known.status, cache_control(&known)), (304, REVALIDATE));
    for path in ["/v1/kv/k?consistency=eventual", "/v1/kvb/aw"] {
        assert_eq!(cache_control(&client.get(path).await), REVALIDATE);
    }
    let lines = client.request("GET", "/v1/kv", &[("accept", "application/x-ndjson")], b"").await;
    assert_eq!(cache_control(&lines), REVALIDATE);
    assert_eq!(cache_control(&client.get("/v1/kv/missing").await), NEVER_STORE);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_request_is_answered_with_problem_details() {
    let cluster = TestCluster::start("idle_timeout = \"300ms\"\n").await;
    let many = format!("GET /livez HTTP/1.1\r\nhost: r\r\n{}\r\n", "x-many: y\r\n".repeat(150));
    let large = format!("GET /livez HTTP/1.1\r\nhost: r\r\nx-large: {}\r\n\r\n", "x".repeat(1 << 20));
    let address = format!("GET /v1/kv/{} HTTP/1.1\r\nhost: r\r\n\r\n", "a".repeat(100_000));
    for (request, status, code, limit) in [
        (many.as_str(), 431, "headers_too_large", Some(64)),
        (&large, 431, "headers_too_large", Some(128 << 10)),
        (&address, 414, "uri_too_long", Some(20 << 10)),
        ("PUT /v1/kv/a\r\n\r\n", 400, "bad_request", None),
        ("GET /v1/kv/a HTTP/9.9\r\n\r\n", 400, "bad_request", None),
        ("PUT /v1/kv/a HTTP/1.1\r\ncontent-length: x\r\n\r\n", 400, "bad_request", None),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "bad_request", None),
        ("\u{16}\u{3}\u{1}\u{2}hello tls\r\n\r\n", 400, "bad_request", None),
        ("GET /livez HTTP/1.1\r\nho", 408, "request_timeout", None),
    ] {
        let start: String = request.chars().take(60).collect();
        let mut stream = TcpStream::connect(cluster.address).await.unwrap();
        // The router may refuse before all of it was sent.
        let _ = stream.write_all(request.as_bytes()).await;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.unwrap();
        let text = String::from_utf8(bytes).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{start}: {text:?}"));
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{start}: {head}");
        for header in [
            "content-type: application/problem+json",
            "cache-control: no-store, no-transform",
            "roundtable-request-id: ",
            "connection: close",
            &format!("content-length: {}", body.len()),
        ] {
            assert!(head.contains(header), "{start}: {header} is not in {head}");
        }
        let problem: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!((problem["code"].as_str(), problem["limit"].as_u64()), (Some(code), limit), "{start}");
        assert_eq!(problem["outcome"], "not_applied");
    }
    // Nothing was begun: the connection ends without a word.
    let mut idle = TcpStream::connect(cluster.address).await.unwrap();
    assert_eq!(idle.read(&mut [0; 1]).await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn chunked_values_take_memory_as_they_grow() {
    let settings = "value_bytes_max = \"8 MiB\"\nbody_memory_max = \"16 MiB\"\n";
    let cluster = TestCluster::start(settings).await;
    let head =
        |name: &str| format!("PUT /v1/kv/{name} HTTP/1.1\r\nhost: r\r\ntransfer-encoding: chunked\r\n\r\n");
    let mut streams = Vec::new();
    for place in 0..400 {
        let mut stream = TcpStream::connect(cluster.address).await.unwrap();
        stream.write_all(format!("{}5\r\nvalue\r\n", head(&format!("c{place}"))).as_bytes()).await.unwrap();
        streams.push(stream);
    }
    for stream in &mut streams {
        stream.write_all(b"0\r\n\r\n").await.unwrap();
        let mut status = [0; 12];
        stream.read_exact(&mut status).await.unwrap();
        assert_eq!(&status, b"HTTP/1.1 201");
    }
    drop(streams);

    // Two that have told their lengths hold all of it: a third is refused at its first bytes.
    let whole = vec![b'x'; 8 << 20];
    let mut holders = Vec::new();
    for name in ["g1", "g2"] {
        let mut stream = TcpStream::connect(cluster.address).await.unwrap();
        let head = format!(
            "PUT /v1/kv/{name} HTTP/1.1\r\nhost: r\r\nexpect: 100-continue\r\ncontent-length: {}\r\n\r\n",
            whole.len()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut go_on = [0; 25];
        stream.read_exact(&mut go_on).await.unwrap();
        assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
        holders.push(stream);
    }
    let refused = cluster.client.raw_until(format!("{}1\r\nx\r\n", head("g3")).as_bytes(), "}").await;
    assert!(refused.starts_with("HTTP/1.1 503") && refused.contains("\"overloaded\""), "{refused}");
    for mut stream in holders {
        stream.write_all(&whole).await.unwrap();
        let mut status = [0; 12];
        stream.read_exact(&mut status).await.unwrap();
        assert_eq!(&status, b"HTTP/1.1 201");
    }
    let stored = cluster.client.raw(format!("{}1\r\nx\r\n0\r\n\r\n", head("g3")).as_bytes()).await;
    assert!(stored.starts_with("HTTP/1.1 201"), "{stored}");
}
