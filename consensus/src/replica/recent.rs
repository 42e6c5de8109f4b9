//! Registers that are known without the disk.
//!
//! Between the decision to accept and the moment when it is durable and readers of the disk find it, the disk still
//! tells the older register. Decisions must rest on the newer one, so it stands here, over the disk; and whatever is
//! answered about it waits for its [`Ticket`].
//!
//! Once it is durable it may stay: it is what the disk tells, at the price of one look-up in a table. What was read
//! from the disk is kept for the same reason. There is room for a number of bytes of such registers; the oldest go,
//! those aside that were asked for since they were last looked at (the *second chance* or *clock* algorithm; F. J.
//! Corbató, "A Paging Experiment with the Multics System", 1969). Registers whose values are stored apart are not
//! kept: the values are long, and most questions don't ask for them.

use std::collections::VecDeque;
use std::num::NonZeroU64;
use std::sync::Arc;

use super::boundary::Ticket;
use crate::key::Key;
use crate::key_map::KeyMap;
use crate::register::Register;

/// One key's register.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Known {
    pub(super) register: Arc<Register>,
    pub(super) spilled: bool,
    /// When it is durable.
    pub(super) ticket: Ticket,
}

/// The registers on their way to the disk, and as many of the others as there is room for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Recent {
    entries: KeyMap<Entry>,
    /// Tickets and hashes of the keys of every register on its way, those accepted again since included, in the order of
    /// their tickets.
    under_way: VecDeque<(Ticket, u64)>,
    /// Keys with a register on its way.
    pending: usize,
    kept: Kept,
}

/// The order of the kept, and their bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Kept {
    /// Places and hashes of keys, the next to be looked at first; stale where no entry has the place any more.
    order: VecDeque<(Place, u64)>,
    next_place: Place,
    bytes: usize,
    bytes_max: usize,
}

/// When an entry began to be kept; no two have one. Never zero, so that none takes no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Place(NonZeroU64);

