//! The HTTP server with real bodies.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request as HttpRequest, StatusCode};
use roundtable_common::wire::{
    self, Refused, Target, decode_page, decode_replies, encode_requests, encode_scan,
};
use roundtable_consensus::{
    Ballot, ClusterId, Content, Epoch, Fold, KeyRange, PageEnd, PartitionId, Rejection, ReplyBody, Request,
    RequestBody, ScanRequest, StorageId,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::support::{
    TestNode, accept, batch, configuration, free_ports, get, key, next_ballot, post, register, replies,
    request, send, tombstone, until, value_of,
};

fn scan_all() -> ScanRequest {
    ScanRequest {
        partitions: (0..16).map(PartitionId).collect(),
        range: KeyRange::default(),
        reverse: false,
        want_values: true,
        fold: Fold::Nothing,
        limit: 1000,
        bytes_max: 1 << 20,
    }
}

/// The refusal that a batch gets.
async fn refused(node: &TestNode, target: &Target, requests: &[Request]) -> Refused {
    batch(node.address, target, requests).await.outcome.unwrap_err()
}

#[tokio::test]
async fn batch_of_every_kind_is_answered() {
    let dir = tempfile::tempdir().unwrap();
    let node = TestNode::alone(dir.path(), "").await;
    let target = node.until_ready().await;
    let written = register(next_ballot(), vec![b'v'; 10_000]);
    let key = key("k");
    let prepare = RequestBody::Prepare { ballot: written.accepted, want_value: false, grows: true };
    let answered = replies(node.address, &target, &[request(1, &key, prepare)]).await;
    assert!(matches!(&answered[0].body, ReplyBody::Promised(found) if found.is_absent()));
    let answered = replies(node.address, &target, &[request(2, &key, accept(written.clone()))]).await;
    assert!(matches!(answered[0].body, ReplyBody::Accepted { .. }));
    let requests = [
        request(3, &key, RequestBody::Read { want_value: false }),
        request(4, &key, RequestBody::Read { want_value: true }),
        request(5, &key, RequestBody::Fetch { accepted: written.accepted }),
    ];
    let answered = replies(node.address, &target, &requests).await;
    assert_eq!(answered.iter().map(|reply| reply.id).collect::<Vec<_>>(), [3, 4, 5]);
    assert_eq!(answered[0].body, ReplyBody::State(written.without_value()));
    assert_eq!(answered[1].body, ReplyBody::State(written.clone()));
    assert_eq!(answered[2].body, ReplyBody::Fetched(Some(written)));
    node.stop().await.unwrap();
}

#[tokio::test]
async fn batch_for_somebody_else_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let node = TestNode::alone(dir.path(), "").await;
    let mine = node.until_ready().await;
    let table = [
        (Target { cluster: ClusterId(1), ..mine.clone() }, Refused::WrongCluster { mine: mine.cluster }),
        (
            Target { node: "n9".parse().unwrap(), ..mine.clone() },
            Refused::WrongNode { mine: mine.node.clone() },
        ),
        (Target { storage: StorageId(1), ..mine.clone() }, Refused::WrongStorage { mine: mine.storage }),
        (Target { epoch: Epoch(2), ..mine.clone() }, Refused::WrongEpoch { mine: mine.epoch }),
    ];
    let key = key("k");
    for (target, expected) in table {
        let requests = [request(1, &key, accept(register(next_ballot(), "v")))];
        assert_eq!(refused(&node, &target, &requests).await, expected);
        let (_, body) = post(node.address, wire::SCAN_PATH, encode_scan(&target, &scan_all())).await;
        assert_eq!(decode_page(body).unwrap().outcome.unwrap_err(), expected);
    }
    let answered =
        replies(node.address, &mine, &[request(1, &key, RequestBody::Read { want_value: false })]).await;
    assert!(
        matches!(&answered[0].body, ReplyBody::State(found) if found.is_absent()),
        "a refused batch did something"
    );
    node.stop().await.unwrap();
}

