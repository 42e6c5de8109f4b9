//! The checker can fail: with one rule taken out it finds what goes wrong.

use std::collections::BTreeSet;

use roundtable_consensus::Expiry;
use roundtable_model::{FENCING, LINEAGE, LINEARIZABLE, Op, Protocol, Scope, Variant};
use stateright::{Checker, HasDiscoveries, Model};

#[track_caller]
fn assert_found(variant: Variant, property: &'static str, scope: Scope) {
    let found = HasDiscoveries::AllOf(BTreeSet::from([property]));
    let checker = Protocol { scope, variant }.checker().threads(2).finish_when(found).spawn_bfs().join();
    assert!(checker.discovery(property).is_some(), "{variant:?} went unnoticed");
}

fn race(one: Op, other: Op) -> Scope {
    Scope::of(vec![vec![vec![one]], vec![vec![other]]])
}

fn restarts() -> Scope {
    let mut scope = race(Op::Increment, Op::Increment);
    scope.budget.restarts = 1;
    scope
}

#[test]
fn horizon_lost_on_restart_is_found() {
    assert_found(Variant::HorizonLost, LINEARIZABLE, restarts());
}

#[test]
fn horizon_lost_on_restart_breaks_the_lineage() {
    assert_found(Variant::HorizonLost, LINEAGE, restarts());
}

#[test]
fn answer_before_the_sync_is_found() {
    assert_found(Variant::AnswersUnsynced, LINEARIZABLE, restarts());
}

#[test]
fn forgotten_attempts_are_found() {
    let scope = Scope { works: 3, ..race(Op::Increment, Op::Increment) };
    assert_found(Variant::AttemptsForgotten, LINEARIZABLE, scope);
}

#[test]
fn attempts_before_the_last_forgotten_are_found() {
    let mut scope = Scope { works: 3, ..Scope::of(vec![vec![vec![Op::Increment]]]) };
    scope.budget.losses = 5;
    assert_found(Variant::LastAttemptOnly, LINEARIZABLE, scope);
}

#[test]
fn read_of_one_replica_is_found() {
    let scope = Scope::of(vec![vec![vec![Op::Put(1)]], vec![vec![Op::Read], vec![Op::Read]]]);
    assert_found(Variant::ReadsOneReplica, LINEARIZABLE, scope);
}

#[test]
fn expiry_told_before_it_is_chosen_is_found() {
    let mut scope = race(Op::Read, Op::Read);
    (scope.start, scope.budget.ends) = (Some(Expiry::At(5)), 1);
    assert_found(Variant::ExpiryToldUnchosen, LINEARIZABLE, scope);
}

#[test]
fn refusal_on_the_word_of_one_replica_is_found() {
    let mut scope = race(Op::Delete, Op::Create(1));
    scope.start = Some(Expiry::Never);
    assert_found(Variant::RefusesOnOneWord, LINEARIZABLE, scope);
}

/// The delete is accepted at C only, the create builds on it and is accepted at C only, its retry finds the first
/// value at A and B and is refused, and then the increment finds what was created.
#[test]
fn refusal_after_an_accept_was_sent_is_found() {
    let mut scope = Scope::of(vec![vec![vec![Op::Delete]], vec![vec![Op::Create(1)], vec![Op::Increment]]]);
    (scope.start, scope.works, scope.budget.losses) = (Some(Expiry::Never), 3, 3);
    assert_found(Variant::RefusesInDoubt, LINEARIZABLE, scope);
}

#[test]
fn ignored_idempotency_keys_are_found() {
    let increment = || Op::Keyed(1, Box::new(Op::Increment));
    assert_found(Variant::KeysIgnored, LINEARIZABLE, race(increment(), increment()));
}

#[test]
fn version_without_a_place_in_its_round_is_found() {
    let scope = Scope::of(vec![vec![vec![Op::Put(1), Op::Put(2)]]]);
    assert_found(Variant::VersionWithoutIndex, FENCING, scope);
}
