//! The store: what is committed is read back, now and after opening again.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use roundtable_common::scan::page_of;
use roundtable_consensus::{
    Adopted, Ballot, Fold, Hlc, Key, KeyRange, PageEnd, PartitionId, ProposerId, Register, ScanPage,
    ScanRequest, StorageId,
};
use roundtable_node::store::{JournalError, OpenError, Store, StoreError, StoreOptions};

use crate::support::{
    commit, configuration, key, next_ballot, open, register, store_options, tombstone, try_open, value_of,
};

fn scan_request(partitions: &[u16], limit: u32) -> ScanRequest {
    ScanRequest {
        partitions: partitions.iter().copied().map(PartitionId).collect(),
        range: KeyRange::default(),
        reverse: false,
        want_values: true,
        fold: Fold::Nothing,
        limit,
        bytes_max: 1 << 20,
    }
}

fn keys_of(store: &Store, request: &ScanRequest) -> (Vec<String>, PageEnd) {
    let page = store.scan(request).unwrap().page;
    (page.entries.iter().map(|entry| entry.key.to_string()).collect(), page.end)
}

/// Rows of a column family, counted behind the store's back.
fn rows_in(path: &std::path::Path, family: &str) -> usize {
    let families = ["default", "registers", "values", "log", "meta"];
    let options = rocksdb::Options::default();
    let db = rocksdb::DB::open_cf_for_read_only(&options, path.join("db"), families, false).unwrap();
    let family = db.cf_handle(family).unwrap();
    db.iterator_cf(family, rocksdb::IteratorMode::Start).count()
}

#[test]
fn registers_committed_are_read_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let (short, long, gone) = (key("short"), key("long"), key("gone"));
    let long_value = vec![b'x'; 100_000];
    let written =
        [register(next_ballot(), "v"), register(next_ballot(), long_value.clone()), tombstone(next_ballot())];
    for (key, register) in [&short, &long, &gone].into_iter().zip(&written) {
        commit(&store, 3, key, register, false);
    }
    drop(store);
    let store = open(dir.path());
    let partition = PartitionId(3);
    let absent = key("absent");
    let mut heads = store.read_heads(&[
        (partition, &short),
        (partition, &long),
        (partition, &gone),
        (partition, &absent),
    ]);
    assert!(heads.pop().unwrap().unwrap().is_none());
    let heads: Vec<_> = heads.into_iter().map(|head| head.unwrap().unwrap()).collect();
    assert_eq!(heads[0].register, written[0]);
    assert_eq!(heads[1].register, written[1].without_value(), "a head comes without its spilled value");
    assert!(heads[1].spilled);
    assert_eq!(heads[2].register, written[2]);
    assert_eq!(heads.iter().map(|head| head.seq).collect::<Vec<_>>(), [1, 2, 3]);
    let whole = store.read_value(partition, &long, heads[1].register.clone()).unwrap();
    assert_eq!(value_of(&whole), long_value);
}

/// The smallest cache, so that a test's few megabytes don't fit.
fn small_cache() -> StoreOptions {
    StoreOptions { block_cache_bytes: 64 << 10, ..store_options() }
}

