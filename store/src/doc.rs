//! The part of an incident that SQL never asks for: a JSON document beside its columns.
//!
//! Peaks are written as text: Rust reads back exactly the number that it printed, infinities too, and a peak that
//! moved by the last bit would count as growth.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use beaconfire_incident::{Acknowledgement, Incident, RulePeak, Step, Untold};
use beaconfire_model::{Crowd, EventTime, Labels, Severity, Subject, SubjectKind, Wall};
use serde::{Deserialize, Serialize};

use crate::StoreError;
use crate::sql::{millis, real};

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Doc {
    labels: BTreeMap<String, String>,
    rules: BTreeMap<String, Peak>,
    #[serde(default)]
    rules_beyond: u32,
    entries: BTreeSet<String>,
    resolved_by: Option<String>,
    acknowledged: Option<Ack>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    assignee: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    steps: Vec<Due>,
    closed_through: Option<i64>,
    revision: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rose_from: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    untold_rules: BTreeSet<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Peak {
    severity: String,
    observed: String,
    threshold: String,
    window_ms: i64,
    subject_kind: String,
    subject: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    crowd: Option<Taking>,
    first: i64,
    holds_until: i64,
}

/// Those who took part.
#[derive(Debug, Serialize, Deserialize)]
struct Taking {
    clients: u64,
    networks: u64,
    sampled: bool,
}

#[derive(Debug, Serialize, Deserialize)]
struct Ack {
    by: String,
    at: i64,
    until: i64,
}

/// A step of an escalation.
#[derive(Debug, Serialize, Deserialize)]
struct Due {
    at: i64,
    receiver: String,
    done: bool,
}

impl Doc {
    /// The document of an incident.
    pub(crate) fn of(incident: &Incident) -> Self {
        Self {
            labels: incident.labels.0.clone(),
            rules: incident.rules.iter().map(|(rule, peak)| (rule.to_string(), Peak::of(peak))).collect(),
            rules_beyond: incident.rules_beyond,
            entries: incident.entries.clone(),
            resolved_by: incident.resolved_by.clone(),
            acknowledged: incident.acknowledged.as_ref().map(|held| Ack {
                by: held.by.clone(),
                at: held.at.millis(),
                until: held.until.millis(),
            }),
            assignee: incident.assignee.clone(),
            steps: incident.steps.iter().map(Due::of).collect(),
            closed_through: incident.closed_through.map(EventTime::millis),
            revision: incident.revision,
            rose_from: incident.untold.rose_from.map(|severity| severity.name().to_owned()),
            untold_rules: incident.untold.rules.iter().map(|rule| rule.to_string()).collect(),
        }
    }

    pub(crate) fn print(&self) -> Result<String, StoreError> {
        serde_json::to_string(self).map_err(|_| corrupt())
    }

    pub(crate) fn parse(text: &str) -> Result<Self, StoreError> {
        serde_json::from_str(text).map_err(|_| corrupt())
    }

    /// Puts what the document holds into an incident whose other fields came from columns.
    pub(crate) fn fill(self, incident: &mut Incident) -> Result<(), StoreError> {
        incident.labels = Labels(self.labels);
        incident.rules = self
            .rules
            .into_iter()
            .map(|(rule, peak)| Ok((rule.into(), peak.read().ok_or_else(corrupt)?)))
            .collect::<Result<_, StoreError>>()?;
        incident.rules_beyond = self.rules_beyond;
        incident.entries = self.entries;
        incident.resolved_by = self.resolved_by;
        incident.acknowledged = self.acknowledged.map(|held| Acknowledgement {
            by: held.by,
            at: Wall::from_millis(held.at),
            until: Wall::from_millis(held.until),
        });
        incident.assignee = self.assignee;
        incident.steps = self.steps.into_iter().map(Due::read).collect();
        incident.closed_through = self.closed_through.map(EventTime::from_millis);
        incident.revision = self.revision;
        let severity = |name: String| Severity::parse(&name).ok_or_else(corrupt);
        incident.untold = Untold {
            rose_from: self.rose_from.map(severity).transpose()?,
            rules: self.untold_rules.into_iter().map(Into::into).collect(),
        };
        Ok(())
    }
}

impl Due {
    fn of(step: &Step) -> Self {
        Self { at: step.due.millis(), receiver: step.receiver.to_string(), done: step.done }
    }

    fn read(self) -> Step {
        Step { due: Wall::from_millis(self.at), receiver: self.receiver.into(), done: self.done }
    }
}

impl Peak {
    fn of(peak: &RulePeak) -> Self {
        Self {
            severity: peak.severity.name().into(),
            observed: real(peak.observed).to_string(),
            threshold: real(peak.threshold).to_string(),
            window_ms: millis(peak.window),
            subject_kind: peak.subject.kind.name().into(),
            subject: peak.subject.value.to_string(),
            crowd: peak.crowd.map(|Crowd { clients, networks, sampled }| Taking {
                clients,
                networks,
                sampled,
            }),
            first: peak.first.millis(),
            holds_until: peak.holds_until.millis(),
        }
    }

    fn read(self) -> Option<RulePeak> {
        Some(RulePeak {
            severity: Severity::parse(&self.severity)?,
            observed: self.observed.parse().ok()?,
            threshold: self.threshold.parse().ok()?,
            window: Duration::from_millis(u64::try_from(self.window_ms).ok()?),
            subject: Subject::new(SubjectKind::parse(&self.subject_kind)?, self.subject),
            crowd: self.crowd.map(|Taking { clients, networks, sampled }| Crowd {
                clients,
                networks,
                sampled,
            }),
            first: EventTime::from_millis(self.first),
            holds_until: EventTime::from_millis(self.holds_until),
        })
    }
}

fn corrupt() -> StoreError {
    StoreError::Corrupt("incident.doc".into())
}
