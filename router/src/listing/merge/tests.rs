use proptest::prelude::*;
use roundtable_consensus::{Ballot, Hlc, ProposerId, Value, Version};

use super::*;

const NOW_MS: u64 = 100;
const P0: PartitionId = PartitionId(0);

/// What a replica holds of a key: the ballot's milliseconds, whether it is live, and when it ends.
type Held = (u64, bool, Option<u64>);

fn register((ms, live, expires_at): Held) -> Register {
    let ballot = Ballot::new(Hlc::from_millis(ms), ProposerId(1));
    let content = if live { Content::Live(Value::default()) } else { Content::Tombstone };
    let expires_at = expires_at.filter(|_| live);
    Register {
        accepted: ballot,
        version: Version { ballot, index: 0 },
        content,
        expires_at,
        ..Register::absent(Ballot::ZERO)
    }
}

fn entry(key: &str, held: Held) -> ScanEntry {
    ScanEntry { partition: P0, key: Key::new(key.to_owned()).unwrap(), register: register(held) }
}

fn source(entries: Vec<ScanEntry>, end: PageEnd) -> Source {
    Source { partitions: vec![P0], page: ScanPage { entries, spans: Vec::new(), end } }
}

fn told(merged: &Merged) -> Vec<(String, bool)> {
    let is_settled = |verdict: &Verdict| matches!(verdict, Verdict::Settled(_));
    merged.keys.iter().map(|found| (found.key.to_string(), is_settled(&found.verdict))).collect()
}

#[test]
fn agreeing_reports_settle_and_differing_ones_ask_for_a_read() {
    let live = (5, true, None);
    let table: [(&[Option<Held>; 2], Option<bool>); 8] = [
        (&[Some(live), Some(live)], Some(true)),
        (&[Some((5, false, None)), Some((5, false, None))], None),
        (&[Some(live), Some((6, true, None))], Some(false)),
        (&[Some(live), None], Some(false)),
        (&[Some((5, false, None)), None], Some(false)),
        (&[Some((5, false, None)), Some((6, false, None))], Some(false)),
        (&[Some((5, true, Some(100))), Some((5, true, Some(100)))], Some(false)),
        (&[Some((5, true, Some(101))), Some((5, true, Some(101)))], Some(true)),
    ];
    for (reports, settled) in table {
        let sources = reports
            .iter()
            .map(|held| source(held.map(|h| entry("k", h)).into_iter().collect(), PageEnd::Exhausted));
        let expected: Vec<(String, bool)> = settled.map(|is| ("k".to_owned(), is)).into_iter().collect();
        assert_eq!(told(&merge(sources.collect(), false, NOW_MS)), expected, "{reports:?}");
    }
}

#[test]
fn keys_beyond_the_smallest_end_wait_for_the_next_page() {
    let held = (5, true, None);
    let through = |key: &str| PageEnd::Through(Key::new(key.to_owned()).unwrap());
    let long = source(vec![entry("a", held), entry("c", held)], through("c"));
    let short = source(vec![entry("a", held), entry("b", held)], through("b"));
    let merged = merge(vec![long, short], false, NOW_MS);
    assert_eq!(told(&merged), [("a".to_owned(), true), ("b".to_owned(), false)]);
    assert_eq!(merged.end, through("b"));
    let long = source(vec![entry("d", held), entry("b", held)], through("b"));
    let short = source(vec![entry("d", held), entry("c", held)], through("c"));
    let merged = merge(vec![long, short], true, NOW_MS);
    assert_eq!(told(&merged), [("d".to_owned(), true), ("c".to_owned(), false)]);
}

#[test]
fn entries_that_nobody_asked_for_are_ignored() {
    let mut stray = entry("k", (5, true, None));
    stray.partition = PartitionId(9);
    let merged = merge(vec![source(vec![stray], PageEnd::Exhausted)], false, NOW_MS);
    assert_eq!(told(&merged), []);
}

