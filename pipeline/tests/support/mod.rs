//! What tests of a worker stand it on: a log that says what it was told to say, a queue, and a clock that stands.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use beaconfire_decode::{DecodeKnobs, Format, Reject};
use beaconfire_detect::{EntrySpec, Plan, PlanSpec, RuleSpec};
use beaconfire_model::{
    Assignment, Committed, EntryId, EventTime, Log, LogFault, Names, Offset, Record, Source, Start, TopicId,
    Turn, Wall,
};
use beaconfire_pipeline::{
    Barrier, DeadLetterSink, Durable, Exchange, Freight, Host, Known, Registry, Tides, Worker, WorkerId,
    WorkerKnobs,
};

pub(crate) fn source(partition: i32) -> Source {
    Source { entry: EntryId(0), topic: TopicId(0), partition }
}

/// A partition of records from `low` to 99, of which this was committed.
pub(crate) fn given(partition: i32, committed: Option<(i64, &str)>, low: i64) -> Assignment {
    Assignment {
        source: source(partition),
        committed: committed.map(|(next, metadata)| (Offset(next), metadata.to_owned())),
        low: Offset(low),
        high: Offset(100),
        fresh: Offset(low),
    }
}

/// A record to come: from where, its offset, the log's stamp, its text.
pub(crate) type Coming = (Source, i64, i64, String);

/// A log that says what it was told to say: turns first, then records, and no records while it is paused.
#[derive(Default)]
pub(crate) struct Script {
    pub(crate) turns: VecDeque<Turn>,
    coming: VecDeque<Vec<Coming>>,
    current: Vec<Coming>,
    /// Where it was told to begin.
    pub(crate) starts: Vec<Start>,
    pub(crate) paused: bool,
    /// Whether a source is at its end after each batch.
    pub(crate) tells_ends: bool,
    /// A partition whose broker is away.
    pub(crate) leaderless: Option<i32>,
}

impl Script {
    /// These come together.
    pub(crate) fn put(&mut self, records: impl IntoIterator<Item = Coming>) {
        self.coming.push_back(records.into_iter().collect());
    }
}

impl Log for Script {
    fn poll(&mut self, _: Duration) -> Result<Turn, LogFault> {
        self.current.clear();
        if let Some(turn) = self.turns.pop_front() {
            return Ok(turn);
        }
        if self.paused {
            return Ok(Turn::Idle);
        }
        let Some(records) = self.coming.pop_front() else { return Ok(Turn::Idle) };
        self.current = records;
        if let Some((source, ..)) = self.current.first().filter(|_| self.tells_ends) {
            self.turns.push_back(Turn::CaughtUp { source: *source });
        }
        Ok(Turn::Records)
    }
    fn records(&self) -> impl Iterator<Item = Record<'_>> {
        self.current.iter().map(|(source, offset, stamped, text)| Record {
            source: *source,
            offset: Offset(*offset),
            stamped: Some(EventTime::from_millis(*stamped)),
            payload: Some(text.as_bytes()),
        })
    }
    fn start(&mut self, at: &[Start]) -> Result<(), LogFault> {
        self.starts.extend(at);
        Ok(())
    }
    fn release(&mut self, _: &[Source]) -> Result<(), LogFault> {
        Ok(())
    }
    fn commit(&mut self, _: &[Committed]) -> Result<(), LogFault> {
        Ok(())
    }
    fn pause(&mut self, held: bool) -> Result<(), LogFault> {
        self.paused = held;
        Ok(())
    }
    fn answers_for(&self, source: Source) -> bool {
        Some(source.partition) != self.leaderless
    }
}

/// One shard's queue, full where it is told to be.
#[derive(Default)]
pub(crate) struct Queue {
    pub(crate) full: bool,
    pub(crate) freight: Vec<Freight>,
}

impl Exchange for Queue {
    fn threads(&self) -> usize {
        1
    }
    fn send(&mut self, _: usize, freight: Freight) -> Result<(), Box<Freight>> {
        if self.full {
            return Err(Box::new(freight));
        }
        self.freight.push(freight);
        Ok(())
    }
}

/// A clock that moves when it is moved or somebody naps; nothing ever becomes durable.
#[derive(Default)]
pub(crate) struct Clock {
    /// In milliseconds since 1970.
    pub(crate) now: i64,
    /// Whether the store is away.
    pub(crate) away: bool,
}

impl Host for Clock {
    fn now(&self) -> Wall {
        Wall::from_millis(self.now)
    }
    fn nap(&mut self, within: Duration) {
        self.now += i64::try_from(within.as_millis()).unwrap();
    }
    fn progress(&self, _: Source) -> Option<Known> {
        None
    }
    fn durable(&mut self) -> Vec<Durable<Barrier>> {
        Vec::new()
    }
    fn store_is_away(&self) -> bool {
        self.away
    }
}

/// Every record is understood.
pub(crate) struct NoDead;

impl DeadLetterSink for NoDead {
    fn reject(&mut self, record: &Record<'_>, reason: Reject) {
        panic!("{record:?}: {}", reason.name());
    }
}

/// What the workers of one process share.
pub(crate) struct Process {
    plan: Arc<Plan>,
    format: Format,
    pub(crate) tides: Arc<Tides>,
    registry: Arc<Registry>,
    names: Names,
}

impl Process {
    /// One that reads the topic `edge` in this format, under these rules.
    pub(crate) fn new(format: Format, lateness: Duration, rules: Vec<RuleSpec>) -> Self {
        let entry = EntrySpec { name: "edge".to_owned(), lateness, ..EntrySpec::default() };
        let spec = PlanSpec {
            rules,
            lists: Default::default(),
            services: Default::default(),
            entries: vec![entry],
            finding_window: Duration::from_secs(60),
            seed: 0,
            ..PlanSpec::default()
        };
        let names = Names::default();
        names.topic("edge").unwrap();
        Self {
            plan: Arc::new(Plan::compile(spec).unwrap()),
            format,
            tides: Arc::default(),
            registry: Arc::default(),
            names,
        }
    }

    pub(crate) fn worker(&self, number: usize) -> Worker {
        Worker::new(
            WorkerId(number),
            WorkerKnobs::default(),
            self.plan.clone(),
            &[DecodeKnobs { format: self.format, ..DecodeKnobs::default() }],
            Arc::default(),
            self.tides.clone(),
            self.registry.clone(),
            self.names.clone(),
        )
    }
}
