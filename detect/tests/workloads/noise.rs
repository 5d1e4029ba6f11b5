//! Randomness that is the same everywhere: SplitMix64, and noise made of it.

#[derive(Debug, Clone)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    pub(crate) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    pub(crate) fn whole(&mut self, low: i64, high: i64) -> i64 {
        low + (self.next() % (high - low + 1).unsigned_abs()) as i64
    }

    pub(crate) fn chance(&mut self, p: f64) -> bool {
        self.unit() < p
    }

    pub(crate) fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[(self.next() % of.len() as u64) as usize]
    }

    /// Normal, near enough: the sum of four uniform draws.
    pub(crate) fn normal(&mut self) -> f64 {
        let bits = self.next();
        let sum: u64 = (0..4).map(|i| bits >> (16 * i) & 0xffff).sum();
        (sum as f64 / 65_536.0 - 2.0) * 1.732
    }
}

/// Noise with a memory of about `minutes`, of deviation one.
#[derive(Debug, Clone)]
pub(crate) struct Slow {
    value: f64,
    keep: f64,
}

impl Slow {
    pub(crate) fn new(minutes: f64, rng: &mut Rng) -> Self {
        Self { value: rng.normal(), keep: (-1.0 / minutes).exp() }
    }

    pub(crate) fn next(&mut self, rng: &mut Rng) -> f64 {
        self.value = self.keep * self.value + (1.0 - self.keep * self.keep).sqrt() * rng.normal();
        self.value
    }
}
