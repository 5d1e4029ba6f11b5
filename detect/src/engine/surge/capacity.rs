//! Whether a service gets more than it was sized for: utilisation, backlog, and when it will be exhausted.
//!
//! Formulas: the project's reference on detection, 3.5. The backlog is a leaky bucket, which is the cumulative sum of
//! what came beyond the capacity; a slack of half a deviation of the noise is added to the capacity, so that a service
//! that runs at its capacity has none.

use std::time::Duration;

/// What a service can bear, in requests a second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Capacity {
    /// As the operator says.
    Configured(f64),
    /// The highest rates at which it still answered in time.
    Learned(f64),
}

impl Capacity {
    /// Requests a second.
    pub fn requests_per_second(self) -> f64 {
        match self {
            Self::Configured(rate) | Self::Learned(rate) => rate,
        }
    }
}

/// How a service stands against its capacity.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Load {
    /// The capacity it is held against.
    pub capacity: Capacity,
    /// The last minute's rate as a share of it.
    pub utilisation: f64,
    /// Work that waits, in seconds at full capacity.
    pub backlog_seconds: f64,
    /// When the trend reaches the capacity, if within 15 minutes.
    pub exhausted_in: Option<Duration>,
    /// Whether more came than noise explains: four deviations of a Poisson count, for small services.
    pub significant: bool,
    /// Above 80 % for two minutes.
    pub high: bool,
    /// Above the capacity for 30 seconds.
    pub over: bool,
}

/// One slice of ten seconds.
pub(crate) const SLICE: f64 = 10.0;
const HIGH: f64 = 0.8;
const OVER: f64 = 1.0;
/// An alarm ends a tenth below its line.
const HYSTERESIS: f64 = 0.9;
const SOON: f64 = 900.0;

#[derive(Debug, Clone, Default)]
pub(crate) struct Meter {
    pub(super) configured: Option<f64>,
    /// Highest twentieth of the rates at which answers came in time, and how often they did not.
    pub(super) in_time: f64,
    pub(super) slow: u32,
    pub(super) backlog: f64,
    pub(super) high_for: u32,
    pub(super) over_for: u32,
    pub(super) high: bool,
    pub(super) over: bool,
    pub(super) level: f64,
    pub(super) trend: f64,
    pub(super) wobble: f64,
    pub(super) seen: u32,
}

impl Meter {
    pub(crate) fn new(configured: Option<f64>) -> Self {
        Self { configured: configured.filter(|rate| *rate > 0.0), ..Self::default() }
    }

    /// Learns from a minute: the rate, and whether 95 % of the answers came in time.
    pub(crate) fn learn(&mut self, rate: f64, in_time: bool) {
        if in_time {
            // A quantile followed by steps of 2 %: 19 up for one down stand still at the 95th percentile.
            let step: f64 = if rate > self.in_time { 0.019 } else { -0.001 };
            self.in_time = if self.in_time == 0.0 { rate } else { self.in_time * step.exp() };
        } else {
            self.slow = self.slow.saturating_add(1);
        }
    }

    fn capacity(&self) -> Option<Capacity> {
        // A service that never was slow has not shown what it can bear.
        self.configured
            .map(Capacity::Configured)
            .or((self.slow >= 10 && self.in_time > 0.0).then_some(Capacity::Learned(self.in_time)))
    }

    /// Takes ten seconds; `None` while the capacity is not known.
    pub(crate) fn take(&mut self, requests: f64) -> Option<Load> {
        self.follow(requests / SLICE);
        let capacity = self.capacity()?;
        let c = capacity.requests_per_second();
        let slack = 0.5 * (c * SLICE).sqrt();
        self.backlog = (self.backlog + requests - c * SLICE - slack).max(0.0);
        let utilisation = requests / SLICE / c;
        let line = |on: bool, line: f64| if on { line * HYSTERESIS } else { line };
        let count = |above: bool, n: u32| if above { n.saturating_add(1) } else { 0 };
        let significant = requests > c * SLICE + 4.0 * (c * SLICE).sqrt();
        self.high_for = count(utilisation > line(self.high, HIGH), self.high_for);
        self.over_for = count(utilisation > line(self.over, OVER), self.over_for);
        self.high = self.high_for >= if self.high { 1 } else { 12 };
        // A small service crosses its line by chance: either it is well across, or work piles up.
        let piled = self.backlog > 4.0 * (c * SLICE).sqrt();
        self.over = self.over_for >= if self.over { 1 } else { 3 } && (self.over || significant || piled);
        Some(Load {
            capacity,
            utilisation,
            backlog_seconds: self.backlog / c,
            exhausted_in: self.exhausted_in(c),
            significant,
            high: self.high,
            over: self.over,
        })
    }

