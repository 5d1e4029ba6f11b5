//! The worker's half: events into partial aggregates, one look-up for each rule that wants the event, and no allocation
//! while the keys stay the same.

use std::collections::HashMap;
use std::hash::{Hash as _, Hasher as _};
use std::sync::Arc;

use beaconfire_model::{
    Client, EntryId, Event, EventTime, Offset, Request, RuntimeEvent, RuntimeKind, Severity, Source,
    Specimen, Untrusted,
};

use crate::field::Field;
use crate::hash::Seeded;
use crate::parcel::{FINDING, shard_of};
use crate::plan::{Plan, Rule};
use crate::rule::Around;
use crate::services::ServiceId;
use crate::{Key, Parcel, Partial, Reach, Watch};

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// It was counted.
    Counted,
    /// It is older than its own source's watermark: left out of windows.
    Late,
    /// No engine of this version watches such events.
    Ignored,
}

/// Raw records copied for one parcel at most.
const SPECIMENS_MAX: usize = 256;
/// Raw records copied of one client between two takes.
const SPECIMENS_EACH: u8 = 5;

#[derive(Debug, Clone, Copy)]
struct Tide {
    source: Source,
    lateness: i64,
    largest: Option<EventTime>,
    through: Option<Offset>,
    clearance: EventTime,
    covers_from: EventTime,
}

impl Tide {
    fn watermark(&self) -> EventTime {
        self.largest.map_or(EventTime::MIN, |largest| {
            EventTime::from_millis(largest.millis().saturating_sub(self.lateness))
        })
    }
}

/// A key in the combiner's own table: texts by their hash, which is checked against the text itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Slot {
    rule: u16,
    entry: u16,
    service: u32,
    bucket: i64,
    key: u128,
}

/// Folds events into partial aggregates until they are taken.
#[derive(Debug)]
pub struct Combiner {
    plan: Arc<Plan>,
    watch: Arc<Watch>,
    capacity: usize,
    tides: Vec<Tide>,
    last_tide: usize,
    index: HashMap<Slot, u32, Seeded>,
    partials: Vec<(Partial, Option<Client>)>,
    watched: HashMap<Client, u8, Seeded>,
    watch_seen: u64,
    specimens: Vec<(Key, Specimen)>,
    text: String,
}

impl Combiner {
    /// A combiner that is full at `capacity` partials.
    pub fn new(plan: Arc<Plan>, watch: Arc<Watch>, capacity: usize) -> Self {
        let seeded = Seeded(plan.seed);
        Self {
            index: HashMap::with_hasher(seeded),
            watched: HashMap::with_hasher(seeded),
            plan,
            watch,
            capacity,
            tides: Vec::new(),
            last_tide: 0,
            partials: Vec::new(),
            watch_seen: 0,
            specimens: Vec::new(),
            text: String::new(),
        }
    }

    /// Reading of a source begins at `at`; `seed` is the largest event time before that, from which lateness is judged.
    pub fn begin(&mut self, source: Source, at: Offset, seed: Option<EventTime>) {
        let lateness = i64::try_from(self.plan.entry(source.entry).lateness.as_millis()).unwrap_or(i64::MAX);
        let tide = Tide {
            source,
            lateness,
            largest: seed,
            through: Some(Offset(at.0 - 1)),
            clearance: EventTime::MIN,
            covers_from: seed.unwrap_or(EventTime::MIN),
        };
        match self.at(source) {
            Some(at) => self.tides[at] = tide,
            None => self.tides.push(tide),
        }
    }

    fn at(&self, source: Source) -> Option<usize> {
        if self.tides.get(self.last_tide).is_some_and(|tide| tide.source == source) {
            return Some(self.last_tide);
        }
        self.tides.iter().position(|tide| tide.source == source)
    }