#[test]
fn register_that_is_not_in_memory_is_never_taken_for_another_or_none() {
    // RocksDB answers "found", with nothing, for a key that it would have to look up on the disk.
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    // Values that don't compress: RocksDB reads the whole of a small file when it opens it.
    let mut random = 1_u64;
    let mut value = || -> Vec<u8> {
        let mut next = || {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            random.to_le_bytes()
        };
        (0..250).flat_map(|_| next()).skip(3).collect()
    };
    let written: Vec<_> =
        (0..2_000).map(|number| (key(&format!("k{number}")), register(next_ballot(), value()))).collect();
    for (key, register) in &written {
        commit(&store, 3, key, register, false);
    }
    store.flush().unwrap();
    drop(store);
    for (options, fits) in [(store_options(), true), (small_cache(), false)] {
        let store = Store::open(dir.path(), &options).unwrap();
        let mut cold = 0;
        for (key, register) in &written {
            let keys = [(PartitionId(3), key)];
            for warm in [false, true] {
                match store.cached_heads(&keys).pop().unwrap() {
                    None => cold += 1,
                    Some(head) => {
                        let row = head.unwrap().unwrap();
                        assert_eq!(row.register, *register, "{key}, warm: {warm}");
                    }
                }
                assert_eq!(store.read_heads(&keys).pop().unwrap().unwrap().unwrap().register, *register);
            }
        }
        assert!(cold > 0, "nothing was ever read from the disk");
        assert!(!fits || cold < 2_000, "nothing ever stayed in memory");
        let absent = key("never written");
        let found = store.cached_heads(&[(PartitionId(3), &absent)]);
        assert!(matches!(found[..], [None | Some(Ok(None))]));
    }
}

#[test]
fn spilled_value_overwritten_by_a_short_one_or_a_tombstone_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    for replacement in [register(next_ballot(), "short"), tombstone(next_ballot())] {
        let store = open(dir.path());
        let key = key("k");
        let lower = Ballot::new(Hlc::from_millis(1), ProposerId(1));
        commit(&store, 0, &key, &register(lower, vec![1; 5000]), false);
        drop(store);
        assert_eq!(rows_in(dir.path(), "values"), 1);
        let store = open(dir.path());
        commit(&store, 0, &key, &replacement, true);
        drop(store);
        assert_eq!(rows_in(dir.path(), "values"), 0);
    }
}

#[test]
fn value_of_another_round_is_never_joined() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let (older, newer) = (next_ballot(), next_ballot());
    commit(&store, 0, &key("k"), &register(newer, vec![1; 5000]), false);
    let stale = register(older, vec![2; 5000]).without_value();
    assert!(matches!(store.read_value(PartitionId(0), &key("k"), stale), Err(StoreError::Row { .. })));
}

#[test]
fn commit_dropped_writes_nothing_and_takes_no_seq() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut dropped = store.begin_commit();
    dropped.accept(PartitionId(0), &key("a"), &Arc::new(register(next_ballot(), "v")), false, false, 0);
    drop(dropped);
    assert_eq!(store.log_bounds().next_seq, 1);
    assert!(store.scan(&scan_request(&[0], 10)).unwrap().page.entries.is_empty());
}

#[test]
fn log_counts_up_without_gaps_over_commits_and_starts() {
    let dir = tempfile::tempdir().unwrap();
    for start in 0..3 {
        let store = open(dir.path());
        for number in 0..10 {
            commit(&store, number, &key(&format!("{start}/{number}")), &register(next_ballot(), "v"), false);
        }
    }
    let store = open(dir.path());
    let entries = store.read_log(1, 100).unwrap();
    assert_eq!(entries.iter().map(|entry| entry.seq).collect::<Vec<_>>(), (1..=30).collect::<Vec<_>>());
    let bytes: u64 = entries.iter().map(|entry| entry.end_offset() - entry.offset).sum();
    assert_eq!(store.log_bounds().bytes(), bytes);
    assert_eq!((entries[13].partition, entries[13].key.clone()), (PartitionId(3), key("1/3")));
}

#[test]
fn log_at_its_limit_drops_the_oldest_entries_for_good() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for number in 0..1000 {
        commit(&store, 0, &key(&format!("{number:04}")), &register(next_ballot(), "v"), false);
    }
    let before = store.log_bounds();
    let limit = before.bytes() / 2;
    assert_eq!(store.drop_log_beyond(before.bytes()).unwrap(), None);
    let dropped = store.drop_log_beyond(limit).unwrap().unwrap();
    assert!(dropped.bounds.bytes() <= limit && dropped.bounds.bytes() > limit / 2, "{dropped:?}");
    assert_eq!(dropped.entries + dropped.bounds.entries(), 1000);
    drop(store);
    let store = open(dir.path());
    assert_eq!(store.log_bounds(), dropped.bounds);
    let first = store.read_log(0, 1).unwrap().remove(0);
    assert_eq!((first.seq, first.offset), (dropped.bounds.first_seq, dropped.bounds.first_offset));
    // All entries dropped: the numbers go on.
    store.drop_log_beyond(0).unwrap();
    drop(store);
    assert_eq!(open(dir.path()).log_bounds().next_seq, 1001);
}

