//! How far a source is taken to have come while it stands: paused by us, or silent since long ago.

#[allow(dead_code, reason = "parts of tests; each uses some")]
mod support;

use std::time::Duration;

use beaconfire_decode::Format;
use beaconfire_model::{EntryId, Turn};
use beaconfire_pipeline::{Counted, Worker};
use support::{Clock, NoDead, Process, Queue, Script, given, source};

const SECOND: i64 = 1_000;
const HOUR: i64 = 3_600 * SECOND;
const NOW: i64 = 1_767_323_045_000;
const LATENESS: Duration = Duration::from_secs(10);

struct Rig {
    process: Process,
    worker: Worker,
    log: Script,
    clock: Clock,
    offset: i64,
}

impl Rig {
    /// A worker that was given so many partitions.
    fn new(partitions: i32) -> Self {
        let process = Process::new(Format::Beaconfire, LATENESS, Vec::new());
        let worker = process.worker(0);
        let mut log = Script::default();
        log.tells_ends = true;
        let assigned = (0..partitions).map(|partition| given(partition, None, 0));
        log.turns.push_back(Turn::Assigned(assigned.collect()));
        Self { process, worker, log, clock: Clock { now: NOW, away: false }, offset: 0 }
    }

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
        self.log.put(records);
        self.offset += i64::try_from(times.len()).expect("few");
    }

    /// Lets seconds pass, with several turns in each.
    fn pass(&mut self, seconds: i64) {
        for _ in 0..seconds * 4 {
            self.clock.now += SECOND / 4;
            let Self { worker, log, clock, .. } = self;
            worker.step(log, &mut Queue::default(), clock, &mut NoDead, Duration::ZERO).expect("it goes on");
        }
    }

    /// How far a partition is taken to have come, in seconds before now.
    fn behind(&self, partition: i32) -> i64 {
        (self.clock.now - self.process.tides.snapshot()[&source(partition)].clearance.millis()) / SECOND
    }

    /// The same of all partitions together.
    fn entry_behind(&self) -> i64 {
        let common = self.process.tides.common(EntryId(0)).expect("partitions");
        (self.clock.now - common.millis()) / SECOND
    }
}

#[test]
fn while_the_store_is_away_no_window_closes_over_what_waits() {
    let mut rig = Rig::new(1);
    rig.put(0, NOW, NOW);
    rig.pass(20);
    assert_eq!(rig.behind(0), 10, "at its end it comes along with the clock");
    rig.clock.away = true;
    rig.pass(90);
    assert!(rig.worker.paused() && rig.log.paused);
    assert!(rig.behind(0) >= 100, "what happened since may wait unseen, {} s", rig.behind(0));
    rig.clock.away = false;
    rig.pass(1);
    assert!(!rig.worker.paused());
    assert!(rig.behind(0) >= 100, "until the log has said what came");
    assert!(!rig.process.tides.snapshot()[&source(0)].stalled, "it was not read: that is no stall");
    let now = rig.clock.now;
    rig.put(0, now - 50 * SECOND, now);
    rig.pass(2);
    assert_eq!(rig.behind(0), 60, "as far as what it brought");
}

#[test]
fn a_partition_that_ended_long_ago_and_is_silent_holds_nobody_back() {
    let mut rig = Rig::new(2);
    rig.put(0, NOW - 24 * HOUR, NOW);
    rig.put(1, NOW, NOW);
    rig.pass(5);
    assert!(rig.entry_behind() >= 24 * 3_600, "it may be about to bring more of that time");
    rig.pass(35);
    assert_eq!(rig.entry_behind(), 10, "after half a minute it is not waited for");
    assert_eq!((rig.behind(0), rig.behind(1)), (10, 10));
    // When it speaks again it counts again.
    let now = rig.clock.now;
    rig.put(0, NOW - 23 * HOUR, now);
    rig.pass(5);
    assert!(rig.entry_behind() > 22 * 3_600, "{} s", rig.entry_behind());
}

/// One broker of several is away: its partition's silence says nothing, and after half a minute the others do not wait
/// for it. What it brings when it is back is older than what they have closed, and it is waited for again.
#[test]
fn a_partition_whose_broker_is_away_is_not_taken_to_be_silent() {
    let mut rig = Rig::new(2);
    rig.put(0, NOW, NOW);
    rig.put(1, NOW, NOW);
    rig.pass(5);
    rig.log.leaderless = Some(1);
    rig.pass(20);
    assert_eq!((rig.behind(0), rig.behind(1)), (10, 30), "as of when it last answered");
    assert_eq!(rig.entry_behind(), 30);
    rig.pass(15);
    assert_eq!(rig.entry_behind(), 10, "it is not waited for");
    assert!(rig.process.tides.snapshot()[&source(1)].stalled);
    rig.log.leaderless = None;
    rig.pass(2);
    assert_eq!(rig.behind(1), 10, "as far as the others: what it has is still to be fetched");
    let before = rig.clock.now - 30 * SECOND;
    rig.put(1, before, before);
    rig.pass(1);
    assert!(!rig.process.tides.snapshot()[&source(1)].stalled);
    assert!(rig.entry_behind() >= 40, "{} s", rig.entry_behind());
}

/// A broker that answers again has not brought yet what came meanwhile.
#[test]
fn a_broker_that_is_back_is_given_the_time_for_a_fetch() {
    let mut rig = Rig::new(1);
    rig.put(0, NOW, NOW);
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
        rig.batch(0, &[(at, at), (at, at)]);
        rig.pass(1);
        assert!(rig.behind(0) >= 3_600, "{} s", rig.behind(0));
    }
}

/// A sample whose clock is off by hours says what was used, but not when: it is counted, and moves no watermark.
#[test]
fn samples_of_clocks_that_are_off_are_left_out() {
    let mut rig = Rig::new(1);
    let times = [(NOW, NOW), (NOW - 2 * HOUR, NOW), (NOW + 2 * HOUR, NOW)];
    let records = times.iter().zip(0..).map(|((at, stamped), offset)| {
        let seconds = at / SECOND;
        let line = format!(r#"{{"kind":"resource","time":{seconds},"workload":"shop/web","cpu_cores":1}}"#);
        (source(0), offset, *stamped, line)
    });
    rig.log.put(records);
    rig.pass(1);
    let tally = rig.worker.take_tally();
    let skewed = tally.counts().find(|(_, what, _)| *what == Counted::Skewed);
    assert_eq!(skewed.map(|(_, _, n)| n), Some(2));
    assert_eq!((tally.records, tally.decoded, tally.late), (3, 3, 0));
}
