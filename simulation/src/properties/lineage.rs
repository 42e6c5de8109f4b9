//! Lineage: each chosen register derives, through applied changes, from every chosen register with a lower ballot.

use std::collections::{BTreeMap, BTreeSet};

use roundtable_consensus::{Ballot, Key, NodeIndex, Register, majority_of};

use super::Violation;

/// Who has durably accepted what, and what is chosen by that.
#[derive(Debug)]
pub(crate) struct Lineage {
    nodes: usize,
    holders: BTreeMap<(Key, Ballot), BTreeSet<NodeIndex>>,
    chosen: BTreeMap<Key, BTreeMap<Ballot, Register>>,
}

impl Lineage {
    pub(crate) fn new(nodes: usize) -> Self {
        Self { nodes, holders: BTreeMap::new(), chosen: BTreeMap::new() }
    }

    /// Takes note that a node has told a router that it accepted `register`. Returns whether a majority has.
    pub(crate) fn on_accepted(
        &mut self,
        node: NodeIndex,
        key: &Key,
        register: &Register,
    ) -> Result<bool, Violation> {
        let holders = self.holders.entry((key.clone(), register.accepted)).or_default();
        holders.insert(node);
        if holders.len() < majority_of(self.nodes) {
            return Ok(false);
        }
        let chosen = self.chosen.entry(key.clone()).or_default();
        chosen.insert(register.accepted, register.clone());
        let before = chosen.range(..register.accepted).next_back().map(|(_, before)| before);
        let after = chosen.range(register.accepted..).nth(1).map(|(_, after)| after);
        let pairs =
            before.map(|before| (before, register)).into_iter().chain(after.map(|after| (register, after)));
        for (older, newer) in pairs {
            if !derives(newer, older) {
                return Err(Violation::Lineage(format!(
                    "{key:?}: chosen {newer:?} does not derive from chosen {older:?}"
                )));
            }
        }
        Ok(true)
    }
}

/// Whether `newer` carries `older`'s last change in its lineage, as far as its history reaches. A proposer leaves out of it
/// what it knows of its own rounds, so that a later one of them stands for it.
fn derives(newer: &Register, older: &Register) -> bool {
    let change = older.version.ballot;
    let carried = newer.version == older.version && newer.content == older.content;
    let stands_for = |round: &Ballot| round.proposer == change.proposer && *round >= change;
    carried
        || (newer.version > older.version
            && (change.is_zero()
                || stands_for(&newer.version.ballot)
                || newer.history.rounds().iter().any(stands_for)
                || change <= newer.history.rounds_floor()))
}

#[cfg(test)]
mod tests {
    use roundtable_consensus::{Hlc, ProposerId, Version};

    use super::*;

    fn register(accepted_ms: u64, changed_ms: u64) -> Register {
        let ballot = |ms| Ballot::new(Hlc::from_millis(ms), ProposerId(ms));
        let version = Version { ballot: ballot(changed_ms), index: 0 };
        Register { accepted: ballot(accepted_ms), version, ..Register::absent(Ballot::ZERO) }
    }

    fn accepted(registers: &[Register]) -> Result<bool, Violation> {
        let key = Key::new("k").unwrap();
        let mut watch = Lineage::new(3);
        registers.iter().try_fold(false, |_, register| {
            watch.on_accepted(NodeIndex(0), &key, register)?;
            watch.on_accepted(NodeIndex(2), &key, register)
        })
    }

    #[test]
    fn a_chosen_register_that_forgot_another_is_noticed_in_any_order() {
        assert_eq!(accepted(&[register(1, 1), register(2, 1)]), Ok(true), "carried forward");
        assert!(accepted(&[register(1, 1), register(2, 2)]).is_err());
        assert!(accepted(&[register(2, 2), register(1, 1)]).is_err());
    }

    #[test]
    fn a_register_at_a_minority_is_not_chosen() {
        let mut watch = Lineage::new(3);
        let key = Key::new("k").unwrap();
        assert_eq!(watch.on_accepted(NodeIndex(0), &key, &register(1, 1)), Ok(false));
        assert_eq!(watch.on_accepted(NodeIndex(0), &key, &register(1, 1)), Ok(false), "the same node");
        assert_eq!(watch.on_accepted(NodeIndex(1), &key, &register(2, 2)), Ok(false));
    }
}
