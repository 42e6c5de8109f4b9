//! For load balancers and orchestrators: is it alive, can it serve?

use std::collections::BTreeMap;

use hyper::StatusCode;
use roundtable_common::serve::Stage;
use roundtable_consensus::NodeIndex;
use serde::Serialize;

use crate::app::App;
use crate::handlers::Reply;
use crate::http::reply::json_reply;
use crate::links::NodeStatus;
use crate::topology::{Cluster, Phase};

/// Partitions that a body lists at most; a whole cluster may be out of reach.
const PARTITIONS_LISTED_MAX: usize = 1_000;

#[derive(Serialize)]
struct Alive {
    alive: bool,
}

#[derive(Serialize)]
struct Readiness {
    ready: bool,
    /// A word for machines: `ready`, `no_quorum`, `seeking_cluster`, `shutting_down`.
    state: &'static str,
    reason: String,
    /// Nodes that requests pass over, and why.
    nodes: BTreeMap<String, String>,
    /// Partitions without a majority that can be reached.
    partitions: Vec<u16>,
    partitions_unavailable: usize,
    /// Nodes that refuse writes that make the data larger, and why: their disks are below their reserves. They serve
    /// all else, and so does this router.
    nodes_refusing_growth: BTreeMap<String, String>,
    /// Partitions of which no majority takes such writes.
    partitions_refusing_growth: usize,
}

/// The process runs.
pub(super) fn livez() -> Reply {
    Reply::Whole(json_reply(StatusCode::OK, &Alive { alive: true }))
}

/// A majority of every partition can be reached; else which can't, and why.
pub(super) fn readyz(app: &App) -> Reply {
    let readiness = readiness(app);
    let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    Reply::Whole(json_reply(status, &readiness))
}

fn readiness(app: &App) -> Readiness {
    let mut readiness = match app.phase() {
        Phase::Seeking { reason, nodes } => Readiness {
            ready: false,
            state: "seeking_cluster",
            reason,
            nodes: nodes.into_iter().map(|(node, detail)| (node.to_string(), detail)).collect(),
            partitions: Vec::new(),
            partitions_unavailable: 0,
            nodes_refusing_growth: BTreeMap::new(),
            partitions_refusing_growth: 0,
        },
        Phase::Serving(cluster) => of_cluster(&cluster),
    };
    if app.stop().stage() != Stage::Running {
        readiness.ready = false;
        readiness.state = "shutting_down";
        readiness.reason = "the router is stopping".to_owned();
    }
    readiness
}

/// A node whose answers are late is passed over by requests, but it is there: a router is ready with it.
fn of_cluster(cluster: &Cluster) -> Readiness {
    let status: Vec<NodeStatus> = cluster.engine().links().iter().map(|link| link.status()).collect();
    let is_reachable = |node: NodeIndex| {
        status.get(usize::from(node.0)).is_some_and(|status| status.standing.is_reachable())
    };
    let lost: Vec<u16> = cluster
        .partitions()
        .filter(|(_, replicas)| !replicas.is_quorum(is_reachable))
        .map(|(partition, _)| partition.0)
        .collect();
    let nodes = (cluster.engine().links().iter().zip(&status))
        .filter(|(_, status)| !status.standing.is_usable())
        .map(|(link, status)| (link.target.node.to_string(), status.detail.clone()))
        .collect();
    let shortages: BTreeMap<NodeIndex, String> = (cluster.engine().links().iter())
        .filter_map(|link| Some((link.node, link.status().shortage?.to_string())))
        .collect();
    let takes_growth = |node: NodeIndex| is_reachable(node) && !shortages.contains_key(&node);
    let partitions_refusing_growth = match shortages.is_empty() {
        true => 0,
        false => cluster.partitions().filter(|(_, replicas)| !replicas.is_quorum(takes_growth)).count(),
    };
    let ready = lost.is_empty();
    let count = lost.len();
    Readiness {
        ready,
        state: if ready { "ready" } else { "no_quorum" },
        reason: if !ready {
            format!("a majority of the replicas of {count} partitions cannot be reached")
        } else if partitions_refusing_growth > 0 {
            format!(
                "writes that make the data larger are refused in {partitions_refusing_growth} partitions: the disks \
                 of a majority of their replicas are below their reserves"
            )
        } else {
            String::new()
        },
        nodes,
        partitions: lost.into_iter().take(PARTITIONS_LISTED_MAX).collect(),
        partitions_unavailable: count,
        nodes_refusing_growth: (shortages.into_iter())
            .filter_map(|(node, shortage)| Some((cluster.node_id(node)?.to_string(), shortage)))
            .collect(),
        partitions_refusing_growth,
    }
}
