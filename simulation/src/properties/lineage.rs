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

    /// Takes note that a node has told a router that it accepted `register`.
    pub(crate) fn on_accepted(
        &mut self,
        node: NodeIndex,
        key: &Key,
        register: &Register,
    ) -> Result<(), Violation> {
        let holders = self.holders.entry((key.clone(), register.accepted)).or_default();
        holders.insert(node);
        if holders.len() < majority_of(self.nodes) {
            return Ok(());
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
        Ok(())
    }
}

/// Whether `newer` carries `older`'s last change in its lineage, as far as its history reaches.
fn derives(newer: &Register, older: &Register) -> bool {
    let change = older.version.ballot;
    let carried = newer.version == older.version && newer.content == older.content;
    carried
        || (newer.version > older.version
            && (change.is_zero()
                || newer.version.ballot == change
                || newer.history.rounds().contains(&change)
                || change <= newer.history.rounds_floor()))
}
