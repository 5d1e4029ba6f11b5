//! Incidents: whole (`replay`, webhooks), as items of a list, and with everything that is known (the API's detail).

use std::collections::BTreeMap;

use beaconfire_incident::{
    Acknowledgement, Dossier, Incident, ParticipantRow, RatePoint, Relation, SampleRow, Status,
    TimelineEntry, title,
};
use beaconfire_model::{Kind, Subject};
use serde::{Deserialize, Serialize};

use crate::{DecisionJson, DeliveryJson, IncidentSignalJson, OutboxRowJson, clean, number};

/// `{"type":"incident",…}`: an incident as it was recorded, a function of the records and of nothing else.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IncidentJson {
    /// The episode's id.
    pub id: String,
    /// The fingerprint of kind and target.
    pub fingerprint: String,
    /// Which episode of the fingerprint, from 1.
    pub episode: u32,
    /// What sort of trouble.
    pub kind: String,
    /// The worst severity it had.
    pub severity: String,
    /// open, acknowledged or resolved.
    pub status: String,
    /// What is attacked or abused.
    pub target: TargetJson,
    /// One line for people.
    pub title: String,
    /// The start of the first window that exceeded.
    pub started_at: String,
    /// The end of the first sub-bucket whose window exceeded.
    pub detected_at: String,
    /// The end of the last bucket above the hold line, once it is resolved.
    pub ended_at: Option<String>,
    /// Who took part, heaviest first.
    pub participants: Vec<ParticipantJson>,
    /// How many took part.
    pub participants_total: u64,
    /// Whether the total is an estimate (above 10,000); printed only where it is.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub participants_estimated: bool,
    /// Each (rule, subject), by first detection.
    pub signals: Vec<IncidentSignalJson>,
    /// The labels that routes see.
    pub labels: BTreeMap<String, String>,
    /// MITRE ATT&CK techniques of the kind.
    pub techniques: Vec<String>,
}

impl IncidentJson {
    /// The shape of an incident.
    pub fn of(dossier: &Dossier) -> Self {
        let incident = &dossier.incident;
        Self {
            id: incident.id.as_str().to_owned(),
            fingerprint: incident.fingerprint.as_str().to_owned(),
            episode: incident.episode,
            kind: incident.kind.name().to_owned(),
            severity: incident.severity.name().to_owned(),
            status: incident.status.name().to_owned(),
            target: TargetJson::of(&incident.target),
            title: title(incident),
            started_at: incident.started_at.to_string(),
            detected_at: incident.detected_at.to_string(),
            ended_at: ended_at(incident),
            participants: dossier.participants.iter().map(ParticipantJson::of).collect(),
            participants_total: incident.participants_total,
            participants_estimated: incident.participants_estimated,
            signals: dossier.signals.iter().map(IncidentSignalJson::of).collect(),
            labels: labels(incident),
            techniques: techniques(incident.kind).iter().map(|&id| id.to_owned()).collect(),
        }
    }

    /// Keeps the heaviest `participants` and the first `signals`: for places with a limit of size. The totals stay.
    pub fn shorten(&mut self, participants: usize, signals: usize) {
        self.participants.truncate(participants);
        self.signals.truncate(signals);
    }
}

/// An incident as lists show it: without participants and signals, with what our own clock knows of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IncidentItemJson {
    /// The episode's id.
    pub id: String,
    /// The fingerprint of kind and target.
    pub fingerprint: String,
    /// Which episode of the fingerprint, from 1.
    pub episode: u32,
    /// What sort of trouble.
    pub kind: String,
    /// The worst severity it had.
    pub severity: String,
    /// open, acknowledged or resolved.
    pub status: String,
    /// What is attacked or abused.
    pub target: TargetJson,
    /// One line for people.
    pub title: String,
    /// The start of the first window that exceeded.
    pub started_at: String,
    /// The end of the first sub-bucket whose window exceeded.
    pub detected_at: String,
    /// The end of the last bucket above the hold line so far.
    pub last_seen_at: String,
    /// The same, once it is resolved.
    pub ended_at: Option<String>,
    /// When we opened it.
    pub opened_at: String,
    /// When anything about it changed last.
    pub changed_at: String,
    /// When it was resolved, by our clock.
    pub resolved_at: Option<String>,
    /// Who resolved it by hand.
    pub resolved_by: Option<String>,
    /// Who is on it.
    pub acknowledged: Option<AcknowledgementJson>,
    /// Whom somebody has given it to.
    #[serde(default)]
    pub assignee: Option<String>,
    /// How many took part.
    pub participants_total: u64,
    /// Whether the total is an estimate (above 10,000).
    pub participants_estimated: bool,
    /// Found too late to tell anybody.
    pub stale: bool,
    /// The labels that routes see.
    pub labels: BTreeMap<String, String>,
}

