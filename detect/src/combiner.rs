//! The worker's half: events into partial aggregates, one look-up for each rule that wants the event, and no allocation
//! while the keys stay the same.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::BuildHasher as _;
use std::sync::Arc;

use beaconfire_model::{
    Client, EntryId, Event, EventTime, Offset, Request, RuntimeEvent, RuntimeKind, Severity, Source,
};

use crate::cut::Near;
use crate::filter::{Around, Verdicts, with_text};
use crate::hash::Seeded;
use crate::parcel::{Pair, shard_of};
use crate::plan::{Counting, FINDING, Keying, Plan, Rider, Rule};
use crate::samples::Samples;
use crate::services::{OTHER, ServiceId, UNKNOWN, cut};
use crate::tides::Tide;
use crate::{Key, Parcel, Partial, Watch};

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// It was counted.
    Counted,
    /// It is older than its own source's watermark: left out of windows.
    Late,
    /// No engine of this version watches such events, or its source was never begun.
    Ignored,
}

/// Of each text of a key; two of them fit a subject's 512 bytes.
const TEXT_MAX: usize = 250;
/// Of a finding's workload and rule.
const FINDING_MAX: usize = 250;
/// Texts that hash alike are told apart by so many more slots; what then is left makes a partial of its own each time.
const PROBES: u128 = 4;

/// Folds events into partial aggregates until they are taken. Time comes from the events; whether they claim to come
/// from the future is for the caller to judge.
#[derive(Debug)]
pub struct Combiner {
    plan: Arc<Plan>,
    capacity: usize,
    tides: Vec<Tide>,
    /// Records come in stretches of one source.
    last_tide: usize,
    known: Known,
    verdicts: Verdicts,
    /// By the rule's place in the plan.
    near: Vec<Near>,
    near_finding: Near,
    pile: Pile,
    samples: Samples,
    text: String,
}

impl Combiner {
    /// A combiner that is full at `capacity` partials.
    pub fn new(plan: Arc<Plan>, watch: Arc<Watch>, capacity: usize) -> Self {
        let seeded = Seeded::new(plan.seed);
        Self {
            capacity,
            tides: Vec::new(),
            last_tide: 0,
            known: Known { ids: HashMap::with_hasher(seeded), names: Vec::new() },
            verdicts: Verdicts::default(),
            near: plan.rules.iter().map(|rule| Near::new(rule.cut)).collect(),
            near_finding: Near::new(plan.finding_cut),
            pile: Pile { index: HashMap::with_hasher(seeded), partials: Vec::new() },
            samples: Samples::new(watch, plan.rules.len(), seeded),
            text: String::new(),
            plan,
        }
    }

    /// Reading of a source begins at `at`; `seed` is the largest event time before that, from which lateness is judged.
    pub fn begin(&mut self, source: Source, at: Offset, seed: Option<EventTime>) {
        let lateness = self.plan.entry(source.entry).lateness.as_millis();
        let tide = Tide::new(source, i64::try_from(lateness).unwrap_or(i64::MAX), at, seed);
        match self.find(source) {
            Some(at) => self.tides[at] = tide,
            None => self.tides.push(tide),
        }
    }

    /// Folds one event in. `again`: the shards held its record once before its source left, so it counts only where that
    /// is forgotten.
    pub fn observe(&mut self, source: Source, offset: Offset, event: &Event<'_>, again: bool) -> Seen {
        let Some(at) = self.find(source) else { return Seen::Ignored };
        self.last_tide = at;
        if self.tides[at].see(offset, event.time()) {
            return Seen::Late;
        }
        let from = Origin { source, again };
        match event {
            Event::Request(request) => self.request(from, request),
            Event::Runtime(event) if event.kind == RuntimeKind::Finding => {
                self.finding(from, event);
            }
            // Health is counted by whoever reads; the rest is for later engines.
            Event::Runtime(_) | Event::Resource(_) | Event::Image(_) => return Seen::Ignored,
        }
        Seen::Counted
    }

