//! When views that press become an alert: pressure, the line that rises with each alert, and the time in which an
//! alert holds. A state machine of its own, since it counts as much as the views: without it every anomaly would be
//! told as many times as it has samples.

use beaconfire_model::EventTime;

use super::math::exp2;
use super::parameters::{HOLD, HOLD_FACTOR, LINE, LINE_LEFT, LINE_MARGIN, PRESSURE_LEFT};

/// The highest score of what does not alert.
pub(crate) const QUIET: f64 = 0.499;

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Hold {
    pub(crate) pressure: f64,
    /// What was reached, sinking.
    pub(crate) line: f64,
    /// The pressure of the last alert, and how many samples ago it was.
    pub(crate) last: f64,
    pub(crate) since: u32,
    /// Since when the pressure has been above half of what alerts.
    pub(crate) began: Option<EventTime>,
}

impl Default for Hold {
    fn default() -> Self {
        Self { pressure: 0.0, line: 0.0, last: 0.0, since: u32::MAX, began: None }
    }
}

/// What a sample came to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Held {
    pub(crate) score: f64,
    pub(crate) alerts: bool,
}

impl Hold {
    /// Takes the strength of all views together. Where `silent`, nothing alerts.
    pub(crate) fn press(&mut self, strength: f64, at: EventTime, silent: bool) -> Held {
        let pressure = self.pressure * PRESSURE_LEFT + strength;
        self.pressure = pressure;
        self.began = if pressure > LINE / 2.0 { self.began.or(Some(at)) } else { None };
        self.since = self.since.saturating_add(1);
        let line = self.line * LINE_LEFT;
        self.line = line.max(pressure);
        let rises = pressure > LINE && pressure > line * LINE_MARGIN;
        let held = self.since < HOLD && pressure < self.last * HOLD_FACTOR;
        let alerts = rises && !held && !silent;
        if alerts {
            self.last = pressure;
            self.since = 0;
        }
        let score = 1.0 - exp2(pressure * (-1.0 / LINE));
        Held { score: if alerts { score.max(0.5) } else { score.min(QUIET) }, alerts }
    }

    pub(crate) fn is_sound(&self) -> bool {
        [self.pressure, self.line, self.last].iter().all(|value| (0.0..1e6).contains(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alerts(strengths: impl IntoIterator<Item = f64>) -> Vec<usize> {
        let mut hold = Hold::default();
        let at = EventTime::from_millis(0);
        strengths
            .into_iter()
            .enumerate()
            .filter_map(|(n, strength)| {
                let held = hold.press(strength, at, false);
                assert_eq!(held.alerts, held.score >= 0.5, "half is where it alerts");
                held.alerts.then_some(n)
            })
            .collect()
    }

    fn then(first: f64, zeros: usize, second: f64) -> Vec<f64> {
        let mut all = vec![first];
        all.resize(1 + zeros, 0.0);
        all.push(second);
        all
    }

    #[test]
    fn two_in_a_row_press_harder_than_one() {
        assert!(alerts([2.0, 0.0, 0.0]).is_empty());
        assert_eq!(alerts([2.0, 2.0, 0.0]), [1]);
    }

    #[test]
    fn an_alert_holds_until_something_far_stronger_or_later_comes() {
        assert_eq!(alerts(then(5.0, 20, 8.0)), [0], "8 is not 1.8 times 5");
        assert_eq!(alerts(then(5.0, 20, 9.1)), [0, 21]);
        assert_eq!(alerts(then(5.0, 60, 5.0)), [0, 61]);
        // 40 samples are not enough for what is no stronger than the line that the first one left.
        assert_eq!(alerts(then(5.0, 45, 4.2)), [0]);
    }

    #[test]
    fn it_knows_since_when() {
        let mut hold = Hold::default();
        for (n, strength) in (0..).zip([0.1, 1.5, 3.0]) {
            hold.press(strength, EventTime::from_millis(n), false);
        }
        assert_eq!(hold.began, Some(EventTime::from_millis(1)));
        for n in 3..20 {
            hold.press(0.0, EventTime::from_millis(n), false);
        }
        assert_eq!(hold.began, None);
    }
}
