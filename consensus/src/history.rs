//! What took effect on a key lately: the part of the register that makes repeats safe.
//!
//! An operation whose Accept was sent and not answered by a majority is in doubt. The history that travels with
//! the register tells: an operation found in it has taken effect; one that is not in it and was born above the
//! floor has not; of one born at or below the floor nothing can be said.

use crate::ballot::Ballot;
use crate::ids::OpId;
use crate::operation::Outcome;
use crate::round::HeadStart;

/// How much history a register carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct HistoryLimits {
    /// Rounds remembered, the version's own included; at least 1.
    pub rounds_max: usize,
    /// Rounds older than this, in milliseconds, are dropped by the next change.
    pub rounds_age_ms_max: u64,
    /// Operations with a client's key remembered, however many are recorded at once.
    pub ops_max: usize,
    /// As many of them are remembered until they are [`Self::ops_age_ms_max`] old.
    pub ops_kept: usize,
    /// Beyond [`Self::ops_kept`], those older than this, in milliseconds, are dropped by the next change.
    pub ops_recent_ms: u64,
    /// Operations older than this, in milliseconds, are dropped by the next change.
    pub ops_age_ms_max: u64,
}

impl HistoryLimits {
    /// The limits of the product.
    ///
    /// An operation waits for its first round for as long as its request may take (five seconds by default). If the
    /// floor passed its birth meanwhile, nobody could tell it from one that was applied and forgotten. So what was
    /// recorded that recently is kept beyond the usual number.
    ///
    /// A round's ballot may have the time of [`crate::HeadStart::AGE_MS_MAX`] ago. Rounds are kept for as long and the
    /// time that a request may take: a round that was refused for its old ballot can be told from an applied one.
    ///
    /// Of each proposer the latest round is kept. So the number of rounds is that of the routers that have written the key,
    /// counted anew where one has started again.
    pub const STANDARD: Self = Self {
        rounds_max: 64,
        rounds_age_ms_max: 35_000,
        ops_max: 1_024,
        ops_kept: 128,
        ops_recent_ms: 5_000,
        ops_age_ms_max: 60_000,
    };
    /// Operations with a client's key that one round takes: their records must all outlive the round.
    pub const KEYED_OPS_PER_ROUND: usize = 64;
}

const _: () = assert!(HistoryLimits::KEYED_OPS_PER_ROUND <= HistoryLimits::STANDARD.ops_kept);
const _: () = assert!(HistoryLimits::STANDARD.ops_kept <= HistoryLimits::STANDARD.ops_max);
const _: () = assert!(HistoryLimits::STANDARD.rounds_age_ms_max >= HeadStart::AGE_MS_MAX + 5_000);

impl Default for HistoryLimits {
    fn default() -> Self {
        Self::STANDARD
    }
}

/// One operation with a client's key that was settled: done, or refused.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OpRecord {
    /// The client's name for it.
    pub id: OpId,
    /// A hash of the request: the same id with another request is a client's mistake.
    pub fingerprint: u64,
    /// The round that recorded it.
    pub recorded: Ballot,
    /// How it ended; a refusal is an outcome like any other.
    pub outcome: Outcome,
}

/// What the history says of an operation in doubt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled<T> {
    /// It has taken effect, thus.
    Applied(T),
    /// It has not taken effect; once a round that found this history is chosen it never will under its old ballots.
    NotApplied,
    /// It was born at or below the floor: nobody can tell.
    Forgotten,
}

/// The last rounds and operations of a register's lineage. That of most keys is empty, and takes the room of a pointer.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct History {
    /// Nothing where the parts are empty, so that equal histories compare equal.
    parts: Option<Box<Parts>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Parts {
    /// Ballots of the rounds before the version's own that changed the register, oldest first. Those that their own
    /// proposer has no use for any more are left out: nobody else asks for them.
    rounds: Vec<Ballot>,
    /// The highest ballot dropped from `rounds`.
    rounds_floor: Ballot,
    /// Settled operations with a client's key, oldest first.
    ops: Vec<OpRecord>,
    /// The highest recording ballot dropped from `ops`.
    ops_floor: Ballot,
}

impl Parts {
    const EMPTY: Self =
        Self { rounds: Vec::new(), rounds_floor: Ballot::ZERO, ops: Vec::new(), ops_floor: Ballot::ZERO };