#[test]
fn horizon_is_the_highest_of_all_shards_ever() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    assert_eq!(store.horizon().unwrap(), Ballot::ZERO);
    let at = |ms| Ballot::floor_of(Hlc::from_millis(ms));
    for (shard, ms) in [(0, 10), (7, 30), (1, 20)] {
        let mut commit = store.begin_commit();
        commit.horizon(shard, at(ms));
        commit.write().unwrap();
    }
    drop(store);
    assert_eq!(open(dir.path()).horizon().unwrap(), at(30));
}

#[test]
fn membership_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let storage = store.storage();
    let first = Adopted::first(configuration(&[1]), [("n1".parse().unwrap(), storage)].into());
    assert_eq!((store.bound().unwrap(), store.adopted().unwrap()), (None, vec![]));
    store.write_bound(&first).unwrap();
    store.write_adopted(&first).unwrap();
    drop(store);
    let store = open(dir.path());
    assert_eq!(store.storage(), storage);
    assert_eq!((store.bound().unwrap(), store.adopted().unwrap()), (Some(first.clone()), vec![first]));
}

#[test]
fn scan_merges_partitions_in_key_order_page_by_page() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for (partition, text) in [(2, "a"), (0, "b"), (9, "c"), (65_535, "d"), (2, "e"), (1, "x")] {
        commit(&store, partition, &key(text), &register(next_ballot(), vec![b'v'; 5000]), false);
    }
    let all = [0, 2, 9, 65_535];
    let mut request = scan_request(&all, 2);
    assert_eq!(keys_of(&store, &request), (vec!["a".into(), "b".into()], PageEnd::Through(key("b"))));
    request.range.start = "b\0".into();
    request.limit = 3;
    assert_eq!(keys_of(&store, &request).0, ["c", "d", "e"]);
    assert_eq!(keys_of(&store, &request).1, PageEnd::Exhausted);
    request.range = KeyRange { start: "b".into(), end: Some("e".into()) };
    request.reverse = true;
    assert_eq!(keys_of(&store, &request), (vec!["d".into(), "c".into(), "b".into()], PageEnd::Exhausted));
    let page = store.scan(&scan_request(&all, 10)).unwrap().page;
    assert!(page.entries.iter().all(|entry| value_of(&entry.register) == [b'v'; 5000]));
    let without_values = ScanRequest { want_values: false, ..scan_request(&all, 10) };
    let page = store.scan(&without_values).unwrap().page;
    assert!(page.entries.iter().all(|entry| entry.register.content.value().is_none()));
}

/// A page of one key read a page of deleted ones, and gave none.
#[test]
fn scan_passes_over_tombstones_and_counts_values_without_naming_them() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut commit = store.begin_commit();
    for number in 0..900_u16 {
        let register = Arc::new(tombstone(next_ballot()));
        commit.accept(PartitionId(number % 3), &key(&format!("k{number:04}")), &register, false, false, 0);
    }
    for text in ["k0450+", "k9"] {
        commit.accept(PartitionId(1), &key(text), &Arc::new(register(next_ballot(), "v")), false, false, 0);
    }
    commit.write().unwrap();
    let one = ScanRequest { fold: Fold::Tombstones, want_values: false, ..scan_request(&[0, 1, 2], 1) };
    let scanned = store.scan(&one).unwrap();
    let keys: Vec<String> = scanned.page.entries.iter().map(|entry| entry.key.to_string()).collect();
    assert_eq!((keys, scanned.page.end), (vec!["k0450+".into()], PageEnd::Through(key("k0450+"))));
    let folded: u32 = scanned.page.spans.iter().map(|span| span.rows).sum();
    assert!(folded >= 450 && scanned.rows <= 902, "{folded} of {} rows", scanned.rows);
    let backwards = ScanRequest { reverse: true, ..one.clone() };
    assert_eq!(keys_of(&store, &backwards), (vec!["k9".into()], PageEnd::Through(key("k9"))));
    let count = ScanRequest { fold: Fold::Settled { now_ms: 0 }, ..one };
    let page = store.scan(&count).unwrap().page;
    assert_eq!((page.entries.len(), page.end), (0, PageEnd::Exhausted));
    assert_eq!(page.spans.iter().map(|span| span.live).sum::<u32>(), 2);
}

