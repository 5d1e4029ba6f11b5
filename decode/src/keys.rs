//! What the keys of JSON records mean, worked out once for each key instead of once for each record.
//!
//! Records of a topic have the same keys in nearly the same order. So each key remembers which one came behind it the
//! last time; where the next record has it there again, one comparison of bytes finds the key and all that it means.
//! This only saves work: what a record means never depends on the records before it. Senders hardly choose keys, but
//! where they do, only so many are learnt, and the others are looked at anew each time.

use std::collections::HashMap;

use crate::auto::{self, Word};
use crate::requests::{self, Family};

/// Keys that are learnt.
const KEYS_MAX: usize = 512;
/// Longer keys are not learnt; none of them means anything.
const KEY_BYTES_MAX: usize = 64;

/// A key that was learnt, by its number; [`NONE`](Self::NONE) for one that was not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KeyId(u16);

impl KeyId {
    /// No key that was learnt.
    pub(crate) const NONE: Self = Self(u16::MAX);
}

/// What a key says about the object that has it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Meaning {
    /// To whoever asks what kind of record it is.
    pub(crate) word: Word,
    /// Its field and rank in the request formats, by family.
    pub(crate) slots: [Option<(u8, u8)>; Family::COUNT],
}

#[derive(Debug)]
struct Known {
    /// With its quotes, as it stands in texts.
    quoted: Box<[u8]>,
    means: Meaning,
    /// Which key came behind it the last time.
    next: KeyId,
}

/// The keys of one [`Tape`](crate::json::Tape).
#[derive(Debug, Default)]
pub(crate) struct Keys {
    known: Vec<Known>,
    numbers: HashMap<Box<str>, KeyId>,
    /// Which key came first the last time.
    first: Option<KeyId>,
    /// The key before the one that is read next.
    last: Option<KeyId>,
}

impl Keys {
    /// Another text begins.
    pub(crate) fn restart(&mut self) {
        self.last = None;
    }

    /// The key that was last seen in this place, where `text` begins with it; and how many bytes it takes there.
    pub(crate) fn expect(&mut self, text: &[u8]) -> Option<(KeyId, usize)> {
        let guess = match self.last {
            Some(last) => self.known.get(usize::from(last.0))?.next,
            None => self.first?,
        };
        let known = self.known.get(usize::from(guess.0))?;
        text.starts_with(&known.quoted).then(|| {
            self.last = Some(guess);
            (guess, known.quoted.len())
        })
    }

    /// Learns a key that was read without its number, and that it comes in this place.
    pub(crate) fn learn(&mut self, key: &str) -> KeyId {
        let id = match self.numbers.get(key) {
            Some(id) => *id,
            None if key.len() > KEY_BYTES_MAX || self.known.len() >= KEYS_MAX => KeyId::NONE,
            None => {
                // At most `KEYS_MAX`.
                let id = KeyId(self.known.len() as u16);
                let quoted = format!("\"{key}\"").into_bytes().into();
                self.known.push(Known { quoted, means: Meaning::of(key), next: KeyId::NONE });
                self.numbers.insert(key.into(), id);
                id
            }
        };
        match self.last {
            None => self.first = Some(id),
            Some(last) => {
                if let Some(last) = self.known.get_mut(usize::from(last.0)) {
                    last.next = id;
                }
            }
        }
        self.last = Some(id);
        id
    }

    /// What a key that was learnt means.
    pub(crate) fn meaning(&self, id: KeyId) -> Option<&Meaning> {
        self.known.get(usize::from(id.0)).map(|known| &known.means)
    }
}

impl Meaning {
    fn of(key: &str) -> Self {
        // Fields and ranks are far below 256.
        let slot = |family| requests::slot_of(family, key).map(|(field, rank)| (field as u8, rank));
        Self { word: auto::word(key), slots: Family::ALL.map(slot) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads keys as a tape does, and counts those that were found where they were expected.
    fn read(keys: &mut Keys, names: &[&str]) -> usize {
        keys.restart();
        let found = names.iter().filter(|name| {
            let found = keys.expect(format!("\"{name}\": 1").as_bytes());
            if let Some((id, taken)) = found {
                assert_eq!((keys.learn_nothing(name), taken), (id, name.len() + 2));
            } else {
                keys.learn(name);
            }
            found.is_some()
        });
        found.count()
    }

    impl Keys {
        fn learn_nothing(&self, name: &str) -> KeyId {
            self.numbers[name]
        }
    }

    #[test]
    fn keys_are_expected_where_they_were_and_behind_one_that_is_missing() {
        let mut keys = Keys::default();
        assert_eq!(read(&mut keys, &["time", "status", "path", "agent"]), 0);
        assert_eq!(read(&mut keys, &["time", "status", "path", "agent"]), 4);
        assert_eq!(read(&mut keys, &["time", "path", "agent"]), 2, "all but the one behind the gap");
        assert_eq!(read(&mut keys, &["time", "path", "agent"]), 3);
        assert_eq!(read(&mut keys, &["path", "agent"]), 1);
    }

    #[test]
    fn only_so_many_are_learnt() {
        let mut keys = Keys::default();
        for key in 0..2 * KEYS_MAX {
            keys.learn(&format!("key-{key}"));
        }
        keys.learn(&"k".repeat(KEY_BYTES_MAX + 1));
        assert_eq!((keys.known.len(), keys.numbers.len()), (KEYS_MAX, KEYS_MAX));
        assert_eq!(keys.learn("key-7"), KeyId(7));
        assert!(keys.meaning(keys.numbers["key-7"]).is_some() && keys.meaning(KeyId::NONE).is_none());
    }
}
