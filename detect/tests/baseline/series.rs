//! Made-up series. No system random numbers: the same in every run.

use beaconfire_detect::baseline::{Series, Verdict};
use beaconfire_model::EventTime;

/// Five minutes a sample.
pub(crate) const SLICE: i64 = 300_000;

pub(crate) fn at(n: usize) -> EventTime {
    EventTime::from_millis(1_767_225_600_000 + n as i64 * SLICE)
}

/// Numbers that look random, from -1 to 1.
pub(crate) struct Noise(pub(crate) u64);

impl Noise {
    pub(crate) fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as f64 / f64::from(1u32 << 30) - 1.0
    }
}

/// A day's hump with noise on it.
pub(crate) fn daily(samples: usize, seed: u64) -> Vec<f64> {
    let mut noise = Noise(seed);
    let hump = |n: usize| (n as f64 / 288.0 * std::f64::consts::TAU).sin();
    (0..samples).map(|n| 100.0 + 30.0 * hump(n) + 4.0 * noise.next()).collect()
}

/// Feeds values from slice `from` on; what is said of each.
pub(crate) fn feed(series: &mut Series, from: usize, values: &[f64]) -> Vec<Verdict> {
    (from..).zip(values).map(|(n, value)| series.push(at(n), Some(*value), 0.0)).collect()
}
