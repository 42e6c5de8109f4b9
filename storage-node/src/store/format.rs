//! The bytes of the rows, as `docs/on-disk-format.md` tells them. Integers are big-endian, so that keys sort by
//! their numbers.

use bytes::{Buf, BufMut, Bytes};
use roundtable_common::wire::{
    self, RegisterHead, decode_register, encode_register, peek_register, register_size_hint,
};
use roundtable_consensus::{
    Ballot, Content, ContentType, Hlc, Key, PartitionId, ProposerId, Register, Value,
};

/// The version of everything in the data directory. A node refuses a directory of another one.
pub const FORMAT_VERSION: u32 = 1;

/// Values longer than this many bytes lie in the `values` column family.
pub const INLINE_BYTES_MAX: u32 = 4096;

/// The first byte of every row in `registers`, `values` and `log`.
const ROW_FORMAT: u8 = 1;
// Row format 1 holds registers in wire format 1. Whoever changes that must give rows a format of their own.
const _: () = assert!(wire::FORMAT_VERSION == 1);
const FLAG_SPILLED: u8 = 1;
const REGISTER_HEADER_BYTES: usize = 1 + 1 + 8;
const VALUE_HEADER_BYTES: usize = 1 + 16 + 1;
const LOG_HEADER_BYTES: usize = 1 + 2 + 16 + 8;

/// A row whose bytes are not what this version writes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RowError {
    /// The row ends early.
    #[error("the row ends after {0} bytes")]
    Short(usize),
    /// The row's first byte names a format that this version does not know.
    #[error("the row has format {0}; this version knows {ROW_FORMAT}")]
    Format(u8),
    /// The flags have bits that this version does not know.
    #[error("the row has unknown flags {0:#04x}")]
    Flags(u8),
    /// The register's own encoding is damaged.
    #[error("the register cannot be read: {0}")]
    Register(String),
    /// A value's row that belongs to another round than the register that points to it.
    #[error("the value belongs to {found}, the register to {expected}")]
    Mismatch {
        /// The accepted ballot of the register.
        expected: Ballot,
        /// The ballot in the value's row.
        found: Ballot,
    },
    /// The key in the row is not a key.
    #[error("the key in the row is not one: {0}")]
    Key(#[from] roundtable_consensus::KeyError),
}

/// A register as its row tells it: without the value's bytes if they are spilled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisterRow {
    /// The place in the log of the write that left it.
    pub seq: u64,
    /// The register; `Content::Withheld` if the value is spilled.
    pub register: Register,
    /// Whether the value's bytes lie in `values`.
    pub spilled: bool,
}

/// One entry of the replication log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// Its place: counts up per node without gaps.
    pub seq: u64,
    /// The key's partition.
    pub partition: PartitionId,
    /// The accepted ballot that was written.
    pub accepted: Ballot,
    /// Bytes of all entries ever written before this one: the log's length in bytes is a subtraction.
    pub offset: u64,
    /// The key.
    pub key: Key,
}

impl LogEntry {
    /// The offset behind this entry.
    #[must_use]
    pub fn end_offset(&self) -> u64 {
        self.offset + log_row_bytes(&self.key)
    }
}

/// Bytes of a log row of `key`, its own key included.
#[must_use]
pub fn log_row_bytes(key: &Key) -> u64 {
    (8 + LOG_HEADER_BYTES + key.as_bytes().len()) as u64
}

/// The row key of a register, and of its spilled value.
#[must_use]
pub fn row_key(partition: PartitionId, key: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(2 + key.len());
    bytes.extend_from_slice(&partition.0.to_be_bytes());
    bytes.extend_from_slice(key);
    bytes
}

/// The row of a register that the log's entry `seq` writes; without the value's bytes if they are `spilled`.
#[must_use]
pub fn encode_register_row(seq: u64, register: &Register, spilled: bool) -> Vec<u8> {
    let mut row = Vec::with_capacity(REGISTER_HEADER_BYTES + register_size_hint(register));
    row.put_u8(ROW_FORMAT);
    row.put_u8(if spilled { FLAG_SPILLED } else { 0 });
    row.put_u64(seq);
    if spilled {
        encode_register(&register.without_value(), &mut row);
    } else {
        encode_register(register, &mut row);
    }
    row
}

