//! A mean and a variance that forget, and what is far from them.

use super::parameters::{CLIP, CLIP_AFTER};

/// A mean with its variance, both forgetting exponentially.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Spread {
    pub(crate) mean: f64,
    pub(crate) variance: f64,
}

/// The weight of a sample that is `one` of all so far: a plain mean, until it is as long as the window.
pub(crate) fn share(window: f64, one: f64) -> f64 {
    (1.0 / window).max(one)
}

/// One of so many.
pub(crate) fn one_of(count: u32) -> f64 {
    1.0 / f64::from(count)
}

impl Spread {
    /// Takes a value in with this weight.
    pub(crate) fn learn(&mut self, value: f64, share: f64) {
        let off = value - self.mean;
        self.step(off, share);
    }

    /// The same, where value number `count` may pull no further than the clip. A series that never moved has no
    /// deviation to clip by: its first change counts whole, or it would never learn another level.
    pub(crate) fn learn_clipped(&mut self, value: f64, share: f64, count: u32) {
        let mut off = value - self.mean;
        // Squares first: few values are that far off, and roots are dear.
        let squared = CLIP * CLIP * self.variance;
        if count > CLIP_AFTER && squared > 0.0 && off * off > squared {
            off = squared.sqrt().copysign(off);
        }
        self.step(off, share);
    }

    fn step(&mut self, off: f64, share: f64) {
        self.mean += share * off;
        self.variance = (1.0 - share) * (self.variance + share * off * off);
    }

    /// How many deviations a value is off; a deviation is at least the grain.
    pub(crate) fn deviations(&self, value: f64, grain: f64) -> f64 {
        (value - self.mean) / self.deviation(grain)
    }

    /// The same without a side; what is off by no more than a grain is not off.
    pub(crate) fn distance(&self, value: f64, grain: f64) -> f64 {
        let off = (value - self.mean).abs();
        if off > grain { off / self.deviation(grain) } else { 0.0 }
    }

    pub(crate) fn deviation(&self, grain: f64) -> f64 {
        self.variance.sqrt().max(grain)
    }

    pub(crate) fn is_sound(&self) -> bool {
        self.mean.is_finite() && self.variance.is_finite() && self.variance >= 0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_plain_mean_at_first_and_forgets_later() {
        let mut spread = Spread::default();
        for (count, value) in (1..).zip([2.0, 4.0, 9.0]) {
            spread.learn(value, share(100.0, one_of(count)));
        }
        assert!((spread.mean - 5.0).abs() < 1e-12);
        assert!((spread.variance - (4.0 + 16.0 + 81.0) / 3.0 + 25.0).abs() < 1e-9);
        for count in 4..2_000 {
            spread.learn(7.0, share(100.0, one_of(count)));
        }
        assert!((spread.mean - 7.0).abs() < 1e-6 && spread.variance < 1e-6);
    }

    #[test]
    fn one_value_far_off_pulls_no_further_than_the_clip() {
        let mut spread = Spread::default();
        for count in 1..=100 {
            spread.learn_clipped(f64::from(count % 2), share(100.0, one_of(count)), count);
        }
        let before = spread;
        spread.learn_clipped(1e9, share(100.0, one_of(101)), 101);
        assert!(spread.mean - before.mean <= CLIP * before.deviation(0.0) / 100.0 + 1e-12);
    }

    #[test]
    fn a_level_that_never_moved_can_move() {
        let mut spread = Spread::default();
        for count in 1..=50 {
            spread.learn_clipped(3.0, share(10.0, one_of(count)), count);
        }
        for count in 51..400 {
            spread.learn_clipped(5.0, share(10.0, one_of(count)), count);
        }
        assert!((spread.mean - 5.0).abs() < 0.01, "{spread:?}");
    }
}
