//! Larger scopes, for `make model`: minutes each.

mod explore;

use explore::{explore, keyed, remembers};
use roundtable_consensus::Expiry;
use roundtable_model::{Op, Reach, Scope};

fn race() -> [Vec<Op>; 2] {
    [vec![Op::Increment], vec![Op::Increment]]
}

#[test]
#[ignore = "minutes: run by make model"]
fn increments_that_lose_messages_while_a_node_restarts() {
    explore(race(), |scope| (scope.budget.losses, scope.budget.restarts) = (1, 1), 0);
}

#[test]
#[ignore = "minutes: run by make model"]
fn increments_that_lose_two_messages() {
    explore(race(), |scope| scope.budget.losses = 2, 0);
}

#[test]
#[ignore = "minutes: run by make model"]
fn increments_of_which_a_history_of_two_rounds_forgets_one() {
    let grow = |scope: &mut Scope| {
        (scope.works, scope.limits) = (3, remembers(2));
        scope.reaches.push(Reach::Forgotten);
    };
    explore([vec![Op::Increment], vec![Op::Increment, Op::Increment, Op::Increment]], grow, 0);
}

#[test]
#[ignore = "minutes: run by make model"]
fn reads_beside_a_put_and_a_delete_with_slow_replicas() {
    let grow = |scope: &mut Scope| {
        (scope.works, scope.budget.widenings) = (3, 1);
        scope.reaches.push(Reach::ReadByRound);
    };
    explore([vec![Op::Put(1), Op::Delete], vec![Op::Read, Op::Read]], grow, 0);
}

#[test]
#[ignore = "minutes: run by make model"]
fn one_idempotency_key_before_and_after_a_crash_beside_a_delete() {
    let grow = |scope: &mut Scope| {
        (scope.works, scope.budget.crashes) = (3, 1);
        scope.reaches.push(Reach::AnsweredAfterCrash);
    };
    explore([vec![keyed(Op::Increment), keyed(Op::Increment)], vec![Op::Delete]], grow, 0);
}

#[test]
#[ignore = "minutes: run by make model"]
fn swaps_that_lose_a_message() {
    let grow = |scope: &mut Scope| {
        (scope.start, scope.budget.losses) = (Some(Expiry::Never), 1);
        scope.reaches.extend([Reach::Swapped, Reach::SwapRefused, Reach::SettledByHistory]);
    };
    explore([vec![Op::Swap(1)], vec![Op::Swap(2), Op::Read]], grow, 0);
}

#[test]
#[ignore = "minutes: run by make model"]
fn ending_values_put_and_read_by_clocks_that_differ() {
    let grow = |scope: &mut Scope| {
        (scope.works, scope.budget.ends) = (3, 2);
        scope.reaches.extend([Reach::Ended, Reach::ReadByRound]);
    };
    explore([vec![Op::PutUntil(1), Op::Read], vec![Op::Increment, Op::Read]], grow, 0);
}