/// Reads a row of `registers`.
///
/// # Errors
/// When the row is damaged or of a later format.
pub fn decode_register_row(mut row: Bytes) -> Result<RegisterRow, RowError> {
    check_row(&row, REGISTER_HEADER_BYTES)?;
    row.advance(1);
    let flags = row.get_u8();
    if flags & !FLAG_SPILLED != 0 {
        return Err(RowError::Flags(flags));
    }
    let seq = row.get_u64();
    let register = decode_register(&row).map_err(|error| RowError::Register(error.to_string()))?;
    Ok(RegisterRow { seq, register, spilled: flags & FLAG_SPILLED != 0 })
}

/// Reads only what a row of `registers` begins with: the accepted ballot, whether there is a value, its expiry.
///
/// # Errors
/// When the row does not begin as one of this version does.
pub fn peek_register_row(row: &[u8]) -> Result<RegisterHead, RowError> {
    let Some((header, register)) = row.split_first_chunk::<REGISTER_HEADER_BYTES>() else {
        return Err(RowError::Short(row.len()));
    };
    match header {
        [ROW_FORMAT, flags, ..] if flags & !FLAG_SPILLED == 0 => {
            peek_register(register).map_err(|error| RowError::Register(error.to_string()))
        }
        [ROW_FORMAT, flags, ..] => Err(RowError::Flags(*flags)),
        [other, ..] => Err(RowError::Format(*other)),
    }
}

/// The row of a spilled value, bound to the round that wrote it.
#[must_use]
pub fn encode_value_row(accepted: Ballot, value: &Value) -> Vec<u8> {
    let content_type = value.content_type.as_bytes();
    let mut row = Vec::with_capacity(VALUE_HEADER_BYTES + content_type.len() + value.bytes.len());
    row.put_u8(ROW_FORMAT);
    put_ballot(&mut row, accepted);
    row.put_u8(u8::try_from(content_type.len()).unwrap_or(u8::MAX));
    row.put_slice(content_type);
    row.put_slice(&value.bytes);
    row
}

/// Puts the spilled value back into its register.
///
/// # Errors
/// When the row is damaged, of a later format, or belongs to another round.
pub fn join_value_row(head: Register, mut row: Bytes) -> Result<Register, RowError> {
    check_row(&row, VALUE_HEADER_BYTES)?;
    row.advance(1);
    let found = get_ballot(&mut row);
    if found != head.accepted {
        return Err(RowError::Mismatch { expected: head.accepted, found });
    }
    let content_type_bytes = usize::from(row.get_u8());
    if row.len() < content_type_bytes {
        return Err(RowError::Short(row.len()));
    }
    let content_type = ContentType::new(row.split_to(content_type_bytes)).unwrap_or_default();
    Ok(Register { content: Content::Live(Value { bytes: row, content_type }), ..head })
}

/// The row of a log entry (its key is the seq).
#[must_use]
pub fn encode_log_row(entry: &LogEntry) -> Vec<u8> {
    let mut row = Vec::with_capacity(LOG_HEADER_BYTES + entry.key.as_bytes().len());
    row.put_u8(ROW_FORMAT);
    row.put_u16(entry.partition.0);
    put_ballot(&mut row, entry.accepted);
    row.put_u64(entry.offset);
    row.put_slice(entry.key.as_bytes());
    row
}

/// Reads a row of `log`.
///
/// # Errors
/// When the row is damaged or of a later format.
pub fn decode_log_row(seq: u64, mut row: Bytes) -> Result<LogEntry, RowError> {
    check_row(&row, LOG_HEADER_BYTES)?;
    row.advance(1);
    let partition = PartitionId(row.get_u16());
    let accepted = get_ballot(&mut row);
    let offset = row.get_u64();
    Ok(LogEntry { seq, partition, accepted, offset, key: Key::new(row)? })
}

/// Appends a ballot's sixteen bytes.
pub fn put_ballot(buffer: &mut Vec<u8>, ballot: Ballot) {
    buffer.put_u64(ballot.hlc.0);
    buffer.put_u64(ballot.proposer.0);
}

