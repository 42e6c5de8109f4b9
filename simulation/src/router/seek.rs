//! A router that doesn't know its cluster yet: it asks all nodes of its file until their answers decide.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use roundtable_common::wire::decode_hello;
use roundtable_consensus::{Adopted, Configuration, Hello, NodeId};
use roundtable_router::topology::choose;

/// The pause between two times that all nodes are asked.
const PAUSE_US: u64 = 200_000;

#[derive(Debug, Default)]
pub(super) struct Seek {
    hellos: BTreeMap<NodeId, Hello>,
    /// Questions without an answer, each with the node that was asked.
    asked: BTreeMap<u64, NodeId>,
    /// When all nodes are asked again.
    next_us: u64,
}

impl Seek {
    /// When the nodes are to be asked; nothing while they are.
    pub(super) fn next_timer_us(&self) -> Option<u64> {
        self.asked.is_empty().then_some(self.next_us)
    }

    /// Whether the nodes are to be asked now: under these numbers.
    pub(super) fn begin(
        &mut self,
        now_us: u64,
        file: &Configuration,
        ids: &mut impl Iterator<Item = u64>,
    ) -> bool {
        if !self.asked.is_empty() || self.next_us > now_us {
            return false;
        }
        self.hellos.clear();
        self.asked = ids.zip(file.ids().cloned()).collect();
        true
    }

    /// The questions that are to be sent.
    pub(super) fn questions(&self) -> BTreeSet<u64> {
        self.asked.keys().copied().collect()
    }

    /// Takes an answer, or learns that there will be none. Returns what is decided.
    pub(super) fn on_answer(
        &mut self,
        now_us: u64,
        file: &Configuration,
        id: u64,
        answer: Option<Bytes>,
    ) -> Option<Adopted> {
        let node = self.asked.remove(&id)?;
        if let Some(hello) = answer.and_then(|body| decode_hello(body).ok()) {
            self.hellos.insert(node, hello);
        }
        let everyone_asked = self.asked.is_empty();
        if everyone_asked {
            self.next_us = now_us + PAUSE_US;
        }
        choose(file, &self.hellos, everyone_asked).ok()
    }
}
