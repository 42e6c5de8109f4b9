//! Rounds driven message by message.

mod early;
mod ends;
mod head_start;
mod phases;

use super::*;
use crate::apply::Attempt;
use crate::ballot::{Ballot, Hlc, ProposerId, Version};
use crate::ids::OpId;
use crate::message::Rejection;
use crate::operation::{ClientKey, Condition, Expiry, Outcome};
use crate::register::{Content, Value};

const A: NodeIndex = NodeIndex(1);
const B: NodeIndex = NodeIndex(2);
const C: NodeIndex = NodeIndex(3);

fn ballot(ms: u64) -> Ballot {
    Ballot::new(Hlc::from_millis(ms), ProposerId(1))
}

fn version(ms: u64) -> Version {
    Version { ballot: ballot(ms), index: 0 }
}

/// A register whose value was put by the round at `ms`.
fn live(ms: u64, text: &'static str) -> Register {
    let value = Value { bytes: text.into(), ..Value::default() };
    Register {
        accepted: ballot(ms),
        version: version(ms),
        content: Content::Live(value),
        ..Register::absent(Ballot::ZERO)
    }
}

fn tombstone(ms: u64) -> Register {
    Register { content: Content::Tombstone, ..live(ms, "") }
}

fn put_if(condition: Condition) -> Operation {
    let value = Value { bytes: "new".into(), ..Value::default() };
    Operation { condition, ..Operation::new(Change::Put { value, expiry: Expiry::Never }) }
}

fn put() -> Operation {
    put_if(Condition::None)
}

fn increment() -> Operation {
    Operation::new(Change::Increment { by: 1, expiry: Expiry::Never })
}

fn read() -> Operation {
    Operation::new(Change::Read)
}

fn keyed(operation: Operation, id: u128) -> Operation {
    let key = ClientKey { id: OpId(id), birth: Hlc::from_millis(50), fingerprint: 1 };
    Operation { client_key: Some(key), ..operation }
}

fn slot(token: u64, operation: Operation) -> Slot {
    Slot { token: Token(token), proposal: Proposal::new(operation) }
}

fn refused(current: Option<Version>) -> Answer {
    Answer::Settled(Outcome::PreconditionFailed { current })
}

/// A round at 100 ms over A, B and C, and what it has sent and told so far.
struct Script {
    round: Round,
    out: RoundOutput,
    unusable: Vec<NodeIndex>,
}

impl Script {
    fn new(operations: impl IntoIterator<Item = Operation>) -> Self {
        Self::over(ReplicaSet::single(vec![A, B, C]), operations)
    }

    fn over(replicas: ReplicaSet, operations: impl IntoIterator<Item = Operation>) -> Self {
        Self::with_slots(replicas, (1..).zip(operations).map(|(token, op)| slot(token, op)).collect())
    }

    fn with_slots(replicas: ReplicaSet, slots: Vec<Slot>) -> Self {
        let plan = RoundPlan {
            ballot: ballot(100),
            replicas: Arc::new(replicas),
            limits: HistoryLimits::STANDARD,
            slots,
            want_value: false,
            next: None,
            guesses: false,
            no_room: false,
        };
        let mut out = RoundOutput::default();
        let round = Round::start(plan, |_| true, &mut out);
        Self { round, out, unusable: Vec::new() }
    }

    /// A round whose Accept of a put went out to A, B and C.
    fn accepting() -> Self {
        let mut script = Self::new([put()]);
        script.promise(A, live(50, "old"));
        script.promise(B, live(50, "old"));
        script.take_sends();
        script
    }

    fn reply(&mut self, from: NodeIndex, step: Step, reply: ReplyBody) -> Progress {
        let usable = |node: NodeIndex| !self.unusable.contains(&node);
        self.round.on_reply(100, from, step, reply, usable, &mut self.out)
    }

    fn promise(&mut self, from: NodeIndex, register: Register) -> Progress {
        self.reply(from, Step::Prepare, ReplyBody::Promised(register))
    }

    fn accept(&mut self, from: NodeIndex) -> Progress {
        self.reply(from, Step::Accept, ReplyBody::Accepted { next_promised: false })
    }

    fn reject(&mut self, from: NodeIndex, step: Step, why: Rejection) -> Progress {
        self.reply(from, step, ReplyBody::Rejected(why))
    }

    fn lose(&mut self, node: NodeIndex, step: Step) -> Progress {
        let usable = |node: NodeIndex| !self.unusable.contains(&node);
        self.round.on_lost(100, node, step, usable, &mut self.out)
    }

    fn widen(&mut self) -> Progress {
        let usable = |node: NodeIndex| !self.unusable.contains(&node);
        self.round.widen(usable, &mut self.out)
    }

    /// The messages sent since the last call, in short: `P1` a Prepare to node 1, `P1+` one that wants the value,
    /// `F1` a Fetch, `A1` an Accept.
    fn take_sends(&mut self) -> String {
        let sends = std::mem::take(&mut self.out.sends);
        let words = sends.iter().map(|(node, body)| match body {
            RequestBody::Prepare { want_value, .. } => {
                format!("P{}{}", node.0, if *want_value { "+" } else { "" })
            }
            RequestBody::Fetch { .. } => format!("F{}", node.0),
            RequestBody::Accept { .. } => format!("A{}", node.0),
            RequestBody::Read { .. } => format!("R{}", node.0),
        });
        words.collect::<Vec<_>>().join(" ")
    }

    /// The register that the round proposes.
    fn proposal(&self) -> &Register {
        match &self.round.phase {
            Phase::Accept { register, .. } => register,
            other => panic!("no proposal in {other:?}"),
        }
    }

    fn early(&self) -> Vec<u64> {
        self.out.early.iter().map(|(token, _)| token.0).collect()
    }
}

#[track_caller]
fn failure(progress: Progress) -> RoundFailure {
    match progress {
        Progress::Failed { reason, .. } => reason,
        other => panic!("not failed: {other:?}"),
    }
}

#[track_caller]
fn chosen(progress: Progress) -> Vec<(Token, Answer)> {
    match progress {
        Progress::Chosen(answers) => answers,
        other => panic!("not chosen: {other:?}"),
    }
}
