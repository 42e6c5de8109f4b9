//! The checker can fail: with one rule taken out it finds a history that no single copy of the key could give.

use roundtable_model::{LINEARIZABLE, Op, Protocol, Scope, Variant};
use stateright::{Checker, HasDiscoveries, Model};

#[track_caller]
fn assert_found(variant: Variant, scope: Scope) {
    let model = Protocol { scope, variant };
    let failures = HasDiscoveries::AnyFailures;
    let checker = model.checker().threads(2).finish_when(failures).spawn_bfs().join();
    assert!(checker.discovery(LINEARIZABLE).is_some(), "{variant:?} went unnoticed");
}

fn race(one: Op, other: Op) -> Scope {
    Scope::of(vec![vec![vec![one]], vec![vec![other]]])
}

#[test]
fn horizon_lost_on_restart_is_found() {
    let scope = Scope { restarts: 1, ..race(Op::Increment, Op::Increment) };
    assert_found(Variant::HorizonLost, scope);
}

#[test]
fn answer_before_the_sync_is_found() {
    let scope = Scope { restarts: 1, ..race(Op::Increment, Op::Increment) };
    assert_found(Variant::AnswersUnsynced, scope);
}

#[test]
fn forgotten_attempts_are_found() {
    assert_found(Variant::AttemptsForgotten, Scope { works: 3, ..race(Op::Increment, Op::Increment) });
}

#[test]
fn attempts_before_the_last_forgotten_are_found() {
    let alone = Scope::of(vec![vec![vec![Op::Increment]]]);
    assert_found(Variant::LastAttemptOnly, Scope { works: 3, losses: 5, ..alone });
}

#[test]
fn read_of_one_replica_is_found() {
    let scope = Scope::of(vec![vec![vec![Op::Put(1)]], vec![vec![Op::Read], vec![Op::Read]]]);
    assert_found(Variant::ReadsOneReplica, scope);
}

#[test]
fn ignored_idempotency_keys_are_found() {
    let increment = || Op::Keyed(1, Box::new(Op::Increment));
    assert_found(Variant::KeysIgnored, race(increment(), increment()));
}