    /// A record that held no event still moves its source on.
    pub fn pass(&mut self, source: Source, offset: Offset) {
        if let Some(at) = self.find(source) {
            self.tides[at].pass(offset);
        }
    }

    /// Nothing older than `clearance` will come from the source: it was read to its end, or is no longer waited for.
    pub fn clear(&mut self, source: Source, clearance: EventTime) {
        if let Some(at) = self.find(source) {
            self.tides[at].clear(clearance);
        }
    }

    /// The source is no longer read here. What was combined of it stays.
    pub fn end(&mut self, source: Source) {
        self.tides.retain(|tide| tide.source() != source);
        self.last_tide = 0;
    }

    /// Whether it holds as much as it may: take before observing more.
    pub fn is_full(&self) -> bool {
        self.pile.partials.len() >= self.capacity
    }

    /// The largest event time seen in a source, or its seed.
    pub fn seen_max(&self, source: Source) -> Option<EventTime> {
        self.tides[self.find(source)?].largest()
    }

    /// The source's watermark: the largest event time seen, less the entry's lateness.
    pub fn watermark(&self, source: Source) -> EventTime {
        self.find(source).map_or(EventTime::MIN, |at| self.tides[at].watermark())
    }

    /// Hands over what was combined: one parcel for each shard thread, each with the reach of every source.
    pub fn take(&mut self, threads: usize) -> Vec<Parcel> {
        let sources: Vec<_> = self.tides.iter().map(Tide::reach).collect();
        let mut parcels: Vec<Parcel> =
            (0..threads).map(|_| Parcel { sources: sources.clone(), ..Parcel::default() }).collect();
        for partial in self.pile.partials.drain(..) {
            parcels[usize::from(partial.shard) % threads].partials.push(partial);
        }
        self.pile.index.clear();
        for sample in self.samples.take() {
            parcels[usize::from(sample.shard) % threads].specimens.push(sample);
        }
        self.samples.look();
        parcels
    }

    fn find(&self, source: Source) -> Option<usize> {
        if self.tides.get(self.last_tide).is_some_and(|tide| tide.source() == source) {
            return Some(self.last_tide);
        }
        self.tides.iter().position(|tide| tide.source() == source)
    }

    fn request(&mut self, from: Origin, request: &Request<'_>) {
        let entry = from.source.entry;
        let Self { plan, known, verdicts, near, pile, samples, text, .. } = self;
        let service = known.service(plan, entry, request.service);
        let name = known.name(plan, service);
        let is_login = |path: &str| plan.is_login(service, path);
        let around = Around { service: name, is_login: &is_login };
        let seeded = *pile.index.hasher();
        verdicts.reset(&plan.tests);
        let lines = &plan.facts(service).lines;
        for (number, (rule, near)) in plan.rules.iter().zip(near).enumerate() {
            let enabled = |rider: &Rider| lines[usize::from(rider.rule)].enabled;
            if !rule.riders.iter().any(enabled) || !rule.wants(&plan.tests, request, &around, verdicts) {
                continue;
            }
            let Some(key) = raw_key(rule, request, name, seeded, text) else { continue };
            let (count, matched) = match &rule.count {
                Counting::Requests => (1, 0),
                Counting::Bytes => (request.bytes_sent, 0),
                Counting::Share { filter, .. } => {
                    (1, u64::from(filter.all(&plan.tests, request, &around, verdicts)))
                }
            };
            // A plan has fewer than 65,535 rules.
            let number = number as u16;
            let bucket = near.bucket(request.time);
            let place = Place::new(number, entry, service);
            let add = Add { from, place, bucket, count, matched, severity: rule.severity };
            pile.add(&add, &key, name);
            if matches!(rule.count, Counting::Share { .. }) && matched == 0 {
                continue;
            }
            for rider in &rule.riders {
                if !samples.wants(rider.rule) {
                    continue;
                }
                // Rules that share their counts are by client or by its prefix.
                let of_prefix = plan.rules[usize::from(rider.rule)].keying == Keying::Prefix;
                let key = match &key {
                    RawKey::Client(client) if of_prefix => &RawKey::Prefix(*client),
                    RawKey::Prefix(client) if !of_prefix => &RawKey::Client(*client),
                    key => key,
                };
                samples.request(rider.rule, service, key, name, request);
            }
        }
    }

