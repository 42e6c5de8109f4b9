//! Accepts that come late, or that only a minority took.

use roundtable_consensus::{Outcome, ReadProgress, ReplicaSet};

use crate::script::{A, B, C, Cluster, D, create, delete, put, refused, settled, text, version};

/// CAS x is accepted at C only. Its retry prepares at A, B, finds the precondition false, answers 412. A later round
/// prepares at A, C and carries x forward.
#[test]
fn refusal_of_a_change_that_may_stand_accepted_somewhere_waits_for_its_round() {
    let mut cluster = Cluster::new();
    cluster.round(5, &[A, B], [put("u")]);
    // A delete that reached C alone; x builds on it, and reaches C alone too.
    let mut deleting = cluster.prepare(12, &[B, C], [delete()]);
    cluster.accept(&mut deleting, &[C]);
    deleting.lose(&[A, B]);
    let mut x = cluster.prepare(20, &[B, C], [create("x")]);
    cluster.accept(&mut x, &[C]);
    x.lose(&[A, B]);
    let retry = x.retry();
    // A and B agree on u, so the create is refused; but only a chosen round makes that true for good.
    let mut again = cluster.prepare(30, &[A, B], retry);
    assert_eq!(again.answers(), [], "not from the prepare phase");
    cluster.accept(&mut again, &[A, B]);
    assert_eq!(again.answers(), refused(Some(version(5))));
    assert_eq!(cluster.read_at(40, &[A, C]), Some("u".into()), "x is not carried forward");
}

/// A late Accept with a lower ballot overwrites a higher one at a node that never saw a Prepare.
#[test]
fn late_accept_does_not_overwrite_a_higher_one_at_a_node_that_never_promised() {
    let mut cluster = Cluster::new();
    let mut x = cluster.prepare(20, &[A, B], [put("x")]);
    let mut y = cluster.prepare(30, &[A, B], [put("y")]);
    cluster.accept(&mut y, &[A, C]);
    assert_eq!(y.answers(), settled(Outcome::Created(version(30))));
    cluster.accept(&mut x, &[C]);
    assert_eq!(text(&cluster.at(C)), Some("y".into()));
    assert_eq!(cluster.read_at(40, &[B, C]), Some("y".into()));
}

/// Joint read: Old {A, B, C} and New {B, C, D}. A and C agree on b while B and D hold newer through New; A and C with
/// a lower answer from New were taken as current.
#[test]
fn joint_read_rests_on_one_ballot_in_both_majorities() {
    let mut cluster = Cluster::over(ReplicaSet::joint(vec![A, B, C], vec![B, C, D]));
    cluster.round(10, &[A, B, C, D], [put("old")]);
    let mut newer = cluster.prepare(20, &[B, C, D], [put("new")]);
    cluster.accept(&mut newer, &[B, D]);
    // A and C are a majority of Old at ballot 10, and C answers for New with that ballot too.
    assert_eq!(cluster.read(&[A, C, D]), ReadProgress::NeedsRound);
    assert_eq!(cluster.read_at(30, &[A, C, D]), Some("new".into()));
}
