//! Scopes small enough for every test run, explored completely. The number of states is pinned: a change of it means
//! that the protocol, or what is explored of it, has changed.

use crate::explore::{explore, explore_batches, keyed};
use roundtable_consensus::{Expiry, HistoryLimits};
use roundtable_model::{Op, Reach, Scope};

/// A value that ends; the proposers' clocks reach its end one after the other, each at any moment or never.
const ENDING: Option<Expiry> = Some(Expiry::At(5));

/// A history that remembers this many rounds and operations.
fn remembers(count: usize) -> HistoryLimits {
    HistoryLimits { rounds_max: count, ops_max: count, ..HistoryLimits::STANDARD }
}

fn race() -> [Vec<Op>; 2] {
    [vec![Op::Increment], vec![Op::Increment]]
}

#[test]
fn increments_that_outbid_each_other() {
    let grow = |scope: &mut Scope| {
        scope.works = vec![3; 2];
        scope.reaches.extend([Reach::InDoubt, Reach::SettledByHistory]);
    };
    explore(race(), grow, 141_567);
}

#[test]
fn increments_while_a_node_restarts() {
    explore(race(), |scope| scope.budget.restarts = 1, 194_175);
}

#[test]
fn increments_whose_messages_come_twice() {
    explore(race(), |scope| scope.budget.duplicates = 1, 219_052);
}

#[test]
fn increments_of_which_an_answer_stays_away() {
    explore(race(), |scope| scope.budget.silences = 1, 64_117);
}

#[test]
fn increment_that_loses_up_to_five_messages() {
    let grow = |scope: &mut Scope| {
        (scope.works, scope.budget.losses) = (vec![3], 5);
        scope.reaches.extend([Reach::InDoubt, Reach::SettledByHistory]);
    };
    explore([vec![Op::Increment]], grow, 272_417);
}

#[test]
fn increments_of_which_a_history_of_one_round_forgets_one() {
    let grow = |scope: &mut Scope| {
        scope.limits = remembers(1);
        scope.reaches.extend([Reach::InDoubt, Reach::Forgotten]);
    };
    explore([vec![Op::Increment], vec![Op::Increment, Op::Increment]], grow, 155_268);
}

#[test]
fn increments_of_which_a_history_of_two_rounds_forgets_one() {
    let grow = |scope: &mut Scope| {
        (scope.limits, scope.works) = (remembers(2), vec![2, 1, 1]);
        scope.reaches.extend([Reach::InDoubt, Reach::RoundDropped, Reach::Forgotten]);
    };
    explore([vec![Op::Increment], vec![Op::Increment], vec![Op::Increment]], grow, 930_982);
}

#[test]
fn increments_of_which_a_history_forgets_one_by_its_age() {
    let grow = |scope: &mut Scope| {
        (scope.budget.leaps, scope.leap_ms) = (1, HistoryLimits::STANDARD.rounds_age_ms_max);
        scope.reaches.extend([Reach::RoundDropped, Reach::Forgotten, Reach::SettledByHistory]);
    };
    explore(race(), grow, 68_152);
}

#[test]
fn idempotency_keys_of_which_a_history_forgets_one_by_its_age() {
    let grow = |scope: &mut Scope| {
        (scope.budget.leaps, scope.leap_ms) = (1, HistoryLimits::STANDARD.ops_age_ms_max);
        scope.reaches.extend([Reach::OpDropped, Reach::Forgotten]);
    };
    let other = Op::Keyed(2, Box::new(Op::Increment));
    explore([vec![keyed(Op::Increment)], vec![other]], grow, 68_152);
}

#[test]
fn put_and_increment_beside_a_read_while_a_node_loses_its_disk() {
    let grow = |scope: &mut Scope| {
        scope.budget.disks = 1;
        scope.reaches.extend([Reach::AnsweredWithoutDisk, Reach::InDoubt, Reach::ReadByRound]);
    };
    explore([vec![Op::Put(1), Op::Increment], vec![Op::Read]], grow, 77_406);
}

