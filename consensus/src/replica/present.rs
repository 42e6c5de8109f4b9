//! What stands for a key now, seen through the layers: overlay, note of a promise, disk.

use super::Replica;
use super::boundary::{Conditions, Lookup, Ticket};
use crate::ballot::Ballot;
use crate::ids::PartitionId;
use crate::key::Key;
use crate::promise::{Head, PromiseTable};
use crate::register::Register;

/// Where a request's key belongs.
pub(super) struct Place {
    pub(super) partition: PartitionId,
    pub(super) key: Key,
    pub(super) key_hash: u64,
}

/// A register as decisions see it: the one on its way to the disk, or the disk's.
pub(super) struct Current {
    pub(super) register: Register,
    pub(super) spilled: bool,
    /// When it is durable.
    pub(super) ticket: Ticket,
}

impl<P: PromiseTable> Replica<P> {
    /// The key's register, from the overlay or the lookup.
    pub(super) fn current(
        &self,
        conditions: &Conditions,
        key: &Key,
        lookup: Option<Lookup>,
    ) -> Option<Current> {
        if let Some(pending) = self.overlay.get(key) {
            let register = Register::clone(&pending.register);
            return Some(Current { register, spilled: pending.spilled, ticket: pending.ticket });
        }
        let (register, spilled) = match lookup?.stored {
            Some(stored) => (stored.register, stored.spilled),
            None => (Register::absent(conditions.purge_floor), false),
        };
        Some(Current { register, spilled, ticket: Ticket::NONE })
    }

    pub(super) fn must_find(&self, conditions: &Conditions, key: &Key, lookup: Option<Lookup>) -> Current {
        let current = self.current(conditions, key, lookup);
        current.unwrap_or_else(|| panic!("a read came without the register that read_needed asked for"))
    }

    /// What an Accept at `ballot` would replace: from the overlay, the lookup, or the note of a promise.
    pub(super) fn current_head(
        &self,
        conditions: &Conditions,
        place: &Place,
        ballot: Ballot,
        lookup: Option<Lookup>,
    ) -> Option<(Head, Ticket)> {
        if let Some(pending) = self.overlay.get(&place.key) {
            return Some((Head::of(&pending.register, pending.spilled), pending.ticket));
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
