//! What is usual for each half-hour of the day (UTC).

use beaconfire_model::EventTime;

use super::parameters::{CLIP, DAY_CLIP, DAY_VISITS};

pub(crate) const HALF_HOURS: usize = 48;
pub(crate) const HALF_HOUR: i64 = 1_800_000;

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Day {
    /// In doubles: a level of gigabytes would swallow its daily hump in singles.
    pub(crate) means: [f64; HALF_HOURS],
    /// How often each was visited, in half-hours: a sample counts for the time since the one before it.
    pub(crate) visits: [f32; HALF_HOURS],
}

impl Default for Day {
    fn default() -> Self {
        Self { means: [0.0; HALF_HOURS], visits: [0.0; HALF_HOURS] }
    }
}

/// The half-hour of the day that a time falls into.
pub(crate) fn half_hour(at: EventTime) -> usize {
    at.millis().div_euclid(HALF_HOUR).rem_euclid(HALF_HOURS as i64) as usize
}

/// What a sample counts for: the part of a half-hour since the one before.
pub(crate) fn part(before: EventTime, at: EventTime) -> f32 {
    at.millis().saturating_sub(before.millis()).clamp(0, HALF_HOUR) as f32 / HALF_HOUR as f32
}

impl Day {
    /// Takes a sample into its half-hour. `deviation` is the usual distance from what is usual; further off than the
    /// clip it counts as that far.
    pub(crate) fn learn(&mut self, slot: usize, value: f64, part: f32, deviation: f64) {
        let (mean, visits) = (&mut self.means[slot], &mut self.visits[slot]);
        if *visits == 0.0 {
            *mean = value;
        } else {
            let mut off = value - *mean;
            if *visits >= DAY_CLIP && deviation > 0.0 {
                off = off.clamp(-CLIP * deviation, CLIP * deviation);
            }
            *mean += off * f64::from(part / (*visits + part).min(DAY_VISITS));
        }
        // Singles count halves of seconds up to here; more is not asked for.
        *visits = (*visits + part).min(1_000.0);
    }

    pub(crate) fn is_sound(&self) -> bool {
        self.means.iter().all(|mean| mean.is_finite())
            && self.visits.iter().all(|visits| (0.0..=1_000.0).contains(visits))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_hours_are_those_of_the_day() {
        let at = |hour: i64, minute: i64| EventTime::from_millis((hour * 60 + minute) * 60_000);
        for (hour, minute, slot) in
            [(0, 0, 0), (14, 29, 28), (14, 30, 29), (23, 59, 47), (24, 0, 0), (-1, 59, 47)]
        {
            assert_eq!(half_hour(at(hour, minute)), slot, "{hour}:{minute}");
        }
        assert_eq!(part(at(0, 0), at(0, 5)), 1.0 / 6.0);
        assert_eq!((part(at(0, 0), at(9, 0)), part(at(9, 0), at(0, 0))), (1.0, 0.0));
    }

    #[test]
    fn a_half_hour_learns_what_is_usual_for_it_alone() {
        let mut day = Day::default();
        for n in 0..100 {
            day.learn(7, 10.0 + f64::from(n % 2), 0.5, 1.0);
        }
        assert!((day.means[7] - 10.5).abs() < 0.1);
        assert_eq!((day.visits[7], day.visits[8]), (50.0, 0.0));
        let before = day.means[7];
        day.learn(7, 1e9, 0.5, 1.0);
        assert!(day.means[7] - before < 4.0 * 0.5 / 40.0 + 1e-6);
    }
}
