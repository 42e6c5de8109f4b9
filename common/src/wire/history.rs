//! A register's history: the rounds and operations that took effect lately.

use roundtable_consensus::{Ballot, History, OpId, OpRecord, Outcome, Version};

use super::ballots::{BALLOT_BYTES_MIN, BALLOT_BYTES_USUAL, BallotTrail};
use super::error::WireError;
use super::reader::Reader;
use super::writer::{Writer, when};

/// Rounds in one history at most, with room above today's limit of 64.
const ROUNDS_MAX: usize = 1024;
/// Operations in one history at most, with room above today's limit of 1,024.
const OPS_MAX: usize = 4096;
/// An operation's id, fingerprint, ballot and outcome take at least this.
const OP_BYTES_MIN: usize = 16 + 8 + BALLOT_BYTES_MIN + 1;
/// An operation takes about this, its outcome's version included.
const OP_BYTES_USUAL: usize = 16 + 8 + 2 * BALLOT_BYTES_USUAL + 2;

mod flag {
    /// Rounds were dropped: their floor follows. Without it the floor is zero.
    pub(super) const ROUNDS_FLOOR: u8 = 1;
    /// Operations were dropped: their floor follows. Without it the floor is zero.
    pub(super) const OPS_FLOOR: u8 = 2;
    /// All that this version defines.
    pub(super) const KNOWN: u8 = 3;
}

mod tag {
    pub(super) const CREATED: u8 = 1;
    pub(super) const REPLACED: u8 = 2;
    pub(super) const DELETED: u8 = 3;
    pub(super) const INCREMENTED: u8 = 4;
    pub(super) const TOUCHED: u8 = 5;
    pub(super) const PRECONDITION_FAILED: u8 = 6;
    pub(super) const PRECONDITION_FAILED_ABSENT: u8 = 7;
    pub(super) const NOT_FOUND: u8 = 8;
    pub(super) const NOT_A_COUNTER: u8 = 9;
    pub(super) const COUNTER_OVERFLOW: u8 = 10;
}

/// Bytes that the history takes, about.
pub(super) fn size_hint(history: &History) -> usize {
    3 + 2 * (BALLOT_BYTES_USUAL + 8)
        + history.rounds().len() * BALLOT_BYTES_USUAL
        + history.ops().len() * OP_BYTES_USUAL
}

/// Writes the history of a register whose last change was round `newest`.
pub(super) fn write(writer: &mut Writer<'_>, history: &History, newest: Ballot) {
    let mut trail = BallotTrail::from(newest);
    let (rounds_floor, ops_floor) = (history.rounds_floor(), history.ops_floor());
    writer
        .u8(when(!rounds_floor.is_zero(), flag::ROUNDS_FLOOR) | when(!ops_floor.is_zero(), flag::OPS_FLOOR));
    writer.varint(history.rounds().len() as u64);
    for round in history.rounds().iter().rev() {
        trail.write(writer, *round);
    }
    if !rounds_floor.is_zero() {
        trail.write(writer, rounds_floor);
    }
    trail.rewind(newest);
    writer.varint(history.ops().len() as u64);
    for op in history.ops().iter().rev() {
        writer.u128(op.id.0);
        writer.u64(op.fingerprint);
        trail.write(writer, op.recorded);
        write_outcome(writer, &mut trail, &op.outcome);
    }
    if !ops_floor.is_zero() {
        trail.write(writer, ops_floor);
    }
}

