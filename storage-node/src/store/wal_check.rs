//! What RocksDB's recovery would drop in silence from the middle of the write-ahead log.
//!
//! Recovery tolerates an incomplete last record, which every power cut may leave, and refuses a wrong checksum. Two
//! kinds of damage look like an incomplete end to it, although whole, synced records lie behind them: a length in the
//! file's last block that reaches beyond the file, and a header of zeroes, for which it skips the rest of the block.
//! This check walks the records' headers before the database is opened and refuses both.
//!
//! The layout is RocksDB's (`db/log_format.h`): blocks of 32 KiB; records of crc (4), length (2), type (1) and
//! payload, little-endian; a block's last bytes, too few for a header, are left out.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

const BLOCK_BYTES: usize = 32 * 1024;
const HEADER_BYTES: usize = 7;
/// The four kinds of records that a log without recycling is made of: whole, first, middle, last.
const DATA_TYPES: std::ops::RangeInclusive<u8> = 1..=4;

/// Damage before the end of a write-ahead log.
#[derive(Debug, thiserror::Error)]
pub enum WalError {
    /// The file system said no.
    #[error("cannot read the write-ahead log {path}: {source}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A directory that was in use has none.
    #[error(
        "the write-ahead log in {path} is missing: writes that were answered may be lost. The node does not start without it; give it a new id and an empty directory"
    )]
    Missing {
        /// The database's directory.
        path: PathBuf,
    },
    /// Records that were synced lie behind damage.
    #[error(
        "the write-ahead log {path} is damaged at byte {at} ({what}) and whole records follow: writes that were answered would be lost. The node does not start on it; give it a new id and an empty directory"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where.
        at: u64,
        /// In what way.
        what: &'static str,
    },
}

/// Checks every write-ahead log in the database's directory. A database that was `in_use` has at least one.
///
/// # Errors
/// When a log is damaged before its end, cannot be read, or is missing.
pub fn check(database: &Path, in_use: bool) -> Result<(), WalError> {
    let io_error = |source| WalError::Io { path: database.to_owned(), source };
    let mut found = false;
    if database.exists() {
        for entry in fs::read_dir(database).map_err(io_error)? {
            let path = entry.map_err(io_error)?.path();
            if path.extension().is_some_and(|extension| extension == "log") {
                found = true;
                check_file(&path)?;
            }
        }
    }
    if in_use && !found {
        return Err(WalError::Missing { path: database.to_owned() });
    }
    Ok(())
}

fn check_file(path: &Path) -> Result<(), WalError> {
    let io_error = |source| WalError::Io { path: path.to_owned(), source };
    let mut file = File::open(path).map_err(io_error)?;
    let mut block = Vec::with_capacity(BLOCK_BYTES);
    let (mut start, mut zeroes_at) = (0_u64, None);
    loop {
        block.clear();
        file.by_ref().take(BLOCK_BYTES as u64).read_to_end(&mut block).map_err(io_error)?;
        let damage =
            |at: usize, what| WalError::Damaged { path: path.to_owned(), at: start + at as u64, what };
        match (zeroes_at, walk_block(&block)) {
            (Some(at), _) if block.iter().any(|&byte| byte != 0) => {
                return Err(WalError::Damaged { path: path.to_owned(), at, what: "zeroes" });
            }
            (Some(_), _) | (None, BlockEnd::Whole) => {}
            (None, BlockEnd::Zeroes { at, rest_is_zero: false }) => return Err(damage(at, "zeroes")),
            (None, BlockEnd::Zeroes { at, rest_is_zero: true }) => zeroes_at = Some(start + at as u64),
            (None, BlockEnd::Incomplete { at, whole_behind: true }) => {
                return Err(damage(at, "a wrong length"));
            }
            (None, BlockEnd::Incomplete { .. }) => {}
        }
        if block.len() < BLOCK_BYTES {
            return Ok(());
        }
        start += BLOCK_BYTES as u64;
    }
}

/// How the walk over a block's headers ended.
#[derive(Debug, PartialEq, Eq)]
enum BlockEnd {
    /// At the block's end.
    Whole,
    /// At a header of zeroes.
    Zeroes { at: usize, rest_is_zero: bool },
    /// At a record that reaches beyond the block. In a full block recovery refuses it by itself.
    Incomplete { at: usize, whole_behind: bool },
}

