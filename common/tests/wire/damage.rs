//! Bodies that are damaged, cut, extended or invented are refused, and never stop the process.

use bytes::Bytes;
use proptest::prelude::*;
use xxhash_rust::xxh3::xxh3_64;

use crate::samples;

/// Bodies in frames; a register alone has no checksum.
fn framed() -> impl Iterator<Item = (&'static str, Bytes)> {
    samples::all().into_iter().filter(|(name, _)| *name != "register")
}

/// The same bytes, their last eight replaced by a checksum that fits: what a faulty or hostile peer can send.
fn resealed(mut bytes: Vec<u8>) -> Bytes {
    let framed = bytes.len().saturating_sub(8);
    bytes.truncate(framed);
    let checksum = xxh3_64(&bytes);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    bytes.into()
}

#[test]
fn body_with_any_byte_changed_is_refused() {
    for (name, body) in framed() {
        for at in 0..body.len() {
            for flip in [0x01, 0x80, 0xff] {
                let mut bytes = body.to_vec();
                bytes[at] ^= flip;
                assert!(samples::is_refused(name, bytes.into()), "{name}, byte {at} ^ {flip:#x}");
            }
        }
    }
}

#[test]
fn body_cut_anywhere_is_refused() {
    for (name, body) in samples::all() {
        for len in 0..body.len() {
            assert!(samples::is_refused(name, body.slice(..len)), "{name}, {len} bytes");
        }
    }
}

#[test]
fn body_with_bytes_after_its_end_is_refused() {
    for (name, body) in samples::all() {
        for extra in [&[0][..], &[0xff], &[0; 8], &body] {
            let bytes = [&body, extra].concat();
            assert!(samples::is_refused(name, bytes.into()), "{name}, {} more", extra.len());
        }
    }
}

#[test]
fn body_of_another_kind_is_refused() {
    for (name, _) in framed() {
        for (other, body) in framed() {
            let answers = ["replies", "refusal", "page"];
            let may_answer = other == "refusal" && answers.contains(&name);
            let same = name == other || (name == "refusal" && other == "replies");
            assert_eq!(samples::is_refused(name, body), !same && !may_answer, "{other} read as {name}");
        }
    }
}

#[test]
fn body_with_any_field_changed_under_a_good_checksum_never_panics() {
    for (name, body) in framed() {
        for at in 0..body.len() - 8 {
            for value in [0x00, 0x01, 0x7f, 0x80, 0xff] {
                let mut bytes = body.to_vec();
                bytes[at] = value;
                let _either_way = samples::is_refused(name, resealed(bytes));
            }
        }
    }
}

proptest! {
    #[test]
    fn garbage_is_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        for (name, _) in framed() {
            prop_assert!(samples::is_refused(name, bytes.clone().into()));
        }
    }

    #[test]
    fn garbage_in_a_good_frame_never_panics(payload in prop::collection::vec(any::<u8>(), 0..300), kind in 0u8..9) {
        let length = u32::try_from(payload.len()).unwrap().to_le_bytes();
        let bytes = [b"RTBL\x01\x00", &[kind, 0][..], &length, &payload, &[0; 8]].concat();
        for (name, _) in samples::all() {
            let _either_way = samples::is_refused(name, resealed(bytes.clone()));
        }
    }

    #[test]
    fn several_bytes_changed_under_a_good_checksum_never_panic(
        which in 0usize..7,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let (name, body) = framed().nth(which).unwrap();
        let mut bytes = body.to_vec();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let _either_way = samples::is_refused(name, resealed(bytes));
    }
}
