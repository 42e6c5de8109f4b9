//! A router that stops: every request that was sent whole is answered, and nobody holds it up.

#![expect(clippy::unwrap_used, reason = "a helper that cannot go on fails its test")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use support::TestCluster;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

const WRITERS: usize = 16;

/// One answer's head and body as text; what there is of it when the connection ends.
async fn answer(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                return text;
            }
        }
        match stream.read_buf(&mut bytes).await {
            Ok(1..) => {}
            Ok(0) | Err(_) => return text,
        }
    }
}

/// Puts again and again over one kept connection until the server ends it. Returns what went wrong.
async fn keep_writing(mut stream: TcpStream, writer: usize, answered: Arc<AtomicU64>) -> Option<String> {
    for number in 0.. {
        if matches!(stream.try_read(&mut [0; 1]), Ok(0)) {
            return None; // closed while nothing was under way
        }
        let request =
            format!("PUT /v1/kv/{writer}/{number} HTTP/1.1\r\nhost: r\r\ncontent-length: 1\r\n\r\nx");
        stream.write_all(request.as_bytes()).await.unwrap();
        let answer = answer(&mut stream).await;
        if !answer.starts_with("HTTP/1.1 201") {
            return Some(format!("writer {writer}, request {number}: {answer:?}"));
        }
        answered.fetch_add(1, Ordering::Relaxed);
        if answer.contains("connection: close") {
            return None;
        }
    }
    None
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_router_answers_every_request_that_was_sent_whole() {
    for (round, delay) in ["0s", "0s", "0s", "100ms", "100ms"].into_iter().enumerate() {
        let mut cluster = TestCluster::start(&format!("drain_delay = \"{delay}\"\n")).await;
        let mut writers = JoinSet::new();
        let answered = Arc::new(AtomicU64::new(0));
        for writer in 0..WRITERS {
            let stream = TcpStream::connect(cluster.address).await.unwrap();
            writers.spawn(keep_writing(stream, writer, Arc::clone(&answered)));
        }
        while answered.load(Ordering::Relaxed) < 20 * WRITERS as u64 {
            tokio::task::yield_now().await;
        }
        cluster.stop.take().unwrap().send(()).unwrap();
        let lost: Vec<String> = writers.join_all().await.into_iter().flatten().collect();
        assert_eq!(lost, Vec::<String>::new(), "round {round}, delay {delay}");
        assert_eq!(cluster.stopped.await.unwrap(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn half_sent_requests_are_refused_in_words_and_hold_nothing_up() {
    let mut cluster = TestCluster::start("").await;
    let mut halves = Vec::new();
    for half in [
        "PUT /v1/kv/a HTTP/1.1\r\nhost",
        "PUT /v1/kv/b HTTP/1.1\r\nhost: r\r\ncontent-length: 4\r\n\r\nhal",
        "PUT /v1/kv/c HTTP/1.1\r\nhost: r\r\ntransfer-encoding: chunked\r\n\r\n5\r\nha",
        "DELETE /v1/kv/d HTTP/1.1\r\nhost: r\r\ntransfer-encoding: chunked\r\n\r\n",
        "PUT /v1/kv/e HTTP/1.1\r\nhost: r\r\ncontent-length: 1\r\n\r\nxPUT /v1/kv/f HTTP/1.1\r\nho",
    ] {
        let mut stream = TcpStream::connect(cluster.address).await.unwrap();
        stream.write_all(half.as_bytes()).await.unwrap();
        if half.contains("/v1/kv/e") {
            assert!(answer(&mut stream).await.starts_with("HTTP/1.1 201"));
        }
        halves.push((half, stream));
    }
    let mut idle = TcpStream::connect(cluster.address).await.unwrap();
    cluster.stop.take().unwrap().send(()).unwrap();
    let stopping = Instant::now();
    for (half, mut stream) in halves {
        let refused = answer(&mut stream).await;
        assert!(refused.starts_with("HTTP/1.1 503"), "{half:?}: {refused:?}");
        assert!(refused.contains("\"shutting_down\"") && refused.contains("\"not_applied\""), "{refused}");
    }
    assert_eq!(idle.read(&mut [0; 1]).await.unwrap(), 0, "an idle connection ends without a word");
    assert_eq!(cluster.stopped.await.unwrap(), 0);
    assert!(stopping.elapsed() < Duration::from_secs(5), "{:?}", stopping.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn router_that_leaves_accepts_connections_and_ends_each_with_its_answer() {
    let mut cluster = TestCluster::start("drain_delay = \"1s\"\n").await;
    let request = b"GET /livez HTTP/1.1\r\nhost: r\r\n\r\n";
    let mut kept = TcpStream::connect(cluster.address).await.unwrap();
    kept.write_all(request).await.unwrap();
    assert!(!answer(&mut kept).await.contains("connection: close"));
    cluster.stop.take().unwrap().send(()).unwrap();
    cluster.until(|readyz| readyz["state"] == "shutting_down").await;
    for mut stream in [kept, TcpStream::connect(cluster.address).await.unwrap()] {
        stream.write_all(request).await.unwrap();
        let last = answer(&mut stream).await;
        assert!(last.starts_with("HTTP/1.1 200") && last.contains("connection: close"), "{last}");
        assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0);
    }
    assert_eq!(cluster.stopped.await.unwrap(), 0);
}
