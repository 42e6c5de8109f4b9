//! Quorum reads driven message by message.

use super::*;
use crate::ballot::{Hlc, ProposerId, Version};
use crate::message::Rejection;
use crate::register::Value;

const A: NodeIndex = NodeIndex(1);
const B: NodeIndex = NodeIndex(2);
const C: NodeIndex = NodeIndex(3);
const D: NodeIndex = NodeIndex(4);

/// A register whose value was put by the round at `ms`; a tombstone at odd milliseconds, absent at none.
fn register(ms: u64) -> Register {
    let accepted = Ballot::new(Hlc::from_millis(ms), ProposerId(1));
    let value = Value { bytes: "value".into(), ..Value::default() };
    let content = if ms.is_multiple_of(2) { Content::Live(value) } else { Content::Tombstone };
    match ms {
        0 => Register::absent(Ballot::ZERO),
        _ => Register { accepted, version: Version { ballot: accepted, index: 0 }, content, ..register(0) },
    }
}

struct Script {
    read: QuorumRead,
    sends: Vec<(NodeIndex, RequestBody)>,
    unusable: Vec<NodeIndex>,
}

impl Script {
    fn new() -> Self {
        Self::over(ReplicaSet::single(vec![A, B, C]))
    }

    fn over(replicas: ReplicaSet) -> Self {
        let mut sends = Vec::new();
        let read = QuorumRead::start(Arc::new(replicas), |_| true, &mut sends);
        Self { read, sends, unusable: Vec::new() }
    }

    fn reply(&mut self, from: NodeIndex, reply: ReplyBody) -> ReadProgress {
        self.read.on_reply(from, reply, |node| !self.unusable.contains(&node), &mut self.sends)
    }

    /// The first replica is asked for the value, so it tells it; the others withhold it.
    fn report(&mut self, from: NodeIndex, ms: u64) -> ReadProgress {
        let register = if from == A { register(ms) } else { register(ms).without_value() };
        self.reply(from, ReplyBody::State(register))
    }

    fn lose(&mut self, node: NodeIndex) -> ReadProgress {
        self.read.on_lost(node, |node| !self.unusable.contains(&node), &mut self.sends)
    }

    fn widen(&mut self) -> ReadProgress {
        self.read.widen(|node| !self.unusable.contains(&node), &mut self.sends)
    }

    /// The messages sent since the last call: `R1` a Read of node 1, `R1+` one that wants the value, `F1` a Fetch.
    fn take_sends(&mut self) -> String {
        let words = std::mem::take(&mut self.sends).into_iter().map(|(node, body)| match body {
            RequestBody::Read { want_value } => format!("R{}{}", node.0, if want_value { "+" } else { "" }),
            RequestBody::Fetch { .. } => format!("F{}", node.0),
            other => panic!("a read sends no {other:?}"),
        });
        words.collect::<Vec<_>>().join(" ")
    }
}

fn agreed(ms: u64) -> ReadProgress {
    ReadProgress::Agreed(Box::new(register(ms)))
}

#[test]
fn majority_at_one_ballot_is_the_answer_after_one_trip() {
    for ms in [0, 10, 11] {
        let mut script = Script::new();
        assert_eq!(script.take_sends(), "R1+ R2");
        assert_eq!(script.report(A, ms), ReadProgress::Running);
        assert_eq!(script.report(B, ms), agreed(ms));
        assert_eq!(script.take_sends(), "");
    }
}

#[test]
fn third_replica_is_asked_when_two_disagree_and_decides_or_leaves_it_to_a_round() {
    // absent (0), tombstones (odd) and values (even) at different ballots are all different
    let table = [
        (0, 11, 11, agreed(11)),
        (10, 12, 10, agreed(10)),
        (0, 11, 13, ReadProgress::NeedsRound),
        (11, 13, 15, ReadProgress::NeedsRound),
        (0, 10, 11, ReadProgress::NeedsRound),
    ];
    for (a, b, c, end) in table {
        let mut script = Script::new();
        script.report(A, a);
        script.take_sends();
        assert_eq!(script.report(B, b), ReadProgress::Running);
        assert_eq!(script.take_sends(), "R3+");
        let told = script.reply(C, ReplyBody::State(register(c)));
        assert_eq!(told, end, "{a} {b} {c}");
    }
}

