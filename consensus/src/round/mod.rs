//! The proposer: one round of CASPaxos on one key, for all operations that wait.
//!
//! A round goes through at most three phases. *Prepare* asks a majority for promises, each with its register.
//! *Fetch* happens only when the value's bytes turn out to be needed and were not asked for. *Accept* asks every
//! replica to store the register that the operations made of the one found; once a majority has, the round is
//! chosen and every operation gets its answer, not before. After the first Accept is sent nothing changes the
//! round any more: one ballot, one register.
//!
//! A replica that stays silent, or refuses, ends the round only when no majority is left without it.
//!
//! Source: Denis Rystsov, "CASPaxos: Replicated State Machines without logs", arXiv:1802.07000, section 2.

use std::sync::Arc;

use crate::apply::{Applied, Attempt, Proposal, RoundContext, apply, refusal};
use crate::ballot::Ballot;
use crate::history::HistoryLimits;
use crate::ids::NodeIndex;
use crate::message::{Rejection, ReplyBody, RequestBody};
use crate::operation::{Answer, Change};
use crate::quorum::{ReplicaSet, Tally};
use crate::register::{Content, Register};

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

/// Everything that kept a majority away; several things may have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RoundFailure {
    /// The highest ballot that a replica holds.
    pub outbid: Option<Ballot>,
    /// The last millisecond that a majority would take; set only when refused clocks made a majority impossible.
    pub skew_limit_ms: Option<u64>,
    /// A replica is below its disk reserve.
    pub disk_reserve: bool,
    /// A replica is overloaded, or does not vote.
    pub unwilling: bool,
    /// A replica could not be asked, or its answer was lost.
    pub lost: bool,
    /// The value's bytes were gone from every replica that reported them: ask for them at once next time.
    pub value_moved: bool,
}

/// What a replica said in a phase: yes with something, or no.
type Word<T> = Result<T, Refusal>;

/// Why a replica counts against the majority.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Refusal {
    Rejected(Rejection),
    Lost,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Phase {
    Prepare { asked: Vec<NodeIndex>, tally: Tally<Word<Register>> },
    Fetch { found: Register, sources: Vec<NodeIndex>, waiting: u32 },
    Accept { answers: Vec<Answer>, register: Register, tally: Tally<Word<bool>> },
    Over,
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
    phase: Phase,
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
}

impl Round {
    /// Starts a round by asking the cheapest majority, `usable` nodes first, for promises.
    pub fn start(plan: RoundPlan, usable: impl Fn(NodeIndex) -> bool, out: &mut RoundOutput) -> Self {
        let RoundPlan { ballot, replicas, limits, slots, want_value } = plan;
        let want_value = want_value || slots.iter().any(|slot| slot.proposal.operation.change.wants_value());
        let mut round = Self {
            ballot,
            joined_from: slots.len(),
            limits,
            slots,
            phase: Phase::Prepare { asked: Vec::new(), tally: Tally::default() },
            replicas,
        };
        for (place, node) in round.replicas.first_quorum(usable).into_iter().enumerate() {
            round.prepare(node, want_value && place == 0, out);
        }
        round
    }

