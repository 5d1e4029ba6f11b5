//! Incidents, receivers and rows to play with.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use beaconfire_incident::{Fingerprint, Incident, IncidentId, Status, Transition};
use beaconfire_model::{EventTime, Kind, Labels, Severity, Subject, Wall, parse_matchers};
use beaconfire_outbox::{Integration, IntegrationKind, Quiet, Receivers, Route, Row, desire};

pub(crate) fn wall(millis: i64) -> Wall {
    Wall::from_millis(1_700_000_000_000 + millis)
}

/// How many milliseconds after the start of the test.
pub(crate) fn millis(at: Wall) -> i64 {
    at.millis() - 1_700_000_000_000
}

pub(crate) fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) fn route(receiver: Option<&str>, matchers: &[&str], continues: bool, routes: Vec<Route>) -> Route {
    let matchers = parse_matchers(matchers).expect("matchers");
    Route { receiver: receiver.map(Into::into), matchers, continues, routes, ..Route::default() }
}

pub(crate) fn receivers(of: &[(&str, IntegrationKind, bool)]) -> Receivers {
    let mut receivers = Receivers::new();
    for (name, kind, send_resolved) in of {
        let held = receivers.entry((*name).into()).or_default();
        let name = format!("{}-{}", kind.name(), held.len()).into();
        held.push(Integration { name, kind: *kind, send_resolved: *send_resolved });
    }
    receivers
}

/// A warning that has just opened.
pub(crate) fn incident() -> Incident {
    let target = Subject::service("shop");
    let fingerprint = Fingerprint::of(Kind::Flood, &target);
    Incident {
        id: IncidentId::of(&fingerprint, 1),
        fingerprint,
        episode: 1,
        version: 1,
        kind: Kind::Flood,
        severity: Severity::Warning,
        status: Status::Open,
        target,
        labels: Labels::from_iter([("service", "shop"), ("severity", "warning")]),
        rules: BTreeMap::new(),
        rules_beyond: 0,
        started_at: EventTime::from_millis(0),
        detected_at: EventTime::from_millis(0),
        holds_until: EventTime::from_millis(0),
        entries: BTreeSet::new(),
        opened_at: wall(0),
        changed_at: wall(0),
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
    }
}

/// An incident and the rows it has made; what happens to it is told as the fold tells it.
#[derive(Debug, Clone)]
pub(crate) struct Desk {
    pub(crate) route: Route,
    pub(crate) receivers: Receivers,
    pub(crate) incident: Incident,
    pub(crate) rows: Vec<Row>,
    /// Who does not hear of it now.
    pub(crate) quiet: Quiet,
}

impl Desk {
    /// One chat that hears of everything, unless changed.
    pub(crate) fn new() -> Self {
        Self {
            route: route(Some("chat"), &[], false, Vec::new()),
            receivers: receivers(&[("chat", IntegrationKind::Slack, true)]),
            incident: incident(),
            rows: Vec::new(),
            quiet: Quiet::default(),
        }
    }

    pub(crate) fn happens(&mut self, transition: Transition, now: Wall) {
        let incident = &mut self.incident;
        match &transition {
            Transition::Opened | Transition::Grew => {}
            Transition::Reopened | Transition::Unacknowledged | Transition::Joined { .. } => {
                incident.status = Status::Open;
            }
            Transition::Escalated { .. } => {
                incident.status = Status::Open;
                incident.severity = Severity::Critical;
                incident.labels.set("severity", "critical");
            }
            Transition::Acknowledged { .. } => incident.status = Status::Acknowledged,
            Transition::Resolved { .. } => incident.status = Status::Resolved,
        }
        if transition.tells() && transition != Transition::Opened {
            incident.revision += 1;
        }
        let wanted =
            desire(&self.route, &self.receivers, incident, &[transition], &self.rows, &self.quiet, now);
        for row in wanted {
            self.put(row);
        }
    }

    pub(crate) fn put(&mut self, row: Row) {
        match self.rows.iter_mut().find(|held| held.key == row.key) {
            Some(held) => *held = row,
            None => self.rows.push(row),
        }
    }
}
