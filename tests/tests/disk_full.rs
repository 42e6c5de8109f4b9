//! A disk without a byte left: its node refuses or ends, loses nothing that it acknowledged, and serves again when
//! there is room.
//!
//! The disk is a small file system that only the test sees; where the machine does not allow it the tests say so.

#![expect(clippy::unwrap_used, reason = "a helper that cannot go on fails its test")]
#![expect(clippy::print_stdout, reason = "a machine without the rights shows nothing here, and says so")]

use std::time::Duration;

use roundtable_tests::{Cluster, Disk, Http, Layout, eventually};

const DISK_BYTES: u64 = 256 << 20;

/// Long values: RocksDB has taken room for its log beforehand, and small ones would take minutes to fill it.
fn value_of(number: usize) -> String {
    format!("{number} {}", "x".repeat(60_000))
}

/// Puts keys through the router until one is not acknowledged, and returns those that were.
async fn put_until_refused(router: &Http, first: usize) -> Vec<usize> {
    let mut acknowledged = Vec::new();
    for number in first.. {
        let put = router.put(format!("k{number}"), value_of(number)).query("timeout", "2s").send().await;
        if put.status != 201 {
            assert!(matches!(put.status, 503 | 504 | 507), "{put:?}");
            return acknowledged;
        }
        acknowledged.push(number);
    }
    acknowledged
}

/// With n3 dead every write needs n2, whose disk fills up under it. Later n2 is the only one left that has them.
async fn nothing_acknowledged_is_lost(reserve: &str) {
    let disk = match Disk::new(DISK_BYTES) {
        Ok(disk) => disk,
        Err(error) => return println!("skipped: no disk of its own: {error}"),
    };
    let node_env = vec![("ROUNDTABLE_NODE_FREE_BYTES_MIN", reserve.to_owned())];
    let mut cluster = Cluster::prepare(&Layout { node_env, ..Layout::default() });
    cluster.node(2).set_flag("--data-dir", &disk.folder().display().to_string());
    cluster.start_all();
    cluster.ready().await;
    cluster.node(3).kill();
    let router = cluster.router(1);
    for number in 0..50 {
        let put = async || router.put(format!("k{number}"), value_of(number)).try_send().await.ok();
        eventually("a put without n3", async || put().await.filter(|put| matches!(put.status, 201 | 204)))
            .await;
    }
    disk.fill().unwrap();
    let acknowledged = put_until_refused(&router, 50).await;
    let read = router.read("k0").send().await;
    if read.status == 503 {
        // The log itself found no room: such a node ends, and with n3 dead there is no majority.
        let ends = async {
            while cluster.node(2).exited().is_none() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), ends).await.unwrap();
    } else {
        assert_eq!(read.must_be(200).text(), value_of(0), "what is there can be read");
    }

    disk.relieve().unwrap();
    if cluster.node(2).exited().is_some() {
        cluster.node(2).kill();
        cluster.node(2).start();
    }
    cluster.node(3).start();
    cluster.ready().await;
    cluster.node(1).kill();
    for number in (0..50).chain(acknowledged) {
        let read = async || router.read(format!("k{number}")).try_send().await.ok();
        let found =
            eventually("a read without n1", async || read().await.filter(|read| read.status != 503)).await;
        assert_eq!(found.must_be(200).text(), value_of(number));
    }
    // A node looks at its free space once a second: it may not know of the room yet.
    let put = async || router.put("after", "x").try_send().await.ok();
    let after = eventually("a put once there is room", async || put().await.filter(|put| put.status != 503));
    after.await.must_be(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn disk_full_at_once_loses_nothing_that_was_acknowledged() {
    nothing_acknowledged_is_lost("0").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn disk_full_beyond_the_reserve_loses_nothing_that_was_acknowledged() {
    nothing_acknowledged_is_lost("16 MiB").await;
}

/// With n3 dead every put is a commit of n2's. Enough of them on a full disk, and its journal goes on in the next
/// segment, so the database is to be flushed and cannot be.
#[tokio::test(flavor = "multi_thread")]
async fn node_outlives_a_full_disk_on_which_its_database_cannot_be_flushed() {
    /// More than the first segment of a journal has blocks, fewer than the first two.
    const PUTS_ON_THE_FULL_DISK: usize = 400;
    /// More than the next two segments have: they are only there if the first is freed and more are made.
    const PUTS_AFTERWARDS: usize = 2_000;
    let disk = match Disk::new(DISK_BYTES) {
        Ok(disk) => disk,
        Err(error) => return println!("skipped: no disk of its own: {error}"),
    };
    let node_env = vec![("ROUNDTABLE_NODE_FREE_BYTES_MIN", "0".to_owned())];
    let mut cluster = Cluster::prepare(&Layout { node_env, ..Layout::default() });
    cluster.node(2).set_flag("--data-dir", &disk.folder().display().to_string());
    cluster.start_all();
    cluster.ready().await;
    cluster.node(3).kill();
    let router = cluster.router(1);
    let put = async |number: usize| {
        let put = router.put(format!("k{number}"), number.to_string());
        put.query("timeout", "20s").send().await.must_be(201);
    };
    put(0).await;
    let second_segment = disk.folder().join("journal/0002.journal");
    eventually("the journal's second segment", async || second_segment.exists().then_some(())).await;
    disk.fill().unwrap();
    for number in 1..=PUTS_ON_THE_FULL_DISK {
        put(number).await;
    }
    let read = router.read("k1").send().await.must_be(200);
    assert_eq!(read.text(), "1", "what is there can be read");
    disk.relieve().unwrap();
    for number in PUTS_ON_THE_FULL_DISK + 1..=PUTS_ON_THE_FULL_DISK + PUTS_AFTERWARDS {
        put(number).await;
    }
    assert!(cluster.node(2).exited().is_none(), "it has room and serves");
    cluster.node(2).kill();
    cluster.node(2).start();
    cluster.node(3).start();
    cluster.ready().await;
    cluster.node(1).kill();
    for number in 0..=PUTS_ON_THE_FULL_DISK + PUTS_AFTERWARDS {
        let read = async || router.read(format!("k{number}")).try_send().await.ok();
        let found =
            eventually("a read without n1", async || read().await.filter(|read| read.status != 503)).await;
        assert_eq!(found.must_be(200).text(), number.to_string());
    }
}
