//! Silences, and what they match.

use beaconfire_incident::{Incident, title};
use beaconfire_model::Wall;
use beaconfire_outbox::Silence;
use serde::{Deserialize, Serialize};

use crate::clean;

/// A silence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SilenceJson {
    /// Its id; `None` of one that was only tried out.
    pub id: Option<String>,
    /// pending, active or expired.
    pub status: String,
    /// All must match: `service="shop"`.
    pub matchers: Vec<String>,
    /// Who made it.
    pub author: String,
    /// Why.
    pub comment: String,
    /// From then on.
    pub starts_at: String,
    /// Up to then.
    pub ends_at: String,
    /// When it was changed last.
    pub updated_at: String,
    /// Incidents that are not over and that it matches, the first of them.
    pub incidents: Vec<SilencedJson>,
    /// How many there are.
    pub incidents_total: u64,
}

/// An incident that a silence matches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SilencedJson {
    /// Its id.
    pub id: String,
    /// Its severity.
    pub severity: String,
    /// Its status.
    pub status: String,
    /// Its title.
    pub title: String,
}

impl SilenceJson {
    /// The shape of a silence as it stands at `now`.
    pub fn of(silence: &Silence, matched: &[Incident], matched_total: u64, now: Wall) -> Self {
        Self {
            id: Some(silence.id.to_string()).filter(|id| !id.is_empty()),
            status: silence.state(now).name().to_owned(),
            // Matchers are shown as they are: cleaned, another would be read back.
            matchers: silence.matchers.0.iter().map(ToString::to_string).collect(),
            author: clean(&silence.author),
            comment: clean(&silence.comment),
            starts_at: silence.starts_at.to_string(),
            ends_at: silence.ends_at.to_string(),
            updated_at: silence.updated_at.to_string(),
            incidents: matched.iter().map(SilencedJson::of).collect(),
            incidents_total: matched_total,
        }
    }
}

impl SilencedJson {
    fn of(incident: &Incident) -> Self {
        Self {
            id: incident.id.to_string(),
            severity: incident.severity.name().to_owned(),
            status: incident.status.name().to_owned(),
            title: clean(&title(incident)),
        }
    }
}
