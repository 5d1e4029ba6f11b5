//! Ordinary workloads with what makes them look like miners now and then.

use super::noise::{Rng, Slow};
use super::{Sample, Seen};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Web,
    WebJit,
    Inference,
    Builds,
    Compaction,
    Backup,
    Training,
    Notebook,
    Video,
    Worker,
    LoadTest,
    Loops,
}

impl Kind {
    /// How many of 200.
    pub(crate) const MIX: [(Self, usize); 12] = [
        (Self::Web, 60),
        (Self::WebJit, 20),
        (Self::Inference, 14),
        (Self::Builds, 16),
        (Self::Compaction, 16),
        (Self::Backup, 14),
        (Self::Training, 8),
        (Self::Notebook, 4),
        (Self::Video, 12),
        (Self::Worker, 16),
        (Self::LoadTest, 10),
        (Self::Loops, 10),
    ];

    fn serves(self) -> bool {
        matches!(self, Self::Web | Self::WebJit | Self::Inference | Self::LoadTest | Self::Loops)
    }
}

/// A job or event that runs for a while.
#[derive(Debug, Clone, Copy, Default)]
struct Run {
    until: i64,
    began: i64,
    level: f64,
    ragged: f64,
    memory: f64,
    network: f64,
    epoch: i64,
}

#[derive(Debug, Clone)]
pub(crate) struct Workload {
    pub(crate) kind: Kind,
    pub(crate) name: String,
    rng: Rng,
    limit: f64,
    replicas: u32,
    tied: bool,
    /// Requests a second at the busiest, and cores each costs.
    peak: f64,
    cost: f64,
    rest: f64,
    phase: f64,
    weekend: f64,
    scales_out: bool,
    requests: Slow,
    costs: Slow,
    ragged: Slow,
    memory: f64,
    memory_noise: f64,
    sawtooth: Option<f64>,
    memories: Slow,
    network: f64,
    rollout: i64,
    next_rollout: i64,
    /// An hour of the day for what happens nightly, a minute of the hour for what happens hourly.
    nightly: Option<i64>,
    hourly: Option<i64>,
    run: Run,
    next_run: i64,
    loops: f64,
    dropped: f64,
}

impl Workload {
    pub(crate) fn new(kind: Kind, index: usize, seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let r = &mut rng;
        let limit = r.one(&[1.0, 2.0, 2.0, 4.0, 4.0, 8.0]);
        let replicas = if kind.serves() { r.one(&[1, 1, 2, 3, 6]) } else { 1 };
        let tied = kind.serves() || (matches!(kind, Kind::Compaction | Kind::Backup) && r.chance(0.5));
        let usage = if kind == Kind::Inference { r.between(0.4, 0.85) } else { r.between(0.25, 0.7) };
        let peak = r.between(2.0, 300.0) * f64::from(replicas);
        let allowed = kind == Kind::Builds && r.chance(0.5);
        let space = if allowed { "ci" } else { "shop" };
        let workload = Self {
            kind,
            name: format!("{space}/{kind:?}-{index}").to_lowercase(),
            limit,
            replicas,
            tied,
            peak,
            cost: usage * limit * f64::from(replicas) / peak,
            rest: r.between(0.01, 0.08) * limit,
            phase: r.between(-0.15, 0.15),
            weekend: r.between(0.4, 1.0),
            scales_out: kind.serves() && r.chance(0.3),
            requests: Slow::new(30.0, r),
            costs: Slow::new(60.0, r),
            ragged: Slow::new(4.0, r),
            memory: r.between(150.0, 3000.0),
            memory_noise: r.between(0.001, 0.006),
            sawtooth: r.chance(0.3).then(|| r.between(20.0, 90.0)),
            memories: Slow::new(20.0, r),
            network: r.between(2_000.0, 20_000.0),
            rollout: -10_000,
            next_rollout: r.whole(1000, 9000),
            nightly: r.chance(0.2).then(|| r.whole(0, 6)),
            hourly: r.chance(0.2).then(|| r.whole(0, 59)),
            run: Run::default(),
            next_run: r.whole(30, 2000),
            loops: 0.0,
            dropped: if r.chance(0.1) { r.between(0.0, 1.0) / 1440.0 } else { 0.0 },
            rng: Rng::new(seed ^ 0xabcd),
        };
        match kind {
            Kind::Builds | Kind::Video => Self { dropped: 0.5 / 1440.0, ..workload },
            Kind::Backup => Self { nightly: Some(index as i64 % 6), ..workload },
            _ => workload,
        }
    }

