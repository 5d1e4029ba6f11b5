//! What an outcome does to its row.

use std::time::Duration;

use beaconfire_incident::Status;
use beaconfire_model::{Untrusted, Wall};

use crate::{Fate, Outcome, Row, Told};

/// The longest wait that a receiver may ask for: what it says is a stranger's number too.
pub(crate) const ASKED_MAX: Duration = Duration::from_secs(15 * 60);

/// Longest text of what went wrong, in bytes.
const SAID_MAX: usize = 500;

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
///
/// - Accepted: the receiver knows `sent`; the row is delivered, whatever it was meanwhile. What was said against it
///   nevertheless is kept.
/// - Limited: no attempt; again when the receiver says so, or after a second.
/// - Deferred: again after a random part of a wait that doubles from `base` to `cap`, and not before the receiver
///   says so; without end.
/// - Misconfigured: kept, and probed.
/// - Rejected: a row that was never told becomes a dead letter; one that was told counts as told up to `sent`, so
///   that only a newer state is tried.
/// - Gone: the remote message was deleted. The handle is forgotten, and the same state told afresh. A receiver that
///   says so where no handle was given is treated as if it had deferred.
pub fn settle(
    mut row: Row,
    sent: Told,
    outcome: &Outcome,
    jitter: f64,
    knobs: &RetryKnobs,
    now: Wall,
) -> Row {
    match outcome {
        Outcome::Accepted { remote, said } => {
            row.told = Some(newer(row.told, sent));
            row.handle = remote.clone().or(row.handle);
            // It arrived though it was kept back meanwhile; what is newer still is, unless it ends what has arrived.
            if matches!(row.fate, Fate::Suppressed(why) if why.is_quiet())
                && row.desired.status == Status::Open
            {
                row.desired = sent;
            }
            // What a digest has told of stays in its account.
            if !matches!(row.fate, Fate::InDigest(_)) {
                row.fate = Fate::Delivered;
            }
            row.messages = row.messages.saturating_add(1);
            row.again = false;
            row.last_error = said.as_deref().map(clean);
            renew(&mut row, now);
        }
        Outcome::Limited { after } => {
            row.due = now.plus(after.unwrap_or(knobs.base).min(ASKED_MAX));
        }
        Outcome::Deferred { after, said } => {
            again(&mut row, *after, jitter, knobs, now);
            row.last_error = Some(clean(said));
        }
        Outcome::Misconfigured { said } => {
            row.due = now.plus(knobs.probe);
            row.last_error = Some(clean(said));
        }
        Outcome::Rejected { said } => {
            match row.fate {
                Fate::Pending | Fate::Held(_) => row.fate = Fate::Dead,
                Fate::Delivered | Fate::InDigest(_) => {
                    row.again = false;
                    row.told = Some(newer(row.told, sent));
                    renew(&mut row, now);
                }
                Fate::Suppressed(_) | Fate::Dead => {}
            }
            row.last_error = Some(clean(said));
        }
        Outcome::Gone => match row.handle.take() {
            Some(_) => row.due = now,
            None => {
                again(&mut row, None, jitter, knobs, now);
                row.last_error =
                    Some("the receiver says that a message is gone which it never gave us".into());
            }
        },
    }
    row.lane = row.lane();
    row
}

/// What is left to tell is told from now on, without regard to what failed before.
fn renew(row: &mut Row, now: Wall) {
    row.attempts = 0;
    row.due = now;
    row.waiting_since = now;
}

fn again(row: &mut Row, asked: Option<Duration>, jitter: f64, knobs: &RetryKnobs, now: Wall) {
    row.due = now.plus(back_off(row.attempts, asked, jitter, knobs));
    row.attempts = row.attempts.saturating_add(1);
}

/// How long to wait after one more failure than `attempts`.
pub(crate) fn back_off(attempts: u32, asked: Option<Duration>, jitter: f64, knobs: &RetryKnobs) -> Duration {
    let doubled = knobs.base.saturating_mul(1u32.checked_shl(attempts).unwrap_or(u32::MAX));
    let jitter = if jitter.is_finite() { jitter.clamp(0.0, 1.0) } else { 1.0 };
    doubled.min(knobs.cap).mul_f64(jitter).max(asked.unwrap_or_default().min(ASKED_MAX))
}

/// Only one delivery of a row is under way at a time, so `sent` is the newer; a stray late answer is not believed.
fn newer(told: Option<Told>, sent: Told) -> Told {
    told.filter(|told| told.revision > sent.revision).unwrap_or(sent)
}

pub(crate) fn clean(said: &str) -> String {
    Untrusted::new(said, SAID_MAX).clean().to_owned()
}
