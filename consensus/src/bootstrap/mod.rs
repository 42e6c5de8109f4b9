//! How nodes that have never met become a cluster: the choice of the first configuration, and who may vote in it.
//!
//! Later configurations are chosen by the nodes of the one before. The first has nobody before it, so it takes all of
//! its nodes. Each learns the storage ids of the others, *binds* itself durably to the content of its `cluster.toml`
//! together with all storage ids, and tells so; the configuration is chosen when **all** of its nodes are bound to the
//! same. A binding is never changed. So at most one first configuration can be chosen in which a given directory
//! takes part, whatever files, restarts and lost messages there were: two choices would share a node bound to both.
//!
//! ```text
//! Gathering ── all nodes answered, same file ──▶ Binding ── synced ──▶ Bound
//!     │                                                                  │ all bound to the same,
//!     │ my name with another disk, …                                     │ or one has adopted it
//!     ▼                                                                  ▼
//!  Refused                                      Adopted ◀── synced ── Adopting
//! ```
//!
//! The price of a binding for good: when a disk is lost between the first binding and the last, nobody can tell from
//! here that the cluster never came up (the lost disk may have been the one that knew), and an operator must say so
//! by emptying all directories. Files that differ are noticed before anything is bound, because each node tells the
//! digest of its file.
//!
//! A node late to all this (bound, then down) adopts on the word of any one that has: what was adopted was chosen,
//! and its own binding tells whether it took part. A node whose name is in the configuration with another directory
//! has lost its disk, and with it what it promised; a directory that was bound according to the others and knows
//! nothing of it was set back. Both stay out for good.
//!
//! Events go in, [`BootstrapEffect`]s come out: ask a node, make something durable.

mod judgement;
mod status;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use judgement::identity;
pub use status::{Obstacle, Refusal, Status};

use crate::configuration::{Adopted, Configuration, ConfigurationDigest, FileStanding};
use crate::ids::{ClusterId, Epoch, NodeId, StorageId};

/// What a node says of itself to whoever asks.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Hello {
    /// Its name.
    pub node: NodeId,
    /// Its data directory.
    pub storage: StorageId,
    /// The version of its `cluster.toml`.
    pub file_epoch: Epoch,
    /// The digest of its `cluster.toml`'s content.
    pub file_digest: ConfigurationDigest,
    /// The cluster that it is durably bound to found, or has founded.
    pub bound: Option<ClusterId>,
    /// The configuration that it has durably adopted.
    pub adopted: Option<Adopted>,
    /// Its clock in unix milliseconds.
    pub node_ms: u64,
    /// Whether it votes.
    pub ready: bool,
    /// Why it doesn't; empty when it does.
    pub reason: String,
    /// What its disk lacks, if it refuses writes that grow for that.
    pub shortage: Option<DiskShortage>,
}

/// A disk below its reserve: the node refuses writes that make the data larger, and answers all others.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DiskShortage {
    /// What is free.
    pub free_bytes: u64,
    /// What should be.
    pub reserve_bytes: u64,
    /// The data directory.
    pub directory: String,
}

impl fmt::Display for DiskShortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (free, reserve) = (self.free_bytes >> 20, self.reserve_bytes >> 20);
        write!(
            f,
            "refuses writes that grow: {free} MiB are free on the disk of {}, below the reserve of {reserve} MiB (free_bytes_min)",
            self.directory
        )
    }
}

/// What a data directory knows of its membership.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Membership {
    /// The first configuration that it is bound to.
    pub bound: Option<Adopted>,
    /// The configuration that it has adopted.
    pub adopted: Option<Adopted>,
}

/// What the shell must do.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum BootstrapEffect {
    /// Ask a node for its [`Hello`], and report with [`Bootstrap::on_hello`] or [`Bootstrap::on_unreachable`].
    Ask {
        /// The node expected to answer.
        node: NodeId,
        /// Its address.
        address: String,
    },
    /// Write [`Membership::bound`], sync, and report with [`Bootstrap::synced`].
    Bind(Arc<Adopted>),
    /// Write [`Membership::adopted`], sync, and report with [`Bootstrap::synced`].
    Adopt(Arc<Adopted>),
}

