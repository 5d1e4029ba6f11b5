//! An incident with something of everything, and the same with hostile text in every place that takes any.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use beaconfire_incident::{
    Acknowledgement, Dossier, Fingerprint, Incident, IncidentId, ParticipantRow, RulePeak, SampleRow,
    SignalRow, Status, TimelineEntry,
};
use beaconfire_model::{
    Client, Earliest, EventTime, Kind, Labels, Latest, Peak, Severity, Subject, SubjectKind, Untrusted, Wall,
};
use beaconfire_outbox::{Action, Handle};
use beaconfire_view::{DecisionJson, Privacy};

use crate::{About, Matter, Message, Site};

pub(crate) const SITE: Site<'static> = Site {
    installation: "eu-1",
    external_url: "https://beacon.example.com",
    privacy: Privacy::Redact,
    templates: None,
};

const START: i64 = 1_767_323_045_000;

pub(crate) fn at(seconds: i64) -> EventTime {
    EventTime::from_millis(START + seconds * 1_000)
}

pub(crate) fn wall(seconds: i64) -> Wall {
    Wall::from_millis(START + seconds * 1_000)
}

/// A case with what is told of it.
pub(crate) struct Case {
    pub(crate) dossier: Dossier,
    pub(crate) decisions: Vec<DecisionJson>,
    pub(crate) silenced: Option<String>,
    pub(crate) annotations: Labels,
    pub(crate) handle: Option<Handle>,
}

impl Case {
    /// An open flood of two rules and seven clients.
    pub(crate) fn open() -> Self {
        Self::with("shop", "203.0.113.7", "GET /cart?id=1&token=abc 200", "curl/8")
    }

    /// The same incident, with these texts where a stranger's stand.
    pub(crate) fn with(target: &str, client: &str, request: &str, agent: &str) -> Self {
        let target = Subject::service(target);
        let fingerprint = Fingerprint::of(Kind::Flood, &target);
        let subject = Subject::new(SubjectKind::Client, client);
        let peak = |observed, threshold, seconds| RulePeak {
            severity: Severity::Critical,
            observed,
            threshold,
            window: Duration::from_secs(seconds),
            subject: subject.clone(),
            crowd: None,
            first: at(60),
            holds_until: at(120),
        };
        let participants = (0..7).map(|n| ParticipantRow {
            subject: if n == 0 {
                subject.clone()
            } else {
                Subject::new(SubjectKind::Client, format!("198.51.100.{n}"))
            },
            events: Peak(4_120.0 - f64::from(n) * 100.0),
            first_seen: Earliest(at(0)),
            last_seen: Latest(at(120)),
        });
        let line = |seconds, what: &str, text: &str| TimelineEntry {
            at: wall(seconds),
            event_at: None,
            actor: "beaconfire".into(),
            what: what.into(),
            text: text.into(),
        };
        let labels = [("alertname", "requests-per-client"), ("kind", "flood"), ("severity", "critical")];
        let mut labels: Labels = labels.into_iter().collect();
        labels.set("service", &target.value);
        let incident = Incident {
            id: IncidentId::from_text("0123456789abcdef0123456789abcdef"),
            fingerprint,
            episode: 1,
            version: 3,
            kind: Kind::Flood,
            severity: Severity::Critical,
            status: Status::Open,
            target,
            labels,
            rules: BTreeMap::from([
                ("requests-per-client".into(), peak(4_120.0, 600.0, 60)),
                ("request-burst".into(), peak(900.0, 300.0, 10)),
            ]),
            rules_beyond: 0,
            started_at: at(0),
            detected_at: at(60),
            holds_until: at(120),
            entries: BTreeSet::new(),
            opened_at: wall(61),
            changed_at: wall(130),
            resolved_at: None,
            resolved_by: None,
            acknowledged: None,
            assignee: None,
            steps: Vec::new(),
            closed_through: None,
            revision: 3,
            participants_total: 1_234,
            participants_estimated: false,
            stale: false,
            untold: Default::default(),
        };
        Self {
            dossier: Dossier {
                incident,
                signals: vec![SignalRow {
                    rule: "requests-per-client".into(),
                    subject: subject.clone(),
                    severity: Severity::Critical,
                    observed: 4_120.0,
                    threshold: 600.0,
                    window: Duration::from_secs(60),
                    first: at(60),
                    holds_until: at(120),
                }],
                participants: participants.collect(),
                timeline: vec![
                    line(61, "opened", "Request flood"),
                    line(100, "escalated", "severity rose from warning to critical"),
                    line(110, "noted", "looking"),
                ],
                samples: vec![SampleRow {
                    time: at(30),
                    client: Some(Client::of([203, 0, 113, 7].into())),
                    text: Untrusted::new(request, 512),
                    by: Untrusted::new(agent, 256),
                }],
                points: Vec::new(),
            },
            silenced: None,
            decisions: vec![DecisionJson {
                scope: "ip".into(),
                value: "203.0.113.7".into(),
                action: "ban".into(),
                duration_seconds: 600,
                mode: "dry_run".into(),
                rule: "requests-per-client".into(),
                incident: None,
                at: wall(61).to_string(),
                id: Some(1),
                origin: Some("rule".into()),
                by: None,
                reason: None,
                expires_at: Some(wall(661).to_string()),
                deleted_at: None,
            }],
            annotations: [("runbook_url", "https://wiki.example.com/shop?a=1&b=2"), ("summary", "The shop.")]
                .into_iter()
                .collect(),
            handle: None,
        }
    }

    /// It is over.
    pub(crate) fn resolved(mut self) -> Self {
        self.dossier.incident.status = Status::Resolved;
        self.dossier.incident.resolved_at = Some(wall(420));
        self.dossier.incident.revision = 5;
        self
    }

    /// Somebody is on it.
    pub(crate) fn acknowledged(mut self, by: &str) -> Self {
        self.dossier.incident.status = Status::Acknowledged;
        self.dossier.incident.acknowledged =
            Some(Acknowledgement { by: by.into(), at: wall(140), until: wall(14_540) });
        self.dossier.incident.revision = 4;
        self
    }

    /// It was told before.
    pub(crate) fn told(mut self, handle: &str) -> Self {
        self.handle = Some(Handle(handle.into()));
        self
    }

    /// The message that tells it.
    pub(crate) fn message(&self, action: Action) -> Message<'_> {
        Message {
            matter: Matter::Incident(About {
                dossier: &self.dossier,
                revision: self.dossier.incident.revision,
                decisions: &self.decisions,
                silenced: self.silenced.as_deref(),
                annotations: &self.annotations,
                via: None,
                again: false,
            }),
            action,
            notification_id: "n-1",
            handle: self.handle.as_ref(),
            now: wall(135),
            site: SITE,
        }
    }
}
