//! Facts across crashes and moves: reading again from the rewind point finds the rest of every fact, and a partition
//! that comes back is counted once.

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use beaconfire_detect::{Count, Field, Plan, RuleSpec};
use beaconfire_model::{EntryId, Event, Signal, parse_matchers};
use proptest::prelude::*;
use support::{LATENESS, Line, Rig, T0, address, joined, plan, recount, request, rule, source};

const DRIFT: i64 = 60_000;

/// Steady traffic of a few clients with bursts and gaps, from two partitions that keep together.
fn logs() -> impl Strategy<Value = Vec<Line>> {
    let step =
        (0i64..9_000, 0i64..20_000, 0u8..3, 0i32..2, 1i64..9, prop::sample::select(vec![200u16, 200, 503]));
    prop::collection::vec(step, 10..120).prop_map(|steps| {
        let mut now = T0;
        let mut log = Vec::new();
        for (pause, early, client, partition, n, status) in steps {
            now += pause;
            log.extend((0..n).map(|_| Line { time: now - early, client, partition, status, bytes: 1 }));
        }
        log
    })
}

fn rig(plan: &Arc<Plan>, threads: usize) -> Rig {
    Rig::new(plan, threads, true, 64 << 20, Duration::from_millis(DRIFT as u64))
}

fn feed(rig: &mut Rig, lines: &[Line], batch: usize) {
    for (at, line) in lines.iter().enumerate() {
        let client = address(line.client);
        let mut event = request(line.time, &client);
        event.status = line.status;
        rig.see(source(line.partition), Event::Request(event));
        if at % batch == batch - 1 {
            rig.merge();
        }
    }
    rig.merge();
}

/// Where each partition is to be read again after everything up to `upto` is durable: from the first record of any
/// window that is unfinished, with the largest time before it.
fn rewind(rig: &Rig, log: &[Line], upto: usize, window: i64) -> BTreeMap<i32, (usize, Option<i64>)> {
    let common = (0..2).map(|p| rig.combiner.watermark(source(p)).millis()).min().unwrap();
    let mut unfinished = common.saturating_sub(window + LATENESS + DRIFT);
    for shard in &rig.shards {
        if let Some(floor) = shard.hold_floors().get(&EntryId(0)) {
            unfinished = unfinished.min(floor.millis());
        }
    }
    (0..2)
        .map(|p| {
            let of: Vec<i64> =
                log[..upto].iter().filter(|line| line.partition == p).map(|line| line.time).collect();
            let at = of.iter().position(|time| *time >= unfinished).unwrap_or(of.len());
            (p, (at, of[..at].iter().max().copied()))
        })
        .collect()
}

/// Runs a log with crashes: what was flushed before is durable, what was merged is gone.
fn crashing(rule: &RuleSpec, log: &[Line], crashes: &[usize], threads: usize, batch: usize) -> Vec<Signal> {
    let plan = plan(vec![rule.clone()]);
    let window = i64::try_from(rule.window.as_millis()).unwrap();
    let mut durable = Vec::new();
    let mut from: BTreeMap<i32, (usize, Option<i64>)> = (0..2).map(|p| (p, (0, None))).collect();
    let mut stops: Vec<usize> = crashes.iter().map(|crash| crash % (log.len() + 1)).collect();
    stops.sort_unstable();
    stops.push(log.len());
    for (number, stop) in stops.iter().enumerate() {
        let mut rig = rig(&plan, threads);
        for (p, (at, seed)) in &from {
            rig.begin(source(*p), *at as i64, *seed);
        }
        let mut seen = BTreeMap::new();
        let mut part = Vec::new();
        for line in &log[..*stop] {
            let offset = seen.entry(line.partition).or_insert(0);
            if *offset >= from[&line.partition].0 {
                part.push(line.clone());
            }
            *offset += 1;
        }
        feed(&mut rig, &part, batch);
        if number + 1 == stops.len() {
            rig.finish();
        } else {
            for shard in &mut rig.shards {
                shard.flush(&mut rig.signals);
            }
            from = rewind(&rig, log, *stop, window);
        }
        durable.append(&mut rig.signals);
    }
    durable
}

