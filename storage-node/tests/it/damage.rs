//! Damage at the journal's end: what it takes of what was durable is noticed, whatever else proves that it was there.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use roundtable_node::store::{JournalError, Store};
use roundtable_tests::copy_database;

use crate::journal::{
    BLOCK_BYTES, COMMITS, change, copy_folder, crash_image, crashed, refusal, remove_watermarks,
    segment_in_use, segments, whole_up_to,
};
use crate::support::{PATIENCE, commit, key, next_ballot, open, register};

/// The first commit gives a database its name.
const LAST_COMMIT: u64 = COMMITS as u64 + 1;

fn u64_at(path: &Path, at: usize) -> u64 {
    let bytes = fs::read(path).unwrap();
    u64::from_be_bytes(*bytes.get(at..).unwrap().first_chunk().unwrap())
}

/// The segment begun last.
fn newest_segment(dir: &Path) -> PathBuf {
    segments(dir).into_iter().max_by_key(|path| u64_at(path, 28)).unwrap()
}

fn put(store: &Store, count: u16) {
    for number in 0..count {
        commit(store, 0, &key(&format!("{number:03}")), &register(next_ballot(), "v"), false);
    }
}

fn until(mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < until, "it never came");
        std::thread::yield_now();
    }
}

/// Takes the last records out of the segment in use.
fn remove_last_records(dir: &Path, count: usize) {
    let (segment, records) = segment_in_use(dir);
    let first = *records.iter().rev().nth(count - 1).unwrap();
    change(&segment, |bytes| bytes.iter_mut().skip(first).for_each(|byte| *byte = 0));
}

#[test]
fn end_that_is_gone_is_refused_once_the_watermark_names_it() {
    let (dir, image) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = open(dir.path());
    put(&store, COMMITS);
    until(|| u64_at(&newest_segment(dir.path()), BLOCK_BYTES + 8) == LAST_COMMIT);
    crash_image(&store, image.path());
    for (count, missing) in [(1, LAST_COMMIT), (3, LAST_COMMIT - 2)] {
        let damaged = tempfile::tempdir().unwrap();
        copy_folder(image.path(), damaged.path());
        remove_last_records(damaged.path(), count);
        let told = refusal(damaged.path());
        assert!(matches!(told, JournalError::Damaged { commit, .. } if commit == missing), "{told}");
    }
    assert_eq!(whole_up_to(&open(image.path())), COMMITS);
}

#[test]
fn end_that_is_gone_is_refused_once_the_database_has_it() {
    let (dir, image) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = open(dir.path());
    put(&store, COMMITS);
    store.flush().unwrap();
    crash_image(&store, image.path());
    remove_watermarks(image.path());
    // Two commits, and the note that all lie in sorted files.
    remove_last_records(image.path(), 3);
    let told = refusal(image.path());
    assert!(
        matches!(told, JournalError::Behind { commit, database_commit: LAST_COMMIT, .. } if commit == LAST_COMMIT - 2),
        "{told}"
    );
}

#[test]
fn records_whose_payloads_are_damaged_are_missed_by_the_headers_behind_them() {
    let image = crashed(50);
    let (segment, records) = segment_in_use(image.path());
    let damaged = &records[records.len() - 3..];
    change(&segment, |bytes| damaged.iter().for_each(|at| bytes[at + 60] ^= 1));
    let told = refusal(image.path());
    assert!(matches!(told, JournalError::Damaged { commit, .. } if commit == LAST_COMMIT - 2), "{told}");
}

#[test]
fn segment_that_was_cut_is_refused_wherever_it_was_cut() {
    let image = crashed(50);
    let (segment, records) = segment_in_use(image.path());
    let whole = fs::read(&segment).unwrap();
    let middle = records[records.len() / 2];
    for length in [whole.len() - 1, whole.len() / 2, middle, middle + 100, BLOCK_BYTES] {
        fs::write(&segment, &whole[..length]).unwrap();
        let told = refusal(image.path());
        assert!(
            matches!(told, JournalError::Length { found, expected, .. } if (found, expected) == (length as u64, whole.len() as u64)),
            "{told}"
        );
    }
    fs::write(&segment, &whole[..20]).unwrap();
    assert!(matches!(refusal(image.path()), JournalError::Header { .. }));
    fs::write(&segment, &whole).unwrap();
    assert_eq!(whole_up_to(&open(image.path())), COMMITS, "refusing changed nothing");
}

