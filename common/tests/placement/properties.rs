//! What holds of every placement.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use roundtable_common::placement::{NODES_MAX, Placement, WEIGHT_SUM_MAX};
use roundtable_consensus::{Configuration, NodeId, PartitionId};

use crate::clusters::cluster;

fn replica_sets(configuration: &Configuration) -> Vec<Vec<NodeId>> {
    let placement = Placement::new(configuration);
    (0..=u16::MAX).take(placement.partitions() as usize).map(|p| placement.replicas(PartitionId(p))).collect()
}

/// How many of the replica sets each node is in.
fn loads(configuration: &Configuration) -> BTreeMap<NodeId, f64> {
    let mut loads = BTreeMap::new();
    for node in replica_sets(configuration).into_iter().flatten() {
        *loads.entry(node).or_insert(0.0) += 1.0;
    }
    loads
}

/// Small clusters in words, with up to four zones; `_` stands for no zone.
fn some_cluster() -> impl Strategy<Value = Configuration> {
    let nodes = prop::collection::vec((prop::sample::select(vec!["_", "a", "b", "c"]), 1u32..5), 1..9);
    (nodes, 1u8..8).prop_map(|(nodes, replication_factor)| {
        let word = |(n, (zone, weight)): (usize, (&str, u32))| match zone {
            "_" => format!("n{n}*{weight}"),
            zone => format!("n{n}@{zone}*{weight}"),
        };
        let count = u8::try_from(nodes.len()).unwrap();
        let words: Vec<String> = nodes.into_iter().enumerate().map(word).collect();
        let mut configuration = cluster(replication_factor.min(count), &words.join(" "));
        configuration.partitions = 32;
        configuration
    })
}

/// The zone of each node; a node without one is a zone of its own.
fn zone_of(configuration: &Configuration, node: &NodeId) -> String {
    let member = configuration.member(node).unwrap();
    member.zone.as_ref().map_or_else(|| format!("alone:{node}"), |zone| format!("zone:{zone}"))
}

proptest! {
    #[test]
    fn replica_sets_are_distinct_nodes_in_as_many_zones_as_there_are(configuration in some_cluster()) {
        let wanted = usize::from(configuration.replication_factor);
        let zones: BTreeSet<String> = configuration.ids().map(|id| zone_of(&configuration, id)).collect();
        for replicas in replica_sets(&configuration) {
            let nodes: BTreeSet<&NodeId> = replicas.iter().collect();
            prop_assert_eq!((replicas.len(), nodes.len()), (wanted, wanted));
            let used: BTreeSet<String> = replicas.iter().map(|id| zone_of(&configuration, id)).collect();
            prop_assert_eq!(used.len(), wanted.min(zones.len()));
        }
    }

    #[test]
    fn zones_in_a_replica_set_are_used_evenly(configuration in some_cluster()) {
        for replicas in replica_sets(&configuration) {
            let mut used = BTreeMap::<String, usize>::new();
            for id in &replicas {
                *used.entry(zone_of(&configuration, id)).or_default() += 1;
            }
            for id in configuration.ids().filter(|id| !replicas.contains(id)) {
                let spare = used.get(&zone_of(&configuration, id)).copied().unwrap_or(0);
                let most = used.values().copied().max().unwrap_or(0);
                prop_assert!(most <= spare + 1, "{:?} leaves {} out", replicas, id);
            }
        }
    }

    #[test]
    fn candidates_are_all_nodes_once(configuration in some_cluster(), partition in any::<u16>()) {
        let placement = Placement::new(&configuration);
        let mut candidates: Vec<&NodeId> = placement.candidates(PartitionId(partition)).collect();
        candidates.sort();
        prop_assert!(candidates.into_iter().eq(configuration.ids()));
    }

    #[test]
    fn placement_does_not_depend_on_the_order_of_nodes(configuration in some_cluster()) {
        let mut reversed = configuration.clone();
        reversed.nodes.reverse();
        prop_assert_eq!(replica_sets(&reversed), replica_sets(&configuration));
    }
}

#[test]
fn adding_a_node_moves_only_what_the_new_node_takes() {
    let four = replica_sets(&cluster(3, "n1 n2 n3 n4"));
    let five = replica_sets(&cluster(3, "n1 n2 n3 n4 n5"));
    let new_node: NodeId = "n5".parse().unwrap();
    let (mut taken, mut moved_elsewhere) = (0, 0);
    for (before, after) in four.iter().zip(&five) {
        let arrived: Vec<_> = after.iter().filter(|node| !before.contains(node)).collect();
        taken += usize::from(arrived.contains(&&new_node));
        moved_elsewhere += arrived.iter().filter(|node| ***node != new_node).count();
    }
    // Three fifths of the partitions have a replica on one of five equal nodes.
    assert!((110..=200).contains(&taken), "{taken}");
    // In each partition that the new node enters, one replica gives way; the others stay where they are.
    assert_eq!(moved_elsewhere, 0, "replicas moved between nodes that stayed");
}

#[test]
fn equal_nodes_take_about_equal_shares() {
    for nodes in ["n1 n2 n3 n4 n5", "n1 n2 n3 n4 n5 n6 n7 n8 n9 n10"] {
        let loads = loads(&cluster(3, nodes));
        let fair = 3.0 * 256.0 / loads.len() as f64;
        for (node, load) in loads {
            assert!((0.7..=1.35).contains(&(load / fair)), "{node} of {nodes} holds {load}, fair is {fair}");
        }
    }
}

#[test]
fn shares_follow_the_weights() {
    let loads = loads(&cluster(1, "n1*1 n2*2 n3*3 n4*4"));
    for (node, weight) in [("n1", 1.0), ("n2", 2.0), ("n3", 3.0), ("n4", 4.0)] {
        let (load, fair) = (loads[&node.parse().unwrap()], 256.0 * weight / 10.0);
        assert!((0.6..=1.5).contains(&(load / fair)), "{node} holds {load}, fair is {fair}");
    }
}

#[test]
fn largest_cluster_is_placed() {
    let words: Vec<String> = (0..NODES_MAX).map(|n| format!("n{n}")).collect();
    let placement = Placement::new(&cluster(3, &words.join(" ")));
    assert_eq!(placement.replicas(PartitionId(0)).len(), 3);
    let heavy = Placement::new(&cluster(1, &format!("n1*{} n2*1", WEIGHT_SUM_MAX - 1)));
    assert_eq!(heavy.candidates(PartitionId(0)).count(), 2);
}
