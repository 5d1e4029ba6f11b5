//! One series: both heads, what is refused, and when learning stops.

use beaconfire_model::EventTime;

use super::day::{HALF_HOUR, HALF_HOURS, half_hour};
use super::local::Local;
use super::parameters::{GRAIN, HOLD, LEARNING};
use super::quiet::{Quiet, Sample};
use super::spread::one_of;
use super::verdict::{BadSample, Finding, Judgement, Verdict, View};

/// What a level that was accepted counts for, in samples, against those that follow.
const ACCEPTED: u32 = 12;
/// Deviations that an expected range is told with.
const TOLD: f64 = 3.0;

/// What is known of one series, in a fixed size. Its verdicts are a function of the samples in their order, and of when
/// it was frozen and accepted.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Series {
    pub(crate) quiet: Quiet,
    pub(crate) local: Local,
    /// Samples so far; and those that weights count.
    pub(crate) seen: u32,
    pub(crate) count: u32,
    /// Samples for which nothing is told after the level was accepted.
    pub(crate) silence: u32,
    pub(crate) frozen: bool,
    pub(crate) first: Option<EventTime>,
    pub(crate) closed_through: Option<EventTime>,
}

impl Series {
    /// The last slice that was taken in, missing ones included. What feeds a series after a restart skips slices at or
    /// before it; the series itself takes whatever comes.
    pub fn closed_through(&self) -> Option<EventTime> {
        self.closed_through
    }

    /// The slice of its first good sample.
    pub fn first(&self) -> Option<EventTime> {
        self.first
    }

    /// Samples until this series says something; 0 where the next one does, too.
    pub fn left(&self) -> u32 {
        (LEARNING + 1).saturating_sub(self.seen).max(self.silence)
    }

    /// Takes the value of the slice at this time, or that there was none. `grain` is the least difference that means
    /// something; 0 where only a thousandth of the level is known to mean nothing.
    pub fn push(&mut self, at: EventTime, value: Option<f64>, grain: f64) -> Verdict {
        let before = self.closed_through.replace(at);
        let Some(value) = value else { return Verdict::Missing };
        if let Some(bad) = BadSample::of(value) {
            return Verdict::Refused(bad);
        }
        self.first = self.first.or(Some(at));
        // A series that is watched with suspicion from its first sample on has to learn something to compare with.
        let learning = !self.frozen || self.seen <= LEARNING;
        self.seen = self.seen.saturating_add(1);
        if learning || self.count == 0 {
            self.count = self.count.saturating_add(1);
        }
        let (seen, count, silent) = (self.seen, self.count, self.left() > 0);
        let one = one_of(count);
        let sample = Sample { at, value, before, grain, seen, count, one, learning, silent };
        let (held, quiet) = self.quiet.push(&sample);

        let grain = grain.max(GRAIN * self.local.spread.mean.abs()).max(1e-9);
        let deviations = if seen == 1 { 0.0 } else { self.local.deviations(value, grain) };
        let local = self.local.judge(deviations, at, silent);
        let finding = local.alerts.then(|| {
            let (mean, off) = (self.local.spread.mean, TOLD * self.local.spread.deviation(grain));
            Finding {
                view: View::Deviations(deviations),
                observed: value,
                expected: (mean - off, mean + off),
                since: self.local.began.unwrap_or(at),
            }
        });
        if learning {
            self.local.learn(value, one);
        }
        if silent {
            let left = self.left();
            self.silence = self.silence.saturating_sub(1);
            return Verdict::Learning { left };
        }
        Verdict::Judged {
            quiet: Judgement { score: held.score, off_since: self.quiet.hold.began, finding: quiet },
            local: Judgement { score: local.score, off_since: self.local.began, finding },
        }
    }

    /// What is usual at this time of the day, once that was seen on two days.
    pub fn usual_at(&self, at: EventTime) -> Option<f64> {
        let day = &self.quiet.day;
        let known = |slot: usize| (day.visits[slot] >= 2.0).then_some(day.means[slot]);
        // A mean stands for the middle of its half-hour; between two of them the day goes straight.
        let place = (at.millis().rem_euclid(HALF_HOUR) as f64 / HALF_HOUR as f64) - 0.5;
        let slot = half_hour(at);
        let beside = (slot + if place < 0.0 { HALF_HOURS - 1 } else { 1 }) % HALF_HOURS;
        let own = known(slot)?;
        Some(known(beside).map_or(own, |other| own + (other - own) * place.abs()))
    }

    /// Stops or resumes learning: what is suspected must not become normal. Verdicts go on.
    pub fn freeze(&mut self, frozen: bool) {
        self.frozen = frozen;
    }

    /// Whether learning is stopped.
    pub fn is_frozen(&self) -> bool {
        self.frozen
    }

    /// Somebody has said that what is seen now is normal: learning resumes, the level moves there within some tens of
    /// samples, and nothing is told meanwhile.
    pub fn accept(&mut self) {
        self.frozen = false;
        self.count = self.count.min(ACCEPTED);
        self.silence = HOLD;
        self.quiet.relearn(ACCEPTED);
    }

    pub(crate) fn is_sound(&self) -> bool {
        self.quiet.is_sound() && self.local.is_sound() && self.count <= self.seen && self.silence <= HOLD
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Half-hours of these means; the last was seen once only.
    fn series() -> Series {
        let mut series = Series::default();
        for (slot, (mean, visits)) in [(10.0, 5.0), (20.0, 5.0), (99.0, 1.0)].into_iter().enumerate() {
            (series.quiet.day.means[slot], series.quiet.day.visits[slot]) = (mean, visits);
        }
        series
    }

    #[test]
    fn between_the_middles_of_half_hours_the_day_goes_straight() {
        let at = |minute: i64| EventTime::from_millis(minute * 60_000);
        for (minute, usual) in [
            (15, Some(10.0)),
            (21, Some(12.0)),
            (30, Some(15.0)),
            (36, Some(17.0)),
            (45, Some(20.0)),
            // What lies beyond is not known: the mean stands.
            (5, Some(10.0)),
            (55, Some(20.0)),
            (75, None),
            (600, None),
        ] {
            assert_eq!(series().usual_at(at(minute)), usual, "{minute} minutes past midnight");
        }
    }
}
