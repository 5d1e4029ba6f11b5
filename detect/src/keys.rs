//! What windows are kept under.

use beaconfire_model::{Client, EntryId};

use crate::Key;
use crate::services::ServiceId;
use crate::table::Heap;

/// What a window is kept for. Services come last: their numbers depend on who came first.
#[derive(Debug, Clone, Eq, PartialOrd, Ord)]
pub(crate) struct CellKey {
    pub(crate) rule: u16,
    pub(crate) entry: EntryId,
    pub(crate) key: Key,
    pub(crate) service: ServiceId,
}

impl Heap for CellKey {
    fn heap(&self) -> usize {
        self.key.bytes()
    }
}

impl PartialEq for CellKey {
    /// Clients are looked up most, and compared as the few words that they are.
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        self.place() == other.place()
            && match (&self.key, &other.key) {
                (Key::Client(one), Key::Client(another)) => one == another,
                (one, another) => one == another,
            }
    }
}

impl std::hash::Hash for CellKey {
    /// Few words, as each costs a step; keys that are alike but for their kind stand in tables of their own.
    #[inline]
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        state.write_u64(self.place());
        match &self.key {
            Key::Client(client) => state.write_u128(client.bits()),
            Key::Prefix(prefix) => state.write_u128(prefix.bits()),
            Key::Service => {}
            Key::Text(text) | Key::Finding(text) => text.hash(state),
            Key::Pair(pair) => pair.hash(state),
        }
    }
}

impl CellKey {
    /// All but the key, in one word.
    fn place(&self) -> u64 {
        u64::from(self.rule) << 48 | u64::from(self.entry.0) << 32 | u64::from(self.service.0)
    }

    /// Which table its cell is in, unless it is a client's.
    pub(crate) fn table(&self) -> usize {
        match self.key {
            Key::Client(_) | Key::Prefix(_) => 0,
            Key::Text(_) | Key::Pair(_) => 1,
            Key::Service => 2,
            Key::Finding(_) => 3,
        }
    }

    /// The client, of keys that are one.
    pub(crate) fn client(&self) -> Option<ClientKey> {
        let Key::Client(client) = self.key else { return None };
        Some(ClientKey::new(self.entry, client, self.service))
    }
}

/// What all windows of a client of a service are kept under. Three words: the table holds millions of them, and a client's
/// 128 bits as one number would make it four.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ClientKey {
    pub(crate) entry: EntryId,
    /// The client's bits, the higher ones first.
    bits: [u64; 2],
    pub(crate) service: ServiceId,
}

impl Heap for ClientKey {
    fn heap(&self) -> usize {
        0
    }
}

impl std::hash::Hash for ClientKey {
    #[inline]
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        let place = u64::from(self.entry.0) << 32 | u64::from(self.service.0);
        let [high, low] = self.bits;
        state.write_u64(place ^ high.rotate_left(24));
        state.write_u64(low);
    }
}

impl ClientKey {
    #[inline]
    pub(crate) fn new(entry: EntryId, client: Client, service: ServiceId) -> Self {
        let bits = client.bits();
        Self { entry, bits: [(bits >> 64) as u64, bits as u64], service }
    }

    #[inline]
    pub(crate) fn client(self) -> Client {
        let [high, low] = self.bits.map(u128::from);
        Client::from_bits(high << 64 | low)
    }

    /// Its window of a rule.
    pub(crate) fn of(self, rule: u16) -> CellKey {
        CellKey { rule, entry: self.entry, key: Key::Client(self.client()), service: self.service }
    }
}
