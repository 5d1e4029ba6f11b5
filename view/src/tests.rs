//! The documented shapes, character by character, and back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use beaconfire_incident::{
    Dossier, Fingerprint, Incident, IncidentId, ParticipantRow, RulePeak, SampleRow, SignalRow, Status,
    TimelineEntry,
};
use beaconfire_model::{
    Client, Earliest, EventTime, Kind, Labels, Latest, Peak, Severity, Subject, SubjectKind, Untrusted, Wall,
};
use beaconfire_throttle::{Action, Decision, DecisionKey, Mode, Origin};

use crate::{
    BouncerDecisionJson, DecisionJson, IncidentDetailJson, IncidentJson, Line, NotificationJson, Privacy,
    SummaryJson, go_duration,
};

const START: i64 = 1_767_323_045_000;

fn at(seconds: i64) -> EventTime {
    EventTime::from_millis(START + seconds * 1_000)
}

fn wall(seconds: i64) -> Wall {
    Wall::from_millis(START + seconds * 1_000)
}

fn dossier(status: Status) -> Dossier {
    let target = Subject::service("shop");
    let fingerprint = Fingerprint::of(Kind::Flood, &target);
    let client = Subject::new(SubjectKind::Client, "203.0.113.7");
    let rule: Arc<str> = "requests-per-client".into();
    let window = Duration::from_secs(60);
    let peak = RulePeak {
        severity: Severity::Critical,
        observed: 412.0,
        threshold: 300.0,
        window,
        subject: client.clone(),
        crowd: None,
        first: at(60),
        holds_until: at(120),
    };
    let labels = [
        ("alertname", "requests-per-client"),
        ("kind", "flood"),
        ("service", "shop"),
        ("severity", "critical"),
    ];
    Dossier {
        incident: Incident {
            id: IncidentId::of(&fingerprint, 1),
            fingerprint,
            episode: 1,
            version: 3,
            kind: Kind::Flood,
            severity: Severity::Critical,
            status,
            target,
            labels: labels.into_iter().collect::<Labels>(),
            rules: BTreeMap::from([(rule.clone(), peak)]),
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
            revision: 1,
            participants_total: 1,
            participants_estimated: false,
            stale: false,
            untold: Default::default(),
        },
        signals: vec![SignalRow {
            rule,
            subject: client.clone(),
            severity: Severity::Critical,
            observed: 412.0,
            threshold: 300.5,
            window,
            first: at(60),
            holds_until: at(120),
        }],
        participants: vec![ParticipantRow {
            subject: client,
            events: Peak(412.0),
            first_seen: Earliest(at(0)),
            last_seen: Latest(at(120)),
        }],
        timeline: vec![
            TimelineEntry {
                at: wall(61),
                event_at: Some(at(60)),
                actor: "beaconfire".into(),
                what: "opened".into(),
                text: "GET /cart?id=1".into(),
            },
            TimelineEntry {
                at: wall(90),
                event_at: None,
                actor: "ana".into(),
                what: "noted".into(),
                text: "see /runbook?step=2".into(),
            },
        ],
        samples: vec![SampleRow {
            time: at(30),
            client: Some(Client::of([203, 0, 113, 7].into())),
            text: Untrusted::new("GET /cart?id=1 200", 512),
            by: Untrusted::new("curl/8\u{202e}", 256),
        }],
        points: Vec::new(),
    }
}

fn decision() -> Decision {
    Decision {
        id: 7,
        key: DecisionKey {
            network: "203.0.113.7/32".parse().unwrap(),
            action: Action::Ban,
            mode: Mode::DryRun,
        },
        scenario: "requests-per-client".into(),
        origin: Origin::Rule,
        incident: Some(IncidentId::from_text("abc")),
        reason: "412 in 60 s".into(),
        created: wall(0),
        expires: wall(600),
        deleted: None,
        changed: wall(0),
    }
}

fn check(line: &Line, text: &str) {
    let printed = serde_json::to_string(line).unwrap();
    assert_eq!(printed, text);
    assert_eq!(&serde_json::from_str::<Line>(&printed).unwrap(), line, "read back");
}

#[test]
fn an_incident_prints_as_documented() {
    let dossier = dossier(Status::Resolved);
    let (id, fingerprint) = (dossier.incident.id.clone(), dossier.incident.fingerprint.clone());
    check(
        &Line::Incident(IncidentJson::of(&dossier)),
        &format!(
            concat!(
                r#"{{"type":"incident","id":"{}","fingerprint":"{}","episode":1,"kind":"flood","#,
                r#""severity":"critical","status":"resolved","target":{{"kind":"service","name":"shop"}},"#,
                r#""title":"Request flood on shop: 203.0.113.7 sent 412 requests in 60 s (limit 300)","#,
                r#""started_at":"2026-01-02T03:04:05Z","detected_at":"2026-01-02T03:05:05Z","#,
                r#""ended_at":"2026-01-02T03:06:05Z","participants":[{{"kind":"client","value":"203.0.113.7","#,
                r#""events":412,"first_seen":"2026-01-02T03:04:05Z","last_seen":"2026-01-02T03:06:05Z"}}],"#,
                r#""participants_total":1,"signals":[{{"rule":"requests-per-client","subject":"203.0.113.7","#,
                r#""observed":412,"threshold":300.5,"window_seconds":60,"first_at":"2026-01-02T03:05:05Z"}}],"#,
                r#""labels":{{"alertname":"requests-per-client","kind":"flood","service":"shop","#,
                r#""severity":"critical"}},"techniques":["T1499.002"]}}"#,
            ),
            id, fingerprint
        ),
    );
}

