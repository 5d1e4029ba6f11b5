//! The surge engine against labelled traffic: crowds are not attacks, attacks are not crowds.
//!
//! `cargo test --release -p beaconfire-detect --test surge -- --nocapture` prints the table of verdicts.

#[path = "workloads/noise.rs"]
#[allow(dead_code)]
mod noise;
mod traffic;

use std::collections::BTreeMap;

use beaconfire_detect::engine::surge::{Finding, Knobs, Surge, Verdict};
use beaconfire_model::{Kind, Severity};
use traffic::{BEFORE, Event, LASTS, Service};

/// All findings of one event, in the minutes that it lasts, and how many there were before it.
fn run(event: Event, seed: u64) -> (Vec<Finding>, usize) {
    let mut engine = Surge::new(Knobs::default());
    let mut service = Service::new(event, seed);
    let (mut findings, mut early) = (Vec::new(), 0);
    for t in 0..BEFORE + LASTS {
        assert!(engine.minute(&service.minute(t), &mut findings));
        if t < BEFORE {
            early += findings.len();
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

fn verdicts(event: Event, seeds: impl Iterator<Item = u64>) -> Verdicts {
    let mut all = Verdicts::default();
    for seed in seeds {
        let (findings, early) = run(event, seed);
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
            let most = findings.iter().max_by_key(|finding| finding.points);
            println!(
                "{event:?} {seed}: {:?} {:?}",
                worst,
                most.map(|f| (f.observed / f.expected, f.points, f.rows.clone()))
            );
        }
    }
    all
}

/// One seed range at a time, so that nothing is tuned to one of them.
fn table(runs: u64) {
    let mut all = Vec::new();
    for range in [1_000, 70_000, 900_000] {
        println!(
            "\n| seeds from {range} | nothing | flash crowd | suspected | attack |\n|---|---|---|---|---|"
        );
        for event in Event::ALL {
            let v = verdicts(event, range..range + runs);
            println!("| {event:?} | {} | {} | {} | {} |", v.nothing, v.crowd, v.suspected, v.attack);
            all.push((event, v));
        }
    }
    for (event, v) in all {
        let right = if event.is_attack() { v.attack } else { v.nothing + v.crowd };
        assert!(u64::from(right) * 10 >= runs * 9, "{event:?}: {v:?}");
        assert!(event.is_attack() || v.attack == 0, "a crowd is called an attack: {event:?} {v:?}");
        assert_eq!(v.early, 0, "{event:?}: findings before anything happened");
    }
}

#[test]
fn crowds_and_attacks_are_told_apart() {
    table(12);
}

#[test]
#[ignore = "the longer form; run with --release"]
fn table_of_verdicts() {
    table(100);
}

#[test]
fn an_attack_pages_as_a_flood_and_a_crowd_is_a_matter_of_capacity() {
    let (attack, _) = run(Event::FastBotnet, 5);
    let page = attack.iter().find(|finding| finding.severity == Severity::Critical).expect("a page");
    assert_eq!((page.kind, page.rule), (Kind::Flood, "distributed-flood"));
    assert!(page.at.millis() / 60_000 <= BEFORE + 2, "within three minutes");
    assert_eq!(page.points, page.rows.iter().map(|row| row.points).sum::<i32>());
    assert!(page.rows.len() >= 11, "the rows without points are shown as well");

    let (crowd, _) = run(Event::ProductLaunch, 5);
    assert!(!crowd.is_empty());
    assert!(crowd.iter().all(|finding| finding.kind == Kind::Surge && finding.severity < Severity::Critical));
}

#[test]
fn a_crowd_beyond_the_capacity_pages_for_its_backlog() {
    let mut service = Service::new(Event::ProductLaunch, 9);
    let usual = service.minute(30).requests() / 60.0;
    let capacities = BTreeMap::from([(Box::from("shop"), usual * 1.6)]);
    let mut engine = Surge::new(Knobs { capacities, ..Knobs::default() });
    let mut findings = Vec::new();
    for t in 0..BEFORE + LASTS {
        engine.minute(&service.minute(t), &mut findings);
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
    let good = Service::new(Event::NewsLink, 1).minute(0);
    let mut findings = Vec::new();
    for bad in [f64::NAN, f64::INFINITY, -1.0, 1e308] {
        let mut minute = good;
        minute.tens[3] = bad;
        assert!(!engine.minute(&minute, &mut findings));
        assert!(!engine.minute(&traffic_with(good, bad), &mut findings));
    }
    assert!(engine.minute(&good, &mut findings) && findings.is_empty());
}

fn traffic_with(
    minute: beaconfire_detect::engine::surge::Minute<'static>,
    bad: f64,
) -> beaconfire_detect::engine::surge::Minute<'static> {
    beaconfire_detect::engine::surge::Minute { new_networks: Some(bad), ..minute }
}
