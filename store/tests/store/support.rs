//! Stores, incidents and rows to play with.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use beaconfire_incident::{
    Fingerprint, Folded, Incident, IncidentId, ParticipantRow, RatePoint, RulePeak, SampleRow, SignalRow,
    Status, TimelineEntry, Untold,
};
use beaconfire_model::{
    Client, Earliest, EventTime, Kind, Labels, Latest, Offset, Participant, Peak, Severity, Specimen,
    Subject, Untrusted, Wall,
};
use beaconfire_outbox::{Fate, Lane, Row, RowKey, Told};
use beaconfire_store::{DeliveryLog, Progress, SaveError, Store, StoreKnobs, Write};

pub(crate) const DAY: Duration = Duration::from_secs(86_400);

pub(crate) fn wall(millis: i64) -> Wall {
    Wall::from_millis(1_700_000_000_000 + millis)
}

pub(crate) fn event(millis: i64) -> EventTime {
    EventTime::from_millis(1_700_000_000_000 + millis)
}

pub(crate) fn knobs(directory: &Path) -> StoreKnobs {
    // A blank and a percent sign: what an operator may well have in a path.
    StoreKnobs { url: format!("sqlite:{}/our 100% store.db", directory.display()), retention: 30 * DAY }
}

pub(crate) async fn open(directory: &Path) -> Store {
    Store::open(&knobs(directory)).await.expect("a store")
}

pub(crate) fn client(text: &str) -> Subject {
    Subject::client(Client::of(text.parse().expect("an address")))
}

/// A flood on a service that has just opened, and is not stored yet.
pub(crate) fn incident(service: &str, episode: u32) -> Incident {
    let target = Subject::service(service);
    let fingerprint = Fingerprint::of(Kind::Flood, &target);
    let peak = RulePeak {
        severity: Severity::Critical,
        // No binary fraction, and no number that JSON knows.
        observed: 0.1 + 0.2,
        threshold: f64::INFINITY,
        window: Duration::from_secs(60),
        subject: client("2001:db8::1"),
        crowd: None,
        first: event(0),
        holds_until: event(9_000),
    };
    Incident {
        id: IncidentId::of(&fingerprint, episode),
        fingerprint,
        episode,
        version: 0,
        kind: Kind::Flood,
        severity: Severity::Critical,
        status: Status::Open,
        target,
        labels: Labels::from_iter([("service", service), ("severity", "critical")]),
        rules: BTreeMap::from([("flood".into(), peak)]),
        rules_beyond: 1,
        started_at: event(-1_000),
        detected_at: event(0),
        holds_until: event(9_000),
        entries: ["edge".to_owned()].into(),
        opened_at: wall(10_000),
        changed_at: wall(10_000),
        resolved_at: None,
        resolved_by: None,
        acknowledged: None,
        assignee: None,
        steps: Vec::new(),
        closed_through: Some(EventTime::MIN),
        revision: 2,
        participants_total: 0,
        participants_estimated: false,
        stale: false,
        untold: Untold { rose_from: Some(Severity::Warning), rules: ["flood".into()].into() },
    }
}

pub(crate) fn folded(incident: Incident) -> Folded {
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

pub(crate) fn participant(address: &str, events: f64) -> ParticipantRow {
    let subject = client(address);
    Participant { subject, events: Peak(events), first_seen: Earliest(event(0)), last_seen: Latest(event(1)) }
}

/// A fold with one of everything that hangs on an incident.
pub(crate) fn laden(incident: Incident) -> Folded {
    let signal = SignalRow {
        rule: "flood".into(),
        subject: client("203.0.113.7"),
        severity: Severity::Warning,
        observed: 10.0,
        threshold: 5.0,
        window: Duration::from_secs(60),
        first: event(5),
        holds_until: event(10),
    };
    let sample: SampleRow = Specimen {
        time: event(3),
        client: Some(Client::of("2001:db8::1".parse().expect("an address"))),
        text: Untrusted::new("GET /?<b> 404", 512),
        by: Untrusted::new("curl", 256),
    };
    Folded {
        signals: vec![signal],
        participants: vec![participant("203.0.113.7", 3.0)],
        points: vec![RatePoint { rule: "flood".into(), at: event(60), value: 7.0 }],
        samples: vec![sample],
        timeline: vec![line("opened")],
        ..folded(incident)
    }
}

pub(crate) fn line(what: &str) -> TimelineEntry {
    TimelineEntry {
        at: wall(0),
        event_at: None,
        actor: "beaconfire".into(),
        what: what.into(),
        text: "said".into(),
    }
}

pub(crate) fn row(incident: &Incident, receiver: &str) -> Row {
    let desired = Told { revision: 2, status: Status::Open, severity: Severity::Critical, silenced: false };
    Row {
        key: RowKey {
            incident: incident.id.clone(),
            receiver: receiver.into(),
            integration: "slack-0".into(),
        },
        version: 0,
        desired,
        told: None,
        handle: None,
        fate: Fate::Pending,
        lane: Lane::Page,
        send_resolved: true,
        attempts: 0,
        due: wall(0),
        waiting_since: wall(0),
        messages: 0,
        last_error: None,
        created_at: wall(0),
        via: None,
        group: None,
        repeat: None,
        again: false,
        hushed: false,
    }
}

pub(crate) fn progress(partition: i32, epoch: i64, clearance: Option<i64>) -> Progress {
    Progress {
        entry: "edge".into(),
        topic: "web".into(),
        partition,
        epoch,
        clearance: clearance.map(event),
        next: Offset(epoch * 100),
        written: wall(0),
    }
}

pub(crate) fn log(row: &Row) -> DeliveryLog {
    DeliveryLog {
        at: wall(5),
        incident: row.key.incident.clone(),
        receiver: row.key.receiver.clone(),
        integration: row.key.integration.clone(),
        action: "open".into(),
        outcome: "accepted".into(),
        said: None,
        notification_id: row.notification_id(row.desired),
        millis: 12,
    }
}

pub(crate) async fn save(store: &Store, folded: &[Folded], rows: &[Row]) -> Result<(), SaveError> {
    store.save(Write { folded, rows, ..Write::default() }).await.map(drop)
}

/// The stored incident of this id.
pub(crate) async fn stored(store: &Store, id: &IncidentId) -> Incident {
    store.incident(id).await.expect("an answer").expect("an incident")
}
