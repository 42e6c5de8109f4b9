//! Messages under way.

use std::collections::{BTreeMap, BTreeSet};

use roundtable_consensus::{RequestBody, Step};

/// Which message: a proposer sends each kind once to a node in one piece of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Letter {
    /// The proposer.
    pub from: usize,
    /// Its how-manieth round or read.
    pub work: u64,
    /// The step of a round; nothing for the first question of a read.
    pub step: Option<Step>,
    /// The node.
    pub to: usize,
}

/// What was sent and has not arrived, and whose replies are still waited for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Network {
    pub(crate) under_way: BTreeMap<Letter, RequestBody>,
    pub(crate) awaited: BTreeSet<Letter>,
}

impl Network {
    pub(crate) fn send(&mut self, letter: Letter, body: RequestBody) {
        self.awaited.insert(letter);
        self.under_way.insert(letter, body);
    }

    /// A proposer is through with a piece of work: it waits for nothing any more. Its Accepts may still arrive, and
    /// so may its Prepares; a late question changes nothing.
    pub(crate) fn abandon(&mut self, from: usize, work: u64) {
        let old = |letter: &Letter| letter.from == from && letter.work == work;
        self.awaited.retain(|letter| !old(letter));
        self.under_way.retain(|letter, body| {
            !old(letter) || !matches!(body, RequestBody::Read { .. } | RequestBody::Fetch { .. })
        });
    }
}
