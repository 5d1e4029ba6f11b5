//! `cargo bench --bench baseline`: what a sample costs the baselines, and what 100,000 series cost.
//!
//! - `a sample`: the quiet head (with the local one, as the service has both) beside a plain mean with deviation in the
//!   same run, over 64 series of 4,000 samples each: daily humps, noise and spikes, made from a fixed seed.
//! - `100,000 series`: the whole table, one sample a series for each 10 s of event time, in the order of their keys.
//!   Between two samples of a series lie those of all others, so each comes from memory, not from a cache.
//!
//! Costs are CPU time by `getrusage`, medians of five rounds.

#[path = "../shared/mod.rs"]
#[allow(dead_code, reason = "shared by all benchmarks, each of which uses its part")]
mod shared;

use std::hint::black_box;

use beaconfire_detect::baseline::{Baselines, Fed, Metric, Series, SeriesKey, Verdict};
use beaconfire_model::{EventTime, Subject, SubjectKind};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::json;

use shared::figures::{ROUNDS, bar, is_wanted, median, range, ratio, rounded};
use shared::{cpu, memory};

const SERIES: usize = 64;
const SAMPLES: usize = 4_000;
/// Nanoseconds a sample.
const BAR_SAMPLE: f64 = 400.0;

const MANY: usize = 100_000;
const SLICE: i64 = 10_000;
/// Slices of a round.
const SLICES: usize = 20;
/// Slices before: behind the 100 of learning, so that every view is at work.
const LEARNED: usize = 120;
/// Of one core.
const BAR_SHARE: f64 = 0.1;
/// `limits.baseline_memory` by default, and how much more than that may be occupied.
const BOUND: usize = 512 << 20;
const BAR_MEMORY: f64 = 1.1;

fn main() {
    if !is_wanted("baseline") {
        return;
    }
    let sample = a_sample();
    let many = many_series();
    println!(
        "{}",
        json!({"bench": "baseline", "rounds": ROUNDS, "a sample": sample, "100,000 series": many})
    );
}

/// Values of one series: hump, noise, now and then a spike.
fn values(random: &mut StdRng) -> Vec<f64> {
    let level = random.random_range(1.0..1e6);
    let value = |n: usize, random: &mut StdRng| {
        let hump = (n as f64 / 288.0 * std::f64::consts::TAU).sin();
        let spike = if random.random_range(0..500) == 0 { 2.0 } else { 1.0 };
        level * spike * (1.0 + 0.3 * hump + 0.05 * random.random::<f64>())
    };
    (0..SAMPLES).map(|n| value(n, random)).collect()
}

fn at(slice: usize) -> EventTime {
    EventTime::from_millis(1_767_225_600_000 + slice as i64 * SLICE)
}

/// The least that tells what is far off: one mean, one variance, and how many deviations.
#[derive(Default)]
struct Plain {
    mean: f64,
    variance: f64,
}

impl Plain {
    fn push(&mut self, value: f64) -> f64 {
        let off = value - self.mean;
        let far = off / self.variance.sqrt().max(1e-9);
        self.mean += off / 300.0;
        self.variance = (1.0 - 1.0 / 300.0) * (self.variance + off * off / 300.0);
        far
    }
}

