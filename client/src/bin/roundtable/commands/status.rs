//! `roundtable status`.

use std::collections::BTreeMap;

use clap::Args;
use roundtable_client::{ClusterView, Error, Readiness};
use serde::Serialize;

use crate::connect::Connect;
use crate::failure::Failure;
use crate::output;

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// Print one JSON object
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    connect: Connect,
}

/// What one router says.
#[derive(Debug, Serialize)]
struct RouterStatus {
    address: String,
    ready: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    reason: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    unusable_nodes: BTreeMap<String, String>,
}

#[derive(Debug, Serialize)]
struct Status {
    routers: Vec<RouterStatus>,
    cluster: Option<ClusterView>,
}

pub(crate) async fn run(args: StatusArgs) -> Result<(), Failure> {
    let mut routers = Vec::new();
    let mut cluster = None;
    for address in args.connect.routers.addresses()? {
        let client = args.connect.client_of(address)?;
        let readiness = client.readiness().await;
        let reached = readiness.is_ok();
        routers.push(router_status(address, readiness));
        if reached && cluster.is_none() {
            cluster = client.cluster().await.ok();
        }
    }
    let status = Status { routers, cluster };
    if args.json {
        output::print_json(&status)?;
    } else {
        output::print(render(&status).as_bytes())?;
    }
    match status.routers.iter().find(|router| !router.ready) {
        Some(router) => Err(Failure::NotReady(format!("{} is not ready", router.address))),
        None => Ok(()),
    }
}

fn router_status(address: &str, readiness: Result<Readiness, Error>) -> RouterStatus {
    let address = address.to_owned();
    match readiness {
        Ok(Readiness { ready, reason, nodes }) => {
            RouterStatus { address, ready, reason, unusable_nodes: nodes }
        }
        Err(error) => {
            RouterStatus { address, ready: false, reason: error.to_string(), unusable_nodes: BTreeMap::new() }
        }
    }
}

fn render(status: &Status) -> String {
    let mut rows = vec![vec!["ROUTER".to_owned(), "STATE".to_owned(), "DETAIL".to_owned()]];
    for router in &status.routers {
        let state = if router.ready { "ready" } else { "not ready" };
        rows.push(vec![router.address.clone(), state.to_owned(), router.reason.clone()]);
    }
    let mut text = output::table(&rows);
    let Some(cluster) = &status.cluster else { return text };
    let known = |number: Option<u64>| number.map_or_else(|| "?".to_owned(), |number| number.to_string());
    text.push_str(&format!(
        "\ncluster {}, epoch {}, {} partitions, {} replicas of each key\n\n",
        cluster.cluster_id.as_deref().unwrap_or("not yet formed"),
        known(cluster.epoch),
        known(cluster.partition_count),
        known(cluster.replication_factor),
    ));
    text.push_str(&output::table(&node_rows(cluster)));
    text
}

fn node_rows(cluster: &ClusterView) -> Vec<Vec<String>> {
    let header = ["NODE", "ADDRESS", "HEALTH", "PARTITIONS", "CLOCK", "DETAIL"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    for node in &cluster.nodes {
        let partitions =
            cluster.partitions.iter().filter(|partition| partition.replicas.contains(&node.id)).count();
        rows.push(vec![
            node.id.clone(),
            node.address.clone(),
            node.health.clone(),
            partitions.to_string(),
            node.clock_offset_ms.map_or_else(String::new, |offset| format!("{offset:+} ms")),
            node.detail.clone().unwrap_or_default(),
        ]);
    }
    rows
}
