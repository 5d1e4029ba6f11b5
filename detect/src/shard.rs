//! The shards' half: partials of all workers into windows, windows into facts.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use beaconfire_model::{
    Client, EntryId, EventTime, Evidence, Kind, Peak, Prefix, Signal, Source, Specimen, Subject, SubjectKind,
};

use crate::cell::{Ask, Cell, Statement, Value};
use crate::hash::Seeded;
use crate::parcel::{FINDING, shard_of};
use crate::plan::{BUCKETS, Counting, Lines, Plan, Rule};
use crate::services::ServiceId;
use crate::{Field, Key, Parcel, Partial, Reach, VIRTUAL_SHARDS, Watch};

/// How a shard thread works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardKnobs {
    /// Bytes for this thread's tables.
    pub memory: usize,
    /// Live: raise as records arrive. Replay: only what has closed.
    pub early: bool,
    /// How far the sources of one entry may drift apart.
    pub drift: Duration,
}

/// What the tables hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Census {
    /// One for each table, by name.
    pub tables: Vec<TableCensus>,
}

/// What one table holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableCensus {
    /// Its name.
    pub name: &'static str,
    /// Keys held.
    pub keys: u64,
    /// Bytes held.
    pub bytes: u64,
    /// Keys evicted at the bound, ever.
    pub evictions: u64,
}

/// What a window is kept for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct CellKey {
    entry: EntryId,
    rule: u16,
    service: ServiceId,
    key: CellOf,
}

/// A partial's key; under rules by prefix, its prefix.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum CellOf {
    Partial(Key),
    Prefix(Prefix),
}

/// One virtual shard: its own table, its own share of the memory.
#[derive(Debug)]
struct Part {
    cells: HashMap<CellKey, Cell, Seeded>,
    /// Cells that closed reading has to look at.
    hot: BTreeSet<CellKey>,
    bytes: usize,
    evictions: u64,
}

/// Raw records kept for clients and workloads until their next statement.
const SPECIMEN_KEYS_MAX: usize = 1_024;
const SPECIMENS_EACH: usize = 5;
/// How often (in event time) cells are looked over for what no window needs any more.
const SWEEP_EVERY: Duration = Duration::from_secs(10);

/// The virtual shards of one thread.
#[derive(Debug)]
pub struct Shard {
    plan: Arc<Plan>,
    knobs: ShardKnobs,
    watch: Arc<Watch>,
    parts: BTreeMap<usize, Part>,
    memory_each: usize,
    reaches: BTreeMap<Source, Reach>,
    /// Per entry: closed through here, and windows are whole from there.
    closed: BTreeMap<EntryId, (EventTime, EventTime)>,
    swept: BTreeMap<EntryId, EventTime>,
    specimens: BTreeMap<Key, Vec<Specimen>>,
    crowded: u64,
}

impl Shard {
    /// The virtual shards that fall to `thread` of `threads`.
    pub fn new(plan: Arc<Plan>, thread: usize, threads: usize, knobs: ShardKnobs, watch: Arc<Watch>) -> Self {
        let mine: Vec<usize> = (0..VIRTUAL_SHARDS).filter(|shard| shard % threads == thread).collect();
        let seeded = Seeded(plan.seed);
        let part =
            || Part { cells: HashMap::with_hasher(seeded), hot: BTreeSet::new(), bytes: 0, evictions: 0 };
        Self {
            memory_each: knobs.memory / mine.len().max(1),
            parts: mine.into_iter().map(|shard| (shard, part())).collect(),
            plan,
            knobs,
            watch,
            reaches: BTreeMap::new(),
            closed: BTreeMap::new(),
            swept: BTreeMap::new(),
            specimens: BTreeMap::new(),
            crowded: 0,
        }
    }

    /// Merges a parcel: states new violations at once (live), and what the common clearance now closes.
    pub fn merge(&mut self, parcel: Parcel, signals: &mut Vec<Signal>) {
        for (key, specimen) in parcel.specimens {
            if self.specimens.len() < SPECIMEN_KEYS_MAX || self.specimens.contains_key(&key) {
                let kept = self.specimens.entry(key).or_default();
                if kept.len() < SPECIMENS_EACH {
                    kept.push(specimen);
                }
            }
        }
        let mut fresh = BTreeSet::new();
        for partial in parcel.partials {
            self.add(partial, &mut fresh);
        }
        for (part, key) in fresh {
            self.state(part, &key, signals);
        }
        for reach in parcel.sources {
            self.reaches.insert(reach.source, reach);
        }
        self.close(signals);
    }

