//! What receivers were told: accounts, rows, attempts, messages.

use std::collections::BTreeMap;

use beaconfire_outbox::{Fate, LedgerLine, Quiet, Row};
use serde::{Deserialize, Serialize};

use crate::clean;

/// One receiver's account. `created` equals the sum of the rest but for `messages`, which are counted apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerJson {
    /// The receiver.
    pub receiver: String,
    /// Rows ever made: one an (episode, integration).
    pub created: u64,
    /// Openings accepted.
    pub delivered: u64,
    /// Told in a digest.
    pub in_digest: u64,
    /// Never to be told, by reason.
    pub suppressed: BTreeMap<String, u64>,
    /// Could not be told.
    pub dead: u64,
    /// Still to be told.
    pub pending: u64,
    /// Messages accepted.
    pub messages: u64,
}

impl LedgerJson {
    /// The shape of an account.
    pub fn of(line: &LedgerLine) -> Self {
        Self {
            receiver: line.receiver.to_string(),
            created: line.created,
            delivered: line.delivered,
            in_digest: line.in_digest,
            suppressed: line.suppressed.iter().map(|(&why, &rows)| (why.to_owned(), rows)).collect(),
            dead: line.dead,
            pending: line.pending,
            messages: line.messages,
        }
    }
}

/// What one integration should know of an incident, and has been told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutboxRowJson {
    /// The receiver.
    pub receiver: String,
    /// The integration within it.
    pub integration: String,
    /// pending, delivered, in_digest, suppressed or dead.
    pub fate: String,
    /// Why it is suppressed.
    pub reason: Option<String>,
    /// What keeps it from being told at this moment, in words: by whom, until when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
    /// The status that was told last.
    pub told: Option<String>,
    /// What is still to be told.
    pub still_to_tell: Option<String>,
    /// When that is tried next.
    pub next_at: Option<String>,
    /// Failed tries since the last acceptance.
    pub attempts: u32,
    /// Messages accepted.
    pub messages: u32,
    /// What went wrong last.
    pub last_error: Option<String>,
    /// The receiver that did not take it in time, where this one is told in its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub via: Option<String>,
}

impl OutboxRowJson {
    /// The shape of a row, with what keeps it from being told.
    pub fn hushed(row: &Row, quiet: &Quiet) -> Self {
        let because = quiet.toward(&row.key.receiver).map(|hushed| clean(&hushed.said()));
        Self { because, ..Self::of(row) }
    }

    /// The shape of a row.
    pub fn of(row: &Row) -> Self {
        let (fate, reason) = match &row.fate {
            Fate::Pending | Fate::Held(_) => ("pending", None),
            Fate::Delivered => ("delivered", None),
            Fate::InDigest(_) => ("in_digest", None),
            Fate::Dead => ("dead", None),
            Fate::Suppressed(why) => ("suppressed", Some(why.name().to_owned())),
        };
        let next = row.next_action();
        Self {
            receiver: row.key.receiver.to_string(),
            integration: row.key.integration.to_string(),
            fate: fate.to_owned(),
            reason,
            because: None,
            told: row.told.map(|told| told.status.name().to_owned()),
            still_to_tell: next.map(|action| action.name().to_owned()),
            next_at: next.map(|_| row.due.to_string()),
            attempts: row.attempts,
            messages: row.messages,
            last_error: row.last_error.as_deref().map(clean),
            via: row.via.as_ref().map(ToString::to_string),
        }
    }
}

/// One attempt to tell one receiver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryJson {
    /// When.
    pub at: String,
    /// The receiver.
    pub receiver: String,
    /// The integration within it.
    pub integration: String,
    /// open, update, acknowledge or resolve.
    pub action: String,
    /// accepted, limited, deferred, misconfigured, rejected or gone.
    pub outcome: String,
    /// What the receiver said where it did not accept, or not for everybody.
    pub said: Option<String>,
}

/// `{"type":"notification",…}`: what somebody would be told, as `replay` prints it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotificationJson {
    /// The receiver.
    pub receiver: String,
    /// email, slack, pagerduty or webhook.
    pub integration: String,
    /// About which incident.
    pub incident: String,
    /// open, update, acknowledge or resolve.
    pub action: String,
    /// When.
    pub at: String,
    /// In one line.
    pub text: String,
}
