//! The quiet head: six views of one series, of which each says how far outside of everything seen a sample is, and one
//! state machine that makes alerts of it ([`Hold`]).
//!
//! A sample is first looked at against what is known, and only then learned: nothing that is judged has taken part in
//! what it is judged by. While learning is stopped the windows of the last samples go on, and nothing else does.

use std::f64::consts::{LN_2, LOG2_E};

use beaconfire_model::EventTime;

use super::band::{Band, strength};
use super::book::Book;
use super::day::{Day, half_hour, part};
use super::hold::{Held, Hold};
use super::math::{exp2, log2};
use super::parameters::{
    BAND, CLIP_AFTER, DAY_KNOWN, FAST, GRAIN, GRAINS_BAND, GRAINS_ROUGH, LEARNING, LEVEL, LIVELY,
    SHAPE_WIDTH, SHORT, VOLATILITY_WIDTH, WEIGHTS,
};
use super::spread::{Spread, one_of, share};
use super::tail::{Place, Tail};
use super::verdict::{Finding, Side, View};

/// Deviations that an expected range is told with.
const TOLD: f64 = 3.0;
/// Samples until a view says something: twice its window.
const SHORT_KNOWN: u32 = 2 * SHORT as u32;
const LIVELY_KNOWN: u32 = 2 * LIVELY as u32;
const SHAPES_KNOWN: u32 = 50;

#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Quiet {
    pub(crate) level: Spread,
    /// Means of the last samples.
    pub(crate) short: f64,
    pub(crate) fast: f64,
    /// The spread of the last samples, and of the logarithm of its deviation.
    pub(crate) recent: Spread,
    pub(crate) lively: Spread,
    /// Of the fast mean's distance from the level.
    pub(crate) gap: Spread,
    /// Of samples without what is usual for their half-hour; and of how many. Beside it the same samples, whole.
    pub(crate) residual: Spread,
    pub(crate) residuals: u32,
    pub(crate) whole: Spread,
    pub(crate) value_band: Band,
    pub(crate) mean_band: Band,
    pub(crate) volatility_band: Band,
    pub(crate) shape_band: Band,
    pub(crate) day: Day,
    pub(crate) gap_tail: Tail,
    pub(crate) day_tail: Tail,
    pub(crate) book: Book,
    pub(crate) hold: Hold,
}

/// A sample, and how it comes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    pub(crate) at: EventTime,
    pub(crate) value: f64,
    /// The sample before; `None` for the first.
    pub(crate) before: Option<EventTime>,
    /// The least difference that means something.
    pub(crate) grain: f64,
    /// Samples so far, this one included; those that weights count, which begin anew where a level was accepted; and
    /// what one of those is of all.
    pub(crate) seen: u32,
    pub(crate) count: u32,
    pub(crate) one: f64,
    pub(crate) learning: bool,
    /// Nothing is told now.
    pub(crate) silent: bool,
}

/// What a sample is against all that is known.
struct Look {
    level: f64,
    grain: f64,
    /// How far beyond their bands the value, the short mean, the volatility and the shape are.
    beyond: [f64; 4],
    volatility: f64,
    distance: Option<f32>,
    gap: f64,
    gap_place: Place,
    slot: usize,
    residual: Option<f64>,
    day_place: Option<Place>,
    /// What each view says, weighed.
    strengths: [f64; 6],
}

impl Quiet {
    pub(crate) fn push(&mut self, sample: &Sample) -> (Held, Option<Finding>) {
        let look = self.look(sample);
        let cubes: f64 = look.strengths.iter().map(|strength| strength * strength * strength).sum();
        let whole = if sample.seen > LEARNING && cubes > 0.0 { exp2(log2(cubes) * (1.0 / 3.0)) } else { 0.0 };
        let held = self.hold.press(whole, sample.at, sample.silent);
        let finding = held.alerts.then(|| self.finding(sample, &look));
        if sample.learning {
            self.learn(sample, &look);
        }
        (held, finding)
    }

