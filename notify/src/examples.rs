//! One incident of each kind, made up and always the same: for `render --example`, for `check`, which tries every
//! template on them, and for tests.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use beaconfire_incident::{
    Dossier, Fingerprint, Incident, IncidentId, ParticipantRow, RatePoint, RulePeak, SampleRow, SignalRow,
    Status, TimelineEntry,
};
use beaconfire_model::{
    Client, Earliest, EventTime, Kind, Labels, Latest, Peak, Severity, Subject, SubjectKind, Untrusted, Wall,
};
use beaconfire_view::DecisionJson;

use crate::message::{About, Matter, Message, Site, telling};

/// When they began: 2026-01-02 03:04:05 UTC.
const START: i64 = 1_767_323_045_000;

/// An incident and what is told with it.
#[derive(Debug, Clone)]
pub struct Example {
    dossier: Dossier,
    decisions: Vec<DecisionJson>,
    annotations: Labels,
}

/// What tells one kind's example from another's.
struct Plot {
    target: (SubjectKind, &'static str),
    severity: Severity,
    /// Each rule with what it counted, its threshold and its window in seconds; the first is the rule of the labels.
    rules: &'static [(&'static str, f64, f64, u64)],
    /// Who did it; empty where nobody can be named.
    by: (SubjectKind, &'static str),
    /// A raw record, and who or what sent it.
    sample: (&'static str, &'static str),
}

fn plot(kind: Kind) -> Plot {
    use Severity::{Critical, Error, Warning};
    use SubjectKind as Of;
    let (client, nobody) = ((Of::Client, "203.0.113.7"), (Of::Client, ""));
    let (shop, pods) = ((Of::Service, "shop"), (Of::Workload, "shop/checkout"));
    let plot = |target, severity, rules, by, sample| Plot { target, severity, rules, by, sample };
    match kind {
        Kind::Flood => plot(
            shop,
            Critical,
            &[("requests-per-client", 4_120.0, 600.0, 60), ("request-burst", 900.0, 300.0, 10)],
            client,
            ("GET /cart?id=1 200", "curl/8.5.0"),
        ),
        Kind::Probing => {
            let sample = ("GET /.env 404", "Mozilla/5.0 zgrab/0.x");
            plot(shop, Warning, &[("sensitive-files", 37.0, 4.0, 60)], client, sample)
        }
        Kind::Login => {
            let sample = ("POST /login 401", "python-requests/2.31");
            plot(shop, Error, &[("credential-stuffing", 412.0, 200.0, 600)], client, sample)
        }
        Kind::Errors => {
            let sample = ("GET /api/orders 502", "Mozilla/5.0");
            plot(shop, Error, &[("server-errors", 0.37, 0.1, 60)], nobody, sample)
        }
        Kind::Surge => {
            let sample = ("GET /sale 200", "Mozilla/5.0");
            plot(shop, Warning, &[("overload", 33_000.0, 30_000.0, 60)], nobody, sample)
        }
        Kind::Mining => plot(
            pods,
            Critical,
            &[
                ("mining", 21.5, 10.0, 300),
                ("mining:pool-connect", 12.0, 10.0, 300),
                ("mining:cpu-shape", 9.5, 10.0, 300),
            ],
            pods,
            ("connect 203.0.113.9:3333", "/tmp/.x/kworker"),
        ),
        Kind::Intrusion => {
            let sample = ("bash -i", "bash");
            plot(pods, Error, &[("Terminal shell in container", 1.0, 0.0, 60)], pods, sample)
        }
        Kind::Image => {
            let (image, sample) =
                ((Of::Image, "registry.example.com/shop:1.2"), ("start shop:1.2", "containerd"));
            plot(image, Warning, &[("image-without-digest", 1.0, 0.0, 60)], pods, sample)
        }
        Kind::Resource => {
            plot(pods, Warning, &[("cpu", 3.9, 1.2, 300)], pods, ("cpu 3.9 cores", "checkout-7d9f"))
        }
        Kind::Sensor => {
            let input = (Of::Input, "edge-access");
            plot(input, Error, &[("input-silent", 900.0, 600.0, 600)], nobody, ("", ""))
        }
        Kind::External => {
            let alert = (Of::Alert, "5d41402abc4b2a76");
            plot(alert, Warning, &[("HighLatency", 1.0, 0.0, 60)], nobody, ("", ""))
        }
        Kind::Throttle => {
            let input = (Of::Input, "throttle");
            plot(input, Error, &[("budget", 61.0, 60.0, 60)], nobody, ("", ""))
        }
    }
}