/// One node's way into its cluster.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Bootstrap {
    me: NodeId,
    storage: StorageId,
    file: Configuration,
    phase: Phase,
    peers: BTreeMap<NodeId, Peer>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Phase {
    Gathering,
    Binding(Arc<Adopted>),
    Bound {
        first: Arc<Adopted>,
        /// Nodes heard to be bound to the same: a binding is for good, so hearing it once is enough.
        confirmed: BTreeSet<NodeId>,
    },
    Adopting(Arc<Adopted>),
    Adopted(Arc<Adopted>),
    Refused(Refusal),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Peer {
    address: String,
    /// It was asked, and neither an answer nor a failure was reported yet.
    asked: bool,
    heard: Heard,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Heard {
    Nothing,
    Unreachable(String),
    Hello(Box<Hello>),
}

impl Bootstrap {
    /// A node that was just started. `found` is what its data directory knows.
    #[must_use]
    pub fn new(me: NodeId, storage: StorageId, file: Configuration, found: Membership) -> Self {
        let known = found.adopted.as_ref().or(found.bound.as_ref());
        let mut addresses: BTreeMap<NodeId, String> = BTreeMap::new();
        // The file may be newer than what is known, so its addresses win.
        for configuration in known.map(|known| &known.configuration).into_iter().chain([&file]) {
            addresses.extend(configuration.nodes.iter().map(|node| (node.id.clone(), node.address.clone())));
        }
        addresses.remove(&me);
        let peers = addresses
            .into_iter()
            .map(|(id, address)| (id, Peer { address, asked: false, heard: Heard::Nothing }))
            .collect();
        let phase = Self::first_phase(&me, storage, &file, found);
        Self { me, storage, file, phase, peers }
    }

    fn first_phase(me: &NodeId, storage: StorageId, file: &Configuration, found: Membership) -> Phase {
        let Membership { bound, adopted } = found;
        if let (Some(bound), Some(adopted)) = (&bound, &adopted) {
            assert_eq!(
                bound.cluster, adopted.cluster,
                "the directory adopted another cluster than it was bound to"
            );
        }
        if let Some(refusal) =
            adopted.as_ref().or(bound.as_ref()).and_then(|known| identity(me, storage, known))
        {
            return Phase::Refused(refusal);
        }
        match (adopted, bound) {
            (Some(adopted), _) => Phase::Adopted(Arc::new(adopted)),
            (None, Some(bound)) => Phase::Bound { first: Arc::new(bound), confirmed: BTreeSet::new() },
            (None, None) if file.member(me).is_none() => {
                Phase::Refused(Refusal::NotInFile { node: me.clone() })
            }
            (None, None) => Phase::Gathering,
        }
    }

    /// Begins, and asks again: to be called at the start and a few times a second until the node is a member.
    pub fn tick(&mut self, out: &mut Vec<BootstrapEffect>) {
        self.advance(out);
        if matches!(self.phase, Phase::Adopting(_) | Phase::Adopted(_) | Phase::Refused(_)) {
            return;
        }
        for (node, peer) in self.peers.iter_mut().filter(|(_, peer)| !peer.asked) {
            peer.asked = true;
            out.push(BootstrapEffect::Ask { node: node.clone(), address: peer.address.clone() });
        }
    }

    /// The address of `from` answered.
    pub fn on_hello(&mut self, from: &NodeId, hello: Hello, out: &mut Vec<BootstrapEffect>) {
        if let Some(peer) = self.peers.get_mut(from) {
            peer.asked = false;
            peer.heard = Heard::Hello(Box::new(hello));
            self.advance(out);
        }
    }

    /// The address of `from` could not be reached, or gave no proper answer. What it said before may no longer be so.
    pub fn on_unreachable(&mut self, from: &NodeId, detail: String) {
        if let Some(peer) = self.peers.get_mut(from) {
            peer.asked = false;
            peer.heard = Heard::Unreachable(detail);
        }
    }

    /// What [`BootstrapEffect::Bind`] or [`BootstrapEffect::Adopt`] asked for is durable.
    ///
    /// # Panics
    /// When nothing was asked for.
    pub fn synced(&mut self, out: &mut Vec<BootstrapEffect>) {
        self.phase = match &self.phase {
            Phase::Binding(first) => Phase::Bound { first: Arc::clone(first), confirmed: BTreeSet::new() },
            Phase::Adopting(first) => Phase::Adopted(Arc::clone(first)),
            other => panic!("nothing was to be made durable in {other:?}"),
        };
        self.advance(out);
    }

    /// How far the node is.
    #[must_use]
    pub fn status(&self) -> Status {
        match &self.phase {
            Phase::Gathering => {
                Status::Gathering { obstacles: self.obstacles(|node| self.keeps_from_binding(node)) }
            }
            Phase::Binding(first) => Status::Binding { cluster: first.cluster },
            Phase::Bound { first, confirmed } => Status::Bound {
                cluster: first.cluster,
                obstacles: self.obstacles(|node| {
                    let awaited = first.storage.contains_key(node) && !confirmed.contains(node);
                    awaited.then(|| self.keeps_from_adopting(first, node)).flatten()
                }),
                file_difference: self.file.difference(&first.configuration, "the file", "the binding"),
            },
            Phase::Adopting(first) => Status::Adopting { cluster: first.cluster },
            Phase::Adopted(adopted) => Status::Adopted(Arc::clone(adopted)),
            Phase::Refused(refusal) => Status::Refused(refusal.clone()),
        }
    }

    /// The configuration that rules, once there is one that this node may vote in.
    #[must_use]
    pub fn adopted(&self) -> Option<&Arc<Adopted>> {
        match &self.phase {
            Phase::Adopted(adopted) => Some(adopted),
            _ => None,
        }
    }

    /// What the `cluster.toml` means beside the adopted configuration, once there is one.
    #[must_use]
    pub fn file_standing(&self) -> Option<FileStanding> {
        self.adopted().map(|adopted| adopted.judge_file(&self.file))
    }

    /// What this node says of itself, its disk aside. Only what is durable is told.
    #[must_use]
    pub fn hello(&self, node_ms: u64, ready: bool, reason: String) -> Hello {
        let (bound, adopted) = match &self.phase {
            Phase::Gathering | Phase::Binding(_) | Phase::Refused(_) => (None, None),
            Phase::Bound { first, .. } | Phase::Adopting(first) => (Some(first.cluster), None),
            Phase::Adopted(adopted) => (Some(adopted.cluster), Some(Adopted::clone(adopted))),
        };
        Hello {
            node: self.me.clone(),
            storage: self.storage,
            file_epoch: self.file.epoch,
            file_digest: self.file.digest(),
            bound,
            adopted,
            node_ms,
            ready,
            reason,
            shortage: None,
        }
    }

    /// Goes as far as what was heard allows.
    fn advance(&mut self, out: &mut Vec<BootstrapEffect>) {
        match &self.phase {
            Phase::Gathering => {
                if let Some(refusal) = self.told_to_stay_out() {
                    self.phase = Phase::Refused(refusal);
                } else if let Some(first) = self.agreed() {
                    let first = Arc::new(first);
                    out.push(BootstrapEffect::Bind(Arc::clone(&first)));
                    self.phase = Phase::Binding(first);
                }
            }
            Phase::Bound { first, confirmed } => {
                let first = Arc::clone(first);
                let mut confirmed = confirmed.clone();
                let others = first.storage.keys().filter(|node| **node != self.me);
                let heard = others.filter(|node| self.keeps_from_adopting(&first, node).is_none());
                confirmed.extend(heard.cloned());
                if confirmed.len() + 1 == first.storage.len() || self.heard_adopted(first.cluster) {
                    out.push(BootstrapEffect::Adopt(Arc::clone(&first)));
                    self.phase = Phase::Adopting(first);
                } else {
                    self.phase = Phase::Bound { first, confirmed };
                }
            }
            Phase::Binding(_) | Phase::Adopting(_) | Phase::Adopted(_) | Phase::Refused(_) => {}
        }
    }

    /// What all nodes agree to be bound to. Only on answers newer than the last question: a directory that was
    /// emptied since an older one would never be bound to this.
    fn agreed(&self) -> Option<Adopted> {
        let fresh = self.peers.values().all(|peer| !peer.asked);
        let free = fresh && self.obstacles(|node| self.keeps_from_binding(node)).is_empty();
        if free { self.candidate() } else { None }
    }

    /// What this node would bind itself to, once it knows all storage ids.
    fn candidate(&self) -> Option<Adopted> {
        let mut storage = BTreeMap::from([(self.me.clone(), self.storage)]);
        for node in self.file.ids().filter(|node| **node != self.me) {
            storage.insert(node.clone(), self.hello_of(node)?.storage);
        }
        Some(Adopted::first(self.file.clone(), storage))
    }

    /// What a node said, if it was really that node.
    fn hello_of(&self, node: &NodeId) -> Option<&Hello> {
        match &self.peers.get(node)?.heard {
            Heard::Hello(hello) if hello.node == *node => Some(hello),
            _ => None,
        }
    }

    fn hellos(&self) -> impl Iterator<Item = &Hello> {
        self.peers.keys().filter_map(|node| self.hello_of(node))
    }

    /// Whether a node has adopted the configuration of this cluster that this node is bound to, or a later one.
    fn heard_adopted(&self, cluster: ClusterId) -> bool {
        self.hellos().filter_map(|hello| hello.adopted.as_ref()).any(|adopted| adopted.cluster == cluster)
    }
}
