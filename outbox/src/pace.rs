//! How fast one endpoint may be told: a configured ceiling, of which a part is reserved for pages, pauses that the endpoint asks
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

use crate::settle::ASKED_MAX;
use crate::{IntegrationKind, Lane};

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

/// The pace of one endpoint. Keep it across a reload and a restart: a new one forgets what the endpoint asked for.
///
/// The ceiling is governor's, on a clock that is told the time. What has been spent of it is written beside it as the moment
/// at which the whole burst is at hand again, since a limiter cannot be asked, and does not outlive the process. Of the burst, 40 % are for pages: others leave them there, so that a page goes at once though much else waits. What
/// pages do not use, others may, but for that.
#[derive(Debug, Clone)]
pub struct Pace {
    clock: ToldClock,
    ceiling: Arc<Ceiling>,
    /// One delivery's share of the time.
    period: Duration,
    burst: u32,
    /// The first pause where the endpoint does not say how long.
    patience: Duration,
    state: PaceState,
    /// Beneath a whole share: when the next may go.
    spaced_until: Wall,
}

type Ceiling = RateLimiter<NotKeyed, InMemoryState, ToldClock, NoOpMiddleware<Nanos>>;

/// What a pace has learned, and what it has spent: what outlives the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PaceState {
    /// When the whole burst is at hand again.
    pub full_at: Wall,
    /// The pause that the endpoint asked for, or that we chose.
    pub paused_until: Option<Wall>,
    /// Share in 160ths and moment of the last "too many".
    pub limited: Option<(u32, Wall)>,
    /// "Too many" in a row, each within half a minute of the pause before it.
    pub streak: u32,
}

impl Pace {
    /// A pace with this ceiling. It begins with one delivery at hand beyond what pages may use, not with the whole
    /// burst, which is saved up at the ceiling's rate: restarts and reloads give no free bursts.
    pub fn new(rate: Rate, now: Wall) -> Self {
        let period = Duration::from_millis(60_000_u64.div_ceil(u64::from(rate.per_minute.max(1))));
        let burst = rate.burst.max(1);
        let full_at = now.plus(period.saturating_mul(burst - reserve(burst) - 1));
        let state = PaceState { full_at, paused_until: None, limited: None, streak: 0 };
        let clock = ToldClock::starting(now);
        let ceiling = ceiling(period, burst, full_at, &clock);
        Self { clock, ceiling, period, burst, patience: Duration::from_secs(1), state, spaced_until: now }
    }

    /// A pace with the ceiling and the patience that suit this kind.
    pub fn of(kind: IntegrationKind, now: Wall) -> Self {
        Self::with(kind, Rate::of(kind), now)
    }

    /// A pace with this ceiling and the patience that suits this kind: PagerDuty says "too many" without saying how
    /// long, and means half a minute.
    pub fn with(kind: IntegrationKind, rate: Rate, now: Wall) -> Self {
        let patience = match kind {
            IntegrationKind::PagerDuty => 30,
            _ => 1,
        };
        Self { patience: Duration::from_secs(patience), ..Self::new(rate, now) }
    }

    /// What is to outlive the process.
    pub const fn state(&self) -> PaceState {
        self.state
    }

    /// Goes on where an earlier process stopped. What that one knew can only slow this one down: a bucket that is
    /// full by now begins like a new one.
    pub fn resume(&mut self, state: PaceState) {
        let longest = self.state.full_at.plus(self.period.saturating_mul(self.burst));
        let full_at = state.full_at.max(self.state.full_at).min(longest);
        // A clock that ran ahead must not silence an endpoint for ever.
        let now = self.clock.now_wall();
        let paused_until = state.paused_until.map(|until| until.min(now.plus(ASKED_MAX)));
        let limited = state.limited.map(|(share, at)| (share.clamp(LEAST, WHOLE), at.min(now)));
        self.state = PaceState { full_at, paused_until, limited, ..state };
        self.ceiling = ceiling(self.period, self.burst, full_at, &self.clock);
    }

    /// Keeps to the slower of two ceilings: who shares an endpoint shares its pace.
    pub fn narrow(&mut self, other: &Self) {
        if (self.period, self.burst) == (other.period, other.burst) {
            return;
        }
        self.period = self.period.max(other.period);
        self.burst = self.burst.min(other.burst);
        self.ceiling = ceiling(self.period, self.burst, self.state.full_at, &self.clock);
    }

