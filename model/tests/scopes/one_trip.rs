//! Rounds that start at their Accept, on promises that came along with the last round's: scopes explored completely,
//! and broken ways to do it.

use crate::explore::{explore, is_found};
use roundtable_consensus::Expiry;
use roundtable_model::{HeadStarts, LINEAGE, LINEARIZABLE, Op, Reach, Scope, Variant};

#[test]
fn increments_of_one_trip_beside_another_increment() {
    let grow = |scope: &mut Scope| {
        (scope.head_starts, scope.start) = (HeadStarts::On, Some(Expiry::Never));
        scope.reaches.extend([Reach::OneTrip, Reach::InDoubt, Reach::SettledByHistory]);
    };
    explore([vec![Op::Increment, Op::Increment], vec![Op::Increment]], grow, 33_874);
}

#[test]
fn increments_of_one_trip_beside_a_create_and_a_read() {
    let grow = |scope: &mut Scope| {
        (scope.works, scope.head_starts) = (vec![2, 3], HeadStarts::On);
        scope.start = Some(Expiry::Never);
        scope.reaches.extend([Reach::OneTrip, Reach::Early, Reach::InDoubt]);
    };
    explore([vec![Op::Increment, Op::Increment], vec![Op::Create(7), Op::Read]], grow, 57_919);
}

/// Increments of one proposer of which the second may take one trip, beside another's.
fn one_trip(fault: impl FnOnce(&mut Scope), states: usize) {
    let grow = |scope: &mut Scope| {
        (scope.head_starts, scope.start) = (HeadStarts::On, Some(Expiry::Never));
        scope.reaches.extend([Reach::OneTrip, Reach::InDoubt, Reach::SettledByHistory]);
        fault(scope);
    };
    explore([vec![Op::Increment, Op::Increment], vec![Op::Increment]], grow, states);
}

#[test]
#[ignore = "minutes: run by make model"]
fn increments_of_one_trip_while_a_node_restarts() {
    one_trip(|scope| scope.budget.restarts = 1, 375_515);
}

#[test]
#[ignore = "minutes: run by make model"]
fn increments_of_one_trip_whose_messages_come_twice() {
    one_trip(|scope| scope.budget.duplicates = 1, 485_634);
}

#[test]
#[ignore = "minutes: run by make model"]
fn increments_of_one_trip_with_a_loss() {
    one_trip(|scope| scope.budget.losses = 1, 598_133);
}

/// What finds out that head starts are used against their rules, and where.
fn head_starts_found_by(head_starts: HeadStarts) -> (&'static str, Scope) {
    let one_after_another = |ops: Vec<Op>| ops.into_iter().map(|op| vec![op]).collect::<Vec<_>>();
    let (property, ops, other) = match head_starts {
        // The first node alone has promised, the others take a ballot that lies between.
        HeadStarts::OnOneWord => (LINEAGE, vec![Op::Increment, Op::Increment], Op::Increment),
        HeadStarts::UsedTwice => (LINEARIZABLE, vec![Op::Increment; 3], Op::Read),
        // The delete came after the promises that the create is refused by.
        HeadStarts::ForRefusals => (LINEARIZABLE, vec![Op::Put(1), Op::Create(2)], Op::Delete),
        HeadStarts::Off | HeadStarts::On => (LINEARIZABLE, vec![Op::Increment], Op::Increment),
    };
    let scope = Scope::of(vec![one_after_another(ops), one_after_another(vec![other])]);
    (property, Scope { head_starts, start: Some(Expiry::Never), works: vec![3; 2], ..scope })
}

#[test]
fn every_broken_use_of_head_starts_is_found() {
    let unnoticed = HeadStarts::BROKEN.into_iter().filter(|head_starts| {
        let (property, scope) = head_starts_found_by(*head_starts);
        !is_found(Variant::Sound, property, scope)
    });
    assert_eq!(unnoticed.collect::<Vec<_>>(), []);
}
