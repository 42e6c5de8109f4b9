//! What stands for a key now, seen through the layers: recent registers, note of a promise, disk.

use std::sync::Arc;

use super::Replica;
use super::boundary::{Conditions, Lookup, Ticket};
use crate::ballot::Ballot;
use crate::ids::PartitionId;
use crate::key::Key;
use crate::promise::{Head, PromiseTable};
use crate::register::{Content, Register};

/// Where a request's key belongs.
pub(super) struct Place {
    pub(super) partition: PartitionId,
    pub(super) key: Key,
    pub(super) key_hash: u64,
}

/// A register as decisions see it: the one on its way to the disk, or the disk's.
pub(super) struct Current {
    pub(super) register: Arc<Register>,
    pub(super) spilled: bool,
    /// When it is durable.
    pub(super) ticket: Ticket,
}

impl<P: PromiseTable> Replica<P> {
    /// The key's register, from the recent ones or the lookup, which becomes one of them.
    pub(super) fn current(
        &mut self,
        conditions: &Conditions,
        place: &Place,
        lookup: Option<Lookup>,
    ) -> Option<Current> {
        if let Some(known) = self.recent.use_of(place.key_hash, &place.key) {
            let register = Arc::clone(&known.register);
            return Some(Current { register, spilled: known.spilled, ticket: known.ticket });
        }
        let Some(stored) = lookup?.stored else {
            let register = Arc::new(Register::absent(conditions.purge_floor));
            return Some(Current { register, spilled: false, ticket: Ticket::NONE });
        };
        let (register, spilled) = (Arc::new(stored.register), stored.spilled);
        if self.recent.keeps(spilled) && !matches!(register.content, Content::Withheld { .. }) {
            self.recent.keep(place.key_hash, &place.key, &register);
        }
        Some(Current { register, spilled, ticket: Ticket::NONE })
    }

    pub(super) fn must_find(
        &mut self,
        conditions: &Conditions,
        place: &Place,
        lookup: Option<Lookup>,
    ) -> Current {
        let current = self.current(conditions, place, lookup);
        current.unwrap_or_else(|| panic!("a read came without the register that read_needed asked for"))
    }

    /// What an Accept at `ballot` would replace: from the recent registers, the lookup, or the note of a
    /// promise.
    pub(super) fn current_head(
        &self,
        conditions: &Conditions,
        place: &Place,
        ballot: Ballot,
        lookup: Option<Lookup>,
    ) -> Option<(Head, Ticket)> {
        if let Some(known) = self.recent.get(place.key_hash, &place.key) {
            return Some((Head::of(&known.register, known.spilled), known.ticket));
        }
        let Some(lookup) = lookup else {
            return Some((self.noted_head(conditions, ballot, place.key_hash, &place.key)?, Ticket::NONE));
        };
        let head = lookup.stored.map(|stored| Head::of(&stored.register, stored.spilled)).unwrap_or_default();
        self.check_note(conditions, place, &head);
        Some((head, Ticket::NONE))
    }

    /// What a promise noted of the key's register. It still stands there, whatever the promised ballot: every Accept
    /// that replaces a register replaces or removes the key's promise. Only a purge doesn't, so below the purge
    /// floor the disk must be asked.
    pub(super) fn noted_head(
        &self,
        conditions: &Conditions,
        ballot: Ballot,
        key_hash: u64,
        key: &Key,
    ) -> Option<Head> {
        if ballot <= conditions.purge_floor {
            return None;
        }
        self.promises.get(key_hash, key).map(|promise| promise.found)
    }

    /// A note and a look at the register must agree: otherwise one of them is stale, and a decision would be unsafe.
    pub(super) fn check_note(&self, conditions: &Conditions, place: &Place, head: &Head) {
        if let Some(promise) = self.promises.get(place.key_hash, &place.key) {
            let (noted, stands) = (promise.found.accepted, head.accepted);
            let purged = stands.is_zero() && noted <= conditions.purge_floor;
            assert!(purged || noted == stands, "{noted} was noted where {stands} stands");
        }
    }
}