#[tokio::test]
async fn malformed_bodies_are_refused_and_the_server_lives_on() {
    let dir = tempfile::tempdir().unwrap();
    let node = TestNode::alone(dir.path(), "body_bytes_max = '1 MiB'").await;
    let target = node.until_ready().await;
    let good = encode_requests(&target, &[request(1, &key("k"), RequestBody::Read { want_value: false })]);
    let mut damaged = good.to_vec();
    damaged[30] ^= 1;
    let bodies = [
        Bytes::new(),
        Bytes::from_static(b"hello"),
        good.slice(..good.len() - 1),
        Bytes::from(damaged),
        Bytes::from(vec![0; (1 << 20) + 1]),
    ];
    for (row, body) in bodies.into_iter().enumerate() {
        for path in [wire::BATCH_PATH, wire::SCAN_PATH] {
            // An oversized body may be cut off by the server before it is all sent.
            let request = HttpRequest::post(path).body(Full::new(body.clone())).unwrap();
            let Ok((status, answer)) = send(node.address, request).await else {
                assert_eq!(row, 4, "only an oversized body may break the connection");
                continue;
            };
            assert_eq!(status, StatusCode::OK);
            let refusal = decode_replies(answer).unwrap().outcome.unwrap_err();
            assert!(matches!(refusal, Refused::Malformed { .. }), "row {row}: {refusal}");
        }
    }
    let (status, answer) = post(node.address, wire::BATCH_PATH, good).await;
    assert_eq!(status, StatusCode::OK);
    assert!(decode_replies(answer).unwrap().outcome.is_ok());
    node.stop().await.unwrap();
}

#[tokio::test]
async fn requests_that_no_router_sends_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let node = TestNode::alone(dir.path(), "").await;
    let target = node.until_ready().await;
    let mut wrong_partition = request(1, &key("k"), RequestBody::Read { want_value: false });
    wrong_partition.partition = PartitionId(wrong_partition.partition.0 ^ 1);
    assert!(matches!(refused(&node, &target, &[wrong_partition]).await, Refused::Malformed { .. }));
    let mut withheld = register(next_ballot(), "v");
    withheld.content = Content::Withheld { value_bytes: 1 };
    let requests = [request(1, &key("k"), accept(withheld))];
    assert!(matches!(refused(&node, &target, &requests).await, Refused::Malformed { .. }));
    let far_ahead = Ballot { hlc: roundtable_consensus::Hlc::from_millis(u64::MAX), ..next_ballot() };
    let requests = [request(1, &key("k"), accept(register(far_ahead, "v")))];
    let answered = replies(node.address, &target, &requests).await;
    assert!(matches!(answered[0].body, ReplyBody::Rejected(Rejection::ClockSkew { .. })));
    let zero = [request(1, &key("k"), accept(tombstone(Ballot::ZERO)))];
    let answered = replies(node.address, &target, &zero).await;
    assert!(matches!(answered[0].body, ReplyBody::Rejected(Rejection::Outbid(_))));
    node.stop().await.unwrap();
}

#[tokio::test]
async fn scan_tells_what_was_accepted() {
    let dir = tempfile::tempdir().unwrap();
    let node = TestNode::alone(dir.path(), "").await;
    let target = node.until_ready().await;
    let keys: Vec<_> = (0..40).map(|number| key(&format!("{number:02}"))).collect();
    for (key, size) in keys.iter().zip((0..).step_by(300)) {
        let body = accept(register(next_ballot(), vec![b'v'; size]));
        replies(node.address, &target, &[request(1, key, body)]).await;
        // Whatever was answered before a scan arrives is in it.
        let (_, body) = post(node.address, wire::SCAN_PATH, encode_scan(&target, &scan_all())).await;
        let page = decode_page(body).unwrap().outcome.unwrap();
        let last = page.entries.last().unwrap();
        assert_eq!((&last.key, value_of(&last.register).len()), (key, size));
        assert_eq!(page.end, PageEnd::Exhausted);
    }
    let unordered = ScanRequest { partitions: vec![PartitionId(2), PartitionId(1)], ..scan_all() };
    let (_, body) = post(node.address, wire::SCAN_PATH, encode_scan(&target, &unordered)).await;
    assert!(matches!(decode_page(body).unwrap().outcome, Err(Refused::Malformed { .. })));
    let unknown = ScanRequest { partitions: vec![PartitionId(16)], ..scan_all() };
    let (_, body) = post(node.address, wire::SCAN_PATH, encode_scan(&target, &unknown)).await;
    assert!(matches!(decode_page(body).unwrap().outcome, Err(Refused::Malformed { .. })));
    node.stop().await.unwrap();
}