impl IncidentItemJson {
    /// The shape of an incident's row.
    pub fn of(incident: &Incident) -> Self {
        Self {
            id: incident.id.as_str().to_owned(),
            fingerprint: incident.fingerprint.as_str().to_owned(),
            episode: incident.episode,
            kind: incident.kind.name().to_owned(),
            severity: incident.severity.name().to_owned(),
            status: incident.status.name().to_owned(),
            target: TargetJson::of(&incident.target),
            title: title(incident),
            started_at: incident.started_at.to_string(),
            detected_at: incident.detected_at.to_string(),
            last_seen_at: incident.holds_until.to_string(),
            ended_at: ended_at(incident),
            opened_at: incident.opened_at.to_string(),
            changed_at: incident.changed_at.to_string(),
            resolved_at: incident.resolved_at.map(|at| at.to_string()),
            resolved_by: incident.resolved_by.as_deref().map(clean),
            acknowledged: incident.acknowledged.as_ref().map(AcknowledgementJson::of),
            assignee: incident.assignee.as_deref().map(clean),
            participants_total: incident.participants_total,
            participants_estimated: incident.participants_estimated,
            stale: incident.stale,
            labels: labels(incident),
        }
    }
}

/// An incident with everything that is known of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IncidentDetailJson {
    /// What lists show.
    #[serde(flatten)]
    pub item: IncidentItemJson,
    /// MITRE ATT&CK techniques of the kind.
    pub techniques: Vec<String>,
    /// Who took part, heaviest first.
    pub participants: Vec<ParticipantJson>,
    /// Each (rule, subject), by first detection.
    pub signals: Vec<IncidentSignalJson>,
    /// The chart, by rule, then time.
    pub points: Vec<PointJson>,
    /// A few raw records.
    pub samples: Vec<SampleJson>,
    /// What happened, oldest first.
    pub timeline: Vec<TimelineJson>,
    /// What each receiver should know and has been told.
    pub notifications: Vec<OutboxRowJson>,
    /// Single attempts to tell, oldest first.
    pub deliveries: Vec<DeliveryJson>,
    /// Throttle decisions that answer it, oldest first.
    pub decisions: Vec<DecisionJson>,
    /// What its service says to do.
    pub runbook_url: Option<String>,
    /// Incidents that bring it about, or that it brings about.
    #[serde(default)]
    pub links: Vec<LinkJson>,
}

/// An incident that stands in a relation to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkJson {
    /// Its id.
    pub id: String,
    /// `cause`: it brings this one about. `effect`: this one brings it about.
    pub relation: String,
    /// Why, in words.
    pub reason: String,
    /// Its kind.
    pub kind: String,
    /// Its severity.
    pub severity: String,
    /// Its status.
    pub status: String,
    /// Its title.
    pub title: String,
}

impl LinkJson {
    /// The shape of another incident, as it stands to this one.
    pub fn of(other: &Incident, relation: Relation, reason: &str) -> Self {
        Self {
            id: other.id.to_string(),
            relation: relation.name().to_owned(),
            reason: reason.to_owned(),
            kind: other.kind.name().to_owned(),
            severity: other.severity.name().to_owned(),
            status: other.status.name().to_owned(),
            title: clean(&title(other)),
        }
    }
}

impl IncidentDetailJson {
    /// The shape of an incident with what hangs on it in the store; deliveries and the like are the caller's.
    pub fn of(dossier: &Dossier) -> Self {
        let incident = &dossier.incident;
        Self {
            item: IncidentItemJson::of(incident),
            techniques: techniques(incident.kind).iter().map(|&id| id.to_owned()).collect(),
            participants: dossier.participants.iter().map(ParticipantJson::of).collect(),
            signals: dossier.signals.iter().map(IncidentSignalJson::detailed).collect(),
            points: dossier.points.iter().map(PointJson::of).collect(),
            samples: dossier.samples.iter().map(SampleJson::of).collect(),
            timeline: dossier.timeline.iter().map(TimelineJson::of).collect(),
            notifications: Vec::new(),
            deliveries: Vec::new(),
            decisions: Vec::new(),
            runbook_url: None,
            links: Vec::new(),
        }
    }
}