fn client_rule(threshold: f64) -> RuleSpec {
    rule("flood", Field::Client, Count::Requests, threshold)
}

fn share_rule() -> RuleSpec {
    let matchers = parse_matchers([r#"status=~"5..""#]).unwrap();
    rule("errors", Field::Service, Count::Share { matchers, min_requests: 4 }, 0.4)
}

fn failed(window: &[&Line]) -> f64 {
    let failed = window.iter().filter(|line| line.status == 503).count() as f64;
    if window.len() < 4 { 0.0 } else { failed / window.len() as f64 }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn counts_survive_crashes(log in logs(), crashes in prop::collection::vec(0usize..2_000, 0..4), threads in 1usize..4, batch in 1usize..50, threshold in 1u8..25) {
        let rule = client_rule(f64::from(threshold));
        let expected = recount(&log, &rule, |line| address(line.client), |window| window.len() as f64);
        prop_assert_eq!(joined(&crashing(&rule, &log, &crashes, threads, batch)), expected);
    }

    #[test]
    fn shares_survive_crashes(log in logs(), crashes in prop::collection::vec(0usize..2_000, 0..4), threads in 1usize..4, batch in 1usize..50) {
        let rule = share_rule();
        let expected = recount(&log, &rule, |_| "shop".to_owned(), failed);
        prop_assert_eq!(joined(&crashing(&rule, &log, &crashes, threads, batch)), expected);
    }

    /// A partition goes to another worker of the process while the other partition is read on; then its records come,
    /// some of them for buckets that have closed meanwhile.
    #[test]
    fn counts_survive_a_move(log in logs(), leaves in 0usize..2_000, away in 0i64..200_000, threads in 1usize..4, batch in 1usize..50, threshold in 1u8..25) {
        let rule = client_rule(f64::from(threshold));
        let expected = recount(&log, &rule, |line| address(line.client), |window| window.len() as f64);
        let leaves = leaves % (log.len() + 1);
        let mut rig = rig(&plan(vec![rule]), threads);
        rig.begin(source(0), 0, None);
        rig.begin(source(1), 0, None);
        feed(&mut rig, &log[..leaves], batch);
        let at = log[..leaves].iter().filter(|line| line.partition == 1).count() as i64;
        let seed = rig.combiner.seen_max(source(1)).map(|seen| seen.millis());
        rig.give_up(source(1));
        let now = log[..leaves].iter().map(|line| line.time).max().unwrap_or(T0);
        let back = log[leaves..].iter().position(|line| line.time > now + away).map_or(log.len(), |n| leaves + n);
        let (held, read): (Vec<Line>, Vec<Line>) = log[leaves..back].iter().cloned().partition(|line| line.partition == 1);
        feed(&mut rig, &read, batch);
        rig.begin(source(1), at, seed);
        feed(&mut rig, &held, batch);
        feed(&mut rig, &log[back..], batch);
        rig.finish();
        prop_assert_eq!(joined(&rig.signals), expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// A partition goes to another process, which rewinds, while this one reads the other on; then it comes back. All
    /// records of a client are in one partition.
    #[test]
    fn counts_survive_a_visit_elsewhere(log in logs(), leaves in 0usize..2_000, back in 0usize..2_000, threads in 1usize..4, batch in 1usize..50, threshold in 1u8..25) {
        let log = keyed(log);
        let rule = client_rule(f64::from(threshold));
        let expected = recount(&log, &rule, |line| address(line.client), |window| window.len() as f64);
        prop_assert_eq!(joined(&visiting(&rule, &log, leaves, back, threads, batch)), expected);
    }

    /// The same where clients are in both partitions: that takes processes that share windows, but nobody is accused
    /// of more than was done.
    #[test]
    fn nothing_counts_twice_after_a_visit_elsewhere(log in logs(), leaves in 0usize..2_000, back in 0usize..2_000, threads in 1usize..4, batch in 1usize..50, threshold in 1u8..25) {
        let rule = client_rule(f64::from(threshold));
        let found = visiting(&rule, &log, leaves, back, threads, batch);
        for signal in &found {
            let of: Vec<i64> = log.iter().filter(|line| address(line.client) == *signal.subject.value).map(|line| line.time).collect();
            let window = i64::try_from(rule.window.as_millis()).unwrap();
            let most = of.iter().map(|end| of.iter().filter(|time| (end - window + 1..=*end).contains(time)).count()).max();
            prop_assert!(signal.evidence.observed.0 <= most.unwrap_or(0) as f64, "{signal:?}");
        }
    }
}

/// The same log with every client in one partition.
fn keyed(mut log: Vec<Line>) -> Vec<Line> {
    for line in &mut log {
        line.partition = i32::from(line.client % 2 == 1);
    }
    log
}

/// Two processes: partition 1 leaves the first after `leaves` lines, and comes back after `back` more of all. What both
/// state.
fn visiting(
    rule: &RuleSpec,
    log: &[Line],
    leaves: usize,
    back: usize,
    threads: usize,
    batch: usize,
) -> Vec<Signal> {
    let plan = plan(vec![rule.clone()]);
    let window = i64::try_from(rule.window.as_millis()).unwrap();
    let leaves = leaves % (log.len() + 1);
    let back = leaves + back % (log.len() + 1 - leaves);
    let of_one =
        |lines: &[Line]| -> Vec<Line> { lines.iter().filter(|line| line.partition == 1).cloned().collect() };
    let mut home = rig(&plan, threads);
    home.begin(source(0), 0, None);
    home.begin(source(1), 0, None);
    feed(&mut home, &log[..leaves], batch);
    let (held, seed) = rewind(&home, log, leaves, window)[&1];
    home.give_up(source(1));
    home.flush();
    home.left(source(1), of_one(&log[..leaves]).len() as i64);
    let mut away = rig(&plan, threads);
    away.begin(source(1), held as i64, seed);
    feed(&mut away, &of_one(&log[..back])[held..], batch);
    away.flush();
    let others: Vec<Line> = log[leaves..back].iter().filter(|line| line.partition == 0).cloned().collect();
    feed(&mut home, &others, batch);
    // What the other process commits at its end.
    let unfinished = away.combiner.watermark(source(1)).millis().saturating_sub(window + LATENESS + DRIFT);
    let unfinished = away
        .shards
        .iter()
        .filter_map(|shard| shard.hold_floors().get(&EntryId(0)).copied())
        .fold(unfinished, |least, floor| least.min(floor.millis()));
    let times: Vec<i64> = of_one(&log[..back]).iter().map(|line| line.time).collect();
    let at = times.iter().position(|time| *time >= unfinished).unwrap_or(times.len());
    home.begin(source(1), at as i64, times[..at].iter().max().copied());
    feed(&mut home, &of_one(&log[..back])[at..], batch);
    feed(&mut home, &log[back..], batch);
    home.finish();
    let mut found = away.signals;
    found.append(&mut home.signals);
    found
}

/// Negative control: without the rewind, facts are lost.
#[test]
fn without_a_rewind_facts_are_lost() {
    let rule = client_rule(10.0);
    let log: Vec<Line> = (0..20)
        .map(|i| Line { time: T0 + i * 1_000, client: 1, partition: 0, status: 200, bytes: 1 })
        .collect();
    let plan = plan(vec![rule.clone()]);
    let mut signals = Vec::new();
    for half in log.chunks(10) {
        let mut rig = rig(&plan, 1);
        rig.begin(source(0), 0, None);
        feed(&mut rig, half, 5);
        rig.finish();
        signals.append(&mut rig.signals);
    }
    assert!(signals.is_empty());
    assert_eq!(joined(&crashing(&rule, &log, &[10], 1, 5)).len(), 1);
}

#[test]
fn the_hold_floor_is_the_start_of_the_last_violating_window() {
    let plan = plan(vec![client_rule(10.0)]);
    let mut rig = Rig::live(&plan);
    let floor =
        |rig: &Rig| rig.shards.iter().filter_map(|shard| shard.hold_floors().get(&EntryId(0)).copied()).min();
    for second in [0, 6, 12, 18, 24, 30, 33, 36, 42, 48] {
        rig.ask(T0 + second * 1_000, "203.0.113.7");
    }
    rig.merge();
    assert_eq!(floor(&rig), None);
    rig.ask(T0 + 54_000, "203.0.113.7");
    rig.merge();
    assert_eq!(floor(&rig).map(|at| at.millis() - T0), Some(54_000 - 59_000));
    // Ten a minute hold what eleven began, for as long as they go on.
    for second in (60..600).step_by(6) {
        rig.ask(T0 + second * 1_000, "203.0.113.7");
        rig.merge();
    }
    rig.flush();
    assert_eq!(rig.signals.last().map(|signal| signal.holds_until.0.millis() - T0), Some(595_000));
    // The last window with eleven ends in second 92, when the one of second 33 is still in it.
    assert_eq!(floor(&rig).map(|at| at.millis() - T0), Some(92_000 - 59_000));
    // It ends, and nothing is left to be rebuilt.
    rig.clear(0, T0 + 700_000);
    rig.merge();
    assert_eq!(floor(&rig), None);
}

/// What one source brought far ahead of another waits; when that one has left, it counts.
#[test]
fn what_waits_for_a_source_outlives_its_departure() {
    let rule = client_rule(10.0);
    let mut rig = rig(&plan(vec![rule]), 2);
    rig.begin(source(0), 0, None);
    rig.begin(source(1), 0, None);
    let line = |time, client, partition| Line { time, client, partition, status: 200, bytes: 1 };
    feed(&mut rig, &[line(T0, 0, 0), line(T0, 1, 1)], 10);
    let ahead: Vec<Line> = (0..8).map(|n| line(T0 + 190_000 + n * 1_000, 1, 1)).collect();
    feed(&mut rig, &ahead, 10);
    rig.give_up(source(0));
    rig.merge();
    rig.left(source(0), 1);
    rig.merge();
    let rest: Vec<Line> = (8..16).map(|n| line(T0 + 190_000 + n * 1_000, 1, 1)).collect();
    feed(&mut rig, &rest, 10);
    rig.finish();
    let facts = joined(&rig.signals);
    assert_eq!(facts.len(), 1, "{facts:?}");
    assert_eq!(rig.signals.iter().map(|signal| signal.evidence.observed.0).fold(0.0, f64::max), 16.0);
}

/// Two workers, of which each gives up a source: what a third brought far ahead of them waits, and counts whole.
#[test]
fn a_burst_that_waited_for_two_departures_counts_whole() {
    let plan = plan(vec![client_rule(600.0)]);
    let mut one = rig(&plan, 2);
    let mut two = rig(&plan, 2);
    let line = |second: i64, client, partition| Line {
        time: T0 + second * 1_000,
        client,
        partition,
        status: 200,
        bytes: 1,
    };
    let many = |from: i64, to: i64, each: usize, client: u8, partition| -> Vec<Line> {
        (from..to).flat_map(|second| vec![line(second, client, partition); each]).collect()
    };
    let hand_over = |two: &mut Rig, one: &mut Rig| {
        for (shard, parcel) in one.shards.iter_mut().zip(two.combiner.take(2)) {
            shard.merge(parcel, &mut one.signals);
        }
    };
    let read = |two: &mut Rig, lines: Vec<Line>| {
        for line in &lines {
            let client = address(line.client);
            two.see(source(line.partition), Event::Request(request(line.time, &client)));
        }
    };
    for partition in [0, 3] {
        one.begin(source(partition), 0, None);
    }
    for partition in [1, 2] {
        two.begin(source(partition), 0, None);
    }
    two.clear(1, T0 + 1_300_000);
    read(&mut one, [many(0, 20, 3, 10, 0), many(0, 20, 3, 13, 3)].concat());
    read(&mut two, many(0, 20, 3, 12, 2));
    one.merge();
    hand_over(&mut two, &mut one);
    one.give_up(source(0));
    two.combiner.end(source(1));
    // The burst begins, and waits with what the other worker reads.
    read(&mut one, many(190, 212, 19, 3, 3));
    one.merge();
    read(&mut two, many(20, 235, 3, 12, 2));
    for _ in 0..5 {
        hand_over(&mut two, &mut one);
        one.merge();
    }
    one.left(source(0), 60);
    one.merge();
    one.left(source(1), 0);
    hand_over(&mut two, &mut one);
    one.merge();
    read(&mut two, many(235, 620, 3, 12, 2));
    hand_over(&mut two, &mut one);
    read(&mut one, [many(212, 240, 19, 3, 3), many(430, 476, 19, 4, 3)].concat());
    one.merge();
    hand_over(&mut two, &mut one);
    one.begin(source(0), 1_000, Some(T0 + 370_000));
    one.merge();
    two.begin(source(1), 0, None);
    hand_over(&mut two, &mut one);
    one.merge();
    read(&mut one, many(370, 620, 3, 10, 0));
    two.clear(1, T0 + 1_300_000);
    one.merge();
    hand_over(&mut two, &mut one);
    one.finish();
    let peak = |client: u8| {
        let of = one.signals.iter().filter(|signal| *signal.subject.value == address(client));
        of.map(|signal| signal.evidence.observed.0).fold(0.0, f64::max)
    };
    assert_eq!((peak(3), peak(4)), (950.0, 874.0));
}

/// An empty partition counts as read up to now. When a recovering sender fills it with the past, it is waited for again:
/// what another source of the entry brings meanwhile does not close windows over the rest.
#[test]
fn an_empty_source_that_brings_the_past_is_waited_for() {
    let plan = plan(vec![client_rule(10.0)]);
    let mut rig = rig(&plan, 2);
    rig.begin(source(0), 0, None);
    rig.begin(source(1), 0, None);
    rig.clear(1, T0 + 2_400_000);
    let lines = |seconds: std::ops::Range<i64>, step: usize, partition: i32| -> Vec<Line> {
        let line = |second| Line {
            time: T0 + second * 1_000,
            client: u8::try_from(partition).unwrap(),
            partition,
            status: 200,
            bytes: 1,
        };
        seconds.step_by(step).map(line).collect()
    };
    feed(&mut rig, &lines(0..20, 10, 0), 10);
    feed(&mut rig, &lines(20..28, 1, 1), 10);
    feed(&mut rig, &lines(20..700, 10, 0), 10);
    feed(&mut rig, &lines(28..36, 1, 1), 10);
    rig.finish();
    let peak = rig.signals.iter().map(|signal| signal.evidence.observed.0).fold(0.0, f64::max);
    assert_eq!(peak, 16.0, "{:?}", rig.signals);
}

/// The same where something waits already: what is taken back holds before anything older is added and read.
#[test]
fn what_waits_does_not_close_windows_over_the_past() {
    let plan = plan(vec![client_rule(10.0)]);
    let mut rig = rig(&plan, 1);
    for partition in 0..3 {
        rig.begin(source(partition), 0, None);
        rig.clear(partition, T0 + 7_200_000);
    }
    let burst = |from: i64, partition: i32| -> Vec<Line> {
        let client = u8::try_from(partition).unwrap();
        (from..from + 8)
            .map(|n| Line { time: T0 + n * 1_000, client, partition, status: 200, bytes: 1 })
            .collect()
    };
    // The second takes its entry back, so that the first runs ahead; then the third takes it back much further.
    feed(&mut rig, &burst(3_600, 1), 100);
    feed(&mut rig, &burst(7_000, 0), 100);
    feed(&mut rig, &[burst(100, 2), burst(108, 2)].concat(), 100);
    feed(&mut rig, &burst(116, 2), 100);
    rig.finish();
    let of_third = rig.signals.iter().filter(|signal| *signal.subject.value == address(2));
    let peak = of_third.map(|signal| signal.evidence.observed.0).fold(0.0, f64::max);
    assert_eq!(peak, 24.0, "{:?}", rig.signals);
}
