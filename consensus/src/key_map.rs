//! A hash table by key, for those who know the key's hash already.

use std::hash::{Hash, Hasher};

use hashbrown::HashTable;

use crate::key::Key;

/// Values by key. Two keys of one hash are kept apart. The hash comes from outside with every call, always the same
/// for a key: whoever seeds it anew at each start need not fear keys that were chosen to collide.
#[derive(Debug, Clone)]
pub(crate) struct KeyMap<V> {
    table: HashTable<Entry<V>>,
}

#[derive(Debug, Clone)]
struct Entry<V> {
    key_hash: u64,
    key: Key,
    value: V,
}

/// Whether an entry is a wanted one of this hash: the table shows those of other hashes, too.
fn among<V>(key_hash: u64, wanted: impl Fn(&V) -> bool) -> impl Fn(&Entry<V>) -> bool {
    move |entry| entry.key_hash == key_hash && wanted(&entry.value)
}

impl<V> Default for KeyMap<V> {
    fn default() -> Self {
        Self { table: HashTable::new() }
    }
}

impl<V> KeyMap<V> {
    pub(crate) fn get(&self, key_hash: u64, key: &Key) -> Option<&V> {
        self.table.find(key_hash, |entry| entry.key == *key).map(|entry| &entry.value)
    }

    pub(crate) fn get_mut(&mut self, key_hash: u64, key: &Key) -> Option<&mut V> {
        self.table.find_mut(key_hash, |entry| entry.key == *key).map(|entry| &mut entry.value)
    }

    /// A value that is wanted among those whose keys have this hash: for whoever keeps no copy of the key.
    pub(crate) fn find(&self, key_hash: u64, wanted: impl Fn(&V) -> bool) -> Option<&V> {
        self.table.find(key_hash, among(key_hash, wanted)).map(|entry| &entry.value)
    }

    /// Like [`Self::find`], with the key.
    pub(crate) fn find_mut(&mut self, key_hash: u64, wanted: impl Fn(&V) -> bool) -> Option<(&Key, &mut V)> {
        self.table.find_mut(key_hash, among(key_hash, wanted)).map(|entry| (&entry.key, &mut entry.value))
    }

    /// Takes out what [`Self::find`] finds.
    pub(crate) fn remove_found(&mut self, key_hash: u64, wanted: impl Fn(&V) -> bool) -> Option<V> {
        Some(self.table.find_entry(key_hash, among(key_hash, wanted)).ok()?.remove().0.value)
    }

    /// Puts in a value for a key that has none.
    pub(crate) fn insert_new(&mut self, key_hash: u64, key: Key, value: V) {
        debug_assert!(self.get(key_hash, &key).is_none(), "the key has a value");
        self.table.insert_unique(key_hash, Entry { key_hash, key, value }, |entry| entry.key_hash);
    }

    pub(crate) fn remove(&mut self, key_hash: u64, key: &Key) -> Option<V> {
        let found = self.table.find_entry(key_hash, |entry| entry.key == *key).ok()?;
        Some(found.remove().0.value)
    }

    /// Keeps the values that are wanted, and gives the memory of the others back when most of it is unused.
    pub(crate) fn retain(&mut self, mut wanted: impl FnMut(&Key, &V) -> bool) {
        self.table.retain(|entry| wanted(&entry.key, &entry.value));
        if self.table.capacity() > 4 * self.table.len() {
            self.table.shrink_to_fit(|entry| entry.key_hash);
        }
    }

    /// All keys with their values, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Key, &V)> {
        self.table.iter().map(|entry| (&entry.key, &entry.value))
    }

    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.table.is_empty()
    }
}

impl<V: PartialEq> PartialEq for KeyMap<V> {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len()
            && (self.table.iter()).all(|entry| other.get(entry.key_hash, &entry.key) == Some(&entry.value))
    }
}

impl<V: Eq> Eq for KeyMap<V> {}

impl<V: Hash> Hash for KeyMap<V> {
    /// In the keys' order, so that equal maps have equal hashes. Sorts: for the few keys of a model.
    fn hash<H: Hasher>(&self, state: &mut H) {
        let mut all: Vec<(&Key, &V)> = self.iter().collect();
        all.sort_unstable_by_key(|(key, _)| *key);
        all.hash(state);
    }
}

#[cfg(test)]
mod tests {
    use std::hash::DefaultHasher;

    use super::*;

    fn key(number: u64) -> Key {
        Key::new(format!("k{number}")).unwrap()
    }

    #[test]
    fn keys_of_one_hash_are_kept_apart() {
        let mut map = KeyMap::default();
        map.insert_new(7, key(1), "one");
        map.insert_new(7, key(2), "two");
        assert_eq!((map.get(7, &key(1)), map.get(7, &key(2))), (Some(&"one"), Some(&"two")));
        assert_eq!(map.remove(7, &key(1)), Some("one"));
        assert_eq!((map.get(7, &key(1)), map.get(7, &key(2)), map.len()), (None, Some(&"two"), 1));
    }

    #[test]
    fn a_value_is_found_among_those_of_its_hash_alone() {
        let mut map = KeyMap::default();
        // A table of eight places: each key shares its place with others.
        for number in 0..6 {
            map.insert_new(number / 2, key(number), number);
        }
        for number in 0..6 {
            let of = |hash| map.find(hash, |value| *value == number).copied();
            assert_eq!((of(number / 2), of(number / 2 + 1)), (Some(number), None));
        }
        assert_eq!(map.find_mut(1, |value| *value == 3), Some((&key(3), &mut 3)));
        assert_eq!((map.remove_found(1, |value| *value == 4), map.remove_found(1, |_| false)), (None, None));
        assert_eq!((map.remove_found(1, |value| *value == 3), map.get(1, &key(3))), (Some(3), None));
        assert_eq!((map.get(1, &key(2)), map.len()), (Some(&2), 5));
    }

    #[test]
    fn equal_maps_are_equal_whatever_the_order_of_their_coming() {
        let hash_of = |map: &KeyMap<u64>| {
            let mut hasher = DefaultHasher::new();
            map.hash(&mut hasher);
            hasher.finish()
        };
        let (mut up, mut down) = (KeyMap::default(), KeyMap::default());
        for number in 0..100 {
            up.insert_new(number % 7, key(number), number);
            down.insert_new((99 - number) % 7, key(99 - number), 99 - number);
        }
        assert_eq!(up, down);
        assert_eq!(hash_of(&up), hash_of(&down));
        *down.get_mut(3, &key(3)).unwrap() += 1;
        assert_ne!(up, down);
    }
}
