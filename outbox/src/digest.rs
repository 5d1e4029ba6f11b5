//! Storms: when an integration has more to say than anybody can read, the first incidents go one by one and the rest
//! fold into one message, the digest, which is brought up to date until the storm is over.
//!
//! Folding has two phases, so that a crash loses nothing: a row is first held for a digest ([`Fate::Held`]), and is
//! accounted for ([`Fate::InDigest`]) only when a message that counts it was accepted.
//!
//! [`Fate::Held`]: crate::Fate::Held
//! [`Fate::InDigest`]: crate::Fate::InDigest

use std::sync::Arc;
use std::time::Duration;

use beaconfire_incident::IncidentId;
use beaconfire_model::{EventTime, Severity, Wall};

use crate::settle::{ASKED_MAX, back_off, clean};
use crate::{Action, Group, Handle, IntegrationKind, Outcome, Rate, RetryKnobs};

/// The first digest goes this long after the storm broke out: a burst has mostly arrived by then.
const FIRST: Duration = Duration::from_secs(10);

/// At most so often is a digest brought up to date in place.
const EVERY: Duration = Duration::from_secs(30);

/// Where a message cannot be changed once it was sent, new ones follow at these minutes of the storm, then hourly.
const MINUTES: [u64; 4] = [1, 5, 15, 60];

/// A message that was refused so often as it stands is not tried again.
const REFUSALS: u32 = 3;

/// Which digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DigestId(pub i64);

/// When an integration is in a storm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DigestKnobs {
    /// More than so many rows below [`Lane::Page`](crate::Lane::Page) that were never told; so many go one by one.
    pub after: u32,
    /// More than so many in that lane.
    pub pages: u32,
    /// Whether this integration hears that things are over.
    pub resolves: bool,
}

impl DigestKnobs {
    /// As configured, for an endpoint with this ceiling.
    pub const fn new(after: u32, rate: Rate) -> Self {
        Self { after, pages: rate.burst.saturating_mul(2), resolves: true }
    }

    /// For whom no message is one too many: an Alertmanager folds and limits by itself, and has to know each alert.
    pub const fn never() -> Self {
        Self { after: u32::MAX, pages: u32::MAX, resolves: true }
    }

    /// Whether a storm breaks out.
    pub fn breaks_out(&self, waiting: Waiting) -> bool {
        waiting.others > u64::from(self.after) || self.is_flooded(waiting)
    }

    /// Whether there are too many pages to page with each.
    pub fn is_flooded(&self, waiting: Waiting) -> bool {
        waiting.pages > u64::from(self.pages)
    }
}

/// `digest_after` where nothing is configured.
pub const DIGEST_AFTER: u32 = 10;

/// Rows that were never told and are held for no digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Waiting {
    /// In the lane for pages.
    pub pages: u64,
    /// In the others.
    pub others: u64,
}

/// How a digest goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// New rows fold into it.
    Storm,
    /// The storm is over, not all of its incidents are.
    Over,
    /// There is nothing left to tell.
    Closed,
}

impl Phase {
    /// All phases.
    pub const ALL: [Self; 3] = [Self::Storm, Self::Over, Self::Closed];

    /// The name in the store.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Storm => "storm",
            Self::Over => "over",
            Self::Closed => "closed",
        }
    }
}

/// What a digest counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// All incidents in it.
    pub members: u64,
    /// Those that are not over.
    pub open: u64,
    /// Those that were over before any message told of them.
    pub cleared: u64,
    /// Those that no accepted message has counted yet.
    pub held: u64,
    /// Pages among these.
    pub held_pages: u64,
    /// The worst of them.
    pub worst: Option<Severity>,
}

