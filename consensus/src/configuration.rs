//! Configurations: who the nodes are, how many copies are kept, and how the key space is cut.
//!
//! A `cluster.toml` says what its writer wants; it rules nothing by itself. A configuration rules once it is
//! *adopted*: its content together with the storage id of every node was chosen by those nodes (see `bootstrap`
//! for the first one). The storage ids make a configuration speak of disks and not only of names: a node that
//! comes back under its old name with another disk has forgotten what it promised, so it must not vote.
//!
//! A cluster's name is the hash of its first configuration, storage ids included. Two clusters founded from one
//! file therefore have different names, and a message that strays from one into the other is refused. The hash is
//! taken over *canonical bytes*, defined here and never changed: every field in a fixed order and width, every text
//! behind its length, so that two different configurations never give the same bytes.

use std::collections::BTreeMap;
use std::fmt;

use xxhash_rust::xxh3::xxh3_128;

use crate::ids::{ClusterId, Epoch, NodeId, StorageId};

/// Stands in front of the canonical bytes, so that no other hashed thing begins alike.
const CANONICAL_TAG: &[u8] = b"roundtable configuration 1\n";

/// One storage node of a configuration.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Member {
    /// Its name.
    pub id: NodeId,
    /// Where the others reach it: `host:port` as written, IPv6 in brackets.
    pub address: String,
    /// What fails together with it (a rack, a room); copies go to different zones as far as there are any.
    pub zone: Option<String>,
    /// How much of the data it takes, relative to the others; at least 1.
    pub weight: u32,
}

/// The validated content of a `cluster.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Configuration {
    /// The file's `version`.
    pub epoch: Epoch,
    /// Copies of each key; at least 1 and at most the number of nodes.
    pub replication_factor: u8,
    /// Slices of the key space, 1 to [`Self::PARTITIONS_MAX`]; the same for the whole life of a cluster.
    pub partitions: u32,
    /// The nodes, ascending by id, each id once.
    pub nodes: Vec<Member>,
}

/// The hash of a configuration's content without storage ids: tells two files apart.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConfigurationDigest(pub u128);

impl fmt::Display for ConfigurationDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for ConfigurationDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Configuration {
    /// The most partitions that a cluster can have.
    pub const PARTITIONS_MAX: u32 = 65_536;

    /// The member of this name.
    #[must_use]
    pub fn member(&self, id: &NodeId) -> Option<&Member> {
        self.nodes.iter().find(|member| member.id == *id)
    }

    /// The members' names, ascending.
    pub fn ids(&self) -> impl Iterator<Item = &NodeId> {
        self.nodes.iter().map(|member| &member.id)
    }

    /// Whether the numbers are in their ranges and the nodes ascend by id, each once. What comes from a file was
    /// checked with better messages; this is for what comes from a disk or a peer.
    #[must_use]
    pub fn is_well_formed(&self) -> bool {
        let ascending =
            self.nodes.iter().zip(self.nodes.iter().skip(1)).all(|(lower, higher)| lower.id < higher.id);
        ascending
            && self.replication_factor >= 1
            && usize::from(self.replication_factor) <= self.nodes.len()
            && (1..=Self::PARTITIONS_MAX).contains(&self.partitions)
            && self.nodes.iter().all(|member| member.weight >= 1 && !member.address.is_empty())
    }

    /// The bytes that hashes are taken over. Different configurations give different bytes.
    #[must_use]
    pub fn canonical_bytes(&self) -> Vec<u8> {
        let mut bytes = CANONICAL_TAG.to_vec();
        bytes.extend(self.epoch.0.to_be_bytes());
        bytes.push(self.replication_factor);
        bytes.extend(self.partitions.to_be_bytes());
        push_len(&mut bytes, self.nodes.len());
        for member in &self.nodes {
            push_text(&mut bytes, member.id.as_str());
            push_text(&mut bytes, &member.address);
            bytes.push(u8::from(member.zone.is_some()));
            push_text(&mut bytes, member.zone.as_deref().unwrap_or_default());
            bytes.extend(member.weight.to_be_bytes());
        }
        bytes
    }

    /// The hash of [`Self::canonical_bytes`].
    #[must_use]
    pub fn digest(&self) -> ConfigurationDigest {
        ConfigurationDigest(xxh3_128(&self.canonical_bytes()))
    }

