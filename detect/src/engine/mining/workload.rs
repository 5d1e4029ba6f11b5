//! One workload: what it usually uses, whether it uses more now, and since when.
//!
//! A cumulative sum of the residual (Page's CUSUM, slack half a spread) says that there is more than usual, and when that
//! began. While it is high, nothing is learned, so that a miner never becomes normal. What turns out to be explained
//! (a dearer request, a ragged load) is learned after all, faster than usual; what stays a plateau without a reason is
//! frozen until it ends or an operator accepts it.

mod creep;
mod judge;
mod learn;
mod snapshot;

use beaconfire_model::EventTime;

use super::first_sight::FirstSight;
use super::profile::Profile;
use super::regression::Regression;
use super::shape::{DATASET_MIB, QUICK, Shape};
use super::slice::{Folded, MINUTE_MILLIS};
use super::suspicion::{ShapeNow, Suspicion};
use super::window::{Level, Minute, Window};

/// Slack and alarm line of the cumulative sum: with these, independent noise alarms once in 5.7e7 minutes (Siegmund).
const SLACK: f64 = 0.5;
const ALARM: f64 = 16.0;
/// The sum stops here, so that it comes down within half an hour of the end.
const SUM_MAX: f64 = 24.0;
/// One minute counts for at most so many spreads.
const STEP_MAX: f64 = 5.0;
/// Minutes before a workload's ways are known.
const LEARNING: u32 = 720;
/// Samples that show what was there before we began to watch.
const DAWN: u32 = 60;
/// Minutes in which an accepted workload is learned whatever it does.
const ACCEPTING: i64 = 360;
/// Minutes in which a dataset that was made may belong to what is seen.
const STEPPED: i64 = 40;

#[derive(Debug, Clone)]
pub(crate) struct Workload {
    folding: Option<Folded>,
    pub(crate) last_minute: i64,
    /// When samples began, or began again.
    born: i64,
    /// The least that was used in the first hour.
    dawn: f64,
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
    /// The lower third of network use, and its upper tenth.
    network: Option<[f64; 2]>,
    /// The most memory of about a week, in MiB.
    peak: Option<f64>,
    /// What was usual when the excess began.
    before: Option<Before>,
    /// When the plateau began, when it was last seen, and how high.
    plateau: Option<(i64, i64, f64)>,
    /// When there was last more than is explained.
    exceeded: i64,
    /// The last shape that held.
    pub(crate) held: Option<Held>,
    thawed: bool,
    accepted: i64,
    limit: Option<f64>,
    tied: bool,
    pub(crate) replicas: f64,
    pub(crate) shape: Option<Shape>,
    pub(crate) first_sight: Option<FirstSight>,
    /// What was there before us, beyond doubt: cores that are never left since.
    resident: Option<f64>,
    creep: creep::Creep,
    pub(crate) now: ShapeNow,
    pub(crate) suspicion: Suspicion,
    pub(crate) said: Option<super::Said>,
    pub(crate) answers: super::pairing::Pairing,
    pub(crate) spread_with: usize,
    /// The beginning that was last noted for seeing that it spreads.
    pub(crate) noted: Option<EventTime>,
    /// Deeds before this time were judged before a restart.
    pub(crate) judged: EventTime,
    /// The first minute that changed it since it was last stored.
    pub(crate) unsaved: Option<i64>,
}

const MIB: f64 = 1024.0 * 1024.0;
/// The minute of what has not happened yet.
const NEVER: i64 = i64::MIN / 2;

#[derive(Debug, Clone, Copy, Default)]
struct Before {
    memory_minute: Option<f64>,
    peak: Option<f64>,
    roughness: f64,
    scale: f64,
    spread: f64,
    /// There was work of its own at this hour before.
    worked: bool,
}

/// A shape that held: an indicator is not always seen while the CPU is used.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Held {
    since: i64,
    last: i64,
    points: f64,
    shape: Shape,
}

impl Held {
    /// How many minutes ago.
    pub(crate) fn ago(&self, minute: i64) -> i64 {
        minute - self.last
    }
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

    /// The same of a median, for what must not be led astray by some hours of work: half of what comes is above it.
    fn learn_median(&mut self, value: f64, memory: f64) {
        self.seen = (self.seen + 1.0).min(memory);
        if self.seen <= 10.0 {
            self.mean += (value - self.mean) / self.seen;
        } else {
            let step = 2.0 / self.seen;
            self.mean = (self.mean * if value > self.mean { step.exp() } else { (-step).exp() }).max(0.01);
        }
    }

    fn known(&self) -> Option<f64> {
        (self.seen >= 5.0).then_some(self.mean)
    }
}

