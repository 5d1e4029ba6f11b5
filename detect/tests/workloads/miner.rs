//! A miner laid over an ordinary workload.

use super::benign::{Kind, Workload};
use super::noise::Rng;
use super::{Sample, Seen};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Way {
    Full,
    Half,
    Third,
    Night,
    Rollout,
    Renamed,
    Niced,
    Bursts,
    Before,
}

impl Way {
    pub(crate) const ALL: [Self; 9] = [
        Self::Full,
        Self::Half,
        Self::Third,
        Self::Night,
        Self::Rollout,
        Self::Renamed,
        Self::Niced,
        Self::Bursts,
        Self::Before,
    ];
}

#[derive(Debug, Clone)]
pub(crate) struct Miner {
    pub(crate) way: Way,
    pub(crate) host: Workload,
    /// The minute it starts in, and those in which indicators are seen, in order.
    pub(crate) start: i64,
    pub(crate) indicators: Vec<(i64, Seen)>,
    share: f64,
    pub(crate) dataset: f64,
    on: i64,
    off: i64,
    rng: Rng,
}

/// Days that a host is watched before its miner starts, and how long it is watched then.
pub(crate) const BEFORE_DAYS: i64 = 3;
pub(crate) const WATCHED: i64 = 12 * 60;

impl Miner {
    pub(crate) fn new(way: Way, index: usize, seed: u64, indicated: bool) -> Self {
        let mut rng = Rng::new(seed ^ 0x6d69_6e65);
        // What is exposed is what is broken into: mostly services.
        let host = rng.one(&[
            Kind::Web,
            Kind::Web,
            Kind::Web,
            Kind::Web,
            Kind::Web,
            Kind::WebJit,
            Kind::WebJit,
            Kind::Inference,
            Kind::LoadTest,
            Kind::Worker,
            Kind::Compaction,
            Kind::Backup,
        ]);
        let night = BEFORE_DAYS * 1440 + rng.whole(0, 4 * 60);
        let start = match way {
            Way::Before => 0,
            Way::Night => night,
            _ => BEFORE_DAYS * 1440 + rng.whole(0, 1439),
        };
        let share = match way {
            Way::Half => 0.5,
            Way::Third => 0.3,
            Way::Full | Way::Renamed => rng.between(0.9, 1.0),
            Way::Before => rng.between(0.45, 1.0),
            _ => rng.between(0.6, 1.0),
        };
        // RandomX in fast or light mode; few mine anything else on a CPU.
        let dataset = match rng.unit() {
            u if u < 0.6 => 2336.0,
            u if u < 0.97 => 264.0,
            _ => 8.0,
        };
        let kinds = [
            Seen::Stratum,
            Seen::Name,
            Seen::PoolConnect,
            Seen::Lookup,
            Seen::Lookup,
            Seen::Options,
            Seen::Port,
            Seen::Dropped,
            Seen::Cron,
            Seen::Flow,
        ];
        // One that is seen is often seen in several ways.
        let count = if indicated { [1, 1, 2, 2, 3][rng.whole(0, 4) as usize] } else { 0 };
        let mut indicators: Vec<(i64, Seen)> = (0..count)
            .map(|i| {
                let mut seen = rng.one(&kinds);
                if way == Way::Renamed && matches!(seen, Seen::Name | Seen::Stratum | Seen::Options) {
                    seen = Seen::Lookup;
                }
                let later = i + if rng.chance(0.6) { rng.whole(0, 3) * 3 } else { rng.whole(2, 80) * 3 };
                // A quiet flow is quiet for half an hour before anyone can tell.
                // At night it is only seen while it runs.
                let later = if way == Way::Night { later.min(50 + i) } else { later };
                (start + if seen == Seen::Flow { later.max(30) } else { later }, seen)
            })
            .collect();
        indicators.sort_by_key(|(at, _)| *at);
        Self {
            way,
            host: Workload::new(host, index, seed),
            start,
            indicators,
            share,
            dataset,
            on: rng.whole(5, 12),
            off: rng.whole(5, 15),
            rng,
        }
    }

    pub(crate) fn minute(&mut self, t: i64) -> Option<Sample> {
        let mut sample = self.host.minute(t)?;
        if t == self.start && self.way == Way::Rollout {
            sample.image_changed = true;
        }
        let into = t - self.start;
        if into >= 0 {
            let runs = match self.way {
                // From its first hour on until five in the morning.
                Way::Night => t.rem_euclid(1440) < 5 * 60,
                Way::Bursts => into % (self.on + self.off) < self.on,
                _ => true,
            };
            if runs {
                let wants = self.share * sample.limit * (1.0 + 0.007 * self.rng.normal());
                sample.cores = (sample.cores + wants).min(sample.limit * (1.0 + 0.003 * self.rng.normal()));
                sample.network += 300.0;
            }
            // The dataset stays between bursts.
            if runs || self.way == Way::Bursts {
                sample.memory_mib += self.dataset * f64::from(sample.replicas) * (into as f64 + 0.5).min(1.0);
            }
        }
        if let Some((_, seen)) = self.indicators.iter().find(|(at, _)| *at == t) {
            sample.seen = Some(*seen);
        }
        Some(sample)
    }
}