    /// The first thing in which `other` differs, in words: "`nodes.n2.address` is … here and … there".
    /// `here` and `there` name the two. `None` when they are equal.
    #[must_use]
    pub fn difference(&self, other: &Self, here: &str, there: &str) -> Option<String> {
        let say = |what: String, mine: &dyn fmt::Debug, theirs: &dyn fmt::Debug| {
            Some(format!("{what} is {mine:?} in {here} and {theirs:?} in {there}"))
        };
        if self.epoch != other.epoch {
            return say("version".into(), &self.epoch.0, &other.epoch.0);
        }
        if self.replication_factor != other.replication_factor {
            return say("replication_factor".into(), &self.replication_factor, &other.replication_factor);
        }
        if self.partitions != other.partitions {
            return say("partitions".into(), &self.partitions, &other.partitions);
        }
        for member in &self.nodes {
            let name = &member.id;
            let Some(twin) = other.member(name) else {
                return Some(format!("node {name} is in {here} and not in {there}"));
            };
            if member.address != twin.address {
                return say(format!("the address of node {name}"), &member.address, &twin.address);
            }
            if member.zone != twin.zone {
                return say(format!("the zone of node {name}"), &member.zone, &twin.zone);
            }
            if member.weight != twin.weight {
                return say(format!("the weight of node {name}"), &member.weight, &twin.weight);
            }
        }
        let extra = other.ids().find(|&id| self.member(id).is_none());
        extra.map(|name| format!("node {name} is in {there} and not in {here}"))
    }
}

/// A configuration that was chosen, with the disks that its nodes had then.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Adopted {
    /// The content.
    pub configuration: Configuration,
    /// Each node's data directory; exactly the configuration's nodes.
    pub storage: BTreeMap<NodeId, StorageId>,
    /// The cluster's name: the hash of its *first* configuration with that one's storage ids.
    pub cluster: ClusterId,
}

impl Adopted {
    /// A first configuration with its nodes' directories; it names a cluster.
    ///
    /// # Panics
    /// When `storage` is not exactly about the configuration's nodes.
    #[must_use]
    pub fn first(configuration: Configuration, storage: BTreeMap<NodeId, StorageId>) -> Self {
        assert!(
            configuration.ids().eq(storage.keys()),
            "storage ids of other nodes than the configuration's"
        );
        let mut bytes = configuration.canonical_bytes();
        for (node, id) in &storage {
            push_text(&mut bytes, node.as_str());
            bytes.extend(id.0.to_be_bytes());
        }
        let cluster = ClusterId(xxh3_128(&bytes));
        Self { configuration, storage, cluster }
    }

    /// Whether this is the first configuration of its cluster, unaltered.
    #[must_use]
    pub fn is_first(&self) -> bool {
        self.is_well_formed()
            && Self::first(self.configuration.clone(), self.storage.clone()).cluster == self.cluster
    }

    /// Whether the content is well formed and the storage ids are exactly about its nodes.
    #[must_use]
    pub fn is_well_formed(&self) -> bool {
        self.configuration.is_well_formed() && self.configuration.ids().eq(self.storage.keys())
    }

    /// What a file means beside this configuration.
    #[must_use]
    pub fn judge_file(&self, file: &Configuration) -> FileStanding {
        match file.epoch.cmp(&self.configuration.epoch) {
            std::cmp::Ordering::Less => FileStanding::Older,
            std::cmp::Ordering::Greater => FileStanding::Newer,
            std::cmp::Ordering::Equal => {
                match file.difference(&self.configuration, "cluster.toml", "the adopted configuration") {
                    None => FileStanding::Same,
                    Some(difference) => FileStanding::ChangedWithoutVersion { difference },
                }
            }
        }
    }
}

/// What a `cluster.toml` means beside the adopted configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileStanding {
    /// It is the adopted one.
    Same,
    /// Its version is lower: it only gives addresses to ask.
    Older,
    /// Its version is higher: somebody wants a change that is not adopted.
    Newer,
    /// Same version, other content: refused.
    ChangedWithoutVersion {
        /// The first difference, in words.
        difference: String,
    },
}

fn push_len(bytes: &mut Vec<u8>, len: usize) {
    bytes.extend((len as u64).to_be_bytes());
}

