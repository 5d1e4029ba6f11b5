//! A table with a bound in bytes. Attackers choose its keys: the hash is seeded, the bound holds whatever they send, and
//! what it costs is counted. What looks at every key (sweeping, making
//! room, surveys) does not depend on the order of the hash.

use std::hash::{BuildHasher as _, Hash};

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use crate::hash::Seeded;

/// What keys and values occupy on the heap, besides their own size.
pub(crate) trait Heap {
    fn heap(&self) -> usize;
}

/// What a key is worth at the bound: those that hold stay longest, then the heaviest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Weight {
    pub(crate) holds: bool,
    /// What was counted, as a multiple of the threshold: rules that count bytes do not outweigh those that count
    /// requests.
    pub(crate) load: f64,
}

impl Weight {
    /// A number that orders weights; loads are never negative, so their bits do.
    fn rank(self) -> u64 {
        u64::from(self.holds) << 63 | self.load.max(0.0).to_bits() >> 1
    }
}

/// At the bound, so much of it is made free at once: making room costs a look at every key.
const ROOM: usize = 8;

#[derive(Debug)]
pub(crate) struct Table<K, V> {
    held: HashTable<(K, V)>,
    seeded: Seeded,
    bound: usize,
    bytes: usize,
    evictions: u64,
}

impl<K: Ord + Hash + Clone + Heap, V: Default + Heap> Table<K, V> {
    pub(crate) fn new(bound: usize, seeded: Seeded) -> Self {
        Self { held: HashTable::new(), seeded, bound, bytes: 0, evictions: 0 }
    }

    /// What an entry occupies. The table itself is at least 7/16 full after it has grown.
    fn cost(key: &K, value: &V) -> usize {
        (size_of::<(K, V)>() + 1) * 16 / 7 + key.heap() + value.heap()
    }

    /// The hash of a key: whoever looks it up several times makes it once.
    #[inline]
    pub(crate) fn hash(&self, key: &K) -> u64 {
        self.seeded.hash_one(key)
    }

    /// Changes the value of a key with this hash, which is made where it is new.
    #[inline]
    pub(crate) fn upsert<R>(&mut self, hash: u64, key: &K, change: impl FnOnce(&mut V) -> R) -> R {
        let seeded = self.seeded;
        match self.held.entry(hash, |(held, _)| held == key, |(held, _)| seeded.hash_one(held)) {
            Entry::Occupied(mut slot) => {
                let value = &mut slot.get_mut().1;
                let before = value.heap();
                let result = change(value);
                self.bytes = (self.bytes + value.heap()).saturating_sub(before);
                result
            }
            Entry::Vacant(slot) => {
                let mut slot = slot.insert((key.clone(), V::default()));
                let (key, value) = slot.get_mut();
                let result = change(value);
                self.bytes += Self::cost(key, value);
                result
            }
        }
    }

