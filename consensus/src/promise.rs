//! Promises that live in memory, and the floors that stand for those that were dropped.
//!
//! A promise is made by every Prepare and is usually over one network round trip later, when the Accept of the same
//! ballot comes: from then on the accepted ballot says what the promise said. Writing promises to disk would cost a
//! sync per round for something that short-lived. They are kept in memory instead, behind two kinds of *floor*:
//!
//! - the restart floor: whatever this node promised before it was last started lies below the horizon that it had
//!   synced (see [`crate::Replica`]), so after a restart every key counts as promised there;
//! - the stripe floors: the table is bounded. Each stripe is a fixed slice of the key hashes; when one is full its
//!   lowest ballots are dropped and its floor is raised to the highest of them, as if every key of the slice had
//!   been promised that ballot.
//!
//! Both only ever make a node refuse more, and refusing too much is always safe: the proposer comes again with a
//! higher ballot.
//!
//! The key itself is the table's key; the hash only picks the stripe. A table of hashes alone would let two keys
//! share a promise. Overwriting each other they would merely refuse too much, but the Accept of one key *removes*
//! the shared promise, and with it the other key's; and the note of what stood in the register, which saves the
//! Accept a read from disk, would be the other key's too. Keys chosen to collide are not hard to make.

use std::fmt::Debug;

use crate::ballot::Ballot;
use crate::key::Key;
use crate::key_map::KeyMap;
use crate::register::{Content, Register};

/// What was promised for a key, and what stood in its register then.
///
/// The register's ballot can't change under a promise without the promise changing too, so the Accept at exactly the
/// promised ballot needs no read from disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Promise {
    /// Nothing lower is accepted any more, and nothing at or below it promised.
    pub ballot: Ballot,
    /// The register that stood there.
    pub found: Head,
}

/// What an Accept must know of the register that it replaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Head {
    /// Its accepted ballot; zero when the key was absent.
    pub accepted: Ballot,
    /// Bytes of its value; zero for a tombstone.
    pub value_bytes: u32,
    /// Whether the value's bytes are stored apart from the register.
    pub spilled: bool,
}

impl Head {
    /// The head of a register whose value is stored apart from it, or not.
    #[must_use]
    pub fn of(register: &Register, spilled: bool) -> Self {
        let value_bytes = match &register.content {
            Content::Tombstone => 0,
            Content::Live(value) => u32::try_from(value.bytes.len()).unwrap_or(u32::MAX),
            Content::Withheld { value_bytes } => *value_bytes,
        };
        Self { accepted: register.accepted, value_bytes, spilled }
    }
}

/// The promises of one shard.
///
/// An implementation may drop any promise at any time if it raises the floor of the key's hash to at least that
/// promise's ballot. Floors never go down.
pub trait PromiseTable: Debug {
    /// The promise for a key, unless there is none or it was dropped.
    fn get(&self, key_hash: u64, key: &Key) -> Option<Promise>;

    /// What every key of this hash counts as promised, at least.
    fn floor(&self, key_hash: u64) -> Ballot;

    /// Keeps a promise in place of the key's older one. The key's bytes are copied: they may be a slice of a much
    /// larger body.
    fn insert(&mut self, key_hash: u64, key: &Key, promise: Promise);

    /// Forgets the promise for a key: its accepted ballot says as much by now.
    fn remove(&mut self, key_hash: u64, key: &Key);

    /// Drops promises below `before`, some at each call, and raises floors to what was dropped. A table need not.
    fn forget_before(&mut self, _before: Ballot) {}

    /// Promises held.
    fn len(&self) -> usize;

    /// Whether no promise is held.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Promises dropped for lack of room since the start.
    fn dropped(&self) -> u64;
}

/// How much a [`StripedPromises`] holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PromiseLimits {
    /// Slices of the key hashes, each with its own floor; at least 1.
    pub stripes: usize,
    /// Bytes that the promises of one stripe may take, [`Self::ENTRY_BYTES`] and the key for each.
    pub stripe_bytes_max: usize,
}

impl PromiseLimits {
    /// What a promise is counted for beside its key's bytes: the entry and the table around it.
    pub const ENTRY_BYTES: usize = 160;
    /// The limits of the product: at most 4 MiB for each shard.
    pub const STANDARD: Self = Self { stripes: 64, stripe_bytes_max: 64 * 1024 };
}

const _: () =
    assert!(PromiseLimits::STANDARD.stripe_bytes_max >= 8 * (Key::BYTES_MAX + PromiseLimits::ENTRY_BYTES));

impl Default for PromiseLimits {
    fn default() -> Self {
        Self::STANDARD
    }
}

/// A promise table of hash tables, one for each stripe.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct StripedPromises {
    stripes: Vec<Stripe>,
    stripe_bytes_max: usize,
    /// The stripe that is looked through next for old promises.
    next_looked_at: usize,
    dropped: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
struct Stripe {
    floor: Ballot,
    promises: KeyMap<Promise>,
    bytes: usize,
}

