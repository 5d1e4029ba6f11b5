//! What people do to a row that has not been told in full: try it now, or let it be.

use beaconfire_model::Wall;

use crate::{Fate, Row, Suppressed};

/// What is to be done to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByHand {
    /// Tried again at once: what waits, what is a dead letter, and what somebody has dropped.
    Retry,
    /// Told no more, until there is fresh news of the incident.
    Drop,
}

impl ByHand {
    /// What has then happened to it; the word in the incident's timeline.
    pub const fn done(self) -> &'static str {
        match self {
            Self::Retry => "retried",
            Self::Drop => "dropped",
        }
    }

    /// The row afterwards; where it makes no sense, why, in words for the person who asked.
    ///
    /// - Retry: a dead letter waits again, with what is to be told as it is now, as if it had never failed; what waits
    ///   is due. How often that has failed is kept: an endpoint that is still down is not hurried.
    /// - Drop: who was never told never is, and the ledger has it as dropped; who was, counts as told.
    pub fn apply(self, mut row: Row, now: Wall) -> Result<Row, &'static str> {
        match (self, &row.fate) {
            (Self::Retry, Fate::Dead | Fate::Suppressed(Suppressed::Dropped)) => {
                row.fate = Fate::Pending;
                afresh(&mut row, now);
            }
            (Self::Retry, Fate::Held(_)) => {
                return Err("it waits for a digest, which goes as soon as its receiver takes one");
            }
            (_, Fate::Suppressed(why)) if why.is_quiet() => {
                return Err("a silence, a time interval or another incident keeps it quiet for now");
            }
            (_, Fate::Suppressed(_)) => return Err("it is not to be told, and nothing of it waits"),
            (Self::Drop, Fate::Pending | Fate::Held(_) | Fate::Dead) => {
                row.fate = Fate::Suppressed(Suppressed::Dropped);
            }
            _ if row.next_action().is_none() => return Err("there is nothing left to tell"),
            (Self::Retry, _) => row.due = now,
            (Self::Drop, _) => {
                row.told = Some(row.desired);
                row.again = false;
                afresh(&mut row, now);
            }
        }
        row.lane = row.lane();
        Ok(row)
    }
}

fn afresh(row: &mut Row, now: Wall) {
    row.attempts = 0;
    row.due = now;
    row.waiting_since = now;
}