    /// Takes one delivery in this lane, or says when to ask again.
    pub fn take(&mut self, lane: Lane, now: Wall) -> Result<(), Wall> {
        if let Some(until) = self.paused_until(now) {
            return Err(until);
        }
        let share = self.share_in_160ths(now);
        if share < WHOLE && self.spaced_until > now {
            return Err(self.spaced_until);
        }
        let room = if lane == Lane::Page { self.burst } else { self.burst - reserve(self.burst) };
        let full_at = self.state.full_at.max(now).plus(self.period);
        let again = full_at.minus(self.period.saturating_mul(room));
        if again > now {
            return Err(again);
        }
        self.clock.tell(now);
        self.ceiling.check().map_err(|refused| {
            // Rounded up, or asking again at that moment would be refused by a fraction of a millisecond.
            let wait = refused.wait_time_from(self.clock.now()).as_nanos().div_ceil(1_000_000);
            now.plus(Duration::from_millis(u64::try_from(wait).unwrap_or(u64::MAX)))
        })?;
        self.state.full_at = full_at;
        self.spaced_until = now.plus(self.period * WHOLE / share);
        Ok(())
    }

    /// The endpoint said "too many": pause, and halve our share. `after` is its own wish, honoured up to 15 minutes;
    /// without one the pause doubles from one "too many" to the next, up to 5 minutes. Several that answer one burst
    /// halve the share once.
    pub fn limited(&mut self, after: Option<Duration>, now: Wall) {
        let already = self.paused_until(now);
        if already.is_none() {
            let again = self.state.paused_until.is_some_and(|ended| now.since(ended) < RECOVERY);
            self.state.streak = if again { self.state.streak.saturating_add(1) } else { 0 };
            self.state.limited = Some(((self.share_in_160ths(now) / 2).max(LEAST), now));
        }
        let chosen = self.patience.saturating_mul(1u32.checked_shl(self.state.streak).unwrap_or(u32::MAX));
        let until = now.plus(after.map_or(chosen.min(CHOSEN_MAX), |asked| asked.min(ASKED_MAX)));
        self.state.paused_until = Some(already.map_or(until, |held| held.max(until)));
    }

    /// Until when the endpoint is paused, if it is.
    pub fn paused_until(&self, now: Wall) -> Option<Wall> {
        self.state.paused_until.filter(|until| *until > now)
    }

    /// Our share of the ceiling at this moment, from a 16th to 1.
    pub fn share(&self, now: Wall) -> f64 {
        f64::from(self.share_in_160ths(now)) / f64::from(WHOLE)
    }

    fn share_in_160ths(&self, now: Wall) -> u32 {
        let Some((share, at)) = self.state.limited else { return WHOLE };
        let tenths = u32::try_from(now.since(at).as_secs() / RECOVERY.as_secs()).unwrap_or(u32::MAX);
        share.saturating_add(tenths.saturating_mul(TENTH)).min(WHOLE)
    }
}

/// How much of a burst is for pages only: 40 %.
const fn reserve(burst: u32) -> u32 {
    burst / 5 * 2 + burst % 5 * 2 / 5
}

/// A limiter of which as much is spent as makes it full again at that moment.
fn ceiling(period: Duration, burst: u32, full_at: Wall, clock: &ToldClock) -> Arc<Ceiling> {
    let most = NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN);
    let quota = Quota::with_period(period).unwrap_or(Quota::per_minute(NonZeroU32::MIN)).allow_burst(most);
    let ceiling = RateLimiter::direct_with_clock(quota, clock.clone());
    let owed = full_at.since(clock.now_wall()).as_millis().div_ceil(period.as_millis().max(1));
    let owed = u32::try_from(owed).unwrap_or(u32::MAX).min(burst);
    if let Some(spent) = NonZeroU32::new(owed) {
        // A new limiter is full, so this drains it; there is nothing to do where it cannot.
        let _drained = ceiling.check_n(spent);
    }
    Arc::new(ceiling)
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

    /// The time that it was told last.
    fn now_wall(&self) -> Wall {
        self.start.plus(Duration::from_nanos(self.elapsed.load(Ordering::Relaxed)))
    }
}

impl Clock for ToldClock {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Nanos::new(self.elapsed.load(Ordering::Relaxed))
    }
}
