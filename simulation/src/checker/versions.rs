//! The order that versions impose: they strictly increase along any order of the calls, so of the calls that wrote
//! or saw a version, those with the lowest come next. This leaves the search few choices.

use roundtable_consensus::Version;

use super::Placed;
use super::history::{Call, Demand, Ending, Operation};
use super::is_set;

/// Where a call stands among the versions. Whoever sees a version comes after its writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Writes(Version),
    Sees(Version),
}

impl Rank {
    /// By version first.
    fn key(self) -> (Version, bool) {
        match self {
            Self::Writes(version) => (version, false),
            Self::Sees(version) => (version, true),
        }
    }
}

/// The ranks of all calls whose answers tell versions.
#[derive(Debug)]
pub(super) struct VersionOrder {
    /// Ascending, each with the number of its call.
    ranks: Vec<(Rank, usize)>,
    /// The highest rank of each call.
    highest: Vec<Option<Rank>>,
}

impl VersionOrder {
    pub(super) fn of(operations: &[Operation]) -> Self {
        let mut ranks = Vec::new();
        let mut highest = Vec::new();
        for (number, operation) in operations.iter().enumerate() {
            let told = ranks_of(operation);
            ranks.extend(told.into_iter().flatten().map(|rank| (rank, number)));
            highest.push(told.into_iter().flatten().max_by_key(|rank| rank.key()));
        }
        ranks.sort_by_key(|(rank, number)| (rank.key(), *number));
        Self { ranks, highest }
    }

    /// The calls without a place that come first, as far as versions tell.
    pub(super) fn frontier(&self, placed: &Placed) -> Frontier<'_> {
        let mut open = self.ranks.iter().filter(|(_, number)| !is_set(placed, *number));
        let first = open.next().copied();
        let second = open.find(|(_, number)| first.is_some_and(|(_, first)| first != *number)).copied();
        Frontier { order: self, first, second }
    }
}

/// What comes next.
#[derive(Debug)]
pub(super) struct Frontier<'a> {
    order: &'a VersionOrder,
    /// The lowest rank of a call without a place.
    first: Option<(Rank, usize)>,
    /// The lowest rank of any other such call.
    second: Option<(Rank, usize)>,
}

impl Frontier<'_> {
    /// Whether this call may come next: no other one must come before it.
    pub(super) fn admits(&self, number: usize) -> bool {
        let Some(own) = self.order.highest.get(number).copied().flatten() else { return true };
        let other = match self.first {
            Some((_, first)) if first == number => self.second,
            first => first,
        };
        other.is_none_or(|(rank, _)| rank.key() >= own.key())
    }
}

fn ranks_of(operation: &Operation) -> [Option<Rank>; 2] {
    let Some((_, ending)) = operation.ended else { return [None, None] };
    let demanded = match operation.call {
        Call::Put(_, demand) | Call::Delete(demand) | Call::Touch(demand) => match demand {
            Demand::Version(version) => Some(Rank::Sees(version)),
            Demand::None | Demand::Exists | Demand::Absent => None,
        },
        Call::Read | Call::Increment(_) | Call::Expiry(_) => None,
    };
    match ending {
        Ending::Found(_, version) => [None, Some(Rank::Sees(version))],
        Ending::Wrote { version, .. } | Ending::Counted(_, version) => {
            [demanded, Some(Rank::Writes(version))]
        }
        Ending::Removed => [demanded, None],
        // What was demanded was not there.
        Ending::Refused(current) => [None, current.map(Rank::Sees)],
        Ending::Nothing => [None, None],
    }
}
