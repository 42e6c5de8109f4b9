//! From the promises to the proposal: what phase one found, what it proves by itself, what phase two sends.

use std::sync::Arc;

use super::head_start::Prospect;
use super::refusal::RoundFailure;
use super::{HeadStart, Phase, Progress, Round, RoundOutput};
use crate::apply::{Applied, Proposal, RoundContext, apply, refusal};
use crate::ballot::Ballot;
use crate::ids::NodeIndex;
use crate::message::RequestBody;
use crate::operation::{Answer, Change};
use crate::register::{Content, Register};

impl Round {
    /// Phase one is complete: answers what rests on it alone, and proposes the rest.
    pub(super) fn promised(
        &mut self,
        now_ms: u64,
        usable: impl Fn(NodeIndex) -> bool,
        out: &mut RoundOutput,
    ) -> Progress {
        let Phase::Prepare { tally, .. } = std::mem::replace(&mut self.phase, Phase::Over) else {
            unreachable!("called in phase one");
        };
        let (found, sources) =
            highest(tally.into_words().filter_map(|(node, word)| Some((node, word.ok()?))));
        if self.replicas.is_quorum(|node| sources.contains(&node)) {
            self.answer_early(now_ms, &found, out);
        }
        if self.slots.is_empty() {
            return Progress::Chosen(Vec::new());
        }
        self.phase = Phase::Fetch { found, sources, waiting: Vec::new() };
        self.propose(now_ms, usable, out)
    }

    /// Answers reads and refusals that a majority at one accepted ballot proves. Only operations that were there
    /// before Prepare was sent, that no Accept may have made effective, and whose refusal needs no record; and only
    /// against the register that was found, never after a change of this round.
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
                known.then(|| Answer::State(Box::new(found.told())))
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
    pub(super) fn propose(
        &mut self,
        now_ms: u64,
        usable: impl Fn(NodeIndex) -> bool,
        out: &mut RoundOutput,
    ) -> Progress {
        let judge_ms = self.judge_ms(now_ms);
        let Phase::Fetch { found, .. } = &self.phase else {
            unreachable!("called with the register that was found");
        };
        let context = RoundContext {
            ballot: self.ballot,
            judge_ms,
            lag_ms: 0,
            no_room: self.no_room,
            limits: &self.limits,
        };
        let Ok(Applied { register, answers }) = apply(found, context, self.slots.iter().map(|s| &s.proposal))
        else {
            return self.fetch_next(usable, out);
        };
        let prospect = HeadStart::prospect(found, self.ballot);
        self.guesses &= prospect == Prospect::Unknown;
        self.next = self.next.filter(|_| self.guesses || prospect == Prospect::Own);
        self.accept(register, answers, usable, out);
        Progress::Running
    }

    /// Sends the proposal to the replicas in `whom` that did not get it yet.
    pub(super) fn accept_further(&mut self, whom: impl Fn(NodeIndex) -> bool, out: &mut RoundOutput) {
        let Phase::Accept { register, sent, .. } = &mut self.phase else { return };
        for node in self.replicas.members().iter().copied() {
            if !sent.contains(&node) && whom(node) {
                sent.push(node);
                let body = RequestBody::Accept { register: Arc::clone(register), next: self.next };
                out.sends.push((node, body));
            }
        }
    }

    /// Asks the next replica that reported exactly the accepted ballot found for the whole register, usable ones
    /// first. When none is left, and none of those asked can be counted on, the round is over.
    pub(super) fn fetch_next(
        &mut self,
        usable: impl Fn(NodeIndex) -> bool,
        out: &mut RoundOutput,
    ) -> Progress {
        let Phase::Fetch { found, sources, waiting } = &mut self.phase else { return Progress::Running };
        if !sources.is_empty() {
            let place = sources.iter().position(|node| usable(*node)).unwrap_or(0);
            let node = sources.remove(place);
            waiting.push(node);
            out.sends.push((node, RequestBody::Fetch { accepted: found.accepted }));
        } else if !waiting.iter().any(|node| usable(*node)) {
            return self.fail(RoundFailure { value_moved: true, ..RoundFailure::default() });
        }
        Progress::Running
    }

    /// A replica that was asked for the whole register doesn't give it.
    pub(super) fn fetch_failed(
        &mut self,
        from: NodeIndex,
        usable: impl Fn(NodeIndex) -> bool,
        out: &mut RoundOutput,
    ) -> Progress {
        if let Phase::Fetch { waiting, .. } = &mut self.phase {
            waiting.retain(|node| *node != from);
        }
        self.fetch_next(usable, out)
    }

    /// A majority stored the proposal.
    pub(super) fn chosen(&mut self) -> Progress {
        let Phase::Accept { answers, register, tally, .. } = std::mem::replace(&mut self.phase, Phase::Over)
        else {
            unreachable!("called in phase two");
        };
        assert_eq!(register.accepted, self.ballot, "one ballot, one register");
        if let Some(next) = self.next
            && self.replicas.is_quorum(|node| matches!(tally.get(node), Some(Ok(true))))
        {
            let ballot = Ballot::new(next, self.ballot.proposer);
            let register = Arc::unwrap_or_clone(register);
            self.head_start = Some(HeadStart { ballot, register, guessed: self.guesses });
        }
        Progress::Chosen(std::mem::take(&mut self.slots).iter().map(|slot| slot.token).zip(answers).collect())
    }

    /// Expiry is judged at most at the ballot's time.
    fn judge_ms(&self, now_ms: u64) -> u64 {
        now_ms.min(self.ballot.hlc.millis())
    }
}

/// The register of the highest accepted ballot, preferably a copy with its value, and who holds it. Where all are
/// absent, the highest purge floor that any of them reported comes along.
fn highest(promises: impl Iterator<Item = (NodeIndex, Register)>) -> (Register, Vec<NodeIndex>) {
    let rank = |register: &Register| (register.accepted, register.content.value().is_some());
    let mut found = Register::absent(Ballot::ZERO);
    let mut holders = Vec::new();
    let mut purge_floor = Ballot::ZERO;
    for (node, register) in promises {
        if register.accepted > found.accepted {
            holders.clear();
        }
        if register.accepted >= found.accepted {
            holders.push(node);
        }
        if register.is_absent() {
            purge_floor = purge_floor.max(register.history.rounds_floor()).max(register.history.ops_floor());
        }
        if rank(&register) > rank(&found) {
            found = register;
        }
    }
    if found.is_absent() {
        found.history.raise_floors(purge_floor);
    }
    (found, holders)
}
