//! Arbitrary values of everything that travels.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use roundtable_common::wire::{Refused, Target};
use roundtable_consensus::{
    Ballot, ClusterId, Content, ContentType, Epoch, Fold, History, Hlc, Key, KeyRange, NodeId, OpId,
    OpRecord, Outcome, PageEnd, PartitionId, ProposerId, Register, Rejection, Reply, ReplyBody, Request,
    RequestBody, ScanEntry, ScanPage, ScanRequest, Span, StorageId, Value, Version,
};

/// Mostly ballots as they occur (near in time, few proposers), sometimes anything.
pub(crate) fn ballot() -> impl Strategy<Value = Ballot> {
    let usual = (0u64..20_000, 0u64..4).prop_map(|(ms, proposer)| {
        Ballot::new(Hlc::from_millis(1_790_000_000_000 + ms), ProposerId(0xabcd_0000 + proposer))
    });
    let any = (any::<u64>(), any::<u64>()).prop_map(|(h, p)| Ballot::new(Hlc(h), ProposerId(p)));
    prop_oneof![4 => usual, 1 => any, 1 => Just(Ballot::ZERO), 1 => Just(Ballot::MAX)]
}

pub(crate) fn version() -> impl Strategy<Value = Version> {
    (ballot(), prop_oneof![0u32..3, any::<u32>()]).prop_map(|(ballot, index)| Version { ballot, index })
}

fn blob(max: usize) -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..max).prop_map(Bytes::from)
}

pub(crate) fn key() -> impl Strategy<Value = Key> {
    vec(any::<u8>(), 1..40).prop_map(|bytes| Key::new(bytes).unwrap())
}

fn content() -> impl Strategy<Value = Content> {
    let live = (blob(300), blob(30)).prop_map(|(bytes, media)| {
        Content::Live(Value { bytes, content_type: ContentType::new(media).unwrap() })
    });
    let withheld = any::<u32>().prop_map(|value_bytes| Content::Withheld { value_bytes });
    prop_oneof![Just(Content::Tombstone), live, withheld]
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        version().prop_map(Outcome::Created),
        version().prop_map(Outcome::Replaced),
        version().prop_map(Outcome::Deleted),
        (version(), any::<i64>()).prop_map(|(version, value)| Outcome::Incremented { version, value }),
        version().prop_map(Outcome::Touched),
        option::of(version()).prop_map(|current| Outcome::PreconditionFailed { current }),
        Just(Outcome::NotFound),
        Just(Outcome::NotACounter),
        Just(Outcome::CounterOverflow),
    ]
}

fn op_record() -> impl Strategy<Value = OpRecord> {
    (any::<u128>(), any::<u64>(), ballot(), outcome()).prop_map(|(id, fingerprint, recorded, outcome)| {
        OpRecord { id: OpId(id), fingerprint, recorded, outcome }
    })
}

fn history() -> impl Strategy<Value = History> {
    let full = (vec(ballot(), 0..70), ballot(), vec(op_record(), 0..10), ballot()).prop_map(
        |(rounds, rounds_floor, ops, ops_floor)| History::from_parts(rounds, rounds_floor, ops, ops_floor),
    );
    prop_oneof![Just(History::default()), ballot().prop_map(History::with_floor), full]
}

pub(crate) fn register() -> impl Strategy<Value = Register> {
    (ballot(), option::of(version()), any::<u32>(), content(), option::of(any::<u64>()), history()).prop_map(
        |(accepted, version, lag_ms, content, expires_at, history)| {
            let version = version.unwrap_or(Version { ballot: accepted, index: 1 });
            Register { accepted, version, lag_ms, content, expires_at, history }
        },
    )
}

fn whole_register() -> impl Strategy<Value = Register> {
    register().prop_map(|register| match register.content {
        Content::Withheld { .. } => Register { content: Content::Tombstone, ..register },
        Content::Tombstone | Content::Live(_) => register,
    })
}

pub(crate) fn node_id() -> impl Strategy<Value = NodeId> {
    "[a-z0-9][a-z0-9._-]{0,62}".prop_map(|text| text.parse().unwrap())
}

pub(crate) fn target() -> impl Strategy<Value = Target> {
    (any::<u128>(), node_id(), any::<u128>(), any::<u64>()).prop_map(|(cluster, node, storage, epoch)| {
        Target { cluster: ClusterId(cluster), node, storage: StorageId(storage), epoch: Epoch(epoch) }
    })
}