#[test]
fn scan_reads_tombstones_once_and_notices_whatever_is_written_among_them() {
    for reverse in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        let write = |text: &str, register: &Register| commit(&store, 3, &key(text), register, false);
        let mut commit = store.begin_commit();
        for number in 0..2_000 {
            let gone = Arc::new(tombstone(next_ballot()));
            commit.accept(PartitionId(3), &key(&format!("k{number:04}")), &gone, false, false, 0);
        }
        commit.write().unwrap();
        write(if reverse { "a" } else { "z" }, &register(next_ballot(), "v"));
        let mut request = ScanRequest { fold: Fold::Tombstones, reverse, ..scan_request(&[3], 10) };
        let first = store.scan(&request).unwrap();
        let again = store.scan(&request).unwrap();
        assert_eq!((first.rows, &again.page), (2_001, &first.page));
        // Spans of a few rows are not worth remembering.
        assert!(again.rows < 100, "{} rows", again.rows);
        // Of a part of the range, the ends are read.
        request.range = KeyRange { start: "k0100".into(), end: Some("k1900".into()) };
        let part = store.scan(&request).unwrap();
        assert_eq!(part.page.spans.iter().map(|span| span.rows).sum::<u32>(), 1_800);
        assert!(part.rows < 1_800, "{} rows", part.rows);
        request.range = KeyRange::default();
        write("k1000", &register(next_ballot(), "v"));
        assert_eq!(keys_of(&store, &request).0.len(), 2);
        write("k1000", &tombstone(next_ballot()));
        write("k1000+", &tombstone(next_ballot()));
        let after = store.scan(&request).unwrap().page;
        assert_eq!(after.spans.iter().map(|span| span.rows).sum::<u32>(), 2_001);
        // Read afresh in another range, they are the same.
        request.range = KeyRange { start: "Z".into(), end: Some("zz".into()) };
        let total =
            |page: &ScanPage| page.spans.iter().fold(0_u128, |sum, span| sum.wrapping_add(span.digest));
        assert_eq!(total(&store.scan(&request).unwrap().page), total(&after));
        assert_ne!(total(&after), total(&first.page));
    }
}

#[test]
fn tombstones_of_many_deletions_are_read_ahead_of_the_next_scan() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let put = |texts: &mut dyn Iterator<Item = String>, live: bool| {
        let mut commit = store.begin_commit();
        for text in texts {
            let register = if live { register(next_ballot(), "v") } else { tombstone(next_ballot()) };
            let partition = PartitionId(u16::from(text.as_bytes().last().unwrap() % 4));
            commit.accept(partition, &key(&text), &Arc::new(register), false, false, 0);
        }
        commit.journal().unwrap();
    };
    put(&mut ["a".to_owned(), "z".to_owned()].into_iter(), true);
    for part in 0..2 {
        let begun = store.applied();
        put(&mut (0..5_000).map(|number| format!("k{part}{number:05}")), false);
        store.read_ahead_of_listings().unwrap();
        assert!(store.applied() > begun, "it waits");
    }
    for prefix in ["k0", "k"] {
        let range = KeyRange { start: prefix.into(), end: None };
        let request = ScanRequest { range, fold: Fold::Tombstones, ..scan_request(&[0, 1, 2, 3], 1) };
        let scanned = store.scan(&request).unwrap();
        assert_eq!(scanned.page.entries.len(), 1);
        assert_eq!(scanned.page.spans.iter().map(|span| span.rows).sum::<u32>(), 10_000);
        assert!(scanned.rows < 1_000, "{} rows", scanned.rows);
    }
}

