//! A workload's ways: what it uses at which hour, and how high it goes how often.
//!
//! Where no service is tied to a workload, its own day stands for the requests: the batch at two in the morning is
//! expected at two in the morning. How often it was how far above what was expected is kept as shares of time, so that
//! a worker that transcodes at the limit every day is not new to us when it does so again.

use super::shape::enough;
use crate::sealed::End;

/// Minutes before an hour of the day is known.
const KNOWN: f32 = 30.0;
/// An hour of the day forgets in about five days.
const HOUR_MEMORY: f32 = 300.0;
/// Heights are kept in eighths of the limit, up to twice it.
const BINS: usize = 16;
/// Shares of time are forgotten in a week.
const SHARE_MEMORY: f32 = 10_080.0;

#[derive(Debug, Clone)]
pub(crate) struct Profile {
    hours: [f32; 24],
    counts: [u16; 24],
    mean: f32,
    heights: [f32; BINS],
    /// The highest that it went in each hour of the day, as shares of the limit; forgotten in a week.
    peaks: [f32; 24],
    seen: f32,
}

impl Profile {
    pub(crate) fn new() -> Self {
        Self {
            hours: [0.0; 24],
            counts: [0; 24],
            mean: 0.0,
            heights: [0.0; BINS],
            peaks: [0.0; 24],
            seen: 0.0,
        }
    }

    /// What is usual at this minute of the epoch, in cores.
    pub(crate) fn usual(&self, minute: i64) -> f64 {
        let hour = Self::hour(minute);
        f64::from(if f32::from(self.counts[hour]) >= KNOWN { self.hours[hour] } else { self.mean })
    }

    /// Whether at this hour the workload usually does less than a quarter of what it does at its busiest.
    pub(crate) fn off_hours(&self, minute: i64) -> bool {
        let known = (0..24).filter(|&hour| f32::from(self.counts[hour]) >= KNOWN);
        let most = known.map(|hour| self.hours[hour]).fold(0.0, f32::max);
        let hour = Self::hour(minute);
        f32::from(self.counts[hour]) >= KNOWN && self.hours[hour] < 0.25 * most
    }

    pub(crate) fn learn(&mut self, minute: i64, cores: f64) {
        let (hour, cores) = (Self::hour(minute), cores as f32);
        self.counts[hour] = self.counts[hour].saturating_add(1);
        self.hours[hour] += (cores - self.hours[hour]) / f32::from(self.counts[hour]).min(HOUR_MEMORY);
        self.seen += 1.0;
        self.mean += (cores - self.mean) / self.seen.min(1440.0);
    }

    /// Notes that the last minutes lay this far above what was expected.
    pub(crate) fn note(&mut self, minute: i64, excess: f64, limit: f64) {
        let peak = &mut self.peaks[Self::hour(minute)];
        *peak = (*peak * (1.0 - 24.0 / SHARE_MEMORY)).max((excess / limit.max(0.1)) as f32);
        for share in &mut self.heights {
            *share *= 1.0 - 1.0 / SHARE_MEMORY;
        }
        self.heights[Self::bin(excess, limit)] += 1.0 / SHARE_MEMORY;
    }

    /// The share of the last week that it went as high as this and higher.
    pub(crate) fn share_above(&self, excess: f64, limit: f64) -> f64 {
        f64::from(self.heights[Self::bin(excess, limit)..].iter().sum::<f32>())
    }

    /// Whether at this hour, or beside it, there was more than is explained in the days before.
    pub(crate) fn worked(&self, minute: i64, limit: f64) -> bool {
        let least = (enough(Some(limit)) / limit.max(0.1)) as f32;
        [-60, 0, 60].into_iter().any(|beside| self.peaks[Self::hour(minute + beside)] >= least)
    }

    pub(crate) fn walk(&mut self, end: &mut impl End) {
        let Self { hours, counts, mean, heights, peaks, seen } = self;
        for each in hours.iter_mut().chain(heights).chain(peaks).chain([mean, seen]) {
            end.f32(each);
            end.check(each.is_finite() && *each >= 0.0);
        }
        counts.iter_mut().for_each(|count| end.u16(count));
    }

    fn bin(excess: f64, limit: f64) -> usize {
        ((excess / limit.max(0.1) * 8.0).max(0.0) as usize).min(BINS - 1)
    }

    fn hour(minute: i64) -> usize {
        (minute.rem_euclid(1440) / 60) as usize
    }
}
