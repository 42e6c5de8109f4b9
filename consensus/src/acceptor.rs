//! The decisions of an acceptor: what one replica may promise and accept for one key.
//!
//! One independent instance of CASPaxos for each key (Denis Rystsov, "CASPaxos: Replicated State Machines without
//! logs", arXiv:1802.07000). An acceptor answers two questions, and every answer rests on two ballots: the highest
//! that it has promised and the one that it has accepted.
//!
//! - *Prepare*: promise only above both. So no two proposers are promised one ballot, and the promise is the
//!   acceptor's word that it takes nothing lower from then on.
//! - *Accept*: take nothing below either. Below the *accepted* ballot too: the promise table may have dropped the
//!   promise that an accept implied, and an acceptor that missed the Prepare never had one; a late Accept with a
//!   lower ballot would then overwrite a higher one, perhaps one that was chosen.
//!
//! An Accept at exactly the accepted ballot is the same message again. The answer is yes whatever was promised in the
//! meantime, because the yes was true when the first one came; nothing is written.
//!
//! A purged key looks like one that was never written. Its purge floor remembers what was purged: an absent key
//! takes part in nothing at or below it, or a late message could bring the deleted value back.
//!
//! Here are only the rules. What the ballots *are* (memory, disk, floors, registers on their way to the disk) is
//! [`crate::Replica`]'s matter.

use crate::ballot::{Ballot, Hlc};

/// What an acceptor holds of one key, as far as decisions go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Acceptor {
    /// The highest ballot promised, or any floor above it.
    pub promised: Ballot,
    /// The register's ballot; zero for an absent key.
    pub accepted: Ballot,
    /// The partition's purge floor.
    pub purge_floor: Ballot,
}

/// How an Accept is answered yes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Acceptance {
    /// The register is to be stored.
    Store,
    /// It is stored already: the message came twice.
    Repeated,
}

impl Acceptor {
    /// Whether `ballot` may be promised.
    ///
    /// # Errors
    /// The ballot to go above.
    pub fn prepare(&self, ballot: Ballot) -> Result<(), Ballot> {
        let held = self.held();
        if ballot > held { Ok(()) } else { Err(held) }
    }

    /// Whether a register at `ballot` may be accepted.
    ///
    /// # Errors
    /// The ballot to go above.
    pub fn accept(&self, ballot: Ballot) -> Result<Acceptance, Ballot> {
        if ballot == self.accepted && !ballot.is_zero() {
            return Ok(Acceptance::Repeated);
        }
        let purged = self.accepted.is_zero() && ballot <= self.purge_floor;
        if ballot < self.promised || ballot < self.accepted || purged {
            return Err(self.held());
        }
        Ok(Acceptance::Store)
    }

    /// The same proposer's ballot at the reading `next`, if it may be promised along with accepting `ballot`: one
    /// round later that proposer can come with its Accept at once. It is what a Prepare of that ballot would be
    /// promised that came right behind the Accept.
    #[must_use]
    pub fn promise_next(&self, ballot: Ballot, next: Hlc) -> Option<Ballot> {
        let next = Ballot::new(next, ballot.proposer);
        (next > ballot && self.promised <= next).then_some(next)
    }

    /// The lowest ballot that is not promised yet would have to be above this.
    fn held(&self) -> Ballot {
        let floor = if self.accepted.is_zero() { self.purge_floor } else { Ballot::ZERO };
        self.promised.max(self.accepted).max(floor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ballot::ProposerId;

    fn ballot(number: u64) -> Ballot {
        Ballot::new(Hlc(number), ProposerId(1))
    }

    /// Zero stands for the zero ballot.
    fn acceptor(promised: u64, accepted: u64, purge_floor: u64) -> Acceptor {
        let of = |number| if number == 0 { Ballot::ZERO } else { ballot(number) };
        Acceptor { promised: of(promised), accepted: of(accepted), purge_floor: of(purge_floor) }
    }

    #[test]
    fn prepare_is_promised_above_everything_held_only() {
        // promised, accepted, purge floor, prepared, the ballot told when refused
        let table = [
            (0, 0, 0, 1, None),
            (5, 0, 0, 6, None),
            (5, 0, 0, 5, Some(5)),
            (5, 0, 0, 4, Some(5)),
            (0, 5, 0, 6, None),
            (0, 5, 0, 5, Some(5)),
            (7, 5, 0, 6, Some(7)),
            (5, 7, 0, 6, Some(7)),
            (0, 0, 5, 5, Some(5)),
            (3, 0, 5, 4, Some(5)),
            (0, 0, 5, 6, None),
            (0, 3, 5, 4, None), // the purge floor binds absent keys only
        ];
        for row @ (promised, accepted, purge, prepared, told) in table {
            let answer = acceptor(promised, accepted, purge).prepare(ballot(prepared));
            assert_eq!(answer.err(), told.map(ballot), "{row:?}");
        }
    }

    #[test]
    fn accept_is_taken_at_or_above_everything_held() {
        use Acceptance::{Repeated, Store};
        let table = [
            (0, 0, 0, 1, Ok(Store)), // never saw a Prepare
            (5, 0, 0, 5, Ok(Store)),
            (5, 0, 0, 6, Ok(Store)),
            (5, 0, 0, 4, Err(5)),
            (0, 5, 0, 4, Err(5)), // late, and the promise is gone
            (0, 5, 0, 6, Ok(Store)),
            (5, 5, 0, 5, Ok(Repeated)),
            (0, 5, 0, 5, Ok(Repeated)),
            (9, 5, 0, 5, Ok(Repeated)), // the yes was true before the promise
            (9, 5, 0, 6, Err(9)),
            (0, 0, 5, 5, Err(5)),
            (0, 0, 5, 6, Ok(Store)),
            (0, 3, 5, 4, Ok(Store)),
        ];
        for row @ (promised, accepted, purge, sent, expected) in table {
            let answer = acceptor(promised, accepted, purge).accept(ballot(sent));
            assert_eq!(answer, expected.map_err(ballot), "{row:?}");
        }
    }

    #[test]
    fn accept_of_the_zero_ballot_is_refused() {
        assert_eq!(Acceptor::default().accept(Ballot::ZERO), Err(Ballot::ZERO));
        assert_eq!(Acceptor::default().prepare(Ballot::ZERO), Err(Ballot::ZERO));
    }

    #[test]
    fn next_ballot_is_promised_unless_somebody_else_was_promised_more() {
        let other =
            |number| Acceptor { promised: Ballot::new(Hlc(number), ProposerId(2)), ..Acceptor::default() };
        let next = |acceptor: Acceptor, next| acceptor.promise_next(ballot(5), Hlc(next));
        assert_eq!(next(acceptor(5, 0, 0), 6), Some(ballot(6)));
        assert_eq!(next(acceptor(5, 0, 0), 9), Some(ballot(9)));
        assert_eq!(next(acceptor(6, 5, 0), 6), Some(ballot(6)), "promised before: said again");
        assert_eq!(next(acceptor(7, 5, 0), 6), None);
        assert_eq!(next(other(5), 6), Some(ballot(6)));
        assert_eq!(next(other(6), 6), None);
        assert_eq!(next(other(6), 7), Some(ballot(7)));
        assert_eq!(next(acceptor(0, 0, 0), 5), None, "not above the ballot itself");
    }
}