    /// Moves the windows on, and compares.
    fn look(&mut self, sample: &Sample) -> Look {
        let &Sample { value, seen, one, .. } = sample;
        self.short += share(SHORT, one) * (value - self.short);
        self.fast += share(FAST, one) * (value - self.fast);
        self.recent.learn(value, share(LIVELY, one));

        let level = if seen == 1 { value } else { self.level.mean };
        let grain = sample.grain.max(GRAIN * level.abs()).max(1e-9);
        let (width, rough) = (GRAINS_BAND * grain, GRAINS_ROUGH * grain);
        let deviations = if seen == 1 { 0.0 } else { self.level.deviations(value, grain) };

        let volatility = 0.5 * LN_2 * log2(self.recent.variance + 1e-4 * self.level.variance + rough * rough);
        let distance = self.book.push(deviations, sample.learning);
        // Every shape is new to a series that never moved.
        let moves = distance.filter(|_| self.level.variance > grain * grain);
        let beyond = [
            self.value_band.beyond(value, width),
            self.mean_band.beyond(self.short, width),
            self.volatility_band.beyond(volatility, VOLATILITY_WIDTH),
            moves.map_or(0.0, |distance| self.shape_band.beyond(f64::from(distance), SHAPE_WIDTH)),
        ];

        let gap = self.fast - level;
        let gap_place = Place::of(self.gap.distance(gap, grain));
        let slot = half_hour(sample.at);
        let residual = (self.day.visits[slot] >= DAY_KNOWN).then(|| value - self.day.means[slot]);
        // Before there are some, nobody knows how far they scatter.
        let scatter = residual.filter(|_| self.residuals > CLIP_AFTER);
        let day_place = scatter.map(|residual| Place::of(self.residual.distance(residual, grain)));
        let unusual = day_place.map_or(0.0, |place| {
            // What the time of the day explains; where that is nothing, it has no say.
            let skill = 1.0 - self.residual.variance / self.whole.variance.max(1e-300);
            if skill > 0.0 { self.day_tail.surprise(place) * skill } else { 0.0 }
        });
        let [value_e, mean_e, volatility_e, shape_e] = beyond;
        let [value_w, mean_w, volatility_w, shape_w, gap_w, day_w] = WEIGHTS;
        let strengths = [
            value_w * strength(value_e),
            mean_w * strength(mean_e),
            volatility_w * strength(volatility_e),
            shape_w * strength(shape_e),
            gap_w * self.gap_tail.surprise(gap_place),
            day_w * unusual,
        ];
        Look {
            level,
            grain,
            beyond,
            volatility,
            distance,
            gap,
            gap_place,
            slot,
            residual,
            day_place,
            strengths,
        }
    }

    fn learn(&mut self, sample: &Sample, look: &Look) {
        let &Sample { value, seen, count, one, .. } = sample;
        let &Look { level, volatility, slot, .. } = look;
        let level_share = share(LEVEL, one);
        self.value_band.learn(value, level, 1.0);
        if seen > SHORT_KNOWN {
            self.mean_band.learn(self.short, level, 1.0);
        }
        if seen > LIVELY_KNOWN {
            self.volatility_band.learn(volatility, self.lively.mean, 1.0);
        }
        if let Some(distance) = look.distance.filter(|_| seen > SHAPES_KNOWN) {
            // There is one distance for two samples, and every distance sinks towards none.
            self.shape_band.learn(f64::from(distance), 0.0, 0.5);
        }
        self.lively.learn_clipped(volatility, level_share, count);
        self.gap_tail.learn(look.gap_place);
        self.gap.learn_clipped(look.gap, level_share, count);
        if let Some(place) = look.day_place {
            self.day_tail.learn(place);
        }
        if let Some(residual) = look.residual {
            self.residuals = self.residuals.saturating_add(1);
            self.residual.learn_clipped(residual, share(LEVEL, one_of(self.residuals)), self.residuals);
        }
        self.whole.learn_clipped(value - level, level_share, count);
        let part = sample.before.map_or(0.0, |before| part(before, sample.at));
        self.day.learn(slot, value, part, self.residual.variance.sqrt());
        self.level.learn_clipped(value, level_share, count);
    }

    /// Why it alerts: the view that says most.
    fn finding(&self, sample: &Sample, look: &Look) -> Finding {
        let most =
            look.strengths.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map_or(0, |(at, _)| at);
        let around = |spread: &Spread, centre: f64| {
            let off = TOLD * spread.deviation(look.grain);
            (centre + spread.mean - off, centre + spread.mean + off)
        };
        let edges = |band: &Band| (band.low, band.high);
        let value = sample.value;
        let (view, observed, expected) = match most {
            0 => {
                let percent = 100.0 * look.beyond[0];
                let samples = sample.seen.saturating_sub(1).min(BAND as u32);
                (View::Value { percent, samples }, value, edges(&self.value_band))
            }
            1 => (View::MeanAtNew(Side::of(look.beyond[1])), self.short, edges(&self.mean_band)),
            2 => {
                let deviation = |logarithm: f64| exp2(logarithm * LOG2_E);
                let (low, high) = edges(&self.volatility_band);
                let view = View::VolatilityAtNew(Side::of(look.beyond[2]));
                (view, deviation(look.volatility), (deviation(low), deviation(high)))
            }
            3 => (View::Shape, value, around(&self.level, 0.0)),
            4 => (View::MeanFarOff(Side::of(look.gap)), self.fast, around(&self.gap, look.level)),
            _ => {
                let view = View::UnusualFor { half_hour: look.slot as u8 };
                (view, value, around(&self.residual, self.day.means[look.slot]))
            }
        };
        Finding { view, observed, expected, since: self.hold.began.unwrap_or(sample.at) }
    }

    /// Lets what comes next become the level soon.
    pub(crate) fn relearn(&mut self, count: u32) {
        self.residuals = self.residuals.min(count);
        self.hold = Hold::default();
    }

    pub(crate) fn is_sound(&self) -> bool {
        let spreads = [self.level, self.recent, self.lively, self.gap, self.residual, self.whole];
        let bands = [self.value_band, self.mean_band, self.volatility_band, self.shape_band];
        spreads.iter().all(Spread::is_sound)
            && bands.iter().all(Band::is_sound)
            && self.short.is_finite()
            && self.fast.is_finite()
            && self.day.is_sound()
            && self.gap_tail.is_sound()
            && self.day_tail.is_sound()
            && self.book.is_sound()
            && self.hold.is_sound()
    }
}