    /// A source is no longer read here: it leaves the common minimum. What it contributed stays: they are real records.
    pub fn left(&mut self, source: Source) {
        self.reaches.remove(&source);
    }

    /// States everything that is known and was not stated: before a barrier passes.
    pub fn flush(&mut self, signals: &mut Vec<Signal>) {
        if self.knobs.early {
            for (part, key) in self.hot(|cell| cell.is_dirty()) {
                self.state(part, &key, signals);
            }
        }
    }

    /// The input has ended: every bucket closes.
    pub fn finish(&mut self, signals: &mut Vec<Signal>) {
        for entry in 0..self.plan.entries() {
            // The configuration holds far fewer than 65,536 entries.
            self.close_entry(EntryId(entry as u16), EventTime::MAX, signals);
        }
    }

    /// The earliest event time that a run at hand needs rebuilt after a restart.
    pub fn hold_floor(&self, entry: EntryId) -> Option<EventTime> {
        self.parts
            .values()
            .flat_map(|part| part.hot.iter().filter_map(|key| part.cells.get(key).map(|cell| (key, cell))))
            .filter(|(key, _)| key.entry == entry)
            .filter_map(|(key, cell)| cell.hold_floor(&ask(&self.plan, key)))
            .min()
    }

    /// What the tables hold.
    pub fn census(&self) -> Census {
        let sum = |of: fn(&Part) -> u64| self.parts.values().map(of).sum::<u64>();
        Census {
            tables: vec![TableCensus {
                name: "windows",
                keys: sum(|part| part.cells.len() as u64),
                bytes: sum(|part| part.bytes as u64),
                evictions: sum(|part| part.evictions) + self.crowded,
            }],
        }
    }

    fn hot(&self, which: impl Fn(&Cell) -> bool) -> Vec<(usize, CellKey)> {
        let mut found = Vec::new();
        for (shard, part) in &self.parts {
            found.extend(
                part.hot
                    .iter()
                    .filter(|key| part.cells.get(key).is_some_and(&which))
                    .map(|key| (*shard, key.clone())),
            );
        }
        found
    }

    fn add(&mut self, partial: Partial, fresh: &mut BTreeSet<(usize, CellKey)>) {
        let rule = self.plan.rules.get(usize::from(partial.rule));
        let service = self.plan.services.name(partial.service);
        let (of, host) = match (&partial.key, rule) {
            (Key::Client(client), Some(rule)) if rule.is_by_prefix() => {
                (CellOf::Prefix(client.prefix()), Some(*client))
            }
            (key, _) => (CellOf::Partial(key.clone()), None),
        };
        let client = pair_client(&partial.key, rule);
        let shard = shard_of(&partial.key, client, &service);
        let key = CellKey { entry: partial.entry, rule: partial.rule, service: partial.service, key: of };
        let ask = ask_for(&self.plan, rule, &service);
        if !ask.lines.enabled {
            return;
        }
        // A partial for what has closed already came after its source fell silent: counted as late by the reader.
        let Some(part) = self.parts.get_mut(&shard) else { return };
        let known = part.cells.contains_key(&key);
        let cell = part.cells.entry(key.clone()).or_default();
        let before = if known { cell.bytes() } else { 0 };
        if partial.rule == FINDING {
            cell.worst = cell.worst.max(Some(partial.severity));
        }
        if !cell.add(partial.bucket, partial.count, partial.matched, host) {
            self.crowded += 1;
        }
        let grows = rule.is_none_or(Rule::only_grows);
        let news = self.knobs.early && grows && cell.read_early(&ask, partial.bucket);
        part.bytes = part.bytes + cell.bytes() - before;
        if cell.is_hot(&ask) && !part.hot.contains(&key) {
            part.hot.insert(key.clone());
        }
        if news {
            fresh.insert((shard, key));
        }
        if part.bytes > self.memory_each {
            evict(part, self.memory_each);
        }
    }

