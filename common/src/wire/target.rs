//! Whom a body is meant for, and why it was refused.

use roundtable_consensus::{ClusterId, Epoch, NodeId, StorageId};

use super::error::WireError;
use super::reader::Reader;
use super::writer::Writer;

/// One node in one configuration of one cluster: whom a request means, or who answers it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Target {
    /// The cluster.
    pub cluster: ClusterId,
    /// The node's name.
    pub node: NodeId,
    /// The node's data directory.
    pub storage: StorageId,
    /// The configuration.
    pub epoch: Epoch,
}

impl Target {
    /// Bytes that a target takes at most.
    pub(super) const BYTES_MAX: usize = 16 + 16 + 8 + 1 + NodeId::BYTES_MAX;

    /// A node that has adopted no configuration yet: cluster and epoch are zero, which no real ones are.
    #[must_use]
    pub fn unbound(node: NodeId, storage: StorageId) -> Self {
        Self { cluster: ClusterId(0), node, storage, epoch: Epoch(0) }
    }

    /// Compares whom a body names (`self`) with who really is here (`mine`).
    ///
    /// # Errors
    /// The first difference, most telling first: cluster, node, storage, epoch.
    pub fn check(&self, mine: &Self) -> Result<(), Refused> {
        if self.cluster != mine.cluster {
            Err(Refused::WrongCluster { mine: mine.cluster })
        } else if self.node != mine.node {
            Err(Refused::WrongNode { mine: mine.node.clone() })
        } else if self.storage != mine.storage {
            Err(Refused::WrongStorage { mine: mine.storage })
        } else if self.epoch != mine.epoch {
            Err(Refused::WrongEpoch { mine: mine.epoch })
        } else {
            Ok(())
        }
    }

    pub(super) fn write(&self, writer: &mut Writer<'_>) {
        writer.u128(self.cluster.0);
        writer.u128(self.storage.0);
        writer.u64(self.epoch.0);
        writer.bytes8(self.node.as_str().as_bytes());
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        Ok(Self {
            cluster: ClusterId(reader.u128("cluster id")?),
            storage: StorageId(reader.u128("storage id")?),
            epoch: Epoch(reader.u64("epoch")?),
            node: read_node_id(reader, "node id")?,
        })
    }
}

/// Reads a node's name after its length in one byte.
pub(super) fn read_node_id(reader: &mut Reader<'_>, field: &'static str) -> Result<NodeId, WireError> {
    reader.text8(field)?.parse().map_err(|_| WireError::Text { field })
}

/// Why a node refused a whole batch or scan. It did nothing of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refused {
    /// The node belongs to another cluster.
    #[error("the node belongs to cluster {mine}")]
    WrongCluster {
        /// The node's cluster.
        mine: ClusterId,
    },
    /// Another node listens at this address.
    #[error("the node at this address is {mine}")]
    WrongNode {
        /// The node that answered.
        mine: NodeId,
    },
    /// The node has another data directory than the configuration says: its disk was lost or swapped.
    #[error(
        "the node's data directory is {mine}, not the one in the configuration: its disk was lost or swapped"
    )]
    WrongStorage {
        /// The storage id of the node's directory.
        mine: StorageId,
    },
    /// The node has adopted another configuration.
    #[error("the node has adopted configuration {mine}")]
    WrongEpoch {
        /// The node's configuration.
        mine: Epoch,
    },
    /// The node has adopted no configuration.
    #[error("the node has not adopted a configuration: {reason}")]
    NotAdopted {
        /// What it waits for.
        reason: String,
    },
    /// The node doesn't vote yet, or no longer.
    #[error("the node is not ready: {reason}")]
    NotReady {
        /// What it waits for.
        reason: String,
    },
    /// The node could not read the body.
    #[error("the node could not read the body: {detail}")]
    Malformed {
        /// What was wrong.
        detail: String,
    },
    /// The node's queues are full.
    #[error("the node's queues are full")]
    Overloaded,
}

impl Refused {
    /// The longest reason or detail in bytes; what is longer is cut.
    pub const TEXT_BYTES_MAX: usize = 1024;

    pub(super) fn write(&self, writer: &mut Writer<'_>) {
        match self {
            Self::WrongCluster { mine } => {
                writer.u8(1);
                writer.u128(mine.0);
            }
            Self::WrongNode { mine } => {
                writer.u8(2);
                writer.bytes8(mine.as_str().as_bytes());
            }
            Self::WrongStorage { mine } => {
                writer.u8(3);
                writer.u128(mine.0);
            }
            Self::WrongEpoch { mine } => {
                writer.u8(4);
                writer.u64(mine.0);
            }
            Self::NotAdopted { reason } => {
                writer.u8(5);
                write_text(writer, reason);
            }
            Self::NotReady { reason } => {
                writer.u8(6);
                write_text(writer, reason);
            }
            Self::Malformed { detail } => {
                writer.u8(7);
                write_text(writer, detail);
            }
            Self::Overloaded => writer.u8(8),
        }
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        match reader.u8("refusal")? {
            1 => Ok(Self::WrongCluster { mine: ClusterId(reader.u128("refusing cluster")?) }),
            2 => Ok(Self::WrongNode { mine: read_node_id(reader, "refusing node")? }),
            3 => Ok(Self::WrongStorage { mine: StorageId(reader.u128("refusing storage")?) }),
            4 => Ok(Self::WrongEpoch { mine: Epoch(reader.u64("refusing epoch")?) }),
            5 => Ok(Self::NotAdopted { reason: reader.text16("reason")?.to_owned() }),
            6 => Ok(Self::NotReady { reason: reader.text16("reason")?.to_owned() }),
            7 => Ok(Self::Malformed { detail: reader.text16("detail")?.to_owned() }),
            8 => Ok(Self::Overloaded),
            found => Err(WireError::Field { field: "refusal", found: found.into(), accepted: "1 to 8" }),
        }
    }
}

/// A text after its length in two bytes, cut between two characters if it is too long.
pub(super) fn write_text(writer: &mut Writer<'_>, text: &str) {
    let ends = text.char_indices().map(|(start, char)| start + char.len_utf8());
    let cut = ends.take_while(|end| *end <= Refused::TEXT_BYTES_MAX).last().unwrap_or(0);
    writer.bytes16(text.as_bytes().get(..cut).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(cluster: u128, node: &str, storage: u128, epoch: u64) -> Target {
        Target {
            cluster: ClusterId(cluster),
            node: node.parse().unwrap(),
            storage: StorageId(storage),
            epoch: Epoch(epoch),
        }
    }

    #[test]
    fn target_check_names_the_most_telling_difference() {
        let mine = target(1, "n1", 1, 1);
        assert_eq!(mine.check(&mine), Ok(()));
        assert_eq!(target(2, "n2", 2, 2).check(&mine), Err(Refused::WrongCluster { mine: ClusterId(1) }));
        assert_eq!(
            target(1, "n2", 2, 2).check(&mine),
            Err(Refused::WrongNode { mine: "n1".parse().unwrap() })
        );
        assert_eq!(target(1, "n1", 2, 2).check(&mine), Err(Refused::WrongStorage { mine: StorageId(1) }));
        assert_eq!(target(1, "n1", 1, 2).check(&mine), Err(Refused::WrongEpoch { mine: Epoch(1) }));
    }

    #[test]
    fn long_reasons_are_cut_between_characters() {
        let mut out = Vec::new();
        write_text(&mut Writer::new(&mut out), &"é".repeat(2000));
        assert_eq!(out.len(), 2 + Refused::TEXT_BYTES_MAX);
        assert!(std::str::from_utf8(&out[2..]).is_ok());
    }
}
