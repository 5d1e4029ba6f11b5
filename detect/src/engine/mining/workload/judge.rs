//! What the last minutes of a workload look like, and what that is worth: [`Shape`] says what is there, this says what
//! it means for a workload with this past.

use super::super::first_sight::FirstSight;
use super::super::shape::{Ground, QUICK, SUSTAINED, Shape, enough};
use super::super::suspicion::ShapeNow;
use super::super::window::{KEPT, Level};
use super::{ACCEPTING, ALARM, Held, NEVER, Workload};

/// Samples in which requests are held against CPU within the window itself; after these, all that was learned knows better.
const FIRST: u32 = 240;
/// Samples after which all that is there has been seen to begin.
const WATCHED: u32 = 2880;
/// A plateau without memory to look at, in a workload without requests, is a ticket only after so many minutes.
const BLIND: i64 = 180;
/// Minutes after a rollout in which it may explain what is seen, and in which it still weakens it.
const ROLLOUT: i64 = 32;
const ROLLOUT_FADES: i64 = 120;
/// Minutes in which more than is explained still counts beside evidence that names mining.
const EXCEEDED: i64 = 20;
/// Minutes in which a shape that held still counts beside evidence.
const RECENT: i64 = 60;
/// Minutes in which the height of a plateau may become another.
const LEVEL_MEMORY: f64 = 60.0;
/// Minutes after which a plateau with a dataset is worth a ticket though it was interrupted.
const WORN: i64 = 32;
/// Minutes in a week, of which a profile has shares.
const WEEK: f64 = 10_080.0;
/// Minutes in which software starts.
const STARTING: i64 = 5;
/// Minutes that requests are held against CPU at first sight, and looks in a row that leave no doubt.
const SIGHT: usize = 12;
const SURE: u32 = 24;
/// Minutes of a plateau that count beside evidence in a workload without requests.
const UNTIED: usize = 10;

