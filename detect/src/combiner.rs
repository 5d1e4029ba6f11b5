//! The worker's half: events into partial aggregates, one look-up for each client and one for each rule that picks the
//! event out, and no allocation while the keys stay the same.

use std::collections::HashMap;
use std::sync::Arc;

use beaconfire_model::{
    EntryId, Event, EventTime, Offset, Request, RuntimeEvent, RuntimeKind, Severity, Signal, Source, Subject,
    SubjectKind,
};

use crate::cut::Near;
use crate::hash::Seeded;
use crate::lane::{Lane, SLOTS, Takes};
use crate::newcomer::{self, Firsts};
use crate::pile::{Add, Origin, Pile, RawKey};
use crate::plan::{Counting, FINDING, Keying, LANE, Plan, Rule};
use crate::samples::Samples;
use crate::services::{OTHER, ServiceId, UNKNOWN, cut};
use crate::sieve::{Judge, with_text};
use crate::tides::Tide;
use crate::workloads::{Gathered, Places};
use crate::{Parcel, Watch};

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// It was counted.
    Counted,
    /// It is older than its own source's watermark: left out of windows.
    Late,
    /// The same request was counted from another log: left out.
    Copy,
    /// No engine of this version watches such events, or its source was never begun.
    Ignored,
}

/// Of each text of a key; two of them fit a subject's 512 bytes.
const TEXT_MAX: usize = 250;
/// Of a finding's workload and rule.
const FINDING_MAX: usize = 250;

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
    judge: Judge,
    /// By the rule's place in the plan.
    near: Vec<Near>,
    near_lane: Near,
    near_finding: Near,
    pile: Pile,
    samples: Samples,
    text: String,
    gathered: Gathered,
    places: Places,
    /// The first minutes of entries that nobody read before.
    firsts: Firsts,
    /// Where the last request stood of an entry whose copies count once, and how many stood there before it.
    last_place: Option<(Source, Offset, u32)>,
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
            judge: Judge::new(&plan.sieve, seeded),
            near: plan.rules.iter().map(|rule| Near::new(rule.cut)).collect(),
            near_lane: Near::new(plan.lane.cut),
            near_finding: Near::new(plan.finding_cut),
            pile: Pile::new(seeded),
            samples: Samples::new(watch, plan.rules.len(), seeded),
            text: String::new(),
            gathered: Gathered::default(),
            places: Places::default(),
            firsts: Firsts::default(),
            last_place: None,
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
            Event::Request(request) => {
                if self.plan.entry(source.entry).once && self.is_copy(source, offset, request) {
                    return Seen::Copy;
                }
                self.firsts.add(source.entry, request.time, request.client);
                self.request(from, offset, request);
            }
            Event::Runtime(event) => {
                let mining = self.plan.mining.as_ref().filter(|_| !again);
                let matters = mining.is_some_and(|mining| self.gathered.event(mining, source.entry, event));
                match event.kind {
                    RuntimeKind::Finding => {
                        self.finding(from, event, event.workload, event.severity.unwrap_or(Severity::Info));
                    }
                    // Where the sensor is, not whom it watches: it may have missed anything.
                    RuntimeKind::Health if is_blind(event.rule) => {
                        let host = event.details.host;
                        let host = if host.is_empty() { SOMEWHERE } else { host };
                        self.finding(from, event, host, Severity::Warning);
                    }
                    _ if matters => {}
                    _ => return Seen::Ignored,
                }
            }
            // What is read again was handed on before.
            Event::Resource(sample) if self.plan.watches_workloads() => {
                if !again {
                    self.gathered.sample(source.entry, sample);
                }
            }
            // For later engines.
            Event::Resource(_) | Event::Image(_) => return Seen::Ignored,
        }
        Seen::Counted
    }

    /// Nobody has read this entry before: whoever sends over half of its first ten minutes is told of, by
    /// [`first_minutes`](Self::first_minutes), unless the rule `likely-proxy` is switched off.
    pub fn begin_new(&mut self, entry: EntryId) {
        if self.plan.rules.iter().any(|rule| &*rule.name == newcomer::SWITCH) {
            self.firsts.begin(entry);
        }
    }

    /// Facts of entries that were new and whose first ten minutes have been `cleared`.
    pub fn first_minutes(&mut self, cleared: impl Fn(EntryId) -> EventTime, facts: &mut Vec<Signal>) {
        let Self { plan, firsts, .. } = self;
        let rule = plan.rules.iter().find(|rule| &*rule.name == newcomer::SWITCH);
        let severity = rule.map_or(Severity::Info, |rule| rule.severity);
        firsts.settle(&plan.newcomers, cleared, |entry, evidence, subject, span| {
            let target = match plan.entry_service(entry) {
                Some(service) => Subject::new(SubjectKind::Service, &*plan.services.name(service)),
                None => Subject::new(SubjectKind::Input, &*plan.entry(entry).name),
            };
            facts.push(newcomer::signal(severity, target, entry, evidence, subject, span));
        });
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
        self.pile.len() + self.gathered.len() >= self.capacity
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
        // Keys spread over shards; for one, all fit at once.
        let each = self.pile.len() / threads.max(1);
        let parcel = |_| Parcel {
            sources: sources.clone(),
            partials: Vec::with_capacity(each),
            specimens: Vec::new(),
            gathered: Gathered::default(),
        };
        let mut parcels: Vec<Parcel> = (0..threads).map(parcel).collect();
        if let Some(first) = parcels.first_mut() {
            first.gathered = std::mem::take(&mut self.gathered);
        }
        for partial in self.pile.take() {
            parcels[usize::from(partial.shard) % threads].partials.push(partial);
        }
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

    fn is_copy(&mut self, source: Source, offset: Offset, request: &Request<'_>) -> bool {
        let event = match self.last_place {
            Some((held, at, event)) if (held, at) == (source, offset) => event + 1,
            _ => 0,
        };
        self.last_place = Some((source, offset, event));
        self.plan.copies.is_copy(source, offset, event, request)
    }

    fn request(&mut self, from: Origin, offset: Offset, request: &Request<'_>) {
        let Self { plan, known, judge, near, near_lane, pile, samples, text, gathered, places, .. } = self;
        let service = known.service(plan, from.source.entry, request.service);
        let name = known.name(plan, service);
        if plan.watches_workloads() && !from.again {
            let draw =
                plan.surge.as_ref().map(|surge| (surge.draw(from.source, offset, request), &surge.seed));
            gathered.request(places, from.source.entry, (service, name), request, draw);
        }
        judge.judge(plan, service, name, request);
        let add = Add {
            from,
            rule: LANE,
            service,
            bucket: 0,
            count: 1,
            matched: 0,
            severity: Severity::Info,
            lane: 0,
            values: [0; SLOTS],
        };
        if let Some(client) = request.client {
            let (lane, values) = of_lane(&plan.lane, judge, request, name);
            if lane != 0 {
                let bucket = near_lane.bucket(request.time);
                let add = Add { bucket, matched: request.bytes_sent, lane, values, ..add };
                pile.add(&add, &RawKey::Client(client), name);
            }
        }
        for number in judge.holding(|word| !plan.lane.conditions[word]) {
            // Behind the rules come the conditions of shares.
            let Some(rule) = plan.rules.get(number) else { break };
            let Some(key) = raw_key(plan, rule, request, name, text) else { continue };
            let (count, matched) = match &rule.count {
                Counting::Requests | Counting::Distinct { .. } => (1, 0),
                Counting::Bytes => (request.bytes_sent, 0),
                Counting::Share { condition, .. } => (1, u64::from(judge.holds(*condition))),
            };
            let value = match &rule.count {
                Counting::Distinct { field } => judge.value(*field, request, name),
                _ => 0,
            };
            let bucket = near[number].bucket(request.time);
            // A plan has fewer than 65,535 rules.
            let rule = number as u16;
            let add = Add { rule, bucket, count, matched, values: [value, 0], ..add };
            pile.add(&add, &key, name);
        }
        if samples.wants_any() {
            self.sample(service, request);
        }
    }

    /// Copies a request for the rules that have raised and want it.
    fn sample(&mut self, service: ServiceId, request: &Request<'_>) {
        let Self { plan, known, judge, samples, text, .. } = self;
        let name = known.name(plan, service);
        for number in judge.holding(|_| u64::MAX) {
            let Some(rule) = plan.rules.get(number) else { break };
            // A plan has fewer than 65,535 rules.
            let at = number as u16;
            let counted = match rule.count {
                Counting::Share { condition, .. } => judge.holds(condition),
                _ => true,
            };
            if samples.wants(at)
                && counted
                && let Some(key) = raw_key(plan, rule, request, name, text)
            {
                samples.request(at, service, &key, name, request);
            }
        }
    }

    fn finding(&mut self, from: Origin, event: &RuntimeEvent<'_>, on: &str, severity: Severity) {
        let short = |text: &'_ str| text[..text.floor_char_boundary(FINDING_MAX)].replace('\n', " ");
        self.text.clear();
        self.text.push_str(&short(on));
        self.text.push('\n');
        self.text.push_str(&short(event.rule));
        let key = RawKey::Finding(&self.text);
        let add = Add {
            from,
            rule: FINDING,
            service: Plan::no_service(),
            bucket: self.near_finding.bucket(event.time),
            count: 1,
            matched: 0,
            severity,
            lane: 0,
            values: [0; SLOTS],
        };
        self.pile.add(&add, &key, UNKNOWN.0);
        self.samples.finding(&key, event);
    }
}