    /// Reads what the common clearance of each entry now closes.
    fn close(&mut self, signals: &mut Vec<Signal>) {
        let mut common: BTreeMap<EntryId, (EventTime, EventTime)> = BTreeMap::new();
        for reach in self.reaches.values() {
            let held = common.entry(reach.source.entry).or_insert((EventTime::MAX, EventTime::MIN));
            *held = (held.0.min(reach.clearance), held.1.max(reach.covers_from));
        }
        for (entry, (clearance, covers_from)) in common {
            let closed = self.closed.entry(entry).or_insert((EventTime::MIN, EventTime::MIN));
            closed.1 = closed.1.max(covers_from);
            if clearance > closed.0 {
                self.close_entry(entry, clearance, signals);
            }
        }
    }

    fn close_entry(&mut self, entry: EntryId, clearance: EventTime, signals: &mut Vec<Signal>) {
        let closed = self.closed.entry(entry).or_insert((EventTime::MIN, EventTime::MIN));
        closed.0 = closed.0.max(clearance);
        let covers_from = closed.1;
        let plan = self.plan.clone();
        let mut done = Vec::new();
        for (shard, part) in &mut self.parts {
            let keys: Vec<CellKey> = part.hot.iter().filter(|key| key.entry == entry).cloned().collect();
            for key in keys {
                let Some(cell) = part.cells.get_mut(&key) else {
                    part.hot.remove(&key);
                    continue;
                };
                let ask = ask(&plan, &key);
                let before = cell.bytes();
                let covers = (covers_from > EventTime::MIN).then(|| ask.cut.bucket(covers_from));
                cell.read_closed(&ask, ask.cut.closed(clearance), covers);
                part.bytes = (part.bytes + cell.bytes()).saturating_sub(before);
                if cell.is_dirty() && !self.knobs.early {
                    done.push((*shard, key.clone()));
                }
                if !cell.is_hot(&ask) && !cell.is_dirty() {
                    part.hot.remove(&key);
                }
            }
        }
        for (shard, key) in done {
            self.state(shard, &key, signals);
        }
        self.sweep(entry, clearance);
    }

    /// Forgets counts that no open window needs.
    fn sweep(&mut self, entry: EntryId, clearance: EventTime) {
        let swept = self.swept.entry(entry).or_insert(clearance);
        if clearance < swept.plus(SWEEP_EVERY) {
            return;
        }
        *swept = clearance;
        let plan = self.plan.clone();
        for part in self.parts.values_mut() {
            let (hot, bytes) = (&mut part.hot, &mut part.bytes);
            part.cells.retain(|key, cell| {
                if key.entry != entry {
                    return true;
                }
                let before = cell.bytes();
                let cut = ask(&plan, key).cut;
                let empty = cell.forget_before(cut.closed(clearance) - 2 * BUCKETS);
                if empty {
                    *bytes = bytes.saturating_sub(before);
                    hot.remove(key);
                } else {
                    *bytes = (*bytes + cell.bytes()).saturating_sub(before);
                }
                !empty
            });
        }
    }

    /// States what one cell knows.
    fn state(&mut self, shard: usize, key: &CellKey, signals: &mut Vec<Signal>) {
        let plan = self.plan.clone();
        let ask = ask(&plan, key);
        let mut statements = Vec::new();
        if let Some(cell) = self.parts.get_mut(&shard).and_then(|part| part.cells.get_mut(key)) {
            cell.state(&ask, self.knobs.early, &mut statements);
        }
        for statement in statements {
            let signal = self.signal(key, &ask, statement);
            signals.push(signal);
        }
    }

