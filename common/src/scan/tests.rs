use std::collections::BTreeMap;

use proptest::prelude::*;
use roundtable_consensus::{Ballot, Content, Hlc, KeyRange, ProposerId, Register, Value, Version};

use super::*;

type Registers = BTreeMap<Key, Register>;

fn register(live: bool, expires_at: Option<u64>) -> Register {
    let ballot = Ballot::new(Hlc::from_millis(5), ProposerId(1));
    let content = if live { Content::Live(Value::default()) } else { Content::Tombstone };
    let version = Version { ballot, index: 0 };
    Register { accepted: ballot, version, content, expires_at, ..Register::absent(Ballot::ZERO) }
}

fn key(number: u16) -> Key {
    Key::new(format!("k{number:05}")).unwrap()
}

fn partition_of(key: &Key) -> PartitionId {
    PartitionId(u16::from(key.as_bytes().last().unwrap() % 3))
}

fn request(fold: Fold, limit: u32) -> ScanRequest {
    ScanRequest {
        partitions: (0..3).map(PartitionId).collect(),
        range: KeyRange::default(),
        reverse: false,
        want_values: false,
        fold,
        limit,
        bytes_max: 1 << 20,
    }
}

fn scan(registers: &Registers, request: &ScanRequest, rows_max: u64) -> ScanPage {
    page_of(request, registers.iter().map(|(key, held)| (partition_of(key), key, held)), rows_max)
}

fn tombstones(numbers: std::ops::Range<u16>) -> Registers {
    numbers.map(|number| (key(number), register(false, None))).collect()
}

#[test]
fn tombstones_are_folded_and_do_not_count_against_the_limit() {
    let mut registers = tombstones(0..4_000);
    registers.insert(key(4_000), register(true, None));
    registers.insert(key(4_001), register(true, None));
    let page = scan(&registers, &request(Fold::Tombstones, 1), u64::MAX);
    assert_eq!(page.entries.iter().map(|entry| &entry.key).collect::<Vec<_>>(), [&key(4_000)]);
    assert_eq!(page.end, PageEnd::Through(key(4_000)));
    assert_eq!(page.spans.iter().map(|span| span.rows).sum::<u32>(), 4_000);
    assert!(page.spans.len() < 60, "{} spans", page.spans.len());
}

#[test]
fn page_that_ends_early_accounts_for_something_and_says_how_far() {
    let registers = tombstones(0..4_000);
    let mut request = request(Fold::Tombstones, 1);
    let mut pages = 0;
    loop {
        let page = scan(&registers, &request, 1);
        pages += 1;
        let PageEnd::Through(last) = page.end else { break };
        assert!(request.range.contains(last.as_bytes()), "no progress");
        request.range.start = just_after(last.as_bytes());
    }
    assert!(pages > 4, "{pages} pages");
}

#[test]
fn count_folds_values_until_they_expire_and_says_that_each_partition_is_done() {
    let mut registers = tombstones(0..10);
    for (number, expires_at) in [(20, None), (21, Some(101)), (22, Some(100))] {
        registers.insert(key(number), register(true, expires_at));
    }
    let page = scan(&registers, &request(Fold::Settled { now_ms: 100 }, 100), u64::MAX);
    assert_eq!(page.entries.iter().map(|entry| &entry.key).collect::<Vec<_>>(), [&key(22)]);
    assert_eq!(page.spans.iter().map(|span| span.live).sum::<u32>(), 2);
    assert_eq!(page.spans.iter().filter(|span| span.end.is_none()).count(), 3);
    assert_eq!(page.end, PageEnd::Exhausted);
}

proptest! {
    /// What makes digests comparable: nodes that hold the same registers cut them at the same places, however far
    /// each of them comes and whatever other partitions it was asked for.
    #[test]
    fn spans_of_equal_replicas_are_equal_as_far_as_both_reach(
        numbers in prop::collection::btree_map(0_u16..5_000, prop::bool::weighted(0.01), 0..3_000),
        (limit_a, limit_b) in (1_u32..20, 1_u32..20),
        (rows_a, rows_b) in (1_u64..5_000, 1_u64..5_000),
        reverse: bool,
    ) {
        let registers: Registers =
            numbers.into_iter().map(|(number, live)| (key(number), register(live, None))).collect();
        let a = ScanRequest { reverse, ..request(Fold::Tombstones, limit_a) };
        let b = ScanRequest { partitions: vec![PartitionId(1)], ..ScanRequest { limit: limit_b, ..a.clone() } };
        let (a, b) = (scan(&registers, &a, rows_a), scan(&registers, &b, rows_b));
        let of_one = |page: ScanPage| page.spans.into_iter().filter(|span| span.partition == PartitionId(1));
        let pairs = of_one(a).zip(of_one(b));
        for (ours, theirs) in pairs {
            prop_assert_eq!(ours, theirs);
        }
    }
}