impl Example {
    /// The open incident of this kind.
    pub fn of(kind: Kind) -> Self {
        let Plot { target: (target_kind, target), severity, rules, by, sample } = plot(kind);
        let target = Subject::new(target_kind, target);
        let by = (!by.1.is_empty()).then(|| Subject::new(by.0, by.1));
        let subject = by.clone().unwrap_or_else(|| target.clone());
        let rule = rules.first().map_or("", |rule| rule.0);
        let mut labels = Labels::default();
        for (name, value) in [("alertname", rule), ("kind", kind.name()), ("severity", severity.name())] {
            labels.set(name, value);
        }
        if matches!(target.kind, SubjectKind::Service | SubjectKind::Workload) {
            labels.set(target.kind.name(), &target.value);
        }
        let peaks = rules.iter().map(|&(name, observed, threshold, seconds)| {
            let peak = RulePeak {
                severity,
                observed,
                threshold,
                window: Duration::from_secs(seconds),
                subject: subject.clone(),
                crowd: None,
                first: at(60),
                holds_until: at(300),
            };
            (Arc::<str>::from(name), peak)
        });
        let rules: BTreeMap<Arc<str>, RulePeak> = peaks.collect();
        let fingerprint = Fingerprint::of(kind, &target);
        let incident = Incident {
            id: IncidentId::of(&fingerprint, 1),
            fingerprint,
            episode: 1,
            version: 1,
            kind,
            severity,
            status: Status::Open,
            target,
            labels,
            rules,
            rules_beyond: 0,
            started_at: at(0),
            detected_at: at(60),
            holds_until: at(300),
            entries: BTreeSet::new(),
            opened_at: wall(61),
            changed_at: wall(301),
            resolved_at: None,
            resolved_by: None,
            acknowledged: None,
            assignee: None,
            steps: Vec::new(),
            closed_through: None,
            revision: 1,
            participants_total: u64::from(by.is_some()),
            participants_estimated: false,
            stale: false,
            untold: Default::default(),
        };
        let decisions = match (kind, &by) {
            (Kind::Flood | Kind::Probing | Kind::Login, Some(by)) => vec![ban(&by.value, rule)],
            _ => Vec::new(),
        };
        Self { dossier: dossier(incident, by, sample), decisions, annotations: annotations() }
    }

    /// The same incident, once it is over.
    pub fn resolved(mut self) -> Self {
        let incident = &mut self.dossier.incident;
        (incident.status, incident.resolved_at, incident.revision) = (Status::Resolved, Some(wall(600)), 2);
        self
    }

    /// The message that tells it.
    pub fn message<'a>(&'a self, site: Site<'a>) -> Message<'a> {
        let incident = &self.dossier.incident;
        Message {
            matter: Matter::Incident(About {
                dossier: &self.dossier,
                revision: incident.revision,
                decisions: &self.decisions,
                silenced: None,
                annotations: &self.annotations,
                via: None,
                again: false,
            }),
            action: telling(incident.status),
            notification_id: "example",
            handle: None,
            now: wall(360),
            site,
        }
    }
}

fn dossier(incident: Incident, by: Option<Subject>, sample: (&str, &str)) -> Dossier {
    let signals = incident.rules.iter().map(|(rule, peak)| SignalRow {
        rule: rule.clone(),
        subject: peak.subject.clone(),
        severity: peak.severity,
        observed: peak.observed,
        threshold: peak.threshold,
        window: peak.window,
        first: peak.first,
        holds_until: peak.holds_until,
    });
    // It rises to its peak within a minute, and stays near it.
    let shape = [0.2, 0.5, 0.9, 1.0, 0.97, 0.92, 0.95, 0.9, 0.88, 0.91, 0.86, 0.8];
    let points = incident.rules.iter().filter(|(_, peak)| peak.threshold > 0.0).flat_map(|(rule, peak)| {
        shape.iter().zip(0_i64..).map(|(share, n)| RatePoint {
            rule: rule.clone(),
            at: at(30 + 25 * n),
            value: peak.observed * share,
        })
    });
    let (text, sender) = sample;
    let address = by.as_ref().and_then(|by| by.value.parse().ok()).map(Client::of);
    let samples = (!text.is_empty()).then(|| SampleRow {
        time: at(30),
        client: address,
        text: Untrusted::new(text, 512),
        by: Untrusted::new(sender, 256),
    });
    let opened = TimelineEntry {
        at: wall(61),
        event_at: Some(at(60)),
        actor: "beaconfire".into(),
        what: "opened".into(),
        text: beaconfire_incident::title(&incident),
    };
    let events = incident.rules.values().next().map_or(1.0, |peak| peak.observed);
    let participants = by.map(|subject| ParticipantRow {
        subject,
        events: Peak(events),
        first_seen: Earliest(at(0)),
        last_seen: Latest(at(300)),
    });
    Dossier {
        signals: signals.collect(),
        participants: participants.into_iter().collect(),
        timeline: vec![opened],
        samples: samples.into_iter().collect(),
        points: points.collect(),
        incident,
    }
}

fn annotations() -> Labels {
    let said =
        [("summary", "The shop that customers see."), ("runbook_url", "https://wiki.example.com/shop")];
    said.into_iter().collect()
}

fn ban(who: &str, rule: &str) -> DecisionJson {
    DecisionJson {
        scope: "ip".into(),
        value: who.into(),
        action: "ban".into(),
        duration_seconds: 600,
        mode: "dry_run".into(),
        rule: rule.into(),
        incident: None,
        at: wall(61).to_string(),
        id: Some(1),
        origin: Some("rule".into()),
        by: None,
        reason: None,
        expires_at: Some(wall(661).to_string()),
        deleted_at: None,
    }
}

fn at(seconds: i64) -> EventTime {
    EventTime::from_millis(START + seconds * 1_000)
}

fn wall(seconds: i64) -> Wall {
    Wall::from_millis(START + seconds * 1_000)
}
