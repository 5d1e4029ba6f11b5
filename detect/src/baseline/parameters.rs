//! Every number of the two heads, and why. There is one set for all series: a number that fits one file better is not
//! taken. They were chosen on one half of a public corpus (29 series); the other half never was looked at. Removing a
//! view costs between 5 and 17 of 78 points, other values of these numbers one to three, which is within the error of
//! the measurement: do not tune them by single points.
//!
//! A window is a count of samples, not a time: what a series is fed by is slices of one length. The numbers were found
//! on series of mostly five minutes a sample, where 25,000 are three months. They do not fit much shorter slices: at
//! 10 s a band has forgotten the last peak before the next comes, and every peak is one more new high (measured on 40
//! made-up series of 30 days with days and weekends: 4.7 alerts a series and day at 10 s, 1.0 at 60 s, 0.1 at 300 s).

use std::time::Duration;

/// The slices that these numbers are for.
pub const SLICE: Duration = Duration::from_secs(300);
/// A series that is watched says nothing before it has seen one whole day: each hour of the first is the first of its
/// kind (20 times the alerts of later days).
pub const FIRST_DAY: Duration = Duration::from_secs(86_400);

/// Samples that the level forgets over: long enough that a day's hump at 5 min a sample does not become the level.
pub(crate) const LEVEL: f64 = 3_000.0;
/// The short mean, whose new highs and lows tell of slow drifts that no single sample shows.
pub(crate) const SHORT: f64 = 24.0;
/// The fast mean, whose distance from the level is compared with all distances before.
pub(crate) const FAST: f64 = 12.0;
/// The window whose liveliness is watched: a series that falls silent or starts to shake at its usual level.
pub(crate) const LIVELY: f64 = 30.0;

/// A sample further than this many deviations off moves level and variance no more than one that far: an anomaly must
/// not teach what is normal.
pub(crate) const CLIP: f64 = 4.0;
/// Samples until clipping begins: before, the deviation itself is a guess.
pub(crate) const CLIP_AFTER: u32 = 30;

/// Samples that the edges of a band take to sink back to the level. The one thing that carries most: outside of
/// everything seen in so long is worth a page, two deviations are not.
pub(crate) const BAND: f64 = 25_000.0;
/// The strength of the least excess, and the share of the band's width that doubles it.
pub(crate) const BAND_LEAST: f64 = 1.2;
pub(crate) const BAND_SHARE: f64 = 0.045;
/// Least width of the bands of volatility (a factor of e^0.5 is nothing) and of shapes.
pub(crate) const VOLATILITY_WIDTH: f64 = 0.5;
pub(crate) const SHAPE_WIDTH: f64 = 0.2;

/// Samples that a tail remembers.
pub(crate) const TAIL: f64 = 15_000.0;
/// e^(1/TAIL): each sample weighs so much more than the one before, which spares decaying 128 bins.
pub(crate) const TAIL_GROWTH: f64 = 1.000_066_668_888_938_3;
/// Added for each octave beyond the highest so far: counts alone cannot tell the first sample from a far one.
pub(crate) const TAIL_BEYOND: f64 = 1.2;
/// What the highest octave sinks by with each sample.
pub(crate) const TAIL_SINK: f64 = 0.5 / TAIL;

/// Blocks of a shape, of two samples each: 16 samples in all.
pub(crate) const SHAPE: usize = 8;
/// Shapes that are kept. Twice as many gain 0.7 points and cost another 1.5 KB a series.
pub(crate) const SHAPES: usize = 64;
/// How far the nearest shape moves towards what it was nearest to.
pub(crate) const SHAPE_STEP: f32 = 0.13;
/// A shape is new where it is further off than this times the usual distance, and than so many deviations.
pub(crate) const SHAPE_NEW: f32 = 1.15;
pub(crate) const SHAPE_NEAR: f32 = 0.15;
/// Blocks that the usual distance forgets over, and that a shape's use does.
pub(crate) const SHAPE_DISTANCE: f32 = 500.0;
pub(crate) const SHAPE_USE: f32 = 400.0;
/// What is left of a shape's hits when it is hit again.
pub(crate) const SHAPE_HITS: f32 = 0.999;

/// Visits that a half-hour of the day remembers; that many days.
pub(crate) const DAY_VISITS: f32 = 40.0;
/// Visits until a half-hour is compared with, and until samples far off it are clipped.
pub(crate) const DAY_KNOWN: f32 = 2.0;
pub(crate) const DAY_CLIP: f32 = 3.0;

/// What each view counts for: the band of values most, since it alone scores highest.
pub(crate) const WEIGHTS: [f64; 6] = [1.0, 0.64, 0.72, 0.82, 0.34, 0.5];

/// Samples that the pressure of the views lasts for: two in a row press harder than one (without: 14 points less).
/// e^(-1/1.8).
pub(crate) const PRESSURE_LEFT: f64 = 0.573_753_420_737_433;
/// The pressure that is an alert.
pub(crate) const LINE: f64 = 2.7;
/// After an alert the line stands at what was reached, and sinks over 250 samples: e^(-1/250). Without this and
/// HOLD, 18 points less.
pub(crate) const LINE_LEFT: f64 = 0.996_007_989_343_991_4;
/// Above that by so much, to be an alert again.
pub(crate) const LINE_MARGIN: f64 = 1.08;
/// Samples after an alert in which only one this many times as strong is another.
pub(crate) const HOLD: u32 = 40;
pub(crate) const HOLD_FACTOR: f64 = 1.8;

/// Samples that a new series learns in silence.
pub(crate) const LEARNING: u32 = 100;

/// The least deviation that means something, as a share of the level; bands are at least a hundred of these wide, and a
/// volatility of less than ten is none. A series that never moved would otherwise alert on the last digit of its first change. On the corpus it changes next
/// to nothing.
pub(crate) const GRAIN: f64 = 0.001;
pub(crate) const GRAINS_BAND: f64 = 100.0;
pub(crate) const GRAINS_ROUGH: f64 = 10.0;

/// The local head: a mean and deviation over so many samples, what is far off, what is very far off (one is enough),
/// how many of the last three must be far off, and how long one alert holds.
pub(crate) const LOCAL: f64 = 300.0;
pub(crate) const LOCAL_FAR: f64 = 4.0;
pub(crate) const LOCAL_VERY_FAR: f64 = 6.0;
pub(crate) const LOCAL_OF_THREE: u32 = 2;
pub(crate) const LOCAL_HOLD: u32 = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_that_stand_for_exponentials_are_those() {
        for (written, meant) in [
            (TAIL_GROWTH, (1.0 / TAIL).exp()),
            (PRESSURE_LEFT, (-1.0_f64 / 1.8).exp()),
            (LINE_LEFT, (-1.0_f64 / 250.0).exp()),
        ] {
            assert!((written - meant).abs() < 1e-12, "{written} {meant}");
        }
    }
}