/// What is attacked or abused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetJson {
    /// service, workload, image, …
    pub kind: String,
    /// Its name.
    pub name: String,
}

impl TargetJson {
    /// The shape of a subject that is a target.
    pub fn of(target: &Subject) -> Self {
        Self { kind: target.kind.name().to_owned(), name: clean(&target.value) }
    }
}

/// One that took part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ParticipantJson {
    /// client, prefix, …
    pub kind: String,
    /// Its address or name.
    pub value: String,
    /// The highest count in any one window.
    #[serde(with = "number")]
    pub events: f64,
    /// The start of the first sub-bucket it was seen in.
    pub first_seen: String,
    /// The end of the last one.
    pub last_seen: String,
}

impl ParticipantJson {
    /// The shape of a participant.
    pub fn of(row: &ParticipantRow) -> Self {
        Self {
            kind: row.subject.kind.name().to_owned(),
            value: clean(&row.subject.value),
            events: row.events.0,
            first_seen: row.first_seen.0.to_string(),
            last_seen: row.last_seen.0.to_string(),
        }
    }
}

/// Somebody is on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcknowledgementJson {
    /// Who.
    pub by: String,
    /// Since when.
    pub at: String,
    /// Until when.
    pub until: String,
}

impl AcknowledgementJson {
    /// The shape of an acknowledgement.
    pub fn of(held: &Acknowledgement) -> Self {
        Self { by: clean(&held.by), at: held.at.to_string(), until: held.until.to_string() }
    }
}

/// A raw record that shows what the numbers speak of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SampleJson {
    /// When it happened.
    pub at: String,
    /// Who sent it.
    pub client: Option<String>,
    /// The request or command line.
    pub text: String,
    /// The user agent or process.
    pub by: String,
}

impl SampleJson {
    /// The shape of a raw record.
    pub fn of(sample: &SampleRow) -> Self {
        Self {
            at: sample.time.to_string(),
            client: sample.client.map(|client| client.to_string()),
            text: sample.text.clean().to_owned(),
            by: sample.by.clean().to_owned(),
        }
    }
}

/// One line of the timeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimelineJson {
    /// When we wrote it.
    pub at: String,
    /// When it happened, in event time.
    pub event_at: Option<String>,
    /// Who did it.
    pub actor: String,
    /// opened, escalated, acknowledged, noted, …
    pub what: String,
    /// In words.
    pub text: String,
}

impl TimelineJson {
    /// The shape of a line.
    pub fn of(entry: &TimelineEntry) -> Self {
        let text = beaconfire_model::Untrusted::new(&entry.text, 4_096);
        Self {
            at: entry.at.to_string(),
            event_at: entry.event_at.map(|at| at.to_string()),
            actor: clean(&entry.actor),
            what: entry.what.clone(),
            text: text.clean().to_owned(),
        }
    }
}

/// A point of the chart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PointJson {
    /// The rule.
    pub rule: String,
    /// The end of the window.
    pub at: String,
    /// The highest value of any subject's window that ended then.
    #[serde(with = "number")]
    pub value: f64,
}

impl PointJson {
    /// The shape of a point.
    pub fn of(point: &RatePoint) -> Self {
        Self { rule: clean(&point.rule), at: point.at.to_string(), value: point.value }
    }
}

/// The MITRE ATT&CK techniques that a kind of trouble is; none where the kind alone does not tell.
pub const fn techniques(kind: Kind) -> &'static [&'static str] {
    match kind {
        // Endpoint denial of service: service exhaustion flood.
        Kind::Flood => &["T1499.002"],
        // Active scanning: vulnerability scanning.
        Kind::Probing => &["T1595.002"],
        // Brute force.
        Kind::Login => &["T1110"],
        // Resource hijacking: compute hijacking.
        Kind::Mining => &["T1496.001"],
        Kind::Errors
        | Kind::Surge
        | Kind::Intrusion
        | Kind::Image
        | Kind::Resource
        | Kind::Sensor
        | Kind::External
        | Kind::Throttle => &[],
    }
}

fn ended_at(incident: &Incident) -> Option<String> {
    (incident.status == Status::Resolved).then(|| incident.holds_until.to_string())
}

fn labels(incident: &Incident) -> BTreeMap<String, String> {
    incident.labels.iter().map(|(name, value)| (clean(name), clean(value))).collect()
}
