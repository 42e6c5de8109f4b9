//! The keys that something is under way for, each under a number: what happens to one is told by number, so that a
//! key's bytes are looked up once a request and not once an event.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::entry::Entry;
use crate::key::Key;
use crate::key_map::KeyMap;
use crate::number_map::NumberMap;

/// Names an entry. An entry that went and came back has another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct EntryId(u64);

/// A key that an entry stands for, with its hash.
#[derive(Debug, Clone)]
pub(super) struct HashedKey {
    pub(super) key: Key,
    pub(super) hash: u64,
}

/// The entries of a coordinator.
#[derive(Debug)]
pub(super) struct Entries {
    ids: KeyMap<EntryId>,
    /// By the numbers of their ids. Boxed: they are large, and come and go with every request.
    standing: NumberMap<Box<Entry>>,
    next_id: u64,
    /// What the keys' hashes begin with: nobody outside knows it, so nobody can choose keys of one hash.
    hash_seed: u64,
}

impl Entries {
    pub(super) fn new(hash_seed: u64) -> Self {
        Self { ids: KeyMap::default(), standing: NumberMap::default(), next_id: 0, hash_seed }
    }

    /// The key's entry; one is made if there is none.
    pub(super) fn enter(&mut self, key: Key, make: impl FnOnce(HashedKey) -> Entry) -> EntryId {
        let hash = self.hash(&key);
        if let Some(id) = self.ids.get(hash, &key) {
            return *id;
        }
        let id = EntryId(self.next_id);
        self.next_id += 1;
        self.ids.insert_new(hash, key.clone(), id);
        self.standing.insert_new(id.0, Box::new(make(HashedKey { key, hash })));
        id
    }

    pub(super) fn get(&self, id: EntryId) -> Option<&Entry> {
        self.standing.get(id.0).map(|entry| &**entry)
    }

    pub(super) fn get_mut(&mut self, id: EntryId) -> Option<&mut Entry> {
        self.standing.get_mut(id.0).map(|entry| &mut **entry)
    }

    pub(super) fn remove(&mut self, id: EntryId) {
        if let Some(entry) = self.standing.remove(id.0) {
            self.ids.remove(entry.key.hash, &entry.key.key);
        }
    }

    /// All of them in no order; their ids tell the order of their coming.
    pub(super) fn iter(&self) -> impl Iterator<Item = (EntryId, &Entry)> {
        self.standing.iter().map(|(number, entry)| (EntryId(number), &**entry))
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut Entry> {
        self.standing.values_mut().map(|entry| &mut **entry)
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.standing.len() == 0 && self.ids.is_empty()
    }

    fn hash(&self, key: &Key) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.hash_seed.hash(&mut hasher);
        key.as_bytes().hash(&mut hasher);
        hasher.finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::ids::{NodeIndex, PartitionId};
    use crate::quorum::ReplicaSet;

    #[test]
    fn entry_that_came_back_has_another_number() {
        let replicas = Arc::new(ReplicaSet::single(vec![NodeIndex(0)]));
        let mut entries = Entries::new(7);
        let key = |name: &str| Key::new(name.to_owned()).unwrap();
        let enter = |entries: &mut Entries, name| {
            entries.enter(key(name), |key| Entry::new(key, PartitionId(0), Arc::clone(&replicas)))
        };
        let first = enter(&mut entries, "a");
        assert_eq!(enter(&mut entries, "a"), first);
        let other = enter(&mut entries, "b");
        assert_ne!(other, first);
        assert_eq!(entries.get(other).unwrap().key.key, key("b"));
        entries.remove(first);
        assert!(entries.get(first).is_none());
        assert!(enter(&mut entries, "a") > other);
    }
}
