//! Real replicas over disks in memory, and rounds and reads whose messages a test delivers one by one.

use std::collections::BTreeMap;
use std::sync::Arc;

use roundtable_consensus::{
    Answer, Ballot, Change, ClientKey, Condition, Conditions, Content, DiskSpace, Expiry, Handled,
    HistoryLimits, Hlc, Key, Lookup, NodeIndex, OpId, Operation, Outcome, PartitionId, Progress,
    PromiseLimits, Proposal, ProposerId, QuorumRead, ReadNeed, ReadProgress, Register, Replica,
    ReplicaConfig, ReplicaSet, Reply, ReplyBody, Request, RequestBody, Round, RoundOutput, RoundPlan, Slot,
    Step, Stored, StripedPromises, Token, Value, Version, Write,
};

pub(crate) const A: NodeIndex = NodeIndex(0);
pub(crate) const B: NodeIndex = NodeIndex(1);
pub(crate) const C: NodeIndex = NodeIndex(2);
pub(crate) const D: NodeIndex = NodeIndex(3);

/// Each round has a proposer of its own: what one proposer knows of its own rounds is no matter here.
pub(crate) fn ballot(ms: u64) -> Ballot {
    Ballot::new(Hlc::from_millis(ms), ProposerId(ms))
}

pub(crate) fn version(ms: u64) -> Version {
    Version { ballot: ballot(ms), index: 0 }
}

fn promises() -> StripedPromises {
    StripedPromises::new(PromiseLimits { stripes: 1, ..PromiseLimits::STANDARD })
}

/// A storage node of one shard: the real replica over a disk that syncs at once.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    replica: Replica<StripedPromises>,
    disk: BTreeMap<Key, Register>,
}

impl Node {
    pub(crate) fn new() -> Self {
        Self {
            replica: Replica::new(ReplicaConfig::STANDARD, promises(), Ballot::ZERO),
            disk: BTreeMap::new(),
        }
    }

    /// What the disk has of a key.
    pub(crate) fn register(&self, key: &Key) -> Register {
        self.disk.get(key).cloned().unwrap_or_else(|| Register::absent(Ballot::ZERO))
    }

    /// Handles one request as a node's shell does: read what is needed, decide, write, sync, answer.
    pub(crate) fn handle(&mut self, now_ms: u64, request: Request) -> Reply {
        let conditions =
            Conditions { now_ms, disk: DiskSpace::Enough, purge_floor: Ballot::ZERO, done: true };
        let as_of = self.replica.durable();
        let stored = self.disk.get(&request.key);
        let whole = |register: &Register| Stored { register: register.clone(), spilled: false };
        let lookup = match self.replica.read_needed(&conditions, &request, 0) {
            ReadNeed::None => None,
            ReadNeed::Value => Some(Lookup { as_of, stored: stored.map(whole) }),
            ReadNeed::Head => Some(Lookup { as_of, stored: stored.map(|r| whole(&r.without_value())) }),
        };
        let mut handled = Handled::default();
        self.replica.handle(&conditions, request, 0, lookup, &mut handled);
        for (ticket, write) in handled.writes {
            if let Write::Accept { key, register, .. } = write {
                self.disk.insert(key, Register::clone(&register));
            }
            self.replica.committed(ticket);
        }
        handled.replies.remove(0).0
    }
}

/// Nodes that hold one key.
pub(crate) struct Cluster {
    nodes: BTreeMap<NodeIndex, Node>,
    replicas: ReplicaSet,
    pub(crate) limits: HistoryLimits,
}

impl Cluster {
    /// A, B and C, empty.
    pub(crate) fn new() -> Self {
        Self::over(ReplicaSet::single(vec![A, B, C]))
    }

    pub(crate) fn over(replicas: ReplicaSet) -> Self {
        let nodes = replicas.members().iter().map(|node| (*node, Node::new())).collect();
        Self { nodes, replicas, limits: HistoryLimits::STANDARD }
    }

    fn ask(&mut self, node: NodeIndex, body: RequestBody) -> ReplyBody {
        let request = Request { id: 0, partition: PartitionId(0), done: true, key: key(), body };
        self.nodes.get_mut(&node).unwrap().handle(0, request).body
    }

    /// What a node's disk has.
    pub(crate) fn at(&self, node: NodeIndex) -> Register {
        self.nodes[&node].register(&key())
    }

