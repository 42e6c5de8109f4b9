//! One example of each body, with every kind of field in use. The golden test pins their bytes.

use bytes::Bytes;
use roundtable_common::wire::{self, Refused, Target};
use roundtable_consensus::{
    Adopted, Ballot, ClusterId, Configuration, ConfigurationDigest, Content, ContentType, DiskShortage,
    Epoch, Fold, Hello, History, Hlc, Key, KeyRange, Member, OpId, OpRecord, Outcome, PageEnd, PartitionId,
    ProposerId, Register, Rejection, Reply, ReplyBody, Request, RequestBody, ScanEntry, ScanPage,
    ScanRequest, Span, StorageId, Value, Version,
};

const NODE_MS: u64 = 1_790_000_000_123;

/// The samples by name.
pub(crate) fn all() -> Vec<(&'static str, Bytes)> {
    vec![
        ("requests", wire::encode_requests(&target(), &requests())),
        ("replies", wire::encode_replies(&target(), NODE_MS, &replies())),
        (
            "refusal",
            wire::encode_refusal(&target(), NODE_MS, &Refused::NotReady { reason: "starting".into() }),
        ),
        ("scan", wire::encode_scan(&target(), &scan())),
        ("page", wire::encode_page(&target(), NODE_MS, &page())),
        ("hello", wire::encode_hello(&hello())),
        ("adopted", wire::encode_adopted(&adopted())),
        ("register", register_bytes()),
    ]
}

/// Whether the decoder of the named body refuses these bytes.
pub(crate) fn is_refused(name: &str, body: Bytes) -> bool {
    match name {
        "requests" => wire::decode_requests(body).is_err(),
        "replies" | "refusal" => wire::decode_replies(body).is_err(),
        "scan" => wire::decode_scan(body).is_err(),
        "page" => wire::decode_page(body).is_err(),
        "hello" => wire::decode_hello(body).is_err(),
        "adopted" => wire::decode_adopted(body).is_err(),
        "register" => wire::decode_register(&body).is_err(),
        other => panic!("no body is called {other}"),
    }
}

pub(crate) fn target() -> Target {
    Target {
        cluster: ClusterId(0xc0ff_ee00_0000_0000_0000_0000_0000_0001),
        node: "n1".parse().unwrap(),
        storage: StorageId(0x5707_a6e0_0000_0000_0000_0000_0000_0002),
        epoch: Epoch(7),
    }
}

fn ballot(ms: u64, proposer: u64) -> Ballot {
    Ballot::new(Hlc::from_millis(1_790_000_000_000 + ms), ProposerId(proposer))
}

fn key(text: &'static str) -> Key {
    Key::new(text).unwrap()
}

fn live(bytes: &'static str, content_type: &'static str) -> Content {
    let content_type = ContentType::new(content_type).unwrap();
    Content::Live(Value { bytes: bytes.into(), content_type })
}

/// A register with all that a register can have.
fn register() -> Register {
    let version = Version { ballot: ballot(90, 0x11), index: 2 };
    let op = |id, outcome| OpRecord { id: OpId(id), fingerprint: 0xf1, recorded: ballot(80, 0x22), outcome };
    let ops = vec![
        op(1, Outcome::Created(version)),
        op(2, Outcome::Replaced(version)),
        op(3, Outcome::Deleted(version)),
        op(4, Outcome::Incremented { version, value: -5 }),
        op(5, Outcome::Touched(version)),
        op(6, Outcome::PreconditionFailed { current: Some(version) }),
        op(7, Outcome::PreconditionFailed { current: None }),
        op(8, Outcome::NotFound),
        op(9, Outcome::NotACounter),
        op(10, Outcome::CounterOverflow),
    ];
    let rounds = vec![ballot(50, 0x11), ballot(70, 0x22)];
    Register {
        accepted: ballot(100, 0x11),
        version,
        lag_ms: 0x0203,
        content: live("value", "text/plain"),
        expires_at: Some(1_790_000_060_000),
        history: History::from_parts(rounds, ballot(40, 0x33), ops, Ballot::ZERO),
    }
}

