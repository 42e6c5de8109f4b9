//! Appends fields to a body.

/// Appends little-endian fields to a buffer.
///
/// A length that doesn't fit its field is a programmer's fault, since the types and the checks of files rule it
/// out (a key has at most 4096 bytes, a name at most 63); it stops the process rather than be sent cut.
pub(crate) struct Writer<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> Writer<'a> {
    /// Appends to what `out` already holds.
    pub(crate) fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out }
    }

    /// Bytes in the buffer.
    pub(crate) fn len(&self) -> usize {
        self.out.len()
    }

    /// Takes back everything after the first `len` bytes.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.out.truncate(len);
    }

    pub(crate) fn u8(&mut self, value: u8) {
        self.out.push(value);
    }

    pub(crate) fn u16(&mut self, value: u16) {
        self.raw(&value.to_le_bytes());
    }

    pub(crate) fn u32(&mut self, value: u32) {
        self.raw(&value.to_le_bytes());
    }

    pub(crate) fn u64(&mut self, value: u64) {
        self.raw(&value.to_le_bytes());
    }

    pub(crate) fn i64(&mut self, value: i64) {
        self.raw(&value.to_le_bytes());
    }

    pub(crate) fn u128(&mut self, value: u128) {
        self.raw(&value.to_le_bytes());
    }

    /// A count or length of 32 bits. More than that is far beyond what any receiver takes.
    pub(crate) fn count(&mut self, count: usize) {
        self.u32(u32::try_from(count).unwrap_or(u32::MAX));
    }

    /// An unsigned number in groups of seven bits, the lowest first, the top bit set on all but the last.
    pub(crate) fn varint(&mut self, value: u64) {
        let mut left = value;
        loop {
            let [group, ..] = (left & 0x7f).to_le_bytes();
            left >>= 7;
            if left == 0 {
                self.out.push(group);
                return;
            }
            self.out.push(group | 0x80);
        }
    }

    /// Bytes whose number the reader knows.
    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// At most 255 bytes after their number in one byte.
    pub(crate) fn bytes8(&mut self, bytes: &[u8]) {
        let Ok(len) = u8::try_from(bytes.len()) else {
            unreachable!("a short field of {} bytes", bytes.len())
        };
        self.u8(len);
        self.raw(bytes);
    }

    /// At most 65535 bytes after their number in two bytes.
    pub(crate) fn bytes16(&mut self, bytes: &[u8]) {
        let Ok(len) = u16::try_from(bytes.len()) else { unreachable!("a field of {} bytes", bytes.len()) };
        self.u16(len);
        self.raw(bytes);
    }

    /// Bytes after their number in four bytes.
    pub(crate) fn bytes32(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.raw(bytes);
    }
}

/// The flag when the condition holds, no flag otherwise.
pub(super) fn when(condition: bool, flag: u8) -> u8 {
    if condition { flag } else { 0 }
}