impl Workload {
    /// Judges the last minutes.
    pub(super) fn look(&mut self, minute: i64) {
        self.shape = None;
        self.first_sight = None;
        self.now = ShapeNow::NONE;
        if minute - self.accepted < ACCEPTING {
            return;
        }
        if let Some(before) = self.before.filter(|_| self.sum > ALARM / 2.0 || self.stepped(minute)) {
            let ground = Ground {
                lasted: usize::try_from(minute - self.began(minute) + 1).unwrap_or(0),
                limit: self.limit,
                roughness: before.roughness,
                scale: before.scale,
                spread: before.spread,
                // With a dataset, half of the alarm will do.
                alarm: self.sum >= ALARM || self.stepped(minute),
                rolled_out: minute - self.rolled_out,
                tied: self.tied,
                memory_minute: before.memory_minute,
                step: self.step.map(|(at, step, from)| (minute - at, step, from)),
                rest: self.model.rest(self.scale()).cores.max(0.0),
                plateau: self
                    .plateau
                    .filter(|(_, last, _)| minute - last <= 15)
                    .map(|(since, ..)| minute - since),
                network: self.network,
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
        self.look_back(minute);
        self.look_for_creep(minute);
    }

    /// What held within the last hour still counts beside evidence: who mines in bursts or at night is not always seen
    /// while it does.
    fn look_back(&mut self, minute: i64) {
        if self.now.excess {
            self.exceeded = minute;
        }
        self.now.excess = minute - self.exceeded <= EXCEEDED;
        if let Some(shape) = self.shape.filter(|_| self.now.holds) {
            self.held = Some(Held { since: self.since(), last: minute, points: self.now.points, shape });
            return;
        }
        self.held = self.held.filter(|held| held.ago(minute) <= RECENT);
        if let Some(held) = self.held {
            self.now.recent = true;
            self.now.points = self.now.points.max(held.points);
            self.shape = Some(held.shape);
            self.first_sight = None;
        }
    }

    /// When what is looked at began: with the excess, or with a dataset that was made within it.
    fn began(&self, minute: i64) -> i64 {
        let made = self.step.filter(|_| self.stepped(minute)).map_or(NEVER, |(at, ..)| at - 1);
        self.onset.max(made)
    }

    /// The least memory of the last minutes.
    fn memory(&self) -> f64 {
        f64::from(self.window.last(4).map(|minute| minute.memory).fold(f32::INFINITY, f32::min))
    }

    /// Remembers when the plateau began: it may outlast the window, and a ragged minute does not end it.
    fn trace(&mut self, shape: &Shape, minute: i64) {
        if shape.is_plateau() {
            let since = minute - i64::try_from(shape.since).unwrap_or(0);
            // Another level is another plateau.
            let same = |level: f64| shape.excess <= 1.3 * level;
            // And so is what came with a dataset on top of it.
            let dataset = self.step.filter(|(at, ..)| self.stepped(minute) && since + 2 >= *at);
            let more = |first: i64, level: f64| {
                dataset.is_some_and(|(at, ..)| at > first + 10)
                    && shape.excess >= level + 0.5 * enough(self.limit)
            };
            let held = self
                .plateau
                .filter(|(first, last, level)| minute - last <= 15 && same(*level) && !more(*first, *level));
            // At the limit, what is in excess is what requests leave: it wanders with them.
            let (first, level) = held.map_or((since, shape.excess), |(first, _, level)| {
                (first, level + (shape.excess - level) / LEVEL_MEMORY)
            });
            self.plateau = Some((first.min(since), minute, level));
        }
    }

    fn weigh(&self, shape: &Shape, minute: i64) -> ShapeNow {
        let high = self.profile.share_above(0.85 * shape.excess, self.scale());
        // Work of its own seldom begins with a dataset that then stands still: it must do so often to be its own.
        let mined = shape.dataset.is_some() && shape.quiet;
        // And hardly ever where that takes more memory than there ever was.
        let beyond = self.before.and_then(|before| before.peak).zip(shape.dataset);
        let beyond = beyond.is_some_and(|(peak, step)| self.memory() >= peak + 0.5 * step);
        let often = if mined && beyond {
            0.3
        } else if mined {
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
        let lasted = minute - self.since();
        // More than one thread at once, far more than ever before, and no version to blame: who mines without a dataset. A
        // job of every night is as high in some as it never was in others. Its own minutes are among what was noted.
        let ever = self.profile.share_above(0.4 * shape.excess, self.scale());
        let ever = ever - (lasted + 2) as f64 / WEEK;
        let unheard = self.tied
            && shape.flat
            && shape.excess >= (0.3 * self.scale()).max(1.15)
            && ever < 0.0005
            && lasted <= 60
            && self.before.is_some_and(|before| !before.worked)
            && self.model.seen() >= WATCHED
            && since_rollout > ROLLOUT_FADES;
        // Without requests to compare with, what works on data looks the same but for the network.
        let told = (self.tied || shape.quiet)
            && (shape.dataset.is_some() || (!shape.memory_known && lasted >= BLIND));
        let worn = shape.bursts
            || shape.minutes >= SUSTAINED
            || told && lasted >= WORN && shape.minutes >= UNTIED + 2;
        // A new version warms up for some minutes, and takes more memory at once.
        let least = match (self.tied, self.rollout_near()) {
            (false, _) => UNTIED,
            (true, true) => QUICK,
            (true, false) => 0,
        };
        ShapeNow {
            points,
            excess: true,
            plateau: true,
            // A job's first minutes are as flat as a miner's.
            holds: told && !self.learning() && shape.minutes >= least,
            ticket: points >= 6.0 && worn && (told || unheard) && !self.learning() && !fresh,
            // What was never heard of is enough beside what was seen since it began.
            sighted: unheard.then_some(self.since() - 2),
            ..ShapeNow::NONE
        }
    }

    /// What was there before we began to watch cannot be a change: requests must fail to explain it within the window,
    /// or, later, in all that was learned.
    fn look_first(&mut self, minute: i64) {
        let learning = self.model.seen() < FIRST;
        // What was found to be there is there until it is not used for once.
        let last = self.window.last(1).next().map_or(0.0, |minute| f64::from(minute.cores));
        self.resident = self.resident.filter(|cores| last >= 0.9 * cores && self.learning());
        // Once an hour is often enough for what has been there all along.
        let learning = learning || self.resident.is_some();
        if self.window.len() < 5 || self.model.seen() > WATCHED || !learning && minute % 60 != 0 {
            return;
        }
        let sight = FirstSight::of(self.window.last(KEPT), self.limit);
        let rest = if learning {
            sight.rest.filter(|_| sight.minutes >= SIGHT)
        } else {
            let rest = self.model.rest(self.scale());
            Some(rest.cores - 3.0 * rest.spread).filter(|_| self.tied)
        };
        let high = 0.35 * self.scale();
        let share = if learning { high.min(0.5 * sight.cores) } else { high };
        // What began while we watched is no miner that was there before.
        let early = |cores: f64| sight.least.min(self.dawn) >= 0.95 * cores;
        let resting = rest.is_some_and(|cores| cores >= share.max(0.5) && early(cores));
        self.resting = if resting { self.resting.saturating_add(1) } else { 0 };
        // One core, neither more nor less, is a thread that spins.
        let spins = rest.is_some_and(|cores| (cores * self.replicas - 1.0).abs() < 0.15);
        if !(resting || sight.busy && learning) {
            return;
        }
        // Evidence makes it sure sooner than it would be by itself.
        let soon = resting && self.resting >= 3;
        let sure = resting && self.resting >= if learning { SURE } else { 3 } || self.resident.is_some();
        if sure && learning {
            self.resident = self.resident.or(rest);
        }
        let rest = self.resident.or(rest);
        self.now = ShapeNow {
            points: if sure { 6.0 } else { 2.0 },
            excess: sight.busy || sure,
            plateau: false,
            // What software shows as it starts is no reason to wake anybody for a first sight.
            holds: sure && !spins && !sight.moves_data && !learning,
            ticket: sure && !spins && !sight.moves_data,
            recent: false,
            sighted: ((sure || soon) && !spins && !sight.moves_data).then_some(self.born + STARTING),
        };
        self.first_sight = Some(FirstSight { rest: rest.filter(|_| sure), ..sight });
    }
}