/// What is known without being read makes no difference to what a scan shows, down to its digests.
#[test]
fn scans_show_the_same_as_of_registers_in_memory_whatever_is_written_between_them() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut model: BTreeMap<Key, Register> = BTreeMap::new();
    let mut state = 7_u64;
    let mut random = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let text = |number: u64| format!("k{number:04}");
    for step in 0..1_500 {
        let many = if step % 50 == 0 { 300 } else { 1 + random(3) };
        let begin = random(1_500);
        let mut commit = store.begin_commit();
        for number in begin..begin + many {
            let live = random(20) == 0;
            let new = if live { register(next_ballot(), "v") } else { tombstone(next_ballot()) };
            commit.accept(PartitionId(3), &key(&text(number)), &Arc::new(new.clone()), false, false, 0);
            model.insert(key(&text(number)), new);
        }
        commit.journal().unwrap();
        if random(4) == 0 {
            store.read_ahead_of_listings().unwrap();
        }
        let range = match random(3) {
            0 => KeyRange::default(),
            1 => KeyRange { start: text(random(1_800)).into(), end: None },
            _ => KeyRange { start: "k".into(), end: Some(text(random(1_800)).into()) },
        };
        let limit = if random(2) == 0 { 1 } else { 50 };
        let request = ScanRequest {
            range,
            reverse: random(2) == 0,
            fold: Fold::Tombstones,
            ..scan_request(&[3], limit)
        };
        let registers = model.iter().map(|(key, held)| (PartitionId(3), key, held));
        let expected = page_of(&request, registers, u64::MAX);
        // On a machine that stands still for a moment a page may end early.
        let shown = (0..5).map(|_| store.scan(&request).unwrap().page).find(|page| page.end == expected.end);
        assert_eq!(shown, Some(expected), "step {step}: {request:?}");
    }
}

/// A known run that was cut just where a scan's range ends was shown as if the scan's end had ended it.
#[test]
fn span_that_a_register_cut_at_the_end_of_the_range_has_its_end_when_it_is_known_too() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut model: BTreeMap<Key, Register> = BTreeMap::new();
    let mut commit = store.begin_commit();
    for number in 0..4_000 {
        let (key, new) = (key(&format!("k{number:04}")), tombstone(next_ballot()));
        commit.accept(PartitionId(3), &key, &Arc::new(new.clone()), false, false, 0);
        model.insert(key, new);
    }
    commit.journal().unwrap();
    for reverse in [false, true] {
        let all = ScanRequest { reverse, fold: Fold::Tombstones, ..scan_request(&[3], 50) };
        let ends: Vec<_> =
            store.scan(&all).unwrap().page.spans.into_iter().filter_map(|span| span.end).collect();
        assert!(!ends.is_empty(), "no register cuts a span");
        for end in ends {
            let range = if reverse {
                KeyRange { start: end, end: None }
            } else {
                KeyRange { end: Some(end), ..KeyRange::default() }
            };
            let request = ScanRequest { range, ..all.clone() };
            let registers = model.iter().map(|(key, held)| (PartitionId(3), key, held));
            let expected = page_of(&request, registers, u64::MAX);
            assert_eq!(store.scan(&request).unwrap().page, expected, "{request:?}");
        }
    }
}

