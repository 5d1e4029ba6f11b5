//! The last 48 minutes of a workload, and the few statistics that tell a plateau from work.

use crate::sealed::End;

/// Minutes kept: what a ticket within 45 minutes can look back on.
pub(crate) const KEPT: usize = 48;

/// One closed minute. Single precision: 48 of these are a third of what is kept of a workload.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Minute {
    pub(crate) cores: f32,
    /// Above what was expected.
    pub(crate) excess: f32,
    pub(crate) requests: f32,
    /// Mebibytes.
    pub(crate) memory: f32,
    /// Bytes a second.
    pub(crate) network: f32,
    /// More than three spreads above what was expected.
    pub(crate) hot: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Window {
    ring: [Minute; KEPT],
    next: usize,
    len: usize,
}

impl Window {
    pub(crate) fn new() -> Self {
        Self { ring: [Minute::default(); KEPT], next: 0, len: 0 }
    }

    pub(crate) fn push(&mut self, minute: Minute) {
        self.ring[self.next] = minute;
        self.next = (self.next + 1) % KEPT;
        self.len = (self.len + 1).min(KEPT);
    }

    pub(crate) fn clear(&mut self) {
        self.len = 0;
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Only the minutes that there are, the oldest first.
    pub(crate) fn walk(&mut self, end: &mut impl End) {
        let mut len = self.len;
        end.size(&mut len, KEPT);
        let mut ring = [Minute::default(); KEPT];
        for (slot, minute) in ring.iter_mut().zip(self.last(KEPT)) {
            *slot = minute;
        }
        for Minute { cores, excess, requests, memory, network, hot } in &mut ring[..len] {
            for each in [cores, excess, requests, memory, network] {
                end.f32(each);
                end.check(each.is_finite());
            }
            end.bool(hot);
        }
        *self = Self { ring, next: len % KEPT, len };
    }

    /// The last `n` minutes, oldest first (fewer where there are fewer).
    pub(crate) fn last(&self, n: usize) -> impl Iterator<Item = Minute> + Clone + '_ {
        let n = n.min(self.len);
        (0..n).map(move |i| self.ring[(self.next + KEPT - n + i) % KEPT])
    }
}

/// Mean, spread and drift of some minutes.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Level {
    pub(crate) mean: f64,
    pub(crate) deviation: f64,
    /// How far a straight line through them rises from first to last.
    pub(crate) drift: f64,
}

impl Level {
    pub(crate) fn of(values: impl Iterator<Item = f32> + Clone) -> Self {
        let (mut n, mut sum) = (0.0, 0.0);
        for value in values.clone() {
            n += 1.0;
            sum += f64::from(value);
        }
        if n < 2.0 {
            return Self { mean: sum / f64::max(n, 1.0), ..Self::default() };
        }
        let (mean, middle) = (sum / n, (n - 1.0) / 2.0);
        let (mut squares, mut product, mut times) = (0.0, 0.0, 0.0);
        for (i, value) in values.enumerate() {
            let (d, t) = (f64::from(value) - mean, i as f64 - middle);
            squares += d * d;
            product += d * t;
            times += t * t;
        }
        Self { mean, deviation: (squares / (n - 1.0)).sqrt(), drift: product / times * (n - 1.0) }
    }

    /// The coefficient of variation.
    pub(crate) fn variation(self) -> f64 {
        if self.mean > 0.0 { self.deviation / self.mean } else { f64::INFINITY }
    }
}

/// The 5th percentile over the 95th: 1 on a plateau, small where there are dips.
pub(crate) fn evenness(values: impl Iterator<Item = f32>) -> f64 {
    let (sorted, n) = sorted(values);
    if n == 0 {
        return 0.0;
    }
    let (low, high) = (sorted[n / 20], sorted[n - 1 - n / 20]);
    if high > 0.0 { f64::from(low) / f64::from(high) } else { 0.0 }
}

/// The middle one; zero where there is none.
pub(crate) fn median(values: impl Iterator<Item = f32>) -> f64 {
    let (sorted, n) = sorted(values);
    if n == 0 { 0.0 } else { f64::from(sorted[n / 2]) }
}

/// By how much each change differs from the one before it: a heap that fills evenly, or a leak, is steady.
pub(crate) fn unsteadiness(values: impl Iterator<Item = f32> + Clone) -> impl Iterator<Item = f32> {
    let (second, third) = (values.clone().skip(1), values.clone().skip(2));
    values.zip(second).zip(third).map(|((a, b), c)| (c - 2.0 * b + a).abs())
}