    /// What runs in minute `t` since the beginning; `None` where nothing does.
    pub(crate) fn minute(&mut self, t: i64) -> Option<Sample> {
        let mut sample = Sample { limit: self.limit, replicas: 1, ..Sample::default() };
        self.memory(t, &mut sample);
        sample.network = self.network * self.rng.between(0.7, 1.3);
        if self.rng.chance(self.dropped) {
            sample.seen = Some(Seen::Dropped);
        }
        match self.kind {
            Kind::Builds => self.builds(t, &mut sample),
            Kind::Training => return self.training(t, sample),
            Kind::Notebook => self.notebook(t, &mut sample),
            Kind::Video => self.video(t, &mut sample),
            Kind::Worker => self.worker(&mut sample),
            Kind::Compaction | Kind::Backup => self.database(t, &mut sample),
            _ => self.service(t, &mut sample),
        }
        sample.cores = (sample.cores * (1.0 + 0.005 * self.rng.normal())).clamp(0.001, sample.limit * 1.005);
        Some(sample)
    }

    fn memory(&mut self, t: i64, sample: &mut Sample) {
        let wander = 1.0 + self.memory_noise * self.memories.next(&mut self.rng);
        // Garbage collection: up by a tenth, then down.
        let saw = self.sawtooth.map_or(0.0, |period| (t as f64 / period).fract() * 0.1);
        sample.memory_mib = self.memory * (wander + saw);
    }

    fn cycle(&self, t: i64) -> f64 {
        let day = (t as f64 / 1440.0 + self.phase).rem_euclid(7.0);
        let hour = day.fract();
        let curve = 0.62 + 0.38 * ((hour - 0.6) * std::f64::consts::TAU).cos();
        if day < 5.0 { curve } else { curve * self.weekend }
    }

    fn service(&mut self, t: i64, sample: &mut Sample) {
        let mut rate = self.peak * self.cycle(t) * (0.08 * self.requests.next(&mut self.rng)).exp();
        rate *= (1.0 + 0.03 * self.rng.normal()).max(0.1);
        rate = (rate + (rate / 60.0).sqrt() * self.rng.normal()).max(0.0);
        let mut heavier = 1.0;
        // A crowd or a load test now and then.
        let load_test = self.kind == Kind::LoadTest;
        if t >= self.next_run && self.kind != Kind::Loops {
            let length = self.rng.whole(20, if load_test { 60 } else { 120 });
            let level =
                self.rng.between(if load_test { 3.0 } else { 1.3 }, if load_test { 8.0 } else { 3.0 });
            self.run = Run {
                until: t + length,
                began: t,
                level,
                ragged: self.rng.between(0.8, 1.5),
                ..Run::default()
            };
            self.next_run = t + self.rng.whole(4000, 14_000);
        }
        if t < self.run.until && self.kind != Kind::Loops {
            let risen = ((t - self.run.began) as f64 / if load_test { 2.0 } else { 12.0 }).min(1.0);
            rate *= 1.0 + (self.run.level - 1.0) * risen;
            if load_test {
                heavier = self.run.ragged;
            }
        }
        self.rollouts(t, sample);
        let since = (t - self.rollout) as f64;
        let mut replicas = f64::from(self.replicas);
        if self.scales_out {
            replicas = (replicas * 1.5 * rate / self.peak).ceil().clamp(1.0, 12.0);
        }
        sample.replicas = replicas as u32;
        sample.limit = self.limit * replicas;
        sample.memory_mib *= replicas;
        let drift = 1.0 + 0.06 * ((t as f64 / 1440.0 + 3.0 * self.phase) * std::f64::consts::TAU).sin();
        let cost = self.cost * drift * (1.0 + 0.03 * self.costs.next(&mut self.rng)) * heavier;
        // Cold caches after a rollout.
        let cold = 1.0 + 0.3 * (-since / 15.0).exp() * f64::from(u8::from(since >= 0.0));
        let work = cost * rate * cold;
        let crowded = 1.0 + 0.15 * (work / sample.limit).min(1.0);
        sample.cores = self.rest * replicas + work * crowded * (1.0 + 0.03 * self.rng.normal());
        if self.kind == Kind::WebJit && since >= 0.0 {
            sample.cores += 0.8 * sample.limit * (-since / 4.0).exp();
        }
        self.chores(t, sample);
        if self.kind == Kind::Loops {
            self.loops(t, sample);
        }
        sample.requests = Some(rate);
        sample.network += rate * 8_000.0;
    }