impl StripedPromises {
    /// Stripes looked through at a time for old promises.
    const LOOKED_AT: usize = 8;

    /// An empty table; at least one stripe is made.
    #[must_use]
    pub fn new(limits: PromiseLimits) -> Self {
        let stripes = vec![Stripe::default(); limits.stripes.max(1)];
        Self { stripes, stripe_bytes_max: limits.stripe_bytes_max, next_looked_at: 0, dropped: 0 }
    }

    /// The hash is mixed first: shards are slices of it too, and a shard's keys should fill all of its stripes.
    fn place(&self, key_hash: u64) -> usize {
        let mixed =
            (u128::from(key_hash.wrapping_mul(0x9e37_79b9_7f4a_7c15)) * self.stripes.len() as u128) >> 64;
        usize::try_from(mixed).unwrap_or(0)
    }

    fn stripe(&self, key_hash: u64) -> &Stripe {
        let place = self.place(key_hash);
        #[expect(clippy::indexing_slicing, reason = "a place is below the number of stripes")]
        &self.stripes[place]
    }

    fn stripe_mut(&mut self, key_hash: u64) -> &mut Stripe {
        let place = self.place(key_hash);
        #[expect(clippy::indexing_slicing, reason = "a place is below the number of stripes")]
        &mut self.stripes[place]
    }
}

impl PromiseTable for StripedPromises {
    fn get(&self, key_hash: u64, key: &Key) -> Option<Promise> {
        self.stripe(key_hash).promises.get(key_hash, key).copied()
    }

    fn floor(&self, key_hash: u64) -> Ballot {
        self.stripe(key_hash).floor
    }

    fn insert(&mut self, key_hash: u64, key: &Key, promise: Promise) {
        let bytes_max = self.stripe_bytes_max;
        let dropped = self.stripe_mut(key_hash).insert(key_hash, key, promise, bytes_max);
        self.dropped += dropped as u64;
    }

    fn remove(&mut self, key_hash: u64, key: &Key) {
        let stripe = self.stripe_mut(key_hash);
        if stripe.promises.remove(key_hash, key).is_some() {
            stripe.bytes -= cost(key);
        }
    }

    fn forget_before(&mut self, before: Ballot) {
        for _ in 0..Self::LOOKED_AT.min(self.stripes.len()) {
            self.next_looked_at = (self.next_looked_at + 1) % self.stripes.len();
            if let Some(stripe) = self.stripes.get_mut(self.next_looked_at) {
                stripe.drop_where(|ballot| ballot < before);
            }
        }
    }

    fn len(&self) -> usize {
        self.stripes.iter().map(|stripe| stripe.promises.len()).sum()
    }

    fn dropped(&self) -> u64 {
        self.dropped
    }
}

impl Stripe {
    /// Inserts, makes room if need be, and returns how many promises were dropped for it.
    fn insert(&mut self, key_hash: u64, key: &Key, promise: Promise, bytes_max: usize) -> usize {
        if let Some(held) = self.promises.get_mut(key_hash, key) {
            assert!(promise.ballot >= held.ballot, "a promise would go down from {held:?} to {promise:?}");
            *held = promise;
            return 0;
        }
        self.bytes += cost(key);
        self.promises.insert_new(key_hash, key.detached(), promise);
        let before = self.promises.len();
        while self.bytes > bytes_max && !self.promises.is_empty() {
            self.drop_lowest_quarter();
        }
        before - self.promises.len()
    }

    /// Drops a quarter at a time, so that making room costs little for each promise that comes.
    fn drop_lowest_quarter(&mut self) {
        let mut ballots: Vec<Ballot> = self.promises.iter().map(|(_, promise)| promise.ballot).collect();
        let quarter = ballots.len() / 4;
        let (_, &mut highest_dropped, _) = ballots.select_nth_unstable(quarter);
        self.drop_where(|ballot| ballot <= highest_dropped);
    }

    fn drop_where(&mut self, is_dropped: impl Fn(Ballot) -> bool) {
        let Self { floor, promises, bytes } = self;
        promises.retain(|key, promise| {
            let dropped = is_dropped(promise.ballot);
            if dropped {
                *floor = (*floor).max(promise.ballot);
                *bytes -= cost(key);
            }
            !dropped
        });
    }
}

