//! Operations that were tried twice.

use roundtable_consensus::{
    Answer, Ballot, Condition, HistoryLimits, Hlc, Operation, Outcome, Proposal, ProposerId, Version,
};

use crate::script::{
    A, B, C, Cluster, create, delete, increment, keyed, put, refused, settled, text, version,
};

/// R1 applies x, the history drops it, the client repeats x through R2, which knows no older ballot: applied twice.
#[test]
fn repeat_after_its_record_was_dropped_is_not_applied_again() {
    let mut cluster = Cluster::new();
    cluster.limits = HistoryLimits { ops_max: 1, rounds_max: 1, ..HistoryLimits::STANDARD };
    let x = || keyed(1, 10, increment());
    let first = cluster.round(20, &[A, B], [x()]);
    assert_eq!(first, settled(Outcome::Incremented { version: version(20), value: 1 }));
    cluster.round(30, &[A, B], [keyed(2, 25, increment())]);
    assert_eq!(cluster.round(40, &[B, C], [x()]), [Answer::Forgotten]);
    assert_eq!(cluster.read_at(50, &[B, C]), Some("2".into()));
}

/// The same without a client's key: R1's round is chosen, its answers are lost, and 64 rounds go over it before R1
/// tries again.
#[test]
fn retry_after_its_round_was_dropped_is_not_applied_again() {
    let mut cluster = Cluster::new();
    cluster.limits.rounds_max = 2;
    let mut r1 = cluster.prepare(20, &[A, B], [increment()]);
    cluster.accept(&mut r1, &[C]);
    r1.lose(&[A, B]);
    let retry = r1.retry();
    // C had it: the next round carries it forward.
    for ms in [30, 40, 50] {
        cluster.round(ms, &[B, C], [increment()]);
    }
    assert_eq!(cluster.round(60, &[A, C], retry), [Answer::Forgotten]);
    assert_eq!(cluster.read_at(70, &[A, C]), Some("4".into()));
}

/// R2 answers 412 for x while R1's attempt of the same x is alive, and then succeeds.
#[test]
fn refusal_told_by_one_router_is_recorded_for_the_other() {
    let mut cluster = Cluster::new();
    let x = || keyed(1, 10, create("x"));
    let mut r1 = cluster.prepare(20, &[A, B], [x()]);
    cluster.round(25, &[B, C], [put("u")]);
    let told = cluster.round(30, &[B, C], [x()]);
    assert_eq!(told, refused(Some(version(25))));
    cluster.round(35, &[B, C], [delete()]);
    // R1's Accepts arrive late: A takes it, B and C don't.
    cluster.accept(&mut r1, &[A, B, C]);
    assert_eq!(text(&cluster.at(A)), Some("x".into()));
    let retry = r1.retry();
    assert_eq!(
        cluster.round(40, &[A, B], retry),
        told,
        "the same answer, although nothing stands in its way now"
    );
    assert_eq!(cluster.read_at(50, &[A, B]), None);
}

/// A create succeeded; its repeat judges the precondition first: 412.
#[test]
fn repeat_of_a_create_is_told_of_its_own_success() {
    let mut cluster = Cluster::new();
    let x = || keyed(1, 10, create("x"));
    let first = cluster.round(20, &[A, B], [x()]);
    assert_eq!(first, settled(Outcome::Created(version(20))));
    assert_eq!(cluster.round(30, &[B, C], [x()]), first);

    // And without a client's key, when the answers of a chosen round were lost.
    let mut cluster = Cluster::new();
    let mut r1 = cluster.prepare(20, &[A, B], [create("x")]);
    cluster.accept(&mut r1, &[A]);
    r1.lose(&[B, C]);
    let retry = r1.retry();
    assert_eq!(cluster.round(30, &[A, C], retry), first);
}

/// put(1) and put(2) in one round share an ETag: If-Match with put(1)'s overwrites 2.
#[test]
fn etag_of_a_value_overwritten_in_its_own_round_matches_nothing() {
    let mut cluster = Cluster::new();
    let answers = cluster.round(20, &[A, B], [put("1"), put("2")]);
    let Answer::Settled(Outcome::Created(first)) = answers[0] else { panic!("{answers:?}") };
    let stale = Operation { condition: Condition::Matches(vec![first]), ..put("3") };
    let told = cluster.round(30, &[B, C], [stale]);
    assert!(matches!(told[0], Answer::Settled(Outcome::PreconditionFailed { .. })), "{told:?}");
    assert_eq!(cluster.read_at(40, &[A, B]), Some("2".into()));
}

/// A refusal recorded with the current version as its age: the floor falls below its birth, and it is applied after
/// its 412.
#[test]
fn refusal_whose_record_was_dropped_is_not_applied_later() {
    let mut cluster = Cluster::new();
    cluster.limits.ops_max = 1;
    let x = || keyed(1, 60, create("x"));
    cluster.round(50, &[A, B], [put("u")]);
    assert_eq!(cluster.round(70, &[A, B], [x()]), refused(Some(version(50))));
    cluster.round(80, &[A, B], [keyed(2, 75, create("y"))]);
    cluster.round(85, &[A, B], [delete()]);
    assert_eq!(cluster.round(90, &[B, C], [x()]), [Answer::Forgotten]);
    assert_eq!(cluster.read_at(100, &[B, C]), None);
}

/// inc at b1 accepted at C; again at b2 prepared at {A, B}, accepted at A only; b3 at {B, C} finds b1. Whoever forgot
/// b1 increments twice.
#[test]
fn every_ballot_of_an_operation_is_kept() {
    let mut cluster = Cluster::new();
    let mut b1 = cluster.prepare(10, &[A, B], [increment()]);
    cluster.accept(&mut b1, &[C]);
    b1.lose(&[A, B]);
    let mut b2 = cluster.prepare(20, &[A, B], b1.retry());
    cluster.accept(&mut b2, &[A]);
    b2.lose(&[B, C]);
    let answers = cluster.round(30, &[B, C], b2.retry());
    assert_eq!(answers, settled(Outcome::Incremented { version: version(10), value: 1 }));
    assert_eq!(cluster.read_at(40, &[B, C]), Some("1".into()));
}

/// R1's increment is in doubt. R2 carries it forward; R1's next round finds it, makes another change beside it and leaves
/// out of the history what R1 did before. R2 carries that round forward. If R1 did not count it among the increment's
/// attempts, it would take that for one that never took effect.
#[test]
fn later_round_stands_for_an_earlier_one_of_its_proposer() {
    let by_r1 = |ms| Ballot::new(Hlc::from_millis(ms), ProposerId(1));
    let mut cluster = Cluster::new();
    let mut b1 = cluster.prepare_at(10, by_r1(10), &[A, B], [increment()]);
    cluster.accept(&mut b1, &[C]);
    b1.lose(&[A, B]);
    cluster.round(15, &[B, C], [increment()]);
    let operations = vec![b1.retry(), Proposal::new(increment())];
    let mut b2 = cluster.prepare_at(20, by_r1(20), &[B, C], operations);
    cluster.accept(&mut b2, &[B]);
    b2.lose(&[A, C]);
    cluster.round(25, &[B, C], [increment()]);
    let mut b3 = cluster.prepare_at(30, by_r1(30), &[B, C], b2.retry());
    cluster.accept(&mut b3, &[B, C]);
    let first = Version { ballot: by_r1(10), index: 0 };
    assert_eq!(b3.answers(), settled(Outcome::Incremented { version: first, value: 1 }));
    assert_eq!(cluster.read_at(40, &[A, C]), Some("4".into()));
}
