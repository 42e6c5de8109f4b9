//! The judgement of what the others said: may this node vote, and what keeps it from going on.

use super::{Bootstrap, Heard, Hello, Obstacle, Refusal};
use crate::configuration::Adopted;
use crate::ids::{NodeId, StorageId};

impl Bootstrap {
    /// Whether a configuration that others have adopted forbids this node, which is bound to nothing, to vote.
    pub(super) fn told_to_stay_out(&self) -> Option<Refusal> {
        self.hellos().filter_map(|hello| hello.adopted.as_ref()).find_map(|adopted| {
            let known = adopted.storage.contains_key(&self.me);
            let set_back = Refusal::SetBack { cluster: adopted.cluster, storage: self.storage };
            identity(&self.me, self.storage, adopted).or(known.then_some(set_back))
        })
    }

    pub(super) fn obstacles(&self, judge: impl Fn(&NodeId) -> Option<Obstacle>) -> Vec<(NodeId, Obstacle)> {
        self.peers.keys().filter_map(|node| Some((node.clone(), judge(node)?))).collect()
    }

    /// The hello of a node, or why there is none.
    fn heard(&self, node: &NodeId) -> Result<&Hello, Obstacle> {
        match self.peers.get(node).map(|peer| &peer.heard) {
            None | Some(Heard::Nothing) => Err(Obstacle::Silent),
            Some(Heard::Unreachable(detail)) => Err(Obstacle::Unreachable { detail: detail.clone() }),
            Some(Heard::Hello(hello)) if hello.node != *node => {
                Err(Obstacle::WrongNode { found: hello.node.clone() })
            }
            Some(Heard::Hello(hello)) => Ok(hello),
        }
    }

    pub(super) fn keeps_from_binding(&self, node: &NodeId) -> Option<Obstacle> {
        let hello = match self.heard(node) {
            Ok(hello) => hello,
            Err(obstacle) => return Some(obstacle),
        };
        if let Some(adopted) = &hello.adopted {
            let (cluster, epoch) = (adopted.cluster, adopted.configuration.epoch);
            return Some(Obstacle::AdoptedWithoutMe { cluster, epoch });
        }
        if let Some(other) = self.twin_of(hello) {
            return Some(Obstacle::CopiedDirectory { storage: hello.storage, other });
        }
        match hello.bound {
            // Its file may have changed since; what it is bound to has not.
            Some(cluster) => {
                let mine = self.candidate()?.cluster;
                (mine != cluster).then_some(Obstacle::BoundElsewhere { cluster })
            }
            None => {
                let differs = hello.file_digest != self.file.digest();
                differs.then_some(Obstacle::AnotherFile { epoch: hello.file_epoch })
            }
        }
    }

    /// Another node with the same data directory.
    fn twin_of(&self, hello: &Hello) -> Option<NodeId> {
        if hello.storage == self.storage {
            return Some(self.me.clone());
        }
        let twin = self.hellos().find(|other| other.node != hello.node && other.storage == hello.storage);
        twin.map(|other| other.node.clone())
    }

    pub(super) fn keeps_from_adopting(&self, first: &Adopted, node: &NodeId) -> Option<Obstacle> {
        let hello = match self.heard(node) {
            Ok(hello) => hello,
            Err(obstacle) => return Some(obstacle),
        };
        if let Some(adopted) = &hello.adopted
            && adopted.cluster != first.cluster
        {
            return Some(Obstacle::OtherCluster { cluster: adopted.cluster });
        }
        if let Some(&expected) = first.storage.get(node)
            && hello.storage != expected
        {
            return Some(Obstacle::OtherDirectory { expected, found: hello.storage });
        }
        match hello.bound {
            Some(cluster) if cluster == first.cluster => None,
            Some(cluster) => Some(Obstacle::BoundElsewhere { cluster }),
            None if hello.file_digest != first.configuration.digest() => {
                Some(Obstacle::AnotherFile { epoch: hello.file_epoch })
            }
            None => Some(Obstacle::NotBound),
        }
    }
}

/// Whether a configuration forbids a node with this directory to vote in it.
pub(super) fn identity(me: &NodeId, storage: StorageId, known: &Adopted) -> Option<Refusal> {
    let cluster = known.cluster;
    let recorded = known.storage.get(me).copied();
    if recorded == Some(storage) {
        return None;
    }
    let owner = known.storage.iter().find(|(_, id)| **id == storage).map(|(node, _)| node.clone());
    match (owner, recorded) {
        (Some(owner), _) => Some(Refusal::DirectoryOfAnother { node: me.clone(), owner, cluster }),
        (None, Some(recorded)) => {
            Some(Refusal::DiskReplaced { node: me.clone(), cluster, recorded, found: storage })
        }
        (None, None) => None,
    }
}