fn cost(key: &Key) -> usize {
    PromiseLimits::ENTRY_BYTES + key.as_bytes().len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ballot::{Hlc, ProposerId};
    use bytes::Bytes;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn ballot(ms: u64) -> Ballot {
        Ballot::new(Hlc::from_millis(ms), ProposerId(1))
    }

    fn key(number: u64) -> Key {
        Key::new(format!("key-{number}")).unwrap()
    }

    fn promise(ms: u64) -> Promise {
        Promise { ballot: ballot(ms), found: Head::default() }
    }

    /// Room for about eight short keys.
    fn small(stripes: usize) -> StripedPromises {
        StripedPromises::new(PromiseLimits {
            stripes,
            stripe_bytes_max: 8 * (PromiseLimits::ENTRY_BYTES + 8),
        })
    }

    #[test]
    fn table_keys_of_one_hash_are_kept_apart() {
        let mut table = small(4);
        table.insert(7, &key(1), promise(10));
        table.insert(7, &key(2), promise(20));
        assert_eq!(table.get(7, &key(1)), Some(promise(10)));
        table.remove(7, &key(2));
        assert_eq!(table.get(7, &key(1)), Some(promise(10)), "the other key's promise went with it");
        assert_eq!(table.floor(7), Ballot::ZERO);
    }

    #[test]
    fn table_full_stripe_drops_its_lowest_ballots_and_raises_its_floor() {
        let mut table = small(1);
        for number in 0..9 {
            table.insert(0, &key(number), promise(100 - number));
        }
        assert_eq!(table.dropped(), 3);
        assert_eq!(table.len(), 6);
        assert_eq!(table.floor(0), ballot(94), "the highest of 92, 93 and 94");
        assert_eq!(table.get(0, &key(8)), None, "the newest may be among them: its floor keeps the promise");
        assert_eq!(table.get(0, &key(5)), Some(promise(95)));
    }

    #[test]
    fn table_forgets_what_is_old_and_keeps_its_word() {
        let mut table = StripedPromises::new(PromiseLimits { stripes: 16, ..PromiseLimits::STANDARD });
        for number in 0..64 {
            table.insert(number << 58, &key(number), promise(100 + number));
        }
        table.forget_before(ballot(132));
        assert!((32..64).contains(&table.len()), "some at each call");
        table.forget_before(ballot(132));
        assert_eq!((table.len(), table.dropped()), (32, 0));
        for number in 0..64 {
            let held = table.get(number << 58, &key(number)).map_or(Ballot::ZERO, |promise| promise.ballot);
            let floor = table.floor(number << 58);
            assert!(held.max(floor) >= ballot(100 + number), "{number}");
            assert!(floor < ballot(132), "not above what was promised");
        }
        assert!(table.stripes.iter().all(|stripe| stripe.bytes < stripe.promises.len() * 200 + 1));
    }

    #[test]
    fn table_other_stripes_keep_their_floor() {
        let mut table = small(2);
        let (near, far) = (0, 1);
        assert_ne!(table.place(near), table.place(far));
        for number in 0..20 {
            table.insert(near, &key(number), promise(number));
        }
        assert!(table.floor(near) > Ballot::ZERO);
        assert_eq!(table.floor(far), Ballot::ZERO);
    }

    #[test]
    fn table_a_shards_slice_of_the_hashes_fills_all_stripes() {
        let table = small(16);
        for slice in [|n: u64| n << 3, |n: u64| n >> 3, |n: u64| n | 7] {
            let mut random = 1u64;
            let used: std::collections::BTreeSet<usize> = (0..500)
                .map(|_| {
                    random = random
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1_442_695_040_888_963_407);
                    table.place(slice(random))
                })
                .collect();
            assert_eq!(used.len(), 16);
        }
    }

    #[test]
    fn table_holds_a_copy_of_the_key() {
        let body = Bytes::from(vec![b'x'; 1 << 20]);
        let mut table = small(1);
        table.insert(0, &Key::new(body.slice(5..10)).unwrap(), promise(1));
        assert!(body.is_unique(), "the promise keeps the whole body alive");
    }

    #[test]
    #[should_panic(expected = "a promise would go down")]
    fn table_a_lower_promise_for_a_key_stops_the_process() {
        let mut table = small(1);
        table.insert(0, &key(1), promise(2));
        table.insert(0, &key(1), promise(1));
    }

    proptest! {
        /// Whatever is inserted, removed and dropped: what was promised and not removed is still refused.
        #[test]
        fn table_of_any_history_never_forgets_a_promise(
            steps in prop::collection::vec((0u64..40, 1u64..1000, any::<bool>()), 1..200),
        ) {
            let mut table = small(3);
            let mut promised: BTreeMap<u64, Ballot> = BTreeMap::new();
            let hash_of = |number: u64| number % 8; // many keys share one
            for (number, ms, removes) in steps {
                if removes {
                    table.remove(hash_of(number), &key(number));
                    promised.remove(&number);
                } else {
                    let before = promised.get(&number).copied().unwrap_or_default();
                    let next = promise(ms).ballot.max(before);
                    table.insert(hash_of(number), &key(number), Promise { ballot: next, ..promise(0) });
                    promised.insert(number, next);
                }
                for (number, ballot) in &promised {
                    let held = table.get(hash_of(*number), &key(*number)).map_or(Ballot::ZERO, |held| held.ballot);
                    prop_assert!(held.max(table.floor(hash_of(*number))) >= *ballot);
                }
                for stripe in &table.stripes {
                    prop_assert!(stripe.bytes <= table.stripe_bytes_max);
                    prop_assert_eq!(stripe.bytes, stripe.promises.iter().map(|(key, _)| cost(key)).sum::<usize>());
                }
            }
        }
    }
}
