//! The whole line in one thread: log, worker, shards. For `replay`, and for the tests' simulated log.
//!
//! A replay raises nothing early: facts come from closed buckets only, are joined, and are folded in the order of their
//! first violation once the input has ended, each at its own event time. So the incidents are a function of the
//! records alone, whatever the number of shards and however the partitions interleave.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use beaconfire_decode::DecodeKnobs;
use beaconfire_detect::{Census, Closest, Plan, Shard, ShardKnobs, Watch};
use beaconfire_model::{Client, EventTime, Log, Names, Signal, Source, Wall};
use beaconfire_outbox::Fate;

use crate::{
    Barrier, Changes, DeadLetterSink, Durable, Exchange, Freight, Host, Keeper, Known, Registry, Shelf,
    Tally, Worker, WorkerFault, WorkerId, WorkerKnobs,
};

/// How a line is laid out.
#[derive(Debug, Clone)]
pub struct LineKnobs {
    /// How many shards the virtual shards are mapped onto. The result does not depend on it.
    pub shards: usize,
    /// Bytes for all tables.
    pub memory: usize,
    /// The worker's times.
    pub worker: WorkerKnobs,
    /// Our clock's reading for the whole run: only stamps beyond it are refused.
    pub now: Wall,
    /// Whether to take note of how near keys came to each rule's line.
    pub survey: Survey,
}

/// Of whom a line takes note how near they came to each rule's line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Survey {
    /// Of nobody.
    #[default]
    Nobody,
    /// Of everybody: those who came nearest.
    All,
    /// Of one client.
    Client(Client),
}

/// The line.
pub struct Line<L: Log> {
    log: L,
    worker: Worker,
    shards: Shards,
    now: Wall,
}

/// What a line ends with.
#[derive(Debug)]
pub struct Ending {
    /// The facts, joined, by (first, rule, subject).
    pub facts: Vec<Signal>,
    /// What was counted.
    pub tally: Tally,
    /// The earliest and latest event time.
    pub span: Option<(EventTime, EventTime)>,
    /// The tables' state at the end, one a shard.
    pub census: Vec<Census>,
    /// The keys that came nearest to each rule's line, the nearest first.
    pub closest: Vec<Closest>,
}

/// All shards, behind an exchange that delivers at once.
struct Shards {
    shards: Vec<Shard>,
    signals: Vec<Signal>,
}

impl Exchange for Shards {
    fn threads(&self) -> usize {
        self.shards.len()
    }

    fn send(&mut self, thread: usize, freight: Freight) -> Result<(), Box<Freight>> {
        let shard = &mut self.shards[thread];
        match freight {
            Freight::Parcel(parcel) => shard.merge(*parcel, &mut self.signals),
            Freight::Left(source) => shard.left(source, &mut self.signals),
            Freight::Fact(fact) => self.signals.push(*fact),
            // Nothing is committed in a line.
            Freight::Barrier(_) => {}
        }
        Ok(())
    }
}

/// A world in which no time passes.
struct Still(Wall);

impl Host for Still {
    fn now(&self) -> Wall {
        self.0
    }
    fn nap(&mut self, _: Duration) {}
    fn progress(&self, _: Source) -> Option<Known> {
        None
    }
    fn durable(&mut self) -> Vec<Durable<Barrier>> {
        Vec::new()
    }
}

impl<L: Log> Line<L> {
    /// A line over this log.
    pub fn new(log: L, plan: Arc<Plan>, decode: &[DecodeKnobs], names: Names, knobs: &LineKnobs) -> Self {
        let watch = Arc::new(Watch::default());
        let worker_knobs = WorkerKnobs { live: false, ..knobs.worker.clone() };
        let shards = (0..knobs.shards)
            .map(|thread| {
                let shard = ShardKnobs {
                    memory: knobs.memory / knobs.shards,
                    early: false,
                    drift: worker_knobs.drift,
                };
                let mut shard = Shard::new(plan.clone(), thread, knobs.shards, shard, watch.clone());
                match knobs.survey {
                    Survey::Nobody => {}
                    Survey::All => shard.survey(None),
                    Survey::Client(client) => shard.survey(Some(client)),
                }
                shard
            })
            .collect();
        let worker = Worker::new(
            WorkerId(0),
            worker_knobs,
            plan,
            decode,
            watch,
            Arc::default(),
            Arc::new(Registry::default()),
            names,
        );
        Self { log, worker, shards: Shards { shards, signals: Vec::new() }, now: knobs.now }
    }

    /// Reads to the end of the log.
    pub fn run(mut self, dead: &mut impl DeadLetterSink) -> Result<Ending, WorkerFault> {
        let mut tally = Tally::default();
        let mut facts = Facts::default();
        // Time stands still for the worker, so that nothing depends on how fast the input is read; it flushes when
        // its combiner is full and after every so many turns.
        let mut host = Still(self.now);
        let mut turns = 0u64;
        while !self.worker.ended() {
            self.worker.step(&mut self.log, &mut self.shards, &mut host, dead, Duration::ZERO)?;
            turns += 1;
            if turns.is_multiple_of(16) {
                self.worker.drain(&mut self.log, &mut self.shards, self.now);
                tally.add(&self.worker.take_tally());
                facts.join(&mut self.shards.signals);
            }
        }
        self.worker.drain(&mut self.log, &mut self.shards, self.now);
        for shard in &mut self.shards.shards {
            shard.finish(&mut self.shards.signals);
        }
        facts.join(&mut self.shards.signals);
        tally.add(&self.worker.take_tally());
        let census = self.shards.shards.iter().map(Shard::census).collect();
        let closest = Closest::join(self.shards.shards.iter().flat_map(Shard::closest).collect());
        Ok(Ending { facts: facts.sorted(), span: self.worker.span(), tally, census, closest })
    }
}

