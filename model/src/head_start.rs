//! Rounds of one trip: a node that accepts a round's register may promise the same proposer's next ballot along with
//! it. A proposer that heard so from a majority starts its next round at the Accept.
//!
//! What ships decides when that is asked for and what it is good for ([`Round::start_at_accept`]); here it is kept
//! between two rounds, and used in ways that are broken.

use roundtable_consensus::{
    Ballot, HeadStart, Hlc, NodeIndex, Progress, Register, ReplyBody, RequestBody, Round, RoundOutput,
    RoundPlan, Step,
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

/// What a proposer keeps between two rounds.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Kept {
    rules: HeadStarts,
    /// For who believes one word: the register that the present round proposes, and whether a node that accepted it
    /// has promised the next ballot.
    proposed: Option<(Register, Hlc)>,
    promised: bool,
    /// What the last round that was chosen has left for the next one.
    left: Option<HeadStart>,
}

impl Kept {
    pub(crate) fn new(rules: HeadStarts) -> Self {
        Self { rules, ..Self::default() }
    }

    /// Whether others' ballots should lie between a proposer's ballot and the next one, for which it wants promises.
    pub(crate) fn is_on(&self) -> bool {
        self.rules != HeadStarts::Off
    }

    /// Looks at a message on its way out, the round's first of its kind or a further one.
    pub(crate) fn on_send(&mut self, first: bool, body: &mut RequestBody) {
        if let RequestBody::Accept { register, next } = body
            && self.rules == HeadStarts::OnOneWord
        {
            self.proposed = next.map(|next| (Register::clone(register), next));
            *next = next.filter(|_| first);
        }
    }

    /// Looks at an answer to the present round.
    pub(crate) fn on_reply(&mut self, reply: &ReplyBody) {
        let promised = *reply == (ReplyBody::Accepted { next_promised: true });
        self.promised |= promised && self.rules == HeadStarts::OnOneWord;
    }

    /// The present round is over: what it has left, if it was chosen, is for the next one.
    pub(crate) fn on_end(&mut self, chosen: Option<&mut Round>) {
        let one_word = std::mem::take(&mut self.promised);
        let proposed = self.proposed.take().filter(|_| one_word && chosen.is_some());
        let left = match proposed {
            Some((register, next)) => {
                let ballot = Ballot::new(next, register.accepted.proposer);
                Some(HeadStart { ballot, register, guessed: false })
            }
            None => chosen.and_then(Round::take_head_start),
        };
        let keeps = self.rules == HeadStarts::UsedTwice && self.left.is_some();
        if !keeps {
            self.left = left;
        }
    }

    /// Starts a round, at its Accept if the last one has left the right to it: used once, or dropped.
    pub(crate) fn start(&mut self, plan: RoundPlan, now_ms: u64, out: &mut RoundOutput) -> (Round, Progress) {
        let left = if self.rules == HeadStarts::UsedTwice { self.left.clone() } else { self.left.take() };
        let plan = match left.filter(|left| left.is_current(now_ms)) {
            None => plan,
            Some(left) if self.rules == HeadStarts::ForRefusals => {
                return start_from_promises(plan, &left, now_ms, out);
            }
            Some(left) => match Round::start_at_accept(plan, &left, now_ms, |_| true, out) {
                Ok(round) => return (round, Progress::Running),
                Err(plan) => plan,
            },
        };
        (Round::start(plan, |_| true, out), Progress::Running)
    }

    /// The proposer starts again.
    pub(crate) fn forget(&mut self) {
        *self = Self::new(self.rules);
    }
}

/// Broken: takes the promises that came along for answers to a Prepare, by which refusals are answered at once.
fn start_from_promises(
    plan: RoundPlan,
    left: &HeadStart,
    now_ms: u64,
    out: &mut RoundOutput,
) -> (Round, Progress) {
    let mut round = Round::start(RoundPlan { ballot: left.ballot, ..plan }, |_| true, out);
    let asked: Vec<NodeIndex> = std::mem::take(&mut out.sends).into_iter().map(|(node, _)| node).collect();
    let mut progress = Progress::Running;
    for node in asked {
        let promised = ReplyBody::Promised(left.register.clone());
        progress = round.on_reply(now_ms, node, Step::Prepare, promised, |_| true, out);
    }
    (round, progress)
}
