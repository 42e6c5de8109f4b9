//! What must hold in every state, and what must be reached in some.

mod fencing;
mod lineage;
mod reach;

pub(crate) use fencing::Fencing;
pub(crate) use lineage::Lineage;
pub use reach::Reach;
pub(crate) use reach::reached_by;
use roundtable_consensus::{Register, RequestBody};
use stateright::Property;

use crate::model::{Protocol, State};

/// What clients see could have come from one copy of the key.
pub const LINEARIZABLE: &str = "linearizable";
/// One ballot, one register.
pub const AGREEMENT: &str = "agreement";
/// Each chosen register derives from every chosen one with a lower ballot.
pub const LINEAGE: &str = "lineage";
/// Versions told increase along real time, and each names one value.
pub const FENCING: &str = "fencing";

/// The properties of a scope.
pub(crate) fn of(reaches: &[Reach]) -> Vec<Property<Protocol>> {
    let mut properties = vec![
        Property::<Protocol>::always(LINEARIZABLE, |_, state| state.linearizable),
        Property::<Protocol>::always(AGREEMENT, |_, state| agreement(state)),
        Property::<Protocol>::always(LINEAGE, |_, state| state.lineage.holds),
        Property::<Protocol>::always(FENCING, |_, state| state.fencing.holds),
    ];
    properties.extend(reaches.iter().map(|reach| reach.property()));
    properties
}

fn agreement(state: &State) -> bool {
    let stored = state.acceptors.iter().filter_map(|acceptor| acceptor.disk.as_ref());
    let sent = state.network.under_way.values().filter_map(|body| match body {
        RequestBody::Accept { register, .. } => Some(&**register),
        _ => None,
    });
    let registers: Vec<&Register> = stored.chain(sent).chain(state.lineage.chosen.values()).collect();
    registers.iter().all(|a| registers.iter().all(|b| a.accepted != b.accepted || a == b))
}
