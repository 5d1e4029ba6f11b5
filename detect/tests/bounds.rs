//! What an attacker who chooses keys and times can cost, and that it is counted.

mod support;

use std::net::Ipv4Addr;
use std::time::Duration;

use beaconfire_detect::{Count, Field};
use beaconfire_model::{Event, Request, Severity};
use support::{Rig, T0, finding, plan, request, rule, source};

const HEAVY: &str = "203.0.113.66";
const MEMORY: usize = 4 << 20;

fn small(threshold: f64, threads: usize, early: bool) -> Rig {
    let rules = vec![
        rule("flood", Field::Client, Count::Requests, threshold),
        rule("service", Field::Service, Count::Requests, 1e9),
    ];
    let mut rig = Rig::new(&plan(rules), threads, early, MEMORY, Duration::from_secs(60));
    rig.begin(source(0), 0, None);
    rig
}

fn spoofed(number: u32) -> String {
    Ipv4Addr::from(0x2000_0000u32.wrapping_add(number.wrapping_mul(2_654_435_761))).to_string()
}

fn bytes(rig: &Rig) -> u64 {
    rig.shards.iter().flat_map(|shard| shard.census().tables).map(|table| table.bytes).sum()
}

/// Spoofed clients, one request each, and one heavy client among them.
fn spoof(rig: &mut Rig) {
    for round in 0..30u32 {
        for number in 0..1_000 {
            rig.ask(T0 + i64::from(round) * 500, &spoofed(round * 1_000 + number));
            if number % 100 == 0 {
                rig.ask(T0 + i64::from(round) * 500, HEAVY);
            }
        }
        rig.merge();
        assert!(bytes(rig) <= MEMORY as u64);
    }
}

#[test]
fn spoofed_clients_cost_light_keys_and_raise_nothing() {
    let mut rig = small(50.0, 1, true);
    spoof(&mut rig);
    rig.finish();
    let census = rig.shards[0].census();
    let evictions: Vec<_> = census.tables.iter().filter(|t| t.evictions > 0).map(|t| t.name).collect();
    assert_eq!(evictions, ["clients"]);
    assert!(rig.signals.iter().all(|signal| &*signal.subject.value == HEAVY), "a light key raised");
    assert_eq!(rig.signals.iter().map(|signal| signal.evidence.observed.0).fold(0.0, f64::max), 300.0);
}

#[test]
fn evictions_do_not_depend_on_threads() {
    let run = |threads| {
        let mut rig = small(0.0, threads, true);
        spoof(&mut rig);
        rig.finish();
        let mut said = rig.said();
        said.sort();
        (rig.evictions(), said)
    };
    let alone = run(1);
    assert!(alone.0 > 0);
    assert_eq!(run(4), alone);
}

/// Even where every key holds a fact, the bound holds, and what goes is stated first.
#[test]
fn keys_that_hold_are_bounded_too() {
    for early in [true, false] {
        let mut rig = small(0.0, 1, early);
        spoof(&mut rig);
        assert!(rig.evictions() > 0);
        rig.finish();
        let mut subjects: Vec<_> = rig.signals.iter().map(|signal| signal.subject.value.clone()).collect();
        subjects.sort();
        subjects.dedup();
        assert_eq!(subjects.len(), 30_001, "early {early}: a fact went unsaid");
    }
}

#[test]
fn quiet_keys_go_without_being_evicted() {
    let mut rig = small(50.0, 1, true);
    for number in 0..2_000 {
        rig.ask(T0, &spoofed(number));
    }
    rig.merge();
    let keys = |rig: &Rig| rig.shards[0].census().tables[0].keys;
    assert_eq!(keys(&rig), 2_000);
    // A window, a lateness and a drift behind the clearance nothing can need them.
    for (at, left) in [(120_000, 2_000), (300_000, 0)] {
        rig.clear(0, T0 + at);
        rig.merge();
        assert_eq!(keys(&rig), left, "{at}");
    }
    assert_eq!((rig.evictions(), bytes(&rig)), (0, 0));
}

/// A clock that runs wild in one source fills no memory and hides nothing of the others.
#[test]
fn far_future_stamps_are_bounded_and_hide_nothing() {
    let mut rig = small(50.0, 1, true);
    rig.begin(source(1), 0, None);
    for step in 0..5_000i64 {
        let wild = request(T0 + 1_000_000_000 + step * 3_000, HEAVY);
        rig.see(source(1), Event::Request(wild));
    }
    rig.merge();
    assert_eq!((bytes(&rig), rig.evictions()), (0, 0));
    assert_eq!(rig.shards[0].census().ahead, 10_000, "they wait until the other source has come there");
    assert!(rig.signals.is_empty());
    for step in 0..60 {
        rig.ask(T0 + step * 500, HEAVY);
        rig.merge();
    }
    assert_eq!(rig.said(), ["flood client 203.0.113.66 51 warning"]);
}

#[test]
fn absurd_numbers_neither_overflow_nor_raise_others() {
    let mut rig = Rig::live(&plan(vec![rule("bytes", Field::Client, Count::BytesSent, 1e6)]));
    for time in [T0, T0, T0 + 1_000, T0 + 2_000, i64::MAX, i64::MAX - 1, i64::MIN] {
        rig.see(source(0), Event::Request(Request { bytes_sent: u64::MAX, ..request(time, HEAVY) }));
        rig.merge();
    }
    rig.see(
        source(0),
        Event::Runtime(finding(i64::MAX, &"w".repeat(9_000), &"é".repeat(900), Severity::Info)),
    );
    rig.finish();
    assert!(rig.signals.iter().all(|signal| signal.subject.value.len() <= 512));
    assert!(rig.signals.iter().any(|signal| signal.evidence.observed.0 > 5e19));
}

#[test]
fn what_comes_behind_the_horizon_is_counted() {
    let mut rig = small(1.0, 1, true);
    for second in [0, 0, 400] {
        rig.ask(T0 + second * 1_000, HEAVY);
    }
    rig.merge();
    rig.clear(0, T0 + 400_000);
    rig.merge();
    assert_eq!(rig.shards[0].census().stale, 0);
    // A source that fell silent delivers after all, long after its entry went on.
    rig.begin(source(1), 0, None);
    rig.see(source(1), Event::Request(request(T0, HEAVY)));
    rig.merge();
    assert!(rig.shards[0].census().stale > 0);
}

/// What waits has a bound too; what comes then is merged at once, at the cost of buckets that are counted.
#[test]
fn what_runs_ahead_is_bounded() {
    let mut rig = small(50.0, 1, true);
    rig.begin(source(1), 0, None);
    for step in 0..140_000i64 {
        let wild = request(T0 + 1_000_000_000 + step * 3_000, HEAVY);
        rig.see(source(1), Event::Request(wild));
        if step % 20_000 == 0 {
            rig.merge();
        }
    }
    rig.merge();
    assert_eq!(rig.shards[0].census().ahead, 1 << 18);
    assert!(rig.evictions() > 0 && bytes(&rig) < 64 << 10, "{}", bytes(&rig));
    assert!(rig.signals.is_empty());
}