    fn finding(&mut self, from: Origin, event: &RuntimeEvent<'_>) {
        let short = |text: &'_ str| text[..text.floor_char_boundary(FINDING_MAX)].replace('\n', " ");
        self.text.clear();
        self.text.push_str(&short(event.workload));
        self.text.push('\n');
        self.text.push_str(&short(event.rule));
        let key = RawKey::Finding(&self.text, self.pile.index.hasher().hash_one(&*self.text));
        let add = Add {
            from,
            place: Place::new(FINDING, from.source.entry, Plan::no_service()),
            bucket: self.near_finding.bucket(event.time),
            count: 1,
            matched: 0,
            severity: event.severity.unwrap_or(Severity::Info),
        };
        self.pile.add(&add, &key, UNKNOWN.0);
        self.samples.finding(&key, event);
    }
}

/// A record's key under one rule, borrowed.
pub(crate) enum RawKey<'a> {
    Client(Client),
    Prefix(Client),
    Service,
    Text(&'a str, u64),
    Pair(Client, &'a str, u64),
    Finding(&'a str, u64),
}

impl RawKey<'_> {
    /// A number that tells keys of one rule apart, texts but for collisions.
    fn bits(&self) -> u128 {
        match self {
            Self::Client(client) | Self::Prefix(client) => client.bits(),
            Self::Service => 0,
            // Probing goes on upwards from here.
            Self::Text(_, hash) | Self::Pair(_, _, hash) | Self::Finding(_, hash) => u128::from(*hash) << 8,
        }
    }

    fn text(&self) -> Option<&str> {
        match self {
            Self::Client(_) | Self::Prefix(_) | Self::Service => None,
            Self::Text(text, _) | Self::Pair(_, text, _) | Self::Finding(text, _) => Some(text),
        }
    }

    /// The key that partials are counted under.
    fn owned(&self) -> Key {
        match self {
            Self::Client(client) | Self::Prefix(client) => Key::Client(*client),
            Self::Service => Key::Service,
            Self::Text(text, _) => Key::Text((*text).into()),
            Self::Pair(client, text, _) => {
                Key::Pair(Arc::new(Pair { client: *client, text: (*text).into() }))
            }
            Self::Finding(text, _) => Key::Finding((*text).into()),
        }
    }

    /// The key that raises.
    pub(crate) fn raises(&self) -> Key {
        match self {
            Self::Prefix(client) => Key::Prefix(client.prefix()),
            other => other.owned(),
        }
    }
}

/// A request's key under a rule; `None` where the rule needs a client and there is none.
fn raw_key<'t>(
    rule: &Rule,
    request: &Request<'_>,
    service: &str,
    seeded: Seeded,
    text: &'t mut String,
) -> Option<RawKey<'t>> {
    let pair = match rule.keying {
        Keying::Client => return request.client.map(RawKey::Client),
        Keying::Prefix => return request.client.map(RawKey::Prefix),
        Keying::Service => return Some(RawKey::Service),
        Keying::Text { pair: true } => Some(request.client?),
        Keying::Text { pair: false } => None,
    };
    text.clear();
    for (at, field) in rule.by.iter().enumerate() {
        if at > 0 {
            text.push(' ');
        }
        with_text(*field, request, service, |part| {
            text.push_str(&part[..part.floor_char_boundary(TEXT_MAX)]);
        });
    }
    let hash = seeded.hash_one(&*text);
    Some(pair.map_or(RawKey::Text(text, hash), |client| RawKey::Pair(client, text, hash)))
}

/// Where a record was read.
#[derive(Debug, Clone, Copy)]
struct Origin {
    source: Source,
    /// The shards held the record once already.
    again: bool,
}

/// Rule, entry and service in one word: it is written, read, hashed and compared in one go, many times a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place(u64);

