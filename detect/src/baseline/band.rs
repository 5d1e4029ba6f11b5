//! The range of everything seen in the last 25,000 samples or so: its edges sink back to the level ever so slowly.

use super::math::log2;
use super::parameters::{BAND, BAND_LEAST, BAND_SHARE};

/// Lowest and highest. Nothing seen: the lowest lies above the highest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Band {
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Default for Band {
    fn default() -> Self {
        Self { low: f64::INFINITY, high: f64::NEG_INFINITY }
    }
}

impl Band {
    fn is_empty(&self) -> bool {
        self.low > self.high
    }

    /// How far beyond the band a value is, as a share of its width (at least `width`): above it positive, below it
    /// negative, inside 0.
    pub(crate) fn beyond(&self, value: f64, width: f64) -> f64 {
        if self.is_empty() {
            return 0.0;
        }
        let width = (self.high - self.low).max(width);
        if value > self.high {
            (value - self.high) / width
        } else if value < self.low {
            (value - self.low) / width
        } else {
            0.0
        }
    }

    /// Takes a value in; what it does not reach sinks towards the centre, over `memory` times [`BAND`] samples.
    pub(crate) fn learn(&mut self, value: f64, centre: f64, memory: f64) {
        if self.is_empty() {
            *self = Self { low: value, high: value };
        }
        let share = 1.0 / (memory * BAND);
        self.high = if value > self.high { value } else { self.high - (self.high - centre) * share };
        self.low = if value < self.low { value } else { self.low + (centre - self.low) * share };
    }

    pub(crate) fn is_sound(&self) -> bool {
        *self == Self::default() || (self.low.is_finite() && self.high.is_finite())
    }
}

/// What being beyond a band says: nothing inside, then with the logarithm of the distance.
pub(crate) fn strength(beyond: f64) -> f64 {
    let beyond = beyond.abs();
    if beyond > 0.0 { BAND_LEAST + log2(1.0 + beyond * (1.0 / BAND_SHARE)) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_outside_says_anything() {
        let mut band = Band::default();
        assert_eq!(band.beyond(1e9, 1.0), 0.0, "nothing is beyond nothing");
        for value in [0.0, 10.0, 5.0] {
            band.learn(value, 5.0, 1.0);
        }
        assert_eq!(band.beyond(9.0, 0.0), 0.0);
        assert!((band.beyond(11.0, 0.0) - 0.1).abs() < 1e-3);
        assert!((band.beyond(-5.0, 0.0) + 0.5).abs() < 1e-3);
        assert!((band.beyond(20.0, 100.0) - 0.1).abs() < 1e-3, "a narrow band is taken to be wider");
        assert_eq!(strength(0.0), 0.0);
        assert!((strength(-BAND_SHARE) - BAND_LEAST - 1.0).abs() < 1e-6);
    }

    #[test]
    fn edges_sink_to_the_centre() {
        let mut band = Band::default();
        band.learn(100.0, 100.0, 1.0);
        for _ in 0..25_000 {
            band.learn(0.0, 0.0, 1.0);
        }
        assert!((band.high / 100.0 - (-1.0_f64).exp()).abs() < 0.001, "{band:?}");
    }
}
