//! What must hold in every state, and what must be reached in some.

mod fencing;
mod lineage;

pub(crate) use fencing::Fencing;
pub(crate) use lineage::Lineage;
use roundtable_consensus::{Register, RequestBody, Step};
use stateright::Property;

use crate::model::{Protocol, State};
use crate::proposer::{Proposer, Work};
use crate::{Op, Ret, What};

/// What clients see could have come from one copy of the key.
pub const LINEARIZABLE: &str = "linearizable";
/// One ballot, one register.
pub const AGREEMENT: &str = "agreement";

/// Each chosen register derives from every chosen one with a lower ballot.
pub const LINEAGE: &str = "lineage";
/// Versions told increase along real time, and each names one value.
pub const FENCING: &str = "fencing";

/// Something that a scope must reach: a checker that never gets there shows nothing about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reach {
    /// Every operation has its answer.
    EverybodyAnswered,
    /// A change is tried again while its earlier Accept may still arrive.
    InDoubt,
    /// A read could not be settled in one trip and runs a round.
    ReadByRound,
    /// The bytes of a value are fetched.
    Fetch,
    /// A change that was in doubt is found in the history.
    SettledByHistory,
    /// A client is told that nobody can tell: the history no longer reaches back.
    Forgotten,
    /// A refusal or a read is answered by the promises alone.
    Early,
    /// A client is told that there is nothing, and time has taken it.
    Ended,
    /// A condition on a version holds.
    Swapped,
    /// A condition on a version fails.
    SwapRefused,
    /// A proposer that has started again answers.
    AnsweredAfterCrash,
}

/// The properties of a scope.
pub(crate) fn of(reaches: &[Reach]) -> Vec<Property<Protocol>> {
    let mut properties = vec![
        Property::<Protocol>::always(LINEARIZABLE, |_, state| state.linearizable),
        Property::<Protocol>::always(AGREEMENT, |_, state| agreement(state)),
        Property::<Protocol>::always(LINEAGE, |_, state| state.lineage.holds),
        Property::<Protocol>::always(FENCING, |_, state| state.fencing.holds),
    ];
    properties.extend(reaches.iter().map(|reach| {
        let condition: fn(&Protocol, &State) -> bool = match reach {
            Reach::EverybodyAnswered => |_, state| everybody_answered(state),
            Reach::InDoubt => |_, state| in_doubt(state),
            Reach::ReadByRound => |_, state| reads_by_round(state),
            Reach::Fetch => |_, state| fetches(state),
            Reach::SettledByHistory => |_, state| state.reached.contains(&Reach::SettledByHistory),
            Reach::Forgotten => |_, state| state.reached.contains(&Reach::Forgotten),
            Reach::Early => |_, state| state.reached.contains(&Reach::Early),
            Reach::Ended => |_, state| state.reached.contains(&Reach::Ended),
            Reach::Swapped => |_, state| state.reached.contains(&Reach::Swapped),
            Reach::SwapRefused => |_, state| state.reached.contains(&Reach::SwapRefused),
            Reach::AnsweredAfterCrash => |_, state| state.reached.contains(&Reach::AnsweredAfterCrash),
        };
        Property::sometimes(reach.name(), condition)
    }));
    properties
}

impl Reach {
    /// The name of the property that it is reached.
    fn name(self) -> &'static str {
        match self {
            Self::EverybodyAnswered => "everybody is answered",
            Self::InDoubt => "a change is in doubt",
            Self::ReadByRound => "a read runs a round",
            Self::Fetch => "a value is fetched",
            Self::SettledByHistory => "the history settles a change",
            Self::Forgotten => "an outcome is forgotten",
            Self::Early => "promises answer",
            Self::Ended => "a value has ended for a client",
            Self::Swapped => "a version matches",
            Self::SwapRefused => "a version does not match",
            Self::AnsweredAfterCrash => "a proposer answers in its second life",
        }
    }
}

/// What is reached by this answer.
pub(crate) fn reached_by(
    op: &Op,
    ret: &Ret,
    by: Option<Reach>,
    proposer: &Proposer,
) -> impl Iterator<Item = Reach> {
    let swap = matches!(op, Op::SwapOver(..));
    let nothing = matches!(ret.what, What::Number(None) | What::Counted(1) | What::Created);
    let all = [
        (by == Some(Reach::Early), Reach::Early),
        (by == Some(Reach::SettledByHistory), Reach::SettledByHistory),
        (nothing && proposer.past_end, Reach::Ended),
        (swap && ret.what == What::Replaced, Reach::Swapped),
        (swap && ret.what == What::Refused, Reach::SwapRefused),
        (proposer.lives > 0, Reach::AnsweredAfterCrash),
    ];
    all.into_iter().filter_map(|(is_reached, reach)| is_reached.then_some(reach))
}

fn agreement(state: &State) -> bool {
    let stored = state.acceptors.iter().filter_map(|acceptor| acceptor.disk.as_ref());
    let sent = state.network.under_way.values().filter_map(|body| match body {
        RequestBody::Accept { register, .. } => Some(register),
        _ => None,
    });
    let registers: Vec<&Register> = stored.chain(sent).chain(state.lineage.chosen.values()).collect();
    registers.iter().all(|a| registers.iter().all(|b| a.accepted != b.accepted || a == b))
}

fn everybody_answered(state: &State) -> bool {
    state.open.is_empty() && state.proposers.iter().all(|proposer| proposer.batches.is_empty())
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