#[test]
fn newest_segment_that_vanished_is_refused_though_no_record_points_to_it() {
    let (dir, image) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = open(dir.path());
    until(|| segments(dir.path()).len() >= 2);
    drop(store);
    let store = open(dir.path());
    put(&store, 10);
    crash_image(&store, image.path());
    fs::remove_file(newest_segment(image.path())).unwrap();
    let told = refusal(image.path());
    assert!(
        matches!(told, JournalError::Behind { segment, database_segment, .. } if segment < database_segment),
        "{told}"
    );
}

#[test]
fn database_of_an_older_copy_is_refused() {
    let (dir, image) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let older = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    put(&store, 10);
    store.flush().unwrap();
    copy_database(&dir.path().join("db"), older.path());
    put(&store, 10);
    store.flush().unwrap();
    crash_image(&store, image.path());
    fs::remove_dir_all(image.path().join("db")).unwrap();
    copy_database(older.path(), &image.path().join("db"));
    let told = refusal(image.path());
    assert!(matches!(told, JournalError::DatabaseBehind { flushed: 21, database_commit: 11, .. }), "{told}");
}

/// Bytes that this thread has read from files.
fn bytes_read() -> u64 {
    let text = fs::read_to_string("/proc/thread-self/io").unwrap();
    let read = text.lines().find_map(|line| line.strip_prefix("rchar: "));
    read.unwrap().parse().unwrap()
}

/// A value in which something that looks like a record of a megabyte begins with each block of the journal, if the
/// value begins `at` that place.
fn forged_records(at: usize, bytes: usize) -> Vec<u8> {
    let mut value = vec![b'v'; bytes];
    for header in (0..bytes).filter(|position| (at + position).is_multiple_of(BLOCK_BYTES)) {
        let Some(room) = value.get_mut(header + 8..header + 32) else { break };
        let (length, kind, number) = (1_u32 << 20, 1_u32, 7_u64);
        let fields =
            [&length.to_be_bytes()[..], &kind.to_be_bytes(), &number.to_be_bytes(), &number.to_be_bytes()];
        room.copy_from_slice(&fields.concat());
    }
    value
}

#[test]
fn values_that_look_like_records_are_not_read_as_such_by_a_start() {
    const VALUE_BYTES: usize = 1 << 20;
    let (dir, image) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = open(dir.path());
    let put = |store: &Store, value: Vec<u8>, was_spilled| {
        commit(store, 0, &key("k"), &register(next_ballot(), value), was_spilled);
    };
    // Where a value begins in its block, which is the same for all of one length.
    let marker = b"where does this value begin?";
    let mut probe = vec![b'v'; VALUE_BYTES];
    probe[..marker.len()].copy_from_slice(marker);
    put(&store, probe, false);
    let find =
        |path: PathBuf| fs::read(path).unwrap().windows(marker.len()).position(|found| found == marker);
    let at = segments(dir.path()).into_iter().find_map(find).unwrap();
    // Enough for the longest segment, which has eight megabytes.
    for _ in 0..24 {
        put(&store, forged_records(at, VALUE_BYTES), true);
    }
    drop(store);
    // It is used again, and most of it still holds what clients stored.
    let store = open(dir.path());
    put(&store, b"short".to_vec(), true);
    crash_image(&store, image.path());
    let stale = fs::read(newest_segment(image.path())).unwrap();
    let forged =
        stale.chunks(BLOCK_BYTES).filter(|block| block[8..16] == [0, 0x10, 0, 0, 0, 0, 0, 1]).count();
    assert!(forged > 500, "{forged} blocks look like records");
    let journal_bytes: u64 =
        segments(image.path()).iter().map(|path| fs::metadata(path).unwrap().len()).sum();
    let before = bytes_read();
    drop(open(image.path()));
    let read = bytes_read() - before;
    assert!(read <= 3 * journal_bytes, "{read} bytes were read for a journal of {journal_bytes}");
}