#[test]
fn disagreement_does_not_wait_for_an_unusable_third() {
    let mut script = Script::new();
    script.unusable = vec![C];
    script.report(A, 10);
    assert_eq!(script.report(B, 12), ReadProgress::NeedsRound);
}

#[test]
fn slow_replica_is_not_waited_for() {
    let mut script = Script::new();
    script.report(A, 10);
    script.take_sends();
    assert_eq!(script.widen(), ReadProgress::Running);
    assert_eq!(script.take_sends(), "R3+");
    assert_eq!(script.report(C, 10), agreed(10));

    let mut script = Script::new();
    script.report(A, 10);
    script.widen();
    script.report(C, 12);
    assert_eq!(script.widen(), ReadProgress::NeedsRound, "B is slow, A and C disagree");
}

#[test]
fn lost_or_unwilling_replica_is_replaced_and_a_lost_majority_told() {
    let mut script = Script::new();
    script.take_sends();
    assert_eq!(script.reply(A, ReplyBody::Rejected(Rejection::NotReady)), ReadProgress::Running);
    assert_eq!(script.take_sends(), "R3+");
    assert_eq!(script.lose(B), ReadProgress::Unreachable);
}

#[test]
fn missing_bytes_are_fetched_at_the_agreed_ballot() {
    let mut script = Script::new();
    script.widen();
    script.take_sends();
    script.report(B, 10);
    assert_eq!(script.report(C, 10), ReadProgress::Running, "A had the bytes and is slow");
    assert_eq!(script.take_sends(), "F2");
    assert_eq!(script.reply(B, ReplyBody::Fetched(None)), ReadProgress::Running);
    assert_eq!(script.take_sends(), "F3");
    assert_eq!(script.reply(C, ReplyBody::Fetched(Some(register(10)))), agreed(10));
}

#[test]
fn bytes_that_moved_everywhere_need_a_round() {
    let mut script = Script::new();
    script.widen();
    script.report(B, 10);
    script.report(C, 10);
    script.reply(B, ReplyBody::Fetched(Some(register(12))));
    assert_eq!(script.lose(C), ReadProgress::NeedsRound);
}

#[test]
fn late_word_on_the_first_question_neither_fails_a_fetch_nor_is_wasted() {
    let fetching = || {
        let mut script = Script::new();
        script.widen();
        script.report(B, 10);
        script.report(C, 10);
        script.take_sends();
        script
    };
    let mut script = fetching();
    assert_eq!(script.lose(A), ReadProgress::Running);
    assert_eq!(script.take_sends(), "", "the fetch from B is still under way");
    let mut script = fetching();
    assert_eq!(script.report(A, 10), agreed(10), "it brings the bytes");
    let mut script = fetching();
    assert_eq!(script.report(A, 12), ReadProgress::Running);
    assert_eq!(script.reply(B, ReplyBody::Fetched(Some(register(10)))), agreed(10));
}

#[test]
fn read_goes_to_a_round_when_a_lost_replica_is_back_and_the_rest_is_frozen() {
    let mut script = Script::new();
    script.unusable = vec![B];
    script.report(A, 10);
    assert_eq!(script.lose(B), ReadProgress::Running, "C may answer");
    script.unusable = vec![C];
    assert_eq!(script.widen(), ReadProgress::NeedsRound);
}

#[test]
fn joint_read_needs_the_same_ballot_in_both_majorities() {
    // Old is {A, B, C}, new is {B, C, D}. A and B agree on the older ballot, which is a majority of the old set;
    // C and D hold a newer one through the new set.
    let mut script = Script::over(ReplicaSet::joint(vec![A, B, C], vec![B, C, D]));
    script.widen();
    script.report(A, 10);
    assert_eq!(script.report(B, 10), ReadProgress::Running);
    assert_eq!(script.report(D, 12), ReadProgress::Running, "a lower answer from the new set proves nothing");
    assert_eq!(script.report(C, 12), ReadProgress::NeedsRound);

    let mut script = Script::over(ReplicaSet::joint(vec![A, B, C], vec![B, C, D]));
    assert_eq!(script.take_sends(), "R2+ R3");
    script.reply(B, ReplyBody::State(register(10)));
    assert_eq!(script.report(C, 10), agreed(10));
}
