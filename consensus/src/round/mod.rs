//! The proposer: one round of CASPaxos on one key, for all operations that wait.
//!
//! A round goes through at most three phases. *Prepare* asks a majority for promises, each with its register.
//! *Fetch* happens only when the value's bytes turn out to be needed and were not asked for. *Accept* asks every
//! replica to store the register that the operations made of the one found; once a majority has, the round is
//! chosen and every operation gets its answer, not before. After the first Accept is sent nothing changes the
//! round any more: one ballot, one register.
//!
//! A replica that stays silent, or refuses, ends the round only when no majority is left without it. What failure
//! detection says of the silent ones counts too: where waiting for them is all that is left, and another round
//! could do without them, the round ends at once, or one frozen replica would hold up everyone who was outbid.
//!
//! Source: Denis Rystsov, "CASPaxos: Replicated State Machines without logs", arXiv:1802.07000, section 2.

mod head_start;
mod propose;
mod refusal;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use head_start::HeadStart;
pub use refusal::RoundFailure;
use refusal::{Refusal, Word, is_stalled, refused};

use crate::apply::Proposal;
use crate::ballot::{Ballot, Hlc};
use crate::history::HistoryLimits;
use crate::ids::NodeIndex;
use crate::message::{ReplyBody, RequestBody};
use crate::operation::{Answer, Change, Operation};
use crate::quorum::{ReplicaSet, Tally};
use crate::register::Register;

/// The caller's name for one operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);

/// An operation on its way.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Slot {
    /// Whom to answer.
    pub token: Token,
    /// What to do, and what was tried.
    pub proposal: Proposal,
}

/// What a round wants done, and what it has to tell. Messages go out in order.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct RoundOutput {
    /// Messages to send.
    pub sends: Vec<(NodeIndex, RequestBody)>,
    /// Operations answered before the end: reads and refusals that rest on phase one alone.
    pub early: Vec<(Token, Answer)>,
}

/// How far a round has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// Waiting for replies.
    Running,
    /// Over: these operations have these answers, and a majority holds the register.
    Chosen(Vec<(Token, Answer)>),
    /// Over without a majority: these operations want another round.
    Failed {
        /// The operations, with this round among their attempts if its Accept was sent.
        slots: Vec<Slot>,
        /// What stood in the way.
        reason: RoundFailure,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Phase {
    /// Asking for promises.
    Prepare {
        asked: Vec<NodeIndex>,
        tally: Tally<Word<Register>>,
    },
    /// Asking for the bytes of the value found: `sources` are left to ask, `waiting` have not answered.
    Fetch {
        found: Register,
        sources: Vec<NodeIndex>,
        waiting: Vec<NodeIndex>,
    },
    /// Asking to store the proposal.
    Accept {
        answers: Vec<Answer>,
        register: Arc<Register>,
        sent: Vec<NodeIndex>,
        /// Those that accepted, each with whether it promised the next ballot too.
        tally: Tally<Word<bool>>,
    },
    Over,
}

/// Which of a round's messages one was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// A Prepare.
    Prepare,
    /// A Fetch.
    Fetch,
    /// An Accept.
    Accept,
}

/// One round.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Round {
    ballot: Ballot,
    replicas: Arc<ReplicaSet>,
    limits: HistoryLimits,
    slots: Vec<Slot>,
    /// Slots from here on joined after Prepare was sent: they are never answered early.
    joined_from: usize,
    /// The value's bytes are asked for along with promises.
    want_value: bool,
    /// The promises are asked for a round that may make the data larger.
    grows: bool,
    /// The reading of the next ballot, whose promise is asked for along with the Accept.
    next: Option<Hlc>,
    /// It may be asked for, and from the Accept on: it was asked for, on a key that nobody had written lately.
    guesses: bool,
    /// The nodes' disks have no room: nothing that grows the data is applied.
    no_room: bool,
    phase: Phase,
    /// What a chosen round leaves for the key's next one.
    head_start: Option<HeadStart>,
}

/// What a new round needs to know.
#[derive(Debug, Clone)]
pub struct RoundPlan {
    /// Its ballot: never used before on this key.
    pub ballot: Ballot,
    /// Who decides.
    pub replicas: Arc<ReplicaSet>,
    /// How much history the register carries on.
    pub limits: HistoryLimits,
    /// The operations that wait.
    pub slots: Vec<Slot>,
    /// Ask for the value's bytes even if no operation is known to need them.
    pub want_value: bool,
    /// The reading of this proposer's next ballot on the key, never used before: its promise is asked for along with
    /// the Accept if the key was written lately by this proposer alone.
    pub next: Option<Hlc>,
    /// It is also asked for if nobody wrote the key lately.
    pub guesses: bool,
    /// The nodes' disks have no room: operations in doubt are settled, and none that grows the data is applied.
    pub no_room: bool,
}

