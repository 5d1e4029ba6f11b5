//! The shards' half: partials of all workers into windows, windows into facts. `adding.rs` has what a partial does to a
//! cell, `sweeping.rs` what is read and forgotten as time goes on.

mod adding;
mod census;
mod sweeping;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use beaconfire_model::{Client, EntryId, EventTime, Signal, Source, Subject};

use crate::ahead::Ahead;
use crate::ask::{Ask, Asks};
use crate::cell::{Cell, Horizon, Tell};
use crate::departed::Departed;
use crate::family::{Family, Sum};
use crate::hash::Seeded;
use crate::keys::{CellKey, ClientKey};
use crate::plan::{BUCKETS, Keying, LANE, Plan};
use crate::services::ServiceId;
use crate::statement::Specimens;
use crate::survey::{Closest, Survey};
use crate::table::Table;
use crate::tides::Common;
use crate::workloads::{Desk, Learned};
use crate::{Key, Parcel, Partial, VIRTUAL_SHARDS, Watch};

pub use census::{Census, Learning, TableCensus};

/// How a shard thread works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardKnobs {
    /// Bytes for this thread's tables. The same for all threads, so that every virtual shard has a 64th of the whole.
    pub memory: usize,
    /// Live: raise as records arrive. Replay: only what has closed.
    pub early: bool,
    /// How far the sources of one entry may drift apart.
    pub drift: Duration,
}

/// The tables of a virtual shard, each with its part of the memory, in 16ths: many clients cannot push out services.
const TABLES: [(&str, usize); 5] =
    [("clients", 7), ("prefixes", 3), ("texts", 1), ("services", 4), ("findings", 1)];

/// The ids of requests whose copies count once take this part, where an entry asks for it.
const COPIES_PART: usize = 16;
/// One crowd may take this part of its table.
const CROWD_PART: usize = 2;
/// How often, in event time, hot keys are looked over for what has closed.
const CLOSE_EVERY: Duration = Duration::from_secs(1);
/// How often, in event time, all keys are looked over for what no window needs any more.
pub(crate) const SWEEP_EVERY: Duration = Duration::from_secs(30);
/// The furthest that time moves at once while there are partials ahead: what is merged then still fits the rings.
const STEP: Duration = Duration::from_secs(30);
/// Partials looked up together before they are added; what is looked up must still be in the nearest cache then.
const STRETCH: usize = 32;
/// Chart points of one merge or flush; what comes after goes without.
const POINTS_MAX: usize = 16_384;

/// The hashes of what a partial is added to: of its client's key, and of that of the client's prefix.
#[derive(Debug, Clone, Copy, Default)]
struct Hashes {
    client: u64,
    prefix: u64,
}

/// One virtual shard: its own tables, its own share of the memory.
#[derive(Debug)]
struct Part {
    clients: Table<ClientKey, Family>,
    /// Prefixes, texts, services, findings.
    tables: Vec<Table<CellKey, Cell>>,
    /// Keys that reading has to look at.
    hot: BTreeSet<CellKey>,
}

impl Part {
    fn cell(&self, key: &CellKey) -> Option<&Cell> {
        match key.client() {
            Some(client) => self.clients.get(&client)?.cell(key.rule),
            None => self.tables[key.table()].get(key),
        }
    }

    fn update<R>(&mut self, key: &CellKey, change: impl FnOnce(&mut Cell) -> R) -> Option<R> {
        match key.client() {
            Some(client) => self.clients.update(&client, |family| family.update(key.rule, change))?,
            None => self.tables[key.table()].update(key, change),
        }
    }
}

/// The virtual shards of one thread.
#[derive(Debug)]
pub struct Shard {
    plan: Arc<Plan>,
    asks: Asks,
    early: bool,
    watch: Arc<Watch>,
    first: bool,
    /// By virtual shard; `None` where another thread has it.
    parts: Vec<Option<Part>>,
    /// What was added to since it was read.
    touched: Vec<(u8, CellKey)>,
    common: Common,
    departed: Departed,
    /// What waits until its entry has come near.
    ahead: Ahead,
    /// How far sources of an entry may lie apart: lateness and drift, by entry.
    spread: Vec<Duration>,
    /// How far windows were taken of each entry: its clearance; of one that nobody reads any more, the last there was.
    cleared: BTreeMap<EntryId, EventTime>,
    /// Up to where hot keys were looked over.
    closed: BTreeMap<EntryId, EventTime>,
    /// Up to where all keys were.
    swept: BTreeMap<EntryId, EventTime>,
    specimens: Specimens,
    stale: u64,
    sum: Sum,
    survey: Option<Survey>,
    /// Of the first thread: all workloads.
    desk: Option<Desk>,
}