#[test]
fn increment_of_a_proposer_that_crashes_and_the_next_one() {
    let grow = |scope: &mut Scope| {
        scope.budget.crashes = 1;
        scope.reaches.push(Reach::AnsweredAfterCrash);
    };
    explore([vec![Op::Increment, Op::Increment], vec![Op::Increment]], grow, 221_473);
}

#[test]
fn one_idempotency_key_through_two_proposers_at_once() {
    let grow = |scope: &mut Scope| {
        scope.works = vec![3; 2];
        scope.reaches.push(Reach::InDoubt);
    };
    explore([vec![keyed(Op::Increment)], vec![keyed(Op::Increment)]], grow, 141_567);
}

#[test]
fn one_idempotency_key_through_a_proposer_before_and_after_its_crash() {
    let grow = |scope: &mut Scope| {
        scope.budget.crashes = 1;
        scope.reaches.push(Reach::AnsweredAfterCrash);
    };
    explore([vec![keyed(Op::Increment), keyed(Op::Increment)], vec![Op::Delete]], grow, 168_538);
}

#[test]
fn one_idempotency_key_through_two_proposers_at_once_of_which_one_crashes() {
    let grow = |scope: &mut Scope| {
        scope.budget.crashes = 1;
        scope.reaches.extend([Reach::InDoubt, Reach::AnsweredAfterCrash]);
    };
    explore([vec![keyed(Op::Increment), Op::Read], vec![keyed(Op::Increment)]], grow, 51_559);
}

#[test]
fn idempotency_keys_that_a_history_of_one_operation_forgets() {
    let other = Op::Keyed(2, Box::new(Op::Increment));
    let operations = [vec![keyed(Op::Create(1)), other], vec![keyed(Op::Create(1))]];
    explore(operations, |scope| scope.limits = remembers(1), 73_295);
}

#[test]
fn idempotency_keys_that_a_history_of_two_operations_forgets() {
    let others = (2..=4).map(|id| Op::Keyed(id, Box::new(Op::Increment))).collect();
    let grow = |scope: &mut Scope| {
        scope.limits = remembers(2);
        scope.reaches.push(Reach::Forgotten);
    };
    explore_batches(vec![vec![vec![keyed(Op::Increment)]], vec![others]], grow, 13_868);
}

#[test]
fn create_against_delete_and_create() {
    let grow = |scope: &mut Scope| {
        scope.budget.widenings = 1;
        scope.reaches.extend([Reach::InDoubt, Reach::Fetch, Reach::Early]);
    };
    explore([vec![Op::Create(1)], vec![Op::Delete, Op::Create(2)]], grow, 516_873);
}

#[test]
fn swaps_of_one_version() {
    let grow = |scope: &mut Scope| {
        (scope.works, scope.start) = (vec![3; 2], Some(Expiry::Never));
        scope.reaches.extend([Reach::Swapped, Reach::SwapRefused, Reach::Early, Reach::SettledByHistory]);
    };
    explore([vec![Op::Swap(1)], vec![Op::Swap(2)]], grow, 150_092);
}

#[test]
fn swaps_after_a_read_beside_a_put() {
    let grow = |scope: &mut Scope| {
        (scope.works, scope.start) = (vec![3; 2], Some(Expiry::Never));
        scope.reaches.extend([Reach::Swapped, Reach::SwapRefused]);
    };
    explore([vec![Op::Read, Op::Swap(1)], vec![Op::Put(2)]], grow, 92_180);
}

#[test]
fn reads_beside_a_put_and_a_delete() {
    let grow = |scope: &mut Scope| {
        scope.works = vec![3; 2];
        scope.reaches.push(Reach::ReadByRound);
    };
    explore([vec![Op::Put(1), Op::Delete], vec![Op::Read, Op::Read]], grow, 73_085);
}