impl Round {
    /// Starts a round by asking the cheapest majority, `usable` nodes first, for promises; the first of them for
    /// the value's bytes too, if they are likely to be needed.
    pub fn start(plan: RoundPlan, usable: impl Fn(NodeIndex) -> bool, out: &mut RoundOutput) -> Self {
        let RoundPlan { ballot, replicas, limits, slots, want_value, next, guesses, no_room } = plan;
        let any = |is: fn(&Change) -> bool| slots.iter().any(|slot| is(&slot.proposal.operation.change));
        let mut round = Self {
            ballot,
            limits,
            joined_from: slots.len(),
            want_value: want_value || any(Change::wants_value),
            grows: any(Change::grows) && !no_room,
            next,
            guesses,
            no_room,
            slots,
            phase: Phase::Prepare { asked: Vec::new(), tally: Tally::default() },
            head_start: None,
            replicas,
        };
        let first = round.replicas.first_quorum(usable);
        for (place, node) in first.into_iter().enumerate() {
            round.prepare(node, round.want_value && place == 0, out);
        }
        round
    }

    /// This round's ballot.
    #[must_use]
    pub fn ballot(&self) -> Ballot {
        self.ballot
    }

    /// Who decides this round.
    #[must_use]
    pub fn replicas(&self) -> &Arc<ReplicaSet> {
        &self.replicas
    }

    /// Whether it applies nothing that grows the data.
    #[must_use]
    pub fn has_no_room(&self) -> bool {
        self.no_room
    }

    /// Whether an Accept was sent: from then on every operation in the round is in doubt until it is chosen.
    #[must_use]
    pub fn is_accepting(&self) -> bool {
        matches!(self.phase, Phase::Accept { .. })
    }

    /// Whether no operation is left whose answer anyone waits for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Operations that can't have taken effect: no Accept that was sent, by this round or an earlier one, carried
    /// an effect of theirs. Reads are among them, and changes that the proposal refuses.
    pub fn never_sent(&self) -> impl Iterator<Item = Token> {
        self.slots.iter().filter(|slot| slot.proposal.attempts.is_empty()).map(|slot| slot.token)
    }

    /// Whether an Accept that was sent, by this round or an earlier one, may make an operation effective. Of an
    /// operation that is not in the round nothing better is known.
    #[must_use]
    pub fn is_in_doubt(&self, token: Token) -> bool {
        let slot = self.slots.iter().find(|slot| slot.token == token);
        slot.is_none_or(|slot| !slot.proposal.attempts.is_empty())
    }

    /// Takes one more operation while phase one runs.
    ///
    /// Gives the operation back when the round has left phase one, is full, or is older than the operation; or when
    /// it did not ask for what the operation needs: the value's bytes, promises of nodes with room on their disks.
    /// A read is better off with a quorum read, which writes nothing.
    pub fn join(&mut self, slot: Slot, slots_max: usize) -> Option<Slot> {
        let Operation { change, client_key, .. } = &slot.proposal.operation;
        let preparing = matches!(self.phase, Phase::Prepare { .. });
        let born = client_key.is_none_or(|key| key.birth_ballot() <= self.ballot);
        let suits = *change != Change::Read
            && (self.want_value || !change.wants_value())
            && (self.grows || !change.grows());
        let keyed =
            || self.slots.iter().filter(|other| other.proposal.operation.client_key.is_some()).count();
        let room = self.slots.len() < slots_max
            && (client_key.is_none() || keyed() < HistoryLimits::KEYED_OPS_PER_ROUND);
        if preparing && born && suits && room {
            self.slots.push(slot);
            None
        } else {
            Some(slot)
        }
    }

    /// Takes an operation out that nobody waits for any more. `None` when its Accept was sent: it stays in the round,
    /// and may be in doubt.
    pub fn withdraw(&mut self, token: Token) -> Option<Slot> {
        if self.is_accepting() {
            return None;
        }
        let place = self.slots.iter().position(|slot| slot.token == token)?;
        if place < self.joined_from {
            self.joined_from -= 1;
        }
        Some(self.slots.remove(place))
    }

    /// Goes on although replicas are slow, or have become usable or unusable: asks further ones, or gives up where
    /// another round has better chances.
    pub fn widen(&mut self, usable: impl Fn(NodeIndex) -> bool, out: &mut RoundOutput) -> Progress {
        match &self.phase {
            Phase::Prepare { .. } => self.prepare_further(&usable, out),
            Phase::Fetch { .. } => return self.fetch_next(usable, out),
            Phase::Accept { .. } => self.accept_further(&usable, out),
            Phase::Over => {}
        }
        self.give_up_if_stalled(usable)
    }

