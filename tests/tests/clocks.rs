//! Wrong clocks: they cost availability where they must, and never data.
//!
//! The clocks are made wrong by the distribution's library `libfaketime`, loaded into single processes.

use roundtable_tests::{Cluster, Layout, Process, eventually, faketime};

/// Lets a process's wall clock differ from its next start on, such as `-60s` or `+1h`.
fn set_clock(process: &mut Process, offset: &str) {
    let library = faketime::library().expect("libfaketime: `make setup` installs it");
    faketime::load(process, &library);
    process.set_env("FAKETIME", offset);
}

#[tokio::test(flavor = "multi_thread")]
async fn router_an_hour_ahead_expires_nothing_early_and_hinders_nobody() {
    let mut cluster = Cluster::prepare(&Layout { routers: 2, ..Layout::default() });
    set_clock(cluster.router_process(2), "+1h");
    cluster.start_all();
    let (right, ahead) = (cluster.router(1), cluster.router(2));
    cluster.router_process(1).ready().await;
    right.put("lease", "held").query("ttl", "10m").send().await.must_be(201);
    eventually("the other router reaches the nodes", async || {
        ahead.get("/v1/cluster").try_send().await.ok().filter(|answer| answer.status == 200)
    })
    .await;
    for number in 0..50 {
        let read = ahead.read("lease").query("timeout", "1s").send().await;
        if read.status == 200 {
            assert_eq!(read.text(), "held");
        } else {
            read.must_refuse(503, "clock_skew");
        }
        let write = ahead.put("lease", "stolen").if_none_match("*").query("timeout", "1s").send().await;
        assert!(write.status == 412 || write.problem()["code"] == "clock_skew", "{write:?}");
        right.put("other", number.to_string()).send().await;
        assert_eq!(right.read("other").send().await.must_be(200).text(), number.to_string());
    }
    assert_eq!(right.read("lease").send().await.must_be(200).text(), "held");
}

#[tokio::test(flavor = "multi_thread")]
async fn router_some_seconds_behind_is_not_starved() {
    let mut cluster = Cluster::prepare(&Layout { routers: 2, ..Layout::default() });
    set_clock(cluster.router_process(2), "-3s");
    cluster.start_all();
    cluster.ready().await;
    let (right, behind) = (cluster.router(1), cluster.router(2));
    let writers = [right, behind].map(|router| {
        tokio::spawn(async move {
            for _ in 0..100 {
                router.increment("n", 1).send().await.must_be(200);
            }
        })
    });
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(cluster.router(2).read("n").send().await.must_be(200).text(), "200");
}

#[tokio::test(flavor = "multi_thread")]
async fn node_whose_clock_was_set_back_stays_unready_and_names_its_clock() {
    let mut cluster = Cluster::start().await;
    let router = cluster.router(1);
    for number in 0..20 {
        router.put(format!("k{number}"), "x").send().await.must_be(201);
    }
    cluster.node(2).kill();
    set_clock(cluster.node(2), "-10m");
    cluster.node(2).start();
    let http = cluster.node(2).http();
    let reason = eventually("the node names its clock", async || {
        let answer = http.get("/readyz").try_send().await.ok()?;
        assert_eq!(answer.status, 503, "{}", answer.text());
        answer.text().contains("the clock is behind").then(|| answer.text())
    })
    .await;
    assert!(reason.contains("set it right"), "{reason}");
    router.put("k0", "y").send().await.must_be(204);

    cluster.node(2).kill();
    set_clock(cluster.node(2), "+0s");
    cluster.node(2).start();
    cluster.node(2).ready().await;
}