    fn is_empty(&self) -> bool {
        *self == Self::EMPTY
    }
}

impl History {
    /// An empty history that knows nothing at or below `floor`.
    #[must_use]
    pub fn with_floor(floor: Ballot) -> Self {
        Self::from_parts(Vec::new(), floor, Vec::new(), floor)
    }

    /// Rebuilds a history from its stored parts.
    #[must_use]
    pub fn from_parts(
        rounds: Vec<Ballot>,
        rounds_floor: Ballot,
        ops: Vec<OpRecord>,
        ops_floor: Ballot,
    ) -> Self {
        Self::of(Parts { rounds, rounds_floor, ops, ops_floor })
    }

    fn of(parts: Parts) -> Self {
        Self { parts: (!parts.is_empty()).then(|| Box::new(parts)) }
    }

    /// Ballots of the rounds before the version's own, oldest first.
    #[must_use]
    pub fn rounds(&self) -> &[Ballot] {
        &self.parts().rounds
    }

    /// The highest round dropped.
    #[must_use]
    pub fn rounds_floor(&self) -> Ballot {
        self.parts().rounds_floor
    }

    /// Settled operations with a client's key, oldest first.
    #[must_use]
    pub fn ops(&self) -> &[OpRecord] {
        &self.parts().ops
    }

    /// The highest recording ballot dropped.
    #[must_use]
    pub fn ops_floor(&self) -> Ballot {
        self.parts().ops_floor
    }

