//! The head starts that a coordinator holds: which keys' next rounds may begin at their Accept.

use std::collections::VecDeque;
use std::sync::Arc;

use super::entries::HashedKey;
use super::guesses::Guesses;
use crate::ballot::Ballot;
use crate::key::Key;
use crate::key_map::KeyMap;
use crate::quorum::ReplicaSet;
use crate::round::HeadStart;

/// Values up to this many bytes are kept, for counters and conditions' identity rounds; longer ones are withheld.
const VALUE_BYTES_MAX: usize = 256;
/// What an entry costs beside its key, value and history, about.
const ENTRY_BYTES: usize = 480;
/// So many places of head starts that are gone stay in the order, however few there are.
const ORDER_PLACES_MIN: usize = 1_024;

/// Head starts by key, bounded in bytes: the oldest go first. Losing one costs a round trip and nothing else.
#[derive(Debug)]
pub(super) struct HeadStarts {
    /// Boxed: a table grows to twice its entries.
    held: KeyMap<Box<Held>>,
    /// In the order of their coming; up to half of them were used or replaced.
    order: VecDeque<Place>,
    bytes: usize,
    /// What became of those that were asked for on a guess.
    pub(super) guesses: Guesses,
}

#[derive(Debug)]
struct Place {
    ballot: Ballot,
    key_hash: u64,
}

impl Place {
    /// Whether this came then.
    fn is_of(&self, held: &Held) -> bool {
        held.head_start.ballot == self.ballot
    }

    /// What came then, if it is there still.
    fn stands_for<'a>(&self, held: &'a KeyMap<Box<Held>>) -> Option<&'a Held> {
        held.find(self.key_hash, |held| self.is_of(held)).map(|held| &**held)
    }
}

#[derive(Debug)]
struct Held {
    head_start: HeadStart,
    replicas: Arc<ReplicaSet>,
    bytes: usize,
}

impl HeadStarts {
    pub(super) fn new() -> Self {
        Self { held: KeyMap::default(), order: VecDeque::new(), bytes: 0, guesses: Guesses::new() }
    }

    /// Keeps one in place of the key's older one.
    pub(super) fn insert(
        &mut self,
        now_ms: u64,
        key: &HashedKey,
        replicas: Arc<ReplicaSet>,
        mut head_start: HeadStart,
        bytes_max: usize,
    ) {
        if head_start.register.content.value().is_some_and(|value| value.bytes.len() > VALUE_BYTES_MAX) {
            head_start.register.content = head_start.register.without_value().content;
        }
        head_start.register = head_start.register.detached();
        let key_hash = key.hash;
        let key = key.key.detached();
        let bytes = cost(&key, &head_start);
        self.order.push_back(Place { ballot: head_start.ballot, key_hash });
        if let Some(replaced) = self.held.remove(key_hash, &key) {
            self.bytes -= replaced.bytes;
        }
        self.bytes += bytes;
        self.held.insert_new(key_hash, key, Box::new(Held { head_start, replicas, bytes }));
        self.drop_oldest(now_ms, bytes_max);
    }

    /// Takes a key's out, whatever comes of it: it counts once, and a round of any other kind voids it.
    pub(super) fn take(&mut self, key: &HashedKey, replicas: &ReplicaSet) -> Option<HeadStart> {
        let held = self.held.remove(key.hash, &key.key)?;
        self.bytes -= held.bytes;
        (*held.replicas == *replicas).then_some(held.head_start)
    }

    /// Drops what is no longer of use, and the oldest until the others fit.
    fn drop_oldest(&mut self, now_ms: u64, bytes_max: usize) {
        while let Some(place) = self.order.front() {
            let standing = place.stands_for(&self.held);
            if standing.is_some_and(|held| self.bytes <= bytes_max && held.head_start.is_current(now_ms)) {
                break;
            }
            if let Some((bytes, guessed)) = standing.map(|held| (held.bytes, held.head_start.guessed)) {
                self.bytes -= bytes;
                self.held.remove_found(place.key_hash, |held| place.is_of(held));
                if guessed {
                    self.guesses.was_useless();
                }
            }
            self.order.pop_front();
        }
        if self.order.len() > 2 * self.held.len() + ORDER_PLACES_MIN {
            let held = &self.held;
            self.order.retain(|place| place.stands_for(held).is_some());
        }
    }
}

