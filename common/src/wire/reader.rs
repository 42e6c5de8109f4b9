//! Takes fields from a body, and never more than there is.

use bytes::Bytes;

use super::error::WireError;

/// Takes little-endian fields from the front of a body. Byte fields are slices of it, not copies.
pub(crate) struct Reader<'a> {
    body: &'a Bytes,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads all of `body`.
    pub(crate) fn new(body: &'a Bytes) -> Self {
        Self { body, rest: body }
    }

    /// Reads `part`, which must be a part of `body`.
    pub(super) fn of_part(body: &'a Bytes, part: &'a [u8]) -> Self {
        Self { body, rest: part }
    }

    /// Bytes not yet taken.
    pub(crate) fn left(&self) -> usize {
        self.rest.len()
    }

    /// Everything must have been taken.
    pub(crate) fn finish(self) -> Result<(), WireError> {
        match self.rest.len() {
            0 => Ok(()),
            bytes => Err(WireError::Trailing { bytes }),
        }
    }

    fn chunk<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], WireError> {
        let Some((chunk, rest)) = self.rest.split_first_chunk::<N>() else {
            return Err(WireError::Truncated { field, needed: N, left: self.rest.len() });
        };
        self.rest = rest;
        Ok(*chunk)
    }

    pub(crate) fn u8(&mut self, field: &'static str) -> Result<u8, WireError> {
        self.chunk::<1>(field).map(|[byte]| byte)
    }

    pub(crate) fn u16(&mut self, field: &'static str) -> Result<u16, WireError> {
        self.chunk(field).map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self, field: &'static str) -> Result<u32, WireError> {
        self.chunk(field).map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self, field: &'static str) -> Result<u64, WireError> {
        self.chunk(field).map(u64::from_le_bytes)
    }

    pub(crate) fn i64(&mut self, field: &'static str) -> Result<i64, WireError> {
        self.chunk(field).map(i64::from_le_bytes)
    }

    pub(crate) fn u128(&mut self, field: &'static str) -> Result<u128, WireError> {
        self.chunk(field).map(u128::from_le_bytes)
    }

    /// A yes or no in one byte; any other value is refused.
    pub(crate) fn flag(&mut self, field: &'static str) -> Result<bool, WireError> {
        match self.u8(field)? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(WireError::Field { field, found: other.into(), accepted: "0 or 1" }),
        }
    }

    /// A byte of flags; bits outside `known` are refused.
    pub(crate) fn flags(&mut self, field: &'static str, known: u8) -> Result<u8, WireError> {
        let flags = self.u8(field)?;
        if flags & !known == 0 {
            Ok(flags)
        } else {
            Err(WireError::Field {
                field,
                found: flags.into(),
                accepted: "the bits that this version defines",
            })
        }
    }

    /// A number in groups of seven bits; only its shortest form is taken.
    pub(crate) fn varint(&mut self, field: &'static str) -> Result<u64, WireError> {
        let mut value = 0u64;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.u8(field)?;
            let group = u64::from(byte & 0x7f);
            let overflows = group.leading_zeros() < shift;
            let is_last = byte & 0x80 == 0;
            let is_padding = is_last && byte == 0 && shift > 0;
            if overflows || is_padding {
                break;
            }
            value |= group << shift;
            if is_last {
                return Ok(value);
            }
        }
        Err(WireError::Field { field, found: value, accepted: "a number of 64 bits in its shortest form" })
    }

    /// How many items follow: at most `max`, and no more than the rest of the body can hold when each takes at
    /// least `item_bytes_min`. So the answer is safe to reserve memory by.
    pub(crate) fn count(
        &mut self,
        field: &'static str,
        max: usize,
        item_bytes_min: usize,
    ) -> Result<usize, WireError> {
        let found = self.u32(field)?;
        self.checked_count(field, found.into(), max, item_bytes_min)
    }

    /// Like [`Self::count`], for a count written as a varint.
    pub(crate) fn varint_count(
        &mut self,
        field: &'static str,
        max: usize,
        item_bytes_min: usize,
    ) -> Result<usize, WireError> {
        let found = self.varint(field)?;
        self.checked_count(field, found, max, item_bytes_min)
    }

    fn checked_count(
        &self,
        field: &'static str,
        found: u64,
        max: usize,
        item_bytes_min: usize,
    ) -> Result<usize, WireError> {
        let Some(count) = usize::try_from(found).ok().filter(|count| *count <= max) else {
            return Err(WireError::Field { field, found, accepted: "a count within this format's limit" });
        };
        let needed = count.saturating_mul(item_bytes_min);
        if needed > self.left() {
            return Err(WireError::Truncated { field, needed, left: self.left() });
        }
        Ok(count)
    }

    /// The next `len` bytes, as a view.
    pub(crate) fn raw(&mut self, field: &'static str, len: usize) -> Result<&'a [u8], WireError> {
        let Some((taken, rest)) = self.rest.split_at_checked(len) else {
            return Err(WireError::Truncated { field, needed: len, left: self.rest.len() });
        };
        self.rest = rest;
        Ok(taken)
    }

    /// The next `len` bytes, sharing the body's memory.
    pub(crate) fn shared(&mut self, field: &'static str, len: usize) -> Result<Bytes, WireError> {
        self.raw(field, len).map(|part| self.body.slice_ref(part))
    }

    /// Bytes after their number in one byte.
    pub(crate) fn bytes8(&mut self, field: &'static str) -> Result<Bytes, WireError> {
        let len = self.u8(field)?;
        self.shared(field, len.into())
    }

    /// Bytes after their number in two bytes.
    pub(crate) fn bytes16(&mut self, field: &'static str) -> Result<Bytes, WireError> {
        let len = self.u16(field)?;
        self.shared(field, len.into())
    }

    /// Text after its number of bytes in one byte.
    pub(crate) fn text8(&mut self, field: &'static str) -> Result<&'a str, WireError> {
        let len = self.u8(field)?;
        let bytes = self.raw(field, len.into())?;
        std::str::from_utf8(bytes).map_err(|_| WireError::Text { field })
    }

    /// Text after its number of bytes in two bytes.
    pub(crate) fn text16(&mut self, field: &'static str) -> Result<&'a str, WireError> {
        let len = self.u16(field)?;
        let bytes = self.raw(field, len.into())?;
        std::str::from_utf8(bytes).map_err(|_| WireError::Text { field })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::writer::Writer;

    fn varint_of(bytes: &[u8]) -> Result<u64, WireError> {
        let body = Bytes::copy_from_slice(bytes);
        let mut reader = Reader::new(&body);
        let value = reader.varint("number")?;
        reader.finish()?;
        Ok(value)
    }

    proptest! {
        #[test]
        fn varint_round_trips(value in any::<u64>(), shift in 0u32..64) {
            let value = value >> shift;
            let mut out = Vec::new();
            Writer::new(&mut out).varint(value);
            prop_assert!(out.len() <= 10);
            prop_assert_eq!(varint_of(&out), Ok(value));
        }
    }

    #[test]
    fn varint_of_another_form_is_refused() {
        let eleven = [0x80; 11];
        let too_wide = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02];
        for bad in [&[][..], &[0x80], &[0x80, 0x00], &[0xff, 0x80, 0x00], &too_wide, &eleven] {
            assert!(varint_of(bad).is_err(), "{bad:x?}");
        }
        assert_eq!(varint_of(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]), Ok(u64::MAX));
    }

    #[test]
    fn count_beyond_what_is_there_is_refused() {
        let body = Bytes::from_static(&[3, 0, 0, 0, 1, 2, 3, 4, 5]);
        assert_eq!(Reader::new(&body).count("items", 3, 1), Ok(3));
        assert!(matches!(
            Reader::new(&body).count("items", 3, 2),
            Err(WireError::Truncated { needed: 6, .. })
        ));
        assert!(matches!(Reader::new(&body).count("items", 2, 1), Err(WireError::Field { found: 3, .. })));
    }

    #[test]
    fn byte_fields_share_the_body() {
        let body = Bytes::from(vec![2, 7, 8, 9]);
        let taken = Reader::new(&body).bytes8("field").unwrap();
        assert_eq!(taken, [7, 8][..]);
        assert_eq!(taken.as_ptr(), body[1..].as_ptr());
    }
}
