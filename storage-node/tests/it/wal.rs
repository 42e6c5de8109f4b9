//! Damage to the write-ahead log: an incomplete end is tolerated, anything else refused.

use std::fs;
use std::path::{Path, PathBuf};

use roundtable_consensus::PartitionId;
use roundtable_node::store::{OpenError, Store};

use crate::support::{commit, key, next_ballot, open, register, try_open};

const COMMITS: u16 = 100;

/// A directory whose commits all lie in the write-ahead log, and the log's file.
fn directory_with_log(dir: &Path, value_bytes: usize) -> PathBuf {
    let store = open(dir);
    for number in 0..COMMITS {
        commit(
            &store,
            0,
            &key(&format!("{number:03}")),
            &register(next_ballot(), vec![b'v'; value_bytes]),
            false,
        );
    }
    drop(store);
    let logs = fs::read_dir(dir.join("db")).unwrap().map(|entry| entry.unwrap().path());
    let mut logs: Vec<PathBuf> =
        logs.filter(|path| path.extension().is_some_and(|kind| kind == "log")).collect();
    logs.sort();
    logs.pop().unwrap()
}

fn assert_whole_up_to_a_point(store: &Store) -> u16 {
    let entries = store.read_log(1, 1000).unwrap();
    let count = u16::try_from(entries.len()).unwrap();
    for (number, entry) in (1..).zip(&entries) {
        assert_eq!(entry.seq, number);
        let head = store.read_heads(&[(PartitionId(0), &entry.key)]).remove(0).unwrap().unwrap();
        assert_eq!(head.register.accepted, entry.accepted);
    }
    count
}

#[test]
fn log_cut_anywhere_near_its_end_loses_its_last_commits_only() {
    for cut_bytes in [1, 5, 17, 100, 1000] {
        let dir = tempfile::tempdir().unwrap();
        let log = directory_with_log(dir.path(), 50);
        let file = fs::OpenOptions::new().write(true).open(&log).unwrap();
        file.set_len(file.metadata().unwrap().len() - cut_bytes).unwrap();
        let store = open(dir.path());
        let kept = assert_whole_up_to_a_point(&store);
        assert!((COMMITS - 10..COMMITS).contains(&kept), "{kept} of {COMMITS} after a cut of {cut_bytes}");
    }
}

#[test]
fn log_with_a_changed_byte_in_the_middle_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let log = directory_with_log(dir.path(), 2000);
    let mut bytes = fs::read(&log).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&log, bytes).unwrap();
    let told = try_open(dir.path()).unwrap_err();
    assert!(matches!(told, OpenError::Database { .. } | OpenError::Wal(_)), "{told}");
    assert!(told.to_string().to_lowercase().contains("corrupt"), "{told}");
}

#[test]
fn log_with_a_wrong_length_in_its_last_block_is_refused() {
    // Recovery alone would take this for an incomplete end and drop every commit behind it in silence.
    let dir = tempfile::tempdir().unwrap();
    let log = directory_with_log(dir.path(), 50);
    let mut bytes = fs::read(&log).unwrap();
    assert!(bytes.len() < 32 * 1024, "all in one block");
    let mut at = 0;
    for _ in 0..20 {
        at += 7 + usize::from(u16::from_le_bytes([bytes[at + 4], bytes[at + 5]]));
    }
    bytes[at + 5] |= 0x70;
    fs::write(&log, bytes).unwrap();
    let told = try_open(dir.path()).unwrap_err();
    assert!(matches!(told, OpenError::Wal(_)), "{told}");
}

#[test]
fn log_with_a_zeroed_page_in_its_middle_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let log = directory_with_log(dir.path(), 2000);
    let mut bytes = fs::read(&log).unwrap();
    let page = bytes.len() / 2 / 4096 * 4096;
    bytes[page..page + 4096].fill(0);
    fs::write(&log, bytes).unwrap();
    assert!(try_open(dir.path()).is_err());
}

#[test]
fn log_that_vanished_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    fs::remove_file(directory_with_log(dir.path(), 50)).unwrap();
    let told = try_open(dir.path()).unwrap_err();
    assert!(matches!(told, OpenError::Wal(_)) && told.to_string().contains("missing"), "{told}");
}