    /// Folds one event in.
    pub fn observe(&mut self, source: Source, offset: Offset, event: &Event<'_>) -> Seen {
        let Some(at) = self.at(source) else { return Seen::Ignored };
        self.last_tide = at;
        let tide = &mut self.tides[at];
        let time = event.time();
        let late = time < tide.watermark();
        tide.through = Some(offset);
        if tide.largest.is_none_or(|largest| time > largest) {
            tide.largest = Some(time);
        }
        if late {
            return Seen::Late;
        }
        match event {
            Event::Request(request) => {
                self.request(source.entry, request);
                Seen::Counted
            }
            Event::Runtime(event) if event.kind == RuntimeKind::Finding => {
                self.finding(source.entry, event);
                Seen::Counted
            }
            Event::Runtime(_) | Event::Resource(_) | Event::Image(_) => Seen::Ignored,
        }
    }

    /// A record that held no event still moves its source on.
    pub fn pass(&mut self, source: Source, offset: Offset) {
        if let Some(at) = self.at(source) {
            self.tides[at].through = Some(offset);
        }
    }

    /// Nothing older than `clearance` will come from the source.
    pub fn clear(&mut self, source: Source, clearance: EventTime) {
        if let Some(at) = self.at(source) {
            let tide = &mut self.tides[at];
            tide.clearance = tide.clearance.max(clearance);
        }
    }

    /// The source is no longer read here.
    pub fn end(&mut self, source: Source) {
        self.tides.retain(|tide| tide.source != source);
        self.last_tide = 0;
    }

    /// Whether it holds as much as it may: take before observing more.
    pub fn is_full(&self) -> bool {
        self.partials.len() >= self.capacity
    }

    /// The largest event time seen in a source.
    pub fn seen_max(&self, source: Source) -> Option<EventTime> {
        self.tides[self.at(source)?].largest
    }

    /// The source's watermark: the largest event time seen, less the entry's lateness.
    pub fn watermark(&self, source: Source) -> EventTime {
        self.at(source).map_or(EventTime::MIN, |at| self.tides[at].watermark())
    }

    /// Hands over what was combined, one parcel for each shard thread, each with the reach of every source.
    pub fn take(&mut self, threads: usize) -> Vec<Parcel> {
        let sources: Vec<Reach> = self
            .tides
            .iter()
            .map(|tide| Reach {
                source: tide.source,
                through: tide.through.unwrap_or_default(),
                watermark: tide.watermark(),
                clearance: tide.watermark().max(tide.clearance),
                covers_from: tide.covers_from,
            })
            .collect();
        let mut parcels: Vec<Parcel> =
            (0..threads).map(|_| Parcel { sources: sources.clone(), ..Parcel::default() }).collect();
        for (partial, client) in self.partials.drain(..) {
            let service = self.plan.services.name(partial.service);
            let shard = shard_of(&partial.key, client, &service);
            parcels[shard % threads].partials.push(partial);
        }
        self.index.clear();
        for (key, specimen) in self.specimens.drain(..) {
            let shard = shard_of(&key, None, "");
            parcels[shard % threads].specimens.push((key, specimen));
        }
        if let Some(watched) = self.watch.changed(&mut self.watch_seen) {
            self.watched.clear();
            self.watched.extend(watched.into_iter().map(|client| (client, SPECIMENS_EACH)));
        }
        parcels
    }

    fn request(&mut self, entry: EntryId, request: &Request<'_>) {
        let plan = self.plan.clone();
        let service = plan.service(entry, request.service);
        // The name is looked up only where a rule asks for it; most rules look at the status or at nothing.
        let name = plan.services.name(service);
        let is_login = |path: &str| plan.is_login(&name, path);
        let around = Around { service: &name, is_login: &is_login };
        for (number, rule) in plan.rules.iter().enumerate() {
            if !rule.filter.matches(request, &around) {
                continue;
            }
            if !rule.except.is_empty() && rule.except.matches(request, &around) {
                continue;
            }
            let (count, matched) = match &rule.count {
                crate::plan::Counting::Requests => (1, 0),
                crate::plan::Counting::Bytes => (request.bytes_sent, 0),
                crate::plan::Counting::Share { filter, .. } => {
                    (1, u64::from(filter.matches(request, &around)))
                }
            };
            self.count(number as u16, rule, entry, service, request, &around, (count, matched));
        }
        if let Some(client) = request.client
            && !self.watched.is_empty()
            && self.specimens.len() < SPECIMENS_MAX
            && let Some(left) = self.watched.get_mut(&client)
            && *left > 0
        {
            *left -= 1;
            self.specimens.push((Key::Client(client), specimen(request, client)));
        }
    }

