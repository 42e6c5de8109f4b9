//! Nodes that choose their first configuration, and those that must stay out.

use hyper::StatusCode;
use roundtable_common::wire::Refused;
use roundtable_consensus::{Ballot, Hlc, ReplyBody, RequestBody};
use roundtable_node::clock::unix_ms;
use roundtable_node::membership::MembershipError;
use roundtable_node::run::NodeError;

use crate::support::{
    TestNode, accept, batch, configuration, free_ports, get, key, next_ballot, open, register, replies,
    request, until,
};

#[tokio::test]
async fn three_nodes_found_one_cluster_and_come_back_to_it() {
    let dirs: Vec<_> = (0..3).map(|_| tempfile::tempdir().unwrap()).collect();
    let file = configuration(&free_ports(3));
    let start =
        |number: usize| TestNode::start(&format!("n{}", number + 1), dirs[number].path(), &file, "").unwrap();
    let (first, second) = (start(0), start(1));
    // Two of three found nothing.
    let told = until(async || Some(first.hello().await.reason).filter(|reason| reason.contains("n3"))).await;
    assert!(told.contains("not reachable") || told.contains("no answer yet"), "{told}");
    assert_eq!(get(first.address, "/readyz").await.0, StatusCode::SERVICE_UNAVAILABLE);
    let third = start(2);
    let mut targets = Vec::new();
    for node in [&first, &second, &third] {
        targets.push(node.until_ready().await);
    }
    assert!(targets.iter().all(|target| target.cluster == targets[0].cluster));
    let written = request(1, &key("k"), accept(register(next_ballot(), "v")));
    assert!(matches!(
        replies(second.address, &targets[1], &[written]).await[0].body,
        ReplyBody::Accepted { .. }
    ));
    for node in [first, second, third] {
        node.stop().await.unwrap();
    }
    // Alone, and with what it knew.
    let again = start(1);
    assert_eq!(again.until_ready().await, targets[1]);
    let read = request(2, &key("k"), RequestBody::Read { want_value: true });
    let answered = replies(again.address, &targets[1], &[read]).await;
    assert!(matches!(&answered[0].body, ReplyBody::State(found) if !found.is_absent()));
    again.stop().await.unwrap();
}

#[tokio::test]
async fn node_with_a_wiped_disk_refuses_to_vote_and_says_why() {
    let dirs: Vec<_> = (0..3).map(|_| tempfile::tempdir().unwrap()).collect();
    let file = configuration(&free_ports(3));
    let start = |number: usize, dir: &std::path::Path| {
        TestNode::start(&format!("n{}", number + 1), dir, &file, "").unwrap()
    };
    let nodes: Vec<TestNode> = (0..3).map(|number| start(number, dirs[number].path())).collect();
    let mut targets = Vec::new();
    for node in &nodes {
        targets.push(node.until_ready().await);
    }
    let mut nodes = nodes.into_iter();
    nodes.next().unwrap().stop().await.unwrap();
    let empty = tempfile::tempdir().unwrap();
    let wiped = start(0, empty.path());
    let told =
        until(async || Some(wiped.hello().await.reason).filter(|reason| reason.contains("lost"))).await;
    assert!(told.contains("n1") && told.contains(&targets[0].storage.to_string()), "{told}");
    assert_eq!(get(wiped.address, "/readyz").await.0, StatusCode::SERVICE_UNAVAILABLE);
    let asked = [request(1, &key("k"), RequestBody::Read { want_value: false })];
    let refused = batch(wiped.address, &targets[0], &asked).await.outcome.unwrap_err();
    assert!(
        matches!(refused, Refused::WrongStorage { mine } if mine == wiped.hello().await.storage),
        "{refused}"
    );
    wiped.stop().await.unwrap();
    for node in nodes {
        node.stop().await.unwrap();
    }
}

#[tokio::test]
async fn node_at_anothers_address_is_told_by_name() {
    let dirs: Vec<_> = (0..2).map(|_| tempfile::tempdir().unwrap()).collect();
    let ports = free_ports(2);
    let file = configuration(&ports);
    let swapped = format!("listen = '127.0.0.1:{}'", ports[0]);
    // n2 listens where n1 should; n1 somewhere else.
    let second = TestNode::start("n2", dirs[1].path(), &file, &swapped).unwrap();
    let elsewhere = format!("listen = '127.0.0.1:{}'", ports[1]);
    let first = TestNode::start("n1", dirs[0].path(), &file, &elsewhere).unwrap();
    let told =
        until(async || Some(second.hello().await.reason).filter(|reason| reason.contains("answers"))).await;
    assert!(told.contains("n1") && told.contains("n2"), "{told}");
    first.stop().await.unwrap();
    second.stop().await.unwrap();
}

#[tokio::test]
async fn cluster_file_changed_without_a_higher_version_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut file = configuration(&free_ports(1));
    let node = TestNode::start("n1", dir.path(), &file, "").unwrap();
    node.until_ready().await;
    node.stop().await.unwrap();
    file.nodes[0].weight = 2;
    let Err(NodeError::Membership(MembershipError::ChangedWithoutVersion { difference })) =
        TestNode::start("n1", dir.path(), &file, "")
    else {
        panic!("a changed file was taken")
    };
    assert!(difference.contains("weight"), "{difference}");
    // With a higher version the node stays with what it adopted.
    file.epoch.0 += 1;
    let node = TestNode::start("n1", dir.path(), &file, "").unwrap();
    assert_eq!(node.until_ready().await.epoch.0, 1);
    node.stop().await.unwrap();
}

#[tokio::test]
async fn node_whose_clock_is_behind_its_promises_does_not_vote_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let file = configuration(&free_ports(1));
    let start = || TestNode::start("n1", dir.path(), &file, "").unwrap();
    let node = start();
    let target = node.until_ready().await;
    node.stop().await.unwrap();
    let raise_horizon = |ahead_ms: u64| {
        let store = open(dir.path());
        let mut commit = store.begin_commit();
        commit.horizon(9, Ballot::floor_of(Hlc::from_millis(unix_ms() + ahead_ms)));
        commit.write().unwrap();
    };
    // Within what a right clock can need: it waits, and then votes.
    raise_horizon(700);
    let node = start();
    let told = node.hello().await;
    assert!(!told.ready && !told.reason.is_empty(), "{told:?}");
    node.until_ready().await;
    node.stop().await.unwrap();
    raise_horizon(3_600_000);
    let node = start();
    let told =
        until(async || Some(node.hello().await.reason).filter(|reason| reason.contains("clock"))).await;
    assert!(told.contains("behind"), "{told}");
    let asked = [request(1, &key("k"), RequestBody::Read { want_value: false })];
    let refused = batch(node.address, &target, &asked).await.outcome.unwrap_err();
    assert!(matches!(&refused, Refused::NotReady { reason } if reason.contains("clock")), "{refused}");
    node.stop().await.unwrap();
}

#[tokio::test]
async fn node_that_the_cluster_file_does_not_name_does_not_start() {
    let dir = tempfile::tempdir().unwrap();
    let file = configuration(&free_ports(2));
    let told = TestNode::start("n3", dir.path(), &file, "").err().unwrap().to_string();
    assert!(told.contains("n3") && told.contains("n1, n2"), "{told}");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing was made");
}