/// Takes a ballot's sixteen bytes; the caller has checked that they are there.
pub fn get_ballot(bytes: &mut Bytes) -> Ballot {
    let hlc = Hlc(bytes.get_u64());
    Ballot::new(hlc, ProposerId(bytes.get_u64()))
}

fn check_row(row: &Bytes, header_bytes: usize) -> Result<(), RowError> {
    match row.first() {
        Some(&ROW_FORMAT) if row.len() >= header_bytes => Ok(()),
        Some(&ROW_FORMAT) | None => Err(RowError::Short(row.len())),
        Some(&other) => Err(RowError::Format(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ballot() -> Ballot {
        Ballot::new(Hlc::from_millis(7), ProposerId(9))
    }

    fn register(value_bytes: u32) -> Register {
        let value = Value {
            bytes: vec![7; value_bytes as usize].into(),
            content_type: ContentType::new("image/png").unwrap(),
        };
        Register { accepted: ballot(), content: Content::Live(value), ..Register::absent(Ballot::ZERO) }
    }

    #[test]
    fn register_row_within_the_inline_limit_keeps_the_value() {
        let register = register(INLINE_BYTES_MAX);
        let row = decode_register_row(encode_register_row(3, &register, false).into()).unwrap();
        assert_eq!(row, RegisterRow { seq: 3, register, spilled: false });
    }

    #[test]
    fn register_row_beyond_the_inline_limit_is_joined_with_its_value_row() {
        let register = register(INLINE_BYTES_MAX + 1);
        let row = decode_register_row(encode_register_row(3, &register, true).into()).unwrap();
        assert!(row.spilled);
        assert_eq!(row.register, register.without_value());
        let value_row = encode_value_row(ballot(), register.content.value().unwrap()).into();
        assert_eq!(join_value_row(row.register, value_row).unwrap(), register);
    }

    #[test]
    fn value_row_of_another_round_is_refused() {
        let register = register(INLINE_BYTES_MAX + 1);
        let other = Ballot::new(Hlc::from_millis(8), ProposerId(9));
        let row = encode_value_row(other, register.content.value().unwrap()).into();
        let refused = join_value_row(register.without_value(), row);
        assert_eq!(refused, Err(RowError::Mismatch { expected: ballot(), found: other }));
    }

    #[test]
    fn log_row_round_trips() {
        let entry = LogEntry {
            seq: 5,
            partition: PartitionId(300),
            accepted: ballot(),
            offset: 77,
            key: Key::new("k").unwrap(),
        };
        let row = Bytes::from(encode_log_row(&entry));
        assert_eq!(8 + row.len() as u64, log_row_bytes(&entry.key));
        assert_eq!(decode_log_row(5, row).unwrap(), entry);
    }

    #[test]
    fn peek_reads_the_same_as_the_whole() {
        let expiring = Register { expires_at: Some(70), lag_ms: 5, ..register(10) };
        let carried =
            Register { accepted: Ballot::new(Hlc::from_millis(9), ProposerId(1)), ..expiring.clone() };
        let tombstone = Register { accepted: ballot(), ..Register::absent(Ballot::ZERO) };
        for register in [register(10), expiring, carried, register(INLINE_BYTES_MAX + 1), tombstone] {
            let spilled = register.content.bytes_here() > INLINE_BYTES_MAX as usize;
            let row = encode_register_row(3, &register, spilled);
            let head = RegisterHead {
                accepted: register.accepted,
                live: register.content.is_live(),
                expires_at: register.expires_at,
            };
            assert_eq!(peek_register_row(&row), Ok(head));
        }
    }

    #[test]
    fn rows_of_a_later_format_and_cut_rows_are_refused() {
        let mut row = encode_register_row(3, &register(10), false);
        row[0] = 2;
        assert_eq!(peek_register_row(&row), Err(RowError::Format(2)));
        assert_eq!(decode_register_row(row.into()), Err(RowError::Format(2)));
        let row = Bytes::from(encode_register_row(3, &register(10), false));
        for len in 0..row.len() {
            assert!(decode_register_row(row.slice(..len)).is_err(), "{len}");
        }
        assert!(decode_log_row(1, Bytes::from_static(&[1, 0])).is_err());
    }
}
