//! The room of dead values is given back, by little work, and nothing that lives is touched.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use roundtable_consensus::{PartitionId, Register};
use roundtable_node::store::{Occupancy, Reclaim, Reclaimed, Store};

use crate::support::{key, next_ballot, open, register, spills, tombstone, value_of};

const PARTITION: PartitionId = PartitionId(3);
const LONG_BYTES: usize = 60_000;
const LONG_VALUES: usize = 200;
const SHORT_BYTES: usize = 4_000;
const SHORT_VALUES: usize = 2_000;

/// Bytes that no compression makes fewer, others for each number.
fn noise(number: usize, bytes: usize) -> Vec<u8> {
    let mut state = number as u64 + 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let [high, ..] = state.to_be_bytes();
        high
    };
    (0..bytes).map(|_| next()).collect()
}

fn write(store: &Store, number: usize, register: Register, was_spilled: bool, replaced_bytes: usize) {
    let mut commit = store.begin_commit();
    let register = Arc::new(register);
    let replaced_bytes = u32::try_from(replaced_bytes).unwrap();
    let spills = spills(&register);
    commit.accept(PARTITION, &key(&format!("k{number}")), &register, spills, was_spilled, replaced_bytes);
    commit.journal().unwrap();
    store.apply_if_much().unwrap();
}

/// Writes so many values of this length, all in sorted files.
fn fill(store: &Store, values: usize, bytes: usize) {
    for number in 0..values {
        write(store, number, register(next_ballot(), noise(number, bytes)), false, 0);
    }
    store.flush().unwrap();
}

fn delete(store: &Store, number: usize, bytes: usize) {
    write(store, number, tombstone(next_ballot()), bytes > 4_096, bytes);
}

fn blob_files(dir: &Path) -> u64 {
    let files = fs::read_dir(dir.join("db")).unwrap().map(|entry| entry.unwrap());
    let blobs = files.filter(|file| file.path().extension().is_some_and(|extension| extension == "blob"));
    blobs.map(|file| file.metadata().unwrap().len()).sum()
}

fn done(store: &Store, work: Reclaim) -> Occupancy {
    let ended = store.reclaim(work).unwrap();
    assert!(matches!(ended, Reclaimed::Done { .. }), "{ended:?}");
    store.occupancy()
}

#[test]
fn blob_files_without_a_live_value_are_removed_by_merging_their_keys() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    fill(&store, LONG_VALUES, LONG_BYTES);
    assert!(blob_files(dir.path()) > (LONG_VALUES * LONG_BYTES) as u64);
    (0..LONG_VALUES).for_each(|number| delete(&store, number, LONG_BYTES));
    assert_eq!(store.occupancy().dead_value_bytes, (LONG_VALUES * LONG_BYTES) as u64);
    let after = done(&store, Reclaim::MergeValues);
    assert_eq!((after.blob_bytes, after.dead_value_bytes), (0, 0));
    assert_eq!(blob_files(dir.path()), 0);
}

#[test]
fn live_values_move_out_of_blob_files_that_are_mostly_dead_piece_by_piece() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    fill(&store, LONG_VALUES, LONG_BYTES);
    let full = store.occupancy().blob_bytes;
    let lives = |number: usize| number.is_multiple_of(4);
    (0..LONG_VALUES).filter(|number| !lives(*number)).for_each(|number| delete(&store, number, LONG_BYTES));
    let merged = done(&store, Reclaim::MergeValues);
    assert!(merged.blob_garbage_bytes > full / 2, "{merged:?}");
    // So little at a time that it takes several pieces.
    let mut pieces = 0;
    while store.occupancy().blob_garbage_bytes > full / 20 {
        done(&store, Reclaim::CollectBlobs { bytes_max: full / 4 });
        pieces += 1;
        assert!(pieces < 20, "{:?}", store.occupancy());
    }
    assert!(pieces > 1);
    let kept = store.occupancy();
    assert!(kept.blob_bytes < full / 3 && blob_files(dir.path()) < full / 3, "{kept:?} of {full}");
    for number in (0..LONG_VALUES).filter(|number| lives(*number)) {
        let text = format!("k{number}");
        let row = store.read_heads(&[(PARTITION, &key(&text))]).pop().unwrap().unwrap().unwrap();
        let read = store.read_value(PARTITION, &key(&text), row.register).unwrap();
        assert_eq!(value_of(&read), noise(number, LONG_BYTES));
    }
}

#[test]
fn short_values_are_gone_when_their_registers_were_merged() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    fill(&store, SHORT_VALUES, SHORT_BYTES);
    let full = store.occupancy().register_table_bytes;
    assert!(full > (SHORT_VALUES * SHORT_BYTES) as u64 / 2);
    (0..SHORT_VALUES).for_each(|number| delete(&store, number, SHORT_BYTES));
    assert_eq!(store.occupancy().dead_register_bytes, (SHORT_VALUES * SHORT_BYTES) as u64);
    let after = done(&store, Reclaim::MergeRegisters);
    assert!(after.register_table_bytes < full / 10, "{after:?} of {full}");
    assert_eq!(after.dead_register_bytes, 0);
}

#[test]
fn value_that_is_replaced_before_the_database_had_it_is_not_counted_as_dead() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    write(&store, 0, register(next_ballot(), noise(0, LONG_BYTES)), false, 0);
    delete(&store, 0, LONG_BYTES);
    assert_eq!(store.occupancy().dead_value_bytes, 0);
}

#[test]
fn start_knows_of_long_values_that_were_deleted_before() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    fill(&store, LONG_VALUES, LONG_BYTES);
    (0..LONG_VALUES / 2).for_each(|number| delete(&store, number, LONG_BYTES));
    let full = store.occupancy().blob_bytes;
    drop(store);
    let found = open(dir.path()).occupancy();
    // A compaction may have met some of them by now: these are garbage, or gone.
    let known = found.dead_value_bytes + found.blob_garbage_bytes + full.saturating_sub(found.blob_bytes);
    let deleted = (LONG_VALUES / 2 * LONG_BYTES) as u64;
    assert!(known >= deleted / 4, "{found:?}: {known} of {deleted}");
}