    fn rollouts(&mut self, t: i64, sample: &mut Sample) {
        if t < self.next_rollout {
            return;
        }
        self.rollout = t;
        self.next_rollout = t + self.rng.whole(1500, 10_000);
        sample.image_changed = true;
        // A version may be dearer, or need a little more at rest.
        self.cost *= (0.12 * self.rng.normal()).exp() * if self.rng.chance(0.1) { 1.4 } else { 1.0 };
        self.cost = self.cost.min(0.9 * self.limit * f64::from(self.replicas) / self.peak);
        if self.rng.chance(0.05) {
            self.rest = (self.rest + self.rng.between(0.0, 0.05) * self.limit).min(0.15 * self.limit);
        }
        self.memory *= self.rng.between(0.9, 1.15);
        if self.rng.chance(0.05) {
            sample.seen = Some(Seen::Cron);
        }
    }

    /// Small work of the service itself, hourly and nightly.
    fn chores(&mut self, t: i64, sample: &mut Sample) {
        let ragged = self.ragged.next(&mut self.rng);
        if self.hourly.is_some_and(|at| (t - at).rem_euclid(60) < 5) {
            sample.cores += 0.3 * self.limit.min(2.0) * (1.0 + 0.1 * ragged);
        }
        let minute = t.rem_euclid(1440);
        if self.nightly.is_some_and(|hour| (hour * 60..hour * 60 + 50).contains(&minute)) {
            sample.cores += 0.4 * self.limit * (1.0 + 0.2 * ragged).max(0.0);
        }
    }

    /// A loop that never ends, until someone restarts it; others may join.
    fn loops(&mut self, t: i64, sample: &mut Sample) {
        if self.loops == 0.0 && t >= self.next_run {
            self.loops = 1.0;
            self.run.until = t + self.rng.whole(60, 1800);
            self.next_run = t + self.rng.whole(12_000, 20_000);
        }
        if self.loops > 0.0 {
            if t >= self.run.until {
                self.loops = 0.0;
                sample.restarts = sample.replicas;
            } else if self.rng.chance(0.0007) {
                self.loops += 1.0;
            }
        }
        sample.cores += self.loops * (1.0 + 0.003 * self.rng.normal());
    }

    fn builds(&mut self, t: i64, sample: &mut Sample) {
        let busy = if self.cycle(t) > 0.6 { 0.025 } else { 0.003 };
        if t >= self.run.until && self.rng.chance(busy) {
            self.run = Run {
                until: t + self.rng.whole(4, 40),
                began: t,
                level: self.rng.between(0.8, 1.05),
                ragged: self.rng.between(0.04, 0.12),
                memory: self.rng.between(300.0, 4000.0),
                network: 3e6,
                epoch: self.rng.whole(3, 25),
            };
            if self.rng.chance(0.3) {
                sample.seen = Some(self.rng.one(&[Seen::Dropped, Seen::Port]));
            }
        }
        let noise = self.ragged.next(&mut self.rng);
        sample.cores = 0.02 * self.limit;
        if t < self.run.until {
            let tests = t - self.run.began > self.run.epoch;
            let level = if tests {
                0.4 * (1.0 + 0.4 * noise)
            } else {
                self.run.level * (1.0 + self.run.ragged * noise)
            };
            sample.cores += self.limit * level.max(0.0);
            sample.memory_mib += self.run.memory * (0.6 + 0.2 * noise).max(0.1);
            sample.network += if t - self.run.began < 3 { self.run.network } else { 0.0 };
        }
    }

    fn train(&mut self, t: i64, sample: &mut Sample) {
        let noise = self.ragged.next(&mut self.rng);
        let into = t - self.run.began;
        let dip = into % self.run.epoch.max(2) < 2;
        let level = if dip { self.run.level * self.rng.between(0.2, 0.7) } else { self.run.level };
        sample.cores = self.limit * level * (1.0 + self.run.ragged * noise);
        sample.memory_mib += self.run.memory * (into as f64 / 4.0).min(1.0) * (1.0 + 0.02 * noise);
        sample.network += if into < 4 { 20e6 } else { 10_000.0 };
    }