impl Place {
    fn new(rule: u16, entry: EntryId, service: ServiceId) -> Self {
        Self(u64::from(rule) << 48 | u64::from(entry.0) << 32 | u64::from(service.0))
    }

    fn parts(self) -> (u16, EntryId, ServiceId) {
        // Each takes back the bits that it gave.
        ((self.0 >> 48) as u16, EntryId((self.0 >> 32) as u16), ServiceId(self.0 as u32))
    }
}

/// What is to be added under a key.
struct Add {
    from: Origin,
    place: Place,
    bucket: i64,
    count: u64,
    matched: u64,
    severity: Severity,
}

/// A key and bucket in the combiner's own table. Texts stand there by their hash; the partial holds the text itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Slot {
    place: Place,
    bucket: i64,
    key: u128,
}

impl std::hash::Hash for Slot {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        state.write_u64(self.place.0);
        state.write_i64(self.bucket);
        state.write_u128(self.key);
    }
}

/// The partials since the last take.
#[derive(Debug)]
struct Pile {
    index: HashMap<Slot, u32, Seeded>,
    partials: Vec<Partial>,
}

impl Pile {
    fn add(&mut self, add: &Add, key: &RawKey<'_>, service: &str) {
        let Add { from: Origin { source, again }, place, bucket, count, matched, severity } = *add;
        // What counts only under conditions is not mixed with what counts, and is rare: each stands by itself.
        let held = if again { None } else { self.find(Slot { place, bucket, key: key.bits() }, key.text()) };
        if let Some(partial) = held {
            partial.count = partial.count.saturating_add(count);
            partial.matched = partial.matched.saturating_add(matched);
            partial.severity = partial.severity.max(severity);
            if partial.source != Some(source) {
                partial.source = None;
            }
            return;
        }
        let key = key.owned();
        let shard = shard_of(&key, service);
        let (rule, entry, id) = place.parts();
        self.partials.push(Partial {
            shard,
            entry,
            source: Some(source),
            again,
            rule,
            service: id,
            key,
            bucket,
            count,
            matched,
            severity,
        });
    }

    /// The partial of this key, if there is one. Else the next to be pushed is found here from now on, where there is
    /// room.
    fn find(&mut self, mut slot: Slot, text: Option<&str>) -> Option<&mut Partial> {
        let last = slot.key + PROBES;
        loop {
            let at = match self.index.entry(slot) {
                Entry::Occupied(held) => *held.get() as usize,
                Entry::Vacant(free) => {
                    // The capacity keeps the length within 32 bits.
                    free.insert(self.partials.len() as u32);
                    return None;
                }
            };
            if text.is_none() || self.partials[at].key.text() == text {
                return Some(&mut self.partials[at]);
            }
            if slot.key == last {
                return None;
            }
            slot.key += 1;
        }
    }
}

/// The services that this worker has met, so that the shared list is asked once for each.
#[derive(Debug)]
struct Known {
    /// At most as many as the shared list holds.
    ids: HashMap<Box<str>, ServiceId, Seeded>,
    names: Vec<Option<Arc<str>>>,
}

impl Known {
    /// The service of a request: the entry's, else the record's own, else unknown. Never the Host header, which a
    /// sender makes up.
    fn service(&mut self, plan: &Plan, entry: EntryId, named: &str) -> ServiceId {
        if let Some(service) = plan.entry_service(entry) {
            return service;
        }
        if named.is_empty() {
            return UNKNOWN.1;
        }
        let named = cut(named);
        if let Some(service) = self.ids.get(named) {
            return *service;
        }
        let service = plan.services.id(named);
        if service != OTHER.1 {
            self.ids.insert(named.into(), service);
        }
        service
    }

    fn name(&mut self, plan: &Plan, service: ServiceId) -> &str {
        let at = service.0 as usize;
        if self.names.len() <= at {
            self.names.resize(at + 1, None);
        }
        self.names[at].get_or_insert_with(|| plan.services.name(service))
    }
}
