//! Miners with patience: one that stops for hours and comes back, and one that takes two days to become what it is.
//! `mining_rules.rs` has what freezes and thaws, `mining.rs` the rates.

mod workloads;

use beaconfire_detect::engine::mining::{Finding, Knobs, Mining};
use beaconfire_model::{EventTime, Kind, Severity};
use workloads::benign::{self, Workload};

const DAY: i64 = 1440;
const START: i64 = 4 * DAY;
/// RandomX in fast mode.
const DATASET_MIB: f64 = 2336.0;

fn at(minute: i64) -> EventTime {
    EventTime::from_millis(1_767_225_600_000 + minute * 60_000)
}

/// What is said of a web service in which someone mines with this share of the limit, minute by minute since `START`.
fn mined(engine: &mut Mining, seed: u64, minutes: i64, share: impl Fn(i64) -> f64) -> Vec<Finding> {
    host(engine, seed, minutes, share, DATASET_MIB)
}

fn host(
    engine: &mut Mining,
    seed: u64,
    minutes: i64,
    share: impl Fn(i64) -> f64,
    dataset: f64,
) -> Vec<Finding> {
    let mut host = Workload::new(benign::Kind::Web, 0, seed);
    let mut findings = Vec::new();
    for t in 0..START + minutes {
        let mut sample = host.minute(t).expect("a service always runs");
        let share = if t < START { 0.0 } else { share(t - START) };
        if share > 0.0 {
            sample.cores = (sample.cores + share * sample.limit).min(sample.limit);
            sample.memory_mib += dataset * f64::from(sample.replicas);
        }
        engine.slice(&sample.slice("shop/web", at(t)), &mut findings).unwrap();
    }
    findings
}

fn tickets(findings: &[Finding], since: i64, until: i64) -> usize {
    let between = at(START + since)..at(START + until);
    let is_ticket = |f: &&Finding| f.kind == Kind::Mining && f.severity >= Severity::Warning;
    findings.iter().filter(is_ticket).filter(|f| between.contains(&f.at)).count()
}

const SEEDS: std::ops::Range<u64> = 400..420;

#[test]
fn who_pauses_for_hours_is_found_each_time() {
    let (mut found, mut runs) = (0, 0);
    for seed in SEEDS {
        // Six hours of work, five of rest, for four days.
        let findings = mined(&mut Mining::new(Knobs::default()), seed, 4 * DAY, |into| {
            if into % 660 < 360 { 0.5 } else { 0.0 }
        });
        for n in 0..(4 * DAY / 660) {
            runs += 1;
            found += u32::from(tickets(&findings, n * 660, n * 660 + 45) > 0);
        }
    }
    assert!(found * 100 >= runs * 95, "{found} of {runs}");
}

/// A rollout in between begins the comparison anew, and hides some.
#[test]
fn who_takes_two_days_is_found() {
    let found = |dataset: bool| {
        let is_found = |seed: &u64| {
            let mut engine = Mining::new(Knobs::default());
            let grown = |into: i64| 0.01 + 0.5 * (into as f64 / (2 * DAY) as f64).min(1.0);
            let findings = host(&mut engine, *seed, 4 * DAY, grown, if dataset { DATASET_MIB } else { 0.0 });
            tickets(&findings, 0, 4 * DAY) > 0
        };
        SEEDS.filter(is_found).count()
    };
    let (with, without) = (found(true), found(false));
    assert!(with >= 12, "{with} of 20");
    assert!(without <= 2, "{without} of 20: what grows without taking memory is a service that grew");
}
