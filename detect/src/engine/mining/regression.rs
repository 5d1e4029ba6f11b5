//! What CPU the requests explain: an online regression that outliers cannot lead astray.
//!
//! Recursive least squares on `x = (1, requests per second)`, both for one replica, so that the first weight is what a
//! replica costs when nobody asks anything, and a scaled-out deployment is no surprise. The innovation is clipped at three spreads
//! before it teaches (Huber's psi), forgetting has a half-life of a day, and the prediction's own uncertainty `x'Px` widens the spread where the model has not been yet: after a night
//! of learning, the morning is uncertain rather than anomalous.
//!
//! The spread grows with the load, so it is kept relative to what is expected plus a tenth of the limit, and it is a median
//! (0.6745 of a deviation), so that a report each night does not make the whole day look ragged.

use crate::sealed::End;

/// Of one sample a minute: half is forgotten in 1,386 samples, which is a day.
const FORGETTING: f64 = 0.9995;
/// How little is known at first. Also the cap of both variances: without excitation they would wind up.
const IGNORANCE: f64 = 1e3;
/// Residuals beyond so many spreads teach no more than these.
const CLIP: f64 = 3.0;
/// The memory of the spread, in samples.
const SPREAD_MEMORY: f64 = 400.0;
/// Samples before the spread is taken for known.
const FIRST: u32 = 30;
/// The median of |x| of a normal x with deviation one, and the mean of |x - y| of two such.
const MEDIAN: f64 = 0.6745;
const MEAN_DIFFERENCE: f64 = 1.128;

/// What is expected of a slice, in cores.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Expected {
    pub(crate) cores: f64,
    /// One standard deviation of what is usual around it, widened for autocorrelation and for unknown ground.
    pub(crate) spread: f64,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Regression {
    /// Cores at rest, cores a unit of requests.
    theta: [f64; 2],
    /// The upper triangle of P.
    p: [f64; 3],
    /// One deviation of the residual, relative to [`base`].
    scale: f64,
    /// The same from one minute to the next: what is left of it on a plateau.
    rough: f64,
    /// Lag-1 autocovariance and variance of the clipped relative residual.
    neighbours: f64,
    variance: f64,
    last: f64,
    /// Requests are counted in this unit, so that both inputs are of the order of one.
    unit: f64,
    seen: u32,
}

impl Regression {
    pub(crate) fn new() -> Self {
        Self {
            theta: [0.0; 2],
            p: [IGNORANCE, 0.0, IGNORANCE],
            scale: 0.0,
            rough: 0.0,
            neighbours: 0.0,
            variance: 0.0,
            last: 0.0,
            unit: 0.0,
            seen: 0,
        }
    }

    /// Samples learned from.
    pub(crate) fn seen(&self) -> u32 {
        self.seen
    }

    /// Deviation from one minute to the next, relative to [`base`].
    pub(crate) fn roughness(&self) -> f64 {
        self.rough.max(0.005)
    }

    /// The deviation altogether, relative to [`base`].
    pub(crate) fn scale(&self) -> f64 {
        self.scale
    }

    /// Cores that are used when nobody asks anything, and how sure that is (one standard error).
    pub(crate) fn rest(&self, limit: f64) -> Expected {
        let [p00, _, _] = self.p;
        let cores = self.theta[0];
        let spread = p00.sqrt() * self.scale * base(cores, limit) * self.inflation();
        Expected { cores, spread }
    }

    pub(crate) fn expect(&self, requests: f64, limit: f64) -> Expected {
        let x = self.inputs(requests);
        let [p00, p01, p11] = self.p;
        let leverage = x[0] * x[0] * p00 + 2.0 * x[0] * x[1] * p01 + x[1] * x[1] * p11;
        let cores = self.line(x);
        let spread = self.inflation() * self.scale.max(0.02) * base(cores, limit);
        Expected { cores, spread: spread * (1.0 + leverage.max(0.0)).sqrt() }
    }

    pub(crate) fn learn(&mut self, requests: f64, cores: f64, limit: f64) {
        if self.unit == 0.0 && requests > 0.0 {
            self.unit = requests.max(0.1);
        }
        let x = self.inputs(requests);
        let base = base(self.line(x), limit);
        let error = cores - (self.theta[0] * x[0] + self.theta[1] * x[1]);
        let clip = CLIP * self.scale.max(0.02) * base;
        let clipped = if self.seen < FIRST { error } else { error.clamp(-clip, clip) };

        let [p00, p01, p11] = self.p;
        let px = [p00 * x[0] + p01 * x[1], p01 * x[0] + p11 * x[1]];
        let denominator = FORGETTING + x[0] * px[0] + x[1] * px[1];
        let gain = [px[0] / denominator, px[1] / denominator];
        self.theta[0] += gain[0] * clipped;
        self.theta[1] += gain[1] * clipped;
        self.p = [
            ((p00 - gain[0] * px[0]) / FORGETTING).clamp(0.0, IGNORANCE),
            (p01 - gain[0] * px[1]) / FORGETTING,
            ((p11 - gain[1] * px[1]) / FORGETTING).clamp(0.0, IGNORANCE),
        ];
        self.seen = self.seen.saturating_add(1);
        // The first two residuals are those of a line through nothing.
        if self.seen > 2 {
            self.measure(error / base, clipped / base);
        }
    }

