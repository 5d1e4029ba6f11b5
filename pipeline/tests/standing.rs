//! How far a source is taken to have come while it stands: paused by us, or silent since long ago.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use beaconfire_decode::{DecodeKnobs, Format, Reject};
use beaconfire_detect::{EntrySpec, Plan, PlanSpec, Watch};
use beaconfire_model::{
    Assignment, Committed, EntryId, EventTime, Log, LogFault, Names, Offset, Record, Source, Start, TopicId,
    Turn, Wall,
};
use beaconfire_pipeline::{
    Barrier, DeadLetterSink, Durable, Exchange, Freight, Host, Known, Registry, Tides, Worker, WorkerId,
    WorkerKnobs,
};

const SECOND: i64 = 1_000;
const HOUR: i64 = 3_600 * SECOND;
const NOW: i64 = 1_767_323_045_000;
const LATENESS: i64 = 10 * SECOND;

fn source(partition: i32) -> Source {
    Source { entry: EntryId(0), topic: TopicId(0), partition }
}

/// Records that come when they are put here.
#[derive(Default)]
struct Script {
    turns: VecDeque<Turn>,
    coming: VecDeque<Vec<(Source, i64, i64, String)>>,
    current: Vec<(Source, i64, i64, String)>,
    offset: i64,
    paused: bool,
    /// A partition whose broker is away.
    leaderless: Option<i32>,
}

impl Script {
    /// A request that happened at `at` comes, stamped `stamped`, and then the source's end.
    fn put(&mut self, partition: i32, at: i64, stamped: i64) {
        self.batch(partition, &[(at, stamped)]);
    }

