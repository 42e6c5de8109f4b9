//! The first configuration: whatever went wrong while the nodes found each other, there is one, and all are in it.

use std::collections::BTreeSet;

use roundtable_consensus::{Adopted, ClusterId};

use super::Violation;

/// Judges what the nodes of one file have adopted; `None` for a node that has adopted nothing.
pub(crate) fn judge_founding<'a>(
    adopted: impl IntoIterator<Item = Option<&'a Adopted>>,
) -> Result<(), Violation> {
    let mut clusters: BTreeSet<ClusterId> = BTreeSet::new();
    for adopted in adopted {
        let Some(adopted) = adopted else {
            return Err(Violation::Unserved("a node has not adopted the first configuration".to_owned()));
        };
        if !adopted.is_first() {
            return Err(Violation::Founding(format!(
                "an altered first configuration was adopted: {adopted:?}"
            )));
        }
        clusters.insert(adopted.cluster);
    }
    if clusters.len() > 1 {
        return Err(Violation::Founding(format!("nodes of one file founded several clusters: {clusters:?}")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use roundtable_consensus::StorageId;

    use super::*;
    use crate::cluster::file;

    fn adopted(disk: u128) -> Adopted {
        let configuration = file(1, 1);
        let storage: BTreeMap<_, _> = configuration.ids().cloned().map(|id| (id, StorageId(disk))).collect();
        Adopted::first(configuration, storage)
    }

    #[test]
    fn two_clusters_of_one_file_an_altered_one_and_a_straggler_are_noticed() {
        let (one, other) = (adopted(1), adopted(2));
        let altered = Adopted { cluster: other.cluster, ..one.clone() };
        assert_eq!(judge_founding([Some(&one), Some(&one)]), Ok(()));
        assert!(matches!(judge_founding([Some(&one), Some(&other)]), Err(Violation::Founding(_))));
        assert!(matches!(judge_founding([Some(&altered)]), Err(Violation::Founding(_))));
        assert!(matches!(judge_founding([Some(&one), None]), Err(Violation::Unserved(_))));
    }
}
