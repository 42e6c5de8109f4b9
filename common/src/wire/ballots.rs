//! Many ballots in few bytes: what a register's history consists of.
//!
//! The ballots of one history lie close together in time and come from few proposers. Each is written as the
//! distance in milliseconds from the ballot before, the counter of its clock reading, and a reference to its
//! proposer in a small table that both sides build as they go.

use roundtable_consensus::{Ballot, Hlc, ProposerId};

use super::error::WireError;
use super::reader::Reader;
use super::writer::Writer;

/// Proposers that get a number; those after them are spelled out each time.
const TABLE_SIZE: usize = 8;
/// The highest counter of a clock reading.
const COUNTER_MAX: u64 = (1 << Hlc::COUNTER_BITS) - 1;
/// Stands before a proposer that is spelled out.
const SPELLED_OUT: u8 = 0xff;
/// Bytes that a ballot takes at least.
pub(super) const BALLOT_BYTES_MIN: usize = 3;
/// Bytes that a ballot usually takes: enough to reserve memory by.
pub(super) const BALLOT_BYTES_USUAL: usize = 5;

/// What both sides remember of the ballots before. Writer and reader must start from the same ballot and
/// handle the same ballots in the same order.
pub(super) struct BallotTrail {
    last_ms: u64,
    proposers: [ProposerId; TABLE_SIZE],
    known: usize,
}

impl BallotTrail {
    /// Starts at a ballot that both sides have.
    pub(super) fn from(start: Ballot) -> Self {
        let mut trail =
            Self { last_ms: start.hlc.millis(), proposers: [ProposerId(0); TABLE_SIZE], known: 0 };
        trail.learn(start.proposer);
        trail
    }

    /// Goes back in time to `ballot`, keeping the table.
    pub(super) fn rewind(&mut self, ballot: Ballot) {
        self.last_ms = ballot.hlc.millis();
    }

    pub(super) fn write(&mut self, writer: &mut Writer<'_>, ballot: Ballot) {
        let ms = ballot.hlc.millis();
        writer.varint(zigzag(ms.wrapping_sub(self.last_ms)));
        writer.varint(ballot.hlc.0 & COUNTER_MAX);
        self.last_ms = ms;
        let place = self.proposers.iter().take(self.known).position(|known| *known == ballot.proposer);
        match place.and_then(|place| u8::try_from(place).ok()) {
            Some(place) => writer.u8(place),
            None => {
                writer.u8(SPELLED_OUT);
                writer.u64(ballot.proposer.0);
                self.learn(ballot.proposer);
            }
        }
    }

    pub(super) fn read(&mut self, reader: &mut Reader<'_>, field: &'static str) -> Result<Ballot, WireError> {
        let hlc = self.read_hlc(reader, field)?;
        let place = reader.u8(field)?;
        if place == SPELLED_OUT {
            let proposer = ProposerId(reader.u64(field)?);
            self.learn(proposer);
            return Ok(Ballot::new(hlc, proposer));
        }
        match self.proposers.iter().take(self.known).nth(place.into()) {
            Some(proposer) => Ok(Ballot::new(hlc, *proposer)),
            None => {
                let accepted = "the place of a proposer named before";
                Err(WireError::Field { field, found: place.into(), accepted })
            }
        }
    }

    fn read_hlc(&mut self, reader: &mut Reader<'_>, field: &'static str) -> Result<Hlc, WireError> {
        let ms = self.last_ms.wrapping_add(unzigzag(reader.varint(field)?));
        let counter = reader.varint(field)?;
        if ms > Hlc::MILLIS_MAX {
            return Err(WireError::Field { field, found: ms, accepted: "a time of 48 bits" });
        }
        if counter > COUNTER_MAX {
            return Err(WireError::Field { field, found: counter, accepted: "a counter of 16 bits" });
        }
        self.last_ms = ms;
        Ok(Hlc(ms << Hlc::COUNTER_BITS | counter))
    }

    fn learn(&mut self, proposer: ProposerId) {
        if let Some(free) = self.proposers.get_mut(self.known) {
            *free = proposer;
            self.known += 1;
        }
    }
}

/// A difference of 64 bits, positive or negative, as a number that is small when the difference is.
fn zigzag(difference: u64) -> u64 {
    let sign = (difference >> 63).wrapping_neg();
    (difference << 1) ^ sign
}

fn unzigzag(number: u64) -> u64 {
    (number >> 1) ^ (number & 1).wrapping_neg()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;

    fn ballot(ms: u64, proposer: u64) -> Ballot {
        Ballot::new(Hlc::from_millis(ms), ProposerId(proposer))
    }

    fn written(start: Ballot, ballots: &[Ballot]) -> Bytes {
        let mut out = Vec::new();
        let (mut writer, mut trail) = (Writer::new(&mut out), BallotTrail::from(start));
        ballots.iter().for_each(|ballot| trail.write(&mut writer, *ballot));
        Bytes::from(out)
    }

    proptest! {
        #[test]
        fn trail_round_trips(
            start in (any::<u64>(), 0u64..12),
            parts in prop::collection::vec((any::<u64>(), 0u64..12), 0..40),
        ) {
            let of = |(hlc, proposer): (u64, u64)| Ballot::new(Hlc(hlc), ProposerId(proposer));
            let ballots: Vec<_> = parts.into_iter().map(of).collect();
            let body = written(of(start), &ballots);
            let (mut reader, mut trail) = (Reader::new(&body), BallotTrail::from(of(start)));
            for ballot in ballots {
                prop_assert_eq!(trail.read(&mut reader, "ballot"), Ok(ballot));
            }
            prop_assert_eq!(reader.finish(), Ok(()));
        }

        #[test]
        fn zigzag_round_trips(difference in any::<u64>()) {
            prop_assert_eq!(unzigzag(zigzag(difference)), difference);
        }
    }

    #[test]
    fn history_of_two_routers_takes_few_bytes_a_ballot() {
        let ballots: Vec<_> = (0..63).map(|n| ballot(1_790_000_000_000 - n * 150, n % 2)).collect();
        let bytes = written(ballot(1_790_000_000_100, 0), &ballots).len();
        assert!(bytes <= 63 * BALLOT_BYTES_USUAL, "{bytes}");
    }

    #[test]
    fn ballot_out_of_range_is_refused() {
        let unknown_proposer = &[0, 0, 1][..];
        let before_the_first_ms = &[1, 0, 0][..];
        let wide_counter = &[0, 0x80, 0x80, 0x04, 0][..];
        for bad in [unknown_proposer, before_the_first_ms, wide_counter] {
            let body = Bytes::copy_from_slice(bad);
            let read = BallotTrail::from(Ballot::ZERO).read(&mut Reader::new(&body), "ballot");
            assert!(matches!(read, Err(WireError::Field { .. })), "{bad:?}");
        }
    }
}