#[test]
fn an_open_incident_has_not_ended_and_an_estimate_says_so() {
    let mut dossier = dossier(Status::Open);
    dossier.incident.participants_estimated = true;
    let text = serde_json::to_string(&IncidentJson::of(&dossier)).unwrap();
    assert!(text.contains(r#""ended_at":null"#), "{text}");
    assert!(text.contains(r#""participants_total":1,"participants_estimated":true"#), "{text}");
}

#[test]
fn other_lines_print_as_documented() {
    check(
        &Line::Decision(DecisionJson::of(&decision())),
        concat!(
            r#"{"type":"decision","scope":"ip","value":"203.0.113.7","action":"ban","duration_seconds":600,"#,
            r#""mode":"dry_run","rule":"requests-per-client","incident":"abc","at":"2026-01-02T03:04:05Z"}"#,
        ),
    );
    check(
        &Line::Notification(NotificationJson {
            receiver: "chat".into(),
            integration: "slack".into(),
            incident: "abc".into(),
            action: "open".into(),
            at: wall(0).to_string(),
            text: "Request flood on shop".into(),
        }),
        concat!(
            r#"{"type":"notification","receiver":"chat","integration":"slack","incident":"abc","action":"open","#,
            r#""at":"2026-01-02T03:04:05Z","text":"Request flood on shop"}"#,
        ),
    );
    check(
        &Line::Summary(SummaryJson {
            records: 1_000,
            decoded: 998,
            rejected: BTreeMap::from([("syntax".to_owned(), 2)]),
            first_at: Some(at(0).to_string()),
            wall_seconds: 0.01,
            cpu_seconds: 0.01,
            ..SummaryJson::default()
        }),
        concat!(
            r#"{"type":"summary","records":1000,"decoded":998,"rejected":{"syntax":2},"late":0,"#,
            r#""first_at":"2026-01-02T03:04:05Z","last_at":null,"incidents":0,"signals":0,"notifications":0,"#,
            r#""decisions":0,"wall_seconds":0.01,"cpu_seconds":0.01}"#,
        ),
    );
}

#[test]
fn the_detail_reads_back_and_cuts_queries_but_not_notes() {
    let dossier = dossier(Status::Open);
    let mut shown = dossier.clone();
    Privacy::Redact.apply_to_dossier(&mut shown);
    let detail = IncidentDetailJson::of(&shown);
    let text = serde_json::to_string(&detail).unwrap();
    assert_eq!(serde_json::from_str::<IncidentDetailJson>(&text).unwrap(), detail);
    assert_eq!(detail.samples[0].text, "GET /cart?… 200");
    assert_eq!(detail.samples[0].by, "curl/8\\u{202e}");
    assert_eq!(detail.timeline[0].text, "GET /cart?…");
    assert_eq!(detail.timeline[1].text, "see /runbook?step=2");
    let kept = IncidentDetailJson::of(&dossier);
    assert_eq!(kept.samples[0].text, "GET /cart?id=1 200");
}

#[test]
fn names_that_are_hostile_are_made_visible() {
    let mut dossier = dossier(Status::Open);
    dossier.incident.target = Subject::new(SubjectKind::Host, "a\r\n\u{202e}b");
    let shape = IncidentJson::of(&dossier);
    assert_eq!(shape.target.name, "a\\u{d}\\u{a}\\u{202e}b");
}

#[test]
fn durations_are_what_go_prints() {
    for (seconds, text) in
        [(1, "1s"), (59, "59s"), (60, "1m0s"), (3_600, "1h0m0s"), (14_389, "3h59m49s"), (360_000, "100h0m0s")]
    {
        assert_eq!(go_duration(Duration::from_secs(seconds)), text);
    }
    assert_eq!(go_duration(Duration::from_millis(14_389_999)), "3h59m49s");
}

#[test]
fn bouncers_never_see_a_duration_of_nothing() {
    let decision = decision();
    let left = |millis: i64| {
        let now = Wall::from_millis(START + 600_000 - millis);
        BouncerDecisionJson::active(&decision, now).map(|shape| shape.duration)
    };
    assert_eq!(left(600_000).as_deref(), Some("10m0s"));
    assert_eq!(left(1_000).as_deref(), Some("1s"));
    assert_eq!(left(999), None);
    assert_eq!(left(-5_000), None);
    let over = serde_json::to_string(&BouncerDecisionJson::over(&decision)).unwrap();
    let expected = concat!(
        r#"{"duration":"-1s","id":7,"origin":"beaconfire","scenario":"requests-per-client","scope":"Ip","#,
        r#""type":"ban","value":"203.0.113.7"}"#
    );
    assert_eq!(over, expected);
}
