//! Whom a page of a listing asks for what.

use std::collections::BTreeMap;
use std::sync::Arc;

use roundtable_consensus::{NodeIndex, PartitionId, ReplicaSet};

/// What one node is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// The node.
    pub node: NodeIndex,
    /// Whether it sends the values' bytes: one replica of each partition does.
    pub want_values: bool,
    /// The partitions, ascending.
    pub partitions: Vec<PartitionId>,
}

/// A partition of which no majority can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a majority of the replicas of partition {0} cannot be reached")]
pub struct NoMajority(pub PartitionId);

/// Chooses a majority of each partition's replicas, usable nodes first, and never an excluded one.
///
/// # Errors
/// When a partition has no majority without the excluded nodes.
pub fn plan(
    partitions: &[(PartitionId, Arc<ReplicaSet>)],
    want_values: bool,
    is_usable: impl Fn(NodeIndex) -> bool,
    is_excluded: impl Fn(NodeIndex) -> bool,
) -> Result<Vec<Ask>, NoMajority> {
    let mut asks: BTreeMap<(NodeIndex, bool), Vec<PartitionId>> = BTreeMap::new();
    for (partition, replicas) in partitions {
        let preferred = |node| is_usable(node) && !is_excluded(node);
        let mut chosen = replicas.first_quorum(preferred);
        if chosen.iter().any(|node| is_excluded(*node)) {
            chosen = replicas.first_quorum(|node| !is_excluded(node));
        }
        if chosen.iter().any(|node| is_excluded(*node)) {
            return Err(NoMajority(*partition));
        }
        for (place, node) in chosen.into_iter().enumerate() {
            asks.entry((node, want_values && place == 0)).or_default().push(*partition);
        }
    }
    Ok(asks
        .into_iter()
        .map(|((node, want_values), partitions)| Ask { node, want_values, partitions })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const N: [NodeIndex; 3] = [NodeIndex(0), NodeIndex(1), NodeIndex(2)];

    fn partitions() -> Vec<(PartitionId, Arc<ReplicaSet>)> {
        let set = |order: [usize; 3]| Arc::new(ReplicaSet::single(order.map(|place| N[place]).to_vec()));
        vec![(PartitionId(0), set([0, 1, 2])), (PartitionId(1), set([2, 0, 1]))]
    }

    fn ask(node: usize, want_values: bool, partitions: &[u16]) -> Ask {
        Ask { node: N[node], want_values, partitions: partitions.iter().map(|p| PartitionId(*p)).collect() }
    }

    #[test]
    fn each_partition_asks_a_majority_and_one_for_values() {
        let asks = plan(&partitions(), true, |_| true, |_| false).unwrap();
        assert_eq!(asks, [ask(0, false, &[1]), ask(0, true, &[0]), ask(1, false, &[0]), ask(2, true, &[1])]);
        let asks = plan(&partitions(), false, |_| true, |_| false).unwrap();
        assert_eq!(asks, [ask(0, false, &[0, 1]), ask(1, false, &[0]), ask(2, false, &[1])]);
    }

    #[test]
    fn unusable_nodes_come_last_and_excluded_ones_never() {
        let asks = plan(&partitions(), false, |node| node != N[0], |_| false).unwrap();
        assert_eq!(asks, [ask(1, false, &[0, 1]), ask(2, false, &[0, 1])]);
        let asks = plan(&partitions(), false, |node| node != N[0], |node| node == N[1]).unwrap();
        assert_eq!(asks, [ask(0, false, &[0, 1]), ask(2, false, &[0, 1])]);
        let lost = plan(&partitions(), false, |_| true, |node| node != N[1]);
        assert_eq!(lost, Err(NoMajority(PartitionId(0))));
    }
}
