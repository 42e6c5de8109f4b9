//! One round trip: a round that starts at its Accept.
//!
//! A replica that accepts a round's register may promise the same proposer's next ballot along with it: the Prepare
//! of a round that has not been thought of yet. Where a majority did, that round knows what its phase one would find
//! (the register that the majority just accepted, since whoever comes between needs a higher ballot than the one
//! promised) and begins with phase two.
//!
//! It is worth something for keys that one router keeps writing. The next ballot has the time at which the round
//! before it began; the register tells by how much the change came later ([`Register::lag_ms`]).
//! [`HeadStart::AGE_MS_MAX`] bounds that, and a key that is written rarely, or by many, takes the ordinary way.
//!
//! Source: Denis Rystsov, "CASPaxos: Replicated State Machines without logs", arXiv:1802.07000, section 2.2.1.

use std::sync::Arc;

use super::{Phase, Round, RoundOutput, RoundPlan};
use crate::apply::{Applied, Attempt, RoundContext, apply};
use crate::ballot::Ballot;
use crate::ids::NodeIndex;
use crate::operation::{Answer, ClientKey};
use crate::quorum::Tally;
use crate::register::Register;

/// The right to start the next round of one key at its Accept, once.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HeadStart {
    /// The ballot that a majority promised along with the register.
    pub ballot: Ballot,
    /// The register that the same majority accepted, its value perhaps withheld.
    pub register: Register,
    /// It was asked for on a key that nobody had written lately.
    pub guessed: bool,
}

/// What speaks for asking for a key's next ballot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Prospect {
    /// The same proposer wrote the key lately, and it alone: the next write is likely to be its own, and soon.
    Own,
    /// Nobody wrote the key lately.
    Unknown,
    /// Another wrote it lately: that one's next round would void the promise, and a refused Accept is the cost.
    Shared,
}

impl HeadStart {
    /// How far a ballot's time may lie behind the present, in milliseconds.
    pub const AGE_MS_MAX: u64 = 30_000;
    /// As far where a client's key is recorded under it: the record is forgotten as much earlier.
    pub const KEYED_AGE_MS_MAX: u64 = 5_000;

    /// Whether a round at `ballot`, which found this register, should ask for the next ballot too. Each promise that
    /// nobody uses stays in the replicas' tables for a while.
    pub(super) fn prospect(found: &Register, ballot: Ballot) -> Prospect {
        let is_recent = |ms: u64| ballot.hlc.millis().saturating_sub(ms) <= Self::AGE_MS_MAX;
        let is_own = |round: &Ballot| round.proposer == ballot.proposer;
        let changes = [found.version.ballot].into_iter().chain(found.history.rounds().iter().rev().copied());
        let mut recent = (changes.take_while(|round| is_recent(round.hlc.millis())))
            .chain(Some(found.accepted).filter(|round| is_recent(round.hlc.millis())))
            .filter(|round| !round.is_zero());
        if !recent.all(|round| is_own(&round)) {
            Prospect::Shared
        } else if is_own(&found.accepted) && is_recent(found.accepted.hlc.millis().max(found.changed_ms())) {
            Prospect::Own
        } else {
            Prospect::Unknown
        }
    }

    /// Whether it may be used now, by the corrected clock: recent, and of a value that has not ended. An end is told
    /// only by a round whose ballot has that time.
    #[must_use]
    pub fn is_current(&self, now_ms: u64) -> bool {
        let age_ms = now_ms.saturating_sub(self.ballot.hlc.millis());
        age_ms <= Self::AGE_MS_MAX && !self.register.is_expired(now_ms)
    }
}

impl Round {
    /// Starts a round at its Accept, on the register that the promise of its ballot came with.
    ///
    /// # Errors
    /// Gives the plan back when the round has to begin with Prepare after all: an operation was born after the
    /// ballot, or has a client's key and the ballot is over [`HeadStart::KEYED_AGE_MS_MAX`] old, the value's bytes are
    /// needed and withheld, the disks have no room, or nothing would change. (A refusal that rests on phase one alone
    /// writes nothing.) The head start must not be used again.
    pub fn start_at_accept(
        plan: RoundPlan,
        head_start: &HeadStart,
        now_ms: u64,
        usable: impl Fn(NodeIndex) -> bool,
        out: &mut RoundOutput,
    ) -> Result<Self, RoundPlan> {
        let ballot = head_start.ballot;
        let age_ms = now_ms.saturating_sub(ballot.hlc.millis());
        let in_time = |key: &ClientKey| key.birth_ballot() <= ballot && age_ms <= HeadStart::KEYED_AGE_MS_MAX;
        let mut client_keys =
            plan.slots.iter().filter_map(|slot| slot.proposal.operation.client_key.as_ref());
        if plan.no_room || !client_keys.all(in_time) {
            return Err(plan);
        }
        let context = RoundContext {
            ballot,
            judge_ms: now_ms.min(ballot.hlc.millis()),
            lag_ms: u32::try_from(age_ms).unwrap_or(u32::MAX),
            no_room: false,
            limits: &plan.limits,
        };
        let proposals = plan.slots.iter().map(|slot| &slot.proposal);
        let Ok(Applied { register, answers }) = apply(&head_start.register, context, proposals) else {
            return Err(plan);
        };
        if register.version.ballot != ballot {
            return Err(plan);
        }
        let RoundPlan { replicas, limits, slots, next, .. } = plan;
        let mut round = Self {
            ballot,
            limits,
            joined_from: slots.len(),
            want_value: false,
            grows: false,
            next: next.filter(|next| *next > ballot.hlc),
            guesses: false,
            no_room: false,
            slots,
            phase: Phase::Over,
            head_start: None,
            replicas,
        };
        round.accept(register, answers, usable, out);
        Ok(round)
    }

    /// Sends the proposal: from here on every operation that it makes effective is in doubt until it is chosen.
    /// Replicas that are not usable are passed over if the others are a majority.
    pub(super) fn accept(
        &mut self,
        register: Register,
        answers: Vec<Answer>,
        usable: impl Fn(NodeIndex) -> bool,
        out: &mut RoundOutput,
    ) {
        for (slot, answer) in self.slots.iter_mut().zip(&answers) {
            if answer.is_change() {
                let attempt = Attempt { ballot: self.ballot, answer: answer.clone() };
                slot.proposal.attempts.push(attempt);
            }
        }
        let register = Arc::new(register);
        self.phase = Phase::Accept { answers, register, sent: Vec::new(), tally: Tally::default() };
        let enough = self.replicas.is_quorum(&usable);
        self.accept_further(|node| !enough || usable(node), out);
    }

    /// What the chosen round gives for the key's next one; once, and only after [`super::Progress::Chosen`].
    pub fn take_head_start(&mut self) -> Option<HeadStart> {
        self.head_start.take()
    }
}
