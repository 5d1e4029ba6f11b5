//! Partitions that come and go: what the shards hear of them, in which order, and what is said of lost records.

#[allow(dead_code, reason = "parts of tests; each uses some")]
mod support;

use std::time::Duration;

use beaconfire_decode::Format;
use beaconfire_detect::{Count, Field, RuleSpec};
use beaconfire_model::{EventTime, Kind, Matchers, Offset, Severity, Turn};
use beaconfire_pipeline::{Freight, Worker};
use support::{Clock, NoDead, Process, Queue, Script, given, source};

/// 2026-01-02T03:04:00Z.
const T0: i64 = 1_767_323_040_000;
const REQUEST: &str = r#"203.0.113.7 - - [02/Jan/2026:03:04:00 +0000] "GET / HTTP/1.1" 200 5 "-" "-""#;

/// Every request is a partial under its client.
fn rule() -> RuleSpec {
    RuleSpec {
        name: "requests-per-client".into(),
        kind: Kind::Flood,
        matchers: Matchers::default(),
        except: Matchers::default(),
        by: vec![Field::Client],
        count: Count::Requests,
        window: Duration::from_secs(60),
        threshold: 1_000.0,
        severity: Severity::Warning,
        critical_above: None,
        min_clients: None,
    }
}

/// Workers of one process.
struct Rig {
    workers: Vec<(Worker, Script)>,
    queue: Queue,
    clock: Clock,
}

impl Rig {
    fn new(workers: usize) -> Self {
        let process = Process::new(Format::Combined, Duration::from_secs(5), vec![rule()]);
        let workers = (0..workers).map(|n| (process.worker(n), Script::default())).collect();
        Self { workers, queue: Queue::default(), clock: Clock { now: T0, away: false } }
    }

    fn step(&mut self, worker: usize, turn: Turn) {
        self.workers[worker].1.turns.push_back(turn);
        self.turn(worker);
    }

    fn turn(&mut self, worker: usize) {
        self.clock.now += 300;
        let (worker, log) = &mut self.workers[worker];
        worker.step(log, &mut self.queue, &mut self.clock, &mut NoDead, Duration::ZERO).unwrap();
    }

    fn give(&mut self, worker: usize, partition: i32, committed: Option<(i64, &str)>, low: i64) -> Offset {
        let given = given(partition, committed, low);
        self.step(worker, Turn::Assigned(vec![given]));
        self.workers[worker].1.starts.last().unwrap().at
    }

    fn read(&mut self, worker: usize, partition: i32, offsets: std::ops::Range<i64>) {
        self.read_text(worker, partition, offsets, REQUEST);
    }

    fn read_text(&mut self, worker: usize, partition: i32, offsets: std::ops::Range<i64>, text: &str) {
        self.workers[worker].1.put(offsets.map(|offset| (source(partition), offset, T0, text.to_owned())));
        self.turn(worker);
    }

    /// How many records the shards got: those that count, or those that count where they were forgotten.
    fn counted(&self, again: bool) -> u64 {
        let of = |freight: &Freight| match freight {
            Freight::Parcel(parcel) => {
                let partials = parcel.partials.iter().filter(|partial| partial.again == again);
                partials.map(|partial| partial.count).sum()
            }
            _ => 0,
        };
        self.queue.freight.iter().map(of).sum()
    }

    fn take(&mut self, worker: usize, partition: i32) {
        self.step(worker, Turn::Revoked { sources: vec![source(partition)], lost: true });
    }

    /// What the shard heard since the last call, of reaches and of leaving.
    fn heard(&mut self) -> Vec<String> {
        let mut said = Vec::new();
        for freight in self.queue.freight.drain(..) {
            match freight {
                Freight::Parcel(parcel) => said.extend(parcel.sources.iter().map(|reach| {
                    format!("{} {}..={}", reach.source.partition, reach.from.0, reach.through.0)
                })),
                Freight::Left(source) => said.push(format!("{} left", source.partition)),
                Freight::Fact(fact) => said.push(fact.subject.value.to_string()),
                Freight::Barrier(_) => {}
            }
        }
        said.dedup();
        said
    }
}

#[test]
fn what_a_worker_takes_over_comes_behind_what_the_other_has_left_of_it() {
    let mut rig = Rig::new(2);
    rig.give(0, 0, None, 0);
    rig.queue.full = true;
    rig.read(0, 0, 0..10);
    rig.take(0, 0);
    assert_eq!(rig.give(1, 0, Some((0, "v1;r=0;m=-;e=1")), 0), Offset(10));
    rig.queue.full = false;
    rig.heard();
    rig.read(1, 0, 10..12);
    assert_eq!(rig.heard(), Vec::<String>::new(), "the first has not delivered yet");
    rig.step(0, Turn::Idle);
    rig.step(1, Turn::Idle);
    let heard = rig.heard();
    let at = |wanted: &str| heard.iter().position(|said| said == wanted).expect(wanted);
    assert!(at("0 0..=9") < at("0 10..=11"), "{heard:?}");
}

