//! Registers accepted and not yet known to be durable.
//!
//! Between the decision to accept and the end of the sync that makes it durable, the disk still tells the older
//! register. Decisions must rest on the newer one, so it stands here, over the disk; and whatever is answered about
//! it waits for its [`Ticket`].

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::boundary::Ticket;
use crate::key::Key;
use crate::register::Register;

/// One register on its way to the disk.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Pending {
    pub(crate) register: Arc<Register>,
    pub(crate) spilled: bool,
    pub(crate) ticket: Ticket,
}

/// The registers on their way, by key and in the order of their tickets.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Overlay {
    newest: BTreeMap<Key, Pending>,
    order: VecDeque<(Ticket, Key)>,
}

impl Overlay {
    pub(crate) fn get(&self, key: &Key) -> Option<&Pending> {
        self.newest.get(key)
    }

    pub(crate) fn len(&self) -> usize {
        self.newest.len()
    }

    /// Puts a register over the disk's.
    pub(crate) fn insert(&mut self, key: Key, pending: Pending) {
        if let Some(older) = self.newest.get(&key) {
            let (from, to) = (older.register.accepted, pending.register.accepted);
            assert!(from < to, "the accepted ballot would go from {from} to {to}");
            assert!(older.ticket < pending.ticket, "tickets would go down");
        }
        self.order.push_back((pending.ticket, key.clone()));
        self.newest.insert(key, pending);
    }

    /// Everything up to `ticket` is durable: the disk tells it from now on. A key that was accepted again since
    /// stays.
    pub(crate) fn committed(&mut self, ticket: Ticket) {
        while let Some((written, key)) = self.order.front()
            && *written <= ticket
        {
            if self.newest.get(key).is_some_and(|pending| pending.ticket <= ticket) {
                self.newest.remove(key);
            }
            self.order.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ballot::{Ballot, Hlc};

    fn pending(number: u64, ticket: u64) -> Pending {
        let mut register = Register::absent(Ballot::ZERO);
        register.accepted = Ballot::floor_of(Hlc(number));
        Pending { register: Arc::new(register), spilled: false, ticket: Ticket(ticket) }
    }

    #[test]
    fn overlay_keeps_a_key_until_its_newest_register_is_durable() {
        let (a, b) = (Key::new("a").unwrap(), Key::new("b").unwrap());
        let mut overlay = Overlay::default();
        overlay.insert(a.clone(), pending(1, 1));
        overlay.insert(b.clone(), pending(1, 2));
        overlay.insert(a.clone(), pending(2, 3));
        overlay.committed(Ticket(2));
        assert_eq!(overlay.get(&a).unwrap().ticket, Ticket(3));
        assert_eq!(overlay.get(&b), None);
        overlay.committed(Ticket(3));
        assert_eq!(overlay, Overlay::default(), "nothing is left behind");
    }

    #[test]
    #[should_panic(expected = "the accepted ballot would go")]
    fn overlay_a_ballot_that_does_not_rise_stops_the_process() {
        let mut overlay = Overlay::default();
        overlay.insert(Key::new("a").unwrap(), pending(2, 1));
        overlay.insert(Key::new("a").unwrap(), pending(2, 2));
    }
}
