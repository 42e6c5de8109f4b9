//! What routers say of the cluster.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// The cluster as one router sees it. Members that this version does not know are left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterView {
    /// The hash of the first configuration.
    pub cluster_id: Option<String>,
    /// The version of the adopted configuration.
    pub epoch: Option<u64>,
    /// How many nodes hold each key.
    pub replication_factor: Option<u64>,
    /// How many slices the key space has.
    pub partition_count: Option<u64>,
    /// The nodes, in the order of their names.
    #[serde(default)]
    pub nodes: Vec<NodeView>,
    /// The partitions, in the order of their numbers.
    #[serde(default)]
    pub partitions: Vec<PartitionView>,
}

/// A storage node as one router sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeView {
    /// Its name in `cluster.toml`.
    pub id: String,
    /// Where it listens.
    pub address: String,
    /// Its zone, if it has one.
    #[serde(default)]
    pub zone: Option<String>,
    /// Its share of the ring against the others.
    #[serde(default)]
    pub weight: Option<u64>,
    /// Its data directory's name.
    #[serde(default)]
    pub storage_id: Option<String>,
    /// `up`, `down` or `refused`.
    pub health: String,
    /// Why it is not up, or what it refuses.
    #[serde(default)]
    pub detail: Option<String>,
    /// What its disk lacks, if it refuses writes that make the data larger.
    #[serde(default)]
    pub disk_shortage: Option<DiskShortage>,
    /// How far its clock is ahead of the router's.
    #[serde(default)]
    pub clock_offset_ms: Option<i64>,
}

/// One partition and its nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionView {
    /// Its number.
    pub id: u64,
    /// The names of the nodes that hold it.
    pub replicas: Vec<String>,
}

/// Where a key lies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyPlace {
    /// The key, if it is text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The key in base64, if it is not text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_b64: Option<String>,
    /// Its partition.
    pub partition: u64,
    /// What each replica holds.
    pub replicas: Vec<ReplicaView>,
}

/// What one replica holds of a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplicaView {
    /// The node's name.
    pub node: String,
    /// `live`, `tombstone`, `absent` or `unreachable`.
    pub state: String,
    /// The accepted ballot.
    #[serde(default)]
    pub ballot: Option<String>,
    /// The version.
    #[serde(default)]
    pub etag: Option<String>,
    /// When the key expires, in Unix milliseconds.
    #[serde(default)]
    pub expires: Option<u64>,
    /// The value's length in bytes.
    #[serde(default)]
    pub size: Option<u64>,
    /// Why nothing is known.
    #[serde(default)]
    pub error: Option<String>,
}

/// A disk below its reserve.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskShortage {
    /// What is free.
    pub free_bytes: u64,
    /// What should be.
    pub reserve_bytes: u64,
    /// The node's data directory.
    pub directory: String,
}

/// Whether a router can serve every key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Readiness {
    /// A majority of every partition can be reached.
    pub ready: bool,
    /// Why it is not ready, or what is refused everywhere; empty if there is nothing to say.
    pub reason: String,
    /// The nodes that the router cannot use, and why.
    pub nodes: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct RawReadiness {
    #[serde(default)]
    reason: String,
    #[serde(default)]
    nodes: BTreeMap<String, String>,
}

impl Readiness {
    /// Reads an answer; of a body in another form the text is the reason.
    pub(crate) fn from_answer(ready: bool, body: &[u8]) -> Self {
        match serde_json::from_slice(body) {
            Ok(RawReadiness { reason, nodes }) => Self { ready, reason, nodes },
            Err(_) if ready => Self { ready, reason: String::new(), nodes: BTreeMap::new() },
            Err(_) => {
                let reason = String::from_utf8_lossy(body).trim().to_owned();
                Self { ready, reason, nodes: BTreeMap::new() }
            }
        }
    }
}

impl fmt::Display for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.ready { "ready" } else { "not ready" })?;
        let nodes = self.nodes.iter().map(|(node, why)| format!("{node} ({why})"));
        let parts: Vec<String> =
            std::iter::once(self.reason.clone()).filter(|reason| !reason.is_empty()).chain(nodes).collect();
        if parts.is_empty() { Ok(()) } else { write!(f, ": {}", parts.join(", ")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readiness_names_reason_and_nodes() {
        let body = br#"{"ready":false,"reason":"no majority","nodes":{"n2":"refused"},"partitions":[1]}"#;
        assert_eq!(Readiness::from_answer(false, body).to_string(), "not ready: no majority, n2 (refused)");
        assert_eq!(Readiness::from_answer(false, b"bad gateway\n").to_string(), "not ready: bad gateway");
        assert_eq!(Readiness::from_answer(true, b"ok").to_string(), "ready");
    }
}