impl Workload {
    pub(crate) fn new() -> Self {
        Self {
            folding: None,
            last_minute: NEVER,
            born: 0,
            dawn: f64::INFINITY,
            model: Regression::new(),
            profile: Profile::new(),
            window: Window::new(),
            sum: 0.0,
            onset: 0,
            rolled_out: NEVER,
            resting: 0,
            memory_steps: [Slow::default(); 2],
            step: None,
            network: None,
            peak: None,
            before: None,
            plateau: None,
            exceeded: NEVER,
            held: None,
            thawed: false,
            accepted: NEVER,
            limit: None,
            tied: false,
            replicas: 1.0,
            shape: None,
            first_sight: None,
            resident: None,
            creep: creep::Creep::default(),
            now: ShapeNow::NONE,
            suspicion: Suspicion::default(),
            said: None,
            answers: super::pairing::Pairing::default(),
            spread_with: 0,
            noted: None,
            judged: EventTime::MIN,
            unsaved: None,
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

    /// The last minute that is in it.
    pub(crate) fn closed_through(&self) -> Option<EventTime> {
        (self.last_minute != NEVER).then(|| EventTime::from_millis(self.last_minute * MINUTE_MILLIS))
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
        if self.model.seen() < DAWN {
            self.dawn = self.dawn.min(at.cores);
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
        let memory = at.memory.map_or(0.0, |bytes| bytes / MIB);
        self.window.push(Minute {
            cores: at.cores as f32,
            excess: excess as f32,
            requests: at.requests.unwrap_or(0.0) as f32,
            memory: memory as f32,
            network: at.network.unwrap_or(0.0) as f32,
            hot: known && z > 2.0,
        });
        self.watch_memory(at.minute);
        self.add(if known { z } else { 0.0 }, at.minute, expected.spread);
        self.look(at.minute);
        if !self.now.holds && self.model.seen() > 60 {
            let last = Level::of(self.window.last(QUICK).map(|minute| minute.excess));
            self.profile.note(at.minute, last.mean, limit);
        }
        if !self.frozen(at.minute) {
            self.learn(at, input, usual, &expected);
        }
    }

    /// Notes when memory rises at once by as much as a dataset.
    fn watch_memory(&mut self, minute: i64) {
        let memory = self.window.last(4).map(|minute| f64::from(minute.memory));
        let Some(first) = memory.clone().next() else {
            return;
        };
        let usual = self.memory_steps[1].known().unwrap_or(f64::INFINITY);
        // What a collection gives back meanwhile does not hide it.
        let change: f64 = memory.clone().zip(memory.skip(1)).map(|(a, b)| (b - a).max(0.0)).sum();
        if change - 0.5 * usual >= DATASET_MIB.max(3.5 * usual) {
            let larger = self.step.is_none_or(|(at, step, _)| minute - at > 10 || change > step);
            if larger {
                self.step = Some((minute, change, first));
            }
        }
    }

    /// One step of the cumulative sum, and what was before it rose.
    fn add(&mut self, z: f64, minute: i64, spread: f64) {
        self.sum = (self.sum + z.min(STEP_MAX) - SLACK).clamp(0.0, SUM_MAX);
        if self.sum < 3.0 && !self.stepped(minute) {
            self.end_excess(minute);
        } else if self.before.is_none() {
            self.onset = minute;
            self.before = Some(Before {
                memory_minute: self.memory_steps[0].known(),
                peak: self.peak.filter(|_| !self.learning()),
                roughness: self.model.roughness(),
                scale: self.model.scale(),
                spread,
                worked: self.profile.worked(minute, self.scale()),
            });
        }
    }

    /// Whether memory rose by a dataset lately.
    fn stepped(&self, minute: i64) -> bool {
        self.step.is_some_and(|(at, ..)| minute - at <= STEPPED)
    }

    fn end_excess(&mut self, minute: i64) {
        self.onset = minute;
        self.before = None;
        self.plateau = None;
        self.thawed = false;
        self.spread_with = 0;
    }

    /// An operator says that this is how the workload is; the minute from which on it is.
    pub(crate) fn accept(&mut self, at: EventTime) -> i64 {
        self.model.doubt(1000.0);
        self.sum = 0.0;
        // After a restart nothing may have been read yet that would tell the time.
        self.accepted = at.millis().div_euclid(MINUTE_MILLIS).max(self.last_minute.saturating_add(1));
        self.end_excess(self.accepted);
        self.suspicion.clear();
        self.now = ShapeNow::NONE;
        self.shape = None;
        self.first_sight = None;
        self.resident = None;
        self.creep = creep::Creep::default();
        self.held = None;
        self.exceeded = NEVER;
        self.said = None;
        self.accepted
    }

    fn scale(&self) -> f64 {
        self.limit.unwrap_or(1.0)
    }

    pub(crate) fn learning(&self) -> bool {
        self.model.seen() < LEARNING
    }

    pub(crate) fn onset(&self) -> EventTime {
        let held = self.held.filter(|_| self.now.recent).map(|held| held.since);
        EventTime::from_millis(held.unwrap_or(self.since()).saturating_mul(MINUTE_MILLIS))
    }

    /// When the plateau began, or, before there is one, the excess.
    fn since(&self) -> i64 {
        self.plateau.map_or(self.onset, |(since, ..)| since)
    }

    /// Whether a rollout stands within ten minutes of the beginning.
    pub(crate) fn rollout_near(&self) -> bool {
        (self.rolled_out - self.since()).abs() <= 10
    }
}