#[test]
fn the_fullest_report_is_taken() {
    let bare =
        ScanEntry { register: register((5, true, None)).without_value(), ..entry("k", (5, true, None)) };
    let full = source(vec![entry("k", (5, true, None))], PageEnd::Exhausted);
    for order in [[0, 1], [1, 0]] {
        let both = [source(vec![bare.clone()], PageEnd::Exhausted), full.clone()];
        let merged = merge(order.map(|place: usize| both[place].clone()).into(), false, NOW_MS);
        let Verdict::Settled(found) = &merged.keys[0].verdict else { panic!("unsettled") };
        assert!(found.content.value().is_some());
    }
}

/// One replica's keys, as letters, in its two partitions.
type Replica = BTreeMap<u8, Held>;

fn replica() -> impl Strategy<Value = Replica> {
    prop::collection::btree_map(
        b'a'..b'm',
        (1_u64..4, any::<bool>(), prop::option::of(prop::sample::select(vec![50_u64, 150]))),
        0..10,
    )
}

fn partition_of(letter: u8) -> PartitionId {
    PartitionId(u16::from(letter % 2))
}

/// What a node answers to a scan of `partitions` in the keys not yet told.
fn scan(
    replica: &Replica,
    partitions: &[PartitionId],
    told: Option<u8>,
    reverse: bool,
    limit: usize,
) -> ScanPage {
    let left = |letter: &u8| told.is_none_or(|last| if reverse { *letter < last } else { *letter > last });
    let mut letters: Vec<u8> =
        replica.keys().copied().filter(left).filter(|l| partitions.contains(&partition_of(*l))).collect();
    if reverse {
        letters.reverse();
    }
    let is_whole = letters.len() <= limit;
    letters.truncate(limit);
    let key = |letter: u8| Key::new(vec![letter]).unwrap();
    let end = match letters.last() {
        Some(last) if !is_whole => PageEnd::Through(key(*last)),
        _ => PageEnd::Exhausted,
    };
    let entries = letters
        .iter()
        .map(|l| ScanEntry { partition: partition_of(*l), key: key(*l), register: register(replica[l]) })
        .collect();
    ScanPage { entries, spans: Vec::new(), end }
}

/// The rule for one key, told directly from what all its asked replicas hold.
fn oracle(replicas: [&Replica; 2], letter: u8) -> Option<(u8, bool)> {
    let reports: Vec<Option<&Held>> = replicas.iter().map(|replica| replica.get(&letter)).collect();
    match reports[..] {
        [None, None] => None,
        [Some(a), Some(b)] if a.0 == b.0 => {
            let ended = [a, b].iter().any(|held| held.1 && held.2.is_some_and(|end| end <= NOW_MS));
            if ended { Some((letter, false)) } else { (a.1 || b.1).then_some((letter, true)) }
        }
        _ => Some((letter, false)),
    }
}

proptest! {
    /// Partition 0 is asked of replicas A and B, partition 1 of B and C, with pages of any sizes.
    #[test]
    fn pages_of_any_size_tell_the_same_as_the_whole(
        (a, b, c) in (replica(), replica(), replica()),
        limits in (1_usize..5, 1_usize..5, 1_usize..5),
        reverse: bool,
    ) {
        let asks: [(&Replica, Vec<PartitionId>, usize); 3] = [
            (&a, vec![PartitionId(0)], limits.0),
            (&b, vec![PartitionId(0), PartitionId(1)], limits.1),
            (&c, vec![PartitionId(1)], limits.2),
        ];
        let mut found = Vec::new();
        let mut last = None;
        loop {
            let sources = asks.iter().map(|(replica, partitions, limit)| Source {
                partitions: partitions.clone(),
                page: scan(replica, partitions, last, reverse, *limit),
            });
            let merged = merge(sources.collect(), reverse, NOW_MS);
            found.extend(merged.keys.iter().map(|k| (k.key.as_bytes()[0], matches!(k.verdict, Verdict::Settled(_)))));
            match merged.end {
                PageEnd::Exhausted => break,
                PageEnd::Through(key) => last = Some(key.as_bytes()[0]),
            }
        }
        let mut expected: Vec<(u8, bool)> = (b'a'..b'm')
            .filter_map(|letter| {
                let pair = if partition_of(letter) == PartitionId(0) { [&a, &b] } else { [&b, &c] };
                oracle(pair, letter)
            })
            .collect();
        if reverse {
            expected.reverse();
        }
        prop_assert_eq!(found, expected);
    }
}
