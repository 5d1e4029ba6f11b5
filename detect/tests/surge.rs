//! The surge engine against labelled traffic: crowds are not attacks, attacks are not crowds.
//!
//! `cargo test --release -p beaconfire-detect --test surge -- --ignored --nocapture` prints the tables of verdicts.

#[path = "workloads/noise.rs"]
#[allow(dead_code)]
mod noise;
mod traffic;

use std::collections::BTreeMap;

use beaconfire_detect::engine::surge::{Finding, Knobs, Minute, Networks, Surge, Verdict};
use beaconfire_model::{EventTime, Kind, Severity};
use traffic::{BEGINS, Event, Service, minutes};

/// Services of so many requests a second: all, and those that a test in passing has time for.
const SIZES: (f64, f64) = (1.0, 500.0);
const SMALL: (f64, f64) = (1.0, 6.0);

fn at(t: i64) -> EventTime {
    EventTime::from_millis(t * 60_000)
}

/// All findings of one event, in the minutes that it lasts, and how many there were before it.
fn run(event: Event, seed: u64, sizes: (f64, f64)) -> (Vec<Finding>, usize) {
    let mut engine = Surge::new(Knobs::default());
    let mut service = Service::new(event, seed, sizes);
    let (mut findings, mut early) = (Vec::new(), 0);
    for t in minutes() {
        let sketch = service.sketch(t);
        assert!(engine.take("shop", at(t), &sketch, service.around(t), &mut findings));
        if t < BEGINS {
            early += findings.len();
            if std::env::var_os("SHOW").is_some() {
                show(event, seed, &findings);
            }
            findings.clear();
        }
    }
    (findings, early)
}

#[derive(Debug, Default)]
struct Verdicts {
    nothing: u32,
    crowd: u32,
    suspected: u32,
    attack: u32,
    early: usize,
}

fn verdicts(event: Event, seeds: impl Iterator<Item = u64>, sizes: (f64, f64)) -> Verdicts {
    let mut all = Verdicts::default();
    for seed in seeds {
        let (findings, early) = run(event, seed, sizes);
        all.early += early;
        let worst = findings.iter().filter_map(|finding| finding.verdict).max();
        match worst {
            None => all.nothing += 1,
            Some(Verdict::FlashCrowd) => all.crowd += 1,
            Some(Verdict::Suspected) => all.suspected += 1,
            Some(Verdict::Attack) => all.attack += 1,
        }
        let right = if event.is_attack() {
            worst == Some(Verdict::Attack)
        } else {
            worst <= Some(Verdict::FlashCrowd)
        };
        if !right && std::env::var_os("SHOW").is_some() {
            show(event, seed, &findings);
        }
    }
    all
}

/// Why a verdict is wrong.
fn show(event: Event, seed: u64, findings: &[Finding]) {
    for finding in findings {
        let rows = finding.rows.iter().filter(|row| row.points != 0);
        let rows: Vec<_> = rows.map(|row| (row.what, row.value, row.usual, row.points)).collect();
        let Finding { observed, expected, verdict, clients, .. } = finding;
        let minute = finding.at.millis() / 60_000 - BEGINS;
        println!(
            "{event:?} {seed} minute {minute}: {observed:.1}/s of {expected:.1}, {clients:?} {verdict:?} {rows:.2?}"
        );
    }
}

/// One seed range at a time, so that nothing is tuned to one of them.
fn table(ranges: &[u64], runs: u64, sizes: (f64, f64)) -> Vec<(Event, Verdicts)> {
    let mut all = Vec::new();
    for range in ranges {
        println!(
            "\n| seeds from {range} | nothing | flash crowd | suspected | attack |\n|---|---|---|---|---|"
        );
        for event in Event::ALL {
            let v = verdicts(event, *range..range + runs, sizes);
            println!("| {event:?} | {} | {} | {} | {} |", v.nothing, v.crowd, v.suspected, v.attack);
            all.push((event, v));
        }
    }
    for (event, v) in &all {
        assert!(event.is_attack() || v.attack == 0, "a crowd is called an attack: {event:?} {v:?}");
    }
    println!("\nfindings before anything happened: {}", all.iter().map(|(_, v)| v.early).sum::<usize>());
    all
}

