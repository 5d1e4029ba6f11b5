//! One workload: what it usually uses, whether it uses more now, and since when.
//!
//! A cumulative sum of the residual (Page's CUSUM, slack half a spread) says that there is more than usual, and when that
//! began. While it is high, nothing is learned, so that a miner never becomes normal. What turns out to be explained
//! (a dearer request, a ragged load) is learned after all, faster than usual; what stays a plateau without a reason is
//! frozen until it ends or an operator accepts it.

use beaconfire_model::EventTime;

use super::profile::Profile;
use super::regression::{Expected, Regression};
use super::shape::{DATASET_MIB, FirstSight, Ground, QUICK, SUSTAINED, Shape, enough};
use super::slice::{Folded, MINUTE_MILLIS};
use super::suspicion::{ShapeNow, Suspicion};
use super::window::{KEPT, Level, Minute, Window};

/// Slack and alarm line of the cumulative sum: with these, independent noise alarms once in 5.7e7 minutes (Siegmund).
const SLACK: f64 = 0.5;
const ALARM: f64 = 16.0;
/// The sum stops here, so that it comes down within half an hour of the end.
const SUM_MAX: f64 = 24.0;
/// One minute counts for at most so many spreads.
const STEP_MAX: f64 = 5.0;
/// Minutes before a workload's ways are known.
const LEARNING: u32 = 720;
/// Samples in which requests are held against CPU within the window itself; after these, all that was learned knows better.
const FIRST: u32 = 240;
/// Minutes in which an accepted workload is learned whatever it does.
const ACCEPTING: i64 = 360;
/// Samples after which all that is there has been seen to begin.
const WATCHED: u32 = 2880;
/// A plateau without memory to look at, in a workload without requests, is a ticket only after so many minutes.
const BLIND: i64 = 180;
/// What has lasted so long and is no plateau may be learned.
const RAGGED: i64 = 120;
/// Minutes after a rollout in which it may explain what is seen, and in which it still weakens it.
const ROLLOUT: i64 = 32;
const ROLLOUT_FADES: i64 = 120;

#[derive(Debug, Clone)]
pub(crate) struct Workload {
    folding: Option<Folded>,
    pub(crate) last_minute: i64,
    /// When samples began, or began again.
    born: i64,
    model: Regression,
    profile: Profile,
    window: Window,
    sum: f64,
    onset: i64,
    rolled_out: i64,
    /// How often in a row an hour's end found CPU at rest that nothing explains.
    resting: u32,
    /// Changes of memory within a minute, and within three.
    memory_steps: [Slow; 2],
    /// When memory last rose at once by as much as a dataset.
    step: Option<(i64, f64, f64)>,
    /// The lower third of network use.
    network: Option<f64>,
    /// What was usual when the excess began.
    before: Option<Before>,
    /// When the plateau began, and when it was last seen.
    plateau: Option<(i64, i64)>,
    thawed: bool,
    accepted: i64,
    limit: Option<f64>,
    tied: bool,
    pub(crate) replicas: f64,
    pub(crate) shape: Option<Shape>,
    pub(crate) first_sight: Option<FirstSight>,
    pub(crate) now: ShapeNow,
    pub(crate) suspicion: Suspicion,
    pub(crate) said: Option<super::Said>,
    pub(crate) answers: super::pairing::Pairing,
    pub(crate) spread_with: usize,
}

#[derive(Debug, Clone, Copy)]
struct Before {
    memory_minute: Option<f64>,
    roughness: f64,
    scale: f64,
    spread: f64,
}

/// A mean that forgets.
#[derive(Debug, Clone, Copy, Default)]
struct Slow {
    seen: f64,
    mean: f64,
}

impl Slow {
    fn learn(&mut self, value: f64, memory: f64) {
        self.seen = (self.seen + 1.0).min(memory);
        self.mean += (value - self.mean) / self.seen;
    }

    fn known(&self) -> Option<f64> {
        (self.seen >= 5.0).then_some(self.mean)
    }
}

impl Workload {
    pub(crate) fn new() -> Self {
        Self {
            folding: None,
            last_minute: i64::MIN / 2,
            born: 0,
            model: Regression::new(),
            profile: Profile::new(),
            window: Window::new(),
            sum: 0.0,
            onset: 0,
            rolled_out: i64::MIN / 2,
            resting: 0,
            memory_steps: [Slow::default(); 2],
            step: None,
            network: None,
            before: None,
            plateau: None,
            thawed: false,
            accepted: i64::MIN / 2,
            limit: None,
            tied: false,
            replicas: 1.0,
            shape: None,
            first_sight: None,
            now: ShapeNow::NONE,
            suspicion: Suspicion::default(),
            said: None,
            answers: super::pairing::Pairing::default(),
            spread_with: 0,
        }
    }