fn request_body() -> impl Strategy<Value = RequestBody> {
    prop_oneof![
        (ballot(), any::<bool>(), any::<bool>())
            .prop_map(|(ballot, want_value, grows)| RequestBody::Prepare { ballot, want_value, grows }),
        (whole_register(), any::<Option<u64>>()).prop_map(|(register, next)| RequestBody::Accept {
            register: register.into(),
            next: next.map(Hlc)
        }),
        any::<bool>().prop_map(|want_value| RequestBody::Read { want_value }),
        ballot().prop_map(|accepted| RequestBody::Fetch { accepted }),
    ]
}

pub(crate) fn requests() -> impl Strategy<Value = Vec<Request>> {
    let request = (any::<u64>(), any::<u16>(), any::<bool>(), key(), request_body()).prop_map(
        |(id, partition, done, key, body)| Request { id, partition: PartitionId(partition), done, key, body },
    );
    vec(request, 0..8)
}

fn rejection() -> impl Strategy<Value = Rejection> {
    prop_oneof![
        ballot().prop_map(Rejection::Outbid),
        any::<u64>().prop_map(|limit_ms| Rejection::ClockSkew { limit_ms }),
        Just(Rejection::DiskReserve),
        Just(Rejection::Overloaded),
        Just(Rejection::NotReady),
        any::<u64>().prop_map(|epoch| Rejection::NotMine(Epoch(epoch))),
    ]
}

fn reply_body() -> impl Strategy<Value = ReplyBody> {
    prop_oneof![
        register().prop_map(ReplyBody::Promised),
        any::<bool>().prop_map(|next_promised| ReplyBody::Accepted { next_promised }),
        register().prop_map(ReplyBody::State),
        option::of(register()).prop_map(ReplyBody::Fetched),
        rejection().prop_map(ReplyBody::Rejected),
    ]
}

pub(crate) fn replies() -> impl Strategy<Value = Vec<Reply>> {
    let reply =
        (any::<u64>(), any::<bool>(), reply_body()).prop_map(|(id, done, body)| Reply { id, done, body });
    vec(reply, 0..8)
}

pub(crate) fn refused() -> impl Strategy<Value = Refused> {
    let text = "\\PC{0,80}";
    prop_oneof![
        any::<u128>().prop_map(|mine| Refused::WrongCluster { mine: ClusterId(mine) }),
        node_id().prop_map(|mine| Refused::WrongNode { mine }),
        any::<u128>().prop_map(|mine| Refused::WrongStorage { mine: StorageId(mine) }),
        any::<u64>().prop_map(|mine| Refused::WrongEpoch { mine: Epoch(mine) }),
        text.prop_map(|reason| Refused::NotAdopted { reason }),
        text.prop_map(|reason| Refused::NotReady { reason }),
        text.prop_map(|detail| Refused::Malformed { detail }),
        Just(Refused::Overloaded),
    ]
}

pub(crate) fn scan() -> impl Strategy<Value = ScanRequest> {
    let partitions = proptest::collection::btree_set(any::<u16>(), 0..20)
        .prop_map(|numbers| numbers.into_iter().map(PartitionId).collect());
    let range = (blob(20), option::of(blob(20))).prop_map(|(start, end)| KeyRange { start, end });
    let fold = prop_oneof![
        Just(Fold::Nothing),
        Just(Fold::Tombstones),
        any::<u64>().prop_map(|now_ms| Fold::Settled { now_ms }),
    ];
    (partitions, range, any::<bool>(), any::<bool>(), fold, any::<u32>(), any::<u32>()).prop_map(
        |(partitions, range, reverse, want_values, fold, limit, bytes_max)| ScanRequest {
            partitions,
            range,
            reverse,
            want_values,
            fold,
            limit,
            bytes_max,
        },
    )
}

pub(crate) fn page() -> impl Strategy<Value = ScanPage> {
    let entry = (any::<u16>(), key(), register()).prop_map(|(partition, key, register)| ScanEntry {
        partition: PartitionId(partition),
        key,
        register,
    });
    let end = option::of(key()).prop_map(|through| through.map_or(PageEnd::Exhausted, PageEnd::Through));
    let span = (any::<u16>(), option::of(blob(20)), any::<u32>(), any::<u32>(), any::<u128>()).prop_map(
        |(partition, end, rows, live, digest)| Span {
            partition: PartitionId(partition),
            end,
            rows,
            live,
            digest,
        },
    );
    (vec(entry, 0..8), vec(span, 0..8), end).prop_map(|(entries, spans, end)| ScanPage {
        entries,
        spans,
        end,
    })
}