fn right(event: Event, v: &Verdicts) -> u64 {
    u64::from(if event.is_attack() { v.attack } else { v.nothing + v.crowd })
}

/// The ranges that the rules were made while looking at.
const SEEN: [u64; 3] = [1_000, 70_000, 900_000];

#[test]
fn crowds_and_attacks_are_told_apart() {
    const RUNS: u64 = 2;
    let all = table(&SEEN, RUNS, SMALL);
    let sum: u64 = all.iter().map(|(event, v)| right(*event, v)).sum();
    assert!(sum * 10 >= all.len() as u64 * RUNS * 9, "{all:?}");
}

fn long_table(ranges: &[u64]) {
    const RUNS: u64 = 50;
    for (event, v) in table(ranges, RUNS, SIZES) {
        assert!(right(event, &v) * 10 >= RUNS * 9, "{event:?}: {v:?}");
    }
}

#[test]
#[ignore = "the longer form; run with --release"]
fn table_of_verdicts() {
    long_table(&SEEN);
}

#[test]
#[ignore = "not to be looked at while rules are made; run with --release"]
fn table_of_verdicts_held_out() {
    long_table(&[7_000_000]);
}

#[test]
fn an_attack_pages_as_a_flood_and_a_crowd_is_a_matter_of_capacity() {
    let (attack, _) = run(Event::FastBotnet, 5, SMALL);
    let page = attack.iter().find(|finding| finding.severity == Severity::Critical).expect("a page");
    assert_eq!((page.kind, page.rule), (Kind::Flood, "distributed-flood"));
    assert!(page.at.millis() / 60_000 <= BEGINS + 2, "within three minutes");
    assert_eq!(page.points, page.rows.iter().map(|row| row.points).sum::<i32>());
    assert!(page.rows.len() >= 11, "the rows without points are shown as well");

    let (crowd, _) = run(Event::ProductLaunch, 5, SMALL);
    assert!(!crowd.is_empty());
    assert!(crowd.iter().all(|finding| finding.kind == Kind::Surge && finding.severity < Severity::Critical));
}

#[test]
fn a_crowd_beyond_the_capacity_pages_for_its_backlog() {
    let mut service = Service::new(Event::ProductLaunch, 9, SMALL);
    let capacities = BTreeMap::from([(Box::from("shop"), service.usual() / 60.0 * 1.6)]);
    let mut engine = Surge::new(Knobs { capacities, ..Knobs::default() });
    let mut findings = Vec::new();
    for t in minutes() {
        engine.take("shop", at(t), &service.sketch(t), service.around(t), &mut findings);
    }
    let last = findings.last().expect("findings");
    let load = last.load.expect("a configured capacity");
    assert!(load.utilisation > 1.0 && load.backlog_seconds > 60.0, "{load:?}");
    assert_eq!(
        (last.kind, last.severity, last.verdict),
        (Kind::Surge, Severity::Critical, Some(Verdict::FlashCrowd))
    );
}

#[test]
fn numbers_that_cannot_be_are_refused() {
    let mut engine = Surge::new(Knobs::default());
    let mut service = Service::new(Event::NewsLink, 1, SMALL);
    let good = service.sketch(0).minute("shop", at(0), service.around(0), &Networks::default());
    let mut findings = Vec::new();
    for bad in [f64::NAN, f64::INFINITY, -1.0, 1e308] {
        let mut minute = good;
        minute.tens[3] = bad;
        assert!(!engine.minute(&minute, &mut findings));
        assert!(!engine.minute(&Minute { new_networks: Some(bad), ..good }, &mut findings));
    }
    assert!(engine.minute(&good, &mut findings) && findings.is_empty());
}