/// Facts joined by what they are about: a fact that grew is still one.
#[derive(Debug, Default)]
struct Facts(BTreeMap<FactKey, Signal>);

type FactKey = (EventTime, Arc<str>, beaconfire_model::Subject, beaconfire_model::Subject);

impl Facts {
    fn join(&mut self, signals: &mut Vec<Signal>) {
        for signal in signals.drain(..) {
            let key = (signal.first.0, signal.rule.clone(), signal.subject.clone(), signal.target.clone());
            match self.0.entry(key) {
                std::collections::btree_map::Entry::Vacant(slot) => {
                    slot.insert(signal);
                }
                std::collections::btree_map::Entry::Occupied(mut slot) => absorb(slot.get_mut(), signal),
            }
        }
    }

    fn sorted(self) -> Vec<Signal> {
        self.0.into_values().collect()
    }
}

fn absorb(held: &mut Signal, newer: Signal) {
    held.began = held.began.join(newer.began);
    held.holds_until = held.holds_until.join(newer.holds_until);
    held.severity = held.severity.max(newer.severity);
    held.evidence.observed = held.evidence.observed.join(newer.evidence.observed);
    if !newer.evidence.series.is_empty() {
        held.evidence.series = newer.evidence.series;
    }
    for participant in newer.participants {
        match held.participants.iter_mut().find(|known| known.subject == participant.subject) {
            Some(known) => {
                known.events = known.events.join(participant.events);
                known.first_seen = known.first_seen.join(participant.first_seen);
                known.last_seen = known.last_seen.join(participant.last_seen);
            }
            None => held.participants.push(participant),
        }
    }
    held.samples.extend(newer.samples);
    held.samples.truncate(10);
}

impl Ending {
    /// Folds the facts as `run` would have, each at its own event time, and hands out what changes, in order. Incidents
    /// whose run is over by the last event time are resolved; another is shown as it stands.
    pub fn fold(&self, keeper: &mut Keeper, mut each: impl FnMut(&Changes)) -> Shelf {
        let mut shelf = Shelf::default();
        let entries: Vec<String> = keeper.policy().context.entries.clone();
        let mut facts = self.facts.iter().peekable();
        while let Some(fact) = facts.next() {
            let mut together = vec![fact.clone()];
            while let Some(next) = facts.next_if(|next| next.first == fact.first) {
                together.push(next.clone());
            }
            let at = fact.first.0;
            resolve_until(keeper, &mut shelf, &entries, at, &mut each);
            let report = crate::Report { thread: 0, signals: together, learned: Vec::new(), barrier: None };
            keeper.receive(report, wall(at));
            let changes = keeper.fold(&shelf, wall(at));
            put(&mut shelf, &changes);
            each(&changes);
            keeper.saved(changes);
        }
        if let Some((_, last)) = self.span {
            resolve_until(keeper, &mut shelf, &entries, last, &mut each);
        }
        shelf
    }
}

fn wall(at: EventTime) -> Wall {
    Wall::from_millis(at.millis())
}

/// Resolves what is over at `at`, each incident at the time it is over.
fn resolve_until(
    keeper: &mut Keeper,
    shelf: &mut Shelf,
    entries: &[String],
    at: EventTime,
    each: &mut impl FnMut(&Changes),
) {
    shelf.clearances = entries.iter().map(|entry| (entry.clone(), at)).collect();
    let knobs = keeper.policy().knobs.clone();
    let mut due: Vec<_> = shelf
        .episodes
        .values()
        .flat_map(|(episodes, _)| episodes)
        .filter(|incident| incident.status != beaconfire_incident::Status::Resolved)
        .map(|incident| (incident.holds_until.plus(knobs.resolve_after(incident.kind)), incident.clone()))
        .filter(|(over, _)| *over <= at)
        .collect();
    due.sort_by(|a, b| (a.0, &a.1.id).cmp(&(b.0, &b.1.id)));
    for (over, incident) in due {
        let changes = keeper.fold_time(&[incident], shelf, wall(over));
        put(shelf, &changes);
        each(&changes);
    }
}

/// Puts changes on the shelf as a store would.
fn put(shelf: &mut Shelf, changes: &Changes) {
    for folded in &changes.folded {
        let mut incident = folded.incident.clone();
        incident.version += 1;
        let (episodes, last) = shelf.episodes.entry(incident.fingerprint.clone()).or_default();
        *last = (*last).max(incident.episode);
        match episodes.iter_mut().find(|held| held.id == incident.id) {
            Some(held) => *held = incident,
            None => episodes.push(incident),
        }
    }
    for row in &changes.rows {
        let mut row = row.clone();
        row.version += 1;
        if row.next_action().is_some() {
            // In a replay everybody is told at once, and takes it.
            row.told = Some(row.desired);
            row.fate = Fate::Delivered;
        }
        match shelf.rows.iter_mut().find(|held| held.key == row.key) {
            Some(held) => *held = row,
            None => shelf.rows.push(row),
        }
    }
    shelf.decisions.extend(changes.decisions.iter().cloned());
}
