//! A disk without a byte left: its node refuses or ends, loses nothing that it acknowledged, and serves again when
//! there is room.
//!
//! The disk is a small file system that only the test sees; where the machine does not allow it the tests say so.

#![expect(clippy::unwrap_used, reason = "a helper that cannot go on fails its test")]
#![expect(clippy::indexing_slicing, reason = "an answer without the field fails its test")]
#![expect(clippy::print_stdout, reason = "a machine without the rights shows nothing here, and says so")]

use std::time::{Duration, Instant};

use roundtable_tests::{Cluster, Disk, Http, Layout, eventually, run};
use serde_json::Value;

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

const SMALL_DISK_BYTES: u64 = 182 << 20;
const LONG_BYTES: usize = 300_000;
/// What is free of the disk with nothing but a journal on it, and some more.
const ALMOST_ALL_BYTES: u64 = 130 << 20;
const REFUSED_FOR: Duration = Duration::from_millis(1_500);
/// A node on which nothing else happens gives room back within some seconds.
const GIVEN_BACK_WITHIN: Duration = Duration::from_secs(20);

/// Bytes that no compression makes fewer, others for each number.
fn noise(number: usize) -> Vec<u8> {
    let mut state = number as u64 + 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let [high, ..] = state.to_be_bytes();
        high
    };
    (0..LONG_BYTES).map(|_| next()).collect()
}

/// Puts long values under `prefix` until the disks have refused them for a while: what a node writes into files after
/// the last value still takes room or gives some. Returns how many there were.
async fn fill(router: &Http, prefix: &str) -> usize {
    let (mut number, mut taken) = (0, Instant::now());
    while taken.elapsed() < REFUSED_FOR {
        let put = router.put(format!("{prefix}{number}"), noise(number)).send().await;
        if put.status == 503 {
            assert_eq!(put.json()["code"], "disk_reserve", "{put:?}");
        } else {
            assert!(matches!(put.status, 201 | 204), "{put:?}");
            (number, taken) = (number + 1, Instant::now());
        }
    }
    number
}

async fn delete(router: &Http, numbers: impl Iterator<Item = usize>) {
    for number in numbers {
        router.delete(format!("k{number}")).send().await.must_be(204);
    }
}

async fn disk_of(node: &Http) -> Value {
    node.get("/readyz").send().await.must_be(200).json()["disk"].clone()
}

/// Waits until every node has so much room again.
async fn room_is_given_back(cluster: &mut Cluster, bytes: u64) {
    let deleted = Instant::now();
    for number in 1..=3 {
        let node = cluster.node(number).http();
        let has_room = async || (disk_of(&node).await["free_bytes"].as_u64()? >= bytes).then_some(());
        eventually("the room of the deleted values is given back", has_room).await;
    }
    assert!(deleted.elapsed() < GIVEN_BACK_WITHIN, "the room came back after {:?}", deleted.elapsed());
}

/// What nodes, routers and the command line say of nodes that refuse writes for their disks: still ready, and why not
/// all is well.
async fn everyone_tells_the_shortage(cluster: &mut Cluster, router: &Http) {
    let disk = disk_of(&cluster.node(1).http()).await;
    assert_eq!(
        (&disk["refuses_growth"], &disk["reserve_bytes"]),
        (&Value::from(true), &Value::from(40 << 20))
    );
    let detail = disk["detail"].as_str().unwrap();
    assert!(detail.contains("40 MiB") && detail.contains("/data"), "{detail}");
    let told = eventually("the router knows of all disks", async || {
        let told = router.get("/readyz").send().await.must_be(200).json();
        (told["nodes_refusing_growth"].as_object()?.len() == 3).then_some(told)
    })
    .await;
    assert_eq!(told["partitions_refusing_growth"], 64);
    assert!(told["reason"].as_str().unwrap().contains("refused in 64 partitions"), "{told}");
    let view = router.get("/v1/cluster").send().await.must_be(200).json();
    for node in view["nodes"].as_array().unwrap() {
        let shortage = &node["disk_shortage"];
        assert_eq!(
            (&node["health"], &shortage["reserve_bytes"]),
            (&Value::from("up"), &Value::from(40 << 20))
        );
        assert!(shortage["free_bytes"].as_u64().unwrap() < 40 << 20, "{shortage}");
    }
    let address = format!("http://{}", router.address());
    let status = run("roundtable", &["status", "--router", &address]).must_end_with(0).text();
    assert!(status.contains("refused in 64 partitions") && status.contains("below the reserve"), "{status}");
}

/// Three small disks are filled and emptied again and again, with a restart, and half emptied.
#[tokio::test(flavor = "multi_thread")]
async fn deleted_values_give_their_room_back_on_full_disks() {
    let disks: Vec<Disk> = match (0..3).map(|_| Disk::new(SMALL_DISK_BYTES)).collect() {
        Ok(disks) => disks,
        Err(error) => return println!("skipped: no disk of its own: {error}"),
    };
    let node_env = vec![
        ("ROUNDTABLE_NODE_FREE_BYTES_MIN", "40 MiB".to_owned()),
        ("ROUNDTABLE_NODE_WRITE_BUFFER", "8 MiB".to_owned()),
    ];
    let mut cluster = Cluster::prepare(&Layout { node_env, ..Layout::default() });
    for (number, disk) in (1..).zip(&disks) {
        cluster.node(number).set_flag("--data-dir", &disk.folder().display().to_string());
    }
    cluster.start_all();
    cluster.ready().await;
    let router = cluster.router(1);

    let first = fill(&router, "k").await;
    everyone_tells_the_shortage(&mut cluster, &router).await;
    delete(&router, 0..first).await;
    room_is_given_back(&mut cluster, ALMOST_ALL_BYTES).await;

    // With all deleted and the room not given back yet, every process is killed.
    let second = fill(&router, "k").await;
    assert!(second > first * 3 / 4, "{second} values after {first}");
    delete(&router, 0..second).await;
    cluster.kill_all();
    cluster.start_all();
    cluster.ready().await;
    room_is_given_back(&mut cluster, ALMOST_ALL_BYTES).await;

    // Three of four are deleted, so that every file still has something alive in it.
    let third = fill(&router, "k").await;
    assert!(third > first * 3 / 4, "{third} values after {first}");
    let dies = |number: &usize| !number.is_multiple_of(4);
    delete(&router, (0..third).filter(dies)).await;
    room_is_given_back(&mut cluster, ALMOST_ALL_BYTES / 2).await;
    let fourth = fill(&router, "m").await;
    assert!(fourth > first / 2, "{fourth} values beside a quarter of {third}");
    for number in (0..third).filter(|number| !dies(number)) {
        let read = router.read(format!("k{number}")).send().await.must_be(200);
        assert!(read.body == noise(number), "k{number} has another value");
    }
}
