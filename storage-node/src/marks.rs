//! How far each shard's writes have come.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use roundtable_consensus::Ticket;

/// Two marks for each shard, and what is to become of the second.
#[derive(Debug)]
pub(crate) struct Marks {
    shards: Box<[Marked]>,
    /// Commits that readers of the store may not find yet: number, shard, last ticket; in their order.
    unfound: Mutex<VecDeque<(u64, u16, Ticket)>>,
}

#[derive(Debug, Default)]
struct Marked {
    durable: AtomicU64,
    found: AtomicU64,
}

impl Marks {
    pub(crate) fn new(shards: u16) -> Self {
        Self { shards: (0..shards).map(|_| Marked::default()).collect(), unfound: Mutex::default() }
    }

    /// Everything up to this ticket is durable: what rests on it may be told.
    pub(crate) fn durable(&self, shard: u16) -> Ticket {
        self.get(shard, |marked| &marked.durable)
    }

    /// Everything up to this ticket is found by readers of the store.
    pub(crate) fn found(&self, shard: u16) -> Ticket {
        self.get(shard, |marked| &marked.found)
    }

    /// The shard's writes up to this ticket are durable by this commit.
    pub(crate) fn note_durable(&self, commit: u64, shard: u16, ticket: Ticket) {
        self.unfound.lock().unwrap_or_else(PoisonError::into_inner).push_back((commit, shard, ticket));
        self.set(shard, ticket, |marked| &marked.durable);
    }

    /// Readers of the store find all commits up to this one.
    pub(crate) fn note_found(&self, applied: u64) {
        let mut unfound = self.unfound.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some((commit, shard, ticket)) = unfound.front()
            && *commit <= applied
        {
            self.set(*shard, *ticket, |marked| &marked.found);
            unfound.pop_front();
        }
    }

    fn get(&self, shard: u16, mark: impl Fn(&Marked) -> &AtomicU64) -> Ticket {
        let marked = self.shards.get(usize::from(shard));
        Ticket(marked.map_or(0, |marked| mark(marked).load(Ordering::Acquire)))
    }

    fn set(&self, shard: u16, ticket: Ticket, mark: impl Fn(&Marked) -> &AtomicU64) {
        if let Some(marked) = self.shards.get(usize::from(shard)) {
            mark(marked).store(ticket.0, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_durable_is_found_when_its_commit_was_applied() {
        let marks = Marks::new(2);
        for (commit, shard, ticket) in [(1, 0, 1), (1, 1, 4), (2, 0, 2)] {
            marks.note_durable(commit, shard, Ticket(ticket));
        }
        let both = |shard| (marks.durable(shard), marks.found(shard));
        assert_eq!((both(0), both(1)), ((Ticket(2), Ticket::NONE), (Ticket(4), Ticket::NONE)));
        marks.note_found(1);
        assert_eq!((both(0), both(1)), ((Ticket(2), Ticket(1)), (Ticket(4), Ticket(4))));
        marks.note_found(5);
        assert_eq!(both(0), (Ticket(2), Ticket(2)));
        assert_eq!(both(7), (Ticket::NONE, Ticket::NONE), "there is no such shard");
    }
}