impl Shard {
    /// The virtual shards that fall to `thread` of `threads`.
    pub fn new(plan: Arc<Plan>, thread: usize, threads: usize, knobs: ShardKnobs, watch: Arc<Watch>) -> Self {
        let mut memory = knobs.memory.saturating_mul(threads);
        if plan.knows_copies() {
            plan.copies.keep_within(memory / COPIES_PART);
            memory -= memory / COPIES_PART;
        }
        let each = memory / VIRTUAL_SHARDS;
        let part = || Part {
            clients: Table::new(each / 16 * TABLES[0].1, Seeded::new(plan.seed)),
            tables: TABLES[1..]
                .iter()
                .map(|(_, share)| Table::new(each / 16 * share, Seeded::new(plan.seed)))
                .collect(),
            hot: BTreeSet::new(),
        };
        let parts = (0..VIRTUAL_SHARDS).map(|shard| (shard % threads == thread).then(part)).collect();
        // The configuration holds far fewer than 65,536 entries.
        let lateness = |entry: usize| plan.entry(EntryId(entry as u16)).lateness;
        let spread = (0..plan.entries()).map(|entry| lateness(entry).saturating_add(knobs.drift)).collect();
        let desk = if thread == 0 { Desk::new(&plan) } else { None };
        Self {
            asks: Asks::new(&plan, knobs.drift, |keying| {
                // No crowd may push out what its table holds besides.
                let table = match keying {
                    Keying::Prefix => 1,
                    Keying::Text { .. } => 2,
                    Keying::Service | Keying::Client => 3,
                };
                each / 16 * TABLES[table].1 / CROWD_PART
            }),
            ahead: Ahead::default(),
            spread,
            early: knobs.early,
            first: thread == 0,
            parts,
            plan,
            watch,
            touched: Vec::new(),
            common: Common::default(),
            departed: Departed::default(),
            cleared: BTreeMap::new(),
            closed: BTreeMap::new(),
            swept: BTreeMap::new(),
            specimens: Specimens::default(),
            stale: 0,
            sum: Sum::default(),
            survey: None,
            desk,
        }
    }

    /// From here on takes note of how near keys come to each rule's line: of all, or of one client alone.
    pub fn survey(&mut self, only: Option<Client>) {
        self.survey = Some(Survey::new(&self.plan, only));
    }

    /// The keys that came nearest to each rule's line, by rule.
    pub fn closest(&self) -> Vec<Closest> {
        let ask = |key: &CellKey| *self.asks.of(key.entry, key.rule, key.service);
        self.survey.as_ref().map(|survey| survey.closest(&self.plan, ask)).unwrap_or_default()
    }

    /// Merges a parcel: states new violations at once (live), and what the common clearance now closes.
    pub fn merge(&mut self, parcel: Parcel, signals: &mut Vec<Signal>) {
        for sample in parcel.specimens {
            self.specimens.add(sample);
        }
        let mut came = Vec::new();
        for reach in parcel.sources {
            if !self.common.reads(reach.source) {
                came.push(reach.source.entry);
            }
            self.common.reach(reach);
        }
        let targets = self.common.clearances();
        if let Some(desk) = &mut self.desk {
            came.into_iter().for_each(|entry| desk.came(entry));
            desk.take(parcel.gathered, signals);
            desk.close(targets.values().copied().min().unwrap_or(EventTime::MIN), signals);
        }
        for (entry, target) in &targets {
            let cleared = self.cleared.entry(*entry).or_insert(EventTime::MIN);
            // A source that came back takes the clearance back with it, before anything older is read. Far ahead goes step
            // by step, below.
            if *target < *cleared || *target <= cleared.plus(STEP) && self.ahead.is_empty(*entry) {
                *cleared = *target;
            }
        }
        let mut hashes = [Hashes::default(); STRETCH];
        for partials in parcel.partials.chunks(STRETCH) {
            self.foresee(partials, &mut hashes);
            // How far what is cleared reaches does not change meanwhile, and the lane's partials are mostly of one entry.
            let mut near: Option<(EntryId, i64)> = None;
            for (partial, hashes) in partials.iter().zip(&hashes) {
                let reach = match near.filter(|(entry, _)| partial.rule == LANE && *entry == partial.entry) {
                    Some((_, reach)) => reach,
                    None => self.reach(partial),
                };
                if partial.rule == LANE {
                    near = Some((partial.entry, reach));
                }
                if partial.bucket > reach && !self.ahead.is_full() {
                    self.wait(partial);
                } else {
                    self.add(partial, *hashes, signals);
                }
            }
        }
        self.close(signals);
        for (entry, target) in targets {
            self.advance(entry, target, signals);
        }
    }