    /// Holt's level and trend, and how much the trend wobbles.
    fn follow(&mut self, rate: f64) {
        self.seen = self.seen.saturating_add(1);
        if self.seen == 1 {
            self.level = rate;
            return;
        }
        let level = 0.2 * rate + 0.8 * (self.level + self.trend);
        let trend = 0.05 * (level - self.level) + 0.95 * self.trend;
        let change = level - self.level - trend;
        self.wobble += 0.05 * (change * change - self.wobble);
        (self.level, self.trend) = (level, trend);
    }

    fn exhausted_in(&self, c: f64) -> Option<Duration> {
        // The trend is a mean over about 20 slices.
        let error = (self.wobble / 20.0).sqrt();
        let known = self.seen >= 60 && self.trend > 2.0 * error && self.trend > 0.0 && self.level < c;
        let seconds = (c - self.level) / self.trend * SLICE;
        (known && seconds < SOON).then(|| Duration::from_secs_f64(seconds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Noise that needs no generator: sums of sines of unrelated periods, of deviation one.
    fn noise(i: u32) -> f64 {
        let t = f64::from(i);
        ((t * 1.7).sin() + (t * 2.9).sin() + (t * 0.7).sin()) / 1.225
    }

    #[test]
    fn a_service_at_its_capacity_has_no_backlog() {
        let mut meter = Meter::new(Some(50.0));
        let most = (0..2000)
            .map(|i| meter.take(500.0 + 500f64.sqrt() * noise(i)).unwrap().backlog_seconds)
            .fold(0.0, f64::max);
        assert!(most < 1.0, "{most} s");
    }

    #[test]
    fn a_fifth_too_much_for_two_minutes_is_twenty_seconds_of_work() {
        let mut meter = Meter::new(Some(50.0));
        let last = (0..12).map(|_| meter.take(600.0).unwrap()).last().unwrap();
        assert!((last.backlog_seconds - 21.3).abs() < 0.5, "{last:?}");
        assert!(last.over && last.significant);
        assert!(meter.take(480.0).unwrap().over, "the line has a tenth of hysteresis");
        assert!(!meter.take(400.0).unwrap().over);
    }

    #[test]
    fn a_small_service_is_not_over_its_capacity_by_chance() {
        let mut meter = Meter::new(Some(0.5));
        assert!((0..1000).all(|i| !meter.take(if i % 4 == 0 { 8.0 } else { 2.0 }).unwrap().over));
    }

    #[test]
    fn a_steady_rise_tells_when_it_will_be_too_much() {
        let mut meter = Meter::new(Some(100.0));
        let loads: Vec<_> = (0..380)
            .filter_map(|i| meter.take(200.0 + 2.0 * f64::from(i) + noise(i)).unwrap().exhausted_in)
            .collect();
        let first = loads.first().expect("told ahead").as_secs_f64();
        assert!((600.0..900.0).contains(&first), "{first}");
        let mut flat = Meter::new(Some(100.0));
        assert!((0..500).all(|i| flat.take(700.0 + 26.0 * noise(i)).unwrap().exhausted_in.is_none()));
    }

    #[test]
    fn capacity_is_learned_only_from_a_service_that_has_been_slow() {
        let mut meter = Meter::new(None);
        for i in 0..3000 {
            meter.learn(40.0 + 10.0 * noise(i), true);
        }
        assert_eq!(meter.take(400.0), None);
        (0..10).for_each(|_| meter.learn(90.0, false));
        let learned = meter.take(400.0).unwrap().capacity.requests_per_second();
        assert!((50.0..62.0).contains(&learned), "{learned}");
    }
}
