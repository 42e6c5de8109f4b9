//! A node that is killed, or whose disk fails, under load: what was answered is there.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::sync::{Arc, Mutex};

use http_body_util::Full;
use hyper::Request as HttpRequest;
use roundtable_common::wire::{self, Target, decode_replies, encode_requests};
use roundtable_consensus::{Key, PartitionId, Register, ReplyBody, Request};
use rustix::process::{Resource, Rlimit, Signal, prlimit};

use crate::process::{NodeProcess, arguments, node_command, write_cluster_file};
use crate::support::{accept, free_ports, key, next_ballot, open, register, request, send, until};

/// What a node answered yes to: the last register of each key.
type Acknowledged = Arc<Mutex<BTreeMap<Key, Register>>>;

const WRITERS: usize = 4;

/// Writes to its own keys until the node is gone; notes what was acknowledged.
async fn write_until_gone(
    writer: usize,
    node: std::net::SocketAddr,
    target: Target,
    acknowledged: Acknowledged,
) {
    for round in 0_u64.. {
        let registers: Vec<(Key, Register)> = (0..8)
            .map(|number| {
                let value_bytes = if number % 4 == 0 { 6000 } else { 20 };
                (
                    key(&format!("{writer}/{}", (round * 8 + number) % 40)),
                    register(next_ballot(), vec![7; value_bytes]),
                )
            })
            .collect();
        let requests: Vec<Request> = (0..)
            .zip(&registers)
            .map(|(id, (key, register))| request(id, key, accept(register.clone())))
            .collect();
        let body = encode_requests(&target, &requests);
        let post = HttpRequest::post(wire::BATCH_PATH).body(Full::new(body)).unwrap();
        let Ok((_, answer)) = send(node, post).await else { return };
        let Ok(replies) = decode_replies(answer).unwrap().outcome else { return };
        let mut noted = acknowledged.lock().unwrap();
        for ((key, register), reply) in registers.into_iter().zip(replies) {
            assert!(matches!(reply.body, ReplyBody::Accepted { .. }), "{reply:?}");
            noted.insert(key, register);
        }
    }
}

fn assert_all_there(data: &std::path::Path, acknowledged: &BTreeMap<Key, Register>) {
    let store = open(data);
    for (key, register) in acknowledged {
        let partition: PartitionId = roundtable_common::placement::partition_of(key, 16);
        let head = store.read_heads(&[(partition, key)]).remove(0).unwrap().unwrap();
        // A later write may have reached the disk and not been answered.
        assert!(head.register.accepted >= register.accepted, "{key}: {head:?}");
        if head.register.accepted == register.accepted {
            let found = if head.spilled {
                store.read_value(partition, key, head.register).unwrap()
            } else {
                head.register
            };
            assert_eq!(&found, register, "{key}");
        }
    }
    let seqs: Vec<u64> = store.read_log(1, usize::MAX).unwrap().iter().map(|entry| entry.seq).collect();
    assert!(seqs.len() >= acknowledged.len());
    assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>(), "the log has a gap");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn node_killed_under_load_keeps_every_acknowledged_register() {
    let dir = tempfile::tempdir().unwrap();
    let port = free_ports(1)[0];
    let cluster = write_cluster_file(dir.path(), port);
    let acknowledged = Acknowledged::default();
    for round in 1..=3 {
        let node = NodeProcess::start(node_command(dir.path(), &cluster), port).await;
        let target = node.target().await;
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                tokio::spawn(write_until_gone(
                    writer,
                    node.address,
                    target.clone(),
                    Arc::clone(&acknowledged),
                ))
            })
            .collect();
        until(async || (acknowledged.lock().unwrap().len() >= 30 * round).then_some(())).await;
        node.signal(Signal::KILL);
        for writer in writers {
            writer.await.unwrap();
        }
        drop(node);
        assert_all_there(&dir.path().join("data"), &acknowledged.lock().unwrap());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn node_told_to_stop_under_load_keeps_every_acknowledged_register_and_exits_with_zero() {
    let dir = tempfile::tempdir().unwrap();
    let port = free_ports(1)[0];
    let cluster = write_cluster_file(dir.path(), port);
    let node = NodeProcess::start(node_command(dir.path(), &cluster), port).await;
    let target = node.target().await;
    let acknowledged = Acknowledged::default();
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            tokio::spawn(write_until_gone(writer, node.address, target.clone(), Arc::clone(&acknowledged)))
        })
        .collect();
    until(async || (acknowledged.lock().unwrap().len() >= 60).then_some(())).await;
    node.signal(Signal::TERM);
    for writer in writers {
        writer.await.unwrap();
    }
    let (status, text) = node.ended().await;
    assert!(status.success(), "{status}: {text}");
    assert_all_there(&dir.path().join("data"), &acknowledged.lock().unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn node_whose_disk_fails_stops_and_has_kept_every_acknowledged_register() {
    let dir = tempfile::tempdir().unwrap();
    let port = free_ports(1)[0];
    let cluster = write_cluster_file(dir.path(), port);
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_roundtable-node")]);
    command.args(arguments(dir.path(), &cluster));
    let node = NodeProcess::start(command, port).await;
    let target = node.target().await;
    let acknowledged = Acknowledged::default();
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            tokio::spawn(write_until_gone(writer, node.address, target.clone(), Arc::clone(&acknowledged)))
        })
        .collect();
    until(async || (acknowledged.lock().unwrap().len() >= 60).then_some(())).await;
    // From now on the system lets the node write to no file at all: its writes fail with EFBIG.
    let nothing = Rlimit { current: Some(0), maximum: Some(0) };
    prlimit(Some(node.pid()), Resource::Fsize, nothing).unwrap();
    for writer in writers {
        writer.await.unwrap();
    }
    let (status, text) = node.ended().await;
    assert_eq!(status.code(), Some(1), "{status}: {text}");
    assert!(text.contains("commit"), "{text}");
    let kept = acknowledged.lock().unwrap();
    assert!(!kept.is_empty());
    assert_all_there(&dir.path().join("data"), &kept);
}

