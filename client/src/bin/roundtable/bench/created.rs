//! Which keys a run made, to remove them in the end.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::bench::connection::CallError;

/// Words of 64 keys that are allocated at once, when the first of their keys is made.
const CHUNK_WORDS: u64 = 1024;
const CHUNK_KEYS: u64 = CHUNK_WORDS * 64;

/// A set of the keys below a number; those from it on are inserted by the run itself, in order.
#[derive(Debug)]
pub(crate) struct Created {
    chunks: Box<[OnceLock<Box<[AtomicU64]>>]>,
    keys: u64,
}

impl Created {
    /// None of so many keys.
    pub(crate) fn new(keys: u64) -> Self {
        Self { chunks: (0..keys.div_ceil(CHUNK_KEYS)).map(|_| OnceLock::new()).collect(), keys }
    }

    /// A key is about to be written.
    pub(crate) fn begin(&self, key: u64) -> Creating<'_> {
        Creating { created: self, key, is_settled: false }
    }

    fn add(&self, key: u64) {
        if key >= self.keys {
            return;
        }
        let Some(chunk) = self.chunks.get(index(key / CHUNK_KEYS)) else { return };
        let chunk = chunk.get_or_init(|| (0..CHUNK_WORDS).map(|_| AtomicU64::new(0)).collect());
        if let Some(word) = chunk.get(index(key % CHUNK_KEYS / 64)) {
            word.fetch_or(1 << (key % 64), Ordering::Relaxed);
        }
    }

    /// The first key from `key` on that was made; `inserted_until` is the end of those that the run inserted.
    pub(crate) fn next(&self, mut key: u64, inserted_until: u64) -> Option<u64> {
        while key < self.keys {
            match self.chunks.get(index(key / CHUNK_KEYS)).and_then(OnceLock::get) {
                None => key = self.keys.min((key / CHUNK_KEYS + 1) * CHUNK_KEYS),
                Some(chunk) => {
                    let word = chunk.get(index(key % CHUNK_KEYS / 64))?.load(Ordering::Relaxed);
                    match (word >> (key % 64)).trailing_zeros() {
                        64 => key = self.keys.min((key / 64 + 1) * 64),
                        zeros => return Some(key + u64::from(zeros)),
                    }
                }
            }
        }
        Some(key).filter(|key| *key < inserted_until)
    }

    /// How many were made.
    pub(crate) fn count(&self, inserted_until: u64) -> u64 {
        let words = self.chunks.iter().filter_map(OnceLock::get).flatten();
        let below: u64 = words.map(|word| u64::from(word.load(Ordering::Relaxed).count_ones())).sum();
        below + inserted_until.saturating_sub(self.keys)
    }
}

fn index(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// A write under way. Unless it turns out that it made no key, it may have made one: also when it is dropped.
#[derive(Debug)]
pub(crate) struct Creating<'a> {
    created: &'a Created,
    key: u64,
    is_settled: bool,
}

impl Creating<'_> {
    /// The write's answer.
    pub(crate) fn end(mut self, called: &Result<u16, CallError>) {
        // Created, or in doubt; every other answer replaced a value, or refused the write.
        self.is_settled = !matches!(
            called,
            Ok(201 | 500 | 502 | 504) | Err(CallError::Lost | CallError::TimedOut | CallError::Unreadable)
        );
    }
}

impl Drop for Creating<'_> {
    fn drop(&mut self) {
        if !self.is_settled {
            self.created.add(self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(created: &Created, inserted_until: u64) -> Vec<u64> {
        let mut found = Vec::new();
        let mut next = created.next(0, inserted_until);
        while let Some(key) = next {
            found.push(key);
            next = created.next(key + 1, inserted_until);
        }
        assert_eq!(created.count(inserted_until), found.len() as u64);
        found
    }

    #[test]
    fn made_keys_and_those_in_doubt_are_remembered() {
        let created = Created::new(1_000_000);
        let ends = [
            (0, Ok(201)),
            (5, Ok(204)),
            (63, Ok(504)),
            (64, Err(CallError::Lost)),
            (70, Err(CallError::Connect)),
            (71, Ok(503)),
            (CHUNK_KEYS * 3, Ok(201)),
            (999_999, Err(CallError::TimedOut)),
        ];
        for (key, called) in ends {
            created.begin(key).end(&called);
        }
        drop(created.begin(200));
        assert_eq!(all(&created, 1_000_000), [0, 63, 64, 200, CHUNK_KEYS * 3, 999_999]);
    }

    #[test]
    fn inserted_keys_are_all_the_runs_own() {
        let created = Created::new(3);
        assert!(all(&created, 3).is_empty());
        created.begin(1).end(&Ok(201));
        created.begin(4).end(&Ok(201));
        assert_eq!(all(&created, 6), [1, 3, 4, 5]);
    }
}
