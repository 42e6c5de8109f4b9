//! How a proposer's work goes on: replies, losses, the end of a round or read, and the next round after one that failed.

use roundtable_consensus::{
    Answer, Ballot, Hlc, NodeIndex, Progress, ReadProgress, Register, ReplyBody, RoundOutput, Slot, Step,
    Token,
};

use super::{Proposer, Told, Work};
use crate::network::{Letter, Network};
use crate::{Op, Reach, Ret, Variant};

impl Proposer {
    /// Takes a reply, or learns that there will be none.
    pub(crate) fn hear(
        &mut self,
        letter: Letter,
        reply: Option<ReplyBody>,
        network: &mut Network,
    ) -> Vec<Told> {
        let node = NodeIndex(u16::try_from(letter.to).unwrap_or(u16::MAX));
        let step = letter.step.unwrap_or(Step::Fetch);
        let now_ms = self.now_ms();
        if let Some(reply) = &reply {
            self.head_start.on_reply(reply);
        }
        let mut told = self.refuse_rashly(letter, reply.as_ref());
        told.extend(self.go_on(node, step, now_ms, reply, network));
        told
    }

    fn go_on(
        &mut self,
        node: NodeIndex,
        step: Step,
        now_ms: u64,
        reply: Option<ReplyBody>,
        network: &mut Network,
    ) -> Vec<Told> {
        match &mut self.work {
            None => Vec::new(),
            Some(Work::Round(round)) => {
                let (mut out, ballot) = (RoundOutput::default(), round.ballot());
                let progress = match reply {
                    Some(reply) => round.on_reply(now_ms, node, step, reply, |_| true, &mut out),
                    None => round.on_lost(now_ms, node, step, |_| true, &mut out),
                };
                self.after_round(ballot, progress, out, network)
            }
            Some(Work::Read { read, .. }) => {
                let mut sends = Vec::new();
                let progress = match reply {
                    Some(reply) => read.on_reply(node, reply, |_| true, &mut sends),
                    None => read.on_lost(node, |_| true, &mut sends),
                };
                self.send(sends, network);
                self.after_read(progress, network)
            }
        }
    }

    /// Asks further replicas, as if those asked were slow.
    pub(crate) fn widen(&mut self, network: &mut Network) -> Vec<Told> {
        match &mut self.work {
            None => Vec::new(),
            Some(Work::Round(round)) => {
                let (mut out, ballot) = (RoundOutput::default(), round.ballot());
                let progress = round.widen(|_| true, &mut out);
                self.after_round(ballot, progress, out, network)
            }
            Some(Work::Read { read, .. }) => {
                let mut sends = Vec::new();
                let progress = read.widen(|_| true, &mut sends);
                self.send(sends, network);
                self.after_read(progress, network)
            }
        }
    }

    pub(super) fn after_round(
        &mut self,
        ballot: Ballot,
        progress: Progress,
        out: RoundOutput,
        network: &mut Network,
    ) -> Vec<Told> {
        self.send(out.sends, network);
        let early = |(client, answer): &(Token, Answer)| Told::new(*client, answer, Some(Reach::Early));
        let mut told: Vec<Told> = out.early.iter().map(early).collect();
        match progress {
            Progress::Running => {}
            Progress::Chosen(answers) => {
                if let Some(Work::Round(round)) = &mut self.work {
                    self.head_start.on_end(Some(round));
                }
                told.extend(answers.iter().map(|(client, answer)| {
                    let mut told = Told::new(*client, answer, None);
                    let version = told.ret.as_mut().and_then(|ret| ret.version.as_mut());
                    if answer.is_change() && version.as_ref().is_some_and(|version| version.ballot < ballot) {
                        told.by = Some(Reach::SettledByHistory);
                    } else if ballot.hlc != Hlc::from_millis(ballot.hlc.millis()) {
                        told.by = Some(Reach::OneTrip);
                    }
                    told
                }));
                network.abandon(self.name, self.work_count);
                self.work = None;
            }
            Progress::Failed { mut slots, reason } => {
                self.head_start.on_end(None);
                network.abandon(self.name, self.work_count);
                self.outbid(reason.outbid);
                slots.iter_mut().for_each(|slot| self.forget(slot));
                told.extend(self.start_round(slots, network));
            }
        }
        told
    }

    fn forget(&self, slot: &mut Slot) {
        let attempts = &mut slot.proposal.attempts;
        match self.variant {
            Variant::AttemptsForgotten => attempts.clear(),
            Variant::LastAttemptOnly => {
                attempts.drain(..attempts.len().saturating_sub(1));
            }
            _ => {}
        }
    }

    fn after_read(&mut self, progress: ReadProgress, network: &mut Network) -> Vec<Told> {
        let Some(Work::Read { clients, .. }) = &self.work else { return Vec::new() };
        let clients = clients.clone();
        match progress {
            ReadProgress::Running => Vec::new(),
            ReadProgress::Agreed(register)
                if !register.is_expired(self.now_ms()) || self.variant == Variant::ExpiryToldUnchosen =>
            {
                network.abandon(self.name, self.work_count);
                self.work = None;
                let ended = register.is_expired(self.now_ms());
                let register = if ended { Register::absent(Ballot::ZERO) } else { *register };
                let ret = Ret::read(&register);
                clients.into_iter().map(|client| Told { client, ret: Some(ret.clone()), by: None }).collect()
            }
            ReadProgress::Agreed(_) | ReadProgress::NeedsRound | ReadProgress::Unreachable => {
                network.abandon(self.name, self.work_count);
                let slots = clients.iter().map(|client| self.slot(*client, &Op::Read)).collect();
                self.start_round(slots, network)
            }
        }
    }
}
