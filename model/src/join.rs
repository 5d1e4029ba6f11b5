//! Values that can only be joined: what a replay touches is a minimum, a maximum or a peak, never a sum, so that
//! folding the same fact twice changes nothing.

use crate::EventTime;

/// The earliest of several times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Earliest(pub EventTime);

/// The latest of several times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Latest(pub EventTime);

/// The highest of several measurements; not a number joins as nothing.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Peak(pub f64);

impl Earliest {
    /// The earlier of the two.
    #[must_use]
    pub fn join(self, other: Self) -> Self {
        Self(self.0.min(other.0))
    }
}

impl Latest {
    /// The later of the two.
    #[must_use]
    pub fn join(self, other: Self) -> Self {
        Self(self.0.max(other.0))
    }
}

impl Peak {
    /// The higher of the two.
    #[must_use]
    pub fn join(self, other: Self) -> Self {
        Self(self.0.max(other.0))
    }
}
