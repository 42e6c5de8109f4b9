//! Larger scopes, for `make model`: minutes each.

use roundtable_consensus::HistoryLimits;
use roundtable_model::{Op, Protocol, Reach, Scope, Variant};
use stateright::{Checker, Model};

#[track_caller]
fn explore(operations: Vec<Vec<Op>>, grow: impl FnOnce(&mut Scope), states: usize) {
    let batches = operations.into_iter().map(|ops| ops.into_iter().map(|op| vec![op]).collect()).collect();
    let mut scope = Scope::of(batches);
    grow(&mut scope);
    // Depth first: the states that wait to be explored stay few.
    let checker = Protocol { scope, variant: Variant::Sound }.checker().threads(2).spawn_dfs().join();
    checker.assert_properties();
    assert_eq!(checker.unique_state_count(), states);
}

fn race() -> Vec<Vec<Op>> {
    vec![vec![Op::Increment], vec![Op::Increment]]
}

#[test]
#[ignore = "minutes: run by make model"]
fn increments_that_lose_messages_while_a_node_restarts() {
    explore(race(), |scope| (scope.losses, scope.restarts) = (1, 1), 4_894_359);
}

#[test]
#[ignore = "minutes: run by make model"]
fn increments_that_lose_two_messages() {
    explore(race(), |scope| scope.losses = 2, 4_833_173);
}

#[test]
#[ignore = "minutes: run by make model"]
fn reads_beside_a_put_and_a_delete_with_slow_replicas() {
    let operations = vec![vec![Op::Put(1), Op::Delete], vec![Op::Read, Op::Read]];
    let grow = |scope: &mut Scope| {
        (scope.works, scope.widenings) = (3, 1);
        scope.reaches.push(Reach::ReadByRound);
    };
    explore(operations, grow, 1_351_404);
}

#[test]
#[ignore = "minutes: run by make model"]
fn increments_of_which_a_history_of_one_round_remembers_the_last() {
    let limits = HistoryLimits { rounds_max: 1, ops_max: 1, ..HistoryLimits::STANDARD };
    let operations = vec![vec![Op::Increment], vec![Op::Increment, Op::Increment]];
    explore(operations, |scope| (scope.works, scope.limits) = (3, limits), 2_461_658);
}
