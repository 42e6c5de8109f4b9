//! The checker can fail: with one rule taken out it finds what goes wrong.

use crate::explore::is_found;
use roundtable_consensus::Expiry;
use roundtable_model::{FENCING, LINEAGE, LINEARIZABLE, Op, Scope, Variant};

fn race(one: Op, other: Op) -> Scope {
    Scope::of(vec![vec![vec![one]], vec![vec![other]]])
}

fn increments() -> Scope {
    race(Op::Increment, Op::Increment)
}

fn restarts() -> Scope {
    let mut scope = increments();
    scope.budget.restarts = 1;
    scope
}

/// What finds a variant out, and where.
fn found_by(variant: Variant) -> (&'static str, Scope) {
    match variant {
        Variant::Sound => (LINEARIZABLE, increments()),
        Variant::NoHorizon | Variant::AnswersBeforeSync => (LINEARIZABLE, restarts()),
        Variant::ReadsFromOneReplica => {
            (LINEARIZABLE, Scope::of(vec![vec![vec![Op::Put(1)]], vec![vec![Op::Read], vec![Op::Read]]]))
        }
        Variant::MinorityQuorums | Variant::PromisesForgotten | Variant::HistoryForgotten => {
            (LINEARIZABLE, increments())
        }
        Variant::AmnesiacVotes => {
            let mut scope = race(Op::Put(1), Op::Read);
            scope.budget.disks = 1;
            (LINEARIZABLE, scope)
        }
        Variant::RefusesForOneReplica => {
            (LINEARIZABLE, Scope { start: Some(Expiry::Never), ..race(Op::Delete, Op::Create(1)) })
        }
        Variant::AttemptsForgotten => (LINEARIZABLE, Scope { works: vec![3; 2], ..increments() }),
        Variant::LastAttemptOnly => {
            let mut scope = Scope { works: vec![3], ..Scope::of(vec![vec![vec![Op::Increment]]]) };
            scope.budget.losses = 5;
            (LINEARIZABLE, scope)
        }
        Variant::ExpiryToldUnchosen => {
            let mut scope = race(Op::Read, Op::Read);
            (scope.start, scope.budget.ends) = (Some(Expiry::At(5)), 1);
            (LINEARIZABLE, scope)
        }
        // The delete is accepted at C only, the create builds on it and is accepted at C only, its retry finds the
        // first value at A and B and is refused, and then the increment finds what was created.
        Variant::RefusesInDoubt => {
            let mut scope =
                Scope::of(vec![vec![vec![Op::Delete]], vec![vec![Op::Create(1)], vec![Op::Increment]]]);
            (scope.start, scope.works, scope.budget.losses) = (Some(Expiry::Never), vec![3; 2], 3);
            (LINEARIZABLE, scope)
        }
        Variant::KeysIgnored => {
            let increment = || Op::Keyed(1, Box::new(Op::Increment));
            (LINEARIZABLE, race(increment(), increment()))
        }
        Variant::VersionWithoutIndex => (FENCING, Scope::of(vec![vec![vec![Op::Put(1), Op::Put(2)]]])),
    }
}

#[test]
fn every_broken_variant_is_found() {
    let unnoticed = Variant::BROKEN.into_iter().filter(|variant| {
        let (property, scope) = found_by(*variant);
        !is_found(*variant, property, scope)
    });
    assert_eq!(unnoticed.collect::<Vec<_>>(), []);
}

#[test]
fn horizon_lost_on_restart_breaks_the_lineage() {
    assert!(is_found(Variant::NoHorizon, LINEAGE, restarts()));
}

#[test]
fn the_simulation_breaks_the_same_rules() {
    let names = |variants: &[&dyn std::fmt::Debug]| -> Vec<String> {
        variants.iter().map(|variant| format!("{variant:?}")).collect()
    };
    let here: Vec<&dyn std::fmt::Debug> = Variant::BROKEN.iter().map(|variant| variant as _).collect();
    let there: Vec<&dyn std::fmt::Debug> =
        roundtable_simulation::Variant::BROKEN.iter().map(|variant| variant as _).collect();
    assert_eq!(names(&here), names(&there));
}