    #[allow(clippy::too_many_arguments, reason = "one record's parts, passed down once")]
    fn count(
        &mut self,
        number: u16,
        rule: &Rule,
        entry: EntryId,
        service: ServiceId,
        request: &Request<'_>,
        around: &Around<'_>,
        (count, matched): (u64, u64),
    ) {
        let bucket = rule.cut.bucket(request.time);
        let mut slot = Slot { rule: number, entry: entry.0, service: service.0, bucket, key: 0 };
        let key = match rule.by.as_slice() {
            [Field::Client | Field::Prefix] => {
                let Some(client) = request.client else { return };
                slot.key = client.bits();
                Some(Key::Client(client))
            }
            [Field::Service] => Some(Key::Service),
            fields => {
                if fields.contains(&Field::Client) && request.client.is_none() {
                    return;
                }
                self.text.clear();
                for (at, field) in fields.iter().enumerate() {
                    if at > 0 {
                        self.text.push(' ');
                    }
                    let text = field.text(request, around.service);
                    self.text.push_str(&text[..text.floor_char_boundary(250)]);
                }
                let mut hasher = std::hash::BuildHasher::build_hasher(&Seeded(self.plan.seed));
                self.text.hash(&mut hasher);
                let low = hasher.finish();
                hasher.write_u64(low);
                slot.key = u128::from(low) << 64 | u128::from(hasher.finish());
                None
            }
        };
        if let Some(at) = self.index.get(&slot) {
            let partial = &mut self.partials[*at as usize].0;
            partial.count += count;
            partial.matched += matched;
            return;
        }
        let key = key.unwrap_or_else(|| Key::Text(self.text.as_str().into()));
        let client =
            if rule.by.contains(&Field::Client) || rule.is_by_prefix() { request.client } else { None };
        self.insert(
            slot,
            Partial { entry, rule: number, service, key, bucket, count, matched, severity: rule.severity },
            client,
        );
    }

    fn insert(&mut self, slot: Slot, partial: Partial, client: Option<Client>) {
        // The capacity keeps the length within 32 bits.
        self.index.insert(slot, self.partials.len() as u32);
        self.partials.push((partial, client));
    }

    fn finding(&mut self, entry: EntryId, event: &RuntimeEvent<'_>) {
        let cut = |text: &str| -> Arc<str> { text[..text.floor_char_boundary(400)].into() };
        let key = Key::Finding { workload: cut(event.workload), rule: cut(event.rule) };
        let severity = event.severity.unwrap_or(Severity::Info);
        let bucket = self.plan.finding_cut.bucket(event.time);
        if self.specimens.len() < SPECIMENS_MAX {
            let text = if event.cmdline.is_empty() { event.path } else { event.cmdline };
            self.specimens.push((
                key.clone(),
                Specimen {
                    time: event.time,
                    client: None,
                    text: Untrusted::new(text, 512),
                    by: Untrusted::new(event.process, 256),
                },
            ));
        }
        // Findings are rare: no table, the shard adds them up.
        let service = self.plan.services.id(crate::services::UNKNOWN);
        self.partials.push((
            Partial { entry, rule: FINDING, service, key, bucket, count: 1, matched: 0, severity },
            None,
        ));
    }
}

fn specimen(request: &Request<'_>, client: Client) -> Specimen {
    let query = if request.query.is_empty() { "" } else { "?" };
    let line = format!("{} {}{query}{} {}", request.method, request.path, request.query, request.status);
    Specimen {
        time: request.time,
        client: Some(client),
        text: Untrusted::new(&line, 512),
        by: Untrusted::new(request.user_agent, 256),
    }
}
