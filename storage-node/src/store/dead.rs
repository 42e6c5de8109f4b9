//! How much of the database is dead: values that were replaced or deleted, and lie there until a compaction meets both
//! them and what replaced them.
//!
//! Counted when a commit is made, exactly, because whoever decided it knew the value that it replaced. What a start
//! finds is estimated; see [`super::Store::open`].

use std::sync::atomic::{AtomicU64, Ordering};

/// Dead bytes by the family that holds them, since each was last merged.
#[derive(Debug, Default)]
pub(super) struct DeadBytes {
    values: AtomicU64,
    registers: AtomicU64,
}

impl DeadBytes {
    /// A value of so many bytes was replaced; `spilled` tells where it lies.
    pub(super) fn add(&self, spilled: bool, bytes: u32) {
        self.of(spilled).fetch_add(bytes.into(), Ordering::Relaxed);
    }

    /// Counts more, of what was not replaced by a commit of this process.
    pub(super) fn add_found(&self, spilled: bool, bytes: u64) {
        self.of(spilled).fetch_add(bytes, Ordering::Relaxed);
    }

    /// The count.
    pub(super) fn get(&self, spilled: bool) -> u64 {
        self.of(spilled).load(Ordering::Relaxed)
    }

    /// Begins anew, and returns the count so far.
    pub(super) fn take(&self, spilled: bool) -> u64 {
        self.of(spilled).swap(0, Ordering::Relaxed)
    }

    fn of(&self, spilled: bool) -> &AtomicU64 {
        if spilled { &self.values } else { &self.registers }
    }
}
