//! What the CPU of a workload looks like beside what its requests explain: the evidence of class 10.
//!
//! A plateau proves nothing by itself, for training, loops and transcoding make one too. So each property is judged
//! apart and named in words, and what they are worth together is a ticket at most.

use super::regression::base;
use super::window::{Level, Minute, Slope, Window, evenness, lower, median, unsteadiness, upper};

/// Minutes for the first, quick look, which only counts beside an indicator.
pub(crate) const QUICK: usize = 8;
/// Minutes that will do for that beside a dataset made in them: a burst may be no longer.
const BRIEF: usize = 4;
/// Minutes before a shape alone is worth a ticket: JIT warm-up, builds and cold caches are over by then.
pub(crate) const SUSTAINED: usize = 25;
/// Minutes inside bursts that show their height.
const BURST_MINUTES: usize = 6;
/// What the smallest dataset of RandomX takes in light mode is 256 MiB; a little less for what the rest
/// gives back meanwhile.
pub(crate) const DATASET_MIB: f64 = 240.0;
/// And the whole dataset of its fast mode, 2080 MiB.
const FULL_MIB: f64 = 1900.0;

/// What is known beside the window.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ground {
    /// Minutes since the excess began.
    pub(crate) lasted: usize,
    pub(crate) limit: Option<f64>,
    /// What the residual varied by before, relative to [`base`]: from minute to minute, and altogether.
    pub(crate) roughness: f64,
    pub(crate) scale: f64,
    /// One standard deviation of the residual, widened for its own memory.
    pub(crate) spread: f64,
    pub(crate) alarm: bool,
    /// When the last rollout was, in minutes before now.
    pub(crate) rolled_out: i64,
    /// A service is tied to it.
    pub(crate) tied: bool,
    /// By how many MiB memory usually changes within a minute.
    pub(crate) memory_minute: Option<f64>,
    /// The last time memory rose at once by as much as a dataset: minutes before now, by how many MiB, and from how many.
    pub(crate) step: Option<(i64, f64, f64)>,
    /// Cores that are expected without requests.
    pub(crate) rest: f64,
    /// Minutes since a plateau that still lasts was first seen.
    pub(crate) plateau: Option<i64>,
    /// The lower third of network use, and its upper tenth.
    pub(crate) network: Option<[f64; 2]>,
}

/// What the look found.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Shape {
    /// Minutes looked at, and how long ago they began.
    pub(crate) minutes: usize,
    pub(crate) since: usize,
    pub(crate) cores: f64,
    pub(crate) excess: f64,
    pub(crate) variation: f64,
    /// A plateau: of the whole near the limit, or of the excess at any height.
    pub(crate) flat: bool,
    /// On and off, always at the same height.
    pub(crate) bursts: bool,
    /// Ragged, but in nearly every minute, since a dataset was made.
    pub(crate) lasting: bool,
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
    /// What is left of the residual on a plateau above `expected` cores: what it varied by before, and the slow wandering
    /// of what a request costs.
    fn noise(&self, expected: f64) -> f64 {
        let expected = expected.max(0.0);
        let varied = (1.6 * self.roughness).max(self.scale);
        varied * base(expected, self.limit.unwrap_or(1.0)) + 0.02 * expected
    }

    /// Whether a rollout stands within ten minutes of what began `minutes` ago.
    pub(crate) fn rollout_near(&self, minutes: usize) -> bool {
        (self.rolled_out - i64::try_from(minutes).unwrap_or(i64::MAX)).abs() <= 10
    }
}

/// The mean over up to eight minutes that ended two minutes before the last `since`.
fn before(window: &Window, since: usize, what: impl Fn(&Minute) -> f32) -> Option<f64> {
    let count = window.len().saturating_sub(since + 2).min(QUICK);
    let minutes = window.last(since + 2 + count).take(count);
    (count >= 3).then(|| Level::of(minutes.map(|minute| what(&minute))).mean)
}

fn even(excess: Level, noise: f64) -> bool {
    excess.deviation.powi(2) <= (0.04 * excess.mean).powi(2) + noise * noise
}

