//! The local head: far from the last 300 samples. It says more than the quiet head and is wrong more often; for
//! showing, and as evidence beside other signals.

use beaconfire_model::EventTime;

use super::hold::{Held, QUIET};
use super::math::exp2;
use super::parameters::{LOCAL, LOCAL_FAR, LOCAL_HOLD, LOCAL_OF_THREE, LOCAL_VERY_FAR};
use super::spread::{Spread, share};

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Local {
    pub(crate) spread: Spread,
    /// Whether each of the last samples was far off, the newest in the lowest bit.
    pub(crate) far: u8,
    /// Samples since the last alert.
    pub(crate) since: u32,
    pub(crate) began: Option<EventTime>,
}

impl Default for Local {
    fn default() -> Self {
        Self { spread: Spread::default(), far: 0, since: u32::MAX, began: None }
    }
}

impl Local {
    /// How many deviations this value is off.
    pub(crate) fn deviations(&self, value: f64, grain: f64) -> f64 {
        self.spread.deviations(value, grain)
    }

    /// What being so far off comes to. Where `silent`, nothing alerts.
    pub(crate) fn judge(&mut self, deviations: f64, at: EventTime, silent: bool) -> Held {
        let z = deviations.abs();
        self.far = (self.far << 1 | u8::from(z > LOCAL_FAR)) & 0b111;
        self.began = if self.far == 0 { None } else { self.began.or(Some(at)) };
        self.since = self.since.saturating_add(1);
        let is_far = z > LOCAL_VERY_FAR || self.far.count_ones() >= LOCAL_OF_THREE && z > LOCAL_FAR;
        let alerts = is_far && self.since >= LOCAL_HOLD && !silent;
        if alerts {
            self.since = 0;
        }
        let score = 1.0 - exp2(z * (-1.0 / LOCAL_FAR));
        Held { score: if alerts { score.max(0.5) } else { score.min(QUIET) }, alerts }
    }

    /// Takes a value in that is `one` of all so far.
    pub(crate) fn learn(&mut self, value: f64, one: f64) {
        self.spread.learn(value, share(LOCAL, one));
    }

    pub(crate) fn is_sound(&self) -> bool {
        self.spread.is_sound() && self.far <= 0b111
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alerts(deviations: &[f64]) -> Vec<usize> {
        let mut local = Local::default();
        let at = EventTime::from_millis(0);
        let held = deviations.iter().map(|z| local.judge(*z, at, false).alerts);
        held.enumerate().filter_map(|(n, alerts)| alerts.then_some(n)).collect()
    }

    #[test]
    fn two_of_three_or_one_very_far() {
        assert!(alerts(&[4.5, 0.0, 0.0, 4.5]).is_empty());
        assert_eq!(alerts(&[4.5, 0.0, -4.5]), [2]);
        assert_eq!(alerts(&[0.0, -6.5]), [1]);
        // The one after it is not told again, the one after twenty is.
        let mut long = [0.0; 24];
        (long[0], long[5], long[20], long[23]) = (9.0, 9.0, 9.0, 9.0);
        assert_eq!(alerts(&long), [0, 20]);
    }
}
