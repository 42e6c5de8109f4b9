//! Larger scopes, for `make model`: minutes each.

use crate::explore::{explore, keyed};
use roundtable_consensus::{Expiry, HistoryLimits};
use roundtable_model::{Op, Reach, Scope};

/// A value that ends; the proposers' clocks reach its end one after the other, each at any moment or never.
const ENDING: Option<Expiry> = Some(Expiry::At(5));

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

#[test]
#[ignore = "minutes: run by make model"]
fn increments_of_which_a_history_forgets_one_by_its_age_with_more_tries() {
    let grow = |scope: &mut Scope| {
        scope.works = vec![3; 2];
        (scope.budget.leaps, scope.leap_ms) = (1, HistoryLimits::STANDARD.rounds_age_ms_max);
        scope.reaches.extend([Reach::RoundDropped, Reach::Forgotten, Reach::SettledByHistory]);
    };
    explore(race(), grow, 954_112);
}

#[test]
#[ignore = "minutes: run by make model"]
fn increments_while_a_node_loses_its_disk() {
    let grow = |scope: &mut Scope| {
        scope.budget.disks = 1;
        scope.reaches.extend([Reach::AnsweredWithoutDisk, Reach::SettledByHistory]);
    };
    explore(race(), grow, 322_106);
}

#[test]
#[ignore = "minutes: run by make model"]
fn one_idempotency_key_through_two_proposers_at_once_with_a_loss() {
    let grow = |scope: &mut Scope| {
        scope.budget.losses = 1;
        scope.reaches.extend([Reach::InDoubt, Reach::SettledByHistory]);
    };
    explore([vec![keyed(Op::Increment)], vec![keyed(Op::Increment)]], grow, 400_893);
}

#[test]
#[ignore = "minutes: run by make model"]
fn one_idempotency_key_through_two_proposers_at_once_while_a_node_restarts() {
    let grow = |scope: &mut Scope| {
        scope.budget.restarts = 1;
        scope.reaches.extend([Reach::InDoubt, Reach::SettledByHistory]);
    };
    explore([vec![keyed(Op::Increment)], vec![keyed(Op::Increment)]], grow, 194_175);
}

#[test]
#[ignore = "minutes: run by make model"]
fn one_idempotency_key_through_two_proposers_at_once_and_again_after_a_crash() {
    let grow = |scope: &mut Scope| {
        scope.budget.crashes = 1;
        scope.reaches.extend([Reach::InDoubt, Reach::AnsweredAfterCrash]);
    };
    let operations = [vec![keyed(Op::Increment), keyed(Op::Increment)], vec![keyed(Op::Increment)]];
    explore(operations, grow, 221_473);
}

#[test]
#[ignore = "minutes: run by make model"]
fn increment_of_an_ending_value_beside_a_read_with_a_loss() {
    let grow = |scope: &mut Scope| {
        (scope.start, scope.budget.ends, scope.budget.losses) = (ENDING, 2, 1);
        scope.reaches.extend([Reach::Ended, Reach::ReadByRound]);
    };
    explore([vec![Op::Read], vec![Op::Increment]], grow, 226_502);
}

#[test]
#[ignore = "minutes: run by make model"]
fn three_proposers_increment_and_lose_a_message() {
    let operations = [vec![Op::Increment], vec![Op::Increment], vec![Op::Increment]];
    explore(operations, |scope| (scope.works, scope.budget.losses) = (vec![1; 3], 1), 1_139_671);
}

#[test]
#[ignore = "minutes: run by make model"]
fn three_proposers_increment_while_a_node_restarts() {
    let operations = [vec![Op::Increment], vec![Op::Increment], vec![Op::Increment]];
    explore(operations, |scope| (scope.works, scope.budget.restarts) = (vec![1; 3], 1), 750_267);
}

#[test]
#[ignore = "minutes: run by make model"]
fn three_proposers_put_delete_read_and_swap() {
    let grow = |scope: &mut Scope| {
        (scope.works, scope.start) = (vec![1, 1, 2], Some(Expiry::Never));
        scope.reaches.extend([Reach::Swapped, Reach::SwapRefused, Reach::ReadByRound, Reach::Early]);
    };
    explore([vec![Op::Put(1)], vec![Op::Delete], vec![Op::Read, Op::Swap(2)]], grow, 306_255);
}