    /// Looks up what the next partials will change. Tables are larger than caches, and adding waits for memory at each
    /// step; look-ups alone do not wait for one another, so that the waiting is done for several at once.
    fn foresee(&self, partials: &[Partial], hashes: &mut [Hashes; STRETCH]) {
        // One thing at a time: the less there is to do between two look-ups, the more of them wait together.
        for (partial, hashes) in partials.iter().zip(hashes.iter_mut()) {
            if let Some(Some(part)) = self.parts.get(usize::from(partial.shard)) {
                *hashes = self.hashes(part, partial);
            }
        }
        let (mut families, mut cells) = ([None; STRETCH], [None; STRETCH]);
        for ((partial, hashes), family) in partials.iter().zip(&*hashes).zip(&mut families) {
            if let Some(Some(part)) = self.parts.get(usize::from(partial.shard))
                && hashes.client != 0
                && let Key::Client(client) = partial.key
            {
                let key = ClientKey::new(partial.entry, client, partial.service);
                *family = part.clients.find(hashes.client, &key);
            }
        }
        for ((partial, hashes), cell) in partials.iter().zip(&*hashes).zip(&mut cells) {
            if let Some(Some(part)) = self.parts.get(usize::from(partial.shard))
                && hashes.prefix != 0
                && let Some(key) = self.first_prefix(partial)
            {
                *cell = part.tables[0].find(hashes.prefix, &key);
            }
        }
        let seen = families.iter().flatten().fold(0, |seen, family| seen ^ family.glance());
        let seen = cells.iter().flatten().fold(seen, |seen, cell| seen ^ cell.glance());
        // What is seen is of no use; that it was looked at is.
        std::hint::black_box(seen);
    }

    /// The hashes of what a partial will be added to; of a client's or prefix's only, and 0 where there is none. Texts
    /// cost a clone, and are rare.
    fn hashes(&self, part: &Part, partial: &Partial) -> Hashes {
        let Key::Client(client) = partial.key else { return Hashes::default() };
        let Partial { rule, entry, service, .. } = *partial;
        let of_client = rule == LANE
            || self.plan.rules.get(usize::from(rule)).is_some_and(|rule| rule.keying == Keying::Client);
        Hashes {
            client: if of_client { part.clients.hash(&ClientKey::new(entry, client, service)) } else { 0 },
            prefix: self.first_prefix(partial).map_or(0, |key| part.tables[0].hash(&key)),
        }
    }

    /// What a partial of the lane is counted under for the first rule by prefix that wants it.
    fn first_prefix(&self, partial: &Partial) -> Option<CellKey> {
        let prefixes = partial.lane & self.plan.lane.prefixes;
        let Key::Client(client) = partial.key else { return None };
        if partial.rule != LANE || prefixes == 0 {
            return None;
        }
        let rule = self.plan.lane.rules[prefixes.trailing_zeros() as usize].rule;
        Some(CellKey {
            rule,
            entry: partial.entry,
            key: Key::Prefix(client.prefix()),
            service: partial.service,
        })
    }