#[test]
fn the_shards_hear_that_a_source_left_when_nobody_has_taken_it_over_in_time() {
    let mut rig = Rig::new(2);
    rig.give(0, 0, None, 0);
    rig.give(0, 1, None, 0);
    rig.read(0, 0, 0..5);
    rig.take(0, 0);
    rig.take(0, 1);
    rig.give(1, 0, Some((5, "v1;r=0;m=-;e=1")), 0);
    rig.clock.now += 9_000;
    rig.step(0, Turn::Idle);
    assert!(!rig.heard().iter().any(|said| said.ends_with("left")));
    rig.clock.now += 2_000;
    rig.step(0, Turn::Idle);
    let left: Vec<String> = rig.heard().into_iter().filter(|said| said.ends_with("left")).collect();
    assert_eq!(left, ["1 left"]);
}

/// There and back again, with a hole that another process has read, and an offset before all of it: what was merged is
/// known for that, and reading does not jump over what was not.
#[test]
fn no_offset_is_merged_twice_however_often_a_source_comes_back() {
    let mut rig = Rig::new(1);
    assert_eq!(rig.give(0, 0, None, 0), Offset(0));
    rig.read(0, 0, 0..10);
    rig.take(0, 0);
    assert_eq!(rig.give(0, 0, Some((20, "v1;r=20;m=-;e=1")), 0), Offset(20));
    rig.read(0, 0, 20..30);
    rig.take(0, 0);
    // The hole from 10 to 19 is to be read now, and what lies around it is not.
    assert_eq!(rig.give(0, 0, Some((30, "v1;r=5;m=-;e=2")), 0), Offset(5));
    rig.read(0, 0, 5..35);
    // Again the same assignment, without having lost it.
    rig.give(0, 0, Some((35, "v1;r=5;m=-;e=3")), 0);
    rig.read(0, 0, 35..36);
    // What was merged before counts only where the shards have forgotten it, and is told apart.
    assert_eq!((rig.counted(false), rig.counted(true)), (36, 15));
    assert_eq!(rig.workers[0].1.starts.last().unwrap().at, Offset(35));
}

/// What has come of a line goes along with its partition where the next worker goes on behind it, and is read again
/// where it does not.
#[test]
fn a_line_in_parts_is_whole_also_where_its_partition_moves_in_between() {
    let (head, tail) = REQUEST.split_at(40);
    let part = format!("2026-01-02T03:04:00Z stdout P {head}");
    let rest = format!("2026-01-02T03:04:00Z stdout F {tail}");
    let mut rig = Rig::new(2);
    let moved = |rig: &mut Rig, next: i64| {
        rig.give(0, 0, Some((4, "v1;r=4;m=-;e=1")), 0);
        rig.read_text(0, 0, 4..5, &part);
        rig.take(0, 0);
        rig.give(1, 0, Some((next, &*format!("v1;r={next};m=-;e=2"))), 0)
    };
    assert_eq!(moved(&mut rig, 4), Offset(5));
    rig.read_text(1, 0, 5..6, &rest);
    assert_eq!(rig.counted(false), 1);

    let mut rig = Rig::new(2);
    assert_eq!(moved(&mut rig, 2), Offset(2));
    rig.read(1, 0, 2..4);
    rig.read_text(1, 0, 4..5, &part);
    rig.read_text(1, 0, 5..6, &rest);
    assert_eq!(rig.counted(false), 3);
}

#[test]
fn what_a_rewind_needs_and_retention_took_is_told_once() {
    let mut rig = Rig::new(1);
    assert_eq!(rig.give(0, 0, Some((50, "v1;r=20;m=-;e=1")), 30), Offset(30));
    let told =
        |rig: &mut Rig| rig.heard().into_iter().filter(|said| said.starts_with("edge/")).collect::<Vec<_>>();
    let said = told(&mut rig);
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].starts_with("edge/0: offsets 20 to 29 had left the log before windows"), "{said:?}");
    assert_eq!(rig.give(0, 1, Some((50, "v1;r=20;m=-;e=1")), 60), Offset(60));
    let said = told(&mut rig);
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(
        said[0].starts_with("edge/1: offsets 50 to 59 had left the log before they were read"),
        "{said:?}"
    );
}

/// A source that was read to its end is clear up to when the log was last asked, however long we then waited for
/// something else: what came meanwhile has not been seen.
#[test]
fn waiting_to_give_up_a_source_clears_no_other() {
    let mut rig = Rig::new(1);
    rig.give(0, 0, None, 0);
    rig.give(0, 1, None, 0);
    rig.step(0, Turn::CaughtUp { source: source(0) });
    let asked = rig.clock.now;
    rig.queue.freight.clear();
    rig.step(0, Turn::Revoked { sources: vec![source(1)], lost: false });
    assert!(rig.clock.now >= asked + 5_000, "nothing became durable");
    let mut clearances = rig.queue.freight.iter().filter_map(|freight| match freight {
        Freight::Parcel(parcel) => parcel.sources.iter().find(|reach| reach.source == source(0)),
        _ => None,
    });
    let last = clearances.next_back().expect("it was flushed").clearance;
    assert_eq!(last, EventTime::from_millis(asked - 5_000));
}