/// Where a sensor is that does not say.
const SOMEWHERE: &str = "falco";

/// What Falco calls itself where it speaks of itself.
const OF_ITSELF: &str = "Falco internal:";

/// Whether a sensor says of itself that it has missed something: Falco's drop notices. Its figures say nothing of the kind.
fn is_blind(rule: &str) -> bool {
    is_of_sensor(rule) && rule.contains("drop")
}

/// Whether a statement is about the sensor that makes it.
pub(crate) fn is_of_sensor(rule: &str) -> bool {
    rule.starts_with(OF_ITSELF)
}

/// The rules of the lane that want the request that was judged, as bits, and the values that they want of it.
fn of_lane(lane: &Lane, judge: &Judge, request: &Request<'_>, service: &str) -> (u32, [u32; SLOTS]) {
    let (mut rules, mut slots) = (0, 0u32);
    for (at, rule) in lane.rules.iter().enumerate() {
        if judge.holds(usize::from(rule.rule)) {
            rules |= 1 << at;
            if let Takes::Value(slot) = rule.takes {
                slots |= 1 << slot;
            }
        }
    }
    let mut values = [0; SLOTS];
    for (slot, field) in lane.fields.iter().enumerate().filter(|(slot, _)| slots & 1 << slot != 0) {
        values[slot] = judge.value(*field, request, service);
    }
    (rules, values)
}