    /// A router begins a round; its Prepares to `prepared` are delivered.
    pub(crate) fn prepare(&mut self, ms: u64, prepared: &[NodeIndex], operations: impl Operations) -> Try {
        self.prepare_by(ms, ms, prepared, operations)
    }

    /// The same by a router whose clock says `now_ms`.
    pub(crate) fn prepare_by(
        &mut self,
        now_ms: u64,
        ms: u64,
        prepared: &[NodeIndex],
        operations: impl Operations,
    ) -> Try {
        self.prepare_at(now_ms, ballot(ms), prepared, operations)
    }

    /// The same at any ballot.
    pub(crate) fn prepare_at(
        &mut self,
        now_ms: u64,
        ballot: Ballot,
        prepared: &[NodeIndex],
        operations: impl Operations,
    ) -> Try {
        let plan = RoundPlan {
            ballot,
            replicas: Arc::new(self.replicas.clone()),
            limits: self.limits,
            slots: operations.into_slots(),
            want_value: true,
            next: None,
            guesses: false,
            no_room: false,
        };
        let tokens = plan.slots.iter().map(|slot| slot.token).collect();
        let mut out = RoundOutput::default();
        let round = Round::start(plan, |node| prepared.contains(&node), &mut out);
        let mut attempt =
            Try { round, tokens, letters: Vec::new(), told: BTreeMap::new(), failed: None, now_ms };
        attempt.take(out);
        for node in prepared {
            self.deliver(&mut attempt, *node);
        }
        attempt
    }

    /// Delivers the round's Accepts to these nodes, and their answers.
    pub(crate) fn accept(&mut self, attempt: &mut Try, nodes: &[NodeIndex]) {
        for node in nodes {
            self.deliver(attempt, *node);
        }
    }

    /// A whole round at two nodes: its answers in the order of the operations.
    pub(crate) fn round(&mut self, ms: u64, nodes: &[NodeIndex], operations: impl Operations) -> Vec<Answer> {
        let mut attempt = self.prepare(ms, nodes, operations);
        self.fetch(&mut attempt, nodes);
        self.accept(&mut attempt, nodes);
        attempt.answers()
    }

    fn fetch(&mut self, attempt: &mut Try, nodes: &[NodeIndex]) {
        if attempt.letters.iter().any(|(_, body)| matches!(body, RequestBody::Fetch { .. })) {
            nodes.iter().for_each(|node| self.deliver(attempt, *node));
        }
    }

    fn deliver(&mut self, attempt: &mut Try, node: NodeIndex) {
        for (to, body) in std::mem::take(&mut attempt.letters) {
            if to != node {
                attempt.letters.push((to, body));
                continue;
            }
            let step = step_of(&body);
            let reply = self.ask(node, body);
            attempt.reply(node, step, reply);
        }
    }

    /// A quorum read that asks these nodes in this order, each once; the others are unusable.
    pub(crate) fn read(&mut self, nodes: &[NodeIndex]) -> ReadProgress {
        let (usable, mut letters) = (|node: NodeIndex| nodes.contains(&node), Vec::new());
        let mut read = QuorumRead::start(Arc::new(self.replicas.clone()), usable, &mut letters);
        read.widen(usable, &mut letters);
        letters.sort_by_key(|(node, _)| nodes.iter().position(|other| other == node));
        let mut last = ReadProgress::Running;
        while !letters.is_empty() {
            let (node, body) = letters.remove(0);
            let reply = self.ask(node, body);
            last = read.on_reply(node, reply, usable, &mut letters);
            if last != ReadProgress::Running {
                break;
            }
        }
        last
    }

    /// A router's linearizable read through these nodes: the quorum read, and the round that it may need.
    pub(crate) fn read_at(&mut self, ms: u64, nodes: &[NodeIndex]) -> Option<String> {
        let register = match self.read(nodes) {
            ReadProgress::Agreed(register) => *register,
            _ => match self.round(ms, nodes, [Operation::new(Change::Read)]).remove(0) {
                Answer::State(register) => *register,
                other => panic!("{other:?}"),
            },
        };
        text(&register)
    }
}

fn step_of(body: &RequestBody) -> Step {
    match body {
        RequestBody::Prepare { .. } => Step::Prepare,
        RequestBody::Fetch { .. } => Step::Fetch,
        RequestBody::Accept { .. } => Step::Accept,
        RequestBody::Read { .. } => panic!("a round sends no Read"),
    }
}