impl Kept {
    /// Gives a place, and counts the bytes.
    fn add(&mut self, key_hash: u64, bytes: usize) -> (Place, usize) {
        let place = self.next_place;
        self.next_place = Place(place.0.saturating_add(1));
        self.order.push_back((place, key_hash));
        self.bytes += bytes;
        (place, bytes)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Entry {
    known: Known,
    /// The register is not known to be durable.
    is_pending: bool,
    /// What is kept: its place, and the bytes that it counts for.
    kept: Option<(Place, usize)>,
    /// Asked for since it was last looked at.
    was_used: bool,
}

impl Entry {
    fn is_at(&self, place: Place) -> bool {
        self.kept.is_some_and(|(own, _)| own == place)
    }
}

impl Recent {
    /// What a kept register is counted for beside key, value and history: entry, queue and reference counts.
    pub(super) const ENTRY_BYTES: usize = 384;

    /// Keeps nothing beyond what is on its way when `kept_bytes_max` is 0.
    pub(super) fn new(kept_bytes_max: usize) -> Self {
        Self {
            entries: KeyMap::default(),
            under_way: VecDeque::new(),
            pending: 0,
            kept: Kept {
                order: VecDeque::new(),
                next_place: Place(NonZeroU64::MIN),
                bytes: 0,
                bytes_max: kept_bytes_max,
            },
        }
    }

    pub(super) fn get(&self, key_hash: u64, key: &Key) -> Option<&Known> {
        self.entries.get(key_hash, key).map(|entry| &entry.known)
    }

    /// Like [`Self::get`], for an answer: it will be kept for longer.
    pub(super) fn use_of(&mut self, key_hash: u64, key: &Key) -> Option<&Known> {
        let entry = self.entries.get_mut(key_hash, key)?;
        entry.was_used = true;
        Some(&entry.known)
    }

    /// All that is known, in no order.
    #[cfg(test)]
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Key, &Known)> {
        self.entries.iter().map(|(key, entry)| (key, &entry.known))
    }

    /// Keys with a register on its way.
    pub(super) fn pending(&self) -> usize {
        self.pending
    }

    /// Bytes that the kept registers count for.
    pub(super) fn kept_bytes(&self) -> usize {
        self.kept.bytes
    }

    /// Whether a register is worth a copy of its own: one that keeps no message alive.
    pub(super) fn keeps(&self, spilled: bool) -> bool {
        self.kept.bytes_max > 0 && !spilled
    }

    /// Puts a register over the disk's.
    pub(super) fn insert(&mut self, key_hash: u64, key: &Key, known: Known) {
        let ticket = known.ticket;
        if let Some(entry) = self.entries.get_mut(key_hash, key) {
            let (from, to) = (entry.known.register.accepted, known.register.accepted);
            assert!(from < to, "the accepted ballot would go from {from} to {to}");
            assert!(entry.known.ticket < ticket, "tickets would go down");
            self.pending += usize::from(!entry.is_pending);
            (entry.known, entry.is_pending, entry.was_used) = (known, true, true);
        } else {
            let entry = Entry { known, is_pending: true, kept: None, was_used: false };
            // Never the caller's key: it may be a slice of a message, and this one stays.
            self.entries.insert_new(key_hash, key.detached(), entry);
            self.pending += 1;
        }
        self.under_way.push_back((ticket, key_hash));
    }

    /// Keeps what the disk tells. The key must have no register here.
    pub(super) fn keep(&mut self, key_hash: u64, key: &Key, register: &Arc<Register>) {
        let key = key.detached();
        let known = Known { register: Arc::clone(register), spilled: false, ticket: Ticket::NONE };
        let kept = Some(self.kept.add(key_hash, cost(&key, register)));
        let entry = Entry { known, is_pending: false, kept, was_used: false };
        self.entries.insert_new(key_hash, key, entry);
    }

    /// Everything up to `ticket` is durable: the disk tells it from now on. A key that was accepted again since
    /// stays, others stay while there is room.
    pub(super) fn committed(&mut self, ticket: Ticket) {
        while let Some(&(written, key_hash)) = self.under_way.front()
            && written <= ticket
        {
            self.under_way.pop_front();
            self.settle(written, key_hash);
        }
        self.make_room();
    }

    /// Keeps or drops a register that became durable, unless a later one is on its way.
    fn settle(&mut self, written: Ticket, key_hash: u64) {
        let keeps_inline = self.keeps(false);
        let is_it = |entry: &Entry| entry.is_pending && entry.known.ticket == written;
        let Some((key, entry)) = self.entries.find_mut(key_hash, is_it) else { return };
        self.pending -= 1;
        if keeps_inline && !entry.known.spilled {
            entry.is_pending = false;
            let bytes = cost(key, &entry.known.register);
            if let Some((_, counted)) = &mut entry.kept {
                self.kept.bytes = self.kept.bytes - *counted + bytes;
                *counted = bytes;
            } else {
                entry.kept = Some(self.kept.add(key_hash, bytes));
            }
        } else {
            self.remove(key_hash, is_it);
        }
    }

    fn make_room(&mut self) {
        while self.kept.bytes > self.kept.bytes_max
            && let Some((place, key_hash)) = self.kept.order.pop_front()
        {
            let Some((_, entry)) = self.entries.find_mut(key_hash, |entry| entry.is_at(place)) else {
                continue;
            };
            if entry.is_pending {
                // It is kept anew when it is durable.
                self.kept.bytes -= entry.kept.take().map_or(0, |(_, bytes)| bytes);
                entry.was_used = true;
            } else if std::mem::take(&mut entry.was_used) {
                self.kept.order.push_back((place, key_hash));
            } else {
                self.remove(key_hash, |entry| entry.is_at(place));
            }
        }
        // Entries that were dropped before their turn leave their places behind.
        if self.kept.order.len() > 2 * self.entries.len() + 64 {
            let entries = &self.entries;
            self.kept
                .order
                .retain(|(place, key_hash)| entries.find(*key_hash, |entry| entry.is_at(*place)).is_some());
        }
    }

    fn remove(&mut self, key_hash: u64, is_it: impl Fn(&Entry) -> bool) {
        if let Some(Entry { kept: Some((_, bytes)), .. }) = self.entries.remove_found(key_hash, is_it) {
            self.kept.bytes -= bytes;
        }
    }
}

fn cost(key: &Key, register: &Register) -> usize {
    Recent::ENTRY_BYTES + key.as_bytes().len() + register.memory_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ballot::{Ballot, Hlc};

    fn key(number: u64) -> Key {
        Key::new(format!("k{number}")).unwrap()
    }

    fn register(number: u64) -> Arc<Register> {
        let mut register = Register::absent(Ballot::ZERO);
        register.accepted = Ballot::floor_of(Hlc(number));
        Arc::new(register)
    }

    fn known(number: u64, ticket: u64) -> Known {
        Known { register: register(number), spilled: false, ticket: Ticket(ticket) }
    }

    fn accepted(recent: &Recent, number: u64) -> Option<u64> {
        recent.get(number, &key(number)).map(|known| known.register.accepted.hlc.0)
    }

    /// Room for this many of the tests' registers.
    fn room(registers: usize) -> Recent {
        Recent::new(registers * (Recent::ENTRY_BYTES + 3))
    }

    #[test]
    fn recent_without_room_keeps_a_key_until_its_newest_register_is_durable() {
        let mut recent = Recent::new(0);
        recent.insert(1, &key(1), known(1, 1));
        recent.insert(2, &key(2), known(1, 2));
        recent.insert(1, &key(1), known(2, 3));
        assert_eq!(recent.pending(), 2);
        recent.committed(Ticket(2));
        assert_eq!((accepted(&recent, 1), accepted(&recent, 2), recent.pending()), (Some(2), None, 1));
        recent.committed(Ticket(3));
        assert_eq!(recent, Recent::new(0), "nothing is left behind");
    }

    #[test]
    fn recent_registers_stay_while_there_is_room_the_oldest_go_and_what_was_used_stays_longer() {
        let mut recent = room(10);
        for number in 0..10 {
            recent.insert(number, &key(number), known(number + 1, number + 1));
        }
        recent.committed(Ticket(10));
        assert_eq!((recent.pending(), (0..10).filter_map(|n| accepted(&recent, n)).count()), (0, 10));
        recent.use_of(0, &key(0)).unwrap();
        recent.keep(10, &key(10), &register(1));
        recent.keep(11, &key(11), &register(1));
        assert_eq!(accepted(&recent, 1), Some(2), "nothing is dropped before the next commit is noted");
        recent.committed(Ticket(10));
        let left: Vec<u64> = (0..12).filter(|n| accepted(&recent, *n).is_some()).collect();
        assert_eq!(left, [0, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
        assert!(recent.kept_bytes() <= recent.kept.bytes_max);
    }

    #[test]
    fn recent_registers_on_their_way_never_go_for_lack_of_room() {
        let mut recent = room(1);
        for number in 0..3 {
            recent.insert(number, &key(number), known(1, number + 1));
        }
        recent.committed(Ticket(1));
        recent.insert(0, &key(0), known(2, 4));
        recent.keep(9, &key(9), &register(1));
        recent.committed(Ticket(2));
        assert_eq!((accepted(&recent, 0), accepted(&recent, 2), recent.pending()), (Some(2), Some(1), 2));
        recent.committed(Ticket(4));
        assert_eq!(recent.pending(), 0);
        assert_eq!((0..10).filter(|n| accepted(&recent, *n).is_some()).count(), 1);
    }

    #[test]
    fn recent_registers_with_values_apart_are_not_kept_and_leave_nothing_behind() {
        let mut recent = room(10);
        let mut ticket = 0;
        for round in 0..1_000 {
            for spilled in [false, true] {
                ticket += 1;
                let register = Known { spilled, ..known(2 * round + u64::from(spilled) + 1, ticket) };
                recent.insert(0, &key(0), register);
                recent.committed(Ticket(ticket));
                assert_eq!(accepted(&recent, 0).is_none(), spilled);
            }
        }
        assert_eq!(recent.kept_bytes(), 0);
        assert!(recent.kept.order.len() <= 65, "{} places are left behind", recent.kept.order.len());
    }

    #[test]
    fn recent_registers_of_one_hash_become_durable_and_go_each_by_itself() {
        let (mut without_room, mut recent) = (Recent::new(0), room(1));
        for table in [&mut without_room, &mut recent] {
            table.insert(7, &key(1), known(1, 1));
            table.insert(7, &key(2), known(1, 1));
            table.insert(7, &key(1), known(2, 2));
            table.committed(Ticket(1));
            assert_eq!(table.pending(), 1, "the later register of the first key");
            table.committed(Ticket(2));
            assert_eq!(table.pending(), 0);
        }
        assert_eq!(without_room, Recent::new(0), "nothing is left behind");
        let left =
            [1, 2].map(|number| recent.get(7, &key(number)).map(|known| known.register.accepted.hlc.0));
        assert_eq!(left, [Some(2), None], "the older went");
    }

    #[test]
    fn recent_registers_keep_no_message_alive() {
        let mut recent = room(10);
        let message = bytes::Bytes::from(b"a whole message".to_vec());
        // Written again before the first is durable, and kept when the second is.
        for number in 1..=2 {
            let key = Key::new(message.slice(2..7)).unwrap();
            recent.insert(0, &key, known(number, number));
        }
        recent.committed(Ticket(1));
        recent.committed(Ticket(2));
        recent.keep(1, &Key::new(message.slice(8..)).unwrap(), &register(1));
        assert_eq!(recent.kept.order.len(), 2);
        assert!(message.is_unique(), "a key holds on to it");
    }

    #[test]
    #[should_panic(expected = "the accepted ballot would go")]
    fn recent_ballot_that_does_not_rise_stops_the_process() {
        let mut recent = Recent::new(0);
        recent.insert(1, &key(1), known(2, 1));
        recent.insert(1, &key(1), known(2, 2));
    }
}
