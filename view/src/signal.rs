//! Signals: as they are printed one by one, and as rows of an incident.

use beaconfire_incident::SignalRow;
use beaconfire_model::Signal;
use serde::{Deserialize, Serialize};

use crate::{TargetJson, clean, number};

/// `{"type":"signal",…}`: a fact as detection stated it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SignalJson {
    /// The rule's name.
    pub rule: String,
    /// What sort of trouble.
    pub kind: String,
    /// How bad.
    pub severity: String,
    /// What is attacked or abused.
    pub target: TargetJson,
    /// Who does it.
    pub subject: String,
    /// The highest value in any one window.
    #[serde(with = "number")]
    pub observed: f64,
    /// What it exceeded.
    #[serde(with = "number")]
    pub threshold: f64,
    /// The window's length in seconds.
    #[serde(with = "number")]
    pub window_seconds: f64,
    /// How many clients took part, of a rule that asks for a crowd; an estimate where there are very many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clients: Option<u64>,
    /// How many networks they are of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub networks: Option<u64>,
    /// The end of the first sub-bucket whose window exceeded.
    pub first_at: String,
    /// The end of the last bucket above the hold line.
    pub last_at: String,
}

impl SignalJson {
    /// The shape of a signal.
    pub fn of(signal: &Signal) -> Self {
        Self {
            rule: clean(&signal.rule),
            kind: signal.kind.name().to_owned(),
            severity: signal.severity.name().to_owned(),
            target: TargetJson::of(&signal.target),
            subject: clean(&signal.subject.value),
            observed: signal.evidence.observed.0,
            threshold: signal.evidence.threshold,
            window_seconds: signal.evidence.window.as_secs_f64(),
            clients: signal.evidence.crowd.map(|crowd| crowd.clients),
            networks: signal.evidence.crowd.map(|crowd| crowd.networks),
            first_at: signal.first.0.to_string(),
            last_at: signal.holds_until.0.to_string(),
        }
    }
}

/// One (rule, subject) of an incident.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IncidentSignalJson {
    /// The rule's name.
    pub rule: String,
    /// Who.
    pub subject: String,
    /// The highest value in any one window.
    #[serde(with = "number")]
    pub observed: f64,
    /// What it exceeded.
    #[serde(with = "number")]
    pub threshold: f64,
    /// The window's length in seconds.
    #[serde(with = "number")]
    pub window_seconds: f64,
    /// The end of the first sub-bucket whose window exceeded.
    pub first_at: String,
    /// How bad; in an incident's detail only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<String>,
    /// The end of the last bucket above the hold line; in an incident's detail only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_at: Option<String>,
}

impl IncidentSignalJson {
    /// A row with all that is known of it.
    pub fn detailed(row: &SignalRow) -> Self {
        let (severity, last_at) = (Some(row.severity.name().to_owned()), Some(row.holds_until.to_string()));
        Self { severity, last_at, ..Self::of(row) }
    }

    /// A row as an incident prints it.
    pub fn of(row: &SignalRow) -> Self {
        Self {
            rule: clean(&row.rule),
            subject: clean(&row.subject.value),
            observed: row.observed,
            threshold: row.threshold,
            window_seconds: row.window.as_secs_f64(),
            first_at: row.first.to_string(),
            severity: None,
            last_at: None,
        }
    }
}