#[test]
fn reads_of_an_ending_value_by_clocks_that_differ() {
    let grow = |scope: &mut Scope| {
        (scope.works, scope.start, scope.budget.ends) = (vec![3; 2], ENDING, 2);
        scope.reaches.extend([Reach::Ended, Reach::ReadByRound]);
    };
    explore([vec![Op::Read], vec![Op::Read, Op::Increment]], grow, 273_329);
}

#[test]
fn increment_and_create_of_an_ending_value_by_clocks_that_differ() {
    let grow = |scope: &mut Scope| {
        (scope.start, scope.budget.ends) = (ENDING, 2);
        scope.reaches.extend([Reach::Ended, Reach::Early]);
    };
    explore([vec![Op::Increment], vec![Op::Create(1), Op::Read]], grow, 146_063);
}

#[test]
fn ending_value_put_and_read_by_clocks_that_differ() {
    let grow = |scope: &mut Scope| {
        (scope.works, scope.budget.ends) = (vec![3; 2], 2);
        scope.reaches.extend([Reach::Ended, Reach::ReadByRound]);
    };
    explore([vec![Op::PutUntil(1), Op::Read], vec![Op::Read]], grow, 152_007);
}

#[test]
fn increment_of_an_ending_value_beside_a_read_whose_messages_come_twice() {
    let grow = |scope: &mut Scope| {
        (scope.start, scope.budget.ends, scope.budget.duplicates) = (ENDING, 2, 1);
        scope.reaches.extend([Reach::Ended, Reach::ReadByRound]);
    };
    explore([vec![Op::Read], vec![Op::Increment]], grow, 165_037);
}

#[test]
fn increment_of_an_ending_value_beside_a_read_while_a_node_restarts() {
    let grow = |scope: &mut Scope| {
        (scope.start, scope.budget.ends, scope.budget.restarts) = (ENDING, 2, 1);
        scope.reaches.extend([Reach::Ended, Reach::ReadByRound]);
    };
    explore([vec![Op::Read], vec![Op::Increment]], grow, 123_600);
}

#[test]
fn create_over_an_ending_value_beside_a_read_with_a_loss() {
    let grow = |scope: &mut Scope| {
        (scope.start, scope.budget.ends, scope.budget.losses) = (ENDING, 2, 1);
        scope.reaches.extend([Reach::Ended, Reach::ReadByRound]);
    };
    explore([vec![Op::Read], vec![Op::Create(1)]], grow, 95_081);
}

#[test]
fn operations_that_share_a_round() {
    let batch = || vec![Op::Increment, Op::Create(7), Op::Read];
    let grow = |scope: &mut Scope| {
        scope.works = vec![3; 2];
        scope.reaches.push(Reach::InDoubt);
    };
    explore_batches(vec![vec![batch()], vec![vec![Op::Put(3), Op::Increment]]], grow, 186_460);
}

#[test]
fn three_proposers_race() {
    let operations = [vec![Op::Increment], vec![Op::Increment], vec![Op::Increment]];
    explore(operations, |scope| scope.works = vec![1; 3], 72_617);
}

#[test]
fn three_proposers_put_delete_and_swap() {
    let grow = |scope: &mut Scope| {
        (scope.works, scope.start) = (vec![1; 3], Some(Expiry::Never));
        scope.reaches.extend([Reach::Swapped, Reach::SwapRefused, Reach::Early]);
    };
    explore([vec![Op::Put(1)], vec![Op::Delete], vec![Op::Swap(2)]], grow, 63_726);
}

#[test]
fn three_proposers_put_delete_and_read_and_lose_a_message() {
    let grow = |scope: &mut Scope| {
        (scope.works, scope.start, scope.budget.losses) = (vec![1, 1, 2], Some(Expiry::Never), 1);
        scope.reaches.extend([Reach::ReadByRound, Reach::Early]);
    };
    explore([vec![Op::Put(1)], vec![Op::Delete], vec![Op::Read]], grow, 345_400);
}