#[tokio::test]
async fn partitions_of_other_nodes_are_rejected() {
    let dirs: Vec<_> = (0..4).map(|_| tempfile::tempdir().unwrap()).collect();
    let file = configuration(&free_ports(4));
    let start = |(number, dir): (usize, &tempfile::TempDir)| {
        TestNode::start(&format!("n{number}"), dir.path(), &file, "").unwrap()
    };
    let nodes: Vec<TestNode> = (1..).zip(&dirs).map(start).collect();
    let node = &nodes[0];
    let target = node.until_ready().await;
    let placement = roundtable_common::placement::Placement::new(&file);
    let mut seen = [false; 2];
    for number in 0..200 {
        let request = request(number, &key(&format!("k{number}")), RequestBody::Read { want_value: false });
        let mine = placement.replicas(request.partition).contains(&target.node);
        let answered = replies(node.address, &target, &[request]).await.remove(0).body;
        let rejected = answered == ReplyBody::Rejected(Rejection::NotMine(Epoch(1)));
        assert_eq!(rejected, !mine);
        seen[usize::from(mine)] = true;
    }
    assert_eq!(seen, [true; 2], "of four nodes each holds three quarters of the partitions");
    for node in nodes {
        node.stop().await.unwrap();
    }
}

#[tokio::test]
async fn server_listens_on_ipv6_apart_from_the_advertised_address() {
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        // This machine has no IPv6.
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let node = TestNode::alone(dir.path(), "listen = '[::1]:0'").await;
    assert!(node.address.is_ipv6());
    assert_eq!(get(node.address, "/readyz").await.0, StatusCode::OK);
    node.stop().await.unwrap();
}

