//! What is to be told: about an incident, as a test, or that we cannot write things down.

use std::borrow::Cow;

use beaconfire_incident::{Dossier, Status};
use beaconfire_model::{Labels, Wall};
use beaconfire_outbox::{Action, Digest, Handle, Summary, Tally};
use beaconfire_view::{DecisionJson, Privacy};

use crate::templates::Templates;

/// What is the same for all messages of this process.
#[derive(Debug, Clone, Copy)]
pub struct Site<'a> {
    /// The installation's own id, made when its store was made: part of every dedup key and Message-ID.
    pub installation: &'a str,
    /// Where people reach the console, without a slash at the end.
    pub external_url: &'a str,
    /// Whether query strings may be told.
    pub privacy: Privacy,
    /// The operator's own words; `None` where messages have their built-in form.
    pub templates: Option<&'a Templates>,
}

/// One message, to be sent by [`Channel::send`](crate::Channel::send).
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// About what.
    pub matter: Matter<'a>,
    /// What it tells.
    pub action: Action,
    /// The same on every try, so that a receiver can recognise a repeat
    /// ([`Row::notification_id`](beaconfire_outbox::Row::notification_id)).
    pub notification_id: &'a str,
    /// What the channel gave us for an earlier message about the same matter; `None` for the first.
    pub handle: Option<&'a Handle>,
    /// Our clock, told from outside: ages in texts, and the date of mails.
    pub now: Wall,
    /// Whose message it is.
    pub site: Site<'a>,
}

/// What a message is about.
#[derive(Debug, Clone, Copy)]
pub enum Matter<'a> {
    /// An incident.
    Incident(About<'a>),
    /// Many incidents at once.
    Storm(Storm<'a>),
    /// Nothing: somebody tries the channel out (`test-notify`).
    Test,
    /// The store does not take what we write ([`Action::Open`]), or does again ([`Action::Resolve`]). Told directly,
    /// past the outbox, which is in that store.
    StoreDown {
        /// Since when.
        since: Wall,
        /// What it said.
        said: &'a str,
    },
}

/// A storm and what its digest counts.
#[derive(Debug, Clone, Copy)]
pub struct Storm<'a> {
    /// The digest.
    pub digest: &'a Digest,
    /// The counts.
    pub tally: Tally,
    /// The largest groups.
    pub summary: &'a Summary,
}

/// An incident and what is told with it.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    /// The incident and what hangs on it.
    pub dossier: &'a Dossier,
    /// The revision that is told ([`Told::revision`](beaconfire_outbox::Told::revision)): by the time the dossier is
    /// read, the incident may be further, and that will be another message.
    pub revision: u32,
    /// Throttle decisions that answer it ([`DecisionJson::stored`]).
    pub decisions: &'a [DecisionJson],
    /// The silence that keeps its news back, in words: by whom, until when.
    pub silenced: Option<&'a str>,
    /// The service's annotations (`runbook_url`, `summary`, `description`).
    pub annotations: &'a Labels,
    /// The receiver that has not taken it, where this one is told in its place.
    pub via: Option<&'a str>,
    /// Whether nothing has changed: it is told again because it is open and nobody has acknowledged it.
    pub again: bool,
}

impl<'a> Message<'a> {
    /// A marked test, which tells of no incident.
    pub fn test(site: Site<'a>, notification_id: &'a str, now: Wall) -> Self {
        Self { matter: Matter::Test, action: Action::Open, notification_id, handle: None, now, site }
    }

    /// That the store does not take what we write (`Action::Open`), or does again (`Action::Resolve`).
    pub fn store_down(
        site: Site<'a>,
        action: Action,
        notification_id: &'a str,
        since: Wall,
        said: &'a str,
        now: Wall,
    ) -> Self {
        Self { matter: Matter::StoreDown { since, said }, action, notification_id, handle: None, now, site }
    }

    /// What all messages about the same matter have in common, within this installation: letters, digits and dashes.
    pub(crate) fn topic(&self) -> Cow<'a, str> {
        match self.matter {
            Matter::Incident(about) => Cow::Borrowed(about.dossier.incident.id.as_str()),
            Matter::Storm(storm) => Cow::Owned(format!("storm-{}", storm.digest.id.0)),
            Matter::Test => Cow::Owned(format!("test-{}", self.now.millis())),
            Matter::StoreDown { .. } => Cow::Borrowed("store-down"),
        }
    }

    /// The topic with the installation before it, at most 255 bytes: PagerDuty's dedup key.
    pub(crate) fn dedup_key(&self) -> String {
        let topic = self.topic();
        let room = 254usize.saturating_sub(topic.len());
        let installation: String = word(self.site.installation).chars().take(room).collect();
        format!("{installation}.{topic}")
    }
}

/// What tells somebody who knows nothing of an incident yet how it stands.
pub const fn telling(status: Status) -> Action {
    match status {
        Status::Open => Action::Open,
        Status::Acknowledged => Action::Acknowledge,
        Status::Resolved => Action::Resolve,
    }
}

/// Text as one word of letters, digits, dashes and underscores: for ids that travel in headers.
pub(crate) fn word(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '_' }).collect()
}