    /// Takes one slice; true when it closed a minute before it. A slice of a minute closes it at once.
    pub(crate) fn take(&mut self, slice: Folded, whole: bool) -> bool {
        let mut closed = false;
        match &mut self.folding {
            Some(open) if open.minute == slice.minute => open.join(&slice),
            open => {
                if let Some(full) = open.replace(slice) {
                    self.close(&full);
                    closed = true;
                }
            }
        }
        if whole && let Some(full) = self.folding.take() {
            self.close(&full);
            closed = true;
        }
        closed
    }

    /// Whether a slice of this minute comes too late to count.
    pub(crate) fn is_late(&self, minute: i64) -> bool {
        minute <= self.last_minute || self.folding.is_some_and(|open| minute < open.minute)
    }

    fn close(&mut self, at: &Folded) {
        let gap = at.minute - self.last_minute;
        if gap > 5 {
            self.window.clear();
            self.end_excess(at.minute);
        }
        if gap > 15 {
            self.born = at.minute;
        }
        self.last_minute = at.minute;
        self.limit = at.limit;
        self.tied = at.requests.is_some();
        self.replicas = at.replicas;
        if at.rolled_out {
            self.rolled_out = at.minute;
        }

        // Without a service, the workload's own day stands for the requests.
        let usual = self.profile.usual(at.minute);
        let input = at.requests.unwrap_or(usual);
        let limit = at.limit.unwrap_or(1.0);
        let expected = self.model.expect(input, limit);
        let excess = at.cores - expected.cores.min(at.limit.unwrap_or(f64::INFINITY));
        let z = excess / expected.spread;
        let known = self.model.seen() >= 60;
        self.add(if known { z } else { 0.0 }, at.minute, expected.spread);
        let memory = at.memory.map_or(0.0, |bytes| bytes / (1024.0 * 1024.0));
        self.window.push(Minute {
            cores: at.cores as f32,
            excess: excess as f32,
            requests: at.requests.unwrap_or(0.0) as f32,
            memory: memory as f32,
            network: at.network.unwrap_or(0.0) as f32,
            hot: known && z > 2.0,
        });
        self.watch_memory(at.minute);
        self.look(at.minute);
        if !self.now.holds && self.model.seen() > 60 {
            let last = Level::of(self.window.last(QUICK).map(|minute| minute.excess));
            self.profile.note(last.mean, limit);
        }
        if !self.frozen(at.minute) {
            self.learn(at, input, usual, &expected);
        }
    }

    /// Notes when memory rises at once by as much as a dataset.
    fn watch_memory(&mut self, minute: i64) {
        let mut memory = self.window.last(4).map(|minute| f64::from(minute.memory));
        let (Some(first), Some(last)) = (memory.next(), memory.last()) else {
            return;
        };
        let usual = self.memory_steps[1].known().unwrap_or(f64::INFINITY);
        let change = last - first;
        if change >= DATASET_MIB.max(4.0 * usual) {
            let larger = self.step.is_none_or(|(at, step, _)| minute - at > 10 || change > step);
            if larger {
                self.step = Some((minute, change, first));
            }
        }
    }

    /// One step of the cumulative sum, and what was before it rose.
    fn add(&mut self, z: f64, minute: i64, spread: f64) {
        self.sum = (self.sum + z.min(STEP_MAX) - SLACK).clamp(0.0, SUM_MAX);
        if self.sum < 3.0 {
            self.end_excess(minute);
        } else if self.before.is_none() {
            self.onset = minute;
            self.before = Some(Before {
                memory_minute: self.memory_steps[0].known(),
                roughness: self.model.roughness(),
                scale: self.model.scale(),
                spread,
            });
        }
    }

    fn end_excess(&mut self, minute: i64) {
        self.onset = minute;
        self.before = None;
        self.plateau = None;
        self.thawed = false;
        self.spread_with = 0;
    }

