//! What must hold in every state, and what must be reached in some.

use roundtable_consensus::{Register, RequestBody, Step};
use stateright::Property;
use stateright::semantics::ConsistencyTester;

use crate::model::{Protocol, State};
use crate::proposer::{Proposer, Work};

/// What clients see could have come from one copy of the key.
pub const LINEARIZABLE: &str = "linearizable";
/// One ballot, one register.
pub const AGREEMENT: &str = "agreement";

/// Something that a scope must reach: a checker that never gets there shows nothing about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reach {
    /// Every operation has its answer.
    EverybodyAnswered,
    /// A change is tried again while its earlier Accept may still arrive.
    InDoubt,
    /// A read could not be settled in one trip and runs a round.
    ReadByRound,
    /// The bytes of a value are fetched.
    Fetch,
}

/// The properties of a scope.
pub(crate) fn of(reaches: &[Reach]) -> Vec<Property<Protocol>> {
    let mut properties = vec![
        Property::<Protocol>::always(LINEARIZABLE, |_, state| state.history.is_consistent()),
        Property::<Protocol>::always(AGREEMENT, |_, state| agreement(state)),
    ];
    properties.extend(reaches.iter().map(|reach| match reach {
        Reach::EverybodyAnswered => {
            Property::<Protocol>::sometimes("everybody is answered", |_, state| everybody_answered(state))
        }
        Reach::InDoubt => Property::<Protocol>::sometimes("a change is in doubt", |_, state| in_doubt(state)),
        Reach::ReadByRound => {
            Property::<Protocol>::sometimes("a read runs a round", |_, state| reads_by_round(state))
        }
        Reach::Fetch => Property::<Protocol>::sometimes("a value is fetched", |_, state| fetches(state)),
    }));
    properties
}

fn agreement(state: &State) -> bool {
    let stored = state.acceptors.iter().filter_map(|acceptor| acceptor.disk.as_ref());
    let sent = state.network.under_way.values().filter_map(|body| match body {
        RequestBody::Accept { register, .. } => Some(register),
        _ => None,
    });
    let registers: Vec<&Register> = stored.chain(sent).collect();
    registers.iter().all(|a| registers.iter().all(|b| a.accepted != b.accepted || a == b))
}

fn everybody_answered(state: &State) -> bool {
    state.open == 0 && state.proposers.iter().all(|proposer| proposer.batches.is_empty())
}

fn in_doubt(state: &State) -> bool {
    let network = &state.network;
    let accepts = || network.under_way.keys().filter(|letter| letter.step == Some(Step::Accept));
    network.awaited.iter().any(|now| accepts().any(|old| old.from == now.from && old.work < now.work))
}

fn reads_by_round(state: &State) -> bool {
    let by_round = |proposer: &Proposer| proposer.reading && matches!(proposer.work, Some(Work::Round(_)));
    state.proposers.iter().any(by_round)
}

fn fetches(state: &State) -> bool {
    state.network.awaited.iter().any(|letter| letter.step == Some(Step::Fetch))
}
