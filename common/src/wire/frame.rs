//! The frame around every body: magic, version, kind, length, payload, checksum.

use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_64;

use super::error::WireError;
use super::reader::Reader;
use super::writer::Writer;

/// The first four bytes of every body.
pub(crate) const MAGIC: &[u8; 4] = b"RTBL";
/// The format version that this program writes, and the only one that it reads.
pub const FORMAT_VERSION: u16 = 1;
/// The longest body in bytes: three values of the largest size, with room for keys and histories.
pub const BODY_BYTES_MAX: usize = 64 << 20;
/// The media type of bodies.
pub const CONTENT_TYPE: &str = "application/octet-stream";

/// Magic (4), version (2), kind (1), reserved (1), payload length (4).
const HEADER_BYTES: usize = 12;
const LENGTH_AT: usize = 8;
const CHECKSUM_BYTES: usize = 8;
/// The longest payload in bytes.
pub(super) const PAYLOAD_BYTES_MAX: usize = BODY_BYTES_MAX - HEADER_BYTES - CHECKSUM_BYTES;

/// What a body holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    Requests = 1,
    Replies = 2,
    Refusal = 3,
    Scan = 4,
    Page = 5,
    Hello = 6,
    Adopted = 7,
}

impl Kind {
    fn from_byte(byte: u8) -> Option<Self> {
        [Self::Requests, Self::Replies, Self::Refusal, Self::Scan, Self::Page, Self::Hello, Self::Adopted]
            .into_iter()
            .find(|kind| *kind as u8 == byte)
    }
}

/// Makes a body of what `write` appends; `payload_hint` is how much that will be, about.
pub(super) fn seal(kind: Kind, payload_hint: usize, write: impl FnOnce(&mut Writer<'_>)) -> Bytes {
    let mut out = Vec::with_capacity(HEADER_BYTES + payload_hint + CHECKSUM_BYTES);
    let mut writer = Writer::new(&mut out);
    writer.raw(MAGIC);
    writer.u16(FORMAT_VERSION);
    writer.u8(kind as u8);
    writer.u8(0);
    writer.u32(0);
    write(&mut writer);
    // A payload beyond 32 bits can't state its length; the peer refuses such a body for its size anyway.
    let payload_bytes = u32::try_from(out.len() - HEADER_BYTES).unwrap_or(u32::MAX);
    if let Some(length) = out.get_mut(LENGTH_AT..HEADER_BYTES) {
        length.copy_from_slice(&payload_bytes.to_le_bytes());
    }
    let checksum = xxh3_64(&out);
    out.extend_from_slice(&checksum.to_le_bytes());
    Bytes::from(out)
}

/// Checks a body and gives its kind, which must be one of `accepted`, and a reader of its payload.
pub(super) fn open<'a>(
    body: &'a Bytes,
    accepted: &[Kind],
    expected: &'static str,
) -> Result<(Kind, Reader<'a>), WireError> {
    if body.len() > BODY_BYTES_MAX {
        return Err(WireError::TooLarge { bytes: body.len(), max: BODY_BYTES_MAX });
    }
    let Some((framed, checksum)) = body.split_last_chunk::<CHECKSUM_BYTES>() else {
        let needed = HEADER_BYTES + CHECKSUM_BYTES;
        return Err(WireError::Truncated { field: "frame", needed, left: body.len() });
    };
    let mut header = Reader::of_part(body, framed);
    if header.raw("magic", MAGIC.len())? != MAGIC {
        return Err(WireError::Magic);
    }
    let version = header.u16("format version")?;
    if version != FORMAT_VERSION {
        return Err(WireError::Version { found: version });
    }
    let kind_byte = header.u8("kind")?;
    header.flags("reserved byte", 0)?;
    let stated = header.u32("payload length")?;
    if usize::try_from(stated) != Ok(header.left()) {
        return Err(WireError::Length { stated, found: header.left() });
    }
    let (found, computed) = (u64::from_le_bytes(*checksum), xxh3_64(framed));
    if found != computed {
        return Err(WireError::Checksum { found, computed });
    }
    match Kind::from_byte(kind_byte).filter(|kind| accepted.contains(kind)) {
        Some(kind) => Ok((kind, header)),
        None => Err(WireError::Kind { found: kind_byte, expected }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<u8> {
        seal(Kind::Hello, 3, |writer| writer.raw(b"abc")).to_vec()
    }

    fn refused(bytes: Vec<u8>) -> WireError {
        open(&Bytes::from(bytes), &[Kind::Hello], "hello").map(|(kind, _)| kind).unwrap_err()
    }

    /// The same bytes with a checksum that fits them.
    fn resealed(mut bytes: Vec<u8>) -> Vec<u8> {
        bytes.truncate(bytes.len() - CHECKSUM_BYTES);
        let checksum = xxh3_64(&bytes);
        bytes.extend_from_slice(&checksum.to_le_bytes());
        bytes
    }

    #[test]
    fn frame_round_trips() {
        let body = Bytes::from(sample());
        let (kind, mut payload) = open(&body, &[Kind::Adopted, Kind::Hello], "hello").unwrap();
        assert_eq!(kind, Kind::Hello);
        assert_eq!(payload.raw("payload", 3).unwrap(), b"abc");
        payload.finish().unwrap();
    }

    #[test]
    fn frame_of_another_kind_version_or_length_is_refused_by_name() {
        let changed = |at: usize, to: u8| {
            let mut bytes = sample();
            bytes[at] = to;
            refused(resealed(bytes))
        };
        assert_eq!(changed(0, b'X'), WireError::Magic);
        assert_eq!(changed(4, 9), WireError::Version { found: 9 });
        assert_eq!(changed(6, 7), WireError::Kind { found: 7, expected: "hello" });
        assert_eq!(changed(6, 200), WireError::Kind { found: 200, expected: "hello" });
        assert!(matches!(changed(7, 1), WireError::Field { found: 1, .. }));
        assert_eq!(changed(8, 4), WireError::Length { stated: 4, found: 3 });
    }

    #[test]
    fn frame_that_was_damaged_is_refused_by_its_checksum() {
        let mut bytes = sample();
        bytes[HEADER_BYTES] ^= 1;
        assert!(matches!(refused(bytes), WireError::Checksum { .. }));
    }

    #[test]
    fn frame_beyond_the_limit_is_refused_before_it_is_read() {
        let bytes = vec![0; BODY_BYTES_MAX + 1];
        assert_eq!(refused(bytes), WireError::TooLarge { bytes: BODY_BYTES_MAX + 1, max: BODY_BYTES_MAX });
    }
}
