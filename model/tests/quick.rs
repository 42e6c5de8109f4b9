//! Scopes small enough for every test run, explored completely. The number of states is pinned: a change of it means
//! that the protocol, or what is explored of it, has changed.

use roundtable_consensus::HistoryLimits;
use roundtable_model::{Op, Protocol, Reach, Scope, Variant};
use stateright::{Checker, Model};

#[track_caller]
fn explore(scope: Scope, states: usize) {
    let checker = Protocol { scope, variant: Variant::Sound }.checker().threads(2).spawn_bfs().join();
    checker.assert_properties();
    assert_eq!(checker.unique_state_count(), states);
}

/// Each proposer with one operation after another.
fn scope(operations: Vec<Vec<Op>>, reaches: &[Reach]) -> Scope {
    let batches = operations.into_iter().map(|ops| ops.into_iter().map(|op| vec![op]).collect()).collect();
    let mut scope = Scope::of(batches);
    scope.reaches.extend(reaches);
    scope
}

fn keyed(op: Op) -> Op {
    Op::Keyed(1, Box::new(op))
}

#[test]
fn increments_that_outbid_each_other() {
    let race = scope(vec![vec![Op::Increment], vec![Op::Increment]], &[Reach::InDoubt]);
    explore(Scope { works: 3, ..race }, 135_163);
}

#[test]
fn increments_while_a_node_restarts() {
    let race = scope(vec![vec![Op::Increment], vec![Op::Increment]], &[Reach::InDoubt]);
    explore(Scope { restarts: 1, ..race }, 185_828);
}

#[test]
fn increments_whose_messages_come_twice() {
    let race = scope(vec![vec![Op::Increment], vec![Op::Increment]], &[Reach::InDoubt]);
    explore(Scope { duplicates: 1, ..race }, 215_996);
}

#[test]
fn increment_that_loses_up_to_five_messages() {
    let alone = scope(vec![vec![Op::Increment]], &[Reach::InDoubt]);
    explore(Scope { works: 3, losses: 5, ..alone }, 260_194);
}

#[test]
fn one_idempotency_key_through_two_proposers_at_once() {
    let race = scope(vec![vec![keyed(Op::Increment)], vec![keyed(Op::Increment)]], &[Reach::InDoubt]);
    explore(Scope { works: 3, ..race }, 134_752);
}

#[test]
fn idempotency_keys_that_a_short_history_forgets() {
    let limits = HistoryLimits { rounds_max: 1, ops_max: 1, ..HistoryLimits::STANDARD };
    let other = Op::Keyed(2, Box::new(Op::Increment));
    let race = scope(vec![vec![keyed(Op::Create(1)), other], vec![keyed(Op::Create(1))]], &[]);
    explore(Scope { limits, works: 2, ..race }, 71_453);
}

#[test]
fn create_against_delete_and_create() {
    let race =
        scope(vec![vec![Op::Create(1)], vec![Op::Delete, Op::Create(2)]], &[Reach::InDoubt, Reach::Fetch]);
    explore(Scope { works: 2, widenings: 1, ..race }, 318_040);
}

#[test]
fn reads_beside_a_put_and_a_delete() {
    let race = scope(vec![vec![Op::Put(1), Op::Delete], vec![Op::Read, Op::Read]], &[Reach::ReadByRound]);
    explore(Scope { works: 3, ..race }, 61_499);
}

#[test]
fn operations_that_share_a_round() {
    let batch = || vec![Op::Increment, Op::Create(7), Op::Read];
    let mut race = Scope::of(vec![vec![batch()], vec![vec![Op::Put(3), Op::Increment]]]);
    race.reaches.push(Reach::InDoubt);
    explore(Scope { works: 3, ..race }, 178_268);
}

#[test]
fn three_proposers_race() {
    let race = scope(vec![vec![Op::Increment], vec![Op::Increment], vec![Op::Increment]], &[]);
    explore(Scope { works: 1, ..race }, 72_365);
}
