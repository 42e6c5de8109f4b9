//! One record: a header of 40 bytes, a commit's write batch, zeroes up to the next block.
//!
//! Header and payload have a checksum each, both salted. So a header is known for one of this segment's use before a
//! byte of its payload is read: bytes that clients stored, which lie in old records, never make anyone read further.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::BLOCK_BYTES;

pub(super) const HEADER_BYTES: usize = 40;
const CHECKSUM_BYTES: usize = 8;
const FIELDS_BYTES: usize = HEADER_BYTES - CHECKSUM_BYTES;

/// What a record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A commit: its write batch follows.
    Commit,
    /// All commits up to this one lie in sorted files.
    Flushed,
    /// The journal goes on in the next segment.
    Continued,
}

impl Kind {
    fn number(self) -> u32 {
        match self {
            Self::Commit => 1,
            Self::Flushed => 2,
            Self::Continued => 3,
        }
    }

    fn from_number(number: u32) -> Option<Self> {
        [Self::Commit, Self::Flushed, Self::Continued].into_iter().find(|kind| kind.number() == number)
    }
}

/// What a record's header says of the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) kind: Kind,
    /// The commit's number, or the last one before this note.
    pub(super) commit: u64,
    /// The last commit that was durable when this was written.
    pub(super) durable: u64,
}

/// A header that was written in this use of the segment. Its payload may be incomplete.
#[derive(Debug, Clone, Copy)]
pub(super) struct RecordHeader {
    pub(super) record: Record,
    pub(super) payload_bytes: u32,
    payload_checksum: u64,
}

/// Bytes of a record in the segment.
pub(super) fn record_bytes(payload_bytes: usize) -> u64 {
    (HEADER_BYTES + payload_bytes).next_multiple_of(BLOCK_BYTES) as u64
}

impl Record {
    /// The header of a record with this payload. The salt is the segment's: neither what an earlier use left there nor
    /// what clients store can pass for a record of it.
    pub(super) fn header(&self, payload: &[u8], salt: u64) -> [u8; HEADER_BYTES] {
        let payload_bytes = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        let numbers = [
            u64::from(payload_bytes) << 32 | u64::from(self.kind.number()),
            self.commit,
            self.durable,
            xxh3_64_with_seed(payload, salt),
        ];
        let mut fields = [0; FIELDS_BYTES];
        let bytes = numbers.into_iter().flat_map(u64::to_be_bytes);
        fields.iter_mut().zip(bytes).for_each(|(byte, from)| *byte = from);
        let checksum = xxh3_64_with_seed(&fields, salt).to_be_bytes();
        let mut header = [0; HEADER_BYTES];
        header.iter_mut().zip(checksum.iter().chain(&fields)).for_each(|(byte, from)| *byte = *from);
        header
    }
}

impl RecordHeader {
    /// Reads a header; `None` if it is damaged or was not written in this use of the segment.
    pub(super) fn decode(bytes: &[u8; HEADER_BYTES], salt: u64) -> Option<Self> {
        let (checksum, fields) = bytes.split_first_chunk::<CHECKSUM_BYTES>()?;
        if xxh3_64_with_seed(fields, salt) != u64::from_be_bytes(*checksum) {
            return None;
        }
        let number = |at: usize| {
            let bytes = fields.get(at..at + 8).and_then(|bytes| bytes.first_chunk())?;
            Some(u64::from_be_bytes(*bytes))
        };
        let numbers = number(0)?;
        let kind = Kind::from_number(u32::try_from(numbers & u64::from(u32::MAX)).ok()?)?;
        let payload_bytes = u32::try_from(numbers >> 32).ok()?;
        let record = Record { kind, commit: number(8)?, durable: number(16)? };
        Some(Self { record, payload_bytes, payload_checksum: number(24)? })
    }

    /// Whether this is the payload that was written with it.
    pub(super) fn has_payload(&self, payload: &[u8], salt: u64) -> bool {
        xxh3_64_with_seed(payload, salt) == self.payload_checksum
    }

    /// The last commit that is known from this header to have been durable.
    pub(super) fn proves_durable(&self) -> u64 {
        match self.record.kind {
            Kind::Commit => self.record.durable,
            // Both are written after a sync of the commits before them.
            Kind::Flushed | Kind::Continued => self.record.durable.max(self.record.commit),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: Record = Record { kind: Kind::Commit, commit: 7, durable: 6 };

    #[test]
    fn header_round_trips_and_no_changed_bit_passes() {
        let payload = b"batch";
        let header = RECORD.header(payload, 9);
        let found = RecordHeader::decode(&header, 9).unwrap();
        assert_eq!((found.record, found.payload_bytes), (RECORD, 5));
        assert!(found.has_payload(payload, 9));
        assert!(!found.has_payload(b"batcH", 9));
        assert!(RecordHeader::decode(&header, 8).is_none(), "another segment's");
        for bit in 0..HEADER_BYTES * 8 {
            let mut changed = header;
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(RecordHeader::decode(&changed, 9).is_none(), "bit {bit}");
        }
        assert!(RecordHeader::decode(&[0; HEADER_BYTES], 9).is_none());
    }

    #[test]
    fn note_proves_the_commits_before_it_and_a_commit_those_that_it_names() {
        let proved = |kind| {
            let record = Record { kind, commit: 7, durable: 3 };
            RecordHeader::decode(&record.header(b"", 9), 9).unwrap().proves_durable()
        };
        assert_eq!([Kind::Commit, Kind::Flushed, Kind::Continued].map(proved), [3, 7, 7]);
    }

    #[test]
    fn record_takes_whole_blocks() {
        assert_eq!(record_bytes(0), 4096);
        assert_eq!(record_bytes(4096 - HEADER_BYTES), 4096);
        assert_eq!(record_bytes(4097 - HEADER_BYTES), 8192);
    }
}
