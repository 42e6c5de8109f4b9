//! What is written is read back, whatever it is.

use bytes::Bytes;
use proptest::prelude::*;
use roundtable_common::wire::{self, BODY_BYTES_MAX, VALUE_BYTES_MAX};
use roundtable_consensus::{
    Ballot, Content, ContentType, Fold, History, Hlc, Key, KeyRange, PartitionId, ProposerId, Register,
    Rejection, Reply, ReplyBody, Request, RequestBody, ScanRequest, Value,
};

use crate::samples;
use crate::strategies::{page, refused, register, replies, requests, scan, target};

proptest! {
    #[test]
    fn requests_round_trip(target in target(), requests in requests()) {
        let body = wire::encode_requests(&target, &requests);
        prop_assert_eq!(wire::decode_requests(body), Ok((target, requests)));
    }

    #[test]
    fn replies_round_trip(sender in target(), node_ms in any::<u64>(), replies in replies()) {
        let batch = wire::decode_replies(wire::encode_replies(&sender, node_ms, &replies)).unwrap();
        prop_assert_eq!((batch.sender, batch.node_ms, batch.outcome), (sender, node_ms, Ok(replies)));
    }

    #[test]
    fn refusals_round_trip_as_answers_to_batches_and_scans(
        sender in target(),
        node_ms in any::<u64>(),
        refused in refused(),
    ) {
        let body = wire::encode_refusal(&sender, node_ms, &refused);
        let batch = wire::decode_replies(body.clone()).unwrap();
        prop_assert_eq!((&batch.sender, batch.node_ms, batch.outcome), (&sender, node_ms, Err(refused.clone())));
        let page = wire::decode_page(body).unwrap();
        prop_assert_eq!((page.sender, page.node_ms, page.outcome), (sender, node_ms, Err(refused)));
    }

    #[test]
    fn scans_round_trip(target in target(), scan in scan()) {
        let body = wire::encode_scan(&target, &scan);
        prop_assert_eq!(wire::decode_scan(body), Ok((target, scan)));
    }

    #[test]
    fn pages_round_trip(sender in target(), node_ms in any::<u64>(), page in page()) {
        let reply = wire::decode_page(wire::encode_page(&sender, node_ms, &page)).unwrap();
        prop_assert_eq!((reply.sender, reply.node_ms, reply.outcome), (sender, node_ms, Ok(page)));
    }

    #[test]
    fn registers_round_trip_and_keep_what_stood_before(register in register(), before in any::<[u8; 3]>()) {
        let mut out = before.to_vec();
        wire::encode_register(&register, &mut out);
        prop_assert_eq!(&out[..3], before);
        prop_assert_eq!(wire::decode_register(&Bytes::from(out).slice(3..)), Ok(register));
    }
}

fn put(value: Bytes) -> Register {
    let accepted = Ballot::new(Hlc::from_millis(1_790_000_000_000), ProposerId(1));
    let content = Content::Live(Value { bytes: value, content_type: ContentType::default() });
    Register { accepted, content, ..Register::absent(Ballot::ZERO) }
}

#[test]
fn decoded_keys_and_values_share_the_body() {
    let request = Request {
        id: 1,
        partition: PartitionId(0),
        done: true,
        key: Key::new("a-key").unwrap(),
        body: RequestBody::Accept { register: put("a-value".into()).into(), next: None },
    };
    let body = wire::encode_requests(&samples::target(), &[request]);
    let (_, requests) = wire::decode_requests(body.clone()).unwrap();
    let RequestBody::Accept { register, .. } = &requests[0].body else { panic!("another request") };
    let memory = body.as_ptr_range();
    assert!(memory.contains(&requests[0].key.as_bytes().as_ptr()));
    assert!(memory.contains(&register.content.value().unwrap().bytes.as_ptr()));
}

#[test]
fn largest_value_round_trips_and_a_larger_one_is_refused() {
    for (len, fits) in [(VALUE_BYTES_MAX, true), (VALUE_BYTES_MAX + 1, false)] {
        let mut out = Vec::new();
        wire::encode_register(&put(vec![7; len].into()), &mut out);
        assert_eq!(wire::decode_register(&out.into()).is_ok(), fits, "{len}");
    }
}

#[test]
fn replies_that_do_not_fit_in_a_body_are_rejected_one_by_one() {
    let value = Bytes::from(vec![7; VALUE_BYTES_MAX]);
    let large = |id| Reply { id, done: true, body: ReplyBody::State(put(value.clone())) };
    let small = Reply { id: 9, done: false, body: ReplyBody::Accepted { next_promised: false } };
    let replies: Vec<_> = (1..=5).map(large).chain([small.clone()]).collect();
    let body = wire::encode_replies(&samples::target(), 1, &replies);
    assert!(body.len() <= BODY_BYTES_MAX);
    let answered = wire::decode_replies(body).unwrap().outcome.unwrap();
    assert_eq!(answered[..3], replies[..3]);
    for (answer, id) in answered[3..5].iter().zip([4, 5]) {
        assert_eq!(*answer, Reply { id, done: true, body: ReplyBody::Rejected(Rejection::Overloaded) });
    }
    assert_eq!(answered[5], small);
}

#[test]
fn full_history_of_one_router_stays_small() {
    let ballot = |n: u64| Ballot::new(Hlc::from_millis(1_790_000_000_000 + 150 * n), ProposerId(u64::MAX));
    let history = History::from_parts((0..63).map(ballot).collect(), Ballot::ZERO, Vec::new(), Ballot::ZERO);
    let accepted = ballot(63);
    let version = roundtable_consensus::Version { ballot: accepted, index: 0 };
    let register = Register { accepted, version, history, ..put(Bytes::new()) };
    let mut out = Vec::new();
    wire::encode_register(&register, &mut out);
    assert!(out.len() < 64 * 5, "{}", out.len());
}

#[test]
fn register_to_accept_without_its_value_is_refused() {
    let request = Request {
        id: 1,
        partition: PartitionId(0),
        done: true,
        key: Key::new("k").unwrap(),
        body: RequestBody::Accept { register: put("v".into()).without_value().into(), next: None },
    };
    let refused = wire::decode_requests(wire::encode_requests(&samples::target(), &[request])).unwrap_err();
    assert!(refused.to_string().contains("withheld"), "{refused}");
}

#[test]
fn scan_of_partitions_that_do_not_ascend_is_refused() {
    for partitions in [[PartitionId(2), PartitionId(2)], [PartitionId(2), PartitionId(1)]] {
        let scan = ScanRequest {
            partitions: partitions.into(),
            range: KeyRange::default(),
            reverse: false,
            want_values: false,
            fold: Fold::Nothing,
            limit: 1,
            bytes_max: 1,
        };
        assert!(wire::decode_scan(wire::encode_scan(&samples::target(), &scan)).is_err());
    }
}
