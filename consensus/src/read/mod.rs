//! The reader: a linearizable read in one round trip, where the replicas agree.
//!
//! A majority is asked, one of them for the value, the others for ballots alone. If a majority report the same
//! accepted ballot, that register is chosen and current: one trip, nothing written. A further replica is asked
//! when one is slow or disagrees; when no majority can agree any more, the read needs an identity round.
//! "Absent" and "tombstone", and two tombstones, are different ballots.

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
    /// The chosen register; its value is here if it has one. Whether it has expired is the caller's question.
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
    /// The ballot that is agreed, while its value's bytes are fetched from replicas that reported it.
    fetching: Option<(Ballot, Vec<NodeIndex>)>,
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

    /// Goes on although a replica is slow: asks further ones, or settles for a round if all were asked and a
    /// majority has answered.
    pub fn widen(
        &mut self,
        usable: impl Fn(NodeIndex) -> bool,
        sends: &mut Vec<(NodeIndex, RequestBody)>,
    ) -> ReadProgress {
        if self.fetching.is_some() {
            return self.fetch_next(sends);
        }
        let answered = self.replicas.is_quorum(|node| self.reported(node).is_some());
        if !self.ask_further(usable, sends) && answered {
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
            ReplyBody::Rejected(_) if self.fetching.is_none() => self.tally.insert(from, None),
            ReplyBody::Fetched(register) => return self.on_fetched(register, sends),
            ReplyBody::Rejected(_) => return self.fetch_next(sends),
            ReplyBody::Promised(_) | ReplyBody::Accepted { .. } => return ReadProgress::Running,
        }
        self.advance(usable, sends)
    }

    /// Learns that the question to a replica, or its answer, is lost.
    pub fn on_lost(
        &mut self,
        node: NodeIndex,
        usable: impl Fn(NodeIndex) -> bool,
        sends: &mut Vec<(NodeIndex, RequestBody)>,
    ) -> ReadProgress {
        if self.fetching.is_some() {
            return self.fetch_next(sends);
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
        if self.fetching.is_some() {
            return ReadProgress::Running;
        }
        if let Some(ballot) = self.agreed() {
            return self.agree_on(ballot, sends);
        }
        let answered = self.replicas.is_quorum(|node| self.reported(node).is_some());
        let silent = |node: NodeIndex| self.tally.get(node).is_none();
        if !self.replicas.is_quorum(|node| self.reported(node).is_some() || silent(node)) {
            return ReadProgress::Unreachable;
        }
        // A replica that is not usable may never answer: no reason to wait for its vote once a round can run.
        let may_agree = (self.tally.iter().filter_map(|(_, word)| word.as_ref())).any(|candidate| {
            self.replicas.is_quorum(|node| match self.tally.get(node) {
                Some(word) => word.as_ref().is_some_and(|register| register.accepted == candidate.accepted),
                None => usable(node),
            })
        });
        if answered && !may_agree {
            return ReadProgress::NeedsRound;
        }
        let awaited = |node| self.asked.contains(&node) && (self.reported(node).is_some() || silent(node));
        if answered || !self.replicas.is_quorum(awaited) {
            self.ask_further(usable, sends);
        }
        ReadProgress::Running
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
        let ballots =
            self.tally.iter().filter_map(|(_, word)| word.as_ref().map(|register| register.accepted));
        ballots.into_iter().find(|ballot| {
            self.replicas.is_quorum(|node| self.reported(node).is_some_and(|r| r.accepted == *ballot))
        })
    }

    fn agree_on(&mut self, ballot: Ballot, sends: &mut Vec<(NodeIndex, RequestBody)>) -> ReadProgress {
        let copies =
            self.tally.iter().filter_map(|(node, word)| word.as_ref().map(|register| (node, register)));
        let copies = copies.filter(|(_, register)| register.accepted == ballot);
        if let Some((_, whole)) = copies.clone().find(|(_, r)| !matches!(r.content, Content::Withheld { .. }))
        {
            return ReadProgress::Agreed(Box::new(whole.clone()));
        }
        let sources = copies.map(|(node, _)| node).collect();
        self.fetching = Some((ballot, sources));
        self.fetch_next(sends)
    }

    fn on_fetched(
        &mut self,
        register: Option<Register>,
        sends: &mut Vec<(NodeIndex, RequestBody)>,
    ) -> ReadProgress {
        match (&self.fetching, register) {
            (Some((ballot, _)), Some(register)) if register.accepted == *ballot => {
                ReadProgress::Agreed(Box::new(register))
            }
            (Some(_), _) => self.fetch_next(sends),
            (None, _) => ReadProgress::Running,
        }
    }

    fn fetch_next(&mut self, sends: &mut Vec<(NodeIndex, RequestBody)>) -> ReadProgress {
        let Some((ballot, sources)) = &mut self.fetching else { return ReadProgress::Running };
        if sources.is_empty() {
            return ReadProgress::NeedsRound;
        }
        sends.push((sources.remove(0), RequestBody::Fetch { accepted: *ballot }));
        ReadProgress::Running
    }
}
