//! How many different things there were, of which none is kept: 512 registers of one byte, within 5 % (one deviation).
//!
//! Each register has the longest run of zeros that a hash of its share began with (Flajolet and others 2007); while
//! registers are empty, their number tells more.

const REGISTERS: usize = 512;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Registers([u8; REGISTERS]);

impl Default for Registers {
    fn default() -> Self {
        Self([0; REGISTERS])
    }
}

impl Registers {
    #[inline]
    pub(super) fn add(&mut self, hash: u32) {
        let run = 1 + (hash | (REGISTERS as u32 - 1)).leading_zeros() as u8;
        let register = &mut self.0[hash as usize % REGISTERS];
        *register = run.max(*register);
    }

    pub(super) fn merge(&mut self, other: &Self) {
        for (register, others) in self.0.iter_mut().zip(&other.0) {
            *register = others.max(register).to_owned();
        }
    }

    pub(super) fn count(&self) -> f64 {
        let m = REGISTERS as f64;
        let sum: f64 = self.0.iter().map(|run| (-f64::from(*run)).exp2()).sum();
        let count = 0.7213 / (1.0 + 1.079 / m) * m * m / sum;
        let empty = self.0.iter().filter(|run| **run == 0).count();
        if count <= 2.5 * m && empty > 0 { m * (m / empty as f64).ln() } else { count }
    }
}