    fn start_training(&mut self, t: i64) {
        self.run = Run {
            until: t + self.rng.whole(90, 720),
            began: t,
            level: self.rng.between(0.85, 1.0),
            ragged: self.rng.between(0.01, 0.05),
            memory: self.rng.between(800.0, 8000.0),
            network: 0.0,
            epoch: self.rng.whole(5, 40),
        };
        self.next_run = self.run.until + self.rng.whole(600, 4000);
    }

    fn training(&mut self, t: i64, mut sample: Sample) -> Option<Sample> {
        if t >= self.next_run {
            self.start_training(t);
        }
        if t >= self.run.until {
            return None;
        }
        self.train(t, &mut sample);
        Some(sample)
    }

    fn notebook(&mut self, t: i64, sample: &mut Sample) {
        if t >= self.next_run {
            self.start_training(t);
        }
        sample.cores = 0.02 * self.limit * (1.0 + 0.5 * self.rng.unit());
        if t < self.run.until {
            self.train(t, sample);
        } else if self.rng.chance(0.01) {
            sample.cores += self.limit * self.rng.between(0.1, 0.9);
        }
    }

    fn video(&mut self, t: i64, sample: &mut Sample) {
        if t >= self.run.until && self.rng.chance(0.03 * self.cycle(t)) {
            self.run = Run {
                until: t + self.rng.whole(5, 60),
                began: t,
                level: self.rng.between(0.85, 1.0),
                ragged: self.rng.between(0.03, 0.1),
                memory: self.rng.between(300.0, 900.0),
                network: self.rng.between(1e6, 1e7),
                epoch: 0,
            };
        }
        let noise = self.ragged.next(&mut self.rng);
        sample.cores = 0.02 * self.limit;
        if t < self.run.until {
            sample.cores += self.limit * self.run.level * (1.0 + self.run.ragged * noise);
            sample.memory_mib += self.run.memory * (1.0 + 0.03 * noise);
            sample.network += self.run.network;
        }
    }

    fn worker(&mut self, sample: &mut Sample) {
        let noise = self.ragged.next(&mut self.rng);
        let slow = self.requests.next(&mut self.rng);
        let busy = (self.peak / 600.0).min(0.3) * (0.5 * noise + 0.4 * slow).exp();
        sample.cores = self.limit * busy.min(0.9) + self.rest * 0.3;
        sample.network += sample.cores * 200_000.0;
    }

    fn database(&mut self, t: i64, sample: &mut Sample) {
        let rate = self.peak * self.cycle(t) * (0.1 * self.requests.next(&mut self.rng)).exp();
        let noise = self.ragged.next(&mut self.rng);
        sample.cores = self.rest + self.cost * 0.6 * rate * (1.0 + 0.04 * self.rng.normal());
        sample.requests = self.tied.then_some(rate);
        sample.network += rate * 5_000.0;
        if t == 3 && self.rng.chance(0.3) {
            sample.seen = Some(Seen::Pages);
        }
        let due = match self.kind {
            Kind::Backup => self.nightly.is_some_and(|hour| t.rem_euclid(1440) == hour * 60),
            _ => t >= self.run.until && self.rng.chance(4.0 / 1440.0),
        };
        if due {
            let single = self.rng.chance(0.6);
            let merging = self.kind == Kind::Compaction;
            self.run = Run {
                until: t + self.rng.whole(10, if merging { 150 } else { 90 }),
                began: t,
                level: if single { self.limit.min(0.98) } else { self.limit * self.rng.between(0.5, 0.95) },
                ragged: if single {
                    0.01
                } else if merging {
                    0.12
                } else {
                    0.03
                },
                memory: self.rng.between(30.0, if merging { 300.0 } else { 150.0 }),
                network: if !merging && self.rng.chance(0.7) { self.rng.between(5e6, 6e7) } else { 0.0 },
                epoch: 0,
            };
        }
        if t < self.run.until {
            sample.cores += self.run.level * (1.0 + self.run.ragged * noise);
            let churn = if self.kind == Kind::Compaction { 0.2 } else { 0.01 };
            sample.memory_mib += self.run.memory * (1.0 + churn * noise);
            sample.network += self.run.network;
        }
    }
}