    fn signal(&mut self, key: &CellKey, ask: &Ask, statement: Statement) -> Signal {
        let Statement { run, series } = statement;
        let service = self.plan.services.name(key.service);
        let (first, began, holds_until) = run.times(ask.cut);
        let participants = run.participants(ask.cut);
        let mut specimen_key = None;
        let (name, kind, target, subject, window) =
            match (self.plan.rules.get(usize::from(key.rule)), &key.key) {
                (Some(rule), of) => {
                    let subject = match of {
                        CellOf::Partial(Key::Client(client)) => {
                            self.watch.add(*client, holds_until.0);
                            specimen_key = Some(Key::Client(*client));
                            Subject::client(*client)
                        }
                        CellOf::Prefix(prefix) => {
                            for client in run.hosts.keys().take(16) {
                                self.watch.add(*client, holds_until.0);
                            }
                            specimen_key = run.hosts.keys().next().copied().map(Key::Client);
                            Subject::new(SubjectKind::Prefix, prefix.to_string())
                        }
                        CellOf::Partial(Key::Text(text)) => {
                            let kind = rule
                                .by
                                .first()
                                .and_then(|field| field.subject())
                                .unwrap_or(SubjectKind::Service);
                            Subject::new(kind, text)
                        }
                        CellOf::Partial(Key::Service | Key::Finding { .. }) => Subject::service(&service),
                    };
                    (rule.name.clone(), rule.kind, Subject::service(&service), subject, rule.window)
                }
                (None, CellOf::Partial(of @ Key::Finding { workload, rule })) => {
                    specimen_key = Some(of.clone());
                    let workload = Subject::new(SubjectKind::Workload, workload);
                    (rule.clone(), Kind::Intrusion, workload.clone(), workload, self.plan.finding_window)
                }
                // A rule number beyond the plan that is no finding: no combiner of this plan makes one.
                (None, _) => (
                    "unknown".into(),
                    Kind::Sensor,
                    Subject::service(&service),
                    Subject::service(&service),
                    Duration::ZERO,
                ),
            };
        let samples = specimen_key.and_then(|key| self.specimens.remove(&key)).unwrap_or_default();
        Signal {
            rule: name,
            kind,
            severity: run.severity,
            target,
            subject,
            first,
            began,
            holds_until,
            evidence: Evidence { observed: Peak(run.peak), threshold: ask.lines.threshold, window, series },
            participants,
            samples,
            entry: key.entry,
        }
    }
}

/// The client that decides the shard of a key by two fields.
fn pair_client(key: &Key, rule: Option<&Rule>) -> Option<Client> {
    let (Key::Text(text), Some(rule)) = (key, rule) else { return None };
    let at = rule.by.iter().position(|field| *field == Field::Client)?;
    // A client's text holds no space; whichever side it stands on, it is whole.
    let text = if at == 0 { text.split(' ').next()? } else { text.rsplit(' ').next()? };
    let address = text.split('/').next()?;
    address.parse().ok().map(Client::of)
}

fn ask(plan: &Plan, key: &CellKey) -> Ask {
    ask_for(plan, plan.rules.get(usize::from(key.rule)), &plan.services.name(key.service))
}

fn ask_for(plan: &Plan, rule: Option<&Rule>, service: &str) -> Ask {
    match rule {
        Some(rule) => Ask {
            value: match &rule.count {
                Counting::Share { min_requests, .. } => Value::Share { min_requests: *min_requests },
                Counting::Requests | Counting::Bytes if rule.is_by_prefix() => Value::Prefix,
                Counting::Requests | Counting::Bytes => Value::Count,
            },
            lines: rule.lines(service),
            cut: rule.cut,
            severity: rule.severity,
        },
        // A finding fires on the first, as bad as its sensor says.
        None => Ask {
            value: Value::Count,
            lines: Lines { enabled: true, threshold: 0.0, critical_above: None, host_limit: 0.0 },
            cut: plan.finding_cut,
            severity: beaconfire_model::Severity::Info,
        },
    }
}

/// At the bound the heaviest keys stay (Space-Saving's choice), an eighth of the rest goes at once. A key that comes
/// back begins at zero: the bound costs recall of light keys, never a false alert.
fn evict(part: &mut Part, bound: usize) {
    let mut weights: Vec<((bool, u64), CellKey, usize)> = Vec::with_capacity(part.cells.len());
    part.cells.retain(|key, cell| {
        weights.push((cell.weight(), key.clone(), cell.bytes()));
        true
    });
    weights.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
    let target = bound - bound / 8;
    for ((holds, _), key, bytes) in weights {
        if part.bytes <= target || holds {
            break;
        }
        part.cells.remove(&key);
        part.hot.remove(&key);
        part.bytes = part.bytes.saturating_sub(bytes);
        part.evictions += 1;
    }
}
