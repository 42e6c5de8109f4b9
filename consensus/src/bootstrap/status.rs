//! How far a node is on its way into a cluster, and what stands in the way, in words for an operator.

use std::fmt;
use std::sync::Arc;

use crate::configuration::Adopted;
use crate::ids::{ClusterId, Epoch, NodeId, StorageId};

/// How far a node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// It learns the storage ids of the nodes that its `cluster.toml` names. Nothing is durable yet.
    Gathering {
        /// The nodes that stand in the way, and how.
        obstacles: Vec<(NodeId, Obstacle)>,
    },
    /// It knows all of them and writes what it binds itself to.
    Binding {
        /// The name that the cluster will have.
        cluster: ClusterId,
    },
    /// It is bound for good, and waits until all others are.
    Bound {
        /// The name that the cluster will have.
        cluster: ClusterId,
        /// The nodes that are not known to be bound to the same, and why.
        obstacles: Vec<(NodeId, Obstacle)>,
        /// In what its `cluster.toml` differs from what it is bound to, if it does.
        file_difference: Option<String>,
    },
    /// The first configuration is chosen; it writes that down.
    Adopting {
        /// The cluster's name.
        cluster: ClusterId,
    },
    /// It is a member and votes.
    Adopted(Arc<Adopted>),
    /// It must not vote, now or later, as things are.
    Refused(Refusal),
}

/// Why one node keeps another from going on.
#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Obstacle {
    /// It was asked and has not answered yet.
    #[error("no answer yet")]
    Silent,
    /// It could not be reached.
    #[error("not reachable: {detail}")]
    Unreachable {
        /// What the connection said.
        detail: String,
    },
    /// Another node answers at its address.
    #[error("node {found} answers at its address")]
    WrongNode {
        /// Who answers.
        found: NodeId,
    },
    /// Its data directory is a copy of another node's.
    #[error("its data directory {storage} is also that of {other}: one is a copy of the other")]
    CopiedDirectory {
        /// The storage id that both have.
        storage: StorageId,
        /// The other node.
        other: NodeId,
    },
    /// Its `cluster.toml` is another one.
    #[error("its cluster.toml (version {}) has another content: all nodes must be started with the same file", epoch.0)]
    AnotherFile {
        /// The version of its file.
        epoch: Epoch,
    },
    /// It is bound to another first configuration.
    #[error("it is bound to another first configuration ({cluster}); {START_AFRESH}")]
    BoundElsewhere {
        /// The name that the other cluster would have.
        cluster: ClusterId,
    },
    /// It is bound to nothing yet.
    #[error("not bound yet")]
    NotBound,
    /// It has another data directory than the one that this node is bound to.
    #[error("its data directory is {found}, not {expected} as when this node was bound; {START_AFRESH}")]
    OtherDirectory {
        /// The one it had.
        expected: StorageId,
        /// The one it has.
        found: StorageId,
    },
    /// It belongs to another cluster than the one that this node is bound to.
    #[error("it belongs to another cluster ({cluster})")]
    OtherCluster {
        /// The cluster it belongs to.
        cluster: ClusterId,
    },
    /// It belongs to a cluster that doesn't know this node.
    #[error("it belongs to cluster {cluster}, whose configuration (version {}) does not name this node", epoch.0)]
    AdoptedWithoutMe {
        /// The cluster it belongs to.
        cluster: ClusterId,
        /// The version of its configuration.
        epoch: Epoch,
    },
}

const START_AFRESH: &str = "if the cluster never came up, bring back the directories it began with, or empty those \
                            of all nodes and start again";

/// Why a node must not vote.
#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// Its id is in the configuration with another data directory.
    #[error(
        "cluster {cluster} knows node {node} with data directory {recorded}, but this directory is {found}: its disk \
         was lost or swapped, and a node that has forgotten what it promised must not vote; bring the old directory \
         back, or give the node a new id"
    )]
    DiskReplaced {
        /// This node.
        node: NodeId,
        /// The cluster.
        cluster: ClusterId,
        /// The directory that the configuration names.
        recorded: StorageId,
        /// The directory that the node has.
        found: StorageId,
    },
    /// The directory is another node's.
    #[error("this data directory belongs to node {owner} of cluster {cluster}, not to {node}")]
    DirectoryOfAnother {
        /// This node.
        node: NodeId,
        /// Whose it is.
        owner: NodeId,
        /// The owner's cluster.
        cluster: ClusterId,
    },
    /// The others say that this directory was bound to their cluster, but it holds no record of it.
    #[error(
        "the nodes of cluster {cluster} were joined by this data directory ({storage}), but it holds no record of \
         that: it was set back to an older state, and a node that has forgotten what it promised must not vote; give \
         the node a new id and an empty directory"
    )]
    SetBack {
        /// The cluster.
        cluster: ClusterId,
        /// This directory.
        storage: StorageId,
    },
    /// The `cluster.toml` of a node that belongs to no cluster yet doesn't name it.
    #[error("cluster.toml does not name node {node}")]
    NotInFile {
        /// This node.
        node: NodeId,
    },
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gathering { obstacles } => {
                f.write_str("waiting to learn the data directories of all nodes")?;
                list(f, obstacles)
            }
            Self::Binding { cluster } => write!(f, "binding to the first configuration of cluster {cluster}"),
            Self::Bound { cluster, obstacles, file_difference } => {
                write!(f, "bound to cluster {cluster}, waiting until all nodes are")?;
                list(f, obstacles)?;
                match file_difference {
                    Some(difference) => write!(f, "; cluster.toml was changed since: {difference}"),
                    None => Ok(()),
                }
            }
            Self::Adopting { cluster } => write!(f, "joining cluster {cluster}"),
            Self::Adopted(adopted) => {
                write!(
                    f,
                    "member of cluster {} at version {}",
                    adopted.cluster, adopted.configuration.epoch.0
                )
            }
            Self::Refused(refusal) => refusal.fmt(f),
        }
    }
}

fn list(f: &mut fmt::Formatter<'_>, obstacles: &[(NodeId, Obstacle)]) -> fmt::Result {
    obstacles.iter().try_for_each(|(node, obstacle)| write!(f, "; {node}: {obstacle}"))
}