fn walk_block(block: &[u8]) -> BlockEnd {
    let mut at = 0;
    while let Some((header, payload)) = block.get(at..).and_then(<[u8]>::split_first_chunk::<HEADER_BYTES>) {
        let header = Header::parse(*header);
        if header.kind == 0 && header.payload_bytes == 0 {
            return BlockEnd::Zeroes { at, rest_is_zero: payload.iter().all(|&byte| byte == 0) };
        }
        if header.payload_bytes > payload.len() {
            let whole_behind = block.len() < BLOCK_BYTES && has_whole_record(payload);
            return BlockEnd::Incomplete { at, whole_behind };
        }
        at += HEADER_BYTES + header.payload_bytes;
    }
    BlockEnd::Whole
}

/// Whether a record with a right checksum begins anywhere in these bytes.
fn has_whole_record(bytes: &[u8]) -> bool {
    (0..bytes.len()).any(|at| {
        let Some((header, payload)) = bytes.get(at..).and_then(<[u8]>::split_first_chunk::<HEADER_BYTES>)
        else {
            return false;
        };
        let header = Header::parse(*header);
        DATA_TYPES.contains(&header.kind)
            && payload
                .get(..header.payload_bytes)
                .is_some_and(|payload| header.crc == masked_crc(header.kind, payload))
    })
}

struct Header {
    crc: u32,
    payload_bytes: usize,
    kind: u8,
}

impl Header {
    fn parse([a, b, c, d, low, high, kind]: [u8; HEADER_BYTES]) -> Self {
        let payload_bytes = usize::from(u16::from_le_bytes([low, high]));
        Self { crc: u32::from_le_bytes([a, b, c, d]), payload_bytes, kind }
    }
}

/// RocksDB's checksum of a record: CRC-32C over type and payload, masked because logs may hold logs.
fn masked_crc(kind: u8, payload: &[u8]) -> u32 {
    let step = |crc: u32, &byte: &u8| {
        let [low, ..] = (crc ^ u32::from(byte)).to_le_bytes();
        (crc >> 8) ^ CRC_TABLE.get(usize::from(low)).copied().unwrap_or_default()
    };
    let crc = !payload.iter().fold(step(!0, &kind), step);
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

/// CRC-32C (Castagnoli), reflected: what each byte adds.
const CRC_TABLE: [u32; 256] = {
    let mut table = [0_u32; 256];
    let mut byte = 0_u32;
    let mut rest: &mut [u32] = &mut table;
    // Const functions have no iterators yet.
    while let [slot, others @ ..] = rest {
        let mut crc = byte;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 };
            bit += 1;
        }
        *slot = crc;
        rest = others;
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    fn record(payload: &[u8]) -> Vec<u8> {
        let mut bytes = masked_crc(1, payload).to_le_bytes().to_vec();
        bytes.extend_from_slice(&u16::try_from(payload.len()).unwrap().to_le_bytes());
        bytes.push(1);
        bytes.extend_from_slice(payload);
        bytes
    }

    #[test]
    fn crc_is_castagnoli() {
        // The check value of CRC-32C: "123456789" gives e3069283.
        assert_eq!(masked_crc(b'1', b"23456789"), 0xe306_9283_u32.rotate_right(15).wrapping_add(0xa282_ead8));
    }

    #[test]
    fn whole_records_and_a_cut_last_one_pass() {
        let mut log = record(b"one");
        log.extend(record(b"two"));
        assert_eq!(walk_block(&log), BlockEnd::Whole);
        for cut in 11..log.len() {
            let end = walk_block(&log[..cut]);
            assert!(
                matches!(end, BlockEnd::Whole | BlockEnd::Incomplete { whole_behind: false, .. }),
                "{cut}"
            );
        }
    }

    #[test]
    fn wrong_length_before_whole_records_is_damage() {
        let mut log = record(b"one");
        log.extend(record(b"two"));
        log[5] = 0x40;
        assert_eq!(walk_block(&log), BlockEnd::Incomplete { at: 0, whole_behind: true });
    }

    #[test]
    fn zeroes_before_whole_records_are_damage_and_at_the_end_are_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("000007.log");
        let mut log = record(b"one");
        log.extend([0; 40_000]);
        fs::write(&path, &log).unwrap();
        check(dir.path(), true).unwrap();
        log.extend(record(b"two"));
        fs::write(&path, &log).unwrap();
        let error = check(dir.path(), true).unwrap_err();
        assert!(matches!(error, WalError::Damaged { at: 10, what: "zeroes", .. }), "{error}");
    }
}