    fn learn(&mut self, at: &Folded, input: f64, usual: f64, expected: &Expected) {
        let limit = at.limit.unwrap_or(1.0);
        // At the limit more would have been used: that says nothing of what a request costs.
        let censored = at.limit.is_some_and(|limit| at.cores >= 0.93 * limit && expected.cores > at.cores);
        if !censored {
            self.model.learn(input, at.cores, limit);
        }
        // The day's profile learns robustly as well: one wild hour is not tomorrow's expectation.
        let known = self.model.seen() > 1440;
        let most = 3.0 * expected.spread;
        let cores = if known { at.cores.clamp(usual - most, usual + most) } else { at.cores };
        self.profile.learn(at.minute, cores);
        if let Some(network) = at.network {
            let low = self.network.get_or_insert(network);
            let step: f64 = if network < *low { -0.021 } else { 0.009 };
            *low *= step.exp();
            *low = low.max(1.0);
        }
        if at.memory.is_some() {
            for (slow, apart) in self.memory_steps.iter_mut().zip([1, 3]) {
                let memory = self.window.last(apart + 1).map(|minute| f64::from(minute.memory));
                if let (Some(first), Some(last)) = (memory.clone().next(), memory.last()) {
                    // A collection is not what usually happens within a minute.
                    let change = (last - first).abs();
                    let most = slow.known().map_or(f64::INFINITY, |usual| 4.0 * usual + 1.0);
                    slow.learn(change.min(most), 60.0);
                }
            }
        }
    }

    /// Whether nothing may be learned at this minute.
    fn frozen(&mut self, minute: i64) -> bool {
        if minute - self.accepted < ACCEPTING {
            return false;
        }
        if self.now.plateau || self.now.holds {
            self.thawed = false;
            return true;
        }
        if self.sum <= ALARM / 2.0 {
            return false;
        }
        if minute - self.onset > RAGGED && !self.thawed {
            self.thawed = true;
            self.model.doubt(3.0);
        }
        !self.thawed
    }

    /// An operator says that this is how the workload is.
    pub(crate) fn accept(&mut self, at: EventTime) {
        self.model.doubt(1000.0);
        self.sum = 0.0;
        self.accepted = at.millis().div_euclid(MINUTE_MILLIS);
        self.end_excess(self.accepted);
        self.suspicion.clear();
        self.now = ShapeNow::NONE;
        self.shape = None;
        self.first_sight = None;
        self.said = None;
    }

    fn scale(&self) -> f64 {
        self.limit.unwrap_or(1.0)
    }

    pub(crate) fn learning(&self) -> bool {
        self.model.seen() < LEARNING
    }

    pub(crate) fn onset(&self) -> EventTime {
        EventTime::from_millis(self.since() * MINUTE_MILLIS)
    }

    /// When the plateau began, or, before there is one, the excess.
    fn since(&self) -> i64 {
        self.plateau.map_or(self.onset, |(since, _)| since)
    }

    /// Whether a rollout stands within ten minutes of the beginning.
    pub(crate) fn rollout_near(&self) -> bool {
        (self.rolled_out - self.since()).abs() <= 10
    }

    /// Judges the last minutes.
    fn look(&mut self, minute: i64) {
        self.shape = None;
        self.first_sight = None;
        self.now = ShapeNow::NONE;
        if minute - self.accepted < ACCEPTING {
            return;
        }
        if let Some(before) = self.before.filter(|_| self.sum > ALARM / 2.0) {
            let ground = Ground {
                lasted: usize::try_from(minute - self.onset + 1).unwrap_or(0),
                limit: self.limit,
                roughness: before.roughness,
                scale: before.scale,
                spread: before.spread,
                // With a dataset, half of the alarm will do.
                alarm: self.sum >= ALARM || self.step.is_some_and(|(at, ..)| minute - at <= 40),
                rolled_out: minute - self.rolled_out,
                tied: self.tied,
                memory_minute: before.memory_minute,
                step: self.step.map(|(at, step, from)| (minute - at, step, from)),
                rest: self.model.rest(self.scale()).cores.max(0.0),
                plateau: self
                    .plateau
                    .filter(|(_, last)| minute - last <= 15)
                    .map(|(since, _)| minute - since),
                network_at_rest: self.network,
            };
            let shape = Shape::of(&self.window, &ground);
            self.trace(&shape, minute);
            self.now = self.weigh(&shape, minute);
            self.shape = Some(shape);
        }
        let last = Level::of(self.window.last(5).map(|minute| minute.excess)).mean;
        if self.before.is_some() && self.shape.is_none() && last >= 0.5 * enough(self.limit) {
            // Too early to tell a shape, and early enough beside evidence that names mining.
            self.now = ShapeNow { points: 2.0, excess: true, ..ShapeNow::NONE };
        }
        if self.now == ShapeNow::NONE {
            self.look_first(minute);
        }
    }

    /// Remembers when the plateau began: it may outlast the window, and a ragged minute does not end it.
    fn trace(&mut self, shape: &Shape, minute: i64) {
        if shape.is_plateau() {
            let since = minute - i64::try_from(shape.since).unwrap_or(0);
            let first =
                self.plateau.filter(|(_, last)| minute - last <= 15).map_or(since, |(first, _)| first);
            self.plateau = Some((first.min(since), minute));
        }
    }

