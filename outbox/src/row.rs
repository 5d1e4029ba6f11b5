//! The outbox row: what one receiver integration should know of one episode, and what it has been told.

use std::sync::Arc;
use std::time::Duration;

use beaconfire_incident::{IncidentId, Status};
use beaconfire_model::{Severity, Wall};

use crate::{DigestId, Group, Handle};

/// Which row: one episode, one integration of one receiver.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowKey {
    /// The episode.
    pub incident: IncidentId,
    /// The receiver's name.
    pub receiver: Arc<str>,
    /// The integration within it: `slack-0`, `email-1`.
    pub integration: Arc<str>,
}

/// A state of an incident, as far as receivers hear of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// [`Incident::revision`](beaconfire_incident::Incident::revision) it stands for.
    pub revision: u32,
    /// The status.
    pub status: Status,
    /// The severity.
    pub severity: Severity,
    /// Whether a silence keeps its news back: messages that can be changed say so.
    pub silenced: bool,
}

/// A row that has waited so long is taken for one of the lane above; never for a page.
pub const AGES_AFTER: Duration = Duration::from_secs(60);

/// Which rows go first. Smaller is sooner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// A critical opening, or the acknowledgement or resolve of what was paged.
    Page,
    /// An opening of severity error or warning.
    Ticket,
    /// Updates and resolves of the rest.
    Update,
    /// Information.
    Info,
}

impl Lane {
    /// All lanes, most urgent first.
    pub const ALL: [Self; 4] = [Self::Page, Self::Ticket, Self::Update, Self::Info];

    /// The name in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Page => "page",
            Self::Ticket => "ticket",
            Self::Update => "update",
            Self::Info => "info",
        }
    }
}

/// Why a row is not told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Suppressed {
    /// It was older than `incidents.max_age` when found.
    TooOld,
    /// The receiver or integration is no longer configured.
    Unrouted,
    /// A silence matches it: told when that ends, if it is still open.
    Silenced,
    /// A time interval mutes the route: likewise.
    Muted,
    /// An incident that explains it is known: likewise.
    Inhibited,
    /// It was over before it could be told; a digest that was accepted says so.
    ClearedBeforeSend,
    /// Somebody dropped it: nothing of it is told until there is fresh news.
    Dropped,
}

impl Suppressed {
    /// All reasons.
    pub const ALL: [Self; 7] = [
        Self::TooOld,
        Self::Unrouted,
        Self::Silenced,
        Self::Muted,
        Self::Inhibited,
        Self::ClearedBeforeSend,
        Self::Dropped,
    ];

    /// The name in the ledger.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TooOld => "too_old",
            Self::Unrouted => "unrouted",
            Self::Silenced => "silenced",
            Self::Muted => "muted",
            Self::Inhibited => "inhibited",
            Self::ClearedBeforeSend => "cleared_before_send",
            Self::Dropped => "dropped",
        }
    }

    /// Whether it lasts only as long as what keeps quiet.
    pub const fn is_quiet(self) -> bool {
        matches!(self, Self::Silenced | Self::Muted | Self::Inhibited)
    }
}

/// A row's one fate, by its opening.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// The opening is still to be accepted.
    Pending,
    /// It waits for this digest to be accepted, and counts as pending until then.
    Held(DigestId),
    /// The opening was accepted.
    Delivered,
    /// This digest, which counts it, was accepted.
    InDigest(DigestId),
    /// It is not told, on purpose.
    Suppressed(Suppressed),
    /// It could not be told: no retry can help.
    Dead,
}

