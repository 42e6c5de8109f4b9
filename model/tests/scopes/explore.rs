//! What the tests share.

use std::collections::BTreeSet;

use roundtable_model::{Op, Protocol, Scope, Variant};
use stateright::{Checker, HasDiscoveries, Model};

/// Explores a scope completely: each proposer with one operation after another, and what `grow` adds.
#[track_caller]
pub(crate) fn explore<const N: usize>(
    operations: [Vec<Op>; N],
    grow: impl FnOnce(&mut Scope),
    states: usize,
) {
    let batches = operations.into_iter().map(|ops| ops.into_iter().map(|op| vec![op]).collect()).collect();
    explore_batches(batches, grow, states);
}

/// The same, for batches of operations that share a round.
#[track_caller]
pub(crate) fn explore_batches(operations: Vec<Vec<Vec<Op>>>, grow: impl FnOnce(&mut Scope), states: usize) {
    let mut scope = Scope::of(operations);
    grow(&mut scope);
    // Depth first: the states that wait to be explored stay few.
    let checker = Protocol { scope, variant: Variant::Sound }.checker().threads(2).spawn_dfs().join();
    checker.assert_properties();
    assert_eq!(checker.unique_state_count(), states, "the protocol, or what is explored of it, has changed");
}

/// An operation under a client's key.
pub(crate) fn keyed(op: Op) -> Op {
    Op::Keyed(1, Box::new(op))
}

/// Whether the checker finds that a property does not hold in a scope.
pub(crate) fn is_found(variant: Variant, property: &'static str, scope: Scope) -> bool {
    let found = HasDiscoveries::AllOf(BTreeSet::from([property]));
    let checker = Protocol { scope, variant }.checker().threads(2).finish_when(found).spawn_bfs().join();
    checker.discovery(property).is_some()
}
