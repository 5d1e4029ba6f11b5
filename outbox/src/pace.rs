//! How fast one endpoint may be told: a configured ceiling (governor, on a told clock), pauses that the endpoint asks
//! for, and a share of ours that shrinks when it says "too many" and grows back slowly.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use beaconfire_model::Wall;
use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

use crate::IntegrationKind;
use crate::settle::ASKED_MAX;

/// A ceiling: so many in a period, so many at once.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// Deliveries a minute; 0 counts as 1.
    pub per_minute: u32,
    /// How many may go at once, after a pause long enough to save them up; 0 counts as 1.
    pub burst: u32,
}

impl Rate {
    /// The ceiling of an endpoint for which nothing is configured: a little beneath what each provider publishes.
    pub const fn of(kind: IntegrationKind) -> Self {
        match kind {
            IntegrationKind::Email => Self { per_minute: 30, burst: 10 },
            IntegrationKind::Slack => Self { per_minute: 60, burst: 5 },
            IntegrationKind::PagerDuty => Self { per_minute: 100, burst: 20 },
            IntegrationKind::Webhook => Self { per_minute: 600, burst: 20 },
            IntegrationKind::Teams => Self { per_minute: 60, burst: 4 },
            IntegrationKind::Discord => Self { per_minute: 120, burst: 5 },
            // A group takes 20 a minute, edits among them.
            IntegrationKind::Telegram => Self { per_minute: 18, burst: 3 },
            IntegrationKind::Alertmanager => Self { per_minute: 300, burst: 20 },
        }
    }
}

/// Our share of the ceiling, in 160ths: halves down to a 16th and tenths back up are whole numbers.
const WHOLE: u32 = 160;
const LEAST: u32 = WHOLE / 16;
const TENTH: u32 = WHOLE / 10;

/// How long without "too many" gives a tenth back.
const RECOVERY: Duration = Duration::from_secs(30);

/// The longest pause that we choose ourselves.
const CHOSEN_MAX: Duration = Duration::from_secs(300);

/// The pace of one endpoint. Keep it across a reload: a new one forgets what the endpoint asked for.
#[derive(Debug)]
pub struct Pace {
    clock: ToldClock,
    ceiling: RateLimiter<NotKeyed, InMemoryState, ToldClock, NoOpMiddleware<Nanos>>,
    period: Duration,
    /// The first pause where the endpoint does not say how long.
    patience: Duration,
    paused_until: Option<Wall>,
    /// Share and moment of the last "too many".
    limited: Option<(u32, Wall)>,
    /// "Too many" in a row, each within [`RECOVERY`] of the pause before it.
    streak: u32,
    /// Beneath a whole share: when the next may go.
    spaced_until: Wall,
}

impl Pace {
    /// A pace with this ceiling. It begins with one delivery at hand, not with the whole burst, which is saved up at
    /// the ceiling's rate: restarts and reloads give no free bursts, and the first page need not wait.
    pub fn new(rate: Rate, now: Wall) -> Self {
        let clock = ToldClock::starting(now);
        let period = Duration::from_secs(60) / rate.per_minute.max(1);
        let burst = NonZeroU32::new(rate.burst).unwrap_or(NonZeroU32::MIN);
        let quota =
            Quota::with_period(period).unwrap_or(Quota::per_minute(NonZeroU32::MIN)).allow_burst(burst);
        let ceiling = RateLimiter::direct_with_clock(quota, clock.clone());
        if let Some(kept_back) = NonZeroU32::new(burst.get() - 1) {
            // A new limiter is full, so this drains it down to one; there is nothing to do where it cannot.
            let _drained = ceiling.check_n(kept_back);
        }
        Self {
            clock,
            ceiling,
            period,
            patience: Duration::from_secs(1),
            paused_until: None,
            limited: None,
            streak: 0,
            spaced_until: now,
        }
    }