    /// Bytes of memory that the history takes beyond its place in the register.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.parts.as_ref().map_or(0, |parts| {
            size_of::<Parts>() + size_of_val(parts.rounds.as_slice()) + size_of_val(parts.ops.as_slice())
        })
    }

    fn parts(&self) -> &Parts {
        const EMPTY: &Parts = &Parts::EMPTY;
        self.parts.as_deref().unwrap_or(EMPTY)
    }

    fn change(&mut self, change: impl FnOnce(&mut Parts)) {
        if let Some(parts) = &mut self.parts {
            change(parts);
            self.parts.take_if(|parts| parts.is_empty());
        } else {
            let mut parts = Parts::EMPTY;
            change(&mut parts);
            *self = Self::of(parts);
        }
    }

    /// Raises both floors to at least `floor`: what a replica's purge floor asks of an absent key's register.
    pub fn raise_floors(&mut self, floor: Ballot) {
        self.change(|parts| {
            parts.rounds_floor = parts.rounds_floor.max(floor);
            parts.ops_floor = parts.ops_floor.max(floor);
        });
    }

    /// What became of an operation that a router proposed under `attempts` (each with the result computed for
    /// it), in a register whose last change was made by round `newest`.
    pub fn settle_rounds<'a, T>(
        &self,
        newest: Ballot,
        attempts: impl Iterator<Item = (Ballot, &'a T)>,
    ) -> Settled<&'a T> {
        let mut birth = Ballot::MAX;
        for (ballot, result) in attempts {
            if ballot == newest || self.rounds().contains(&ballot) {
                return Settled::Applied(result);
            }
            birth = birth.min(ballot);
        }
        if birth > self.rounds_floor() { Settled::NotApplied } else { Settled::Forgotten }
    }

    /// What became of the client's operation `id`, born at `birth`.
    #[must_use]
    pub fn settle_op(&self, id: OpId, birth: Ballot) -> Settled<&OpRecord> {
        match self.ops().iter().rev().find(|record| record.id == id) {
            Some(record) => Settled::Applied(record),
            None if birth > self.ops_floor() => Settled::NotApplied,
            None => Settled::Forgotten,
        }
    }

    /// Notes that a round at `ballot` changes a register whose last change was round `previous`.
    ///
    /// A round is looked up only by its own proposer, for operations that it tried there and whose fate it does not
    /// know. All of those take part in its next round on the key, so that this stands for the earlier ones: they go, and
    /// raise no floor.
    pub(crate) fn push_round(&mut self, previous: Ballot, ballot: Ballot, limits: &HistoryLimits) {
        self.change(|parts| {
            let stays = |round: Ballot| round.proposer != ballot.proposer;
            parts.rounds.retain(|round| stays(*round));
            if !previous.is_zero() && stays(previous) {
                parts.rounds.push(previous);
            }
            let beyond = parts.rounds.len().saturating_sub(limits.rounds_max.saturating_sub(1));
            let since_ms = ballot.hlc.millis().saturating_sub(limits.rounds_age_ms_max);
            let too_old = parts.rounds.iter().take_while(|round| round.hlc.millis() < since_ms).count();
            for dropped in parts.rounds.drain(..beyond.max(too_old)) {
                parts.rounds_floor = parts.rounds_floor.max(dropped);
            }
        });
    }

    /// Notes operations that the round at `ballot` settled.
    pub(crate) fn push_ops(&mut self, records: Vec<OpRecord>, ballot: Ballot, limits: &HistoryLimits) {
        self.change(|parts| {
            parts.ops.extend(records);
            let older_than = |age_ms: u64| {
                let since_ms = ballot.hlc.millis().saturating_sub(age_ms);
                parts.ops.iter().take_while(|op| op.recorded.hlc.millis() < since_ms).count()
            };
            let beyond_all = parts.ops.len().saturating_sub(limits.ops_max);
            let beyond_kept =
                parts.ops.len().saturating_sub(limits.ops_kept).min(older_than(limits.ops_recent_ms));
            let too_old = older_than(limits.ops_age_ms_max);
            for dropped in parts.ops.drain(..beyond_all.max(beyond_kept).max(too_old)) {
                parts.ops_floor = parts.ops_floor.max(dropped.recorded);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ballot::{Hlc, ProposerId};

    /// Each round has a proposer of its own.
    fn ballot(ms: u64) -> Ballot {
        Ballot::new(Hlc::from_millis(ms), ProposerId(ms))
    }

    fn record(id: u128, ms: u64) -> OpRecord {
        OpRecord { id: OpId(id), fingerprint: 7, recorded: ballot(ms), outcome: Outcome::NotFound }
    }

    #[test]
    fn rounds_beyond_the_limit_raise_the_floor() {
        let limits = HistoryLimits { rounds_max: 3, ..HistoryLimits::STANDARD };
        let mut history = History::default();
        for ms in 1..=4 {
            history.push_round(ballot(ms), ballot(ms + 1), &limits);
        }
        assert_eq!(history.rounds(), [ballot(3), ballot(4)]);
        assert_eq!(history.rounds_floor(), ballot(2));
    }

    #[test]
    fn rounds_older_than_the_limit_raise_the_floor() {
        let mut history = History::default();
        history.push_round(ballot(1), ballot(2), &HistoryLimits::STANDARD);
        history.push_round(ballot(2), ballot(35_002), &HistoryLimits::STANDARD);
        assert_eq!(history.rounds(), [ballot(2)]);
        assert_eq!(history.rounds_floor(), ballot(1));
    }

    #[test]
    fn a_proposers_own_rounds_go_and_raise_no_floor() {
        let of = |ms, proposer| Ballot::new(Hlc::from_millis(ms), ProposerId(proposer));
        let mut history = History::default();
        let mut push = |previous, ballot| {
            history.push_round(previous, ballot, &HistoryLimits::STANDARD);
            (history.rounds().to_vec(), history.rounds_floor())
        };
        assert_eq!(push(of(1, 1), of(2, 1)), (vec![], Ballot::ZERO));
        assert_eq!(push(of(2, 1), of(3, 2)), (vec![of(2, 1)], Ballot::ZERO), "another's round");
        assert_eq!(push(of(3, 2), of(4, 1)), (vec![of(3, 2)], Ballot::ZERO));
        assert_eq!(push(of(4, 1), of(5, 1)), (vec![of(3, 2)], Ballot::ZERO));
        assert_eq!(push(of(5, 1), of(40_000, 1)), (vec![], of(3, 2)), "another's is over its age");
    }

    #[test]
    fn an_empty_history_takes_no_memory_however_it_came_to_be_empty() {
        let of = |ms, proposer| Ballot::new(Hlc::from_millis(ms), ProposerId(proposer));
        let mut never = History::with_floor(Ballot::ZERO);
        never.raise_floors(Ballot::ZERO);
        never.push_round(of(1, 1), of(2, 1), &HistoryLimits::STANDARD);
        let mut emptied = History::from_parts(vec![of(1, 1)], Ballot::ZERO, Vec::new(), Ballot::ZERO);
        assert!(emptied.memory_bytes() > size_of::<Ballot>());
        emptied.push_round(of(2, 1), of(3, 1), &HistoryLimits::STANDARD);
        for history in [never, emptied] {
            assert_eq!((history.memory_bytes(), &history), (0, &History::default()));
        }
    }

    #[test]
    fn of_each_proposer_the_latest_round_is_kept() {
        let of = |ms: u64, proposer| Ballot::new(Hlc::from_millis(ms), ProposerId(proposer));
        let mut history = History::default();
        let mut previous = Ballot::ZERO;
        for ms in 1..=10_000 {
            let ballot = of(ms, ms * ms % 7);
            history.push_round(previous, ballot, &HistoryLimits::STANDARD);
            previous = ballot;
        }
        let proposers = [0, 1, 2, 4].into_iter().filter(|proposer| *proposer != previous.proposer.0);
        let mut kept: Vec<u64> = history.rounds().iter().map(|round| round.proposer.0).collect();
        kept.sort_unstable();
        assert_eq!((kept, history.rounds_floor()), (proposers.collect(), Ballot::ZERO));
        assert!(history.rounds().is_sorted());
    }

    #[test]
    fn ops_floor_is_the_recording_ballot() {
        let limits = HistoryLimits { ops_max: 1, ..HistoryLimits::STANDARD };
        let mut history = History::default();
        history.push_ops(vec![record(1, 50), record(2, 60)], ballot(60), &limits);
        assert_eq!(history.ops_floor(), ballot(50));
        assert_eq!(history.settle_op(OpId(1), ballot(49)), Settled::Forgotten);
        assert_eq!(history.settle_op(OpId(3), ballot(51)), Settled::NotApplied);
        assert!(matches!(history.settle_op(OpId(2), ballot(10)), Settled::Applied(_)));
    }

    #[test]
    fn recent_ops_are_kept_beyond_the_usual_number_up_to_the_limit() {
        let limits = HistoryLimits { ops_kept: 2, ops_max: 4, ..HistoryLimits::STANDARD };
        let kept = |history: &History| history.ops().iter().map(|op| op.id.0).collect::<Vec<_>>();
        let mut history = History::default();
        history.push_ops(vec![record(1, 50), record(2, 60), record(3, 70)], ballot(70), &limits);
        assert_eq!(kept(&history), [1, 2, 3], "all of them are recent");
        history.push_ops(vec![record(4, 5_055)], ballot(5_055), &limits);
        assert_eq!(kept(&history), [2, 3, 4], "the first is older than five seconds");
        history.push_ops(vec![record(5, 5_056), record(6, 5_056)], ballot(5_056), &limits);
        assert_eq!(kept(&history), [3, 4, 5, 6], "four at the most");
        assert_eq!(history.ops_floor(), ballot(60));
        history.push_ops(vec![record(7, 60_071)], ballot(60_071), &limits);
        assert_eq!(kept(&history), [6, 7], "two until they are a minute old");
    }

    #[test]
    fn any_attempt_in_the_lineage_settles_an_operation() {
        let mut history = History::default();
        history.push_round(ballot(5), ballot(9), &HistoryLimits::STANDARD);
        let attempts = [(ballot(3), "three"), (ballot(5), "five")];
        let of = |list: &'static [(Ballot, &'static str)], history: &History| {
            history.settle_rounds(ballot(9), list.iter().map(|(b, r)| (*b, r)))
        };
        assert_eq!(
            history.settle_rounds(ballot(9), attempts.iter().map(|(b, r)| (*b, r))),
            Settled::Applied(&"five")
        );
        assert_eq!(of(&[], &history), Settled::NotApplied);
        history.raise_floors(ballot(6));
        let late = [(ballot(6), "six")];
        assert_eq!(history.settle_rounds(ballot(9), late.iter().map(|(b, r)| (*b, r))), Settled::Forgotten);
        let own = [(ballot(9), "nine")];
        assert_eq!(
            history.settle_rounds(ballot(9), own.iter().map(|(b, r)| (*b, r))),
            Settled::Applied(&"nine")
        );
    }
}
