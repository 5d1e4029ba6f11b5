//! Two hashes: a stable one that decides which shard owns a key (it may never change between versions that share a
//! store), and a seeded one for tables, whose keys an attacker chooses.

use std::hash::{BuildHasher, Hasher};

use beaconfire_model::Client;

const ODD: u64 = 0x9e37_79b9_7f4a_7c15;

/// Folds the 128-bit product of two words into one: every bit of each input reaches the result.
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product as u64) ^ ((product >> 64) as u64)
}

/// FNV-1a, 64 bits, finished by a fold (FNV's low bits alone are weak for short keys).
pub(crate) fn stable(bytes: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    for byte in bytes {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    fold(hash ^ ODD, ODD.rotate_left(32) | 1)
}

/// Hashers for tables, all with one seed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seeded(Mixer);

/// Mixes word by word. The seed is secret, so keys that collide cannot be chosen without it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mixer {
    state: u64,
    /// Never 0, which would send every key to one place, and never small.
    factor: u64,
}

impl Seeded {
    pub(crate) fn new(seed: u64) -> Self {
        let state = spread(seed);
        Self(Mixer { state, factor: spread(state) | 1 << 63 | 1 })
    }
}

/// Spreads a seed over all bits (the finish of SplitMix64): installations may count theirs from 0.
fn spread(seed: u64) -> u64 {
    let a = seed.wrapping_add(ODD);
    let b = (a ^ a >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let c = (b ^ b >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    c ^ c >> 31
}

impl Seeded {
    /// Bits that decide whether a client's network stands for others.
    pub(crate) fn draw(&self, client: Client) -> u64 {
        self.hash_one(client.prefix().bits())
    }

    /// The hash of a text.
    pub(crate) fn of_text(&self, text: &str) -> u64 {
        let mut hasher = self.build_hasher();
        hasher.write(text.as_bytes());
        hasher.finish()
    }
}

impl BuildHasher for Seeded {
    type Hasher = Mixer;

    fn build_hasher(&self) -> Mixer {
        self.0
    }
}

impl Hasher for Mixer {
    fn finish(&self) -> u64 {
        fold(self.state, self.factor)
    }

    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.write_u64(u64::from_le_bytes(*word));
        }
        let mut word = [0; 8];
        word[..rest.len()].copy_from_slice(rest);
        // The length tells texts apart that end in zeros.
        self.write_u64(u64::from_le_bytes(word) ^ (bytes.len() as u64).rotate_left(56));
    }

    fn write_u64(&mut self, word: u64) {
        self.state = fold(self.state ^ word, self.factor);
    }

    fn write_u128(&mut self, word: u128) {
        self.write_u64(word as u64);
        self.write_u64((word >> 64) as u64);
    }

    fn write_u8(&mut self, word: u8) {
        self.write_u64(u64::from(word));
    }

    fn write_u16(&mut self, word: u16) {
        self.write_u64(u64::from(word));
    }

    fn write_u32(&mut self, word: u32) {
        self.write_u64(u64::from(word));
    }

    fn write_i64(&mut self, word: i64) {
        self.write_u64(word as u64);
    }

    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn keys_are_told_apart_under_every_seed() {
        for seed in (0..2_000).chain([u64::MAX, ODD, ODD - 1, 1 << 63]) {
            let seeded = Seeded::new(seed);
            let hashes: BTreeSet<u64> = (0..200u32).map(|key| seeded.hash_one(key)).collect();
            assert_eq!(hashes.len(), 200, "{seed}");
            // Tables place keys by the lowest bits.
            let places: BTreeSet<u64> = hashes.iter().map(|hash| hash % 256).collect();
            assert!(places.len() > 100, "{seed}: {}", places.len());
        }
    }

    #[test]
    fn seeds_give_other_hashes() {
        let hashes: BTreeSet<u64> =
            (0..1_000).map(|seed| Seeded::new(seed).hash_one("203.0.113.7")).collect();
        assert_eq!(hashes.len(), 1_000);
    }
}