/// Minutes after a rollout in which a request that has become dearer is the first thing to think of.
const VERSION: i64 = 180;

/// Lengths that are tried, longest first: the excess may have begun before the plateau, as something else.
const LENGTHS: [usize; 7] = [SUSTAINED + 5, SUSTAINED, 20, 16, 12, 10, QUICK];

impl Shape {
    /// Whether it is one of the shapes that miners make.
    pub(crate) fn is_plateau(&self) -> bool {
        self.flat || self.bursts || self.lasting
    }

    pub(crate) fn of(window: &Window, ground: &Ground) -> Self {
        // The minute it began in is half a minute.
        let most = ground.lasted.saturating_sub(1).min(window.len());
        let mut shape = Self::default();
        for n in LENGTHS.into_iter().filter(|n| *n <= most) {
            shape = Self::plateau(window, ground, n);
            if shape.flat {
                break;
            }
        }
        if most < QUICK {
            let mut shape = Self::plateau(window, ground, most);
            if shape.flat {
                shape.look_at_requests(window, ground);
                shape.look_at_memory(window, ground);
                shape.flat = shape.quiet && shape.dataset.is_some();
            }
            return shape;
        }
        if !shape.flat {
            shape.look_for_bursts(window, ground);
        }
        if !shape.is_plateau() {
            shape.look_for_lasting(window, ground, most.min(SUSTAINED));
        }
        shape.look_at_requests(window, ground);
        shape.look_at_memory(window, ground);
        shape.look_for_threads(ground);
        shape
    }

    /// Whether the last `n` minutes are a plateau.
    fn plateau(window: &Window, ground: &Ground, n: usize) -> Self {
        let minutes = window.last(n);
        let cores = Level::of(minutes.clone().map(|minute| minute.cores));
        let excess = Level::of(minutes.clone().map(|minute| minute.excess));
        // A new version may be a little dearer; and what is not well above the noise cannot be seen to be flat.
        let (enough, clear) = if ground.rollout_near(n) {
            (2.0 * enough(ground.limit), 8.0)
        } else {
            (enough(ground.limit), 3.0)
        };
        let near_limit = ground.limit.is_some_and(|limit| cores.mean >= 0.8 * limit)
            && cores.variation() <= 0.05
            && cores.drift.abs() <= 0.06 * cores.mean
            && evenness(minutes.map(|minute| minute.cores)) >= 0.85;
        // The second branch: the excess varies by no more than 4 % beside the noise that was there before.
        let noise = ground.noise(cores.mean - excess.mean);
        let steady = even(excess, noise)
            && excess.mean >= clear * noise
            && excess.drift.abs() <= 0.1 * excess.mean + 2.0 * noise;
        // The mean of many minutes is surer than that of few, but for what wanders slowly.
        let sure = (2.0 * (QUICK as f64 / n.max(1) as f64).sqrt()).clamp(1.2, 2.0);
        // What was ragged and now stands still is no chance, however wide it wandered before.
        let tame = near_limit && cores.variation() <= 0.02 && ground.roughness >= 0.06;
        // At the limit no more can be seen than the limit leaves; beside a dataset that will do.
        let reach = i64::try_from(n).unwrap_or(0) + 10;
        let mined = near_limit && ground.step.is_some_and(|(ago, ..)| ago <= reach);
        let (enough, sure) = match (tame, mined) {
            (true, _) => (enough, 0.6),
            // What stands still at the very limit beside it leaves nothing to see but that it stands still.
            (false, true) if cores.variation() <= 0.02 => (0.35 * enough, 0.6),
            (false, true) => (0.6 * enough, 1.0),
            (false, false) => (enough, sure),
        };
        let enough = excess.mean >= enough.max(sure * ground.spread);
        Self {
            minutes: n,
            since: n,
            cores: cores.mean,
            excess: excess.mean,
            variation: if near_limit { cores.variation() } else { excess.deviation / excess.mean.max(1e-9) },
            flat: n >= BRIEF && enough && (near_limit || steady),
            unexplained: ground.alarm && enough,
            ..Self::default()
        }
    }

