//! Rounds of one trip: a node that accepts a round's register may promise the same proposer's next ballot along with
//! it. A proposer that heard so from a majority starts its next round at the Accept.
//!
//! To the round it looks as if its Prepares had been answered already: it is handed the promises that came along, with
//! the register that the same nodes have just accepted. What rests on messages sent *after* an operation arrived must
//! not be answered by them, so reads and refusals take the ordinary way.

use roundtable_consensus::{
    Ballot, Change, Hlc, Register, ReplyBody, RequestBody, Slot, majority_of, refusal,
};

/// Whether proposers start rounds at their Accept, and by which rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum HeadStarts {
    /// They never do, and ask for no promises along with Accepts.
    #[default]
    Off,
    /// They do, by the rules.
    On,
    /// Broken: one node is asked for the next ballot, and its promise is enough.
    OnOneWord,
    /// Broken: what was used is used again.
    UsedTwice,
    /// Broken: refusals are answered by the promises that came along.
    ForRefusals,
}

impl HeadStarts {
    /// All that must be found.
    pub const BROKEN: [Self; 3] = [Self::OnOneWord, Self::UsedTwice, Self::ForRefusals];
}

/// What a proposer knows of the ballot after its last one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct HeadStart {
    rules: HeadStarts,
    /// The register that the present round proposes.
    proposed: Option<Register>,
    /// How many nodes have accepted it and promised the next ballot.
    promised: usize,
    /// What the last round that was chosen has left for the next one.
    left: Option<Register>,
}

impl HeadStart {
    pub(crate) fn new(rules: HeadStarts) -> Self {
        Self { rules, ..Self::default() }
    }

    /// Whether others' ballots should lie between a proposer's ballot and the next one, for which it wants promises.
    pub(crate) fn is_on(&self) -> bool {
        self.rules != HeadStarts::Off
    }

    /// Looks at a message on its way out, the round's first of its kind or a further one, and asks for the next
    /// ballot along with it.
    pub(crate) fn on_send(&mut self, first: bool, body: &mut RequestBody) {
        if let RequestBody::Accept { register, want_next } = body
            && self.is_on()
        {
            *want_next = first || self.rules != HeadStarts::OnOneWord;
            self.proposed = Some(register.clone());
        }
    }

    /// Looks at an answer to the present round.
    pub(crate) fn on_reply(&mut self, reply: &ReplyBody) {
        if *reply == (ReplyBody::Accepted { next_promised: true }) {
            self.promised += 1;
        }
    }

    /// The present round is over. If it was chosen, and enough have promised, the next one has a head start.
    pub(crate) fn on_end(&mut self, chosen: bool, nodes: usize) {
        let enough = if self.rules == HeadStarts::OnOneWord { 1 } else { majority_of(nodes) };
        let promised = std::mem::take(&mut self.promised);
        let proposed = self.proposed.take().filter(|_| chosen && promised >= enough);
        let keeps = self.rules == HeadStarts::UsedTwice && self.left.is_some();
        if !keeps && proposed.is_some() {
            self.left = proposed;
        }
    }

    /// The head start of a round with these operations: the ballot, and the register that was promised along with
    /// it. It is used once, or dropped.
    pub(crate) fn take(&mut self, slots: &[Slot], now_ms: u64) -> Option<(Ballot, Register)> {
        let left = if self.rules == HeadStarts::UsedTwice { self.left.clone() } else { self.left.take() }?;
        let suits = |slot: &Slot| {
            let operation = &slot.proposal.operation;
            let refused = refusal(&left, now_ms, operation).is_some();
            operation.change != Change::Read && (!refused || self.rules == HeadStarts::ForRefusals)
        };
        if left.is_expired(now_ms) || !slots.iter().all(suits) {
            return None;
        }
        let Ballot { hlc, proposer } = left.accepted;
        Some((Ballot::new(Hlc(hlc.0 + 1), proposer), left))
    }

    /// The proposer starts again.
    pub(crate) fn forget(&mut self) {
        *self = Self::new(self.rules);
    }
}
