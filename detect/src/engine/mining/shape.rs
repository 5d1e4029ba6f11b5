//! What the CPU of a workload looks like beside what its requests explain: the evidence of class 10.
//!
//! A plateau proves nothing by itself, for training, loops and transcoding make one too. So each property is judged
//! apart and named in words, and what they are worth together is a ticket at most.

use super::regression::base;
use super::window::{Level, Minute, Slope, Window, evenness};

/// Minutes for the first, quick look, which only counts beside an indicator.
pub(crate) const QUICK: usize = 8;
/// Minutes before a shape alone is worth a ticket: JIT warm-up, builds and cold caches are over by then.
pub(crate) const SUSTAINED: usize = 25;
/// What the smallest dataset of RandomX takes in light mode is 256 MiB; a little less for what the rest gives back.
const DATASET_MIB: f64 = 200.0;

/// What is known beside the window.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ground {
    /// Minutes since the excess began.
    pub(crate) lasted: usize,
    pub(crate) limit: Option<f64>,
    /// What the residual varies by from minute to minute, relative to [`base`].
    pub(crate) roughness: f64,
    /// One standard deviation of the residual, widened for its own memory.
    pub(crate) spread: f64,
    pub(crate) alarm: bool,
    /// Requests a second before it began; `None` where no service is tied.
    pub(crate) requests_before: Option<f64>,
    /// By how many MiB memory usually changes within a minute and within three.
    pub(crate) memory_steps: Option<[f64; 2]>,
    /// The step that was found before, which may have left the window.
    pub(crate) dataset: Option<f64>,
    pub(crate) network_before: Option<f64>,
    pub(crate) network_now: Option<f64>,
}

/// What the look found.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Shape {
    /// Minutes looked at.
    pub(crate) minutes: usize,
    pub(crate) cores: f64,
    pub(crate) excess: f64,
    pub(crate) variation: f64,
    /// A plateau: of the whole near the limit, or of the excess at any height.
    pub(crate) flat: bool,
    /// On and off, always at the same height.
    pub(crate) bursts: bool,
    /// Enough of it, and neither requests nor a dearer request explain it.
    pub(crate) unexplained: bool,
    /// A request has become dearer by this many cores per request a second, which explains it.
    pub(crate) dearer: Option<f64>,
    /// Requests rose with it.
    pub(crate) rose: bool,
    /// Memory is as calm as before, but for one step, and the network has not risen.
    pub(crate) quiet: bool,
    /// Memory rose once, by a dataset, in MiB.
    pub(crate) dataset: Option<f64>,
    pub(crate) memory_known: bool,
    /// As many cores as whole spinning threads use, and no dataset: more likely a loop.
    pub(crate) threads: Option<u32>,
    /// CPU no longer follows requests.
    pub(crate) decoupled: bool,
}

/// The least excess that is looked at, in cores.
pub(crate) fn enough(limit: Option<f64>) -> f64 {
    limit.map_or(0.3, |limit| 0.12 * limit).max(0.15)
}

impl Ground {
    /// What is left of the residual on a plateau above `expected` cores: its roughness, and the slow wandering of what a
    /// request costs.
    fn noise(&self, expected: f64) -> f64 {
        let expected = expected.max(0.0);
        1.6 * self.roughness * base(expected, self.limit.unwrap_or(1.0)) + 0.02 * expected
    }
}

fn even(excess: Level, noise: f64) -> bool {
    excess.deviation.powi(2) <= (0.04 * excess.mean).powi(2) + noise * noise
}

impl Shape {
    pub(crate) fn of(window: &Window, ground: &Ground) -> Self {
        // The minute it began in is half a minute.
        let n = ground.lasted.saturating_sub(1).min(window.len()).min(SUSTAINED + 5);
        let minutes = window.last(n);
        let cores = Level::of(minutes.clone().map(|minute| minute.cores));
        let excess = Level::of(minutes.clone().map(|minute| minute.excess));
        let mut shape = Self { minutes: n, cores: cores.mean, excess: excess.mean, ..Self::default() };
        if n < QUICK {
            return shape;
        }
        let enough = enough(ground.limit);
        let near_limit = ground.limit.is_some_and(|limit| cores.mean >= 0.8 * limit)
            && cores.variation() <= 0.05
            && cores.drift.abs() <= 0.06 * cores.mean
            && evenness(minutes.clone().map(|minute| minute.cores)) >= 0.85;
        // The second branch: the excess varies by no more than 4 % beside the noise that was there before.
        let noise = ground.noise(cores.mean - excess.mean);
        let steady = even(excess, noise) && excess.drift.abs() <= 0.1 * excess.mean + 2.0 * noise;
        shape.flat = excess.mean >= enough && (near_limit || steady);
        shape.variation =
            if near_limit { cores.variation() } else { excess.deviation / excess.mean.max(1e-9) };
        if !shape.flat {
            shape.look_for_bursts(window, ground, enough);
        }

        let slope = Slope::of(minutes.clone().map(|minute| (minute.requests, minute.excess)));
        if let Some(before) = ground.requests_before {
            let share = slope.slope * slope.mean_x / shape.excess.max(1e-9);
            let dearer = share > 0.5 && slope.slope > 2.0 * slope.error;
            shape.dearer = dearer.then_some(slope.slope);
            let explained = shape.cores - shape.excess;
            shape.rose = slope.mean_x > 1.5 * before + 0.1 && shape.excess < explained;
            let total = Slope::of(minutes.clone().map(|minute| (minute.requests, minute.cores)));
            shape.decoupled = n >= SUSTAINED && total.correlation < 0.3 && slope.mean_x > 0.0;
        }
        shape.unexplained = ground.alarm
            && shape.excess >= enough.max(2.0 * ground.spread)
            && shape.dearer.is_none()
            && !shape.rose;
        shape.look_at_memory(window, ground, n);
        shape.look_for_threads(ground, n);
        shape
    }