    /// Under what a partial is kept, and for crowds the client that it came from.
    fn cell_key(
        &self,
        (rule, entry, service): (u16, EntryId, ServiceId),
        key: &Key,
    ) -> (CellKey, Option<Client>) {
        let crowd = self.plan.rules.get(usize::from(rule)).filter(|rule| rule.crowd.is_some());
        let (key, host) = match (key, crowd.map(|rule| rule.keying)) {
            (Key::Client(client), Some(Keying::Prefix)) => (Key::Prefix(client.prefix()), Some(*client)),
            (Key::Client(client), Some(Keying::Service)) => (Key::Service, Some(*client)),
            (Key::Pair(pair), Some(Keying::Text { .. })) => {
                (Key::Text((*pair.text).into()), Some(pair.client))
            }
            (key, _) => (key.clone(), None),
        };
        (CellKey { rule, entry, key, service }, host)
    }

    /// The last bucket of a partial's rule that its entry is near to. What lies further on waits.
    fn reach(&self, partial: &Partial) -> i64 {
        let cleared = self.cleared.get(&partial.entry).copied().unwrap_or(EventTime::MIN);
        let (cut, slack) = if partial.rule == LANE {
            let ask = self.asks.lane(partial.entry);
            (ask.cut, ask.slack)
        } else {
            let ask = self.asks.of(partial.entry, partial.rule, partial.service);
            (ask.cut, ask.slack)
        };
        cut.closed(cleared).saturating_add(slack + 1)
    }

    /// Lets a partial wait whose entry is far behind it.
    fn wait(&mut self, partial: &Partial) {
        let cut = match partial.rule {
            LANE => self.asks.lane(partial.entry).cut,
            rule => self.asks.of(partial.entry, rule, partial.service).cut,
        };
        self.ahead.put(cut.start(partial.bucket), partial.clone());
    }

    /// Takes an entry's time forward to its clearance, in steps that its rings can hold, and adds what waited.
    fn advance(&mut self, entry: EntryId, target: EventTime, signals: &mut Vec<Signal>) {
        if self.ahead.is_empty(entry) && self.cleared.get(&entry) == Some(&target) {
            return;
        }
        let spread = self.spread.get(usize::from(entry.0)).copied().unwrap_or_default();
        loop {
            let cleared = self.cleared.get(&entry).copied().unwrap_or(EventTime::MIN);
            for partial in self.ahead.take(entry, cleared.plus(spread)) {
                let Some(Some(part)) = self.parts.get(usize::from(partial.shard)) else { continue };
                let hashes = self.hashes(part, &partial);
                self.add(&partial, hashes, signals);
            }
            if cleared >= target {
                // Time can have gone back, with a source that came back.
                self.cleared.insert(entry, target);
                self.close(signals);
                return;
            }
            // Where nothing happened, nothing is walked through.
            let next = match self.ahead.earliest(entry) {
                Some(earliest) => cleared.plus(STEP).max(earliest.minus(spread)).min(target),
                None => target,
            };
            self.close(signals);
            self.cleared.insert(entry, next);
            self.close(signals);
        }
    }

    /// States what was added, and what has closed.
    fn close(&mut self, signals: &mut Vec<Signal>) {
        let mut due = std::mem::take(&mut self.touched);
        let closing = self.closing();
        if !closing.is_empty() {
            // What is read twice is not due the second time.
            due.extend(self.hot(|key| closing.contains(&key.entry)));
        }
        self.read(due, |cell, ask, horizon| cell.is_due(ask, horizon), Tell::News, signals);
        self.sweep();
    }

    /// A source is no longer read here: it leaves the common minimum. What it fed alone is stated as far as it is known,
    /// and forgotten; what it shared with others stays: they are real records.
    pub fn left(&mut self, source: Source, signals: &mut Vec<Signal>) {
        self.common.leave(source);
        self.departed.leave(source);
        self.ahead.drop_of(source);
        if let Some(desk) = &mut self.desk {
            desk.left(source.entry);
        }
        let Some(fed) = self.departed.fed_by(source) else { return };
        let mut gone = Vec::new();
        for part in self.parts.iter_mut().flatten() {
            let before = gone.len();
            let mut cells = Vec::new();
            part.clients.sweep(|key, family| {
                cells.extend(family.take_fed_by(fed).into_iter().map(|(rule, cell)| (key.of(rule), cell)));
                !family.is_empty()
            });
            cells.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
            gone.append(&mut cells);
            for table in &mut part.tables {
                gone.extend(table.extract(|_, cell| cell.from.fed == fed));
            }
            for (key, _) in &gone[before..] {
                part.hot.remove(key);
            }
        }
        for (key, cell) in gone {
            self.state_last(&key, cell, signals);
        }
    }