    /// A pace with the ceiling and the patience that suit this kind: PagerDuty says "too many" without saying how
    /// long, and means half a minute.
    pub fn of(kind: IntegrationKind, now: Wall) -> Self {
        let patience = match kind {
            IntegrationKind::PagerDuty => 30,
            _ => 1,
        };
        Self { patience: Duration::from_secs(patience), ..Self::new(Rate::of(kind), now) }
    }

    /// Takes one delivery, or says when to ask again.
    pub fn take(&mut self, now: Wall) -> Result<(), Wall> {
        if let Some(until) = self.paused_until(now) {
            return Err(until);
        }
        let share = self.share_in_160ths(now);
        if share < WHOLE && self.spaced_until > now {
            return Err(self.spaced_until);
        }
        self.clock.tell(now);
        self.ceiling.check().map_err(|refused| {
            // Rounded up, or asking again at that moment would be refused by a fraction of a millisecond.
            let wait = refused.wait_time_from(self.clock.now()).as_nanos().div_ceil(1_000_000);
            now.plus(Duration::from_millis(u64::try_from(wait).unwrap_or(u64::MAX)))
        })?;
        self.spaced_until = now.plus(self.period * WHOLE / share);
        Ok(())
    }

    /// The endpoint said "too many": pause, and halve our share. `after` is its own wish, honoured up to 15 minutes;
    /// without one the pause doubles from one "too many" to the next, up to 5 minutes. Several that answer one burst
    /// halve the share once.
    pub fn limited(&mut self, after: Option<Duration>, now: Wall) {
        let already = self.paused_until(now);
        if already.is_none() {
            let again = self.paused_until.is_some_and(|ended| now.since(ended) < RECOVERY);
            self.streak = if again { self.streak.saturating_add(1) } else { 0 };
            self.limited = Some(((self.share_in_160ths(now) / 2).max(LEAST), now));
        }
        let chosen = self.patience.saturating_mul(1u32.checked_shl(self.streak).unwrap_or(u32::MAX));
        let until = now.plus(after.map_or(chosen.min(CHOSEN_MAX), |asked| asked.min(ASKED_MAX)));
        self.paused_until = Some(already.map_or(until, |held| held.max(until)));
    }

    /// Until when the endpoint is paused, if it is.
    pub fn paused_until(&self, now: Wall) -> Option<Wall> {
        self.paused_until.filter(|until| *until > now)
    }

    /// Our share of the ceiling at this moment, from a 16th to 1.
    pub fn share(&self, now: Wall) -> f64 {
        f64::from(self.share_in_160ths(now)) / f64::from(WHOLE)
    }

    fn share_in_160ths(&self, now: Wall) -> u32 {
        let Some((share, at)) = self.limited else { return WHOLE };
        let tenths = u32::try_from(now.since(at).as_secs() / RECOVERY.as_secs()).unwrap_or(u32::MAX);
        share.saturating_add(tenths.saturating_mul(TENTH)).min(WHOLE)
    }
}

/// A clock that is told the time. It never goes back: a wall clock that is set back stops it until it has caught up.
#[derive(Debug, Clone)]
struct ToldClock {
    start: Wall,
    elapsed: Arc<AtomicU64>,
}

impl ToldClock {
    /// Longest time it can tell since its start, in milliseconds: a hundred years, far within governor's range.
    const MILLIS_MAX: u64 = 100 * 366 * 86_400_000;

    fn starting(start: Wall) -> Self {
        Self { start, elapsed: Arc::default() }
    }

    fn tell(&self, now: Wall) {
        let millis = u64::try_from(now.since(self.start).as_millis()).unwrap_or(u64::MAX);
        self.elapsed.fetch_max(millis.min(Self::MILLIS_MAX) * 1_000_000, Ordering::Relaxed);
    }
}

impl Clock for ToldClock {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Nanos::new(self.elapsed.load(Ordering::Relaxed))
    }
}