fn a_sample() -> serde_json::Value {
    let mut random = StdRng::seed_from_u64(6);
    let all: Vec<Vec<f64>> = (0..SERIES).map(|_| values(&mut random)).collect();
    let head = || {
        let mut alerts = 0;
        for values in &all {
            let mut series = Box::<Series>::default();
            for (n, value) in values.iter().enumerate() {
                // Five minutes a sample, so that days come by.
                let verdict = series.push(at(n * 30), Some(*value), 0.0);
                alerts += usize::from(matches!(verdict, Verdict::Judged { quiet, .. } if quiet.alerts()));
            }
        }
        assert!(alerts > 0, "spikes are found");
    };
    let plain = || {
        let mut far = 0.0;
        for values in &all {
            let mut series = Plain::default();
            for value in values {
                far += series.push(*value);
            }
        }
        black_box(far);
    };
    let mut costs = [const { Vec::new() }; 2];
    for round in 0..=ROUNDS {
        for step in 0..2 {
            let which = (round + step) % 2;
            let before = cpu::spent();
            if which == 0 {
                head()
            } else {
                plain()
            }
            let spent = (cpu::spent() - before).as_secs_f64();
            if round > 0 {
                costs[which].push(spent * 1e9 / (SERIES * SAMPLES) as f64);
            }
        }
    }
    let ratio = ratio(&costs[0], &costs[1]);
    println!("{:<28} {:>14} {:>8} {:>8} {:>8}", "a sample", "CPU ns/sample", "least", "most", "ratio");
    let [head, plain] = costs;
    for (name, costs, ratio, judged) in [
        ("quiet and local head", &head, ratio, bar(median(head.clone()), BAR_SAMPLE)),
        ("plain mean and deviation", &plain, 1.0, String::new()),
    ] {
        let ((least, most), cost) = (range(costs), median(costs.clone()));
        println!("{name:<28} {cost:>14.1} {least:>8.1} {most:>8.1} {ratio:>8.1}  {judged}");
    }
    let cost = median(head);
    json!({"ns": rounded(cost), "plain_ns": rounded(median(plain)), "ratio": rounded(ratio), "bar_ns": BAR_SAMPLE,
        "met": cost <= BAR_SAMPLE})
}

fn many_series() -> serde_json::Value {
    let mut random = StdRng::seed_from_u64(7);
    let key = |n: usize| {
        let value = format!("namespace-{:03}/workload-{n:06}", n % 300).into();
        SeriesKey { subject: Subject { kind: SubjectKind::Workload, value }, metric: Metric::Cpu }
    };
    let keys: Vec<SeriesKey> = (0..MANY).map(key).collect();
    let levels: Vec<f64> = (0..MANY).map(|_| random.random_range(0.1..8.0)).collect();
    let idle = memory::resident(std::process::id());
    let mut table = Baselines::new(BOUND, 1);
    let mut feed = |slice: usize| {
        for (key, level) in keys.iter().zip(&levels) {
            let value = level * (1.0 + 0.05 * random.random::<f64>());
            let fed = table.feed(key, at(slice), Some(value));
            assert!(matches!(fed, Fed::Taken(_)), "{fed:?}");
        }
    };
    (0..LEARNED).for_each(&mut feed);
    let mut costs = Vec::new();
    for round in 0..ROUNDS {
        let before = cpu::spent();
        let first = LEARNED + round * SLICES;
        (first..first + SLICES).for_each(&mut feed);
        costs.push((cpu::spent() - before).as_secs_f64());
    }
    let census = table.census();
    assert_eq!((census.series, census.refused), (MANY, 0), "all of them fit");
    let grown = memory::peak() - idle;
    let cost = median(costs) / (SLICES * MANY) as f64;
    let share = cost * MANY as f64 / (SLICE as f64 / 1e3);
    let of_bound = grown / BOUND as f64;
    println!("\n100,000 series, a sample each 10 s");
    println!("{:<28} {:>10.0} ns a sample", "CPU", cost * 1e9);
    println!("{:<28} {:>10.2} % of one core  {}", "", share * 100.0, bar(share, BAR_SHARE));
    println!(
        "{:<28} {:>10.0} MB, {:.0} bytes a series; counted {:.0} MB of {:.0}",
        "memory beyond idle",
        grown / 1e6,
        grown / MANY as f64,
        census.bytes as f64 / 1e6,
        BOUND as f64 / 1e6
    );
    println!("{:<28} {of_bound:>10.2} of the bound  {}", "", bar(of_bound, BAR_MEMORY));
    println!("{:<28} {:>10} bytes in memory", "a series", size_of::<Series>());
    json!({"ns": rounded(cost * 1e9), "share": rounded(share), "bar_share": BAR_SHARE, "met": share <= BAR_SHARE,
        "resident_mb": rounded(grown / 1e6), "counted_mb": rounded(census.bytes as f64 / 1e6),
        "to_bound": rounded(of_bound), "bar_to_bound": BAR_MEMORY, "series_bytes": size_of::<Series>()})
}