    /// States everything that is known and was not stated, also of facts that go on: before a barrier passes.
    pub fn flush(&mut self, signals: &mut Vec<Signal>) {
        let hot = self.hot(|_| true);
        self.read(hot, |cell, ask, horizon| cell.is_dirty() || cell.is_due(ask, horizon), Tell::All, signals);
    }

    /// The input has ended: every bucket closes, and everything is stated.
    pub fn finish(&mut self, signals: &mut Vec<Signal>) {
        for entry in 0..self.plan.entries() {
            // The configuration holds far fewer than 65,536 entries.
            self.advance(EntryId(entry as u16), EventTime::MAX, signals);
        }
        if let Some(desk) = &mut self.desk {
            desk.close(EventTime::MAX, signals);
        }
        let hot = self.hot(|_| true);
        self.read(hot, |_, _, _| true, Tell::All, signals);
        self.look_at_all();
    }

    /// Takes note of how near all keys came, when all buckets have closed.
    fn look_at_all(&mut self) {
        let Some(survey) = &mut self.survey else { return };
        let closed = |ask: &Ask| (i64::MIN, ask.cut.closed(EventTime::MAX));
        for part in self.parts.iter().flatten() {
            for (key, family) in part.clients.iter() {
                let ask = |rule| self.asks.of(key.entry, rule, key.service);
                survey.look_at_client(&self.plan, family, |rule| key.of(rule), ask, closed);
            }
            for (key, cell) in part.tables.iter().flat_map(Table::iter) {
                let ask = self.asks.of(key.entry, key.rule, key.service);
                survey.look(&self.plan, key, cell, ask, closed(ask));
            }
        }
    }

    /// By entry, the earliest event time from which records must be read again, so that every run that may still go on
    /// is found again after a restart: the start of its last violating window. Entries where nothing holds have none.
    pub fn hold_floors(&self) -> BTreeMap<EntryId, EventTime> {
        let mut floors: BTreeMap<EntryId, EventTime> = BTreeMap::new();
        let mut lower = |entry: EntryId, floor: EventTime| {
            floors.entry(entry).and_modify(|held| *held = floor.min(*held)).or_insert(floor);
        };
        for part in self.parts.iter().flatten() {
            for key in &part.hot {
                let Some(floor) = part.cell(key).and_then(|cell| cell.hold_floor(&self.ask(key))) else {
                    continue;
                };
                lower(key.entry, floor);
            }
        }
        for (entry, floor) in self.desk.iter().flat_map(Desk::floors) {
            lower(entry, floor);
        }
        floors
    }

    /// What was learned of series since this was last asked, to be stored no later than the barrier that passes now.
    pub fn learned(&mut self) -> Vec<Learned> {
        self.desk.as_mut().map(Desk::learned).unwrap_or_default()
    }

    /// Goes on from what the store has of series; how many could not be read, or found no room.
    pub fn remember(&mut self, learned: &[Learned]) -> usize {
        self.desk.as_mut().map_or(0, |desk| desk.remember(learned))
    }

    /// An operator says that what this workload or service does now is as it should be: what was frozen is learned again, and
    /// what was told of it ends by itself. Whether anything was known of it. The first thread's shard knows; what it
    /// changes is stored with the next barrier.
    pub fn accept(&mut self, target: &Subject) -> bool {
        self.desk.as_mut().is_some_and(|desk| desk.accept(target))
    }

    fn ask(&self, key: &CellKey) -> Ask {
        *self.asks.of(key.entry, key.rule, key.service)
    }

    fn horizon(&self, entry: EntryId, ask: &Ask, charts: bool) -> Horizon {
        let cleared = self.cleared.get(&entry).copied().unwrap_or(EventTime::MIN);
        Horizon {
            closed: ask.cut.closed(cleared),
            whole_from: ask.cut.bucket(self.common.covers_from(entry)) + BUCKETS,
            early: self.early,
            charts,
        }
    }
}