#[tokio::test]
async fn node_with_a_damaged_log_does_not_start_and_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let port = free_ports(1)[0];
    let cluster = write_cluster_file(dir.path(), port);
    let node = NodeProcess::start(node_command(dir.path(), &cluster), port).await;
    let target = node.target().await;
    let acknowledged = Acknowledged::default();
    let writer = tokio::spawn(write_until_gone(0, node.address, target, Arc::clone(&acknowledged)));
    until(async || (acknowledged.lock().unwrap().len() >= 40).then_some(())).await;
    node.signal(Signal::KILL);
    writer.await.unwrap();
    drop(node);
    for segment in fs::read_dir(dir.path().join("data/journal")).unwrap() {
        let path = segment.unwrap().path();
        let mut bytes = fs::read(&path).unwrap();
        bytes[20] ^= 1;
        fs::write(&path, bytes).unwrap();
    }
    let output = node_command(dir.path(), &cluster).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    assert!(text.contains("the journal") && text.contains("give it a new id"), "{text}");
}

/// Its files cannot be made any more, which is no lack of room: the node ends by itself, and says why once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn node_whose_database_cannot_be_written_ends_with_the_reason_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let port = free_ports(1)[0];
    let cluster = write_cluster_file(dir.path(), port);
    let mut command = node_command(dir.path(), &cluster);
    command.args(["--write-buffer", "4 MiB"]);
    let node = NodeProcess::start(command, port).await;
    let target = node.target().await;
    let acknowledged = Acknowledged::default();
    let (database, away) = (dir.path().join("data/db"), dir.path().join("away"));
    fs::rename(&database, &away).unwrap();
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            tokio::spawn(write_until_gone(writer, node.address, target.clone(), Arc::clone(&acknowledged)))
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    let (status, text) = node.ended().await;
    assert_eq!(status.code(), Some(1), "{status}: {text}");
    let last = text.lines().last().unwrap();
    assert!(last.contains("database") && last.contains("No such file"), "{text}");
    assert!(text.lines().count() <= 6, "{text}");
    fs::rename(&away, &database).unwrap();
    let kept = acknowledged.lock().unwrap();
    assert!(!kept.is_empty());
    assert_all_there(&dir.path().join("data"), &kept);
}