    /// Runs of excess at one height with returns to the usual between them.
    fn look_for_bursts(&mut self, window: &Window, ground: &Ground, enough: f64) {
        let n = ground.lasted.min(window.len());
        let minutes = window.last(n);
        let (mut runs, mut previous) = (0, false);
        for minute in minutes.clone() {
            runs += usize::from(minute.hot && !previous);
            previous = minute.hot;
        }
        // Only minutes between hot ones: the first and the last of a run are parts of a minute.
        let inner = minutes
            .clone()
            .zip(minutes.clone().skip(1))
            .zip(minutes.clone().skip(2))
            .filter(|((a, b), c)| a.hot && b.hot && c.hot)
            .map(|((_, b), _)| b);
        let hot = inner.clone().count();
        if runs < 3 || hot < QUICK || hot * 5 < n {
            return;
        }
        let excess = Level::of(inner.clone().map(|minute| minute.excess));
        let cores = Level::of(inner.map(|minute| minute.cores));
        let noise = ground.noise(cores.mean - excess.mean);
        let pinned = ground.limit.is_some_and(|limit| cores.mean >= 0.8 * limit) && cores.variation() <= 0.05;
        if excess.mean >= enough.max(4.0 * noise) && (even(excess, noise) || pinned) {
            self.bursts = true;
            self.excess = excess.mean;
            self.cores = cores.mean;
            self.variation = if pinned { cores.variation() } else { excess.deviation / excess.mean };
            self.minutes = hot;
        }
    }

    fn look_at_memory(&mut self, window: &Window, ground: &Ground, n: usize) {
        let network = match (ground.network_before, ground.network_now) {
            (Some(before), Some(now)) => now <= 1.5 * before + 20_000.0,
            _ => true,
        };
        let Some([minute, three]) = ground.memory_steps else {
            self.quiet = network;
            return;
        };
        self.memory_known = true;
        let step = ground.dataset.or_else(|| {
            // The excess may be noticed some minutes after it began.
            let around = window.last(ground.lasted + 8).map(|minute| minute.memory);
            let steps = around.clone().zip(around.skip(3)).take(14).map(|(from, to)| f64::from(to - from));
            let step = steps.fold(0.0, f64::max);
            (step >= DATASET_MIB.max(4.0 * three)).then_some(step)
        });
        // A dataset stands still once it is made; data that is worked on does not.
        let settled = window.last(n.saturating_sub(4).max(3)).map(|minute| minute.memory);
        let count = settled.clone().count().saturating_sub(1).max(1) as f64;
        let changes = settled.clone().zip(settled.skip(1)).map(|(a, b)| f64::from((b - a).abs()));
        let calm = changes.sum::<f64>() / count <= 1.6 * minute + (0.01 * step.unwrap_or(0.0)).max(1.0);
        self.quiet = calm && network;
        self.dataset = step.filter(|_| calm);
    }

    /// A loop that never ends keeps a thread at exactly one core and needs no memory for it. One thread, or several
    /// that began one after another; a miner starts all of its threads at once.
    fn look_for_threads(&mut self, ground: &Ground, n: usize) {
        if self.dataset.is_some() || !self.memory_known {
            return;
        }
        let error = ground.spread / (n as f64).sqrt();
        let whole = self.excess.round();
        let pinned = ground.limit.is_some_and(|limit| self.cores >= 0.97 * limit);
        // At a limit of one core or two, the limit hides how many threads there are.
        let at_limit = pinned && ground.limit.is_some_and(|limit| limit <= 1.05);
        let one = whole == 1.0 && (self.excess - whole).abs() <= 0.05_f64.max(2.0 * error);
        self.threads = (one || at_limit).then_some(1);
    }
}

/// Before a workload's ways are known: whether requests explain the CPU within the window itself.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct FirstSight {
    pub(crate) minutes: usize,
    pub(crate) cores: f64,
    pub(crate) variation: f64,
    /// Near the limit, or half a core and more.
    pub(crate) busy: bool,
    /// Cores that the line through (requests, CPU) leaves at no requests, less four standard errors: it is looked at
    /// every minute.
    pub(crate) rest: Option<f64>,
}

impl FirstSight {
    pub(crate) fn of(minutes: impl Iterator<Item = Minute> + Clone, limit: Option<f64>) -> Self {
        let cores = Level::of(minutes.clone().map(|minute| minute.cores));
        let busy = limit.map_or(cores.mean >= 0.5, |limit| cores.mean >= 0.4 * limit) && cores.mean >= 0.3;
        let line = Slope::of(minutes.clone().map(|minute| (minute.requests, minute.cores)));
        let rest = (line.mean_x > 0.0 && line.error.is_finite())
            .then(|| cores.mean - line.mean_x * (line.slope.max(0.0) + 4.0 * line.error));
        Self { minutes: minutes.count(), cores: cores.mean, variation: cores.variation(), busy, rest }
    }
}
