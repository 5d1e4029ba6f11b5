//! The circuit breaker of one integration: an endpoint that takes nothing is asked now and then with one message, not
//! with every one that waits. Nothing is dropped while it is open; the rows stay where they are.

use std::collections::BTreeSet;
use std::time::Duration;

use beaconfire_model::Wall;

use crate::Outcome;

/// Failures in a row that open it.
const FAILURES: u32 = 5;

/// They are about so many matters at least: fewer may be messages that the endpoint chokes on, which their own waits
/// space out, and which must not keep a page from an endpoint that is well.
const MATTERS: usize = 3;

/// The wait before the first probe; it doubles up to [`WAIT_MAX`].
const WAIT: Duration = Duration::from_secs(5);
const WAIT_MAX: Duration = Duration::from_secs(60);

/// What an outcome did to the breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Switch {
    /// Nothing.
    Stays,
    /// The endpoint takes nothing: what waits is due, and goes when a probe gets through.
    Opened,
    /// An endpoint that was away takes messages again: nobody need wait out what failures have earned.
    Closed,
}

/// Whether an endpoint is worth asking.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Breaker {
    /// Failures since the endpoint answered in any way.
    failures: u32,
    /// What they were about, since it took something; at most [`MATTERS`].
    matters: BTreeSet<Box<str>>,
    /// Open: how many probes have failed, and when the next may go.
    open: Option<(u32, Wall)>,
}

impl Breaker {
    /// Whether a message may go now, or when the next probe may.
    pub fn allows(&self, now: Wall) -> Result<(), Wall> {
        match self.open {
            Some((_, until)) if until > now => Err(until),
            _ => Ok(()),
        }
    }

    /// Whether it is open, the moment of a probe included.
    pub const fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Takes down what came of a message about `matter`.
    pub fn heed(&mut self, matter: &str, outcome: &Outcome, now: Wall) -> Switch {
        if let Outcome::Deferred { .. } = outcome {
            self.failures = self.failures.saturating_add(1);
            if self.matters.len() < MATTERS {
                self.matters.insert(matter.into());
            }
            if let Some((probes, _)) = self.open {
                let probes = probes.saturating_add(1);
                self.open = Some((probes, now.plus(wait(probes))));
                return Switch::Stays;
            }
            if self.failures < FAILURES || self.matters.len() < MATTERS {
                return Switch::Stays;
            }
            self.open = Some((0, now.plus(wait(0))));
            return Switch::Opened;
        }
        // Whatever it said, it is there.
        (self.failures, self.open) = (0, None);
        if !matches!(outcome, Outcome::Accepted { .. }) {
            return Switch::Stays;
        }
        let was_away = self.matters.len() >= MATTERS;
        self.matters.clear();
        if was_away { Switch::Closed } else { Switch::Stays }
    }
}

fn wait(probes: u32) -> Duration {
    WAIT.saturating_mul(1u32.checked_shl(probes).unwrap_or(u32::MAX)).min(WAIT_MAX)
}
