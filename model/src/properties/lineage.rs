//! Lineage: each chosen register derives, through applied changes, from every chosen one with a lower ballot.

use std::collections::{BTreeMap, BTreeSet};

use roundtable_consensus::{Ballot, Register, majority_of};

/// Who has accepted what, and what is chosen by that.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Lineage {
    holders: BTreeMap<Ballot, BTreeSet<usize>>,
    pub(crate) chosen: BTreeMap<Ballot, Register>,
    pub(crate) holds: bool,
}

impl Lineage {
    /// All nodes hold `start`.
    pub(crate) fn new(start: Option<Register>) -> Self {
        let chosen = start.into_iter().map(|register| (register.accepted, register)).collect();
        Self { holders: BTreeMap::new(), chosen, holds: true }
    }

    /// A node has accepted.
    pub(crate) fn on_accepted(&mut self, node: usize, nodes: usize, register: &Register) {
        let ballot = register.accepted;
        if self.chosen.contains_key(&ballot) {
            return;
        }
        let holders = self.holders.entry(ballot).or_default();
        holders.insert(node);
        if holders.len() < majority_of(nodes) {
            return;
        }
        self.holders.remove(&ballot);
        let from_lower = self.chosen.range(..ballot).all(|(_, older)| derives(register, older));
        let to_higher = self.chosen.range(ballot..).all(|(_, newer)| derives(newer, register));
        self.holds &= from_lower && to_higher;
        self.chosen.insert(ballot, register.clone());
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
