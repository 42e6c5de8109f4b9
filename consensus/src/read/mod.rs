//! The reader: a linearizable read in one round trip, where the replicas agree.
//!
//! A majority is asked, one of them for the value, the others for ballots alone. If a majority report the same
//! accepted ballot, that register is chosen and current: one trip, nothing written. A further replica is asked
//! when one is slow or disagrees; when no majority can agree any more, the read needs an identity round.
//! "Absent" and "tombstone", and two tombstones, are different ballots.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::ballot::Ballot;
use crate::ids::NodeIndex;
use crate::message::{ReplyBody, RequestBody};
use crate::quorum::{ReplicaSet, Tally};
use crate::register::{Content, Register};

/// How far a read has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadProgress {
    /// Waiting for replies.
    Running,
    /// The chosen register, without its history; its value is here if it has one. Whether it has expired is the
    /// caller's question.
    Agreed(Box<Register>),
    /// The replicas do not agree: an identity round must settle the key.
    NeedsRound,
    /// No majority answered.
    Unreachable,
}

/// One read of one key, for everyone who asked before it was sent.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct QuorumRead {
    replicas: Arc<ReplicaSet>,
    asked: Vec<NodeIndex>,
    /// The register each replica reported; `None` for a replica that refused or is lost.
    tally: Tally<Option<Register>>,
    fetching: Option<Fetching>,
}

/// A ballot is agreed, and its value's bytes are asked of replicas that reported it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Fetching {
    ballot: Ballot,
    /// Replicas left to ask.
    sources: Vec<NodeIndex>,
    /// Replicas asked that have not answered.
    waiting: Vec<NodeIndex>,
}

impl QuorumRead {
    /// Asks the cheapest majority, `usable` nodes first; the first of them for the value.
    pub fn start(
        replicas: Arc<ReplicaSet>,
        usable: impl Fn(NodeIndex) -> bool,
        sends: &mut Vec<(NodeIndex, RequestBody)>,
    ) -> Self {
        let asked = replicas.first_quorum(usable);
        for (place, node) in asked.iter().enumerate() {
            sends.push((*node, RequestBody::Read { want_value: place == 0 }));
        }
        Self { replicas, asked, tally: Tally::default(), fetching: None }
    }

    /// Who decides this read.
    #[must_use]
    pub fn replicas(&self) -> &ReplicaSet {
        &self.replicas
    }

    /// Goes on although replicas are slow, or have become usable or unusable: asks further ones, or settles for a
    /// round if all were asked and a majority has answered, or could answer a round.
    pub fn widen(
        &mut self,
        usable: impl Fn(NodeIndex) -> bool,
        sends: &mut Vec<(NodeIndex, RequestBody)>,
    ) -> ReadProgress {
        if self.fetching.is_some() {
            return self.fetch_next(sends);
        }
        let asked_further = self.ask_further(&usable, sends);
        let answered = self.replicas.is_quorum(|node| self.reported(node).is_some());
        if (!asked_further && answered) || self.is_stalled(usable) {
            return ReadProgress::NeedsRound;
        }
        ReadProgress::Running
    }

    /// Takes a replica's reply.
    pub fn on_reply(
        &mut self,
        from: NodeIndex,
        reply: ReplyBody,
        usable: impl Fn(NodeIndex) -> bool,
        sends: &mut Vec<(NodeIndex, RequestBody)>,
    ) -> ReadProgress {
        match reply {
            ReplyBody::State(register) => self.tally.insert(from, Some(register)),
            ReplyBody::Fetched(register) => return self.on_fetched(from, register, sends),
            ReplyBody::Rejected(_) => return self.on_lost(from, usable, sends),
            ReplyBody::Promised(_) | ReplyBody::Accepted { .. } => return ReadProgress::Running,
        }
        self.advance(usable, sends)
    }

    /// Learns that the question to a replica, or its answer, is lost. A replica that is asked for the bytes has
    /// answered the first question before, so there is no doubt which of the two it was.
    pub fn on_lost(
        &mut self,
        node: NodeIndex,
        usable: impl Fn(NodeIndex) -> bool,
        sends: &mut Vec<(NodeIndex, RequestBody)>,
    ) -> ReadProgress {
        if self.fetching.as_ref().is_some_and(|fetching| fetching.waiting.contains(&node)) {
            return self.on_fetched(node, None, sends);
        }
        self.tally.insert(node, None);
        self.advance(usable, sends)
    }

    fn reported(&self, node: NodeIndex) -> Option<&Register> {
        self.tally.get(node).and_then(Option::as_ref)
    }