/// Asks again and again over one kept connection until the node ends it; returns an answer that did not come whole.
async fn keep_asking(mut stream: TcpStream, answered: Arc<AtomicU64>) -> Option<String> {
    loop {
        if matches!(stream.try_read(&mut [0; 1]), Ok(0)) {
            return None; // closed while nothing was under way
        }
        stream.write_all(b"GET /livez HTTP/1.1\r\nhost: n\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"alive\n") {
            if !matches!(stream.read_buf(&mut answer).await, Ok(1..)) {
                return Some(String::from_utf8_lossy(&answer).into_owned());
            }
        }
        answered.fetch_add(1, Ordering::Relaxed);
        if String::from_utf8_lossy(&answer).contains("connection: close") {
            return None;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_node_answers_every_request_that_was_sent_whole() {
    let dir = tempfile::tempdir().unwrap();
    let node = TestNode::alone(dir.path(), "").await;
    let mut half = TcpStream::connect(node.address).await.unwrap();
    half.write_all(b"POST /replica/v1/batch HTTP/1.1\r\nho").await.unwrap();
    let mut askers = JoinSet::new();
    let answered = Arc::new(AtomicU64::new(0));
    for _ in 0..16 {
        let stream = TcpStream::connect(node.address).await.unwrap();
        askers.spawn(keep_asking(stream, Arc::clone(&answered)));
    }
    while answered.load(Ordering::Relaxed) < 320 {
        tokio::task::yield_now().await;
    }
    let stopping = Instant::now();
    node.stop().await.unwrap();
    assert!(stopping.elapsed() < Duration::from_secs(8), "{:?}", stopping.elapsed());
    let lost: Vec<String> = askers.join_all().await.into_iter().flatten().collect();
    assert_eq!(lost, Vec::<String>::new());
    let mut refused = String::new();
    half.read_to_string(&mut refused).await.unwrap();
    assert!(refused.starts_with("HTTP/1.1 503 ") && refused.contains("the node is stopping"), "{refused}");
}

#[tokio::test]
async fn body_without_a_length_takes_memory_as_it_grows() {
    let dir = tempfile::tempdir().unwrap();
    let node = TestNode::alone(dir.path(), "").await;
    let target = node.until_ready().await;
    let held = async || figure(&node, "roundtable_node_in_flight_bytes").await;
    let mut stream = TcpStream::connect(node.address).await.unwrap();
    let body = encode_requests(&target, &[request(7, &key("k"), RequestBody::Read { want_value: true })]);
    let (first, second) = body.split_at(body.len() / 2);
    stream
        .write_all(b"POST /replica/v1/batch HTTP/1.1\r\nhost: n\r\ntransfer-encoding: chunked\r\n\r\n")
        .await
        .unwrap();
    let chunk = |bytes: &[u8]| [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat();
    stream.write_all(&chunk(first)).await.unwrap();
    let held_bytes = until(async || Some(held().await).filter(|bytes| *bytes > 0)).await;
    assert!(held_bytes <= 4096, "{held_bytes} bytes are held for {}", first.len());
    stream.write_all(&chunk(second)).await.unwrap();
    stream.write_all(b"0\r\n\r\n").await.unwrap();
    let mut status = [0; 12];
    stream.read_exact(&mut status).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 200");
    drop(stream);
    node.stop().await.unwrap();
}

#[tokio::test]
async fn operators_pages_are_served() {
    let dir = tempfile::tempdir().unwrap();
    let node = TestNode::alone(dir.path(), "").await;
    assert_eq!(get(node.address, "/livez").await.0, StatusCode::OK);
    let (status, body) = get(node.address, "/readyz").await;
    let json: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(
        (status, &json["ready"], &json["node"], &json["epoch"]),
        (StatusCode::OK, &true.into(), &"n1".into(), &1.into())
    );
    let (status, body) = get(node.address, "/metrics").await;
    let text = std::str::from_utf8(&body).unwrap();
    assert_eq!(status, StatusCode::OK);
    assert!(
        text.contains("roundtable_node_ready 1\n") && text.contains("roundtable_node_epoch 1\n"),
        "{text}"
    );
    assert_eq!(get(node.address, "/nowhere").await.0, StatusCode::NOT_FOUND);
    assert_eq!(post(node.address, "/readyz", Bytes::new()).await.0, StatusCode::METHOD_NOT_ALLOWED);
    node.stop().await.unwrap();
}

/// A figure of the metrics page without labels.
async fn figure(node: &TestNode, name: &str) -> u64 {
    let (_, body) = get(node.address, "/metrics").await;
    let page = std::str::from_utf8(&body).unwrap();
    let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap().parse().unwrap()
}

/// Registers looked up in the store so far.
async fn register_reads(node: &TestNode) -> u64 {
    figure(node, "roundtable_node_register_reads_total").await
}

#[tokio::test]
async fn register_in_steady_use_is_answered_without_the_store_unless_there_is_no_room() {
    for (settings, reads_of_three) in [("", 0), ("register_cache = 0\n", 3)] {
        let dir = tempfile::tempdir().unwrap();
        let node = TestNode::alone(dir.path(), settings).await;
        let (target, k) = (node.until_ready().await, key("k"));
        let written = register(next_ballot(), "v");
        replies(node.address, &target, &[request(1, &k, accept(written.clone()))]).await;
        let read = async |id| {
            let read = RequestBody::Read { want_value: true };
            let told = replies(node.address, &target, &[request(id, &k, read)]).await;
            assert_eq!(told[0].body, ReplyBody::State(written.clone()));
        };
        // Until the database has it, it is known without; a scan has it written there.
        let before = register_reads(&node).await;
        read(1).await;
        assert_eq!(register_reads(&node).await, before);
        post(node.address, wire::SCAN_PATH, encode_scan(&target, &scan_all())).await;
        until(async || {
            read(1).await;
            let is_kept = figure(&node, "roundtable_node_register_cache_bytes").await > 0;
            (is_kept || register_reads(&node).await > before).then_some(())
        })
        .await;
        let before = register_reads(&node).await;
        for id in 2..5 {
            read(id).await;
        }
        assert_eq!(register_reads(&node).await - before, reads_of_three, "{settings}");
        node.stop().await.unwrap();
    }
}