/// Reads the history of a register whose last change was round `newest`.
pub(super) fn read(reader: &mut Reader<'_>, newest: Ballot) -> Result<History, WireError> {
    let mut trail = BallotTrail::from(newest);
    let flags = reader.flags("history flags", flag::KNOWN)?;
    let count = reader.varint_count("history rounds", ROUNDS_MAX, BALLOT_BYTES_MIN)?;
    let mut rounds = Vec::with_capacity(count);
    for _ in 0..count {
        rounds.push(trail.read(reader, "history round")?);
    }
    rounds.reverse();
    let has_floor = flags & flag::ROUNDS_FLOOR != 0;
    let rounds_floor = if has_floor { trail.read(reader, "rounds floor")? } else { Ballot::ZERO };
    trail.rewind(newest);
    let count = reader.varint_count("history operations", OPS_MAX, OP_BYTES_MIN)?;
    let mut ops = Vec::with_capacity(count);
    for _ in 0..count {
        ops.push(OpRecord {
            id: OpId(reader.u128("operation id")?),
            fingerprint: reader.u64("operation fingerprint")?,
            recorded: trail.read(reader, "recording ballot")?,
            outcome: read_outcome(reader, &mut trail)?,
        });
    }
    ops.reverse();
    let has_floor = flags & flag::OPS_FLOOR != 0;
    let ops_floor = if has_floor { trail.read(reader, "operations floor")? } else { Ballot::ZERO };
    Ok(History::from_parts(rounds, rounds_floor, ops, ops_floor))
}

fn write_outcome(writer: &mut Writer<'_>, trail: &mut BallotTrail, outcome: &Outcome) {
    let mut versioned = |tag: u8, version: Version, writer: &mut Writer<'_>| {
        writer.u8(tag);
        trail.write(writer, version.ballot);
        writer.varint(version.index.into());
    };
    match *outcome {
        Outcome::Created(version) => versioned(tag::CREATED, version, writer),
        Outcome::Replaced(version) => versioned(tag::REPLACED, version, writer),
        Outcome::Deleted(version) => versioned(tag::DELETED, version, writer),
        Outcome::Incremented { version, value } => {
            versioned(tag::INCREMENTED, version, writer);
            writer.i64(value);
        }
        Outcome::Touched(version) => versioned(tag::TOUCHED, version, writer),
        Outcome::PreconditionFailed { current: Some(version) } => {
            versioned(tag::PRECONDITION_FAILED, version, writer);
        }
        Outcome::PreconditionFailed { current: None } => writer.u8(tag::PRECONDITION_FAILED_ABSENT),
        Outcome::NotFound => writer.u8(tag::NOT_FOUND),
        Outcome::NotACounter => writer.u8(tag::NOT_A_COUNTER),
        Outcome::CounterOverflow => writer.u8(tag::COUNTER_OVERFLOW),
    }
}

fn read_outcome(reader: &mut Reader<'_>, trail: &mut BallotTrail) -> Result<Outcome, WireError> {
    let tag = reader.u8("outcome")?;
    let mut version = |reader: &mut Reader<'_>| -> Result<Version, WireError> {
        let ballot = trail.read(reader, "outcome version")?;
        let index = reader.varint("outcome index")?;
        let too_wide = |_| WireError::Field { field: "outcome index", found: index, accepted: "32 bits" };
        Ok(Version { ballot, index: u32::try_from(index).map_err(too_wide)? })
    };
    Ok(match tag {
        tag::CREATED => Outcome::Created(version(reader)?),
        tag::REPLACED => Outcome::Replaced(version(reader)?),
        tag::DELETED => Outcome::Deleted(version(reader)?),
        tag::INCREMENTED => {
            Outcome::Incremented { version: version(reader)?, value: reader.i64("counter value")? }
        }
        tag::TOUCHED => Outcome::Touched(version(reader)?),
        tag::PRECONDITION_FAILED => Outcome::PreconditionFailed { current: Some(version(reader)?) },
        tag::PRECONDITION_FAILED_ABSENT => Outcome::PreconditionFailed { current: None },
        tag::NOT_FOUND => Outcome::NotFound,
        tag::NOT_A_COUNTER => Outcome::NotACounter,
        tag::COUNTER_OVERFLOW => Outcome::CounterOverflow,
        found => return Err(WireError::Field { field: "outcome", found: found.into(), accepted: "1 to 10" }),
    })
}