/// A register as most are: one change, nothing carried forward, no history.
fn plain() -> Register {
    let accepted = ballot(100, 0x11);
    let version = Version { ballot: accepted, index: 0 };
    Register { accepted, version, content: live("v", ""), ..Register::absent(Ballot::ZERO) }
}

fn register_bytes() -> Bytes {
    let mut out = Vec::new();
    wire::encode_register(&register(), &mut out);
    out.into()
}

fn requests() -> Vec<Request> {
    let bodies = [
        RequestBody::Prepare { ballot: ballot(100, 0x11), want_value: true, grows: true },
        RequestBody::Accept { register: plain().into(), next: Some(Hlc(0x0102_0304_0506_0708)) },
        RequestBody::Read { want_value: false },
        RequestBody::Fetch { accepted: ballot(90, 0x22) },
    ];
    let request =
        |(id, body)| Request { id, partition: PartitionId(258), done: id % 2 == 1, key: key("key"), body };
    (1..).zip(bodies).map(request).collect()
}

fn replies() -> Vec<Reply> {
    let bodies = [
        ReplyBody::Promised(register().without_value()),
        ReplyBody::Accepted { next_promised: true },
        ReplyBody::State(Register::absent(Ballot::ZERO)),
        ReplyBody::Fetched(Some(plain())),
        ReplyBody::Fetched(None),
        ReplyBody::Rejected(Rejection::Outbid(ballot(101, 0x22))),
        ReplyBody::Rejected(Rejection::ClockSkew { limit_ms: NODE_MS + 5_000 }),
        ReplyBody::Rejected(Rejection::DiskReserve),
        ReplyBody::Rejected(Rejection::Overloaded),
        ReplyBody::Rejected(Rejection::NotReady),
        ReplyBody::Rejected(Rejection::NotMine(Epoch(8))),
    ];
    (1..).zip(bodies).map(|(id, body)| Reply { id, done: id % 2 == 1, body }).collect()
}

fn scan() -> ScanRequest {
    ScanRequest {
        partitions: vec![PartitionId(3), PartitionId(258)],
        range: KeyRange { start: "a".into(), end: Some("b".into()) },
        reverse: true,
        want_values: true,
        fold: Fold::Settled { now_ms: NODE_MS },
        limit: 100,
        bytes_max: 1 << 20,
    }
}

fn page() -> ScanPage {
    let entry = ScanEntry { partition: PartitionId(258), key: key("ab"), register: plain() };
    let span = |end: Option<&'static str>, rows| Span {
        partition: PartitionId(258),
        end: end.map(Into::into),
        rows,
        live: 1,
        digest: 0xd16e_5700_0000_0000_0000_0000_0000_0004,
    };
    let spans = vec![span(Some("aa"), 2), span(None, 3)];
    ScanPage { entries: vec![entry], spans, end: PageEnd::Through(key("ab")) }
}

fn adopted() -> Adopted {
    let member = |id: &str, zone: Option<&str>, weight| Member {
        id: id.parse().unwrap(),
        address: format!("{id}.example:7411"),
        zone: zone.map(Into::into),
        weight,
    };
    let nodes = vec![member("n1", Some("east"), 1), member("n2", None, 2)];
    let configuration = Configuration { epoch: Epoch(7), replication_factor: 2, partitions: 256, nodes };
    let storage = configuration.ids().cloned().zip((0xd1..).map(StorageId)).collect();
    Adopted::first(configuration, storage)
}

fn hello() -> Hello {
    Hello {
        node: "n1".parse().unwrap(),
        storage: StorageId(0xd1),
        file_epoch: Epoch(8),
        file_digest: ConfigurationDigest(0xd16e_5700_0000_0000_0000_0000_0000_0003),
        bound: Some(adopted().cluster),
        adopted: Some(adopted()),
        node_ms: NODE_MS,
        ready: false,
        reason: "starting".into(),
        shortage: Some(DiskShortage {
            free_bytes: 12 << 20,
            reserve_bytes: 1 << 30,
            directory: "/data".into(),
        }),
    }
}
