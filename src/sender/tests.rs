use std::collections::{BTreeMap, BTreeSet};

use beaconfire_incident::{Fingerprint, Folded, Incident, IncidentId, Status};
use beaconfire_model::{EventTime, Kind, Secret, Severity, Subject};
use beaconfire_notify::{Knobs, PagerDutyKnobs};
use beaconfire_outbox::{Fate, Lane, RowKey};
use beaconfire_store::{StoreKnobs, Write};

use super::*;
use crate::standins::{Mode, PagerDuty, ROUTING_KEY};

const RATE: Rate = Rate { per_minute: 6_000, burst: 100 };

fn flood(service: &str, at: Wall) -> Folded {
    let target = Subject::service(service);
    let fingerprint = Fingerprint::of(Kind::Flood, &target);
    let incident = Incident {
        id: IncidentId::of(&fingerprint, 1),
        fingerprint,
        episode: 1,
        version: 0,
        kind: Kind::Flood,
        severity: Severity::Critical,
        status: Status::Open,
        target,
        labels: [("service", service), ("severity", "critical")].into_iter().collect(),
        rules: BTreeMap::new(),
        rules_beyond: 0,
        started_at: at.as_event_time(),
        detected_at: at.as_event_time(),
        holds_until: at.as_event_time(),
        entries: BTreeSet::new(),
        opened_at: at,
        changed_at: at,
        resolved_at: None,
        resolved_by: None,
        acknowledged: None,
        closed_through: Some(EventTime::MIN),
        revision: 1,
        participants_total: 0,
        participants_estimated: false,
        stale: false,
        untold: Default::default(),
    };
    Folded {
        incident,
        transitions: Vec::new(),
        signals: Vec::new(),
        participants: Vec::new(),
        points: Vec::new(),
        samples: Vec::new(),
        timeline: Vec::new(),
    }
}

fn row(incident: &Incident, at: Wall) -> Row {
    Row {
        key: RowKey {
            incident: incident.id.clone(),
            receiver: "pager".into(),
            integration: "pagerduty-0".into(),
        },
        version: 0,
        desired: Told { revision: 1, status: Status::Open, severity: Severity::Critical },
        told: None,
        handle: None,
        fate: Fate::Pending,
        lane: Lane::Page,
        send_resolved: true,
        attempts: 0,
        due: at,
        waiting_since: at,
        messages: 0,
        last_error: None,
        created_at: at,
    }
}

#[tokio::test]
async fn one_row_probes_what_is_misconfigured_for_all() {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}/beaconfire.db", directory.path().display());
    let knobs = StoreKnobs { url, retention: Duration::from_secs(86_400) };
    let store = Store::open(&knobs).await.unwrap();
    let at = now();
    let folded = ["shop", "mail", "search"].map(|service| flood(service, at));
    let rows = folded.each_ref().map(|folded| row(&folded.incident, at));
    store.save(Write { folded: &folded, rows: &rows, ..Write::default() }).await.unwrap();

    let standin = PagerDuty::start().await.unwrap();
    standin.set(Mode::Broken(403));
    let knobs = PagerDutyKnobs { url: standin.url(), routing_key: Secret::new(ROUTING_KEY) };
    let sender = Sender {
        receiver: "pager".into(),
        integration: "pagerduty-0".into(),
        channel: Arc::new(Channel::build(&Knobs::PagerDuty(knobs)).unwrap()),
        rate: RATE,
        digest: DigestKnobs::new(10, RATE),
        owner: "test".into(),
        store: store.clone(),
        house: Arc::new(House {
            installation: "eu-1".into(),
            external_url: "http://127.0.0.1:8480".into(),
            privacy: Privacy::Redact,
            context: Context::default(),
        }),
        metrics: Metrics::register(&prometheus::Registry::new()).unwrap(),
        condition: Condition::default(),
        bell: Arc::default(),
    };
    let pace = Mutex::new(Pace::new(RATE, at));
    assert!(matches!(sender.turn(&pace).await.unwrap(), Turn::Sent));
    for _ in 0..3 {
        let Turn::Wait(wait) = sender.turn(&pace).await.unwrap() else { panic!("a second probe") };
        assert!(wait > Duration::from_secs(30), "{wait:?}");
    }
    assert_eq!(standin.turned_away().len(), 1);
    assert!(sender.condition.read(now()).0.is_some(), "the pause is shown");

    // Mended, and a minute later: all go.
    standin.set(Mode::Well);
    locked(&sender.condition.0).probe_at = None;
    for _ in 0..2 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(matches!(sender.turn(&pace).await.unwrap(), Turn::Sent));
    }
    assert_eq!(standin.accepted(), 2, "the third is the one that probed");
    store.close().await;
}
