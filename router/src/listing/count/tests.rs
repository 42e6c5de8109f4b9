use proptest::prelude::*;
use roundtable_common::scan::page_of;
use roundtable_consensus::{Ballot, Content, Hlc, ProposerId, Register, Value, Version};

use super::*;

const NOW_MS: u64 = 100;
const P0: PartitionId = PartitionId(0);

type Replica = BTreeMap<Key, Register>;

fn register(ms: u64, live: bool, expires_at: Option<u64>) -> Register {
    let ballot = Ballot::new(Hlc::from_millis(ms), ProposerId(1));
    let content = if live { Content::Live(Value::default()) } else { Content::Tombstone };
    let version = Version { ballot, index: 0 };
    Register {
        accepted: ballot,
        version,
        content,
        expires_at: expires_at.filter(|_| live),
        ..Register::absent(Ballot::ZERO)
    }
}

fn key(number: u16) -> Key {
    Key::new(format!("k{number:05}")).unwrap()
}

fn source(replica: &Replica, range: &KeyRange, rows_max: u64) -> Source {
    let scan = ScanRequest {
        partitions: vec![P0],
        range: range.clone(),
        reverse: false,
        want_values: false,
        fold: Fold::Settled { now_ms: NOW_MS },
        limit: 1_000,
        bytes_max: 1 << 20,
    };
    let page = page_of(&scan, replica.iter().map(|(key, held)| (P0, key, held)), rows_max);
    Source { partitions: vec![P0], page }
}

fn replicas() -> impl Strategy<Value = [Replica; 2]> {
    let held =
        (1_u64..3, any::<bool>(), prop::option::weighted(0.1, prop::sample::select(vec![50_u64, 150])));
    let common = prop::collection::btree_map(0_u16..2_000, held, 0..1_500);
    let change = (0_usize..2, 0_u16..2_000, prop::option::of((4_u64..6, any::<bool>())));
    (common, prop::collection::vec(change, 0..6)).prop_map(|(common, changes)| {
        let all: Replica = common
            .into_iter()
            .map(|(number, (ms, live, expires))| (key(number), register(ms, live, expires)))
            .collect();
        let mut replicas = [all.clone(), all];
        for (replica, number, held) in changes {
            match held {
                Some((ms, live)) => replicas[replica].insert(key(number), register(ms, live, None)),
                None => replicas[replica].remove(&key(number)),
            };
        }
        replicas
    })
}

proptest! {
    /// Every key is counted from equal spans, read, or listed: exactly once, in whatever steps.
    #[test]
    fn each_key_is_judged_once(replicas in replicas(), rows_max in (1_u64..3_000, 1_u64..3_000)) {
        let mut range = KeyRange::default();
        let (mut live, mut judged_singly) = (0, BTreeSet::new());
        let all: BTreeSet<&Key> = replicas.iter().flat_map(BTreeMap::keys).collect();
        loop {
            let sources = [source(&replicas[0], &range, rows_max.0), source(&replicas[1], &range, rows_max.1)];
            let tally = Tally::of(&sources, P0, &range);
            live += tally.live;
            for key in tally.unsettled {
                prop_assert!(judged_singly.insert(key));
            }
            for part in &tally.differing {
                for key in all.iter().filter(|key| part.contains(key.as_bytes())) {
                    prop_assert!(judged_singly.insert((*key).clone()));
                }
            }
            match tally.left {
                Some(start) => {
                    prop_assert!(start > range.start, "no progress");
                    range.start = start;
                }
                None => break,
            }
        }
        let mut expected = 0;
        for key in all {
            let held = [replicas[0].get(key), replicas[1].get(key)];
            let agree = held[0].map(|held| held.accepted) == held[1].map(|held| held.accepted);
            let is_live = held[0].is_some_and(|held| held.content.is_live() && !held.is_expired(NOW_MS));
            let is_expired = held.iter().flatten().any(|held| held.is_expired(NOW_MS));
            if !agree || is_expired {
                prop_assert!(judged_singly.contains(key), "{key} was not judged by itself");
            }
            expected += u64::from(is_live && agree && !judged_singly.contains(key));
        }
        prop_assert_eq!(live, expected);
    }
}

#[test]
fn equal_replicas_are_counted_without_looking_at_a_key() {
    let replica: Replica =
        (0..3_000).map(|number| (key(number), register(1, number % 3 != 0, None))).collect();
    let range = KeyRange::default();
    let sources = [source(&replica, &range, u64::MAX), source(&replica, &range, u64::MAX)];
    assert_eq!(Tally::of(&sources, P0, &range), Tally { live: 2_000, ..Tally::default() });
}