    /// Takes a replica's reply to a message of this round. `now_ms` is the corrected clock. A reply to a message of
    /// an earlier phase no longer matters.
    ///
    /// A promise that no sound replica gives, from one that has accepted this ballot or a higher one, counts as no
    /// answer.
    pub fn on_reply(
        &mut self,
        now_ms: u64,
        from: NodeIndex,
        step: Step,
        reply: ReplyBody,
        usable: impl Fn(NodeIndex) -> bool,
        out: &mut RoundOutput,
    ) -> Progress {
        match (&mut self.phase, step, reply) {
            (Phase::Prepare { tally, .. }, Step::Prepare, ReplyBody::Promised(register)) => {
                let sound = register.accepted < self.ballot && register.version.ballot <= register.accepted;
                tally.insert(from, if sound { Ok(register) } else { Err(Refusal::Lost) });
            }
            (Phase::Prepare { tally, .. }, Step::Prepare, ReplyBody::Rejected(why)) => {
                tally.insert(from, Err(Refusal::Rejected(why)));
            }
            (Phase::Fetch { found, .. }, Step::Fetch, ReplyBody::Fetched(Some(register)))
                if register.accepted == found.accepted && register.content.value().is_some() =>
            {
                *found = register;
                return self.propose(now_ms, usable, out);
            }
            (Phase::Fetch { .. }, Step::Fetch, ReplyBody::Fetched(_) | ReplyBody::Rejected(_)) => {
                return self.fetch_failed(from, usable, out);
            }
            (Phase::Accept { tally, .. }, Step::Accept, ReplyBody::Accepted { next_promised }) => {
                tally.insert(from, Ok(next_promised));
            }
            (Phase::Accept { tally, .. }, Step::Accept, ReplyBody::Rejected(why)) => {
                tally.insert(from, Err(Refusal::Rejected(why)));
            }
            _ => return Progress::Running,
        }
        self.advance(now_ms, usable, out)
    }

    /// Learns that a message of this round to a replica, or its answer, is lost for good. The loss of a message
    /// of an earlier phase no longer matters.
    pub fn on_lost(
        &mut self,
        now_ms: u64,
        node: NodeIndex,
        step: Step,
        usable: impl Fn(NodeIndex) -> bool,
        out: &mut RoundOutput,
    ) -> Progress {
        match (&mut self.phase, step) {
            (Phase::Prepare { tally, .. }, Step::Prepare) => tally.insert(node, Err(Refusal::Lost)),
            (Phase::Fetch { .. }, Step::Fetch) => return self.fetch_failed(node, usable, out),
            (Phase::Accept { tally, .. }, Step::Accept) => tally.insert(node, Err(Refusal::Lost)),
            _ => return Progress::Running,
        }
        self.advance(now_ms, usable, out)
    }

    /// Goes on when a majority has spoken, asks more replicas when those asked can't be one, gives up when none can.
    fn advance(
        &mut self,
        now_ms: u64,
        usable: impl Fn(NodeIndex) -> bool,
        out: &mut RoundOutput,
    ) -> Progress {
        match &self.phase {
            Phase::Prepare { tally, asked } => {
                if self.replicas.is_quorum(|node| matches!(tally.get(node), Some(Ok(_)))) {
                    return self.promised(now_ms, usable, out);
                }
                if !self.replicas.is_quorum(|node| !refused(tally, node)) {
                    return self.fail(RoundFailure::of(&self.replicas, tally, &usable));
                }
                if !self.replicas.is_quorum(|node| asked.contains(&node) && !refused(tally, node)) {
                    self.prepare_further(&usable, out);
                }
            }
            Phase::Accept { tally, sent, .. } => {
                if self.replicas.is_quorum(|node| matches!(tally.get(node), Some(Ok(_)))) {
                    return self.chosen();
                }
                if !self.replicas.is_quorum(|node| !refused(tally, node)) {
                    return self.fail(RoundFailure::of(&self.replicas, tally, &usable));
                }
                if !self.replicas.is_quorum(|node| sent.contains(&node) && !refused(tally, node)) {
                    self.accept_further(|_| true, out);
                }
            }
            Phase::Fetch { .. } | Phase::Over => return Progress::Running,
        }
        self.give_up_if_stalled(usable)
    }

    /// Asks every replica not asked yet: `usable` ones, or all when those are no majority.
    fn prepare_further(&mut self, usable: impl Fn(NodeIndex) -> bool, out: &mut RoundOutput) {
        let Phase::Prepare { asked, tally } = &self.phase else { return };
        let enough = self.replicas.is_quorum(|node| usable(node) && !refused(tally, node));
        let further: Vec<NodeIndex> = (self.replicas.members().iter().copied())
            .filter(|node| !asked.contains(node) && (!enough || usable(*node)))
            .collect();
        for node in further {
            self.prepare(node, self.want_value, out);
        }
    }

    fn prepare(&mut self, node: NodeIndex, want_value: bool, out: &mut RoundOutput) {
        if let Phase::Prepare { asked, .. } = &mut self.phase {
            asked.push(node);
            let body = RequestBody::Prepare { ballot: self.ballot, want_value, grows: self.grows };
            out.sends.push((node, body));
        }
    }

    fn give_up_if_stalled(&mut self, usable: impl Fn(NodeIndex) -> bool) -> Progress {
        let failure = match &self.phase {
            Phase::Prepare { tally, .. } if is_stalled(&self.replicas, tally, &usable) => {
                RoundFailure::of(&self.replicas, tally, &usable)
            }
            Phase::Accept { tally, .. } if is_stalled(&self.replicas, tally, &usable) => {
                RoundFailure::of(&self.replicas, tally, &usable)
            }
            _ => return Progress::Running,
        };
        self.fail(failure)
    }

    fn fail(&mut self, reason: RoundFailure) -> Progress {
        self.phase = Phase::Over;
        Progress::Failed { slots: std::mem::take(&mut self.slots), reason }
    }
}
