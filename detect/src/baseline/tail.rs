//! How rare a distance is among those of the last 15,000 samples: a histogram of octaves, decayed by letting each new
//! sample weigh more.

use super::math::log2;
use super::parameters::{TAIL_BEYOND, TAIL_GROWTH, TAIL_SINK};

const BINS: usize = 128;
/// Bins of an octave, and octaves below 1.
const FINE: f64 = 8.0;
const BELOW: f64 = 8.0;
/// Weights are scaled back here, far below where single precision ends.
const MOST: f64 = 1e6;

/// For each lane of a register those behind it.
const BEHIND: [[f32; 8]; 8] = {
    let mut masks = [[0.0; 8]; 8];
    let mut lane = 0;
    while lane < 8 {
        let mut at = lane + 1;
        while at < 8 {
            masks[lane][at] = 1.0;
            at += 1;
        }
        lane += 1;
    }
    masks
};

/// A decayed histogram of distances.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tail {
    pub(crate) bins: [f32; BINS],
    /// What one sample weighs now, and all of them.
    pub(crate) weight: f64,
    pub(crate) mass: f64,
    /// The highest octave so far, sinking.
    pub(crate) highest: f64,
}

/// Where a distance falls.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place(f64);

impl Place {
    pub(crate) fn of(distance: f64) -> Self {
        Self((FINE * (log2(distance.max(1e-9)) + BELOW)).clamp(0.0, 126.999))
    }

    fn octave(self) -> f64 {
        self.0 / FINE
    }
}

impl Default for Tail {
    fn default() -> Self {
        Self { bins: [0.0; BINS], weight: 1.0, mass: 0.0, highest: 0.0 }
    }
}

impl Tail {
    /// How surprising a distance is: 0 for the usual, 3 for one in a thousand, more for what is beyond all so far.
    pub(crate) fn surprise(&self, place: Place) -> f64 {
        const LOG10_2: f64 = std::f64::consts::LOG10_2;
        let bin = place.0 as usize;
        let inside = place.0 - bin as f64;
        let above = f64::from(self.above(bin)) + f64::from(self.bins[bin]) * (1.0 - inside);
        let rare = log2((self.mass + self.weight) / (above + 0.5 * self.weight)) * LOG10_2;
        let beyond = (place.octave() - self.highest).max(0.0);
        // Nothing is beyond nothing.
        rare.max(0.0) + if self.mass > 0.0 { TAIL_BEYOND * beyond } else { 0.0 }
    }

    /// The weight of the bins above this one: in eight sums side by side, as wide registers add.
    fn above(&self, bin: usize) -> f32 {
        let (chunks, _) = self.bins.as_chunks::<8>();
        let (own, mask) = (bin / 8, &BEHIND[bin % 8]);
        let mut sums = [0.0f32; 8];
        for at in 0..8 {
            sums[at] = chunks[own][at] * mask[at];
        }
        for part in &chunks[own + 1..] {
            for (sum, value) in sums.iter_mut().zip(part) {
                *sum += value;
            }
        }
        let [a, b, c, d, e, f, g, h] = sums;
        ((a + e) + (b + f)) + ((c + g) + (d + h))
    }

    pub(crate) fn learn(&mut self, place: Place) {
        self.highest = (self.highest - TAIL_SINK).max(place.octave());
        self.weight *= TAIL_GROWTH;
        self.mass += self.weight;
        self.bins[place.0 as usize] += self.weight as f32;
        if self.weight > MOST {
            let scale = (1.0 / self.weight) as f32;
            self.bins.iter_mut().for_each(|bin| *bin *= scale);
            self.mass /= self.weight;
            self.weight = 1.0;
        }
    }

    pub(crate) fn is_sound(&self) -> bool {
        self.bins.iter().all(|bin| bin.is_finite() && *bin >= 0.0)
            && (1.0..=2.0 * MOST).contains(&self.weight)
            && (0.0..=1e12).contains(&self.mass)
            && (0.0..=16.0).contains(&self.highest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_says_nothing_and_the_rare_says_how_rare() {
        let mut tail = Tail::default();
        for n in 0..10_000 {
            tail.learn(Place::of(f64::from(n % 1_000) / 1_000.0));
        }
        assert!(tail.surprise(Place::of(0.01)) < 0.1);
        let one_in_ten = tail.surprise(Place::of(0.9));
        assert!((0.8..1.2).contains(&one_in_ten), "{one_in_ten}");
        let (beyond, far) = (tail.surprise(Place::of(1.5)), tail.surprise(Place::of(15.0)));
        assert!(beyond > 3.5 && far > beyond + 3.0, "{beyond} {far}");
    }

    #[test]
    fn scaling_back_changes_nothing_but_size() {
        let mut tail = Tail::default();
        // 15,000 ln 1e6 samples are 207,000.
        let mut scaled = 0;
        for n in 0..450_000u32 {
            let before = (tail.weight, tail.surprise(Place::of(0.5)));
            tail.learn(Place::of(f64::from(n % 64) / 64.0));
            if tail.weight < before.0 {
                scaled += 1;
                assert!((tail.surprise(Place::of(0.5)) - before.1).abs() < 1e-3);
            }
        }
        assert_eq!(scaled, 2);
        assert!(tail.is_sound());
    }
}
