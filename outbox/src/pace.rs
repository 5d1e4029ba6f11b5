//! How fast one endpoint may be told: a configured ceiling (governor, on a told clock), pauses that the endpoint asks
//! for, and a share of ours that halves when it says "too many" and grows back slowly.

use std::num::NonZeroU32;
use std::time::Duration;

use beaconfire_model::Wall;
use governor::clock::{Clock as _, FakeRelativeClock};
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

use crate::IntegrationKind;
use crate::settle::PAUSE_MAX;

/// A ceiling: so many in a period, so many at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Deliveries a minute, at least 1.
    pub per_minute: NonZeroU32,
    /// How many may go at once, at least 1.
    pub burst: NonZeroU32,
}

impl Rate {
    /// What the services themselves allow: Slack about one message a second and channel, PagerDuty about 120 events a
    /// minute and key, mail relays what postmasters bear.
    pub const fn of(kind: IntegrationKind) -> Self {
        let (per_minute, burst) = match kind {
            IntegrationKind::Email => (30, 10),
            IntegrationKind::Slack => (50, 5),
            IntegrationKind::PagerDuty => (100, 20),
            IntegrationKind::Webhook => (600, 20),
        };
        // All four pairs are above zero.
        match (NonZeroU32::new(per_minute), NonZeroU32::new(burst)) {
            (Some(per_minute), Some(burst)) => Self { per_minute, burst },
            _ => Self { per_minute: NonZeroU32::MIN, burst: NonZeroU32::MIN },
        }
    }
}

type Limiter = RateLimiter<NotKeyed, InMemoryState, FakeRelativeClock, NoOpMiddleware<Nanos>>;

/// The smallest share of the ceiling that is kept.
const SHARE_MIN: f64 = 1.0 / 16.0;
/// A tenth of the ceiling comes back after so long without a 429.
const RECOVER_EVERY: Duration = Duration::from_secs(30);

/// The pace of one endpoint.
#[derive(Debug)]
pub struct Pace {
    limiter: Limiter,
    clock: FakeRelativeClock,
    period: Duration,
    told: Wall,
    paused_until: Option<Wall>,
    share: f64,
    recovered_at: Wall,
    /// While the share is below 1, the earliest time of the next delivery.
    spaced_until: Wall,
}

impl Pace {
    /// A pace with this ceiling, its burst available once.
    pub fn new(rate: Rate, now: Wall) -> Self {
        let period = Duration::from_secs(60) / rate.per_minute.get();
        let quota = Quota::with_period(period).unwrap_or_else(|| Quota::per_minute(rate.per_minute));
        let clock = FakeRelativeClock::default();
        Self {
            limiter: RateLimiter::direct_with_clock(quota.allow_burst(rate.burst), clock.clone()),
            clock,
            period,
            told: now,
            paused_until: None,
            share: 1.0,
            recovered_at: now,
            spaced_until: now,
        }
    }

    fn tell(&mut self, now: Wall) {
        // A clock that was set back stands still until it has caught up.
        self.clock.advance(now.since(self.told));
        self.told = self.told.max(now);
        while self.share < 1.0 && now.since(self.recovered_at) >= RECOVER_EVERY {
            self.share = (self.share + 0.1).min(1.0);
            self.recovered_at = self.recovered_at.plus(RECOVER_EVERY);
        }
    }

    /// Takes one delivery, or says when to ask again.
    pub fn take(&mut self, now: Wall) -> Result<(), Wall> {
        self.tell(now);
        let wait_until = self.paused_until.unwrap_or(now).max(self.spaced_until);
        if wait_until > now {
            return Err(wait_until);
        }
        match self.limiter.check() {
            Ok(()) => {
                if self.share < 1.0 {
                    self.spaced_until = now.plus(self.period.div_f64(self.share));
                }
                Ok(())
            }
            Err(not_yet) => Err(now.plus(not_yet.wait_time_from(self.clock.now()).max(Duration::from_millis(1)))),
        }
    }

    /// The endpoint said "too many": pause, and halve our share. `after` is its own wish.
    pub fn limited(&mut self, after: Option<Duration>, now: Wall) {
        self.tell(now);
        let pause = after.unwrap_or(Duration::from_secs(1)).min(PAUSE_MAX);
        self.paused_until = Some(self.paused_until.unwrap_or(now).max(now.plus(pause)));
        self.share = (self.share / 2.0).max(SHARE_MIN);
        self.recovered_at = now.plus(pause);
    }

    /// Until when the endpoint is paused, if it is.
    pub fn paused_until(&self, now: Wall) -> Option<Wall> {
        self.paused_until.filter(|until| *until > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Wall {
        Wall::from_millis(millis)
    }

    fn slack() -> Rate {
        Rate::of(IntegrationKind::Slack)
    }

    #[test]
    fn a_burst_then_the_ceiling() {
        let mut pace = Pace::new(slack(), at(0));
        let sent = |pace: &mut Pace, from: i64, to: i64| (from..to).filter(|ms| pace.take(at(*ms)).is_ok()).count();
        assert_eq!(sent(&mut pace, 0, 1_000), 5);
        assert_eq!(sent(&mut pace, 1_000, 61_000), 50);
    }

    #[test]
    fn retry_after_is_honoured_to_the_millisecond() {
        let mut pace = Pace::new(slack(), at(0));
        pace.take(at(0)).unwrap();
        pace.limited(Some(Duration::from_secs(5)), at(0));
        assert_eq!(pace.take(at(4_999)), Err(at(5_000)));
        assert_eq!(pace.take(at(5_000)), Ok(()));
        assert_eq!(pace.paused_until(at(5_000)), None);
    }

    #[test]
    fn the_share_halves_and_comes_back() {
        let mut pace = Pace::new(slack(), at(0));
        pace.limited(None, at(0));
        let sent = |pace: &mut Pace, from: i64, to: i64| (from..to).filter(|ms| pace.take(at(*ms)).is_ok()).count();
        let slow = sent(&mut pace, 1_000, 31_000);
        assert!((12..=14).contains(&slow), "half the ceiling: {slow}");
        let later = sent(&mut pace, 400_000, 430_000);
        assert!(later >= 25, "the whole ceiling: {later}");
    }
}
