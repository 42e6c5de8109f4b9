//! Which adopted configuration a router follows, judged from what the nodes say.

use std::collections::BTreeMap;

use roundtable_consensus::{Adopted, ClusterId, Configuration, FileStanding, Hello, NodeId, majority_of};

/// Why no configuration can be followed yet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotChosen {
    /// No node that answers has adopted one.
    #[error("no node has adopted a configuration yet")]
    NobodyAdopted,
    /// Nodes of different clusters answer, and none of the clusters has a majority of the file's nodes.
    #[error("the nodes belong to different clusters: {0}")]
    DifferentClusters(String),
    /// Too few nodes have answered to be sure.
    #[error("{reports} of {nodes} nodes have told their configuration so far")]
    TooFew {
        /// Nodes that told one.
        reports: usize,
        /// Nodes in the file.
        nodes: usize,
    },
    /// The file was changed without a higher version.
    #[error("cluster.toml was changed without a higher version: {0}; undo the change, or increase version")]
    ChangedWithoutVersion(String),
}

/// Chooses from the hellos that arrived so far. A node that answers under another's name is not counted.
///
/// A majority of the file's nodes in one cluster decides. When all have had their time (`everyone_asked`), the nodes
/// that answered decide if they agree.
///
/// # Errors
/// Why nothing can be chosen yet.
pub fn choose(
    file: &Configuration,
    hellos: &BTreeMap<NodeId, Hello>,
    everyone_asked: bool,
) -> Result<Adopted, NotChosen> {
    let mut by_cluster: BTreeMap<ClusterId, Vec<(&NodeId, &Adopted)>> = BTreeMap::new();
    for (expected, hello) in hellos.iter().filter(|(expected, hello)| **expected == hello.node) {
        if let Some(adopted) = &hello.adopted {
            by_cluster.entry(adopted.cluster).or_default().push((expected, adopted));
        }
    }
    let Some(largest) = by_cluster.values().max_by_key(|reports| reports.len()) else {
        return Err(NotChosen::NobodyAdopted);
    };
    let nodes = file.nodes.len();
    if largest.len() < majority_of(nodes) {
        if by_cluster.len() > 1 {
            return Err(NotChosen::DifferentClusters(describe(&by_cluster)));
        }
        if !everyone_asked {
            return Err(NotChosen::TooFew { reports: largest.len(), nodes });
        }
    }
    let newest =
        largest.iter().map(|(_, adopted)| *adopted).max_by_key(|adopted| adopted.configuration.epoch);
    let adopted = newest.ok_or(NotChosen::NobodyAdopted)?;
    match adopted.judge_file(file) {
        FileStanding::ChangedWithoutVersion { difference } => {
            Err(NotChosen::ChangedWithoutVersion(difference))
        }
        FileStanding::Same | FileStanding::Older | FileStanding::Newer => Ok(adopted.clone()),
    }
}

fn describe(by_cluster: &BTreeMap<ClusterId, Vec<(&NodeId, &Adopted)>>) -> String {
    let one = |(cluster, reports): (&ClusterId, &Vec<(&NodeId, &Adopted)>)| {
        let names: Vec<String> = reports.iter().map(|(node, _)| node.to_string()).collect();
        format!("{} to {cluster}", names.join(", "))
    };
    by_cluster.iter().map(one).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use roundtable_consensus::{Epoch, Member, StorageId};

    use super::*;

    fn file() -> Configuration {
        let member = |id: &str| Member {
            id: id.parse().unwrap(),
            address: format!("{id}.example:1"),
            zone: None,
            weight: 1,
        };
        Configuration {
            epoch: Epoch(1),
            replication_factor: 3,
            partitions: 8,
            nodes: ["n1", "n2", "n3"].map(member).to_vec(),
        }
    }

    fn adopted(configuration: Configuration, disks: u128) -> Adopted {
        let storage = configuration.ids().cloned().zip((disks..).map(StorageId)).collect();
        Adopted::first(configuration, storage)
    }

    fn hellos(reports: &[(&str, &str, Option<&Adopted>)]) -> BTreeMap<NodeId, Hello> {
        let hello = |node: &str, adopted: Option<&Adopted>| Hello {
            node: node.parse().unwrap(),
            storage: StorageId(1),
            file_epoch: Epoch(1),
            file_digest: file().digest(),
            bound: None,
            adopted: adopted.cloned(),
            node_ms: 0,
            ready: true,
            reason: String::new(),
            shortage: None,
        };
        reports
            .iter()
            .map(|(expected, node, adopted)| (expected.parse().unwrap(), hello(node, *adopted)))
            .collect()
    }

    #[test]
    fn majority_of_one_cluster_decides() {
        let (mine, other) = (adopted(file(), 1), adopted(file(), 9));
        let two_of_three =
            hellos(&[("n1", "n1", Some(&mine)), ("n2", "n2", Some(&other)), ("n3", "n3", Some(&mine))]);
        assert_eq!(choose(&file(), &two_of_three, false), Ok(mine));
    }

    #[test]
    fn few_reports_decide_only_when_all_had_their_time_and_agree() {
        let (mine, other) = (adopted(file(), 1), adopted(file(), 9));
        let one = hellos(&[("n1", "n1", Some(&mine)), ("n2", "n2", None)]);
        assert_eq!(choose(&file(), &one, false), Err(NotChosen::TooFew { reports: 1, nodes: 3 }));
        assert_eq!(choose(&file(), &one, true), Ok(mine.clone()));
        let split = hellos(&[("n1", "n1", Some(&mine)), ("n2", "n2", Some(&other))]);
        assert!(matches!(choose(&file(), &split, true), Err(NotChosen::DifferentClusters(_))));
        assert_eq!(choose(&file(), &hellos(&[("n1", "n1", None)]), true), Err(NotChosen::NobodyAdopted));
    }

    #[test]
    fn node_at_another_nodes_address_is_not_counted() {
        let mine = adopted(file(), 1);
        let impostor = hellos(&[("n1", "n1", Some(&mine)), ("n2", "n3", Some(&mine))]);
        assert_eq!(choose(&file(), &impostor, false), Err(NotChosen::TooFew { reports: 1, nodes: 3 }));
    }

    #[test]
    fn file_changed_without_a_version_is_refused() {
        let mine = adopted(file(), 1);
        let all = hellos(&[("n1", "n1", Some(&mine)), ("n2", "n2", Some(&mine))]);
        let mut changed = file();
        changed.partitions = 16;
        assert!(matches!(choose(&changed, &all, true), Err(NotChosen::ChangedWithoutVersion(_))));
        changed.epoch = Epoch(2);
        assert_eq!(choose(&changed, &all, true), Ok(mine), "a higher version waits for its adoption");
    }
}