/// What one receiver integration should know of one episode, and what it has been told.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Which row.
    pub key: RowKey,
    /// The version the row had when it was read; 0 where it is not stored yet.
    pub version: i64,
    /// The newest state to be told.
    pub desired: Told,
    /// What was told last: accepted by the receiver.
    pub told: Option<Told>,
    /// The handle of the remote message.
    pub handle: Option<Handle>,
    /// Its fate.
    pub fate: Fate,
    /// Which lane the next delivery waits in.
    pub lane: Lane,
    /// Whether this integration hears of resolves.
    pub send_resolved: bool,
    /// Failed tries since the last acceptance. A 429 is none.
    pub attempts: u32,
    /// Not before this.
    pub due: Wall,
    /// Since when something is waiting to be told.
    pub waiting_since: Wall,
    /// Messages that were accepted.
    pub messages: u32,
    /// What went wrong last, cleaned, at most 512 bytes.
    pub last_error: Option<String>,
    /// When the row was made.
    pub created_at: Wall,
    /// The receiver that did not take it in time, where this one is told in its place.
    pub via: Option<Arc<str>>,
    /// The group whose followers are told together; `None` where it is always told by itself.
    pub group: Option<Group>,
    /// After how long it is told again while it is open and nobody has acknowledged it.
    pub repeat: Option<Duration>,
    /// Whether it is to be told again though nothing has changed.
    pub again: bool,
    /// Whether anything keeps its receiver from hearing of it now: then it is not told again.
    pub hushed: bool,
}

/// What a delivery tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// The first message about this episode, or one that disturbs again (escalated, reopened, another rule).
    Open,
    /// A new state of what was told, in place where the channel can.
    Update,
    /// Somebody is on it.
    Acknowledge,
    /// It is over.
    Resolve,
}

impl Action {
    /// The name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Update => "update",
            Self::Acknowledge => "acknowledge",
            Self::Resolve => "resolve",
        }
    }
}

impl Row {
    /// What is still to be told; `None` where the receiver knows all it should, or never will.
    pub fn next_action(&self) -> Option<Action> {
        self.sending().map(|(action, _)| action)
    }

    /// What the next delivery tells, and the state that the receiver knows once it has accepted.
    ///
    /// Who has not heard of the opening hears of it first, also where somebody is on it or it is over by then:
    /// outside of storms there is no digest to say so later, and a resolve of what was never opened means nothing to a
    /// receiver. What a digest has told of is acknowledged and resolved there too, until it disturbs anew: then it has
    /// messages of its own. Where only a silence has come or gone, messages that can be changed are.
    pub fn sending(&self) -> Option<(Action, Told)> {
        if matches!(self.fate, Fate::Dead | Fate::Suppressed(_) | Fate::Held(_)) {
            return None;
        }
        let desired = self.desired;
        let Some(told) = self.told else {
            let moved_on = desired.status != Status::Open;
            let revision = if moved_on { desired.revision.saturating_sub(1) } else { desired.revision };
            return Some((Action::Open, Told { revision, status: Status::Open, ..desired }));
        };
        if told.revision >= desired.revision {
            if self.again && desired.status == Status::Open && self.has_own() {
                return Some((Action::Open, desired));
            }
            let differs = self.handle.is_some() && told.silenced != desired.silenced;
            return differs.then_some((Action::Update, Told { silenced: desired.silenced, ..told }));
        }
        let action = match desired.status {
            Status::Acknowledged | Status::Resolved if !self.has_own() => return None,
            Status::Resolved if !self.send_resolved => return None,
            Status::Resolved => Action::Resolve,
            Status::Acknowledged => Action::Acknowledge,
            Status::Open => Action::Open,
        };
        Some((action, desired))
    }

    /// Whether it is told by messages of its own: what a digest has told of is not, until it disturbs anew.
    fn has_own(&self) -> bool {
        self.messages > 0 || !matches!(self.fate, Fate::InDigest(_))
    }

    /// When it is to be told again, if nothing happens until then.
    pub fn repeat_at(&self) -> Option<Wall> {
        let stands = self.told.is_some_and(|told| told.revision >= self.desired.revision);
        let knows = matches!(self.fate, Fate::Delivered | Fate::InDigest(_)) && self.has_own();
        let open = self.desired.status == Status::Open && knows;
        // Since the last message was accepted nothing waits.
        (stands && open && !self.again && !self.hushed)
            .then(|| self.repeat.map(|repeat| self.waiting_since.plus(repeat)))?
    }

    /// The id under which a state is sent: the same on every try, so that a receiver can recognise a repeat.
    pub fn notification_id(&self, sent: Told) -> String {
        let key = &self.key;
        let again = match self.again {
            true => format!(".again.{}", self.messages),
            false => String::new(),
        };
        format!("{}.{}.{}.{}{again}", key.incident, key.receiver, key.integration, sent.revision)
            .replace(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')), "_")
            .replace('.', "-")
    }
}
