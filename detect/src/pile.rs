//! The partials since the last take: a request adds to one that is there, or makes one.

use std::hash::{BuildHasher as _, Hasher as _};
use std::sync::Arc;

use beaconfire_model::{Client, EntryId, Severity, Source};
use hashbrown::HashTable;

use crate::hash::{Mixer, Seeded};
use crate::lane::SLOTS;
use crate::parcel::{Pair, shard_of};
use crate::services::ServiceId;
use crate::{Key, Partial};

/// A record's key under one rule, borrowed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum RawKey<'a> {
    Client(Client),
    Prefix(Client),
    Service,
    /// One of a service's crowd.
    Member(Client),
    Text(&'a str),
    /// One of a text's crowd.
    TextMember(Client, &'a str),
    Pair(Client, &'a str),
    Finding(&'a str),
}

impl RawKey<'_> {
    fn client(&self) -> Option<Client> {
        match self {
            Self::Client(client) | Self::Prefix(client) | Self::Member(client) => Some(*client),
            Self::Pair(client, _) | Self::TextMember(client, _) => Some(*client),
            Self::Service | Self::Text(_) | Self::Finding(_) => None,
        }
    }

    fn text(&self) -> Option<&str> {
        match self {
            Self::Client(_) | Self::Prefix(_) | Self::Member(_) | Self::Service => None,
            Self::Text(text) | Self::Finding(text) => Some(text),
            Self::Pair(_, text) | Self::TextMember(_, text) => Some(text),
        }
    }

    /// The key that partials are counted under.
    fn owned(&self) -> Key {
        match self {
            Self::Client(client) | Self::Prefix(client) | Self::Member(client) => Key::Client(*client),
            Self::Service => Key::Service,
            Self::Text(text) => Key::Text((*text).into()),
            Self::Pair(client, text) | Self::TextMember(client, text) => {
                Key::Pair(Arc::new(Pair { client: *client, text: (*text).into() }))
            }
            Self::Finding(text) => Key::Finding((*text).into()),
        }
    }

    /// The key that raises.
    pub(crate) fn raises(&self) -> Key {
        match self {
            Self::Prefix(client) => Key::Prefix(client.prefix()),
            Self::Member(_) => Key::Service,
            Self::TextMember(_, text) => Key::Text((*text).into()),
            other => other.owned(),
        }
    }

    /// Whether this is what a partial of the same rule is counted under.
    fn is(&self, key: &Key) -> bool {
        match (key, self.client()) {
            (Key::Client(held), Some(client)) => *held == client && self.text().is_none(),
            (Key::Pair(pair), Some(client)) => pair.client == client && self.text() == Some(&pair.text),
            (Key::Client(_) | Key::Pair(_), None) | (Key::Prefix(_), _) => false,
            (Key::Service, _) => matches!(self, Self::Service),
            (Key::Text(held) | Key::Finding(held), _) => self.client().is_none() && self.text() == Some(held),
        }
    }
}

/// Where a record was read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Origin {
    pub(crate) source: Source,
    /// The shards held the record once already.
    pub(crate) again: bool,
}

/// What is to be added under a key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Add {
    pub(crate) from: Origin,
    pub(crate) rule: u16,
    pub(crate) service: ServiceId,
    pub(crate) bucket: i64,
    pub(crate) count: u64,
    pub(crate) matched: u64,
    pub(crate) severity: Severity,
    pub(crate) lane: u32,
    pub(crate) values: [u32; SLOTS],
}

impl Add {
    fn entry(&self) -> EntryId {
        self.from.source.entry
    }

    fn is(&self, partial: &Partial) -> bool {
        (partial.bucket, partial.rule, partial.lane, partial.values)
            == (self.bucket, self.rule, self.lane, self.values)
            && (partial.service, partial.entry) == (self.service, self.entry())
    }

    /// Adds to a partial of the same.
    fn join(&self, partial: &mut Partial) {
        partial.count = partial.count.saturating_add(self.count);
        partial.matched = partial.matched.saturating_add(self.matched);
        partial.severity = partial.severity.max(self.severity);
        if partial.source != Some(self.from.source) {
            partial.source = None;
        }
    }