/// A request's key under a rule; `None` where the rule needs a client and there is none, or looks at a sample of
/// requests and this is none of them.
fn raw_key<'t>(
    plan: &Plan,
    rule: &Rule,
    request: &Request<'_>,
    service: &str,
    text: &'t mut String,
) -> Option<RawKey<'t>> {
    let crowd = rule.crowd.is_some();
    let client = match rule.keying {
        Keying::Client => return request.client.map(RawKey::Client),
        Keying::Prefix => return request.client.map(RawKey::Prefix),
        Keying::Service if !crowd => return Some(RawKey::Service),
        Keying::Text { pair: false } if !crowd => None,
        Keying::Service | Keying::Text { .. } => Some(request.client?),
    };
    let sampled = rule.crowd.is_some_and(|crowd| crowd.sampled);
    if let Some(client) = client.filter(|_| sampled)
        && !plan.is_drawn(client, request)
    {
        return None;
    }
    text.clear();
    if let (Keying::Service, Some(client)) = (rule.keying, client) {
        return Some(RawKey::Member(client));
    }
    for (at, field) in rule.by.iter().enumerate() {
        if at > 0 {
            text.push(' ');
        }
        with_text(*field, request, service, |part| {
            text.push_str(&part[..part.floor_char_boundary(TEXT_MAX)]);
        });
    }
    Some(match client {
        Some(client) if crowd => RawKey::TextMember(client, text),
        Some(client) => RawKey::Pair(client, text),
        None => RawKey::Text(text),
    })
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

    fn name(&mut self, plan: &Plan, service: ServiceId) -> &Arc<str> {
        let at = service.0 as usize;
        if self.names.len() <= at {
            self.names.resize(at + 1, None);
        }
        self.names[at].get_or_insert_with(|| plan.services.name(service))
    }
}
