//! Which partition a key lies in, and which nodes hold a partition.
//!
//! The ring (crate `consistent_hash_ring`) gives each partition an order of candidate nodes: every node stands on
//! it as many times as its weight says, each time at the hash of its name hashed once more. From that order the
//! replica set takes nodes of zones that it doesn't have yet, as long as there are such zones; then a second
//! of each zone, and so on. A node without a zone is a zone of its own.
//!
//! Placement is part of the data format: routers and nodes of different builds must agree on it. So the hash is
//! xxh3 over bytes defined here, never the standard library's hasher, and committed vectors pin the outcome.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hash, Hasher};

use consistent_hash_ring::{Ring, RingBuilder};
use roundtable_consensus::{Configuration, Key, Member, NodeId, PartitionId};
use xxhash_rust::xxh3::xxh3_64;

/// Nodes in one cluster at most.
pub const NODES_MAX: usize = 256;
/// The sum of all nodes' weights at most, which bounds the ring: it holds 128 places for each unit of weight.
pub const WEIGHT_SUM_MAX: u32 = 256;
/// Places on the ring for each unit of a node's weight: enough that shares come out within about a tenth of
/// what the weights say. Part of the data format.
const VNODES_PER_WEIGHT: usize = 128;

/// The partition of a key, in a cluster of `partitions` partitions (1 to 65536).
///
/// # Panics
/// When `partitions` is zero.
#[must_use]
pub fn partition_of(key: &Key, partitions: u32) -> PartitionId {
    partition_of_routing_part(key.routing_part(), partitions)
}

/// The partition of all keys that share this routing part (see [`Key::routing_part`]).
///
/// # Panics
/// When `partitions` is zero.
#[must_use]
pub fn partition_of_routing_part(routing_part: &[u8], partitions: u32) -> PartitionId {
    let slice = xxh3_64(routing_part) % u64::from(partitions);
    let Ok(partition) = u16::try_from(slice) else {
        unreachable!("a cluster has at most {} partitions", Configuration::PARTITIONS_MAX)
    };
    PartitionId(partition)
}

/// Where every partition of one configuration lies.
#[derive(Clone)]
pub struct Placement {
    ring: Ring<RingNode, RingHash>,
    partitions: u32,
    replication_factor: usize,
    /// The zone of each node; nodes without one have none.
    zones: BTreeMap<NodeId, String>,
}

impl Placement {
    /// The placement of a configuration. Takes time in the order of a millisecond for a few nodes.
    #[must_use]
    pub fn new(configuration: &Configuration) -> Self {
        let vnodes = |member: &Member| {
            let weight = member.weight.clamp(1, WEIGHT_SUM_MAX);
            usize::try_from(weight).unwrap_or(1) * VNODES_PER_WEIGHT
        };
        let nodes = configuration.nodes.iter().map(|member| (RingNode(member.id.clone()), vnodes(member)));
        let zone = |member: &Member| Some((member.id.clone(), member.zone.clone()?));
        Self {
            ring: RingBuilder::new(RingHash).weighted_nodes_iter(nodes).build(),
            partitions: configuration.partitions,
            replication_factor: configuration.replication_factor.into(),
            zones: configuration.nodes.iter().filter_map(zone).collect(),
        }
    }

    /// How many partitions there are.
    #[must_use]
    pub fn partitions(&self) -> u32 {
        self.partitions
    }

    /// All nodes in the order in which `partition` prefers them, zones aside.
    pub fn candidates(&self, partition: PartitionId) -> impl Iterator<Item = &NodeId> {
        self.ring.replicas(u64::from(partition.0)).map(|node| &node.0)
    }

    /// The nodes that hold `partition`, the most preferred first.
    #[must_use]
    pub fn replicas(&self, partition: PartitionId) -> Vec<NodeId> {
        let candidates: Vec<&NodeId> = self.candidates(partition).collect();
        let wanted = self.replication_factor.min(candidates.len());
        let mut chosen: Vec<&NodeId> = Vec::with_capacity(wanted);
        let mut per_zone = 0;
        while chosen.len() < wanted {
            // Each pass lets every zone have one replica more, so zones repeat only when all of them are in use.
            per_zone += 1;
            for candidate in &candidates {
                let is_free = !chosen.contains(candidate) && self.used(&chosen, candidate) < per_zone;
                if is_free && chosen.len() < wanted {
                    chosen.push(candidate);
                }
            }
        }
        chosen.into_iter().cloned().collect()
    }

    /// How many of `chosen` lie in the candidate's zone.
    fn used(&self, chosen: &[&NodeId], candidate: &NodeId) -> usize {
        match self.zones.get(candidate) {
            None => 0,
            zone => chosen.iter().filter(|node| self.zones.get(**node) == zone).count(),
        }
    }
}

/// A node on the ring. Hashes its name's bytes and nothing else, whatever the standard library does for strings.
#[derive(Clone, PartialEq, Eq)]
struct RingNode(NodeId);

impl Hash for RingNode {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(self.0.as_str().as_bytes());
    }
}

/// Makes [`RingHasher`]s.
#[derive(Clone, Copy)]
struct RingHash;

impl BuildHasher for RingHash {
    type Hasher = RingHasher;

    fn build_hasher(&self) -> RingHasher {
        RingHasher { hash: 0 }
    }
}

/// xxh3 of what is written, seeded by what was written before. Numbers count as their little-endian bytes. The
/// ring writes one thing per hash (a name, a partition's number, or a hash), so the seed is zero in practice.
struct RingHasher {
    hash: u64,
}

impl Hasher for RingHasher {
    fn finish(&self) -> u64 {
        self.hash
    }

    fn write(&mut self, bytes: &[u8]) {
        self.hash = xxhash_rust::xxh3::xxh3_64_with_seed(bytes, self.hash);
    }

    fn write_u64(&mut self, number: u64) {
        self.write(&number.to_le_bytes());
    }
}
