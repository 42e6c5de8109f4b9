//! The journal: what was committed is there after a crash at any moment; an incomplete end is tolerated, any other
//! damage refused.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use roundtable_consensus::PartitionId;
use roundtable_node::store::{JournalError, OpenError, Store, StoreOptions};
use roundtable_tests::{Disk, copy_database};

use crate::support::{PATIENCE, commit, key, next_ballot, open, register, store_options, try_open};

pub(crate) const COMMITS: u16 = 100;
pub(crate) const BLOCK_BYTES: usize = 4096;
/// Behind the header and the watermark.
const FIRST_RECORD: usize = 2 * BLOCK_BYTES;
const RECORD_HEADER_BYTES: usize = 40;

/// The directory as a crash at this moment leaves it, in another folder.
pub(crate) fn crash_image(store: &Store, into: &Path) {
    copy_database(&store.path().join("db"), &into.join("db"));
    copy_folder(&store.path().join("journal"), &into.join("journal"));
    fs::copy(store.path().join("IDENTITY"), into.join("IDENTITY")).unwrap();
}

pub(crate) fn copy_folder(from: &Path, into: &Path) {
    fs::create_dir_all(into).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, target) = (entry.as_ref().unwrap().path(), into.join(entry.unwrap().file_name()));
        if path.is_dir() {
            copy_folder(&path, &target);
        } else {
            // A new segment may have got its name since the folder was listed.
            drop(fs::copy(&path, &target));
        }
    }
}

/// What a crash right behind [`COMMITS`] commits leaves. None of them is in a sorted file.
pub(crate) fn crashed(value_bytes: usize) -> tempfile::TempDir {
    let (dir, image) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = open(dir.path());
    for number in 0..COMMITS {
        let register = register(next_ballot(), vec![b'v'; value_bytes]);
        commit(&store, 0, &key(&format!("{number:03}")), &register, value_bytes > 4096);
    }
    crash_image(&store, image.path());
    remove_watermarks(image.path());
    image
}

/// It is written about once a second: there are crashes before it names the last commits.
pub(crate) fn remove_watermarks(dir: &Path) {
    for segment in segments(dir) {
        change(&segment, |bytes| {
            bytes.iter_mut().take(FIRST_RECORD).skip(BLOCK_BYTES).for_each(|byte| *byte = 0);
        });
    }
}

pub(crate) fn segments(dir: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(dir.join("journal")).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        files.filter(|path| path.extension().is_some_and(|kind| kind == "journal")).collect();
    files.sort();
    files
}

/// The segment that holds the commits, and where each of its records begins.
pub(crate) fn segment_in_use(dir: &Path) -> (PathBuf, Vec<usize>) {
    let of = |path: PathBuf| {
        let bytes = fs::read(&path).unwrap();
        let (mut at, mut records) = (FIRST_RECORD, Vec::new());
        while let Some((checksum, rest)) = bytes.get(at..).and_then(<[u8]>::split_first_chunk::<8>)
            && *checksum != [0; 8]
        {
            records.push(at);
            let payload = u32::from_be_bytes(*rest.first_chunk().unwrap()) as usize;
            at += (RECORD_HEADER_BYTES + payload).next_multiple_of(BLOCK_BYTES);
        }
        (path, records)
    };
    segments(dir).into_iter().map(of).max_by_key(|(_, records)| records.len()).unwrap()
}