    fn hash(&self, seeded: Seeded, key: &RawKey<'_>) -> u64 {
        let mut state: Mixer = seeded.build_hasher();
        let place = u64::from(self.rule) << 48 | u64::from(self.entry().0) << 32 | u64::from(self.service.0);
        // Buckets of one rule lie close together: shifted, they meet nothing else of the word.
        state.write_u64(place ^ (self.bucket as u64).rotate_left(40));
        if let Some(client) = key.client() {
            state.write_u128(client.bits());
        }
        if let Some(text) = key.text() {
            state.write(text.as_bytes());
        }
        let [one, other] = self.values;
        state.write_u64((u64::from(one) << 32 | u64::from(other)) ^ u64::from(self.lane).rotate_left(16));
        state.finish()
    }
}

/// The table takes its places from the lower bits and more from the highest ones.
fn spread(tag: u32) -> u64 {
    u64::from(tag) << 32 | u64::from(tag)
}

/// The partials since the last take.
#[derive(Debug)]
pub(crate) struct Pile {
    seeded: Seeded,
    /// By what they are counted under: their places.
    index: HashTable<(u32, u32)>,
    partials: Vec<Partial>,
    /// By rule, where a partial of the service itself was added to last: the next request mostly adds to the same.
    last: Vec<u32>,
}

impl Pile {
    pub(crate) fn new(seeded: Seeded) -> Self {
        Self { seeded, index: HashTable::new(), partials: Vec::new(), last: Vec::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.partials.len()
    }

    pub(crate) fn add(&mut self, add: &Add, key: &RawKey<'_>, service: &str) {
        let Origin { source, again } = add.from;
        // What counts only under conditions is not mixed with what counts, and is rare: each stands by itself.
        if !again {
            let of_service = matches!(key, RawKey::Service);
            if of_service
                && let Some(at) = self.last.get(usize::from(add.rule))
                && let Some(partial) = self.partials.get_mut(*at as usize)
                && !partial.again
                && add.is(partial)
                && key.is(&partial.key)
            {
                add.join(partial);
                return;
            }
            // 32 bits of it: they place it, and tell it from most others without a look at the partial.
            let tag = (add.hash(self.seeded, key) >> 32) as u32;
            let hash = spread(tag);
            let partials = &self.partials;
            let is = |(held, at): &(u32, u32)| {
                *held == tag
                    && partials
                        .get(*at as usize)
                        .is_some_and(|partial| add.is(partial) && key.is(&partial.key))
            };
            let found = self.index.find(hash, is).map(|(_, at)| *at);
            // Whoever takes them takes them long before 2^32.
            let at = found.unwrap_or(self.partials.len() as u32);
            if of_service {
                if self.last.len() <= usize::from(add.rule) {
                    self.last.resize(usize::from(add.rule) + 1, 0);
                }
                self.last[usize::from(add.rule)] = at;
            }
            if found.is_some() {
                add.join(&mut self.partials[at as usize]);
                return;
            }
            self.index.insert_unique(hash, (tag, at), |(tag, _)| spread(*tag));
        }
        let owned = key.owned();
        let shard = match key {
            RawKey::Member(_) => shard_of(&Key::Service, service),
            RawKey::TextMember(_, text) => shard_of(&Key::Text((*text).into()), service),
            _ => shard_of(&owned, service),
        };
        self.partials.push(Partial {
            shard,
            entry: add.entry(),
            source: Some(source),
            again,
            rule: add.rule,
            service: add.service,
            key: owned,
            bucket: add.bucket,
            count: add.count,
            matched: add.matched,
            severity: add.severity,
            lane: add.lane,
            values: add.values,
        });
    }

    /// Hands over what was combined.
    pub(crate) fn take(&mut self) -> std::vec::Drain<'_, Partial> {
        self.index.clear();
        self.partials.drain(..)
    }
}
