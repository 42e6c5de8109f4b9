//! Which keys exist when the load itself inserts some.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Keys are inserted in the order of their numbers, several at once; those below the first whose insert has not ended
/// may be read. An insert that failed has ended too: its key is then found missing.
#[derive(Debug)]
pub(crate) struct Inserts {
    next: AtomicU64,
    readable: AtomicU64,
    ended_beyond: Mutex<BTreeSet<u64>>,
}

impl Inserts {
    /// After the first `count` keys, which exist already.
    pub(crate) fn new(count: u64) -> Self {
        Self {
            next: AtomicU64::new(count),
            readable: AtomicU64::new(count),
            ended_beyond: Mutex::new(BTreeSet::new()),
        }
    }

    /// The key to insert next.
    pub(crate) fn begin(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// An insert was answered, or failed.
    pub(crate) fn end(&self, key: u64) {
        let mut beyond = self.ended_beyond.lock().unwrap_or_else(PoisonError::into_inner);
        beyond.insert(key);
        let mut readable = self.readable.load(Ordering::Relaxed);
        while beyond.remove(&readable) {
            readable += 1;
        }
        self.readable.store(readable, Ordering::Relaxed);
    }

    /// The end of the keys whose inserts have begun.
    pub(crate) fn begun(&self) -> u64 {
        self.next.load(Ordering::Relaxed)
    }

    /// How many keys may be read, from the first on.
    pub(crate) fn readable(&self) -> u64 {
        self.readable.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_is_readable_once_all_before_it_have_ended() {
        let inserts = Inserts::new(10);
        let keys = [inserts.begin(), inserts.begin(), inserts.begin()];
        assert_eq!(keys, [10, 11, 12]);
        inserts.end(11);
        inserts.end(12);
        assert_eq!(inserts.readable(), 10);
        inserts.end(10);
        assert_eq!(inserts.readable(), 13);
    }
}