    fn advance(
        &mut self,
        usable: impl Fn(NodeIndex) -> bool,
        sends: &mut Vec<(NodeIndex, RequestBody)>,
    ) -> ReadProgress {
        if let Some(ballot) = self.agreed() {
            return self.agree_on(ballot, sends);
        }
        let silent = |node: NodeIndex| self.tally.get(node).is_none();
        if !self.replicas.is_quorum(|node| self.reported(node).is_some() || silent(node)) {
            return ReadProgress::Unreachable;
        }
        let answered = self.replicas.is_quorum(|node| self.reported(node).is_some());
        // A replica that is not usable may never answer: no reason to wait for its vote once a round can run.
        let may_agree = (self.tally.iter().filter_map(|(_, word)| word.as_ref())).any(|candidate| {
            self.replicas.is_quorum(|node| match self.tally.get(node) {
                Some(word) => word.as_ref().is_some_and(|register| register.accepted == candidate.accepted),
                None => usable(node),
            })
        });
        if (answered && !may_agree) || self.is_stalled(&usable) {
            return ReadProgress::NeedsRound;
        }
        let awaited = |node| self.asked.contains(&node) && (self.reported(node).is_some() || silent(node));
        if answered || !self.replicas.is_quorum(awaited) {
            self.ask_further(usable, sends);
        }
        ReadProgress::Running
    }

    /// Whether a majority needs a replica that is silent and not usable, while a round could do without: one that
    /// was lost is usable again.
    fn is_stalled(&self, usable: impl Fn(NodeIndex) -> bool) -> bool {
        let hopeful = |node| match self.tally.get(node) {
            Some(word) => word.is_some(),
            None => usable(node),
        };
        !self.replicas.is_quorum(hopeful)
            && self.replicas.is_quorum(|node| self.reported(node).is_some() || usable(node))
    }

    /// Asks every replica not asked yet: usable ones, or all where those are no majority. Tells whether any was.
    fn ask_further(
        &mut self,
        usable: impl Fn(NodeIndex) -> bool,
        sends: &mut Vec<(NodeIndex, RequestBody)>,
    ) -> bool {
        let refused = |node| matches!(self.tally.get(node), Some(None));
        let enough = self.replicas.is_quorum(|node| usable(node) && !refused(node));
        let further: Vec<NodeIndex> = (self.replicas.members().iter().copied())
            .filter(|node| !self.asked.contains(node) && (!enough || usable(*node)))
            .collect();
        for node in &further {
            sends.push((*node, RequestBody::Read { want_value: true }));
        }
        self.asked.extend(&further);
        !further.is_empty()
    }

    /// The accepted ballot that a majority report, in each set of replicas the same.
    fn agreed(&self) -> Option<Ballot> {
        let reports = self.tally.iter().filter_map(|(_, word)| word.as_ref());
        reports.map(|register| register.accepted).find(|ballot| {
            self.replicas.is_quorum(|node| self.reported(node).is_some_and(|r| r.accepted == *ballot))
        })
    }

    fn agree_on(&mut self, ballot: Ballot, sends: &mut Vec<(NodeIndex, RequestBody)>) -> ReadProgress {
        let copies = (self.tally.iter())
            .filter_map(|(node, word)| Some((node, word.as_ref()?)))
            .filter(|(_, register)| register.accepted == ballot);
        let whole = copies.clone().find(|(_, r)| !matches!(r.content, Content::Withheld { .. }));
        if let Some((_, register)) = whole {
            return ReadProgress::Agreed(Box::new(register.told()));
        }
        if self.fetching.is_some() {
            return ReadProgress::Running;
        }
        let sources = copies.map(|(node, _)| node).collect();
        self.fetching = Some(Fetching { ballot, sources, waiting: Vec::new() });
        self.fetch_next(sends)
    }

    fn on_fetched(
        &mut self,
        from: NodeIndex,
        register: Option<Register>,
        sends: &mut Vec<(NodeIndex, RequestBody)>,
    ) -> ReadProgress {
        let Some(fetching) = &mut self.fetching else { return ReadProgress::Running };
        fetching.waiting.retain(|node| *node != from);
        let whole = |register: &Register| {
            register.accepted == fetching.ballot && !matches!(register.content, Content::Withheld { .. })
        };
        match register.filter(whole) {
            Some(register) => ReadProgress::Agreed(Box::new(register.without_history())),
            None => self.fetch_next(sends),
        }
    }

    fn fetch_next(&mut self, sends: &mut Vec<(NodeIndex, RequestBody)>) -> ReadProgress {
        let Some(fetching) = &mut self.fetching else { return ReadProgress::Running };
        if fetching.sources.is_empty() {
            return ReadProgress::NeedsRound;
        }
        let node = fetching.sources.remove(0);
        fetching.waiting.push(node);
        sends.push((node, RequestBody::Fetch { accepted: fetching.ballot }));
        ReadProgress::Running
    }
}
