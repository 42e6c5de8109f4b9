//! A hash table by numbers that we give ourselves, one after another: nobody outside can choose them to collide.

use hashbrown::HashTable;

/// Values by number.
#[derive(Debug)]
pub(crate) struct NumberMap<V> {
    table: HashTable<(u64, V)>,
}

impl<V> Default for NumberMap<V> {
    fn default() -> Self {
        Self { table: HashTable::new() }
    }
}

/// Spreads numbers that follow each other over all bits (Fibonacci hashing; Knuth, "Sorting and Searching", 6.4).
fn hash(number: u64) -> u64 {
    number.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

impl<V> NumberMap<V> {
    pub(crate) fn get(&self, number: u64) -> Option<&V> {
        self.table.find(hash(number), |(own, _)| *own == number).map(|(_, value)| value)
    }

    pub(crate) fn get_mut(&mut self, number: u64) -> Option<&mut V> {
        self.table.find_mut(hash(number), |(own, _)| *own == number).map(|(_, value)| value)
    }

    /// Puts in a value for a number that was never given before.
    pub(crate) fn insert_new(&mut self, number: u64, value: V) {
        debug_assert!(self.get(number).is_none(), "the number was given before");
        self.table.insert_unique(hash(number), (number, value), |(own, _)| hash(*own));
    }

    pub(crate) fn remove(&mut self, number: u64) -> Option<V> {
        let found = self.table.find_entry(hash(number), |(own, _)| *own == number).ok()?;
        Some(found.remove().0.1)
    }

    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    /// All of them in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, &V)> {
        self.table.iter().map(|(number, value)| (*number, value))
    }

    /// All of them in no order.
    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.table.iter_mut().map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn holds_what_a_tree_holds(steps in prop::collection::vec((any::<bool>(), 0_u64..64), 0..400)) {
            let (mut map, mut tree) = (NumberMap::default(), BTreeMap::new());
            for (next, (comes, number)) in (1_000..).zip(steps) {
                if comes {
                    map.insert_new(next, number);
                    tree.insert(next, number);
                } else {
                    prop_assert_eq!(map.remove(1_000 + number), tree.remove(&(1_000 + number)));
                }
                prop_assert_eq!(map.len(), tree.len());
                prop_assert_eq!(map.get(1_000 + number), tree.get(&(1_000 + number)));
            }
            map.values_mut().for_each(|value| *value += 1);
            let all: BTreeMap<u64, u64> = map.iter().map(|(number, value)| (number, value - 1)).collect();
            prop_assert_eq!(all, tree);
        }
    }
}