/// One storm of one integration, and what was told of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Digest {
    /// Which.
    pub id: DigestId,
    /// The receiver.
    pub receiver: Arc<str>,
    /// The integration within it.
    pub integration: Arc<str>,
    /// How it goes on.
    pub phase: Phase,
    /// The group that it tells of; `None` for a storm.
    pub group: Option<Group>,
    /// Whether pages fold too: there were too many of them.
    pub pages: bool,
    /// When the storm broke out.
    pub started_at: Wall,
    /// The handle of the remote message.
    pub handle: Option<Handle>,
    /// Messages that were accepted.
    pub messages: u32,
    /// When the last of them was.
    pub told_at: Option<Wall>,
    /// What it said.
    pub told: Option<Tally>,
    /// Failed tries since.
    pub attempts: u32,
    /// How often in a row it was refused as it stands.
    pub refusals: u32,
    /// Not before this.
    pub due: Wall,
    /// What went wrong last, cleaned.
    pub last_error: Option<String>,
}

impl Tally {
    /// Whether a message that told this says all there is, but for whom it accounts for.
    fn says_what(&self, told: &Self) -> bool {
        let Self { held, held_pages, .. } = *told;
        Self { held, held_pages, ..*self } == *told
    }
}

impl Digest {
    /// A storm that breaks out now.
    pub fn begin(id: DigestId, receiver: Arc<str>, integration: Arc<str>, pages: bool, now: Wall) -> Self {
        Self {
            id,
            receiver,
            integration,
            phase: Phase::Storm,
            group: None,
            pages,
            started_at: now,
            handle: None,
            messages: 0,
            told_at: None,
            told: None,
            attempts: 0,
            refusals: 0,
            due: now,
            last_error: None,
        }
    }

    /// When the next message of this digest goes, as things stand, and what it does. `calm` says that next to nothing
    /// has come in for a minute: then the last one of the storm goes.
    ///
    /// PagerDuty wakes people, so there is one alert a storm, told again only when it gets worse or ten times as
    /// large, and resolved when all in it are over. `resolves` says whether this integration hears of the end.
    pub fn next(
        &self,
        kind: IntegrationKind,
        resolves: bool,
        tally: &Tally,
        calm: bool,
    ) -> Option<(Wall, Action)> {
        if tally.members == 0 || self.is_silently_over(resolves, tally, calm) {
            return None;
        }
        let is_over = tally.open == 0;
        let action = match self.messages {
            0 => Action::Open,
            _ if resolves && is_over && self.is_last(tally, calm) => Action::Resolve,
            // An edit wakes nobody, and a page must; nor does one tell of who follows after an hour.
            _ if tally.held_pages > 0 || (self.group.is_some() && tally.held > 0) => Action::Open,
            _ => Action::Update,
        };
        // No page waits longer than an edit would.
        let soon = |at: Wall, from: Wall| if tally.held_pages > 0 { at.min(from.plus(EVERY)) } else { at };
        if let Some(group) = &self.group {
            let at = match (self.told, self.told_at) {
                (Some(told), _) if tally.says_what(&told) && tally.held == 0 => return None,
                (Some(_), Some(at)) => soon(at.plus(group.interval), at),
                _ => soon(self.started_at.plus(group.wait), self.started_at),
            };
            return (self.phase != Phase::Closed).then_some((at.max(self.due), action));
        }
        let at = match self.phase {
            Phase::Closed => return None,
            Phase::Over => is_over.then_some(self.due)?,
            Phase::Storm if calm => self.due,
            Phase::Storm => match (self.told, self.told_at) {
                (Some(told), Some(at)) => {
                    let quiet = tally.says_what(&told);
                    let worse = tally.worst > told.worst || tally.members >= told.members.saturating_mul(10);
                    if quiet || (kind == IntegrationKind::PagerDuty && !worse) {
                        return None;
                    }
                    soon(self.after(kind, at), at)
                }
                _ if kind == IntegrationKind::Email => {
                    soon(self.started_at.plus(minutes(MINUTES[0])), self.started_at)
                }
                _ => self.started_at.plus(FIRST),
            },
        };
        Some((at.max(self.due), action))
    }

    /// Whether all has been told and is over, and this integration does not want to hear of that.
    pub fn is_silently_over(&self, resolves: bool, tally: &Tally, calm: bool) -> bool {
        !resolves && self.messages > 0 && tally.open == 0 && tally.held == 0 && self.is_last(tally, calm)
    }

