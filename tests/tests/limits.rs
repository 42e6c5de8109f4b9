//! A router's limits: what is beyond them is refused by name and never applied, and the rest goes on.

#![expect(clippy::unwrap_used, reason = "a helper that cannot go on fails its test")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use roundtable_tests::{Cluster, Layout, Process, Raw, eventually};
use rustix::process::{Resource, Rlimit, Signal};
use tokio::task::JoinSet;

async fn with_router_setting(variable: &'static str, value: &str) -> Cluster {
    let router_env = vec![(variable, value.to_owned())];
    Cluster::start_with(Layout { router_env, ..Layout::default() }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_beyond_the_limit_are_refused() {
    let cluster = with_router_setting("ROUNDTABLE_ROUTER_REQUESTS_MAX", "4").await;
    let router = cluster.router(1);
    let before = router.put("a", "one").send().await.must_be(201).etag();
    // Four requests whose bodies are on their way.
    let mut under_way: Vec<Raw> = (0..4).map(|_| Raw::connect(router.address())).collect();
    for (number, connection) in under_way.iter_mut().enumerate() {
        connection.write(format!("PUT /v1/kv/{number} HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\nla"));
    }
    let refused = eventually("the router is full", async || {
        let answer = router.put("a", "lost").send().await;
        (answer.status == 429).then_some(answer)
    })
    .await;
    refused.must_refuse(429, "too_many_requests").header("retry-after").unwrap();
    router.get("/livez").send().await.must_be(200);

    for connection in &mut under_way {
        connection.write("te");
        assert_eq!(connection.status(), Some(201));
    }
    let answer = router.read("a").send().await.must_be(200);
    assert!(answer.etag() == before || answer.text() == "lost");
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_beyond_the_queue_of_a_key_are_refused() {
    const WRITERS: usize = 100;
    let cluster = with_router_setting("ROUNDTABLE_ROUTER_QUEUE_PER_KEY_MAX", "1").await;
    let router = cluster.router(1);
    let mut applied = 0;
    eventually("the queue was full", async || {
        let mut writers = JoinSet::new();
        for _ in 0..WRITERS {
            writers.spawn(router.increment("n", 1).send());
        }
        let (done, refused): (Vec<_>, Vec<_>) =
            writers.join_all().await.into_iter().partition(|answer| answer.status == 200);
        applied += done.len();
        for answer in &refused {
            answer.clone().must_refuse(503, "overloaded").header("retry-after").unwrap();
        }
        (!refused.is_empty()).then_some(())
    })
    .await;
    assert_eq!(router.read("n").send().await.must_be(200).text(), applied.to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_beyond_the_limit_are_told_so() {
    let cluster = with_router_setting("ROUNDTABLE_ROUTER_CONNECTIONS_MAX", "3").await;
    let address = cluster.router(1).address().to_owned();
    let request = "GET /livez HTTP/1.1\r\nhost: x\r\n\r\n";
    // Connections of the harness may not be gone yet.
    let mut held = Vec::new();
    let refused = eventually("a connection is refused", async || {
        let mut connection = Raw::connect(&address);
        match connection.write(request).answer().unwrap() {
            (200, _) => held.push(connection),
            refused => return Some(refused),
        }
        None
    })
    .await;
    assert!(held.len() <= 3, "{}", held.len());
    assert_eq!(refused.0, 503);
    assert!(refused.1.contains("\"overloaded\""), "{}", refused.1);
    assert_eq!(held[0].write(request).answer().unwrap().0, 200);
    drop(held);
    eventually("there is room again", async || {
        (Raw::connect(&address).write(request).answer().unwrap().0 == 200).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn body_that_does_not_arrive_in_time_is_not_stored() {
    let cluster = with_router_setting("ROUNDTABLE_ROUTER_BODY_TIMEOUT", "300ms").await;
    let router = cluster.router(1);
    let mut slow = Raw::connect(router.address());
    slow.write("PUT /v1/kv/a HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nhalf");
    let (status, problem) = slow.answer().unwrap();
    assert_eq!(status, 408);
    assert!(problem.contains("\"request_timeout\""), "{problem}");
    router.read("a").send().await.must_be(404);
}

/// Lets a process open so many files from now on. It may raise its limit as far as this one may.
fn limit_open_files(process: &Process, files: u64) {
    let maximum = rustix::process::getrlimit(Resource::Nofile).maximum;
    let limit = Rlimit { current: Some(files), maximum };
    rustix::process::prlimit(Some(process.pid()), Resource::Nofile, limit).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn running_out_of_file_descriptors_is_logged_once_at_its_start_and_once_at_its_end() {
    const STARTS: &str = "connections cannot be accepted";
    const ENDS: &str = "connections are accepted again";
    let mut cluster = Cluster::start().await;
    let check = async |process: &Process| {
        let open = std::fs::read_dir(format!("/proc/{}/fd", process.pid().as_raw_nonzero())).unwrap().count();
        limit_open_files(process, open as u64 + 4);
        let held: Vec<Raw> = (0..20).map(|_| Raw::connect(process.address())).collect();
        eventually("the descriptors are used up", async || process.log().contains(STARTS).then_some(()))
            .await;
        // It goes on failing meanwhile, twenty times a second.
        tokio::time::sleep(Duration::from_millis(300)).await;
        limit_open_files(process, 1024);
        drop(held);
        eventually("it is over", async || {
            process.http().get("/livez").send().await.must_be(200);
            process.log().contains(ENDS).then_some(())
        })
        .await;
        let log = process.log();
        assert_eq!((log.matches(STARTS).count(), log.matches(ENDS).count()), (1, 1), "{log}");
        let ended = log.lines().find(|line| line.contains(ENDS)).unwrap();
        assert!(ended.contains("failures=") && !ended.contains("failures=1 "), "{ended}");
    };
    check(cluster.router_process(1)).await;
    check(cluster.node(1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn value_limit_is_a_setting() {
    let cluster = with_router_setting("ROUNDTABLE_ROUTER_VALUE_BYTES_MAX", "100").await;
    let router = cluster.router(1);
    router.put("a", vec![b'v'; 100]).send().await.must_be(201);
    let refused = router.put("a", vec![b'v'; 101]).send().await.must_refuse(413, "value_too_large");
    assert_eq!(refused.problem()["limit"], 100);
    assert_eq!(router.read("a").send().await.must_be(200).body.len(), 100);

    let large = with_router_setting("ROUNDTABLE_ROUTER_VALUE_BYTES_MAX", "16 MiB").await;
    let value: Vec<u8> = (0..=250).cycle().take(16 << 20).collect();
    large.router(1).put("a", value.clone()).send().await.must_be(201);
    assert!(large.router(1).read("a").send().await.must_be(200).body == value);
}

#[tokio::test(flavor = "multi_thread")]
async fn client_that_expects_continue_is_asked_for_its_body() {
    let cluster = Cluster::start().await;
    let router = cluster.router(1);
    let mut client = Raw::connect(router.address());
    client.write("PUT /v1/kv/a HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\nexpect: 100-continue\r\n\r\n");
    assert_eq!(client.status(), Some(100));
    client.write("value");
    assert_eq!(client.status(), Some(201));
    assert_eq!(router.read("a").send().await.must_be(200).text(), "value");
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_router_tells_load_balancers_first() {
    let mut cluster = with_router_setting("ROUNDTABLE_ROUTER_DRAIN_DELAY", "2s").await;
    let router = cluster.router(1);
    cluster.router_process(1).signal(Signal::TERM);
    let unready = eventually("it says that it leaves", async || {
        let answer = router.get("/readyz").send().await;
        (answer.status == 503).then_some(answer)
    })
    .await;
    assert!(unready.text().contains("shutting_down"), "{}", unready.text());
    // Until they have noticed, requests are served.
    router.put("a", "x").send().await.must_be(201);
    router.get("/livez").send().await.must_be(200);
    assert!(cluster.router_process(1).wait().success());
}

/// Puts again and again over one kept connection until the router ends it. Returns a request that was sent whole and not
/// answered.
fn keep_writing(mut connection: Raw, name: &str, answered: &AtomicU64) -> Option<String> {
    for number in 0.. {
        if connection.is_closed() {
            return None;
        }
        connection.write(format!("PUT /v1/kv/{name} HTTP/1.1\r\nhost: r\r\ncontent-length: 1\r\n\r\nx"));
        match connection.head() {
            Some((201 | 204, head)) if head.contains("connection: close") => return None,
            Some((201 | 204, _)) => answered.fetch_add(1, Ordering::Relaxed),
            other => return Some(format!("{name}, request {number}: {other:?}")),
        };
    }
    None
}

#[tokio::test(flavor = "multi_thread")]
async fn terminated_router_answers_every_request_that_was_sent_whole() {
    const WRITERS: u64 = 16;
    let mut cluster = Cluster::start().await;
    for (round, delay) in ["0s", "0s", "0s", "200ms"].into_iter().enumerate() {
        let router = cluster.router_process(1);
        if round > 0 {
            router.set_env("ROUNDTABLE_ROUTER_DRAIN_DELAY", delay);
            router.start();
            router.ready().await;
        }
        let address = router.address().to_owned();
        let answered = Arc::new(AtomicU64::new(0));
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let (connection, answered) = (Raw::connect(&address), Arc::clone(&answered));
                std::thread::spawn(move || keep_writing(connection, &format!("{round}/{writer}"), &answered))
            })
            .collect();
        eventually("writes flow", async || (answered.load(Ordering::Relaxed) > 20 * WRITERS).then_some(()))
            .await;
        assert!(router.terminate().success());
        let lost: Vec<String> = writers.into_iter().filter_map(|writer| writer.join().unwrap()).collect();
        assert_eq!(lost, Vec::<String>::new(), "round {round}, delay {delay}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn request_in_progress_outlives_the_order_to_stop() {
    let mut cluster = Cluster::start().await;
    let router = cluster.router(1);
    cluster.node(1).freeze();
    cluster.node(2).freeze();
    let waiting = tokio::spawn(router.put("a", "x").query("timeout", "8s").send());
    eventually("the request is in progress", async || {
        let metrics = router.get("/metrics").send().await.text();
        metrics.contains("roundtable_router_requests_in_progress 2").then_some(())
    })
    .await;
    cluster.router_process(1).signal(Signal::TERM);
    cluster.node(1).thaw();
    cluster.node(2).thaw();
    let answer = waiting.await.unwrap();
    assert!(matches!(answer.status, 201 | 503), "{answer:?}");
    assert!(answer.elapsed < Duration::from_secs(10));
    assert!(cluster.router_process(1).wait().success());
}