    /// Excess in nine of ten minutes, ragged as the workload is: a shape only together with a dataset.
    fn look_for_lasting(&mut self, window: &Window, ground: &Ground, n: usize) {
        let mut long = Self::plateau(window, ground, n);
        let half = 0.5 * enough(ground.limit).max(long.excess);
        let above = window.last(n).filter(|minute| f64::from(minute.excess) >= half).count();
        let ragged = n >= SUSTAINED && long.variation <= 0.35 && above * 10 >= n * 9;
        // A floor under all that it does, from the minute in which the dataset was made: nothing that is ragged by itself
        // has one.
        let least = lower(window.last(n).map(|minute| minute.excess));
        let floor = n >= QUICK + 2 && least >= 0.5 * enough(ground.limit) && ground.step.is_some();
        let much = ground.alarm && long.excess >= enough(ground.limit).max(0.6 * ground.spread);
        long.unexplained |= floor && much;
        if long.unexplained && (ragged || floor) && ground.rolled_out > VERSION {
            long.look_at_memory(window, ground);
            long.lasting = long.quiet && long.dataset.is_some();
            if long.lasting {
                *self = long;
            }
        }
    }

    /// Whether requests rose with it, or became dearer, which both explain it.
    fn look_at_requests(&mut self, window: &Window, ground: &Ground) {
        if !ground.tied {
            return;
        }
        let minutes = window.last(self.since);
        let slope = Slope::of(minutes.clone().map(|minute| (minute.requests, minute.excess)));
        let share = slope.slope * slope.mean_x / self.excess.max(1e-9);
        self.dearer = ((self.flat || self.lasting) && share > 0.5 && slope.slope > 2.0 * slope.error)
            .then_some(slope.slope);
        // After a rollout the minutes must speak against a dearer request, not merely fail to speak for one.
        let version = ground.rolled_out <= VERSION && self.excess <= self.cores - self.excess - ground.rest;
        if version && slope.slope + 2.0 * slope.error > 0.5 * self.excess / slope.mean_x.max(1e-9) {
            self.dearer = Some(self.excess / slope.mean_x.max(1e-9));
        }
        if let Some(before) = before(window, self.since, |minute| minute.requests) {
            let explained = self.cores - self.excess;
            self.rose = slope.mean_x > 1.5 * before + 0.1 && self.excess < explained;
        }
        let total = Slope::of(minutes.map(|minute| (minute.requests, minute.cores)));
        self.decoupled = self.minutes >= SUSTAINED && total.correlation < 0.3 && slope.mean_x > 0.0;
        self.unexplained &= self.dearer.is_none() && !self.rose;
    }

    /// Runs of excess at one height with returns to the usual between them.
    fn look_for_bursts(&mut self, window: &Window, ground: &Ground) {
        let n = ground.lasted.min(window.len());
        // What is a burst is so beside the highest of them, not beside what was usual: they may come on top of other work.
        let high = 0.5 * upper(window.last(n).map(|minute| minute.excess));
        let minutes = window
            .last(n)
            .map(|minute| Minute { hot: minute.hot && f64::from(minute.excess) >= high, ..minute });
        let (mut runs, mut previous, mut first) = (0, false, None);
        for (i, minute) in minutes.clone().enumerate() {
            runs += usize::from(minute.hot && !previous);
            previous = minute.hot;
            if minute.hot {
                first.get_or_insert(n - i);
            }
        }
        // Only minutes between hot ones: the first and the last of a run are parts of a minute.
        let inner = minutes
            .clone()
            .zip(minutes.clone().skip(1))
            .zip(minutes.skip(2))
            .filter(|((a, b), c)| a.hot && b.hot && c.hot)
            .map(|((_, b), _)| b);
        let hot = inner.clone().count();
        if runs < 2 || hot < BURST_MINUTES || hot * 9 < n {
            return;
        }
        // Two short runs are chance, unless a dataset stays between them.
        let surely = runs >= 3 || hot >= 2 * BURST_MINUTES;
        let excess = Level::of(inner.clone().map(|minute| minute.excess));
        let cores = Level::of(inner.map(|minute| minute.cores));
        let noise = ground.noise(cores.mean - excess.mean);
        let pinned = ground.limit.is_some_and(|limit| cores.mean >= 0.8 * limit) && cores.variation() <= 0.05;
        if excess.mean >= enough(ground.limit).max(5.0 * noise) && (even(excess, noise) || pinned) {
            self.bursts = true;
            self.excess = excess.mean;
            self.cores = cores.mean;
            self.variation = if pinned { cores.variation() } else { excess.deviation / excess.mean };
            self.minutes = hot;
            self.since = first.unwrap_or(n);
            self.unexplained = ground.alarm;
            if !surely {
                let mut seen = *self;
                seen.look_at_memory(window, ground);
                self.bursts = seen.dataset.is_some() && seen.quiet;
            }
        }
    }

