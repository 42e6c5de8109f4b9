//! Nodes die and freeze while real data goes in: nobody notices, and everything is there afterwards.

#![expect(clippy::unwrap_used, reason = "a helper that cannot go on fails its test")]

use std::collections::BTreeMap;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use roundtable_tests::{Cluster, Http, Layout, eventually, idempotency_key, program, run};
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::Mutex;
use tokio::task::JoinSet;

/// The distribution's package `unicode-data`: a record a line, fields separated by semicolons, the first the key.
const UNICODE_DATA: &str = "/usr/share/unicode/UnicodeData.txt";
const RECORDS_MIN: usize = 30_000;
const LAYOUT: [&str; 4] = ["--format", "tsv", "--delimiter", ";"];
/// The claim.
const SLOWEST_MS_MAX: u64 = 1_000;

/// These tests make claims about time, so they run one at a time: where all tests of a file share a process.
static ALONE: Mutex<()> = Mutex::const_new(());

/// The records in the order of their keys, each with its line end: what an export must be.
fn unicode_data() -> Vec<String> {
    let text = std::fs::read_to_string(UNICODE_DATA)
        .unwrap_or_else(|error| panic!("{UNICODE_DATA}: {error}; `make setup` installs it"));
    let mut lines: Vec<String> = text.lines().map(|line| format!("{line}\n")).collect();
    lines.sort_by(|a, b| a.split(';').next().cmp(&b.split(';').next()));
    assert!(lines.len() >= RECORDS_MIN, "{} records", lines.len());
    lines
}

/// An import of which the test feeds the records, so that it is under way while nodes fail.
struct Import {
    child: Child,
    stdin: ChildStdin,
    left: std::vec::IntoIter<String>,
}

impl Import {
    fn start(router: &Http, records: Vec<String>) -> Self {
        let mut child = Command::new(program("roundtable"))
            .args(["import", "-", "--json", "--router", &format!("http://{}", router.address())])
            .args(LAYOUT)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let stdin = child.stdin.take().unwrap();
        Self { child, stdin, left: records.into_iter() }
    }

    /// Feeds further records, no faster than they are stored.
    async fn feed(&mut self, count: usize) {
        for record in self.left.by_ref().take(count) {
            self.stdin.write_all(record.as_bytes()).await.unwrap();
        }
        self.stdin.flush().await.unwrap();
    }

    /// Feeds the rest, waits for the end, and returns the summary.
    async fn finish(mut self) -> Value {
        self.feed(usize::MAX).await;
        drop(self.stdin);
        let output = self.child.wait_with_output().await.unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stdout));
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

/// All that is stored, as `roundtable export` writes it.
fn export(router: &Http) -> Vec<u8> {
    let address = format!("http://{}", router.address());
    let arguments = ["export", "-", "--router", &address, LAYOUT[0], LAYOUT[1], LAYOUT[2], LAYOUT[3]];
    run("roundtable", &arguments).must_end_with(0).stdout
}

#[track_caller]
fn must_equal(exported: &[u8], expected: &[String]) {
    let expected = expected.concat();
    if exported == expected.as_bytes() {
        return;
    }
    let exported = String::from_utf8_lossy(exported);
    let (mut ours, mut theirs) = (exported.lines(), expected.lines());
    let difference = loop {
        match (ours.next(), theirs.next()) {
            (None, None) => break "only line ends differ".to_owned(),
            (found, wanted) if found != wanted => break format!("exported {found:?}, imported {wanted:?}"),
            _ => {}
        }
    };
    panic!("{} lines of {}: {difference}", exported.lines().count(), expected.lines().count());
}

