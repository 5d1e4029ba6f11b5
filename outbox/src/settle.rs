//! What an outcome does to its row.

use std::time::Duration;

use beaconfire_model::{Untrusted, Wall};

use crate::desire::lane;
use crate::{Fate, Outcome, Row, Told};

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

/// The longest pause that an endpoint may ask for.
pub(crate) const PAUSE_MAX: Duration = Duration::from_secs(900);

/// The row after an attempt to tell it `sent`. The desired state may have moved meanwhile: it stays to be told.
/// `jitter` is a random number in `[0, 1)`, told from outside.
pub fn settle(mut row: Row, sent: Told, outcome: &Outcome, jitter: f64, knobs: &RetryKnobs, now: Wall) -> Row {
    match outcome {
        Outcome::Accepted { remote } => {
            row.fate = Fate::Delivered;
            row.told = Some(sent);
            row.messages += 1;
            row.attempts = 0;
            row.last_error = None;
            row.due = now;
            if remote.is_some() {
                row.handle.clone_from(remote);
            }
            row.lane = lane(row.told, row.desired);
            row.waiting_since = now;
        }
        Outcome::Limited { after } => {
            row.due = now.plus(after.unwrap_or(Duration::from_secs(1)).min(PAUSE_MAX));
        }
        Outcome::Deferred { after, said } => {
            row.attempts = row.attempts.saturating_add(1);
            // Full jitter: anything up to the exponential bound, and never less than the receiver asks for.
            let bound = knobs.base.saturating_mul(1 << row.attempts.min(16)).min(knobs.cap);
            let wait = bound.mul_f64(jitter.clamp(0.0, 1.0)).max(Duration::from_millis(100));
            row.due = now.plus(wait.max(after.unwrap_or_default().min(PAUSE_MAX)));
            row.last_error = Some(cleaned(said));
        }
        Outcome::Misconfigured { said } => {
            row.attempts = row.attempts.saturating_add(1);
            row.due = now.plus(knobs.probe);
            row.last_error = Some(cleaned(said));
        }
        Outcome::Rejected { said } => {
            row.last_error = Some(cleaned(said));
            row.attempts = 0;
            if row.told.is_none() {
                row.fate = Fate::Dead;
            } else {
                // The opening was delivered; this state never will be, and is not tried again.
                row.told = Some(sent);
            }
        }
        Outcome::Gone => {
            // Whoever deleted the message is told afresh; the delivery is still one.
            row.handle = None;
            row.due = now;
        }
    }
    row
}

fn cleaned(said: &str) -> String {
    Untrusted::new(said, 512).clean().to_owned()
}
