//! For operators: the topology, and where one key lies.

use std::time::Duration;

use hyper::StatusCode;
use roundtable_common::wire::{BATCH_PATH, decode_replies, encode_requests};
use roundtable_consensus::{
    Content, DiskShortage, Key, PartitionId, Register, ReplyBody, Request, RequestBody, Standing,
};
use serde::Serialize;
use tokio::task::JoinSet;

use crate::app::App;
use crate::handlers::Reply;
use crate::http::reply::json_reply;
use crate::http::{Code, Problem};
use crate::links::Link;
use crate::listing::text_or_b64;
use crate::topology::Cluster;

#[derive(Serialize)]
struct ClusterView {
    cluster_id: String,
    epoch: u64,
    replication_factor: u8,
    partition_count: u32,
    nodes: Vec<NodeView>,
    partitions: Vec<PartitionView>,
    /// Partitions on their way to other nodes.
    moves: Vec<PartitionView>,
}

#[derive(Serialize)]
struct NodeView {
    id: String,
    address: String,
    zone: Option<String>,
    weight: u32,
    storage_id: Option<String>,
    /// `up`, `down`, `refused`.
    health: &'static str,
    detail: String,
    /// What its disk lacks, if it refuses writes that grow.
    disk_shortage: Option<ShortageView>,
    clock_offset_ms: i64,
    /// Entries of peers' logs that the node has not passed; not known while nodes don't follow each other.
    catch_up_lag: Option<u64>,
}

#[derive(Serialize)]
struct ShortageView {
    free_bytes: u64,
    reserve_bytes: u64,
    directory: String,
}

impl From<DiskShortage> for ShortageView {
    fn from(shortage: DiskShortage) -> Self {
        let DiskShortage { free_bytes, reserve_bytes, directory } = shortage;
        Self { free_bytes, reserve_bytes, directory }
    }
}

#[derive(Serialize)]
struct PartitionView {
    id: u16,
    replicas: Vec<String>,
}

#[derive(Serialize)]
struct WhereView {
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_b64: Option<String>,
    partition: u16,
    replicas: Vec<ReplicaView>,
}

#[derive(Serialize, Default)]
struct ReplicaView {
    node: String,
    /// `live`, `tombstone`, `absent`, `unreachable`.
    state: &'static str,
    ballot: Option<String>,
    etag: Option<String>,
    expires: Option<u64>,
    size: Option<u64>,
    error: Option<String>,
}

/// The topology as this router follows it, with each node's health as it sees it.
pub(super) fn cluster(cluster: &Cluster) -> Result<Reply, Problem> {
    let adopted = cluster.adopted();
    let configuration = &adopted.configuration;
    let node_view = |link: &Link| {
        let member = configuration.member(&link.target.node)?;
        let status = link.status();
        Some(NodeView {
            id: member.id.to_string(),
            address: member.address.clone(),
            zone: member.zone.clone(),
            weight: member.weight,
            storage_id: adopted.storage.get(&member.id).map(ToString::to_string),
            health: match status.standing {
                Standing::Up => "up",
                Standing::Refused => "refused",
                Standing::Unknown | Standing::Suspect | Standing::Down => "down",
            },
            detail: match &status.shortage {
                Some(shortage) if status.detail.is_empty() => shortage.to_string(),
                Some(_) | None => status.detail,
            },
            disk_shortage: status.shortage.map(ShortageView::from),
            clock_offset_ms: status.clock_offset_ms,
            catch_up_lag: None,
        })
    };
    let name = |node| cluster.node_id(node).map(ToString::to_string);
    let view = ClusterView {
        cluster_id: adopted.cluster.to_string(),
        epoch: configuration.epoch.0,
        replication_factor: configuration.replication_factor,
        partition_count: configuration.partitions,
        nodes: cluster.engine().links().iter().filter_map(|link| node_view(link)).collect(),
        partitions: cluster
            .partitions()
            .map(|(partition, replicas)| PartitionView {
                id: partition.0,
                replicas: replicas.members().iter().filter_map(|node| name(*node)).collect(),
            })
            .collect(),
        moves: Vec::new(),
    };
    Ok(Reply::Whole(json_reply(StatusCode::OK, &view)))
}

/// What each replica of a key holds, each asked by itself.
pub(super) async fn where_is(app: &App, cluster: &Cluster, key: Key) -> Result<Reply, Problem> {
    let (partition, replicas) = cluster
        .place(&key)
        .ok_or_else(|| Problem::new(Code::NoQuorum, format!("there is no partition for the key {key}")))?;
    let limit = app.limits().request_timeout;
    let mut asks = JoinSet::new();
    for (place, node) in replicas.members().iter().enumerate() {
        if let Some(link) = cluster.engine().link(*node) {
            let (link, key) = (std::sync::Arc::clone(link), key.clone());
            asks.spawn(async move { (place, ask_replica(&link, partition, key, limit).await) });
        }
    }
    let mut views: Vec<(usize, ReplicaView)> = asks.join_all().await;
    views.sort_by_key(|(place, _)| *place);
    let (key, key_b64) = text_or_b64(key.as_bytes());
    let replicas = views.into_iter().map(|(_, view)| view).collect();
    let view = WhereView { key, key_b64, partition: partition.0, replicas };
    Ok(Reply::Whole(json_reply(StatusCode::OK, &view)))
}

async fn ask_replica(link: &Link, partition: PartitionId, key: Key, limit: Duration) -> ReplicaView {
    let node = link.target.node.to_string();
    let limit = limit.min(link.config.batch_timeout);
    let request =
        Request { id: 0, partition, done: true, key, body: RequestBody::Read { want_value: false } };
    let body = encode_requests(&link.target, std::slice::from_ref(&request));
    let answer = link.client.ask(BATCH_PATH, Some(body), limit).await;
    let outcome = answer.and_then(|body| Ok(decode_replies(body)?)).map_err(|error| error.to_string());
    let replies = outcome.and_then(|batch| batch.outcome.map_err(|refused| refused.to_string()));
    let reply = replies.map(|replies| replies.into_iter().next().map(|reply| reply.body));
    match reply {
        Ok(Some(ReplyBody::State(register))) => of_register(node, &register),
        Ok(Some(ReplyBody::Rejected(rejection))) => {
            unreachable_replica(node, format!("rejected: {rejection:?}"))
        }
        Ok(_) => unreachable_replica(node, "it answered something else".to_owned()),
        Err(error) => unreachable_replica(node, error),
    }
}

fn of_register(node: String, register: &Register) -> ReplicaView {
    let size = match &register.content {
        Content::Live(value) => Some(value.bytes.len() as u64),
        Content::Withheld { value_bytes } => Some(u64::from(*value_bytes)),
        Content::Tombstone => None,
    };
    let state = if register.is_absent() {
        "absent"
    } else if register.content.is_live() {
        "live"
    } else {
        "tombstone"
    };
    ReplicaView {
        node,
        state,
        ballot: (!register.is_absent()).then(|| register.accepted.to_string()),
        etag: register.etag().map(|version| version.to_string()),
        expires: register.expires_at,
        size,
        error: None,
    }
}

fn unreachable_replica(node: String, error: String) -> ReplicaView {
    ReplicaView { node, state: "unreachable", error: Some(error), ..ReplicaView::default() }
}