/// Answers of a router by status that were not a success, from its metrics.
async fn failures(router: &Http) -> Vec<String> {
    let metrics = router.get("/metrics").send().await.must_be(200).text();
    let counted: Vec<&str> =
        metrics.lines().filter(|line| line.starts_with("roundtable_router_requests_total{")).collect();
    assert!(counted.iter().any(|line| line.contains("status=\"201\"")), "{metrics}");
    // Whoever starts a cluster asks for its readiness until it is there: those answers are no client's.
    let of_clients = counted.into_iter().filter(|line| !line.contains("endpoint=\"readyz\""));
    of_clients.filter(|line| line.contains("status=\"5")).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn import_with_a_node_killed_and_another_frozen_is_complete_and_never_stalls() {
    let _alone = ALONE.lock().await;
    let records = unicode_data();
    let mut cluster = Cluster::start().await;
    let router = cluster.router(1);
    let mut import = Import::start(&router, records.clone());

    import.feed(6_000).await;
    cluster.node(1).kill();
    import.feed(8_000).await;
    cluster.node(1).start();
    // The import goes on while the node comes back.
    let back = cluster.node(1).http();
    eventually("the killed node is ready again", async || {
        import.feed(50).await;
        back.get("/readyz").try_send().await.ok().filter(|answer| answer.status == 200)
    })
    .await;
    import.feed(500).await;
    assert!(import.left.len() > 8_000, "{} records are left for the frozen node", import.left.len());
    cluster.node(2).freeze();
    let summary = import.finish().await;

    assert_eq!(summary["done"].as_u64(), Some(records.len() as u64), "{summary}");
    assert_eq!(summary["failed"], 0, "{summary}");
    assert!(summary["slowest_ms"].as_u64().unwrap() <= SLOWEST_MS_MAX, "{summary}");
    assert_eq!(
        failures(&router).await,
        Vec::<String>::new(),
        "no request failed, not even one that was repeated"
    );

    must_equal(&export(&router), &records);
    cluster.node(2).thaw();
    cluster.ready().await;

    cluster.kill_all();
    cluster.start_all();
    cluster.ready().await;
    must_equal(&export(&router), &records);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_acknowledged_write_survives_sigkill_of_all_processes_under_load() {
    const WRITERS: usize = 32;
    let _alone = ALONE.lock().await;
    let mut cluster = Cluster::start_with(Layout { routers: 2, ..Layout::default() }).await;
    for round in 0..3_u64 {
        let acknowledged = Arc::new(AtomicU64::new(0));
        let mut writers = JoinSet::new();
        for writer in 0..WRITERS {
            let router = cluster.router(1 + writer % 2);
            let acknowledged = Arc::clone(&acknowledged);
            writers.spawn(async move { write_until_it_breaks(&router, round, writer, &acknowledged).await });
        }
        eventually("writes are acknowledged", async || {
            (acknowledged.load(Ordering::Relaxed) > 2_000).then_some(())
        })
        .await;
        cluster.kill_all();
        let written = writers.join_all().await;
        cluster.start_all();
        cluster.ready().await;

        let router = cluster.router(2);
        let sum: u64 = written.iter().map(|own| own.increments).sum();
        for own in written {
            for (key, last) in &own.last {
                // The write that broke off may or may not have taken effect; nothing else is open.
                let found = router.read(key).send().await.must_be(200).text().parse::<u64>().unwrap();
                let open =
                    own.broke_off.as_ref().filter(|(broken, _)| broken == key).map(|(_, value)| *value);
                assert!(
                    found == *last || Some(found) == open,
                    "{key}: {found}, acknowledged {last}, open {open:?}"
                );
            }
        }
        // Each increment that broke off counted once or not at all.
        let counted = router.increment(format!("count-{round}"), 0).send().await.must_be(200).text();
        let counted: u64 = counted.parse().unwrap();
        assert!((sum..=sum + WRITERS as u64).contains(&counted), "{counted}, acknowledged {sum}");
    }
}

/// What one writer knows when the cluster is gone.
#[derive(Default)]
struct Written {
    /// The last acknowledged value of each key.
    last: BTreeMap<String, u64>,
    /// Acknowledged increments of the key that all writers share.
    increments: u64,
    /// The put that got no answer.
    broke_off: Option<(String, u64)>,
}

/// Overwrites a few keys of its own with rising numbers, and every fourth time counts one up on a key of all.
async fn write_until_it_breaks(
    router: &Http,
    round: u64,
    writer: usize,
    acknowledged: &AtomicU64,
) -> Written {
    let mut written = Written::default();
    for number in 0.. {
        let counts = number % 4 == 3;
        let key = format!("{round}/{writer}/{}", number % 8);
        let call = if counts {
            router.increment(format!("count-{round}"), 1).keyed(&idempotency_key())
        } else {
            router.put(&key, number.to_string())
        };
        match call.try_send().await {
            Ok(answer) if matches!(answer.status, 200 | 201 | 204) => {
                acknowledged.fetch_add(1, Ordering::Relaxed);
                if counts {
                    written.increments += 1;
                } else {
                    written.last.insert(key, number);
                }
            }
            _ => {
                written.broke_off = (!counts).then_some((key, number));
                break;
            }
        }
    }
    written
}

#[tokio::test(flavor = "multi_thread")]
async fn stale_node_never_answers_for_what_it_missed() {
    let _alone = ALONE.lock().await;
    let mut cluster = Cluster::start().await;
    let router = cluster.router(1);
    for number in 0..200 {
        router.put(format!("k{number}"), "old").send().await.must_be(201);
    }
    cluster.node(1).kill();
    for number in 0..200 {
        match number % 3 {
            0 => router.put(format!("k{number}"), "new").send().await.must_be(204),
            1 => router.delete(format!("k{number}")).send().await.must_be(204),
            _ => router.put(format!("m{number}"), "new").send().await.must_be(201),
        };
    }
    // The one that missed all of it makes a majority with one that did not.
    cluster.node(1).start();
    cluster.node(1).ready().await;
    cluster.node(2).kill();
    for number in 0..200 {
        let read = router.read(format!("k{number}")).send().await;
        match number % 3 {
            0 => assert_eq!(read.must_be(200).text(), "new"),
            1 => assert_eq!(read.status, 404, "k{number}"),
            _ => {
                assert_eq!(read.must_be(200).text(), "old");
                assert_eq!(router.read(format!("m{number}")).send().await.must_be(200).text(), "new");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_taken_down_in_turn_lose_nothing_and_stop_nobody() {
    let _alone = ALONE.lock().await;
    let mut cluster = Cluster::start().await;
    let router = cluster.router(1);
    let mut expected = 0;
    for turn in 0..4 {
        let number = turn % 3 + 1;
        if turn % 2 == 0 {
            cluster.node(number).kill();
        } else {
            cluster.node(number).freeze();
        }
        for _ in 0..100 {
            expected += 1;
            let answer = router.increment("n", 1).send().await.must_be(200);
            assert_eq!(answer.text(), expected.to_string());
            assert!(answer.elapsed.as_millis() <= u128::from(SLOWEST_MS_MAX), "{:?}", answer.elapsed);
        }
        if turn % 2 == 0 {
            cluster.node(number).start();
        } else {
            cluster.node(number).thaw();
        }
        cluster.node(number).ready().await;
        eventually("the router uses it again", async || {
            let cluster = router.get("/v1/cluster").send().await.must_be(200).json();
            (cluster["nodes"][number - 1]["health"] == "up").then_some(())
        })
        .await;
    }
}