    /// This round's ballot.
    #[must_use]
    pub fn ballot(&self) -> Ballot {
        self.ballot
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

    /// Takes one more operation while phase one runs.
    ///
    /// # Errors
    /// Gives the operation back when the round has left phase one, is full, or is older than the operation.
    pub fn join(&mut self, slot: Slot, slots_max: usize) -> Result<(), Slot> {
        let key = slot.proposal.operation.client_key;
        let preparing = matches!(self.phase, Phase::Prepare { .. });
        let born = key.is_none_or(|key| key.birth_ballot() <= self.ballot);
        let keyed = self.slots.iter().filter(|other| other.proposal.operation.client_key.is_some()).count();
        let room =
            self.slots.len() < slots_max && (key.is_none() || keyed < HistoryLimits::KEYED_OPS_PER_ROUND);
        // What the operation needs must have been asked for already, or the round would pay an extra trip for it.
        if preparing && born && room && !slot.proposal.operation.change.wants_value() {
            self.slots.push(slot);
            Ok(())
        } else {
            Err(slot)
        }
    }

    /// Takes an operation out that nobody waits for any more. `None` when its Accept was sent: it stays in doubt.
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

    /// Asks further replicas because those asked are slow: `usable` ones, or all when those are no majority.
    pub fn widen(&mut self, usable: impl Fn(NodeIndex) -> bool, out: &mut RoundOutput) {
        match &mut self.phase {
            Phase::Prepare { asked, tally } => {
                let refused = |node| matches!(tally.get(node), Some(Err(_)));
                let enough = self.replicas.is_quorum(|node| usable(node) && !refused(node));
                let further: Vec<NodeIndex> = (self.replicas.members().iter().copied())
                    .filter(|node| !asked.contains(node) && (!enough || usable(*node)))
                    .collect();
                for node in further {
                    self.prepare(node, false, out);
                }
            }
            Phase::Fetch { found, sources, waiting } => fetch(found, sources, waiting, out),
            Phase::Accept { .. } | Phase::Over => {}
        }
    }

    /// Takes a replica's reply to a message of this round. `now_ms` is the corrected clock.
    ///
    /// A promise from a replica that has accepted this ballot or a higher one breaks the protocol: it counts as
    /// no answer.
    pub fn on_reply(
        &mut self,
        now_ms: u64,
        from: NodeIndex,
        reply: ReplyBody,
        usable: impl Fn(NodeIndex) -> bool,
        out: &mut RoundOutput,
    ) -> Progress {
        match (&mut self.phase, reply) {
            (Phase::Prepare { tally, .. }, ReplyBody::Promised(register)) => {
                let sound = register.accepted < self.ballot;
                tally.insert(from, if sound { Ok(register) } else { Err(Refusal::Lost) });
            }
            (Phase::Prepare { tally, .. }, ReplyBody::Rejected(why)) => {
                tally.insert(from, Err(Refusal::Rejected(why)));
            }
            (Phase::Fetch { found, .. }, ReplyBody::Fetched(Some(register)))
                if register.accepted == found.accepted && register.content.value().is_some() =>
            {
                *found = register;
                return self.propose(now_ms, usable, out);
            }
            (Phase::Fetch { .. }, ReplyBody::Fetched(_) | ReplyBody::Rejected(_)) => {
                return self.fetch_failed(out);
            }
            (Phase::Accept { tally, .. }, ReplyBody::Accepted { next_promised }) => {
                tally.insert(from, Ok(next_promised));
            }
            (Phase::Accept { tally, .. }, ReplyBody::Rejected(why)) => {
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
        request: LostRequest,
        usable: impl Fn(NodeIndex) -> bool,
        out: &mut RoundOutput,
    ) -> Progress {
        match (&mut self.phase, request) {
            (Phase::Prepare { tally, .. }, LostRequest::Prepare) => tally.insert(node, Err(Refusal::Lost)),
            (Phase::Fetch { .. }, LostRequest::Fetch) => return self.fetch_failed(out),
            (Phase::Accept { tally, .. }, LostRequest::Accept) => tally.insert(node, Err(Refusal::Lost)),
            _ => return Progress::Running,
        }
        self.advance(now_ms, usable, out)
    }

    fn prepare(&mut self, node: NodeIndex, want_value: bool, out: &mut RoundOutput) {
        let grows = self.slots.iter().any(|slot| slot.proposal.operation.change.grows());
        if let Phase::Prepare { asked, .. } = &mut self.phase {
            asked.push(node);
            out.sends.push((node, RequestBody::Prepare { ballot: self.ballot, want_value, grows }));
        }
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
                let refused = |node| matches!(tally.get(node), Some(Err(_)));
                if self.replicas.is_quorum(|node| matches!(tally.get(node), Some(Ok(_)))) {
                    return self.promised(now_ms, usable, out);
                }
                if !self.replicas.is_quorum(|node| !refused(node)) {
                    let reason = self.failure(tally);
                    return self.fail(reason);
                }
                if !self.replicas.is_quorum(|node| asked.contains(&node) && !refused(node)) {
                    self.widen(usable, out);
                }
                Progress::Running
            }
            Phase::Accept { tally, .. } => {
                if self.replicas.is_quorum(|node| matches!(tally.get(node), Some(Ok(_)))) {
                    return self.chosen();
                }
                if !self.replicas.is_quorum(|node| !matches!(tally.get(node), Some(Err(_)))) {
                    let reason = self.failure(tally);
                    return self.fail(reason);
                }
                Progress::Running
            }
            Phase::Fetch { .. } | Phase::Over => Progress::Running,
        }
    }

    /// Phase one is complete: answers what rests on it alone, and proposes the rest.
    fn promised(
        &mut self,
        now_ms: u64,
        usable: impl Fn(NodeIndex) -> bool,
        out: &mut RoundOutput,
    ) -> Progress {
        let Phase::Prepare { tally, .. } = std::mem::replace(&mut self.phase, Phase::Over) else {
            unreachable!("called in phase one");
        };
        let promises =
            || tally.iter().filter_map(|(node, word)| word.as_ref().ok().map(|register| (node, register)));
        let found = highest(promises().map(|(_, register)| register));
        let holds_found =
            |node| matches!(tally.get(node), Some(Ok(register)) if register.accepted == found.accepted);
        if self.replicas.is_quorum(holds_found) {
            self.answer_early(now_ms, &found, out);
        }
        if self.slots.is_empty() {
            return Progress::Chosen(Vec::new());
        }
        let sources = promises().map(|(node, _)| node).filter(|node| holds_found(*node)).collect();
        self.phase = Phase::Fetch { found, sources, waiting: 0 };
        self.propose(now_ms, usable, out)
    }

    /// Answers reads and refusals that a majority at one accepted ballot proves. Only operations that were there
    /// before Prepare was sent, whose Accept was never sent, and whose refusal needs no record; and only against
    /// the register that was found, never after a change of this round.
    fn answer_early(&mut self, now_ms: u64, found: &Register, out: &mut RoundOutput) {
        let judge_ms = self.judge_ms(now_ms);
        let mut place = 0;
        let mut settled = 0;
        self.slots.retain(|slot| {
            let was_there = place < self.joined_from;
            place += 1;
            let Proposal { operation, attempts } = &slot.proposal;
            if !was_there || !attempts.is_empty() || operation.client_key.is_some() {
                return true;
            }
            let answer = if operation.change == Change::Read {
                let known = !matches!(found.content, Content::Withheld { .. }) && !found.is_expired(judge_ms);
                known.then(|| Answer::State(Box::new(found.clone().without_history())))
            } else {
                refusal(found, judge_ms, operation).map(Answer::Settled)
            };
            match answer {
                Some(answer) => {
                    settled += 1;
                    out.early.push((slot.token, answer));
                    false
                }
                None => true,
            }
        });
        self.joined_from -= settled;
    }

    /// Makes the register to propose and sends it to every replica, or fetches the bytes that are missing.
    /// Replicas that are not usable are passed over if the others are a majority.
    fn propose(
        &mut self,
        now_ms: u64,
        usable: impl Fn(NodeIndex) -> bool,
        out: &mut RoundOutput,
    ) -> Progress {
        let Phase::Fetch { found, sources, waiting } = &mut self.phase else {
            unreachable!("called with the register that was found");
        };
        let judge_ms = now_ms.min(self.ballot.hlc.millis());
        let context = RoundContext { ballot: self.ballot, judge_ms, limits: &self.limits };
        let Ok(Applied { register, answers }) = apply(found, context, self.slots.iter().map(|s| &s.proposal))
        else {
            fetch(found, sources, waiting, out);
            return if *waiting == 0 { self.fail_value_moved() } else { Progress::Running };
        };
        for (slot, answer) in self.slots.iter_mut().zip(&answers) {
            slot.proposal.attempts.push(Attempt { ballot: self.ballot, answer: answer.clone() });
        }
        let enough = self.replicas.is_quorum(&usable);
        let mut tally = Tally::default();
        for node in self.replicas.members() {
            if enough && !usable(*node) {
                tally.insert(*node, Err(Refusal::Lost));
            } else {
                out.sends.push((*node, RequestBody::Accept { register: register.clone(), want_next: false }));
            }
        }
        self.phase = Phase::Accept { answers, register, tally };
        Progress::Running
    }

    fn fetch_failed(&mut self, out: &mut RoundOutput) -> Progress {
        let Phase::Fetch { found, sources, waiting } = &mut self.phase else { return Progress::Running };
        *waiting = waiting.saturating_sub(1);
        fetch(found, sources, waiting, out);
        if *waiting == 0 { self.fail_value_moved() } else { Progress::Running }
    }

    fn chosen(&mut self) -> Progress {
        let Phase::Accept { answers, register, .. } = std::mem::replace(&mut self.phase, Phase::Over) else {
            unreachable!("called in phase two");
        };
        assert_eq!(register.accepted, self.ballot, "one ballot, one register");
        Progress::Chosen(std::mem::take(&mut self.slots).iter().map(|slot| slot.token).zip(answers).collect())
    }

    fn fail_value_moved(&mut self) -> Progress {
        self.fail(RoundFailure { value_moved: true, ..RoundFailure::default() })
    }

    fn fail(&mut self, reason: RoundFailure) -> Progress {
        self.phase = Phase::Over;
        Progress::Failed { slots: std::mem::take(&mut self.slots), reason }
    }

    fn judge_ms(&self, now_ms: u64) -> u64 {
        now_ms.min(self.ballot.hlc.millis())
    }

    fn failure<T>(&self, tally: &Tally<Word<T>>) -> RoundFailure {
        let mut failure = RoundFailure::default();
        for (_, word) in tally.iter() {
            match word {
                Ok(_) => {}
                Err(Refusal::Lost) => failure.lost = true,
                Err(Refusal::Rejected(Rejection::Outbid(ballot))) => {
                    failure.outbid = failure.outbid.max(Some(*ballot));
                }
                Err(Refusal::Rejected(Rejection::ClockSkew { .. })) => {}
                Err(Refusal::Rejected(Rejection::DiskReserve)) => failure.disk_reserve = true,
                Err(Refusal::Rejected(
                    Rejection::Overloaded | Rejection::NotReady | Rejection::NotMine(_),
                )) => failure.unwilling = true,
            }
        }
        failure.skew_limit_ms = self.skew_limit_ms(tally);
        failure
    }

    /// The time that a majority would take, if the nodes that refused this ballot's time are too many.
    fn skew_limit_ms<T>(&self, tally: &Tally<Word<T>>) -> Option<u64> {
        let limit = |node| match tally.get(node) {
            Some(Err(Refusal::Rejected(Rejection::ClockSkew { limit_ms }))) => Some(*limit_ms),
            _ => None,
        };
        if self.replicas.is_quorum(|node| limit(node).is_none()) {
            return None;
        }
        self.replicas.quorum_value(|node| Some(limit(node).unwrap_or(u64::MAX)))
    }
}

/// Which message was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LostRequest {
    /// A Prepare.
    Prepare,
    /// A Fetch.
    Fetch,
    /// An Accept.
    Accept,
}

/// The register of the highest accepted ballot, preferably a copy with its value. Where all are absent, the
/// highest purge floor that any of them reported comes along.
fn highest<'r>(registers: impl Iterator<Item = &'r Register> + Clone) -> Register {
    let rank = |register: &&Register| (register.accepted, register.content.value().is_some());
    let Some(top) = registers.clone().max_by_key(rank) else { unreachable!("a majority has members") };
    let mut found = top.clone();
    if found.is_absent() {
        for register in registers {
            found.history.raise_floors(register.history.rounds_floor().max(register.history.ops_floor()));
        }
    }
    found
}

/// Asks the next replica that reported exactly this accepted ballot for the whole register.
fn fetch(found: &Register, sources: &mut Vec<NodeIndex>, waiting: &mut u32, out: &mut RoundOutput) {
    if !sources.is_empty() {
        let node = sources.remove(0);
        *waiting += 1;
        out.sends.push((node, RequestBody::Fetch { accepted: found.accepted }));
    }
}