pub(crate) fn change(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

/// How many commits are there: the first ones, and each of them whole.
pub(crate) fn whole_up_to(store: &Store) -> u16 {
    let entries = store.read_log(1, 10_000).unwrap();
    let count = u16::try_from(entries.len()).unwrap();
    for (number, entry) in (1..).zip(&entries) {
        assert_eq!(entry.seq, number);
        let head = store.read_heads(&[(PartitionId(0), &entry.key)]).remove(0).unwrap().unwrap();
        assert_eq!(head.register.accepted, entry.accepted);
        if head.spilled {
            store.read_value(PartitionId(0), &entry.key, head.register).unwrap();
        }
    }
    count
}

pub(crate) fn refusal(dir: &Path) -> JournalError {
    match try_open(dir) {
        Err(OpenError::Journal(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn everything_committed_is_there_after_a_crash_and_after_another_right_behind_it() {
    for value_bytes in [50, 3000, 20_000] {
        let image = crashed(value_bytes);
        let again = tempfile::tempdir().unwrap();
        let store = open(image.path());
        assert_eq!(whole_up_to(&store), COMMITS);
        crash_image(&store, again.path());
        let store = open(again.path());
        assert_eq!(whole_up_to(&store), COMMITS);
        commit(&store, 0, &key("more"), &register(next_ballot(), "v"), false);
        let third = tempfile::tempdir().unwrap();
        crash_image(&store, third.path());
        assert_eq!(whole_up_to(&open(third.path())), COMMITS + 1);
    }
}

#[test]
fn what_waits_for_the_database_is_there_after_a_crash() {
    let (dir, image) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = open(dir.path());
    let begun = store.applied();
    for text in ["1", "2", "1"] {
        let mut commit = store.begin_commit();
        let register = Arc::new(register(next_ballot(), text));
        commit.accept(PartitionId(0), &key(text), &register, false, false, 0);
        commit.journal().unwrap();
    }
    assert_eq!(store.applied(), begun);
    crash_image(&store, image.path());
    let store = open(image.path());
    assert_eq!(store.read_log(1, 10).unwrap().len(), 3);
    let heads = store.read_heads(&[(PartitionId(0), &key("1")), (PartitionId(0), &key("2"))]);
    let seqs: Vec<u64> = heads.into_iter().map(|head| head.unwrap().unwrap().seq).collect();
    assert_eq!(seqs, [3, 2]);
}

#[test]
fn last_record_that_is_incomplete_is_dropped_alone() {
    for kept_bytes in [0, 1, 39, 40, 100, 5000] {
        let image = crashed(6000);
        let (segment, records) = segment_in_use(image.path());
        let last = *records.last().unwrap();
        change(&segment, |bytes| bytes[last + kept_bytes..].fill(0));
        let store = open(image.path());
        assert_eq!(whole_up_to(&store), COMMITS - 1, "{kept_bytes}");
        // What comes instead is not taken for it.
        commit(&store, 0, &key("instead"), &register(next_ballot(), "v"), false);
        let again = tempfile::tempdir().unwrap();
        crash_image(&store, again.path());
        assert_eq!(whole_up_to(&open(again.path())), COMMITS);
    }
}

#[test]
fn changed_byte_in_the_middle_is_refused_wherever_it_is() {
    let image = crashed(50);
    let (segment, records) = segment_in_use(image.path());
    let middle = records[records.len() / 2];
    // Checksum, length, kind, number, number of the last durable commit, the payload's checksum, write batch.
    for at in [0, 8, 11, 15, 23, 31, 39, 48] {
        change(&segment, |bytes| bytes[middle + at] ^= 1);
        let told = refusal(image.path());
        assert!(matches!(told, JournalError::Damaged { at, .. } if at == middle as u64), "{at}: {told}");
        change(&segment, |bytes| bytes[middle + at] ^= 1);
    }
    assert_eq!(whole_up_to(&open(image.path())), COMMITS, "refusing changed nothing");
}

#[test]
fn record_that_is_gone_from_the_middle_is_refused() {
    let image = crashed(50);
    let (segment, records) = segment_in_use(image.path());
    let middle = records[records.len() / 2];
    change(&segment, |bytes| bytes[middle..middle + BLOCK_BYTES].fill(0));
    assert!(matches!(refusal(image.path()), JournalError::Damaged { .. }));
}

#[test]
fn record_in_the_place_of_another_is_refused() {
    let image = crashed(50);
    let (segment, records) = segment_in_use(image.path());
    let (from, to) = (records[10], records[20]);
    change(&segment, |bytes| bytes.copy_within(from..from + BLOCK_BYTES, to));
    assert!(matches!(refusal(image.path()), JournalError::Damaged { .. }));
}

#[test]
fn segment_whose_first_block_is_damaged_or_of_another_version_is_refused() {
    let image = crashed(50);
    let (segment, _) = segment_in_use(image.path());
    change(&segment, |bytes| bytes[20] ^= 1);
    assert!(matches!(refusal(image.path()), JournalError::Header { .. }));
    change(&segment, |bytes| bytes[20] ^= 1);
    for found in [1_u32, 7] {
        change(&segment, |bytes| bytes[8..12].copy_from_slice(&found.to_be_bytes()));
        let told = refusal(image.path());
        assert!(matches!(told, JournalError::UnknownVersion { known: 2, .. }), "{told}");
        assert!(told.to_string().contains(&format!("version {found}")), "{told}");
    }
}

#[test]
fn journal_that_vanished_is_refused() {
    let image = crashed(50);
    fs::remove_dir_all(image.path().join("journal")).unwrap();
    let told = refusal(image.path());
    assert!(matches!(told, JournalError::Missing { .. }) && told.to_string().contains("missing"), "{told}");
}

#[test]
fn last_segment_that_vanished_is_refused() {
    // More than the first segment has room for.
    let image = crashed(20_000);
    let (in_use, _) = segment_in_use(image.path());
    let newest = segments(image.path()).into_iter().filter(|path| *path != in_use);
    newest.for_each(|path| fs::remove_file(path).unwrap());
    let told = refusal(image.path());
    assert!(matches!(told, JournalError::Missing { .. }), "{told}");
}

#[test]
fn journal_of_another_directory_is_refused() {
    let (one, other) = (crashed(50), crashed(50));
    fs::remove_dir_all(one.path().join("journal")).unwrap();
    copy_folder(&other.path().join("journal"), &one.path().join("journal"));
    let told = refusal(one.path());
    assert!(matches!(told, JournalError::Mixed { .. }), "{told}");
}

#[test]
fn segments_are_used_again_and_their_number_stays_small() {
    let (dir, image) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = open(dir.path());
    let value = vec![b'v'; 4000];
    for number in 0..10_000 {
        commit(&store, 0, &key(&format!("{}", number % 50)), &register(next_ballot(), value.clone()), false);
    }
    crash_image(&store, image.path());
    let files = segments(image.path());
    let bytes: u64 = files.iter().map(|path| fs::metadata(path).unwrap().len()).sum();
    // 80 MB were written. Segments have 4 MiB: one is written, some wait for a flush, two are spare.
    assert!((2..=8).contains(&files.len()) && bytes <= 32 << 20, "{files:?}, {bytes} bytes");
    let store = open(image.path());
    assert_eq!(store.read_log(1, 20_000).unwrap().len(), 10_000);
}

#[test]
fn commit_longer_than_a_segment_is_kept() {
    let (dir, image) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = open(dir.path());
    for number in 0..3 {
        let register = register(next_ballot(), vec![b'v'; 10 << 20]);
        commit(&store, 0, &key(&format!("{number}")), &register, true);
    }
    crash_image(&store, image.path());
    assert_eq!(whole_up_to(&open(image.path())), 3);
}

/// Writes one register into the journal, and no further.
fn journal(store: &Store, name: &str) {
    let mut commit = store.begin_commit();
    commit.accept(PartitionId(0), &key(name), &Arc::new(register(next_ballot(), "v")), false, false, 0);
    commit.journal().unwrap();
}

/// What a crash leaves of commits of which the first ones were synced, and its segment without the fifth record.
fn crashed_with_a_hole(synced: u16, more: u16) -> tempfile::TempDir {
    let options = StoreOptions { sync_each_commit: false, ..store_options() };
    let (dir, image) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = Store::open(dir.path(), &options).unwrap();
    (0..synced).for_each(|number| journal(&store, &format!("{number}")));
    store.sync().unwrap();
    (synced..synced + more).for_each(|number| journal(&store, &format!("{number}")));
    crash_image(&store, image.path());
    remove_watermarks(image.path());
    let (segment, records) = segment_in_use(image.path());
    let hole = records.get(5).copied().unwrap();
    change(&segment, |bytes| bytes.iter_mut().skip(hole).take(BLOCK_BYTES).for_each(|byte| *byte = 0));
    image
}

#[test]
fn hole_in_what_was_never_synced_is_an_end_and_in_what_was_synced_is_refused() {
    // The identity's record is the first, and synced whatever was chosen.
    let image = crashed_with_a_hole(0, 10);
    assert_eq!(whole_up_to(&open(image.path())), 4);
    let image = crashed_with_a_hole(10, 1);
    assert!(matches!(refusal(image.path()), JournalError::Damaged { .. }));
}

#[test]
fn commit_outlives_a_database_that_stopped_for_lack_of_room() {
    // RocksDB goes on when there is room for one write buffer.
    let disk = match Disk::new(256 << 20) {
        Ok(disk) => disk,
        Err(error) => return println!("skipped: no disk of its own: {error}"),
    };
    let store = Store::open(&disk.folder(), &store_options()).unwrap();
    commit(&store, 0, &key("before"), &register(next_ballot(), "v"), false);
    // A segment that finds no room gives back what it had.
    let until = Instant::now() + PATIENCE;
    while segments(store.path()).len() < 2 {
        assert!(Instant::now() < until, "no second segment");
    }
    disk.fill().unwrap();
    store.flush().unwrap_err();
    disk.relieve().unwrap();
    // RocksDB does not know of the room yet.
    commit(&store, 0, &key("after"), &register(next_ballot(), "v"), false);
    assert!(!store.is_poisoned());
    assert_eq!(whole_up_to(&store), 2);
}
