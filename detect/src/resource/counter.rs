//! One counter: what it has gone up by since the last time, or why nothing can be said.
//!
//! A counter that goes back was either reset with what it counts, or told a wrong number once. Which of the two, only the
//! next value tells: above the old one, the one between was wrong; above the one between, there was a reset. So a
//! value that runs backwards changes nothing until then, and a wrong one never.

use std::time::Duration;

use beaconfire_model::EventTime;

/// The longest interval that is believed where no period is known yet.
const INTERVAL_MAX: Duration = Duration::from_mins(10);
/// So many periods without a value, and what lies between is not known.
const PERIODS_MAX: u32 = 5;

/// A counter as it was last seen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Counter {
    pub(super) at: EventTime,
    pub(super) value: f64,
    /// How often it comes; zero where that is not known yet.
    pub(super) period: Duration,
    /// A value below the one before, until the next one explains it.
    pub(super) doubt: Option<(EventTime, f64)>,
}

/// What a value says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Step {
    /// It went up by so much in so many seconds.
    Up { amount: f64, seconds: f64 },
    /// The same after a reset that came before it.
    UpAfterReset { amount: f64, seconds: f64 },
    /// The same; the value before this one was wrong.
    UpAfterError { amount: f64, seconds: f64 },
    /// It ran backwards: a reset, or an error.
    Backwards,
    /// There was a value at this time or after it.
    Duplicate,
    /// So long after the last one that nothing can be said of the time between.
    Gap,
    /// No such thing goes up as fast as this.
    Absurd,
}

impl Counter {
    pub(super) fn new(at: EventTime, value: f64) -> Self {
        Self { at, value, period: Duration::ZERO, doubt: None }
    }

    /// How often it comes, where that is known.
    pub(super) fn period(&self) -> Option<Duration> {
        (!self.period.is_zero()).then_some(self.period)
    }

    /// Takes a value; one that is refused changes nothing. `rate_max` is how much a second can be.
    pub(super) fn step(&mut self, at: EventTime, value: f64, rate_max: f64) -> Step {
        let last = self.doubt.map_or(self.at, |(at, _)| at);
        if at <= last {
            return Step::Duplicate;
        }
        let since = at.since(self.at);
        let longest = if self.period.is_zero() { INTERVAL_MAX } else { self.period * PERIODS_MAX };
        if since > longest {
            // After a long one it is as new.
            let period = if since > INTERVAL_MAX { Duration::ZERO } else { since };
            *self = Self { at, value, period, doubt: None };
            return Step::Gap;
        }
        let (from, before) = match self.doubt {
            _ if value >= self.value => (self.at, self.value),
            Some((from, before)) if value >= before => (from, before),
            _ => {
                self.doubt = Some((at, value));
                return Step::Backwards;
            }
        };
        let seconds = at.since(from).as_secs_f64();
        let amount = value - before;
        if amount > rate_max * seconds {
            return Step::Absurd;
        }
        let doubted = self.doubt.is_some();
        let after_reset = from != self.at;
        if !doubted {
            self.period = match self.period {
                Duration::ZERO => since,
                period if since < period => since,
                // A missing value makes an interval longer, not the period.
                period => (period * 3 + since) / 4,
            };
        }
        *self = Self { at, value, doubt: None, ..*self };
        match (after_reset, doubted) {
            (true, _) => Step::UpAfterReset { amount, seconds },
            (false, true) => Step::UpAfterError { amount, seconds },
            (false, false) => Step::Up { amount, seconds },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values at seconds, and what each says after the first.
    #[track_caller]
    fn check(values: &[(i64, f64)], meant: &[Step]) {
        let at = |second: i64| EventTime::from_millis(second * 1000);
        let mut counter = Counter::new(at(values[0].0), values[0].1);
        let steps: Vec<Step> =
            values[1..].iter().map(|(second, value)| counter.step(at(*second), *value, 100.0)).collect();
        assert_eq!(steps, meant);
    }

    fn up(amount: f64, seconds: f64) -> Step {
        Step::Up { amount, seconds }
    }

    #[test]
    fn it_goes_up() {
        check(&[(0, 5.0), (10, 7.0), (20, 7.0), (40, 13.0)], &[up(2.0, 10.0), up(0.0, 10.0), up(6.0, 20.0)]);
    }

    #[test]
    fn a_reset_drops_its_interval() {
        check(
            &[(0, 100.0), (10, 110.0), (20, 3.0), (30, 8.0), (40, 9.0)],
            &[
                up(10.0, 10.0),
                Step::Backwards,
                Step::UpAfterReset { amount: 5.0, seconds: 10.0 },
                up(1.0, 10.0),
            ],
        );
        // Two in a row: a crash loop.
        check(
            &[(0, 100.0), (10, 3.0), (20, 1.0), (30, 2.0)],
            &[Step::Backwards, Step::Backwards, Step::UpAfterReset { amount: 1.0, seconds: 10.0 }],
        );
    }

    /// One wrong number in a row of good ones makes no spike.
    #[test]
    fn a_value_that_was_wrong_once_changes_nothing() {
        check(
            &[(0, 100.0), (10, 110.0), (20, 0.0), (30, 130.0), (40, 140.0)],
            &[
                up(10.0, 10.0),
                Step::Backwards,
                Step::UpAfterError { amount: 20.0, seconds: 20.0 },
                up(10.0, 10.0),
            ],
        );
        check(
            &[(0, 100.0), (10, 110.0), (20, 1e12), (30, 130.0)],
            &[up(10.0, 10.0), Step::Absurd, up(20.0, 20.0)],
        );
    }

    #[test]
    fn duplicates_and_what_comes_late_are_dropped() {
        check(
            &[(0, 1.0), (10, 2.0), (10, 2.0), (5, 9.0), (20, 3.0)],
            &[up(1.0, 10.0), Step::Duplicate, Step::Duplicate, up(1.0, 10.0)],
        );
    }

    #[test]
    fn a_gap_begins_anew_and_a_longer_period_is_learnt() {
        check(&[(0, 1.0), (10, 2.0), (61, 90.0), (71, 91.0)], &[up(1.0, 10.0), Step::Gap, up(1.0, 10.0)]);
        check(&[(0, 1.0), (10, 2.0), (70, 8.0), (130, 14.0)], &[up(1.0, 10.0), Step::Gap, up(6.0, 60.0)]);
        check(&[(0, 1.0), (601, 2.0), (602, 3.0)], &[Step::Gap, up(1.0, 1.0)]);
    }

    /// Were it to stay at another height for good, the gap that it makes ends the refusals.
    #[test]
    fn what_is_absurd_for_long_is_a_gap() {
        check(
            &[(0, 1.0), (10, 2.0), (20, 1e12), (60, 1e12), (70, 1e12), (80, 1e12 + 10.0)],
            &[up(1.0, 10.0), Step::Absurd, Step::Absurd, Step::Gap, up(10.0, 10.0)],
        );
    }
}
