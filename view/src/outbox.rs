//! Notifications that are not told in full, with what they are about.

use beaconfire_incident::{Incident, title};
use beaconfire_outbox::{Fate, Row};
use serde::{Deserialize, Serialize};

use crate::{OutboxRowJson, clean};

/// A row of `/api/v1/outbox`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutboxItemJson {
    /// About which incident.
    pub incident: String,
    /// Its title.
    pub title: String,
    /// Its severity.
    pub severity: String,
    /// Its status.
    pub status: String,
    /// In which lane it waits: page, ticket, update or info.
    pub lane: String,
    /// Since when something waits to be told.
    pub waiting_since: String,
    /// The row. Here its fate is `held` where it waits for a digest, which elsewhere counts as pending.
    #[serde(flatten)]
    pub row: OutboxRowJson,
    /// Whether its receiver's fallback was told in its place.
    pub fell_back: bool,
    /// Whether it is being told at this moment.
    pub in_flight: bool,
}

impl OutboxItemJson {
    /// The shape of a row with its incident.
    pub fn of(row: &Row, incident: &Incident, fell_back: bool, in_flight: bool) -> Self {
        let mut shape = OutboxRowJson::of(row);
        if matches!(row.fate, Fate::Held(_)) {
            "held".clone_into(&mut shape.fate);
        }
        Self {
            incident: incident.id.to_string(),
            title: clean(&title(incident)),
            severity: incident.severity.name().to_owned(),
            status: incident.status.name().to_owned(),
            lane: row.lane.name().to_owned(),
            waiting_since: row.waiting_since.to_string(),
            row: shape,
            fell_back,
            in_flight,
        }
    }
}
