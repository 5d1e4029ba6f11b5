//! What was wrong with samples, counted. None of it changes what is made of the others.

use std::time::Duration;

use beaconfire_model::{EventTime, Metric};

/// What was wrong with a value, or odd about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Flaw {
    /// It is not a number; of Prometheus's series that is the end.
    NotANumber,
    /// It is infinite.
    Infinite,
    /// It is below zero.
    Negative,
    /// It is more than any machine has.
    Absurd,
    /// A limit of zero, or hardly more.
    ZeroLimit,
    /// Its clock is off by more than an hour, against the log's.
    Clock,
    /// Its slice was closed already.
    Late,
    /// There was a value for its time.
    Duplicate,
    /// A counter ran backwards and then went on where it had been.
    Backwards,
    /// A counter began anew with what it counts.
    Reset,
    /// It came so long after the one before that nothing is known of the time between.
    Gap,
    /// More values of one thing came in a slice than are kept.
    Crowded,
    /// There was no room for another workload or copy.
    Full,
}

impl Flaw {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::NotANumber,
        Self::Infinite,
        Self::Negative,
        Self::Absurd,
        Self::ZeroLimit,
        Self::Clock,
        Self::Late,
        Self::Duplicate,
        Self::Backwards,
        Self::Reset,
        Self::Gap,
        Self::Crowded,
        Self::Full,
    ];

    /// The name in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotANumber => "not_a_number",
            Self::Infinite => "infinite",
            Self::Negative => "negative",
            Self::Absurd => "absurd",
            Self::ZeroLimit => "zero_limit",
            Self::Clock => "clock",
            Self::Late => "late",
            Self::Duplicate => "duplicate",
            Self::Backwards => "backwards",
            Self::Reset => "reset",
            Self::Gap => "gap",
            Self::Crowded => "crowded",
            Self::Full => "full",
        }
    }
}

/// How often each of them was met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flaws([u64; Flaw::ALL.len()]);

impl Flaws {
    /// How often this one was met.
    pub fn of(&self, flaw: Flaw) -> u64 {
        self.0[flaw as usize]
    }

    pub(super) fn note(&mut self, flaw: Flaw) {
        let count = &mut self.0[flaw as usize];
        *count = count.saturating_add(1);
    }
}

/// Above this, a memory limit is how kernels write that there is none.
const UNLIMITED_BYTES: f64 = (1u64 << 62) as f64;

/// Whether a value can be; `Err(None)` for one that says in earnest that there is no limit.
pub(super) fn judge(metric: Metric, value: f64) -> Result<(), Option<Flaw>> {
    if value.is_nan() {
        return Err(Some(Flaw::NotANumber));
    }
    if value.is_infinite() {
        return Err(Some(Flaw::Infinite));
    }
    match metric {
        // Kernels write "no quota" as 0 or -1.
        Metric::CpuQuotaMicros if value <= 0.0 => return Err(None),
        Metric::MemoryLimitBytes if (UNLIMITED_BYTES..1e20).contains(&value) => return Err(None),
        _ => {}
    }
    if value < 0.0 {
        return Err(Some(Flaw::Negative));
    }
    if metric.is_bound() && value < bound_min(metric) {
        return Err(Some(Flaw::ZeroLimit));
    }
    if value > value_max(metric) { Err(Some(Flaw::Absurd)) } else { Ok(()) }
}

/// Less than this is no limit that anything could run with: zero, or a share of a rounding error.
fn bound_min(metric: Metric) -> f64 {
    match metric {
        Metric::CpuLimitCores | Metric::CpuRequestCores => 1e-4,
        _ => 1.0,
    }
}

/// More than the largest machines have, and no reason to doubt any real value.
fn value_max(metric: Metric) -> f64 {
    match metric {
        Metric::CpuCores | Metric::CpuLimitCores | Metric::CpuRequestCores => 1e5,
        Metric::MemoryBytes | Metric::MemoryLimitBytes | Metric::MemoryRequestBytes => 1e16,
        Metric::NetRxBytesPerSecond | Metric::NetTxBytesPerSecond => 1e13,
        Metric::CpuOfLimit | Metric::MemoryOfLimit | Metric::CpuOfNode => 1e3,
        Metric::GpuShare | Metric::OomKilled => 1.0,
        Metric::CpuQuotaMicros | Metric::CpuPeriodMicros => 1e12,
        Metric::CpuSeconds
        | Metric::CpuPeriods
        | Metric::CpuThrottledPeriods
        | Metric::NetRxBytes
        | Metric::NetTxBytes
        | Metric::Restarts
        | Metric::OomKills => 2e19,
    }
}

/// How much a second a counter can go up by.
pub(super) fn rate_max(metric: Metric) -> f64 {
    match metric {
        Metric::CpuSeconds => 1e5,
        Metric::NetRxBytes | Metric::NetTxBytes => 1e13,
        _ => 1e6,
    }
}

/// Whether a sample's clock is off: a log takes records in within the hour, also from where it is cut off for a while.
pub(super) fn is_off(time: EventTime, stamped: Option<EventTime>, most: Duration) -> bool {
    stamped.is_some_and(|stamped| time.since(stamped) > most || stamped.since(time) > most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_cannot_be() {
        use Metric::*;
        for (metric, value, meant) in [
            (CpuCores, 0.0, Ok(())),
            (CpuCores, -0.1, Err(Some(Flaw::Negative))),
            (CpuCores, f64::NAN, Err(Some(Flaw::NotANumber))),
            (CpuCores, f64::INFINITY, Err(Some(Flaw::Infinite))),
            (CpuCores, f64::NEG_INFINITY, Err(Some(Flaw::Infinite))),
            (CpuCores, 1e308, Err(Some(Flaw::Absurd))),
            (CpuSeconds, 1e308, Err(Some(Flaw::Absurd))),
            (CpuSeconds, 1e9, Ok(())),
            (CpuLimitCores, 0.0, Err(Some(Flaw::ZeroLimit))),
            (MemoryLimitBytes, 0.0, Err(Some(Flaw::ZeroLimit))),
            (CpuQuotaMicros, -1.0, Err(None)),
            (CpuQuotaMicros, 0.0, Err(None)),
            (CpuPeriodMicros, 0.0, Err(Some(Flaw::ZeroLimit))),
            (MemoryLimitBytes, 9_223_372_036_854_771_712.0, Err(None)),
            (GpuShare, 75.0, Err(Some(Flaw::Absurd))),
        ] {
            assert_eq!(judge(metric, value), meant, "{metric:?} {value}");
        }
    }

    #[test]
    fn every_flaw_has_its_own_place() {
        let mut flaws = Flaws::default();
        for (at, flaw) in Flaw::ALL.into_iter().enumerate() {
            assert_eq!(flaw as usize, at);
            flaws.note(flaw);
        }
        assert!(Flaw::ALL.iter().all(|flaw| flaws.of(*flaw) == 1));
    }
}
