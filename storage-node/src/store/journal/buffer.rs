//! Memory that begins at a multiple of the block size, as writes past the page cache ask for.

use super::BLOCK_BYTES;
use super::record::{HEADER_BYTES, Record, record_bytes};

/// A record being put together; its memory is used again for the next one.
#[derive(Debug, Default)]
pub(super) struct Buffer {
    /// A block longer than what is used of it.
    memory: Vec<u8>,
    /// Where the first whole block begins.
    start: usize,
}

/// A buffer that grew beyond this for one long commit gives its memory back with the next.
const KEPT_BYTES: usize = 4 << 20;

impl Buffer {
    /// The record's bytes, padded with zeroes to whole blocks.
    pub(super) fn encode(&mut self, record: &Record, payload: &[u8], salt: u64) -> &[u8] {
        let bytes = usize::try_from(record_bytes(payload.len())).unwrap_or(usize::MAX);
        let buffer = self.room(bytes);
        if let Some((header, rest)) = buffer.split_at_mut_checked(HEADER_BYTES)
            && let Some((body, padding)) = rest.split_at_mut_checked(payload.len())
        {
            body.copy_from_slice(payload);
            padding.fill(0);
            header.copy_from_slice(&record.header(payload, salt));
        }
        buffer
    }

    /// So many aligned bytes, whatever they hold.
    pub(super) fn room(&mut self, bytes: usize) -> &mut [u8] {
        let has = self.memory.len();
        if has < bytes + BLOCK_BYTES || (has > KEPT_BYTES && bytes < KEPT_BYTES) {
            self.memory = vec![0; bytes.next_power_of_two() + BLOCK_BYTES];
            self.start = self.memory.as_ptr().align_offset(BLOCK_BYTES).min(BLOCK_BYTES);
        }
        self.memory.get_mut(self.start..self.start + bytes).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_aligned_whatever_its_size_and_long_room_is_given_back() {
        let mut buffer = Buffer::default();
        for bytes in [BLOCK_BYTES, 3 * BLOCK_BYTES, KEPT_BYTES * 2, BLOCK_BYTES] {
            let room = buffer.room(bytes);
            assert_eq!(room.len(), bytes);
            assert_eq!(room.as_ptr().addr() % BLOCK_BYTES, 0);
        }
        assert!(buffer.memory.len() < KEPT_BYTES);
    }
}