#[test]
fn scan_shows_a_commit_that_was_answered_before_the_database_had_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut commit = store.begin_commit();
    commit.accept(PartitionId(3), &key("k"), &Arc::new(register(next_ballot(), "v")), false, false, 0);
    commit.journal().unwrap();
    let found = |store: &Store| store.read_heads(&[(PartitionId(3), &key("k"))]).pop().unwrap().unwrap();
    assert_eq!(found(&store), None, "the database has it already");
    assert_eq!(keys_of(&store, &scan_request(&[3], 10)).0, ["k"]);
    assert!(found(&store).is_some());
}

/// Journals one register, and leaves it waiting for the database.
fn journal(store: &Store, text: &str, value: Vec<u8>, spills: bool, was_spilled: bool) {
    let mut commit = store.begin_commit();
    let register = Arc::new(register(next_ballot(), value));
    commit.accept(PartitionId(3), &key(text), &register, spills, was_spilled, 0);
    commit.journal().unwrap();
}

#[test]
fn newest_of_what_waited_for_the_database_is_written_with_the_log_of_all() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let begun = store.applied();
    for value in ["old", "new"] {
        journal(&store, "k", value.into(), false, false);
    }
    assert_eq!((store.applied(), store.log_bounds().entries()), (begun, 2));
    assert!(store.read_log(1, 10).unwrap().is_empty());
    store.apply().unwrap();
    assert_eq!(store.applied(), begun + 2);
    assert_eq!(store.read_log(1, 10).unwrap().len(), 2);
    let page = store.scan(&scan_request(&[3], 10)).unwrap().page;
    assert_eq!(page.entries.len(), 1);
    assert_eq!(value_of(&page.entries[0].register), b"new");
}

#[test]
fn long_values_follow_what_waited_for_the_database() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let long = || vec![b'l'; 5_000];
    let has_long = |text: &str| {
        let row = store.read_heads(&[(PartitionId(3), &key(text))]).pop().unwrap().unwrap().unwrap();
        let read = store.read_value(PartitionId(3), &key(text), row.register);
        assert_eq!(row.spilled, read.is_ok(), "{text}: {read:?}");
        row.spilled
    };
    for text in ["becomes short", "stays long"] {
        journal(&store, text, long(), true, false);
    }
    store.apply().unwrap();
    assert!(has_long("becomes short") && has_long("stays long"));
    // The database has a long one, what waits is short, shorter and, of one key, long again.
    for text in ["becomes short", "stays long"] {
        journal(&store, text, b"short".to_vec(), false, true);
        journal(&store, text, b"shorter".to_vec(), false, false);
    }
    journal(&store, "stays long", long(), true, false);
    // The database has none, and what waits is long only for a while.
    journal(&store, "was long", long(), true, false);
    journal(&store, "was long", b"short".to_vec(), false, true);
    store.apply().unwrap();
    assert!(!has_long("becomes short") && has_long("stays long") && !has_long("was long"));
}

#[test]
fn no_more_waits_for_the_database_than_half_of_the_write_buffers() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut most = 0;
    for number in 0..6_000 {
        journal(&store, &format!("k{number}"), vec![b'v'; 4_000], false, false);
        store.apply_if_much().unwrap();
        most = most.max(store.stats().unapplied_bytes);
    }
    // The write buffers have 8 MiB, and so have the journal's segments by then, each of which is applied when it is full.
    assert!((1 << 20..=4 << 20).contains(&most), "{most} bytes waited");
}

#[test]
fn scan_page_is_cut_by_bytes_but_never_empty() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for text in ["a", "b", "c"] {
        commit(&store, 0, &key(text), &register(next_ballot(), vec![b'v'; 3000]), false);
    }
    let request = ScanRequest { bytes_max: 1, ..scan_request(&[0], 10) };
    assert_eq!(keys_of(&store, &request), (vec!["a".into()], PageEnd::Through(key("a"))));
    let request = ScanRequest { bytes_max: 4000, ..scan_request(&[0], 10) };
    assert_eq!(keys_of(&store, &request), (vec!["a".into(), "b".into()], PageEnd::Through(key("b"))));
}

