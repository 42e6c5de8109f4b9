//! One record: a header of 32 bytes, a commit's write batch, zeroes up to the next block.

use xxhash_rust::xxh3::Xxh3;

use super::BLOCK_BYTES;

pub(super) const HEADER_BYTES: usize = 32;

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

/// A record's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) kind: Kind,
    /// The commit's number, or the last one before this note.
    pub(super) commit: u64,
    /// The last commit that was durable when this was written.
    pub(super) synced: u64,
}

/// A header as it was read: its payload is not checked yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Unchecked {
    pub(super) record: Record,
    pub(super) payload_bytes: u32,
    checksum: u64,
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
        let mut header = [0; HEADER_BYTES];
        let fields = self.fields(payload_bytes);
        let checksum = checksum(salt, &fields, payload).to_be_bytes();
        for (byte, from) in header.iter_mut().zip(checksum.iter().chain(&fields)) {
            *byte = *from;
        }
        header
    }

    fn fields(&self, payload_bytes: u32) -> [u8; HEADER_BYTES - 8] {
        let mut fields = [0; HEADER_BYTES - 8];
        let numbers = u64::from(payload_bytes) << 32 | u64::from(self.kind.number());
        let bytes = [numbers, self.commit, self.synced].into_iter().flat_map(u64::to_be_bytes);
        fields.iter_mut().zip(bytes).for_each(|(byte, from)| *byte = from);
        fields
    }
}

impl Unchecked {
    /// Reads a header; `None` if it cannot be one.
    pub(super) fn parse(bytes: &[u8; HEADER_BYTES]) -> Option<Self> {
        let number = |at: usize| {
            let bytes = bytes.get(at..at + 8).and_then(|bytes| bytes.first_chunk())?;
            Some(u64::from_be_bytes(*bytes))
        };
        let (checksum, numbers) = (number(0)?, number(8)?);
        let kind = Kind::from_number(u32::try_from(numbers & u64::from(u32::MAX)).ok()?)?;
        let payload_bytes = u32::try_from(numbers >> 32).ok()?;
        let record = Record { kind, commit: number(16)?, synced: number(24)? };
        Some(Self { record, payload_bytes, checksum })
    }

    /// The record, if its payload is whole and of this segment.
    pub(super) fn check(self, payload: &[u8], salt: u64) -> Option<Record> {
        let fields = self.record.fields(self.payload_bytes);
        (checksum(salt, &fields, payload) == self.checksum).then_some(self.record)
    }
}

fn checksum(salt: u64, fields: &[u8], payload: &[u8]) -> u64 {
    let mut hash = Xxh3::with_seed(salt);
    hash.update(fields);
    hash.update(payload);
    hash.digest()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: Record = Record { kind: Kind::Commit, commit: 7, synced: 6 };

    #[test]
    fn header_round_trips_and_no_changed_bit_passes() {
        let payload = b"batch";
        let header = RECORD.header(payload, 9);
        let check = |header: &[u8; HEADER_BYTES], payload: &[u8], salt| {
            Unchecked::parse(header).and_then(|found| found.check(payload, salt))
        };
        assert_eq!(check(&header, payload, 9), Some(RECORD));
        assert_eq!(check(&header, payload, 8), None, "another segment's");
        assert_eq!(check(&header, b"batcH", 9), None);
        for bit in 0..HEADER_BYTES * 8 {
            let mut changed = header;
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(check(&changed, payload, 9), None, "bit {bit}");
        }
        assert_eq!(check(&[0; HEADER_BYTES], b"", 9), None);
    }

    #[test]
    fn record_takes_whole_blocks() {
        assert_eq!(record_bytes(0), 4096);
        assert_eq!(record_bytes(4096 - HEADER_BYTES), 4096);
        assert_eq!(record_bytes(4097 - HEADER_BYTES), 8192);
    }
}
