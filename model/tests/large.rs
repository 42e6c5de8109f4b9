//! Larger scopes, for `make model`: minutes each.

mod explore;

use explore::{explore, keyed};
use roundtable_consensus::Expiry;
use roundtable_model::{Op, Reach, Scope};

fn race() -> [Vec<Op>; 2] {
    [vec![Op::Increment], vec![Op::Increment]]
}

#[test]
#[ignore = "minutes: run by make model"]
fn increments_that_lose_messages_while_a_node_restarts() {
    explore(race(), |scope| (scope.budget.losses, scope.budget.restarts) = (1, 1), 5_530_209);
}

#[test]
#[ignore = "minutes: run by make model"]
fn increments_that_lose_two_messages() {
    explore(race(), |scope| scope.budget.losses = 2, 5_636_264);
}

#[test]
#[ignore = "minutes: run by make model"]
fn increments_of_which_an_answer_stays_away_so_that_another_node_is_asked() {
    explore(race(), |scope| (scope.budget.silences, scope.budget.widenings) = (1, 1), 1_311_167);
}

#[test]
#[ignore = "minutes: run by make model"]
fn reads_beside_a_put_and_a_delete_with_slow_replicas() {
    let grow = |scope: &mut Scope| {
        (scope.works, scope.budget.widenings) = (vec![3; 2], 1);
        scope.reaches.push(Reach::ReadByRound);
    };
    explore([vec![Op::Put(1), Op::Delete], vec![Op::Read, Op::Read]], grow, 1_724_602);
}

#[test]
#[ignore = "minutes: run by make model"]
fn one_idempotency_key_before_and_after_a_crash_beside_a_delete() {
    let grow = |scope: &mut Scope| {
        (scope.works, scope.budget.crashes) = (vec![3; 2], 1);
        scope.reaches.push(Reach::AnsweredAfterCrash);
    };
    explore([vec![keyed(Op::Increment), keyed(Op::Increment)], vec![Op::Delete]], grow, 2_099_489);
}

#[test]
#[ignore = "minutes: run by make model"]
fn swaps_that_lose_a_message() {
    let grow = |scope: &mut Scope| {
        (scope.start, scope.budget.losses) = (Some(Expiry::Never), 1);
        scope.reaches.extend([Reach::Swapped, Reach::SwapRefused, Reach::SettledByHistory]);
    };
    explore([vec![Op::Swap(1)], vec![Op::Swap(2), Op::Read]], grow, 673_488);
}
