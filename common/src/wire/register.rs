//! The register: on the wire inside requests, replies and pages, and by itself on disk.

use bytes::Bytes;
use roundtable_consensus::{
    Ballot, Content, ContentType, History, Hlc, ProposerId, Register, Value, Version,
};

use super::error::WireError;
use super::history;
use super::reader::Reader;
use super::writer::{Writer, when};

/// The largest value in bytes.
pub const VALUE_BYTES_MAX: usize = 16 << 20;

/// Accepted ballot, version, lag, expiry, lengths: what a register takes without value and history.
const HEAD_BYTES_MAX: usize = 1 + 16 + 20 + 4 + 8 + 1 + 4;

mod flag {
    /// There is a value.
    pub(super) const LIVE: u8 = 1;
    /// There is a value, of which only the length is told.
    pub(super) const WITHHELD: u8 = 2;
    /// The value ends.
    pub(super) const EXPIRES: u8 = 4;
    /// The version's ballot is the accepted ballot and isn't repeated: so it is when no round has carried
    /// the register forward since its last change.
    pub(super) const OWN_VERSION: u8 = 8;
    /// There is a history.
    pub(super) const HISTORY: u8 = 16;
    /// The last change was made later than its ballot's time.
    pub(super) const LAGS: u8 = 32;
    /// All that this version defines.
    pub(super) const KNOWN: u8 = 63;
}

/// Bytes that a register takes, about: enough to reserve memory by.
#[must_use]
pub fn register_size_hint(register: &Register) -> usize {
    HEAD_BYTES_MAX + register.content.bytes_here() + history::size_hint(&register.history)
}

/// Appends a register's encoding to `out`. It has no length or checksum of its own, and its format is the
/// [`super::FORMAT_VERSION`] that whoever keeps it must note beside it.
pub fn encode_register(register: &Register, out: &mut Vec<u8>) {
    write(&mut Writer::new(out), register);
}

/// Reads a register that takes up all of `bytes`; value and media type are slices of it.
///
/// # Errors
/// When the bytes are not a register of this format version.
pub fn decode_register(bytes: &Bytes) -> Result<Register, WireError> {
    let mut reader = Reader::new(bytes);
    let register = read(&mut reader)?;
    reader.finish()?;
    Ok(register)
}

/// What a register's first fields tell, without its value and history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RegisterHead {
    /// The accepted ballot.
    pub accepted: Ballot,
    /// Whether there is a value.
    pub live: bool,
    /// When the value ends, in unix milliseconds.
    pub expires_at: Option<u64>,
}

/// Reads the first fields of an encoded register and nothing else: much cheaper than [`decode_register`].
///
/// # Errors
/// When the bytes do not begin as a register of this format version does.
pub fn peek_register(bytes: &[u8]) -> Result<RegisterHead, WireError> {
    let mut reader = SliceReader(bytes);
    let [flags] = reader.take("register flags")?;
    if flags & !flag::KNOWN != 0 {
        let accepted = "the bits that this version defines";
        return Err(WireError::Field { field: "register flags", found: flags.into(), accepted });
    }
    let hlc = Hlc(u64::from_le_bytes(reader.take("accepted ballot")?));
    let proposer = ProposerId(u64::from_le_bytes(reader.take("accepted ballot")?));
    let expires_at = if flags & flag::EXPIRES == 0 {
        None
    } else {
        if flags & flag::OWN_VERSION == 0 {
            let _: [u8; 16] = reader.take("version ballot")?;
        }
        let _: [u8; 4] = reader.take("version index")?;
        if flags & flag::LAGS != 0 {
            let _: [u8; 4] = reader.take("lag of the change")?;
        }
        Some(u64::from_le_bytes(reader.take("expiry")?))
    };
    let live = flags & (flag::LIVE | flag::WITHHELD) != 0;
    Ok(RegisterHead { accepted: Ballot::new(hlc, proposer), live, expires_at })
}

struct SliceReader<'a>(&'a [u8]);

impl SliceReader<'_> {
    fn take<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], WireError> {
        let Some((chunk, rest)) = self.0.split_first_chunk::<N>() else {
            return Err(WireError::Truncated { field, needed: N, left: self.0.len() });
        };
        self.0 = rest;
        Ok(*chunk)
    }
}

pub(super) fn write(writer: &mut Writer<'_>, register: &Register) {
    let content_flag = match register.content {
        Content::Tombstone => 0,
        Content::Live(_) => flag::LIVE,
        Content::Withheld { .. } => flag::WITHHELD,
    };
    let own_version = register.version.ballot == register.accepted;
    let has_history = register.history != History::default();
    writer.u8(content_flag
        | when(register.expires_at.is_some(), flag::EXPIRES)
        | when(own_version, flag::OWN_VERSION)
        | when(has_history, flag::HISTORY)
        | when(register.lag_ms > 0, flag::LAGS));
    write_ballot(writer, register.accepted);
    if !own_version {
        write_ballot(writer, register.version.ballot);
    }
    writer.u32(register.version.index);
    if register.lag_ms > 0 {
        writer.u32(register.lag_ms);
    }
    if let Some(unix_ms) = register.expires_at {
        writer.u64(unix_ms);
    }
    match &register.content {
        Content::Tombstone => {}
        Content::Live(value) => {
            writer.bytes8(value.content_type.as_bytes());
            writer.bytes32(&value.bytes);
        }
        Content::Withheld { value_bytes } => writer.u32(*value_bytes),
    }
    if has_history {
        history::write(writer, &register.history, register.version.ballot);
    }
}

pub(super) fn read(reader: &mut Reader<'_>) -> Result<Register, WireError> {
    let flags = reader.flags("register flags", flag::KNOWN)?;
    let accepted = read_ballot(reader, "accepted ballot")?;
    let ballot =
        if flags & flag::OWN_VERSION != 0 { accepted } else { read_ballot(reader, "version ballot")? };
    let version = Version { ballot, index: reader.u32("version index")? };
    let lag_ms = if flags & flag::LAGS != 0 { reader.u32("lag of the change")? } else { 0 };
    let expires_at = if flags & flag::EXPIRES != 0 { Some(reader.u64("expiry")?) } else { None };
    let content = match flags & (flag::LIVE | flag::WITHHELD) {
        0 => Content::Tombstone,
        flag::LIVE => Content::Live(read_value(reader)?),
        flag::WITHHELD => Content::Withheld { value_bytes: reader.u32("value length")? },
        both => {
            let accepted = "a value or a withheld one, not both";
            return Err(WireError::Field { field: "register flags", found: both.into(), accepted });
        }
    };
    let history =
        if flags & flag::HISTORY != 0 { history::read(reader, version.ballot)? } else { History::default() };
    Ok(Register { accepted, version, lag_ms, content, expires_at, history })
}

fn read_value(reader: &mut Reader<'_>) -> Result<Value, WireError> {
    // One byte of length can't exceed what a media type may have, so the default never stands in.
    let content_type = ContentType::new(reader.bytes8("media type")?).unwrap_or_default();
    let len = reader.count("value length", VALUE_BYTES_MAX, 1)?;
    Ok(Value { bytes: reader.shared("value", len)?, content_type })
}

pub(super) fn write_ballot(writer: &mut Writer<'_>, ballot: Ballot) {
    writer.u64(ballot.hlc.0);
    writer.u64(ballot.proposer.0);
}

pub(super) fn read_ballot(reader: &mut Reader<'_>, field: &'static str) -> Result<Ballot, WireError> {
    Ok(Ballot::new(Hlc(reader.u64(field)?), ProposerId(reader.u64(field)?)))
}
