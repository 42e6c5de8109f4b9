//! What a node that has adopted a configuration checks requests against.

use std::sync::Arc;

use roundtable_consensus::{Adopted, Content, Key, NodeId, PartitionId, Request, RequestBody, ScanRequest};

use crate::placement::{Placement, partition_of};
use crate::wire::{Refused, Target};

/// One adopted configuration as this node sees it.
#[derive(Debug, Clone)]
pub struct View {
    target: Target,
    partitions: u32,
    /// For each partition, whether this node is in its replica set.
    mine: Vec<bool>,
}

impl View {
    /// The view of node `me`.
    ///
    /// # Panics
    /// When the configuration doesn't have the node: nobody adopts such a configuration.
    #[must_use]
    pub fn new(me: &NodeId, adopted: &Arc<Adopted>) -> Self {
        let Some(&storage) = adopted.storage.get(me) else {
            unreachable!("{me} adopted a configuration without {me}")
        };
        let configuration = &adopted.configuration;
        let placement = Placement::new(configuration);
        let mine = (0..configuration.partitions)
            .map(|partition| {
                u16::try_from(partition).is_ok_and(|id| placement.replicas(PartitionId(id)).contains(me))
            })
            .collect();
        let target =
            Target { cluster: adopted.cluster, node: me.clone(), storage, epoch: configuration.epoch };
        Self { target, partitions: configuration.partitions, mine }
    }

    /// Who this node is in the configuration.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The partition that a key belongs to.
    #[must_use]
    pub fn partition_of(&self, key: &Key) -> PartitionId {
        partition_of(key, self.partitions)
    }

    /// Whether this node is in the partition's replica set.
    #[must_use]
    pub fn holds(&self, partition: PartitionId) -> bool {
        self.mine.get(usize::from(partition.0)).copied().unwrap_or(false)
    }

    /// Looks for what no router sends: letting it in would store rows where nobody finds them, or registers without
    /// their value.
    ///
    /// # Errors
    /// What is wrong with the request, for its sender.
    pub fn check(&self, request: &Request) -> Result<(), Refused> {
        let malformed = |detail| Err(Refused::Malformed { detail });
        let partition = self.partition_of(&request.key);
        if request.partition != partition {
            return malformed(format!(
                "the key of request {} lies in {partition}, not in {}",
                request.id, request.partition
            ));
        }
        match &request.body {
            RequestBody::Accept { register, .. } if matches!(register.content, Content::Withheld { .. }) => {
                malformed(format!("request {} would store a register without its value", request.id))
            }
            _ => Ok(()),
        }
    }

    /// Looks for what no router asks a scan for.
    ///
    /// # Errors
    /// What is wrong with the scan, for its sender.
    pub fn check_scan(&self, scan: &ScanRequest) -> Result<(), Refused> {
        let ascending =
            scan.partitions.iter().zip(scan.partitions.iter().skip(1)).all(|(low, high)| low < high);
        if !ascending {
            return Err(Refused::Malformed { detail: "the partitions of a scan must ascend".to_owned() });
        }
        match scan.partitions.iter().find(|partition| !self.holds(**partition)) {
            Some(partition) => {
                Err(Refused::Malformed { detail: format!("this node does not hold {partition}") })
            }
            None => Ok(()),
        }
    }

    /// How many partitions this node holds.
    #[must_use]
    pub fn held(&self) -> usize {
        self.mine.iter().filter(|mine| **mine).count()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use roundtable_consensus::{Ballot, Configuration, Epoch, Fold, KeyRange, Member, Register, StorageId};

    use super::*;

    fn view() -> View {
        let member =
            |id: &str| Member { id: id.parse().unwrap(), address: format!("{id}:1"), zone: None, weight: 1 };
        let nodes = vec![member("n1"), member("n2")];
        let configuration = Configuration { epoch: Epoch(1), replication_factor: 1, partitions: 8, nodes };
        let storage: BTreeMap<_, _> = configuration.ids().cloned().zip((1..).map(StorageId)).collect();
        View::new(&"n1".parse().unwrap(), &Arc::new(Adopted::first(configuration, storage)))
    }

    #[test]
    fn requests_that_would_be_stored_in_the_wrong_place_or_without_a_value_are_refused() {
        let view = view();
        let key = Key::new("k").unwrap();
        let read = RequestBody::Read { want_value: false };
        let request = |partition, body| Request { id: 1, partition, done: true, key: key.clone(), body };
        let right = view.partition_of(&key);
        assert_eq!(view.check(&request(right, read.clone())), Ok(()));
        assert!(view.check(&request(PartitionId(right.0 ^ 1), read)).is_err());
        let content = Content::Withheld { value_bytes: 3 };
        let register = Register { content, ..Register::absent(Ballot::ZERO) };
        assert!(
            view.check(&request(right, RequestBody::Accept { register: register.into(), next: None }))
                .is_err()
        );
    }

    #[test]
    fn scans_of_partitions_out_of_order_or_of_others_are_refused() {
        let view = view();
        let (mine, others): (Vec<_>, Vec<_>) = (0..8).map(PartitionId).partition(|p| view.holds(*p));
        assert_eq!(mine.len(), view.held());
        let scan = |partitions: &[PartitionId]| ScanRequest {
            partitions: partitions.to_vec(),
            range: KeyRange::default(),
            reverse: false,
            want_values: false,
            fold: Fold::Nothing,
            limit: 1,
            bytes_max: 1,
        };
        assert_eq!(view.check_scan(&scan(&mine)), Ok(()));
        assert!(view.check_scan(&scan(&[mine[1], mine[0]])).is_err());
        assert!(view.check_scan(&scan(&others)).is_err());
    }
}