    /// Whether this message can be told in no way: it was refused as it stands, and so were those before it. What it
    /// would have accounted for are dead letters then, as a message about one incident is.
    pub fn gives_up(&self, outcome: &Outcome) -> bool {
        matches!(outcome, Outcome::Rejected { .. }) && self.refusals + 1 >= REFUSALS
    }

    /// When something new may be said, after what was said at `at`.
    fn after(&self, kind: IntegrationKind, at: Wall) -> Wall {
        if kind != IntegrationKind::Email && self.handle.is_some() {
            return at.plus(EVERY);
        }
        let slots = MINUTES.into_iter().map(|minute| self.started_at.plus(minutes(minute)));
        slots.into_iter().find(|slot| *slot > at).unwrap_or_else(|| at.plus(minutes(60)))
    }

    /// Whether the next message is the last one: of a storm when it has been calm, of a group when all are over.
    pub fn is_last(&self, tally: &Tally, calm: bool) -> bool {
        match self.group {
            None => self.phase == Phase::Over || calm,
            Some(_) => tally.open == 0,
        }
    }

    /// The id under which the next message goes: the same on every try that tells of as many. What came in between two
    /// tries is news, which a receiver must not take for a repeat.
    pub fn notification_id(&self, tally: &Tally) -> String {
        format!("storm-{}-{}-{}", self.id.0, self.messages.saturating_add(1), tally.members)
    }

    /// The digest after an attempt to tell `sent`; `held` rows are left that it does not account for, which keeps
    /// the storm going.
    pub fn settle(mut self, sent: &Sent, outcome: &Outcome, held: u64, jitter: f64, now: Wall) -> Self {
        let knobs = RetryKnobs::default();
        self.refusals = match outcome {
            Outcome::Rejected { .. } => self.refusals.saturating_add(1),
            _ => 0,
        };
        match outcome {
            Outcome::Accepted { remote, said } => {
                self.handle = remote.clone().or(self.handle);
                self.messages = self.messages.saturating_add(1);
                (self.told_at, self.told) = (Some(now), Some(sent.tally));
                (self.attempts, self.due) = (0, now);
                self.last_error = said.as_deref().map(clean);
                if sent.last && held == 0 {
                    self.phase = if sent.tally.open == 0 { Phase::Closed } else { Phase::Over };
                }
            }
            Outcome::Limited { after } => self.due = now.plus(after.unwrap_or(knobs.base).min(ASKED_MAX)),
            Outcome::Misconfigured { said } => {
                self.due = now.plus(knobs.probe);
                self.last_error = Some(clean(said));
            }
            Outcome::Gone if self.handle.is_some() => (self.handle, self.due) = (None, now),
            Outcome::Deferred { .. } | Outcome::Rejected { .. } | Outcome::Gone => {
                let (after, said) = match outcome {
                    Outcome::Deferred { after, said } => (*after, Some(said)),
                    Outcome::Rejected { said } => (None, Some(said)),
                    _ => (None, None),
                };
                self.due = now.plus(back_off(self.attempts, after, jitter, &knobs));
                self.attempts = self.attempts.saturating_add(1);
                self.last_error = Some(said.map_or_else(|| "gone".to_owned(), |said| clean(said)));
            }
        }
        self
    }
}

/// What is in a digest, for people: the largest groups and the first names of each, bounded by who reads them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Summary {
    /// Incidents by rule and severity, the most first.
    pub rules: Vec<(String, Severity, u64)>,
    /// Incidents by what they are about.
    pub targets: Vec<(String, u64)>,
    /// Incidents by who took part.
    pub participants: Vec<(String, u64)>,
    /// When the first of them began.
    pub first_seen: EventTime,
    /// When the last of them was seen.
    pub last_seen: EventTime,
    /// Since when the oldest that no message has counted waits.
    pub held_since: Option<Wall>,
    /// Their ids, the worst first.
    pub incidents: Vec<IncidentId>,
}

/// What a message of a digest told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// The counts.
    pub tally: Tally,
    /// Whether it is the storm's last one.
    pub last: bool,
}

const fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(minutes * 60)
}
