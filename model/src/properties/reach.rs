//! What must be reached in some state of a scope.

use roundtable_consensus::{Ballot, History, Step};
use stateright::Property;

use crate::model::{Protocol, State};
use crate::proposer::{Proposer, Work};
use crate::{Op, Ret, What};

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
    /// A history no longer holds a round.
    RoundDropped,
    /// A history no longer holds an operation with a client's key.
    OpDropped,
    /// A round that began at its Accept is chosen.
    OneTrip,
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
    /// A client is answered while a node's disk is lost.
    AnsweredWithoutDisk,
}

impl Reach {
    /// The property that it is reached.
    pub(super) fn property(self) -> Property<Protocol> {
        let condition: fn(&Protocol, &State) -> bool = match self {
            Self::EverybodyAnswered => |_, state| everybody_answered(state),
            Self::InDoubt => |_, state| in_doubt(state),
            Self::ReadByRound => |_, state| reads_by_round(state),
            Self::Fetch => |_, state| fetches(state),
            Self::RoundDropped => |_, state| some_history(state, History::rounds_floor),
            Self::OpDropped => |_, state| some_history(state, History::ops_floor),
            Self::SettledByHistory => |_, state| state.reached.contains(&Self::SettledByHistory),
            Self::Forgotten => |_, state| state.reached.contains(&Self::Forgotten),
            Self::OneTrip => |_, state| state.reached.contains(&Self::OneTrip),
            Self::Early => |_, state| state.reached.contains(&Self::Early),
            Self::Ended => |_, state| state.reached.contains(&Self::Ended),
            Self::Swapped => |_, state| state.reached.contains(&Self::Swapped),
            Self::SwapRefused => |_, state| state.reached.contains(&Self::SwapRefused),
            Self::AnsweredAfterCrash => |_, state| state.reached.contains(&Self::AnsweredAfterCrash),
            Self::AnsweredWithoutDisk => |_, state| state.reached.contains(&Self::AnsweredWithoutDisk),
        };
        Property::sometimes(self.name(), condition)
    }

    fn name(self) -> &'static str {
        match self {
            Self::EverybodyAnswered => "everybody is answered",
            Self::InDoubt => "a change is in doubt",
            Self::ReadByRound => "a read runs a round",
            Self::Fetch => "a value is fetched",
            Self::SettledByHistory => "the history settles a change",
            Self::Forgotten => "an outcome is forgotten",
            Self::RoundDropped => "a history drops a round",
            Self::OpDropped => "a history drops an operation",
            Self::OneTrip => "a round takes one trip",
            Self::Early => "promises answer",
            Self::Ended => "a value has ended for a client",
            Self::Swapped => "a version matches",
            Self::SwapRefused => "a version does not match",
            Self::AnsweredAfterCrash => "a proposer answers in its second life",
            Self::AnsweredWithoutDisk => "a client is answered while a disk is lost",
        }
    }
}

/// What is reached by this answer.
pub(crate) fn reached_by(
    op: &Op,
    ret: &Ret,
    by: Option<Reach>,
    proposer: &Proposer,
    disk_lost: bool,
) -> impl Iterator<Item = Reach> {
    let swap = matches!(op, Op::SwapOver(..));
    let nothing = matches!(ret.what, What::Number(None) | What::Counted(1) | What::Created);
    let all = [
        (by == Some(Reach::Early), Reach::Early),
        (by == Some(Reach::SettledByHistory), Reach::SettledByHistory),
        (by == Some(Reach::OneTrip), Reach::OneTrip),
        (nothing && proposer.past_end, Reach::Ended),
        (swap && ret.what == What::Replaced, Reach::Swapped),
        (swap && ret.what == What::Refused, Reach::SwapRefused),
        (proposer.lives > 0, Reach::AnsweredAfterCrash),
        (disk_lost, Reach::AnsweredWithoutDisk),
    ];
    all.into_iter().filter_map(|(is_reached, reach)| is_reached.then_some(reach))
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

/// Floors rise only by what is dropped: the model's nodes purge nothing.
fn some_history(state: &State, floor: fn(&History) -> Ballot) -> bool {
    let stored = state.acceptors.iter().filter_map(|acceptor| acceptor.disk.as_ref());
    stored.map(|register| &register.history).any(|history| !floor(history).is_zero())
}