/// What one in ten lies below; zero where there is none.
pub(crate) fn lower(values: impl Iterator<Item = f32>) -> f64 {
    let (sorted, n) = sorted(values);
    if n == 0 { 0.0 } else { f64::from(sorted[n / 10]) }
}

/// What one in ten lies above; zero where there is none.
pub(crate) fn upper(values: impl Iterator<Item = f32>) -> f64 {
    let (sorted, n) = sorted(values);
    if n == 0 { 0.0 } else { f64::from(sorted[(n * 9 / 10).min(n - 1)]) }
}

fn sorted(values: impl Iterator<Item = f32>) -> ([f32; KEPT], usize) {
    let mut sorted = [0f32; KEPT];
    let mut n = 0;
    for value in values.take(KEPT) {
        sorted[n] = value;
        n += 1;
    }
    sorted[..n].sort_by(f32::total_cmp);
    (sorted, n)
}

/// The slope of `y` on `x` by least squares, its standard error, and the mean of `x`.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Slope {
    pub(crate) slope: f64,
    pub(crate) error: f64,
    pub(crate) mean_x: f64,
    pub(crate) correlation: f64,
}

impl Slope {
    pub(crate) fn of(pairs: impl Iterator<Item = (f32, f32)> + Clone) -> Self {
        let (mut n, mut sx, mut sy) = (0.0, 0.0, 0.0);
        for (x, y) in pairs.clone() {
            n += 1.0;
            sx += f64::from(x);
            sy += f64::from(y);
        }
        if n < 4.0 {
            return Self { error: f64::INFINITY, ..Self::default() };
        }
        let (mx, my) = (sx / n, sy / n);
        let (mut xx, mut xy, mut yy) = (0.0, 0.0, 0.0);
        for (x, y) in pairs.clone() {
            let (dx, dy) = (f64::from(x) - mx, f64::from(y) - my);
            xx += dx * dx;
            xy += dx * dy;
            yy += dy * dy;
        }
        if xx <= 0.0 {
            return Self { error: f64::INFINITY, mean_x: mx, ..Self::default() };
        }
        let slope = xy / xx;
        let rest = (yy - slope * xy).max(0.0) / (n - 2.0);
        let correlation = if yy > 0.0 { xy / (xx * yy).sqrt() } else { 0.0 };
        let inflation = inflation(pairs.map(|(x, y)| f64::from(y) - my - slope * (f64::from(x) - mx)));
        Self { slope, error: (rest / xx).sqrt() * inflation, mean_x: mx, correlation }
    }
}

/// Neighbours that resemble each other prove less than as many independent ones: `sqrt((1+rho)/(1-rho))`, at most 3.
fn inflation(residuals: impl Iterator<Item = f64>) -> f64 {
    let (mut squares, mut products, mut last) = (0.0, 0.0, 0.0);
    for residual in residuals {
        squares += residual * residual;
        products += residual * last;
        last = residual;
    }
    let rho = if squares > 0.0 { (products / squares).clamp(0.0, 0.8) } else { 0.0 };
    ((1.0 + rho) / (1.0 - rho)).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_last_minutes_in_order() {
        let mut window = Window::new();
        for i in 0..100 {
            window.push(Minute { cores: i as f32, ..Minute::default() });
        }
        let last: Vec<f32> = window.last(3).map(|minute| minute.cores).collect();
        assert_eq!(last, [97.0, 98.0, 99.0]);
        assert_eq!(window.last(500).count(), KEPT);
    }

    #[test]
    fn a_ramp_drifts_and_a_dip_is_uneven() {
        let ramp = Level::of((0..10).map(|i| 1.0 + i as f32 * 0.1));
        assert!((ramp.drift - 0.9).abs() < 1e-6 && (ramp.mean - 1.45).abs() < 1e-6, "{ramp:?}");
        let dips = (0..40).map(|i| if i % 10 == 0 { 0.5 } else { 1.0 });
        assert!(evenness(dips) < 0.6);
        assert!(evenness((0..40).map(|i| 1.0 + (i % 3) as f32 * 0.01)) > 0.97);
    }

    #[test]
    fn a_slope_comes_with_its_error() {
        let line = Slope::of((0..30).map(|i| (i as f32, 2.0 * i as f32 + (i % 2) as f32 * 0.1)));
        assert!((line.slope - 2.0).abs() < 0.01 && line.error < 0.01, "{line:?}");
        assert!(
            Slope::of((0..30).map(|i| (5.0, i as f32))).error.is_infinite(),
            "no slope where x stands still"
        );
    }
}