/// A round under way with its messages that nobody has delivered yet.
pub(crate) struct Try {
    round: Round,
    tokens: Vec<Token>,
    letters: Vec<(NodeIndex, RequestBody)>,
    told: BTreeMap<Token, Answer>,
    failed: Option<Vec<Slot>>,
    /// The router's clock.
    now_ms: u64,
}

impl Try {
    fn take(&mut self, out: RoundOutput) {
        self.letters.extend(out.sends);
        self.told.extend(out.early);
    }

    fn reply(&mut self, from: NodeIndex, step: Step, reply: ReplyBody) {
        let mut out = RoundOutput::default();
        let progress = self.round.on_reply(self.now_ms, from, step, reply, |_| true, &mut out);
        self.take(out);
        self.advance(progress);
    }

    fn advance(&mut self, progress: Progress) {
        match progress {
            Progress::Running => {}
            Progress::Chosen(answers) => self.told.extend(answers),
            Progress::Failed { slots, .. } => self.failed = Some(slots),
        }
    }

    /// Whatever is still under way to these nodes never arrives, and the router learns it.
    pub(crate) fn lose(&mut self, nodes: &[NodeIndex]) {
        for node in nodes {
            for (to, body) in std::mem::take(&mut self.letters) {
                if to == *node {
                    let mut out = RoundOutput::default();
                    let progress = self.round.on_lost(self.now_ms, to, step_of(&body), |_| true, &mut out);
                    self.take(out);
                    self.advance(progress);
                } else {
                    self.letters.push((to, body));
                }
            }
        }
    }

    /// The answers told so far, in the order of the operations.
    pub(crate) fn answers(&self) -> Vec<Answer> {
        self.tokens.iter().filter_map(|token| self.told.get(token).cloned()).collect()
    }

    /// The only operation of a round that failed, with all that was tried for it.
    pub(crate) fn retry(&mut self) -> Proposal {
        self.failed.take().expect("the round failed").remove(0).proposal
    }
}

/// What a round is asked to do.
pub(crate) trait Operations {
    fn into_slots(self) -> Vec<Slot>;
}

impl<const N: usize> Operations for [Operation; N] {
    fn into_slots(self) -> Vec<Slot> {
        (1..)
            .zip(self)
            .map(|(n, operation)| Slot { token: Token(n), proposal: Proposal::new(operation) })
            .collect()
    }
}

impl Operations for Proposal {
    fn into_slots(self) -> Vec<Slot> {
        vec![self].into_slots()
    }
}

impl Operations for Vec<Proposal> {
    fn into_slots(self) -> Vec<Slot> {
        (1..).zip(self).map(|(n, proposal)| Slot { token: Token(n), proposal }).collect()
    }
}

pub(crate) fn key() -> Key {
    Key::new("k").unwrap()
}

pub(crate) fn put_until(text: &str, expiry: Expiry) -> Operation {
    let value = Value { bytes: text.to_owned().into(), ..Value::default() };
    Operation::new(Change::Put { value, expiry })
}

pub(crate) fn put(text: &str) -> Operation {
    put_until(text, Expiry::Never)
}

/// A put that must not find a value.
pub(crate) fn create(text: &str) -> Operation {
    Operation { condition: Condition::Absent, ..put(text) }
}

pub(crate) fn delete() -> Operation {
    Operation::new(Change::Delete)
}

pub(crate) fn increment() -> Operation {
    Operation::new(Change::Increment { by: 1, expiry: Expiry::Never })
}

/// An operation with a client's key, born at `birth_ms`.
pub(crate) fn keyed(id: u128, birth_ms: u64, operation: Operation) -> Operation {
    let key = ClientKey { id: OpId(id), birth: Hlc::from_millis(birth_ms), fingerprint: 1 };
    Operation { client_key: Some(key), ..operation }
}

pub(crate) fn text(register: &Register) -> Option<String> {
    match &register.content {
        Content::Live(value) => Some(String::from_utf8(value.bytes.to_vec()).unwrap()),
        Content::Tombstone => None,
        Content::Withheld { .. } => panic!("the value was not asked for"),
    }
}

pub(crate) fn settled(outcome: Outcome) -> Vec<Answer> {
    vec![Answer::Settled(outcome)]
}

pub(crate) fn refused(current: Option<Version>) -> Vec<Answer> {
    settled(Outcome::PreconditionFailed { current })
}