    fn look_at_memory(&mut self, window: &Window, ground: &Ground) {
        let now = Level::of(window.last(self.since).map(|minute| minute.network)).mean;
        let before = before(window, self.since, |minute| minute.network);
        // Where requests explain the network, it is compared with the minutes before; else with what it is at rest.
        let network = match ground.network.filter(|_| !ground.tied) {
            Some([rest, busy]) => now <= (2.0 * rest + 20_000.0).max(busy),
            None => before.is_none_or(|before| now <= 1.5 * before + 20_000.0),
        };
        let Some(minute) = ground.memory_minute else {
            self.quiet = network;
            return;
        };
        self.memory_known = true;
        let began = ground.plateau.unwrap_or(0).max(i64::try_from(self.since).unwrap_or(0));
        // A new version may take more memory as well: then the excess must be more than one is dearer by.
        let large = self.excess >= 0.3 * ground.limit.unwrap_or(f64::INFINITY);
        let least = window.last(self.since.saturating_sub(3).max(3)).map(|minute| minute.memory);
        let least = f64::from(least.fold(f32::INFINITY, f32::min));
        let step = ground
            .step
            .filter(|(ago, ..)| *ago <= began + 10 && *ago + 10 >= began)
            .filter(|(ago, ..)| large || (ground.rolled_out - ago).abs() > 10)
            // What is given back between bursts was work.
            .filter(|(_, step, from)| !self.bursts || least >= from + 0.5 * step)
            .map(|(_, step, _)| step);
        // A dataset stands still once it is made; data that is worked on does not. The median leaves collections out.
        let settled = window.last(self.since.saturating_sub(2).max(3)).map(|minute| minute.memory);
        let (changes, mean) = (median(unsteadiness(settled.clone())), Level::of(settled).mean);
        let calm = changes <= 1.9 * minute + 1.0 && changes <= if ground.tied { 0.006 } else { 0.003 } * mean;
        // Beside the largest of them, what else moves is small.
        let calm = calm || ground.tied && step.is_some_and(|step| step >= FULL_MIB && changes <= 0.02 * step);
        self.quiet = calm && network;
        self.dataset = step.filter(|_| calm);
    }

    /// A loop that never ends keeps a thread at exactly one core and needs no memory for it. One thread, or several
    /// that began one after another; a miner starts all of its threads at once.
    fn look_for_threads(&mut self, ground: &Ground) {
        if self.dataset.is_some() || !self.memory_known {
            return;
        }
        let error = ground.spread / (self.minutes.max(1) as f64).sqrt();
        let whole = self.excess.round();
        let pinned = ground.limit.is_some_and(|limit| self.cores >= 0.97 * limit);
        // At a limit of one core or two, the limit hides how many threads there are.
        let at_limit = pinned && ground.limit.is_some_and(|limit| limit <= 1.05);
        let one = whole == 1.0 && (self.excess - whole).abs() <= 0.05_f64.max(2.0 * error);
        self.threads = (one || at_limit).then_some(1);
    }
}
