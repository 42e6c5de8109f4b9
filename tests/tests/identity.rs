//! Nobody votes with amnesia, and nobody votes in another's place.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a helper that cannot go on fails its test"
)]

use roundtable_tests::{Cluster, Http, Layout, Process, eventually};
use serde_json::Value;

/// What a router says of one node.
async fn node_state(router: &Http, id: &str) -> Value {
    let cluster = router.get("/v1/cluster").send().await.must_be(200).json();
    let nodes = cluster["nodes"].as_array().unwrap();
    nodes.iter().find(|node| node["id"] == id).unwrap_or_else(|| panic!("no {id}: {cluster}")).clone()
}

/// Waits until a router refuses a node for a reason that names all of these.
async fn refused(router: &Http, id: &str, names: &[&str]) {
    eventually(&format!("{id} is refused with {names:?}"), async || {
        let state = node_state(router, id).await;
        let reason = state["detail"].as_str().unwrap_or_default();
        (state["health"] == "refused" && names.iter().all(|name| reason.contains(name))).then_some(())
    })
    .await;
}

/// Starts a node at another address than the one that others know.
fn listen_at(node: &mut Process, address: &str) {
    let mut arguments = node.arguments().to_vec();
    arguments.extend(["--listen".to_owned(), address.to_owned()]);
    node.set_arguments(arguments);
    node.start();
}

/// Waits until a process says that it is not ready, or ends; returns all that it said.
async fn complaint(process: &mut Process, about: &str) -> String {
    let http = process.http();
    eventually(&format!("a word about {about:?}"), async || {
        let answer = http.get("/readyz").try_send().await.ok();
        assert!(answer.as_ref().is_none_or(|answer| answer.status != 200), "ready: {answer:?}");
        let said = format!("{}\n{}", answer.map(|answer| answer.text()).unwrap_or_default(), process.log());
        said.contains(about).then_some(said)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn node_whose_data_was_deleted_refuses_to_vote_and_says_why() {
    let mut cluster = Cluster::start().await;
    let router = cluster.router(1);
    router.put("a", "one").send().await.must_be(201);

    cluster.node(3).kill();
    std::fs::remove_dir_all(cluster.data_dir(3)).unwrap();
    cluster.node(3).start();
    complaint(cluster.node(3), "its disk was lost or swapped").await;
    refused(&router, "n3", &["its disk was lost or swapped"]).await;

    // The others go on without it; with one of them gone too there is no majority, whatever n3 would say.
    assert_eq!(router.put("a", "two").send().await.must_be(204).status, 204);
    cluster.node(1).kill();
    router.read("a").query("timeout", "1s").send().await.must_be(503);
    cluster.node(1).start();
    // The router refuses at once until its own probe has found n1 again.
    cluster.router_process(1).ready().await;
    assert_eq!(router.read("a").send().await.must_be(200).text(), "two");
    assert_eq!(node_state(&router, "n3").await["health"], "refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn node_of_another_cluster_is_refused_by_name() {
    let mut ours = Cluster::start().await;
    let mut theirs = Cluster::start().await;
    ours.router(1).put("a", "ours").send().await.must_be(201);
    theirs.router(1).put("a", "theirs").send().await.must_be(201);

    // Their n3 comes up where ours was.
    ours.node(3).kill();
    theirs.node(3).kill();
    let address = ours.node_addresses()[2].clone();
    listen_at(theirs.node(3), &address);
    let stranger = theirs.router(1).get("/v1/cluster").send().await.must_be(200).json();
    refused(&ours.router(1), "n3", &["another cluster", stranger["cluster_id"].as_str().unwrap()]).await;

    // It is not counted for ours, and its data is never taken for ours.
    assert_eq!(ours.router(1).read("a").send().await.must_be(200).text(), "ours");
    ours.node(1).kill();
    ours.router(1).read("a").query("timeout", "1s").send().await.must_be(503);
}

#[tokio::test(flavor = "multi_thread")]
async fn node_that_answers_at_anothers_address_is_refused_by_name() {
    let mut cluster = Cluster::start().await;
    let router = cluster.router(1);
    router.put("a", "one").send().await.must_be(201);

    // The two come back on each other's ports.
    let addresses = cluster.node_addresses();
    for number in [2, 3] {
        cluster.node(number).kill();
    }
    listen_at(cluster.node(2), &addresses[2]);
    listen_at(cluster.node(3), &addresses[1]);
    for (id, other) in [("n2", "n3"), ("n3", "n2")] {
        refused(&router, id, &[id, other]).await;
    }
    router.read("a").query("timeout", "1s").send().await.must_be(503);
}

#[tokio::test(flavor = "multi_thread")]
async fn node_started_under_anothers_id_is_refused() {
    let mut cluster = Cluster::start().await;
    cluster.router(1).put("a", "one").send().await.must_be(201);
    // n3's process with n2's data folder.
    let other = cluster.data_dir(2).display().to_string();
    cluster.node(2).kill();
    cluster.node(3).kill();
    let own = cluster.data_dir(3).display().to_string();
    let node = cluster.node(3);
    let arguments = node.arguments().iter().map(|argument| argument.replace(&own, &other)).collect();
    node.set_arguments(arguments);
    node.start();
    let said = complaint(cluster.node(3), "n2").await;
    assert!(said.contains("n3"), "{said}");
    cluster.router(1).read("a").query("timeout", "1s").send().await.must_be(503);
}

#[tokio::test(flavor = "multi_thread")]
async fn cluster_file_changed_without_a_higher_version_is_refused() {
    let mut cluster = Cluster::start().await;
    let text = std::fs::read_to_string(cluster.cluster_file()).unwrap();
    std::fs::write(cluster.cluster_file(), text.replace("partitions = 64", "partitions = 128")).unwrap();
    cluster.node(3).kill();
    cluster.node(3).start();
    let said = complaint(cluster.node(3), "version").await;
    assert!(
        said.contains("partitions") || said.contains("higher version") || said.contains("content"),
        "{said}"
    );
    cluster.router(1).put("a", "the others go on").send().await.must_be(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn first_configuration_with_two_different_files_is_never_chosen() {
    let mut cluster = Cluster::prepare(&Layout::default());
    let text = std::fs::read_to_string(cluster.cluster_file()).unwrap();
    cluster.node(1).start();
    cluster.node(2).start();
    let http = cluster.node(1).http();
    eventually("n1 listens", async || http.get("/livez").try_send().await.ok()).await;
    std::fs::write(cluster.cluster_file(), text.replace("partitions = 64", "partitions = 128")).unwrap();
    cluster.node(3).start();
    cluster.router_process(1).start();
    complaint(cluster.node(3), "another content").await;
    complaint(cluster.node(1), "another content").await;
}