    fn weigh(&self, shape: &Shape, minute: i64) -> ShapeNow {
        let high = self.profile.share_above(0.85 * shape.excess, self.scale());
        // Work of its own seldom begins with a dataset that then stands still: it must do so often to be its own.
        let mined = shape.dataset.is_some() && shape.quiet;
        let often = if mined {
            0.05
        } else if self.tied {
            0.04
        } else {
            0.01
        };
        let customary = high >= often;
        // What a job does from its first minute on is its work, not a change.
        let own = !self.tied && self.since() - self.born <= 10;
        let last = Level::of(self.window.last(5).map(|minute| minute.excess)).mean;
        let explained = shape.dearer.is_some() || shape.rose;
        let excess = last >= 0.5 * enough(self.limit) && !explained;
        if !shape.is_plateau() || !shape.unexplained || customary || own {
            let points = if excess { 2.0 } else { 0.0 };
            return ShapeNow { points, excess, ..ShapeNow::NONE };
        }
        let since_rollout = minute - self.rolled_out;
        let mut points = if shape.flat { 6.0 } else { 5.0 };
        points += f64::from(u8::from(shape.quiet));
        points += f64::from(u8::from(shape.dataset.is_some()));
        points += f64::from(u8::from(shape.decoupled));
        points += f64::from(u8::from(self.profile.off_hours(minute)));
        points += if self.spread_with >= 3 { 3.0 } else { 0.0 };
        let fresh = self.rollout_near() && (since_rollout < ROLLOUT || shape.bursts);
        if self.rollout_near() && since_rollout < ROLLOUT_FADES {
            points -= if fresh { 3.0 } else { 1.0 };
        }
        let worn = shape.bursts || shape.minutes >= SUSTAINED;
        let lasted = minute - self.since();
        // More than one thread at once, more than ever before, and no version to blame: who mines without a dataset.
        let unheard = self.tied
            && shape.flat
            && shape.excess >= (0.3 * self.scale()).max(1.15)
            && high < 0.0005
            && lasted <= 60
            && self.model.seen() >= WATCHED
            && since_rollout > ROLLOUT_FADES;
        // Without requests to compare with, what works on data looks the same but for the network.
        let told = (self.tied || shape.quiet)
            && (shape.dataset.is_some() || (!shape.memory_known && lasted >= BLIND));
        ShapeNow {
            points,
            excess: true,
            plateau: true,
            // A job's first minutes are as flat as a miner's.
            holds: told && !self.learning() && (self.tied || shape.minutes >= 16),
            ticket: points >= 6.0 && worn && (told || unheard) && !self.learning() && !fresh,
        }
    }

    /// What was there before we began to watch cannot be a change: requests must fail to explain it within the window,
    /// or, later, in all that was learned.
    fn look_first(&mut self, minute: i64) {
        let learning = self.model.seen() < FIRST;
        // Once an hour is often enough for what has been there all along.
        if self.window.len() < 5 || self.model.seen() > WATCHED || !learning && minute % 60 != 0 {
            return;
        }
        let sight = FirstSight::of(self.window.last(KEPT), self.limit);
        let rest = if learning {
            sight.rest.filter(|_| sight.minutes >= SUSTAINED)
        } else {
            let rest = self.model.rest(self.scale());
            Some(rest.cores - 3.0 * rest.spread).filter(|_| self.tied)
        };
        let share = if learning { 0.5 * sight.cores } else { 0.35 * self.scale() };
        let resting = rest.is_some_and(|cores| cores >= share.max(0.5) && sight.least >= 0.95 * cores);
        self.resting = if resting { self.resting.saturating_add(1) } else { 0 };
        // One core, neither more nor less, is a thread that spins.
        let spins = rest.is_some_and(|cores| (cores * self.replicas - 1.0).abs() < 0.15);
        if !(resting || sight.busy && learning) {
            return;
        }
        let sure = resting && self.resting >= if learning { 11 } else { 3 };
        self.now = ShapeNow {
            points: if sure { 6.0 } else { 2.0 },
            excess: sight.busy || sure,
            plateau: false,
            // What software shows as it starts is no reason to wake anybody for a first sight.
            holds: sure && !spins && !sight.moves_data && !learning,
            ticket: sure && !spins && !sight.moves_data,
        };
        self.first_sight = Some(FirstSight { rest: rest.filter(|_| sure), ..sight });
    }
}