    /// The same of several that come together.
    fn batch(&mut self, partition: i32, times: &[(i64, i64)]) {
        let records = times.iter().zip(self.offset..).map(|((at, stamped), offset)| {
            let seconds = at / SECOND;
            let line =
                format!(r#"{{"kind":"request","time":{seconds},"client":"203.0.113.7","status":200}}"#);
            (source(partition), offset, *stamped, line)
        });
        self.coming.push_back(records.collect());
        self.offset += i64::try_from(times.len()).expect("few");
    }
}

impl Log for Script {
    fn poll(&mut self, _: Duration) -> Result<Turn, LogFault> {
        self.current.clear();
        if let Some(turn) = self.turns.pop_front() {
            return Ok(turn);
        }
        self.current = if self.paused { Vec::new() } else { self.coming.pop_front().unwrap_or_default() };
        let Some((source, ..)) = self.current.first() else { return Ok(Turn::Idle) };
        self.turns.push_back(Turn::CaughtUp { source: *source });
        Ok(Turn::Records)
    }
    fn records(&self) -> impl Iterator<Item = Record<'_>> {
        self.current.iter().map(|(source, offset, stamped, line)| Record {
            source: *source,
            offset: Offset(*offset),
            stamped: Some(EventTime::from_millis(*stamped)),
            payload: Some(line.as_bytes()),
        })
    }
    fn start(&mut self, _: &[Start]) -> Result<(), LogFault> {
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

struct World {
    now: i64,
    away: bool,
}

impl Host for World {
    fn now(&self) -> Wall {
        Wall::from_millis(self.now)
    }
    fn nap(&mut self, _: Duration) {}
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

struct Nowhere;

impl Exchange for Nowhere {
    fn threads(&self) -> usize {
        1
    }
    fn send(&mut self, _: usize, _: Freight) -> Result<(), Box<Freight>> {
        Ok(())
    }
}

impl DeadLetterSink for Nowhere {
    fn reject(&mut self, record: &Record<'_>, reason: Reject) {
        panic!("{record:?} is refused: {}", reason.name());
    }
}

struct Rig {
    worker: Worker,
    log: Script,
    world: World,
    tides: Arc<Tides>,
}

impl Rig {
    /// A worker that was given so many partitions.
    fn new(partitions: i32) -> Self {
        let entry = EntrySpec {
            name: "edge".to_owned(),
            service: None,
            lateness: Duration::from_millis(LATENESS as u64),
        };
        let spec = PlanSpec {
            rules: Vec::new(),
            lists: Default::default(),
            services: Default::default(),
            entries: vec![entry],
            finding_window: Duration::from_secs(60),
            seed: 0,
        };
        let tides = Arc::<Tides>::default();
        let worker = Worker::new(
            WorkerId(0),
            WorkerKnobs::default(),
            Arc::new(Plan::compile(spec).expect("a plan")),
            &[DecodeKnobs { format: Format::Beaconfire, ..DecodeKnobs::default() }],
            Arc::new(Watch::default()),
            tides.clone(),
            Arc::new(Registry::default()),
            Names::default(),
        );
        let given = (0..partitions).map(|partition| Assignment {
            source: source(partition),
            committed: None,
            low: Offset(0),
            high: Offset(0),
            fresh: Offset(0),
        });
        let mut log = Script::default();
        log.turns.push_back(Turn::Assigned(given.collect()));
        Self { worker, log, world: World { now: NOW, away: false }, tides }
    }

    /// Lets seconds pass, with several turns in each.
    fn pass(&mut self, seconds: i64) {
        for _ in 0..seconds * 4 {
            self.world.now += SECOND / 4;
            let Self { worker, log, world, .. } = self;
            worker.step(log, &mut Nowhere, world, &mut Nowhere, Duration::ZERO).expect("it goes on");
        }
    }

    /// How far a partition is taken to have come, in seconds before now.
    fn behind(&self, partition: i32) -> i64 {
        (self.world.now - self.tides.snapshot()[&source(partition)].clearance.millis()) / SECOND
    }

    /// The same of all partitions together.
    fn entry_behind(&self) -> i64 {
        let common = self.tides.common(EntryId(0)).expect("partitions");
        (self.world.now - common.millis()) / SECOND
    }
}

#[test]
fn while_the_store_is_away_no_window_closes_over_what_waits() {
    let mut rig = Rig::new(1);
    rig.log.put(0, NOW, NOW);
    rig.pass(20);
    assert_eq!(rig.behind(0), 10, "at its end it comes along with the clock");
    rig.world.away = true;
    rig.pass(90);
    assert!(rig.worker.paused() && rig.log.paused);
    assert!(rig.behind(0) >= 100, "what happened since may wait unseen, {} s", rig.behind(0));
    rig.world.away = false;
    rig.pass(1);
    assert!(!rig.worker.paused());
    assert!(rig.behind(0) >= 100, "until the log has said what came");
    assert!(!rig.tides.snapshot()[&source(0)].stalled, "it was not read: that is no stall");
    rig.log.put(0, rig.world.now - 50 * SECOND, rig.world.now);
    rig.pass(2);
    assert_eq!(rig.behind(0), 60, "as far as what it brought");
}

#[test]
fn a_partition_that_ended_long_ago_and_is_silent_holds_nobody_back() {
    let mut rig = Rig::new(2);
    rig.log.put(0, NOW - 24 * HOUR, NOW);
    rig.log.put(1, NOW, NOW);
    rig.pass(5);
    assert!(rig.entry_behind() >= 24 * 3_600, "it may be about to bring more of that time");
    rig.pass(35);
    assert_eq!(rig.entry_behind(), 10, "after half a minute it is not waited for");
    assert_eq!((rig.behind(0), rig.behind(1)), (10, 10));
    // When it speaks again it counts again.
    rig.log.put(0, NOW - 23 * HOUR, rig.world.now);
    rig.pass(5);
    assert!(rig.entry_behind() > 22 * 3_600, "{} s", rig.entry_behind());
}

/// One broker of several is away: its partition's silence says nothing, and after half a minute the others do not wait
/// for it. What it brings when it is back is older than what they have closed, and it is waited for again.
#[test]
fn a_partition_whose_broker_is_away_is_not_taken_to_be_silent() {
    let mut rig = Rig::new(2);
    rig.log.put(0, NOW, NOW);
    rig.log.put(1, NOW, NOW);
    rig.pass(5);
    rig.log.leaderless = Some(1);
    rig.pass(20);
    assert_eq!((rig.behind(0), rig.behind(1)), (10, 30), "as of when it last answered");
    assert_eq!(rig.entry_behind(), 30);
    rig.pass(15);
    assert_eq!(rig.entry_behind(), 10, "it is not waited for");
    assert!(rig.tides.snapshot()[&source(1)].stalled);
    rig.log.leaderless = None;
    rig.pass(2);
    assert_eq!(rig.behind(1), 10, "as far as the others: what it has is still to be fetched");
    rig.log.put(1, rig.world.now - 30 * SECOND, rig.world.now - 30 * SECOND);
    rig.pass(1);
    assert!(!rig.tides.snapshot()[&source(1)].stalled);
    assert!(rig.entry_behind() >= 40, "{} s", rig.entry_behind());
}

/// A broker that answers again has not brought yet what came meanwhile.
#[test]
fn a_broker_that_is_back_is_given_the_time_for_a_fetch() {
    let mut rig = Rig::new(1);
    rig.log.put(0, NOW, NOW);
    rig.pass(5);
    rig.log.leaderless = Some(0);
    rig.pass(10);
    rig.log.leaderless = None;
    rig.pass(2);
    assert!(rig.behind(0) >= 20, "{} s", rig.behind(0));
    rig.pass(3);
    assert_eq!(rig.behind(0), 10);
}

/// A sender catches up on an hour, each record stamped with the time it tells of: the last of a batch does not make the
/// source one that is never late.
#[test]
fn records_that_come_late_to_a_live_partition_are_late_by_our_clock() {
    let mut rig = Rig::new(1);
    rig.pass(1);
    rig.log.turns.push_back(Turn::CaughtUp { source: source(0) });
    rig.pass(4);
    assert_eq!(rig.behind(0), 10, "empty, up to now");
    for second in 0..20 {
        let at = NOW - HOUR + second * SECOND;
        rig.log.batch(0, &[(at, at), (at, at)]);
        rig.pass(1);
        assert!(rig.behind(0) >= 3_600, "{} s", rig.behind(0));
    }
}
