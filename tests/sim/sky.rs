//! What every part of a simulation is under: one clock, one source of chance, and whether anything may go wrong.

use std::cell::{Cell, RefCell};

use beaconfire_model::Wall;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

#[derive(Debug)]
pub struct Sky {
    now: Cell<i64>,
    chance: RefCell<StdRng>,
    calm: Cell<bool>,
}

impl Sky {
    pub fn new(now: i64, seed: u64, calm: bool) -> Self {
        Self { now: Cell::new(now), chance: RefCell::new(StdRng::seed_from_u64(seed)), calm: Cell::new(calm) }
    }

    pub fn millis(&self) -> i64 {
        self.now.get()
    }

    pub fn now(&self) -> Wall {
        Wall::from_millis(self.now.get())
    }

    pub fn pass(&self, millis: i64) {
        self.now.set(self.now.get() + millis);
    }

    /// Whether nothing goes wrong (any more).
    pub fn is_calm(&self) -> bool {
        self.calm.get()
    }

    pub fn calm_down(&self) {
        self.calm.set(true);
    }

    /// A number below `n`.
    pub fn below(&self, n: usize) -> usize {
        self.chance.borrow_mut().random_range(0..n.max(1))
    }

    /// Whether something goes wrong that does so once in `n` times; never while all is calm.
    pub fn once_in(&self, n: usize) -> bool {
        !self.calm.get() && self.below(n) == 0
    }
}
