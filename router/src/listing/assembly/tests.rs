use proptest::prelude::*;
use roundtable_common::scan::page_of;
use roundtable_consensus::{Ballot, Content, Fold, Hlc, ProposerId, Register, ScanRequest, Value, Version};

use super::*;
use crate::listing::merge::Verdict;
use crate::listing::request::advance;

const NOW_MS: u64 = 100;

/// A replica's registers by key.
type Replica = BTreeMap<Key, Register>;

fn register(ms: u64, live: bool) -> Register {
    let ballot = Ballot::new(Hlc::from_millis(ms), ProposerId(1));
    let content = if live { Content::Live(Value::default()) } else { Content::Tombstone };
    Register {
        accepted: ballot,
        version: Version { ballot, index: 0 },
        content,
        ..Register::absent(Ballot::ZERO)
    }
}

fn key(number: u16) -> Key {
    Key::new(format!("k{number:05}")).unwrap()
}

fn partition_of(key: &Key) -> PartitionId {
    PartitionId(u16::from(key.as_bytes().last().unwrap() % 2))
}

/// Partition 0 is asked of replicas A and B, partition 1 of B and C.
fn asks() -> [(usize, Vec<PartitionId>); 3] {
    [(0, vec![PartitionId(0)]), (1, vec![PartitionId(0), PartitionId(1)]), (2, vec![PartitionId(1)])]
}

/// One request of a listing: what is asked of all of them.
struct Listing<'a> {
    replicas: &'a [Replica; 3],
    reverse: bool,
    limit: u32,
    /// Rows after which each replica ends its page.
    rows_max: [u64; 3],
    rows_asked: u64,
}

impl Listing<'_> {
    fn sources(&mut self, range: &KeyRange, fold: Fold, only: Option<&[PartitionId]>) -> Vec<Source> {
        let mut sources = Vec::new();
        for (replica, mut partitions) in asks() {
            partitions.retain(|partition| only.is_none_or(|only| only.contains(partition)));
            let scan = ScanRequest {
                partitions: partitions.clone(),
                range: range.clone(),
                reverse: self.reverse,
                want_values: false,
                fold,
                limit: if fold == Fold::Nothing { 16 } else { self.limit },
                bytes_max: 1 << 20,
            };
            let registers = self.replicas[replica].iter().map(|(key, held)| (partition_of(key), key, held));
            let page = page_of(&scan, registers, self.rows_max[replica]);
            self.rows_asked += page.entries.len() as u64;
            sources.push(Source { partitions, page });
        }
        sources
    }

    /// All keys, each with whether it is settled, and the number of pages that it took.
    fn run(&mut self) -> (Vec<(Key, bool)>, usize) {
        let (mut found, mut pages) = (Vec::new(), 0);
        let mut range = KeyRange::default();
        loop {
            let sources = self.sources(&range, Fold::Tombstones, None);
            let keys_max = self.limit as usize;
            let mut assembly = Assembly::new(sources, &range, self.reverse, NOW_MS, keys_max, |_| true);
            if let Some(closer) = assembly.closer().cloned() {
                let sources = self.sources(&closer.range, Fold::Nothing, Some(&closer.partitions));
                assembly.look_closer(sources, NOW_MS, |_| true);
            }
            pages += 1;
            let Merged { keys, end } = assembly.into_merged();
            found.extend(
                keys.into_iter().map(|found| (found.key, matches!(found.verdict, Verdict::Settled(_)))),
            );
            match end {
                PageEnd::Exhausted => return (found, pages),
                PageEnd::Through(last) => {
                    assert!(range.contains(last.as_bytes()), "no progress at {last}");
                    advance(&mut range, &last, self.reverse);
                }
            }
        }
    }
}

/// The rule for one key, from what both replicas that are asked for it hold.
fn rule(reports: [Option<&Register>; 2]) -> Option<bool> {
    match reports {
        [None, None] => None,
        [Some(a), Some(b)] if a.accepted == b.accepted => a.content.is_live().then_some(true),
        _ => Some(false),
    }
}