    /// Changes the value of a key that is there.
    pub(crate) fn update<R>(&mut self, key: &K, change: impl FnOnce(&mut V) -> R) -> Option<R> {
        let (_, value) = self.held.find_mut(self.seeded.hash_one(key), |(held, _)| held == key)?;
        let before = value.heap();
        let result = change(value);
        self.bytes = (self.bytes + value.heap()).saturating_sub(before);
        Some(result)
    }

    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.find(self.hash(key), key)
    }

    /// The value of a key with this hash.
    #[inline]
    pub(crate) fn find(&self, hash: u64, key: &K) -> Option<&V> {
        self.held.find(hash, |(held, _)| held == key).map(|(_, value)| value)
    }

    /// Counts something that the bounds cost, though no key of this table went.
    pub(crate) fn lost(&mut self) {
        self.evictions += 1;
    }

    /// Drops keys that nobody needs any more; that is no eviction.
    pub(crate) fn sweep(&mut self, mut keep: impl FnMut(&K, &mut V) -> bool) {
        let mut bytes = 0;
        self.held.retain(|(key, value)| {
            let kept = keep(key, value);
            if kept {
                bytes += Self::cost(key, value);
            }
            kept
        });
        self.bytes = bytes;
        if self.held.capacity() > 4 * self.held.len() + 64 {
            let seeded = self.seeded;
            self.held.shrink_to(2 * self.held.len(), |(key, _)| seeded.hash_one(key));
        }
    }

    /// Takes out what `which` picks, in the order of the keys; that is no eviction.
    pub(crate) fn extract(&mut self, which: impl Fn(&K, &V) -> bool) -> Vec<(K, V)> {
        let mut gone: Vec<(K, V)> = self.held.extract_if(|(key, value)| which(key, value)).collect();
        gone.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        self.bytes -= gone.iter().map(|(key, value)| Self::cost(key, value)).sum::<usize>().min(self.bytes);
        gone
    }

    pub(crate) fn is_over(&self) -> bool {
        self.bytes > self.bound
    }

    /// Makes room at the bound: the lightest keys go (Space-Saving's choice; ties go by the key's hash), and are given
    /// back. One that comes again begins at zero: the bound costs recall of light keys, never a false alert.
    pub(crate) fn evict(&mut self, weigh: impl Fn(&K, &V) -> Weight) -> Vec<(K, V)> {
        let target = self.bound - self.bound / ROOM;
        let seeded = self.seeded;
        let rank = |key: &K, value: &V| (weigh(key, value).rank(), seeded.hash_one(key));
        let mut order: Vec<((u64, u64), usize)> =
            self.iter().map(|(key, value)| (rank(key, value), Self::cost(key, value))).collect();
        order.sort_unstable();
        let mut left = self.bytes;
        let heavier = order.iter().position(|(_, cost)| {
            let enough = left <= target;
            left = left.saturating_sub(*cost);
            enough
        });
        let line = heavier.map(|at| order[at].0);
        let goes = |key: &K, value: &V| line.is_none_or(|line| rank(key, value) < line);
        let gone = self.extract(goes);
        self.evictions += gone.len() as u64;
        self.pack(gone.len());
        gone
    }

    /// Moves what is left into a map of its own: where much was taken out of one that is nearly full, it would grow to
    /// twice the room to get rid of the marks that are left of it, which the bound does not count.
    fn pack(&mut self, taken: usize) {
        let (capacity, seeded) = (self.held.len() + taken, self.seeded);
        let hash = |(key, _): &(K, V)| seeded.hash_one(key);
        for held in std::mem::replace(&mut self.held, HashTable::with_capacity(capacity)) {
            self.held.insert_unique(hash(&held), held, hash);
        }
    }

    /// All of it, in the order of the hash: for what does not depend on order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.held.iter().map(|(key, value)| (key, value))
    }

    /// All keys in order.
    #[cfg(test)]
    pub(crate) fn sorted(&self) -> Vec<&K> {
        let mut keys: Vec<&K> = self.iter().map(|(key, _)| key).collect();
        keys.sort_unstable();
        keys
    }

    pub(crate) fn len(&self) -> usize {
        self.held.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn evictions(&self) -> u64 {
        self.evictions
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    impl Heap for u32 {
        fn heap(&self) -> usize {
            0
        }
    }

    impl Heap for Vec<u8> {
        fn heap(&self) -> usize {
            self.capacity()
        }
    }

    #[allow(clippy::ptr_arg, reason = "the table hands out what it holds")]
    fn weigh(_: &u32, value: &Vec<u8>) -> Weight {
        Weight { holds: value.len() > 90, load: value.len() as f64 }
    }

    proptest! {
        #[test]
        fn bytes_are_those_of_what_is_held_and_never_over(steps in prop::collection::vec((0u32..40, 0usize..100, 0u8..12), 1..200)) {
            let mut table: Table<u32, Vec<u8>> = Table::new(2_000, Seeded::new(1));
            for (key, len, what) in steps {
                match what {
                    0 => table.sweep(|held, _| *held % 3 != 0),
                    1 => drop(table.update(&key, |value| value.truncate(len))),
                    _ => table.upsert(table.hash(&key), &key, |value| value.resize(len, 0)),
                }
                if table.is_over() {
                    let gone = table.evict(weigh);
                    let lightest = table.sorted().iter().filter_map(|key| table.get(key)).map(Vec::len).min();
                    prop_assert!(gone.iter().all(|(_, value)| lightest.is_none_or(|held| value.len() <= held)));
                }
                let held = table.sorted().into_iter().filter_map(|key| Some(Table::cost(key, table.get(key)?)));
                prop_assert_eq!(table.bytes(), held.sum::<usize>());
                prop_assert!(!table.is_over());
            }
        }
    }

    #[test]
    fn what_holds_goes_last_and_goes_too() {
        let mut table: Table<u32, Vec<u8>> = Table::new(1_000, Seeded::new(1));
        for key in 0..30 {
            table.upsert(table.hash(&key), &key, |value| value.resize(if key == 0 { 10 } else { 95 }, 0));
        }
        let gone = table.evict(weigh);
        assert!(gone.iter().any(|(key, _)| *key == 0), "{gone:?}");
        assert!(table.bytes() <= 1_000 && table.len() < 29);
        assert_eq!(table.evictions(), gone.len() as u64);
    }
}
