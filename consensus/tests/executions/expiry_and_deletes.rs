//! What is gone stays gone.

use roundtable_consensus::{Change, Expiry, Operation, Outcome, ReadProgress};

use crate::script::{A, B, C, Cluster, delete, put, put_until, settled, text};

fn read() -> Operation {
    Operation::new(Change::Read)
}

/// v at B, C; a delete accepted at B alone. A read of {A absent, B tombstone} says 404, a read of {A, C} then finds v.
#[test]
fn absence_and_a_tombstone_do_not_agree() {
    let mut cluster = Cluster::new();
    cluster.round(10, &[B, C], [put("v")]);
    let mut deleting = cluster.prepare(20, &[B, C], [delete()]);
    cluster.accept(&mut deleting, &[B]);
    assert_eq!(cluster.read(&[A, B]), ReadProgress::NeedsRound);
    assert_eq!(cluster.read_at(30, &[A, B]), None, "the round chose the tombstone first");
    assert_eq!(cluster.read_at(40, &[A, C]), None);
}

/// A router with a fast clock answers "expired" from the prepare phase, a touch with a slow one renews.
#[test]
fn value_told_expired_is_not_renewed_by_a_slower_clock() {
    let mut cluster = Cluster::new();
    cluster.round(10, &[A, B], [put_until("v", Expiry::At(100))]);
    let mut fast = cluster.prepare(150, &[A, B], [read()]);
    assert_eq!(fast.answers(), [], "not before a tombstone is chosen");
    cluster.accept(&mut fast, &[A, B]);
    assert_eq!(fast.answers().len(), 1);
    // The slow router has been told the ballot, so it proposes above it; by its own clock the value has not ended.
    let touch = Operation::new(Change::Touch { expiry: Expiry::At(900) });
    let mut slow = cluster.prepare_by(90, 151, &[B, C], [touch]);
    cluster.accept(&mut slow, &[B, C]);
    assert_eq!(slow.answers(), settled(Outcome::NotFound));
    assert_eq!(cluster.read_at(160, &[A, C]), None);
}

/// v@50 at A, B; delete t@60 at B only; an identity at 65 prepared at {A, C}; an identity at 70 at {A, B} carries t to
/// A. A read sees C absent, B t@60, A t@70 and said 404 ("all dead"). The late Accept of v@65 lands at C, a round at
/// {B, C} revives v.
#[test]
fn tombstones_of_different_ballots_do_not_agree() {
    let mut cluster = Cluster::new();
    cluster.round(50, &[A, B], [put("v")]);
    let mut deleting = cluster.prepare(60, &[A, B], [delete()]);
    cluster.accept(&mut deleting, &[B]);
    let mut late = cluster.prepare(65, &[A, C], [read()]);
    let mut carrying = cluster.prepare(70, &[A, B], [read()]);
    cluster.accept(&mut carrying, &[A]);
    assert_eq!(cluster.read(&[C, B, A]), ReadProgress::NeedsRound, "three dead ones, and not one ballot");
    assert_eq!(cluster.read_at(80, &[A, B]), None);
    cluster.accept(&mut late, &[C]);
    assert_eq!(text(&cluster.at(C)), Some("v".into()));
    assert_eq!(cluster.read_at(90, &[B, C]), None, "v is not revived");
}