fn expected(replicas: &[Replica; 3], reverse: bool) -> Vec<(Key, bool)> {
    let keys: std::collections::BTreeSet<&Key> = replicas.iter().flat_map(BTreeMap::keys).collect();
    let mut expected: Vec<(Key, bool)> = keys
        .into_iter()
        .filter_map(|key| {
            let first = usize::from(partition_of(key).0);
            rule([replicas[first].get(key), replicas[first + 1].get(key)])
                .map(|settled| (key.clone(), settled))
        })
        .collect();
    if reverse {
        expected.reverse();
    }
    expected
}

/// Many registers, mostly tombstones that all replicas have, with some that a replica lacks or has in another round.
fn replicas() -> impl Strategy<Value = [Replica; 3]> {
    let common = prop::collection::btree_map(0_u16..2_000, (1_u64..4, prop::bool::weighted(0.02)), 0..1_500);
    let change = (0_usize..3, 0_u16..2_000, prop::option::of((4_u64..6, any::<bool>())));
    (common, prop::collection::vec(change, 0..6)).prop_map(|(common, changes)| {
        let all: Replica =
            common.into_iter().map(|(number, (ms, live))| (key(number), register(ms, live))).collect();
        let mut replicas = [all.clone(), all.clone(), all];
        for (replica, number, held) in changes {
            match held {
                Some((ms, live)) => replicas[replica].insert(key(number), register(ms, live)),
                None => replicas[replica].remove(&key(number)),
            };
        }
        replicas
    })
}

proptest! {
    /// Folding never hides that a replica lacks a tombstone, or has another one (DESIGN: absent is not deleted).
    #[test]
    fn folded_pages_of_any_size_show_the_same_as_every_single_register(
        replicas in replicas(),
        limit in 1_u32..20,
        rows_max in prop::array::uniform3(1_u64..3_000),
        reverse: bool,
    ) {
        let mut listing = Listing { replicas: &replicas, reverse, limit, rows_max, rows_asked: 0 };
        prop_assert_eq!(listing.run().0, expected(&replicas, reverse));
    }
}

fn queue(deleted: u16, live: u16) -> Replica {
    (0..deleted + live).map(|number| (key(number), register(1, number >= deleted))).collect()
}

#[test]
fn tombstones_that_all_hold_are_passed_in_one_page_without_an_entry() {
    for reverse in [false, true] {
        let replica: Replica = if reverse {
            (0..6_000).map(|number| (key(number), register(1, number < 10))).collect()
        } else {
            queue(5_990, 10)
        };
        let replicas = [replica.clone(), replica.clone(), replica];
        let mut listing =
            Listing { replicas: &replicas, reverse, limit: 1, rows_max: [u64::MAX; 3], rows_asked: 0 };
        let sources = listing.sources(&KeyRange::default(), Fold::Tombstones, None);
        let assembly = Assembly::new(sources, &KeyRange::default(), reverse, NOW_MS, 1, |_| true);
        assert_eq!(assembly.closer(), None);
        let first = if reverse { key(9) } else { key(5_990) };
        let Merged { keys, end } = assembly.into_merged();
        assert_eq!((&keys[0].key, keys.len(), end), (&first, 1, PageEnd::Through(first.clone())));
        assert!(listing.rows_asked <= 4, "{} entries", listing.rows_asked);
    }
}

#[test]
fn one_missing_tombstone_is_found_among_few_registers() {
    let whole = queue(5_990, 10);
    let mut lacking = whole.clone();
    lacking.remove(&key(3_000));
    let replicas = [whole.clone(), lacking, whole];
    let mut listing =
        Listing { replicas: &replicas, reverse: false, limit: 100, rows_max: [u64::MAX; 3], rows_asked: 0 };
    let sources = listing.sources(&KeyRange::default(), Fold::Tombstones, None);
    let assembly = Assembly::new(sources, &KeyRange::default(), false, NOW_MS, 100, |_| true);
    let closer = assembly.closer().unwrap();
    assert_eq!(closer.partitions, [partition_of(&key(3_000))]);
    assert!(closer.range.contains(key(3_000).as_bytes()));
    let (found, _) = listing.run();
    assert!(found.contains(&(key(3_000), false)));
    assert!(listing.rows_asked < 2 * 2_200, "{} entries", listing.rows_asked);
}
