//! One adopted configuration at work: its partitions, links and coordinators.

use std::collections::BTreeMap;
use std::sync::Arc;

use roundtable_common::listen::{HostPort, ParseAddressError};
use roundtable_common::placement::{Placement, partition_of};
use roundtable_common::wire::Target;
use roundtable_consensus::{Adopted, Key, Lane, NodeId, NodeIndex, PartitionId, ReplicaSet};
use tokio::task::JoinSet;

use crate::clock::Clock;
use crate::config::Config;
use crate::engine::{Engine, run_timer};
use crate::links::{Link, NodeClient, run_lane, watch};
use crate::metrics::Metrics;

/// What a [`Cluster`] is made from besides its configuration.
#[derive(Clone)]
pub struct ClusterSeed {
    /// The router's settings.
    pub config: Arc<Config>,
    /// The process's clock.
    pub clock: Clock,
    /// Where figures are kept.
    pub metrics: Arc<Metrics>,
}

/// The adopted configuration has an address that nobody can connect to.
pub(super) type MalformedAddress = ParseAddressError;

/// Everything that serves one configuration. Dropping it ends its tasks and connections.
pub struct Cluster {
    adopted: Adopted,
    replicas: Vec<Arc<ReplicaSet>>,
    engine: Arc<Engine>,
    _tasks: JoinSet<()>,
}

impl Cluster {
    /// Sets links, probes, timers and coordinators going. Of a well-formed configuration, nodes and storage ids are
    /// both in the order of the names.
    ///
    /// # Errors
    /// When a node's address is not one.
    pub fn start(adopted: Adopted, seed: &ClusterSeed) -> Result<Self, MalformedAddress> {
        let links = links(&adopted, seed)?;
        let seeds: Vec<u64> = (0..seed.config.coordinators).map(|_| rand::random()).collect();
        let engine =
            Engine::new(seed.clock, &seed.config.coordinator, &seeds, links, Arc::clone(&seed.metrics));
        let engine = Arc::new(engine);
        let mut tasks = JoinSet::new();
        for place in 0..engine.shard_count() {
            tasks.spawn(run_timer(Arc::clone(&engine), place));
        }
        for link in engine.links() {
            tasks.spawn(watch(Arc::clone(&engine), Arc::clone(link)));
            for _ in 0..seed.config.link.outbox.depth {
                for lane in [Lane::Quick, Lane::Durable] {
                    tasks.spawn(run_lane(Arc::clone(&engine), Arc::clone(link), lane));
                }
            }
        }
        Ok(Self { replicas: replica_sets(&adopted), adopted, engine, _tasks: tasks })
    }

    /// The configuration.
    #[must_use]
    pub fn adopted(&self) -> &Adopted {
        &self.adopted
    }

    /// Coordinators and links.
    #[must_use]
    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// A key's partition and its replicas.
    #[must_use]
    pub fn place(&self, key: &Key) -> Option<(PartitionId, Arc<ReplicaSet>)> {
        let partition = partition_of(key, self.adopted.configuration.partitions);
        self.replicas_of(partition).map(|replicas| (partition, replicas))
    }

    /// A partition's replicas.
    #[must_use]
    pub fn replicas_of(&self, partition: PartitionId) -> Option<Arc<ReplicaSet>> {
        self.replicas.get(usize::from(partition.0)).cloned()
    }

    /// All partitions with their replicas, ascending.
    pub fn partitions(&self) -> impl Iterator<Item = (PartitionId, &Arc<ReplicaSet>)> {
        (0..=u16::MAX).map(PartitionId).zip(&self.replicas)
    }

    /// A node's name.
    #[must_use]
    pub fn node_id(&self, node: NodeIndex) -> Option<&NodeId> {
        self.engine.link(node).map(|link| &link.target.node)
    }

    /// Whether requests should go to a node.
    #[must_use]
    pub fn is_usable(&self, node: NodeIndex) -> bool {
        self.engine.link(node).is_some_and(|link| link.is_usable())
    }
}

/// One link for each node, in the order of the configuration: the place is the node's [`NodeIndex`].
fn links(adopted: &Adopted, seed: &ClusterSeed) -> Result<Vec<Arc<Link>>, MalformedAddress> {
    let mut links = Vec::new();
    let places = (0_u16..).map(NodeIndex);
    for ((member, storage), node) in
        adopted.configuration.nodes.iter().zip(adopted.storage.values()).zip(places)
    {
        let address: HostPort = member.address.parse()?;
        let target = Target {
            cluster: adopted.cluster,
            node: member.id.clone(),
            storage: *storage,
            epoch: adopted.configuration.epoch,
        };
        let client = NodeClient::new(address, seed.config.link.connect_timeout);
        let link = Link::new(node, target, client, seed.config.link, rand::random());
        links.push(Arc::new(link));
    }
    Ok(links)
}

fn replica_sets(adopted: &Adopted) -> Vec<Arc<ReplicaSet>> {
    let placement = Placement::new(&adopted.configuration);
    let index: BTreeMap<&NodeId, NodeIndex> =
        adopted.configuration.ids().zip((0_u16..).map(NodeIndex)).collect();
    let mut known: BTreeMap<Vec<NodeIndex>, Arc<ReplicaSet>> = BTreeMap::new();
    let partitions = adopted.configuration.partitions;
    (0..=u16::MAX)
        .take(usize::try_from(partitions).unwrap_or(usize::MAX))
        .map(|partition| {
            let nodes: Vec<NodeIndex> = placement
                .replicas(PartitionId(partition))
                .iter()
                .filter_map(|node| index.get(node).copied())
                .collect();
            let set = known.entry(nodes.clone()).or_insert_with(|| Arc::new(ReplicaSet::single(nodes)));
            Arc::clone(set)
        })
        .collect()
}