fn cost(key: &Key, head_start: &HeadStart) -> usize {
    ENTRY_BYTES + key.as_bytes().len() + head_start.register.memory_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ballot::{Hlc, ProposerId};
    use crate::ids::NodeIndex;
    use crate::register::{Content, Register, Value};

    fn key(number: u32) -> HashedKey {
        HashedKey { key: Key::new(format!("k{number}")).unwrap(), hash: u64::from(number) }
    }

    fn replicas(first: u16) -> Arc<ReplicaSet> {
        Arc::new(ReplicaSet::single((first..first + 3).map(NodeIndex).collect()))
    }

    fn head_start(ms: u64, value: &'static [u8]) -> HeadStart {
        let content = Content::Live(Value { bytes: value.into(), ..Value::default() });
        let ballot = Ballot::new(Hlc::from_millis(ms), ProposerId(1));
        HeadStart { ballot, register: Register { content, ..Register::absent(Ballot::ZERO) }, guessed: true }
    }

    #[test]
    fn a_head_start_counts_once_and_for_its_replicas_only() {
        let mut table = HeadStarts::new();
        table.insert(1_000, &key(1), replicas(0), head_start(1_000, b"v"), 1 << 20);
        assert_eq!(table.take(&key(1), &replicas(0)), Some(head_start(1_000, b"v")));
        assert_eq!(table.take(&key(1), &replicas(0)), None);
        table.insert(1_000, &key(1), replicas(0), head_start(1_000, b"v"), 1 << 20);
        assert_eq!(table.take(&key(1), &replicas(1)), None, "the key has moved");
        assert_eq!(table.bytes, 0);
    }

    #[test]
    fn the_oldest_go_when_there_is_no_room_or_they_are_too_old() {
        let mut table = HeadStarts::new();
        let room = 4 * (ENTRY_BYTES + 8);
        for number in 0..10 {
            table.insert(1_000, &key(number), replicas(0), head_start(1_000, b"v"), room);
            assert!(table.bytes <= room);
        }
        assert_eq!(table.take(&key(0), &replicas(0)), None);
        assert!(table.take(&key(9), &replicas(0)).is_some());
        table.insert(31_500, &key(20), replicas(0), head_start(31_400, b"v"), room);
        assert_eq!((table.held.len(), table.order.len()), (1, 1), "the others' time is over");
    }

    #[test]
    fn a_key_that_is_written_again_and_again_leaves_nothing_behind() {
        let mut table = HeadStarts::new();
        for round in 0..10_000 {
            table.insert(1_000 + round, &key(1), replicas(0), head_start(1_000 + round, b"v"), 1 << 20);
            assert!(table.take(&key(1), &replicas(0)).is_some());
        }
        table.insert(50_000, &key(1), replicas(0), head_start(50_000, b"v"), 1 << 20);
        assert_eq!((table.held.len(), table.order.len()), (1, 1));
    }

    #[test]
    fn places_of_head_starts_that_are_gone_do_not_pile_up_behind_one_that_stands() {
        let mut table = HeadStarts::new();
        table.insert(1_000, &key(1), replicas(0), head_start(1_000, b"v"), 1 << 20);
        for round in 0..9_000 {
            table.insert(1_000 + round, &key(2), replicas(0), head_start(1_000 + round, b"v"), 1 << 20);
            assert!(table.take(&key(2), &replicas(0)).is_some());
            assert!(table.order.len() <= 2 * (table.held.len() + 1) + ORDER_PLACES_MIN);
        }
        assert!(table.take(&key(1), &replicas(0)).is_some());
    }

    #[test]
    fn a_head_start_keeps_no_message_alive() {
        let mut table = HeadStarts::new();
        let message = bytes::Bytes::from(b"a whole message".to_vec());
        let key = HashedKey { key: Key::new(message.slice(2..7)).unwrap(), hash: 1 };
        let mut short = head_start(1_000, b"");
        short.register.content = Content::Live(Value { bytes: message.slice(8..), ..Value::default() });
        table.insert(1_000, &key, replicas(0), short, 1 << 20);
        drop(key);
        assert!(table.held.len() == 1 && message.is_unique(), "it holds on to the message");
    }

    #[test]
    fn a_long_value_is_withheld() {
        let mut table = HeadStarts::new();
        table.insert(1_000, &key(1), replicas(0), head_start(1_000, &[7; 1024]), 1 << 20);
        let taken = table.take(&key(1), &replicas(0)).unwrap();
        assert_eq!(taken.register.content, Content::Withheld { value_bytes: 1024 });
    }
}
