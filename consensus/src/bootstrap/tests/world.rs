//! Some nodes with their disks and addresses, and who has heard what.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::bootstrap::{Bootstrap, BootstrapEffect, Hello, Membership, Status};
use crate::configuration::{Adopted, Configuration, Member};
use crate::ids::{ClusterId, Epoch, NodeId, StorageId};

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Node {
    pub(super) id: NodeId,
    pub(super) storage: StorageId,
    pub(super) file: Configuration,
    pub(super) disk: Membership,
    pub(super) boot: Bootstrap,
    /// What it is writing; not durable yet.
    pub(super) writing: Option<BootstrapEffect>,
    pub(super) up: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct World {
    pub(super) nodes: Vec<Node>,
    /// Answers on their way: who asked, whose address, what it said.
    pub(super) flying: BTreeMap<(usize, NodeId), Hello>,
    /// Addresses at which another node answers than the one named.
    pub(super) rerouted: BTreeMap<NodeId, usize>,
    /// Every binding that was ever durable.
    pub(super) bindings: BTreeSet<(NodeId, StorageId, ClusterId)>,
    /// Everything that was ever durably adopted.
    pub(super) adopted: Vec<Adopted>,
    /// Directories made so far.
    pub(super) directories: u128,
    /// A flaw for the invariants to find: nodes tell what they were told to write before they have.
    pub(super) hasty: bool,
}

pub(super) fn id(number: usize) -> NodeId {
    format!("n{number}").parse().expect("a node id")
}

pub(super) fn file(version: u64, numbers: &[usize]) -> Configuration {
    let member = |&number: &usize| {
        let id = id(number);
        Member { address: format!("{id}:7410"), id, zone: None, weight: 1 }
    };
    Configuration {
        epoch: Epoch(version),
        replication_factor: 1,
        partitions: 16,
        nodes: numbers.iter().map(member).collect(),
    }
}

impl World {
    /// Nodes `n1` to `n<count>` with empty directories and one file.
    pub(super) fn new(count: usize) -> Self {
        let numbers: Vec<usize> = (1..=count).collect();
        let mut world = Self {
            nodes: Vec::new(),
            flying: BTreeMap::new(),
            rerouted: BTreeMap::new(),
            bindings: BTreeSet::new(),
            adopted: Vec::new(),
            directories: 0,
            hasty: false,
        };
        for number in &numbers {
            world.add(id(*number), file(1, &numbers));
        }
        world
    }

    pub(super) fn add(&mut self, id: NodeId, file: Configuration) {
        self.directories += 1;
        let storage = StorageId(self.directories);
        let disk = Membership::default();
        let boot = Bootstrap::new(id.clone(), storage, file.clone(), disk.clone());
        self.nodes.push(Node { id, storage, file, disk, boot, writing: None, up: true });
    }

    pub(super) fn status(&self, node: usize) -> Status {
        self.nodes[node].boot.status()
    }

    pub(super) fn hello(&self, node: usize) -> Hello {
        self.nodes[node].boot.hello(0, false, String::new())
    }

    fn at(&self, address_of: &NodeId) -> Option<usize> {
        let rerouted = self.rerouted.get(address_of).copied();
        let listener = rerouted.or_else(|| self.nodes.iter().position(|node| node.id == *address_of))?;
        self.nodes[listener].up.then_some(listener)
    }

    /// The node at that address answers; the answer is on its way.
    pub(super) fn answer(&mut self, asker: usize, of: &NodeId) {
        if let Some(listener) = self.at(of) {
            self.flying.insert((asker, of.clone()), self.hello(listener));
        }
    }

    /// The answer arrives, or it becomes clear that none will.
    pub(super) fn deliver(&mut self, asker: usize, of: &NodeId) {
        let mut out = Vec::new();
        match self.flying.remove(&(asker, of.clone())) {
            Some(hello) => self.nodes[asker].boot.on_hello(of, hello, &mut out),
            None => self.nodes[asker].boot.on_unreachable(of, "connection refused".into()),
        }
        self.take(asker, out);
    }

    pub(super) fn exchange(&mut self, asker: usize, of: &NodeId) {
        self.answer(asker, of);
        self.deliver(asker, of);
    }

    /// Ticks, and returns the nodes that were asked.
    pub(super) fn tick(&mut self, node: usize) -> Vec<NodeId> {
        let mut out = Vec::new();
        self.nodes[node].boot.tick(&mut out);
        self.take(node, out)
    }

    fn take(&mut self, node: usize, effects: Vec<BootstrapEffect>) -> Vec<NodeId> {
        let mut asked = Vec::new();
        for effect in effects {
            match effect {
                BootstrapEffect::Ask { node, .. } => asked.push(node),
                write => {
                    assert_eq!(self.nodes[node].writing, None, "two writes at once");
                    self.nodes[node].writing = Some(write);
                    if self.hasty {
                        self.confirm(node);
                    }
                }
            }
        }
        asked
    }

    fn confirm(&mut self, node: usize) {
        let mut out = Vec::new();
        self.nodes[node].boot.synced(&mut out);
        // A hasty node may have more to write at once.
        if !out.is_empty() {
            self.persist(node);
        }
        self.take(node, out);
    }

    /// What the node is writing becomes durable.
    fn persist(&mut self, number: usize) {
        let node = &mut self.nodes[number];
        match node.writing.take() {
            Some(BootstrapEffect::Bind(first)) => {
                assert!(node.disk.bound.is_none(), "a binding is changed");
                self.bindings.insert((node.id.clone(), node.storage, first.cluster));
                node.disk.bound = Some(Adopted::clone(&first));
            }
            Some(BootstrapEffect::Adopt(adopted)) => {
                node.disk.adopted = Some(Adopted::clone(&adopted));
                self.adopted.push(Arc::unwrap_or_clone(adopted));
            }
            Some(BootstrapEffect::Ask { .. }) | None => {}
        }
    }

    pub(super) fn sync(&mut self, node: usize) {
        if self.nodes[node].writing.is_some() {
            self.persist(node);
            if !self.hasty {
                self.confirm(node);
            }
        }
    }

    /// A crash and a new start; what was being written is durable or not.
    pub(super) fn restart(&mut self, number: usize, written: bool) {
        if written {
            self.persist(number);
        }
        let node = &mut self.nodes[number];
        node.writing = None;
        node.up = true;
        node.boot = Bootstrap::new(node.id.clone(), node.storage, node.file.clone(), node.disk.clone());
        self.flying.retain(|(asker, _), _| *asker != number);
    }

    /// The node is started again with another, empty directory.
    pub(super) fn wipe(&mut self, number: usize) {
        self.directories += 1;
        self.nodes[number].storage = StorageId(self.directories);
        self.nodes[number].disk = Membership::default();
        self.restart(number, false);
    }

    /// Lets everybody ask, answer and write until nothing changes any more.
    pub(super) fn settle(&mut self) {
        for _ in 0..20 {
            let before = self.clone();
            for node in (0..self.nodes.len()).filter(|node| before.nodes[*node].up) {
                for of in self.tick(node) {
                    self.exchange(node, &of);
                }
                self.sync(node);
            }
            if *self == before {
                return;
            }
        }
        panic!("the nodes come to no rest");
    }

    /// What must hold in every state.
    pub(super) fn check(&self) -> Result<(), String> {
        for adopted in &self.adopted {
            if adopted.cluster != self.adopted[0].cluster {
                return Err(format!("two clusters were founded: {:?}", self.adopted));
            }
            for (node, storage) in &adopted.storage {
                if !self.bindings.contains(&(node.clone(), *storage, adopted.cluster)) {
                    return Err(format!("{node} was never bound to what was adopted"));
                }
            }
        }
        for node in &self.nodes {
            let votes = node.boot.adopted().and_then(|adopted| adopted.storage.get(&node.id).copied());
            if votes.is_some_and(|storage| storage != node.storage) {
                return Err(format!("{} votes with another directory", node.id));
            }
        }
        Ok(())
    }

    pub(super) fn all_adopted(&self) -> bool {
        self.nodes.iter().all(|node| node.boot.adopted().is_some())
    }
}