#[test]
fn directory_in_use_is_refused_with_its_holder() {
    let dir = tempfile::tempdir().unwrap();
    let _store = open(dir.path());
    let told = Store::open(dir.path(), &store_options()).unwrap_err().to_string();
    assert!(told.contains("in use") && told.contains(&std::process::id().to_string()), "{told}");
}

#[test]
fn directory_whose_database_vanished_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    fs::remove_dir_all(dir.path().join("db")).unwrap();
    assert!(matches!(try_open(dir.path()), Err(OpenError::DataLost { .. })));
    // Nor may a second try find a fresh one.
    assert!(matches!(try_open(dir.path()), Err(OpenError::DataLost { .. })));
}

/// Its identity is gone too, so that it looks like a first start that was interrupted; but for the journal.
#[test]
fn directory_whose_database_and_identity_vanished_is_refused_before_anything_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for text in ["a", "b"] {
        commit(&store, 0, &key(text), &register(next_ballot(), "v"), false);
        store.flush().unwrap();
    }
    commit(&store, 0, &key("c"), &register(next_ballot(), "v"), false);
    drop(store);
    fs::remove_dir_all(dir.path().join("db")).unwrap();
    fs::remove_file(dir.path().join("IDENTITY")).unwrap();
    let journal = || -> BTreeMap<PathBuf, Vec<u8>> {
        let segments = fs::read_dir(dir.path().join("journal")).unwrap().map(|entry| entry.unwrap().path());
        segments.map(|path| (path.clone(), fs::read(path).unwrap())).collect()
    };
    let before = journal();
    for _ in 0..2 {
        assert!(matches!(try_open(dir.path()), Err(OpenError::DataLost { .. })));
        assert!(journal() == before, "the journal was changed");
    }
}

#[test]
fn directory_mixed_from_two_is_refused() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    drop(open(one.path()));
    drop(open(two.path()));
    fs::copy(one.path().join("IDENTITY"), two.path().join("IDENTITY")).unwrap();
    let told = try_open(two.path()).unwrap_err();
    assert!(matches!(told, OpenError::Journal(JournalError::Mixed { .. })), "{told}");
    // The first's journal as well: only the database is another's now.
    for segment in fs::read_dir(one.path().join("journal")).unwrap() {
        let segment = segment.unwrap();
        fs::copy(segment.path(), two.path().join("journal").join(segment.file_name())).unwrap();
    }
    let told = try_open(two.path()).unwrap_err();
    assert!(matches!(told, OpenError::Mixed { .. }), "{told}");
}

#[test]
fn directory_without_its_identity_file_gets_it_back_from_the_database() {
    let dir = tempfile::tempdir().unwrap();
    let storage: StorageId = open(dir.path()).storage();
    fs::remove_file(dir.path().join("IDENTITY")).unwrap();
    assert_eq!(open(dir.path()).storage(), storage);
    assert!(dir.path().join("IDENTITY").exists());
}

/// Of the last write to the list of its files the disk has the second sector and not the first.
#[test]
fn database_whose_list_of_files_is_torn_is_refused_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for number in 0..40 {
        commit(&store, 0, &key(&format!("k{number}")), &register(next_ballot(), "v"), false);
        store.flush().unwrap();
    }
    drop(store);
    let database = dir.path().join("db");
    let manifest = database.join(fs::read_to_string(database.join("CURRENT")).unwrap().trim_end());
    let mut bytes = fs::read(&manifest).unwrap();
    let torn = (bytes.len() / 512 - 1) * 512;
    bytes[torn..torn + 512].fill(0);
    fs::write(&manifest, &bytes).unwrap();
    let told = try_open(dir.path()).unwrap_err();
    assert!(matches!(told, OpenError::Manifest { .. }), "{told}");
    let told = told.to_string();
    for part in ["power cut", "treat it as a lost disk", "docs/operations.md", "ldb repair"] {
        assert!(told.contains(part), "{part} is not in: {told}");
    }
    assert_eq!(fs::read(&manifest).unwrap(), bytes, "nothing was changed");
}
