//! A router's conduct of one piece of work after another: a quorum read or a round, and the next round when that
//! one failed.

mod progress;

use std::collections::VecDeque;
use std::sync::Arc;

use roundtable_consensus::{
    Answer, Ballot, HistoryLimits, Hlc, NodeIndex, Proposal, ProposerId, QuorumRead, Register, ReplicaSet,
    RequestBody, Round, RoundOutput, RoundPlan, Slot, Step, Token, Version,
};

use crate::head_start::Kept;
use crate::network::{Letter, Network};
use crate::operation::END_MS;
use crate::{HeadStarts, Op, Reach, Ret, Variant};

/// From one ballot of a proposer to its next, with room between them for every other proposer.
const BALLOT_STEP_MS: u64 = 10;

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
    pub(crate) variant: Variant,
    pub(crate) batches: VecDeque<Vec<(Token, Op)>>,
    pub(crate) work: Option<Work>,
    pub(crate) work_count: u64,
    pub(crate) works_left: u8,
    /// The present batch only reads.
    pub(crate) reading: bool,
    /// The version that its clients were told of last, for their next condition.
    pub(crate) known: Option<Version>,
    /// Its clock has reached the end of values that have one.
    pub(crate) past_end: bool,
    /// How often it has started again.
    pub(crate) lives: u64,
    /// Its clock, in the order of its ballots.
    clock: u64,
    /// The present batch.
    pub(crate) asked: Vec<(Token, Op)>,
    /// What a broken variant remembers of the promises.
    pub(crate) words: Vec<Register>,
    /// What its last round has left for the next one.
    head_start: Kept,
}

/// The rules of proposers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    pub(crate) limits: HistoryLimits,
    pub(crate) head_starts: HeadStarts,
    pub(crate) variant: Variant,
}

/// An answer for a client.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) client: Token,
    /// Nothing where the answer is that the outcome is not known.
    pub(crate) ret: Option<Ret>,
    /// By what less usual way it came.
    pub(crate) by: Option<Reach>,
}

impl Told {
    pub(crate) fn new(client: Token, answer: &Answer, by: Option<Reach>) -> Self {
        Self { client, ret: Ret::of(answer), by }
    }
}

impl Proposer {
    pub(crate) fn new(
        name: usize,
        batches: VecDeque<Vec<(Token, Op)>>,
        works: u8,
        known: Option<Version>,
        Rules { limits, head_starts, variant }: Rules,
    ) -> Self {
        // Each proposer prefers other nodes, so that their majorities differ from the start.
        let mut nodes: Vec<NodeIndex> =
            (0..3_u16).map(|place| NodeIndex((place + u16::try_from(name).unwrap_or(0)) % 3)).collect();
        if variant == Variant::MinorityQuorums {
            nodes.truncate(1);
        }
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
            known,
            past_end: false,
            lives: 0,
            clock: 0,
            asked: Vec::new(),
            words: Vec::new(),
            head_start: Kept::new(head_starts),
        }
    }

    /// Takes up the next batch. Returns its operations, and answers to them.
    pub(crate) fn begin(&mut self, network: &mut Network) -> (Vec<(Token, Op)>, Vec<Told>) {
        let Some(mut batch) = self.batches.pop_front() else { return (Vec::new(), Vec::new()) };
        let mut told = Vec::new();
        batch.iter_mut().for_each(|(_, op)| *op = op.over(self.known));
        self.reading = batch.iter().all(|(_, op)| *op == Op::Read);
        if self.reading {
            self.start_read(batch.iter().map(|(client, _)| *client).collect(), network);
        } else {
            let slots = batch.iter().map(|(client, op)| self.slot(*client, op)).collect();
            told = self.start_round(slots, network);
        }
        self.asked.clone_from(&batch);
        (batch, told)
    }

    /// Stops, and starts again under a new name, while its clock is back where it was. Nobody waits any more for what
    /// it was at; what it sent is under way.
    pub(crate) fn crash(&mut self, network: &mut Network) {
        network.abandon(self.name, self.work_count);
        self.work = None;
        self.clock = self.clock.saturating_sub(1);
        self.known = None;
        self.head_start.forget();
        self.lives += 1;
    }

    /// Its clock goes ahead.
    pub(crate) fn leap(&mut self, leap_ms: u64) {
        self.clock += leap_ms.div_ceil(BALLOT_STEP_MS);
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
            Variant::ReadsFromOneReplica => Arc::new(ReplicaSet::single(vec![self.first_node()])),
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

    fn start_round(&mut self, slots: Vec<Slot>, network: &mut Network) -> Vec<Told> {
        if self.works_left == 0 {
            self.work = None;
            return Vec::new();
        }
        self.count_work();
        let ballot = self.ballot();
        let plan = RoundPlan {
            ballot,
            replicas: Arc::clone(&self.replicas),
            limits: self.limits,
            slots,
            want_value: false,
            next: self.head_start.is_on().then(|| Hlc(ballot.hlc.0 + 1)),
            guesses: self.head_start.is_on(),
            no_room: false,
        };
        self.words.clear();
        let mut out = RoundOutput::default();
        let now_ms = self.now_ms();
        let (round, progress) = self.head_start.start(plan, now_ms, &mut out);
        let ballot = round.ballot();
        self.work = Some(Work::Round(Box::new(round)));
        self.after_round(ballot, progress, out, network)
    }

    fn count_work(&mut self) {
        self.works_left = self.works_left.saturating_sub(1);
        self.work_count += 1;
        self.clock += 1;
    }

    /// The proposers' ballots alternate: each can outbid the other's last one. Where a proposer wants promises for the
    /// ballot after its own, those of others lie between the two.
    fn ballot(&self) -> Ballot {
        let name = u64::try_from(self.name).unwrap_or(u64::MAX);
        let place_ms = if self.head_start.is_on() { 0 } else { name };
        let hlc = Hlc::from_millis(BALLOT_STEP_MS * self.clock + place_ms);
        Ballot::new(hlc, ProposerId(10 * self.lives + name + 1))
    }

    /// Its next ballot is above the one that it was told.
    fn outbid(&mut self, held: Option<Ballot>) {
        let clock = held.map_or(0, |held| held.hlc.millis() / BALLOT_STEP_MS);
        self.clock = self.clock.max(clock);
    }

    /// The time by which it judges whether a value has ended.
    pub(crate) fn now_ms(&self) -> u64 {
        if self.past_end { END_MS } else { 0 }
    }

    fn send(&mut self, sends: Vec<(NodeIndex, RequestBody)>, network: &mut Network) {
        for (place, (node, mut body)) in sends.into_iter().enumerate() {
            self.head_start.on_send(place == 0, &mut body);
            let step = match body {
                RequestBody::Prepare { .. } => Some(Step::Prepare),
                RequestBody::Fetch { .. } => Some(Step::Fetch),
                RequestBody::Accept { .. } => Some(Step::Accept),
                RequestBody::Read { .. } => None,
            };
            network.send(Letter { from: self.name, work: self.work_count, step, to: node.0.into() }, body);
        }
    }
}