fn push_text(bytes: &mut Vec<u8>, text: &str) {
    push_len(bytes, text.len());
    bytes.extend(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(id: &str) -> Member {
        Member { id: id.parse().unwrap(), address: format!("{id}.example:7410"), zone: None, weight: 1 }
    }

    fn three() -> Configuration {
        Configuration {
            epoch: Epoch(1),
            replication_factor: 3,
            partitions: 256,
            nodes: vec![member("n1"), member("n2"), member("n3")],
        }
    }

    fn storage(configuration: &Configuration) -> BTreeMap<NodeId, StorageId> {
        configuration.ids().cloned().zip((1..).map(StorageId)).collect()
    }

    /// Every way to change one field, with the words that its difference begins with.
    fn variants() -> Vec<(Configuration, &'static str)> {
        let change = |edit: &dyn Fn(&mut Configuration)| {
            let mut changed = three();
            edit(&mut changed);
            changed
        };
        vec![
            (change(&|c| c.epoch = Epoch(2)), "version is 1"),
            (change(&|c| c.replication_factor = 1), "replication_factor is 3"),
            (change(&|c| c.partitions = 255), "partitions is 256"),
            (change(&|c| c.nodes[1].address.push('0')), "the address of node n2"),
            (change(&|c| c.nodes[2].zone = Some(String::new())), "the zone of node n3"),
            (change(&|c| c.nodes[0].weight = 2), "the weight of node n1"),
            (change(&|c| c.nodes.push(member("n4"))), "node n4 is in there and not"),
            (change(&|c| drop(c.nodes.remove(0))), "node n1 is in here and not"),
        ]
    }

    #[test]
    fn canonical_bytes_differ_in_every_field() {
        let base = three();
        for (changed, words) in variants() {
            assert_ne!(changed.canonical_bytes(), base.canonical_bytes(), "{words}");
            assert_ne!(changed.digest(), base.digest(), "{words}");
            let told = base.difference(&changed, "here", "there").unwrap();
            assert!(told.starts_with(words), "{told}");
        }
        assert_eq!(base.difference(&base, "here", "there"), None);
    }

    #[test]
    fn canonical_bytes_moving_text_between_fields_differ() {
        let (mut one, mut other) = (three(), three());
        one.nodes[0].address = "ab".into();
        one.nodes[0].zone = Some("c".into());
        other.nodes[0].address = "a".into();
        other.nodes[0].zone = Some("bc".into());
        assert_ne!(one.canonical_bytes(), other.canonical_bytes());
    }

    /// The hash names clusters on disks: it never changes.
    #[test]
    fn cluster_id_of_a_known_configuration_is_pinned() {
        let adopted = Adopted::first(three(), storage(&three()));
        assert_eq!(adopted.configuration.digest().to_string(), PINNED_DIGEST);
        assert_eq!(adopted.cluster.to_string(), PINNED_CLUSTER);
    }

    const PINNED_DIGEST: &str = "241bf756501bc23a7f49d08090fef84b";
    const PINNED_CLUSTER: &str = "8c52090a9eb86287379f96d14870d515";

    #[test]
    fn cluster_id_another_disk_gives_another_cluster() {
        let one = Adopted::first(three(), storage(&three()));
        let mut disks = storage(&three());
        disks.insert("n3".parse().unwrap(), StorageId(9));
        let other = Adopted::first(three(), disks.clone());
        assert_ne!(one.cluster, other.cluster);
        assert!(one.is_first() && other.is_first());
        assert!(!Adopted { storage: disks, ..one }.is_first());
    }

    #[test]
    fn configuration_out_of_range_is_not_well_formed() {
        assert!(three().is_well_formed());
        let broken: [&dyn Fn(&mut Configuration); 8] = [
            &|c| c.nodes.clear(),
            &|c| c.nodes.swap(0, 1),
            &|c| c.nodes[1] = c.nodes[0].clone(),
            &|c| c.replication_factor = 0,
            &|c| c.replication_factor = 4,
            &|c| c.partitions = 0,
            &|c| c.partitions = Configuration::PARTITIONS_MAX + 1,
            &|c| c.nodes[0].weight = 0,
        ];
        for (row, edit) in broken.iter().enumerate() {
            let mut configuration = three();
            edit(&mut configuration);
            assert!(!configuration.is_well_formed(), "row {row}");
        }
    }

    #[test]
    fn file_beside_the_adopted_configuration_is_judged_by_version_then_content() {
        let mut file = three();
        file.epoch = Epoch(5);
        let adopted = Adopted::first(file.clone(), storage(&file));
        assert_eq!(adopted.judge_file(&file), FileStanding::Same);
        file.nodes[0].address = "elsewhere:1".into();
        let FileStanding::ChangedWithoutVersion { difference } = adopted.judge_file(&file) else {
            panic!("a changed file passed")
        };
        assert!(difference.contains("n1") && difference.contains("elsewhere:1"), "{difference}");
        file.epoch = Epoch(4);
        assert_eq!(adopted.judge_file(&file), FileStanding::Older);
        file.epoch = Epoch(6);
        assert_eq!(adopted.judge_file(&file), FileStanding::Newer);
    }
}
