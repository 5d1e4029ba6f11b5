//! One number of a service, and what it usually is.

/// A clipped mean and deviation that forget in about two days of minutes. Clipping at three deviations makes it as
/// deaf to short events as a median, and following is what a median of two weeks cannot do.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct View {
    pub(super) seen: f64,
    pub(super) mean: f64,
    pub(super) variance: f64,
}

const MEMORY: f64 = 2880.0;
/// Values before it is known.
const KNOWN: f64 = 60.0;

impl View {
    pub(crate) fn learn(&mut self, value: f64) {
        let clip = 3.0 * self.variance.sqrt();
        let d = value - self.mean;
        let d = if self.seen < 30.0 { d } else { d.clamp(-clip, clip) };
        self.seen = (self.seen + 1.0).min(MEMORY);
        self.mean += d / self.seen;
        self.variance = (1.0 - 1.0 / self.seen) * (self.variance + d * d / self.seen);
    }

    pub(crate) fn usual(&self) -> Option<f64> {
        (self.seen >= KNOWN).then_some(self.mean)
    }

    /// How many deviations above the usual; 0 while that is not known. A deviation is at least 5 % of the mean, so that
    /// what never varied does not make every change a wonder.
    pub(crate) fn z(&self, value: f64) -> f64 {
        self.z_with(value, 0.0, 0.0)
    }

    /// The same where so much of the variance came of the numbers being small, and now so much does.
    pub(super) fn z_with(&self, value: f64, chance_then: f64, chance_now: f64) -> f64 {
        let variance = (self.variance - chance_then).max((0.05 * self.mean).powi(2)).max(1e-12);
        self.usual().map_or(0.0, |mean| (value - mean) / (variance + chance_now).sqrt())
    }
}
