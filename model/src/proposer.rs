//! A router's conduct of one piece of work after another: a quorum read or a round, and the next round when that
//! one failed.

use std::collections::VecDeque;
use std::sync::Arc;

use roundtable_consensus::{
    Ballot, HistoryLimits, Hlc, NodeIndex, Progress, Proposal, ProposerId, QuorumRead, ReadProgress,
    ReplicaSet, ReplyBody, RequestBody, Round, RoundOutput, RoundPlan, Slot, Step, Token,
};

use crate::counter::{Ret, number, ret};
use crate::network::{Letter, Network};
use crate::{Op, Variant};

/// What a proposer does at the moment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Work {
    Round(Box<Round>),
    Read { read: QuorumRead, clients: Vec<Token> },
}

/// One proposer. Its clients' operations come in batches, each applied by one round.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Proposer {
    name: usize,
    replicas: Arc<ReplicaSet>,
    limits: HistoryLimits,
    variant: Variant,
    pub(crate) batches: VecDeque<Vec<(Token, Op)>>,
    pub(crate) work: Option<Work>,
    pub(crate) work_count: u64,
    pub(crate) works_left: u8,
    /// The present batch only reads.
    pub(crate) reading: bool,
}

/// An answer for a client.
pub(crate) type Told = (Token, Option<Ret>);

impl Proposer {
    pub(crate) fn new(
        name: usize,
        batches: VecDeque<Vec<(Token, Op)>>,
        works: u8,
        limits: HistoryLimits,
        variant: Variant,
    ) -> Self {
        // Each proposer prefers other nodes, so that their majorities differ from the start.
        let nodes =
            (0..3_u16).map(|place| NodeIndex((place + u16::try_from(name).unwrap_or(0)) % 3)).collect();
        let replicas = Arc::new(ReplicaSet::single(nodes));
        Self {
            name,
            replicas,
            limits,
            variant,
            batches,
            work: None,
            work_count: 0,
            works_left: works,
            reading: false,
        }
    }

    /// Takes up the next batch. Returns its operations.
    pub(crate) fn begin(&mut self, network: &mut Network) -> Vec<(Token, Op)> {
        let Some(batch) = self.batches.pop_front() else { return Vec::new() };
        self.reading = batch.iter().all(|(_, op)| *op == Op::Read);
        if self.reading {
            self.start_read(batch.iter().map(|(client, _)| *client).collect(), network);
        } else {
            let slots = batch.iter().map(|(client, op)| self.slot(*client, op)).collect();
            self.start_round(slots, network);
        }
        batch
    }

    fn slot(&self, client: Token, op: &Op) -> Slot {
        let mut operation = op.operation();
        if self.variant == Variant::KeysIgnored {
            operation.client_key = None;
        }
        Slot { token: client, proposal: Proposal::new(operation) }
    }

    fn start_read(&mut self, clients: Vec<Token>, network: &mut Network) {
        self.count_work();
        let replicas = match self.variant {
            Variant::ReadsOneReplica => Arc::new(ReplicaSet::single(vec![self.first_node()])),
            _ => Arc::clone(&self.replicas),
        };
        let mut sends = Vec::new();
        let read = QuorumRead::start(replicas, |_| true, &mut sends);
        self.work = Some(Work::Read { read, clients });
        self.send(sends, network);
    }

    fn first_node(&self) -> NodeIndex {
        self.replicas.members().first().copied().unwrap_or(NodeIndex(0))
    }

    fn start_round(&mut self, slots: Vec<Slot>, network: &mut Network) {
        if self.works_left == 0 {
            self.work = None;
            return;
        }
        self.count_work();
        let plan = RoundPlan {
            ballot: self.ballot(),
            replicas: Arc::clone(&self.replicas),
            limits: self.limits,
            slots,
            want_value: false,
        };
        let mut out = RoundOutput::default();
        self.work = Some(Work::Round(Box::new(Round::start(plan, |_| true, &mut out))));
        self.send(out.sends, network);
    }

    fn count_work(&mut self) {
        self.works_left = self.works_left.saturating_sub(1);
        self.work_count += 1;
    }

    /// The proposers' ballots alternate: each can outbid the other's last one.
    fn ballot(&self) -> Ballot {
        let name = u64::try_from(self.name).unwrap_or(u64::MAX);
        Ballot::new(Hlc::from_millis(10 * self.work_count + name), ProposerId(name + 1))
    }

    fn send(&self, sends: Vec<(NodeIndex, RequestBody)>, network: &mut Network) {
        for (node, body) in sends {
            let step = match body {
                RequestBody::Prepare { .. } => Some(Step::Prepare),
                RequestBody::Fetch { .. } => Some(Step::Fetch),
                RequestBody::Accept { .. } => Some(Step::Accept),
                RequestBody::Read { .. } => None,
            };
            network.send(Letter { from: self.name, work: self.work_count, step, to: node.0.into() }, body);
        }
    }

    /// Takes a reply, or learns that there will be none.
    pub(crate) fn hear(
        &mut self,
        letter: Letter,
        reply: Option<ReplyBody>,
        network: &mut Network,
    ) -> Vec<Told> {
        let node = NodeIndex(u16::try_from(letter.to).unwrap_or(u16::MAX));
        let step = letter.step.unwrap_or(Step::Fetch);
        let now_ms = self.ballot().hlc.millis();
        match &mut self.work {
            None => Vec::new(),
            Some(Work::Round(round)) => {
                let mut out = RoundOutput::default();
                let progress = match reply {
                    Some(reply) => round.on_reply(now_ms, node, step, reply, |_| true, &mut out),
                    None => round.on_lost(now_ms, node, step, |_| true, &mut out),
                };
                self.after_round(progress, out, network)
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
                let mut out = RoundOutput::default();
                let progress = round.widen(|_| true, &mut out);
                self.after_round(progress, out, network)
            }
            Some(Work::Read { read, .. }) => {
                let mut sends = Vec::new();
                let progress = read.widen(|_| true, &mut sends);
                self.send(sends, network);
                self.after_read(progress, network)
            }
        }
    }

    fn after_round(&mut self, progress: Progress, out: RoundOutput, network: &mut Network) -> Vec<Told> {
        self.send(out.sends, network);
        let mut told: Vec<Told> = out.early.iter().map(|(client, answer)| (*client, ret(answer))).collect();
        match progress {
            Progress::Running => {}
            Progress::Chosen(answers) => {
                told.extend(answers.iter().map(|(client, answer)| (*client, ret(answer))));
                network.abandon(self.name, self.work_count);
                self.work = None;
            }
            Progress::Failed { mut slots, .. } => {
                network.abandon(self.name, self.work_count);
                slots.iter_mut().for_each(|slot| self.forget(slot));
                self.start_round(slots, network);
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
            ReadProgress::Agreed(register) => {
                network.abandon(self.name, self.work_count);
                self.work = None;
                let ret = Ret::Number(number(&register));
                clients.into_iter().map(|client| (client, Some(ret.clone()))).collect()
            }
            ReadProgress::NeedsRound | ReadProgress::Unreachable => {
                network.abandon(self.name, self.work_count);
                let slots = clients.iter().map(|client| self.slot(*client, &Op::Read)).collect();
                self.start_round(slots, network);
                Vec::new()
            }
        }
    }
}