    fn measure(&mut self, error: f64, clipped: f64) {
        let n = f64::from(self.seen - 2);
        let weight = (1.0 / n).max(1.0 / SPREAD_MEMORY);
        self.variance += weight * (clipped * clipped - self.variance);
        self.neighbours += weight * (clipped * self.last - self.neighbours);
        let step = (clipped - self.last).abs() / MEAN_DIFFERENCE;
        let step = if self.seen < FIRST { step } else { step.min(4.0 * self.rough.max(0.005)) };
        self.rough += weight * (step - self.rough);
        self.last = clipped;
        if self.seen <= FIRST {
            self.scale = self.variance.sqrt();
        } else {
            let above = error.abs() > MEDIAN * self.scale;
            self.scale *= (weight * if above { 1.0 } else { -1.0 }).exp();
            self.scale = self.scale.max(0.002);
        }
    }

    /// Cores that one request a second costs.
    #[cfg(test)]
    fn cost(&self) -> f64 {
        if self.unit > 0.0 { self.theta[1] / self.unit } else { 0.0 }
    }

    /// Makes the next samples count as if little were known: after an operator's accept, or a change that was found
    /// to be explained.
    pub(crate) fn doubt(&mut self, factor: f64) {
        self.p = self.p.map(|p| p * factor);
        self.p[0] = self.p[0].min(IGNORANCE);
        self.p[2] = self.p[2].min(IGNORANCE);
        let bound = (self.p[0] * self.p[2]).sqrt();
        self.p[1] = self.p[1].clamp(-bound, bound);
    }

    pub(crate) fn walk(&mut self, end: &mut impl End) {
        let Self { theta, p, scale, rough, neighbours, variance, last, unit, seen } = self;
        let [p00, p01, p11] = p;
        for each in theta.iter_mut().chain([p01, neighbours, last]) {
            end.real(each);
        }
        for each in [p00, p11, scale, rough, variance, unit] {
            end.amount(each);
        }
        end.u32(seen);
    }

    fn line(&self, x: [f64; 2]) -> f64 {
        (self.theta[0] * x[0] + self.theta[1] * x[1]).max(0.0)
    }

    fn inputs(&self, requests: f64) -> [f64; 2] {
        [1.0, if self.unit > 0.0 { requests / self.unit } else { 0.0 }]
    }

    /// Neighbouring residuals resemble each other, so a run of them proves less than as many independent ones:
    /// `sqrt((1+rho)/(1-rho))`, at most 2 here, because the cumulative sum clips each sample as well.
    fn inflation(&self) -> f64 {
        if self.variance <= 0.0 {
            return 1.0;
        }
        let rho = (self.neighbours / self.variance).clamp(0.0, 0.9);
        ((1.0 + rho) / (1.0 - rho)).sqrt().min(2.0)
    }
}

/// What spreads are relative to.
pub(crate) fn base(cores: f64, limit: f64) -> f64 {
    cores + 0.1 * limit
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A day of a replica at 0.2 cores and 10 ms a request, with a little deterministic noise.
    fn learned() -> Regression {
        let mut model = Regression::new();
        for minute in 0..1440 {
            let (requests, cores) = slice(minute);
            model.learn(requests, cores, 2.0);
        }
        model
    }

    fn slice(minute: i32) -> (f64, f64) {
        let t = f64::from(minute);
        let requests = 60.0 + 40.0 * (t / 1440.0 * std::f64::consts::TAU).sin() + 5.0 * (t * 1.7).sin();
        (requests, 0.2 + 0.01 * requests + 0.02 * (t * 2.3).sin())
    }

    #[test]
    fn learns_rest_and_cost() {
        let model = learned();
        assert!((model.rest(2.0).cores - 0.2).abs() < 0.01, "{model:?}");
        assert!((model.cost() - 0.01).abs() < 0.0005, "{model:?}");
    }

    #[test]
    fn a_wild_tenth_of_the_samples_changes_little() {
        let mut model = Regression::new();
        for minute in 0..1440 {
            let (requests, cores) = slice(minute);
            let wild = if minute > 60 && minute % 10 == 0 { 8.0 } else { 0.0 };
            model.learn(requests, cores + wild, 2.0);
        }
        let expected = model.expect(100.0, 2.0).cores;
        assert!((expected - 1.2).abs() < 0.1, "{expected}");
    }

    #[test]
    fn unknown_ground_is_uncertain() {
        let mut model = Regression::new();
        for minute in 0..120 {
            let t = f64::from(minute);
            let requests = 10.0 + 0.2 * (t * 1.7).sin();
            model.learn(requests, 0.2 + 0.01 * requests + 0.02 * (t * 2.3).sin(), 2.0);
        }
        let (near, far) = (model.expect(10.0, 2.0), model.expect(100.0, 2.0));
        assert!(far.spread > 3.0 * near.spread, "{near:?} {far:?}");
    }
}
