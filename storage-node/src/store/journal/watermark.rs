//! The watermark of a segment: a commit that was durable, told at a distance from the records themselves.
//!
//! Damage at the journal's end looks like a crash: records that are missing there may never have been finished. The
//! watermark tells the difference. About once a second it names the last commit that was durable by then; a record up to
//! it that is missing was lost.
//!
//! It has the second block of the segment, and the segment's salt: one of an earlier use says nothing. Nothing rests on
//! it but the discovery of damage, so a damaged one is the same as none.

use xxhash_rust::xxh3::xxh3_64_with_seed;

pub(super) const WATERMARK_BYTES: usize = 16;

/// The bytes of a watermark in a segment with this salt.
pub(super) fn encode(durable_commit: u64, salt: u64) -> [u8; WATERMARK_BYTES] {
    let commit = durable_commit.to_be_bytes();
    let checksum = xxh3_64_with_seed(&commit, salt).to_be_bytes();
    let mut bytes = [0; WATERMARK_BYTES];
    bytes.iter_mut().zip(checksum.iter().chain(&commit)).for_each(|(byte, from)| *byte = *from);
    bytes
}

/// The commit that a watermark names; `None` if it was not written in this use of the segment.
pub(super) fn decode(bytes: &[u8; WATERMARK_BYTES], salt: u64) -> Option<u64> {
    let (checksum, commit) = bytes.split_first_chunk::<8>()?;
    let is_whole = xxh3_64_with_seed(commit, salt) == u64::from_be_bytes(*checksum);
    commit.first_chunk().filter(|_| is_whole).map(|commit| u64::from_be_bytes(*commit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn watermark_of_another_use_or_with_a_changed_bit_says_nothing() {
        let written = encode(7, 9);
        assert_eq!(decode(&written, 9), Some(7));
        assert_eq!(decode(&written, 8), None);
        assert_eq!(decode(&[0; WATERMARK_BYTES], 9), None);
        for bit in 0..WATERMARK_BYTES * 8 {
            let mut changed = written;
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(&changed, 9), None, "bit {bit}");
        }
    }
}
