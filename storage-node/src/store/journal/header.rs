//! A segment's header: which use of the file its records belong to.

use std::path::Path;

use bytes::{Buf, BufMut};
use roundtable_consensus::StorageId;
use xxhash_rust::xxh3::xxh3_64;

use super::error::JournalError;

const MAGIC: &[u8; 8] = b"RTJOURNL";
/// 2: the length of the segment, a watermark, and records whose headers have a checksum of their own.
const FORMAT_VERSION: u32 = 2;
pub(super) const HEADER_BYTES: usize = 8 + 4 + 16 + 5 * 8 + 8;

/// What the first block of a segment says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) storage: StorageId,
    /// Counts up over all segments ever begun; 0 in a segment that was never used.
    pub(super) number: u64,
    /// Drawn anew at each use: records of earlier uses are none of this one.
    pub(super) salt: u64,
    /// The commit that its first record holds.
    pub(super) first_commit: u64,
    /// All commits up to this one lay in sorted files when it was begun.
    pub(super) flushed: u64,
    /// The length of the file. It never changes: a file of another length was damaged.
    pub(super) bytes: u64,
}

impl Header {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES);
        bytes.put_slice(MAGIC);
        bytes.put_u32(FORMAT_VERSION);
        bytes.put_u128(self.storage.0);
        for number in [self.number, self.salt, self.first_commit, self.flushed, self.bytes] {
            bytes.put_u64(number);
        }
        bytes.put_u64(xxh3_64(&bytes));
        bytes
    }

    /// Reads the header of the file at `path`.
    ///
    /// # Errors
    /// When it is damaged or of another format version.
    pub(super) fn decode(path: &Path, header: &[u8; HEADER_BYTES]) -> Result<Self, JournalError> {
        let damaged = || JournalError::Header { path: path.to_owned() };
        let (content, checksum) = header.split_last_chunk::<8>().ok_or_else(damaged)?;
        let mut rest = content.strip_prefix(MAGIC).ok_or_else(damaged)?;
        // Judged before the checksum, so that a later version may change all the rest.
        let found = rest.get_u32();
        if found != FORMAT_VERSION {
            return Err(JournalError::UnknownVersion { path: path.to_owned(), found, known: FORMAT_VERSION });
        }
        if xxh3_64(content) != u64::from_be_bytes(*checksum) {
            return Err(damaged());
        }
        Ok(Self {
            storage: StorageId(rest.get_u128()),
            number: rest.get_u64(),
            salt: rest.get_u64(),
            first_commit: rest.get_u64(),
            flushed: rest.get_u64(),
            bytes: rest.get_u64(),
        })
    }
}
