//! The simulated cluster: its file, and what an adopted configuration says of it.

use std::sync::Arc;

use roundtable_common::placement::{Placement, partition_of};
use roundtable_common::wire::Target;
use roundtable_consensus::{
    Adopted, Configuration, Epoch, Key, Member, NodeId, NodeIndex, PartitionId, ReplicaSet,
};

/// A few, so that listings have something to merge.
const PARTITIONS: u32 = 4;

/// The file with which every node and router starts.
pub(crate) fn file(nodes: usize, replication_factor: u8) -> Configuration {
    let member = |number: usize| Member {
        id: name(number),
        address: format!("n{number}.example:7410"),
        zone: None,
        weight: 1,
    };
    let nodes = (0..nodes).map(member).collect();
    Configuration { epoch: Epoch(1), replication_factor, partitions: PARTITIONS, nodes }
}

/// The name of the node at a place: names ascend as places do.
fn name(place: usize) -> NodeId {
    let Ok(name) = format!("n{place}").parse() else { unreachable!("a letter and a number are a name") };
    name
}

/// The place of a node in the file.
pub(crate) fn place_of(file: &Configuration, node: &NodeId) -> usize {
    file.ids().position(|id| id == node).unwrap_or(usize::MAX)
}

/// Where every key lies.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    partitions: u32,
    replicas: Vec<Arc<ReplicaSet>>,
}

impl Layout {
    pub(crate) fn new(configuration: &Configuration) -> Self {
        let placement = Placement::new(configuration);
        let set = |partition: u16| {
            let index =
                |node: &NodeId| NodeIndex(u16::try_from(place_of(configuration, node)).unwrap_or(u16::MAX));
            let nodes = placement.replicas(PartitionId(partition)).iter().map(index).collect();
            Arc::new(ReplicaSet::single(nodes))
        };
        let count = u16::try_from(configuration.partitions).unwrap_or(u16::MAX);
        Self { partitions: configuration.partitions, replicas: (0..count).map(set).collect() }
    }

    /// A key's partition and its replicas.
    pub(crate) fn place(&self, key: &Key) -> (PartitionId, Arc<ReplicaSet>) {
        let partition = partition_of(key, self.partitions);
        let Some(replicas) = self.replicas.get(usize::from(partition.0)) else {
            unreachable!("{partition} lies beyond the last one")
        };
        (partition, Arc::clone(replicas))
    }

    /// All partitions with their replicas, ascending.
    pub(crate) fn partitions(&self) -> Vec<(PartitionId, Arc<ReplicaSet>)> {
        (0..).map(PartitionId).zip(self.replicas.iter().cloned()).collect()
    }
}

/// Whom a router's messages name, for each node in the order of the configuration.
pub(crate) fn targets(adopted: &Adopted) -> Vec<Target> {
    let target = |(node, storage): (&NodeId, &_)| Target {
        cluster: adopted.cluster,
        node: node.clone(),
        storage: *storage,
        epoch: adopted.configuration.epoch,
    };
    adopted.storage.iter().map(target).collect()
}
