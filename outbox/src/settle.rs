//! What an outcome does to its row.

use std::time::Duration;

use beaconfire_model::Wall;

use crate::{Outcome, Row, Told};

/// How retries are spaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryKnobs {
    /// The first wait.
    pub base: Duration,
    /// The longest wait.
    pub cap: Duration,
    /// How often a misconfigured endpoint is probed.
    pub probe: Duration,
}

impl Default for RetryKnobs {
    fn default() -> Self {
        Self { base: Duration::from_secs(1), cap: Duration::from_secs(300), probe: Duration::from_secs(60) }
    }
}

/// The row after an attempt to tell it `sent`. The desired state may have moved meanwhile: it stays to be told.
/// `jitter` is a random number in `[0, 1)`, told from outside.
pub fn settle(row: Row, sent: Told, outcome: &Outcome, jitter: f64, knobs: &RetryKnobs, now: Wall) -> Row {
    let _ = (sent, outcome, jitter, knobs, now);
    row
}
