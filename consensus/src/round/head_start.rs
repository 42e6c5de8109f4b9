//! One round trip: a round that starts at its Accept.
//!
//! A replica that accepts a round's register may promise the same proposer's next ballot along with it: the Prepare
//! of a round that has not been thought of yet. Where a majority did, that round knows what its phase one would find
//! (the register that the majority just accepted, since whoever comes between needs a higher ballot than the one
//! promised) and begins with phase two.
//!
//! It is worth something for keys that one router keeps writing. The next ballot has the time at which the round
//! before it began, and what is judged by ballots' times lags behind by the time between the two;
//! [`HeadStart::AGE_MS_MAX`] bounds that, and a key that is written rarely, or by many, takes the ordinary way.
//!
//! Source: Denis Rystsov, "CASPaxos: Replicated State Machines without logs", arXiv:1802.07000, section 2.2.1.

use std::sync::Arc;

use super::{Phase, Round, RoundOutput, RoundPlan};
use crate::apply::{Applied, Attempt, RoundContext, apply};
use crate::ballot::Ballot;
use crate::ids::NodeIndex;
use crate::operation::Answer;
use crate::quorum::Tally;
use crate::register::Register;

/// The right to start the next round of one key at its Accept, once.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HeadStart {
    /// The ballot that a majority promised along with the register.
    pub ballot: Ballot,
    /// The register that the same majority accepted, its value perhaps withheld.
    pub register: Register,
}

impl HeadStart {
    /// How far a ballot's time may lie behind the present, in milliseconds: `Last-Modified` lags as far.
    pub const AGE_MS_MAX: u64 = 5_000;

    /// Whether a round at `ballot` should ask for the next one too: the same proposer wrote the register that it found,
    /// and lately, so the next is likely to come before the promise is too old; and nobody else changed the key
    /// lately, so it is likely to be the same proposer's. Each promise that nobody uses stays in the replicas' tables,
    /// and one that another proposer voids costs a refused Accept.
    pub(super) fn is_worth_asking(found: &Register, ballot: Ballot) -> bool {
        let is_recent =
            |round: &Ballot| ballot.hlc.millis().saturating_sub(round.hlc.millis()) <= Self::AGE_MS_MAX;
        let is_own = |round: &Ballot| round.proposer == ballot.proposer;
        let changes = [found.version.ballot].into_iter().chain(found.history.rounds().iter().rev().copied());
        is_own(&found.accepted)
            && is_recent(&found.accepted)
            && changes.take_while(is_recent).all(|round| is_own(&round))
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
    /// ballot, the value's bytes are needed and withheld, or nothing would change. (A refusal that rests on phase
    /// one alone writes nothing.) The head start must not be used again.
    pub fn start_at_accept(
        plan: RoundPlan,
        head_start: &HeadStart,
        now_ms: u64,
        usable: impl Fn(NodeIndex) -> bool,
        out: &mut RoundOutput,
    ) -> Result<Self, RoundPlan> {
        let ballot = head_start.ballot;
        let born = plan
            .slots
            .iter()
            .all(|slot| slot.proposal.operation.client_key.is_none_or(|key| key.birth_ballot() <= ballot));
        let context =
            RoundContext { ballot, judge_ms: now_ms.min(ballot.hlc.millis()), limits: &plan.limits };
        if !born {
            return Err(plan);
        }
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
