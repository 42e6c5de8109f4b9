//! What a node that has adopted a configuration checks requests against.

use std::sync::Arc;

use roundtable_common::placement::{Placement, partition_of};
use roundtable_common::wire::Target;
use roundtable_consensus::{Adopted, Key, NodeId, PartitionId};

/// One adopted configuration as this node sees it.
#[derive(Debug)]
pub struct View {
    target: Target,
    partitions: u32,
    /// For each partition, whether this node is in its replica set.
    mine: Vec<bool>,
}

impl View {
    /// The view of node `me`.
    ///
    /// # Panics
    /// When the configuration doesn't have the node: nobody adopts such a configuration.
    #[must_use]
    pub fn new(me: &NodeId, adopted: &Arc<Adopted>) -> Self {
        let Some(&storage) = adopted.storage.get(me) else {
            unreachable!("{me} adopted a configuration without {me}")
        };
        let configuration = &adopted.configuration;
        let placement = Placement::new(configuration);
        let mine = (0..configuration.partitions)
            .map(|partition| {
                u16::try_from(partition).is_ok_and(|id| placement.replicas(PartitionId(id)).contains(me))
            })
            .collect();
        let target =
            Target { cluster: adopted.cluster, node: me.clone(), storage, epoch: configuration.epoch };
        Self { target, partitions: configuration.partitions, mine }
    }

    /// Who this node is in the configuration.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The partition that a key belongs to.
    #[must_use]
    pub fn partition_of(&self, key: &Key) -> PartitionId {
        partition_of(key, self.partitions)
    }

    /// Whether this node is in the partition's replica set.
    #[must_use]
    pub fn holds(&self, partition: PartitionId) -> bool {
        self.mine.get(usize::from(partition.0)).copied().unwrap_or(false)
    }

    /// How many partitions this node holds.
    #[must_use]
    pub fn held(&self) -> usize {
        self.mine.iter().filter(|mine| **mine).count()
    }
}
