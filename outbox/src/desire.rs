//! From a transition to the rows it asks for.

use std::collections::BTreeMap;
use std::sync::Arc;

use beaconfire_incident::{Incident, Status, Transition};
use beaconfire_model::{Severity, Wall};

use crate::{Fate, Integration, Lane, Route, Row, RowKey, Suppressed, Told};

/// The integrations of each receiver, by its name.
pub type Receivers = BTreeMap<Arc<str>, Vec<Integration>>;

/// The rows that `transitions` of `incident` ask for: new ones where routes reach receivers that have none yet,
/// changed ones where the desired state moved. Receivers that saw the open stay, wherever the labels route now, so
/// that they hear of the resolve.
pub fn desire(
    route: &Route,
    receivers: &Receivers,
    incident: &Incident,
    transitions: &[Transition],
    rows: &[Row],
    now: Wall,
) -> Vec<Row> {
    if !transitions.iter().any(Transition::tells) {
        return Vec::new();
    }
    let desired = Told { revision: incident.revision, status: incident.status, severity: incident.severity };
    let mut changed: Vec<Row> =
        rows.iter().filter(|row| row.key.incident == incident.id).filter_map(|row| moved(row, desired, incident, now)).collect();
    for routed in route.resolve(&incident.labels) {
        for integration in receivers.get(&routed.receiver).into_iter().flatten() {
            let key = RowKey {
                incident: incident.id.clone(),
                receiver: routed.receiver.clone(),
                integration: integration.name.clone(),
            };
            if rows.iter().any(|row| row.key == key) {
                continue;
            }
            let fate = if incident.stale {
                Fate::Suppressed(Suppressed::TooOld)
            } else if incident.status == Status::Resolved {
                Fate::Suppressed(Suppressed::ClearedBeforeSend)
            } else {
                Fate::Pending
            };
            changed.push(Row {
                key,
                version: 0,
                desired,
                told: None,
                handle: None,
                fate,
                lane: lane(None, desired),
                send_resolved: integration.send_resolved,
                attempts: 0,
                due: now,
                waiting_since: now,
                messages: 0,
                last_error: None,
                created_at: now,
            });
        }
    }
    changed
}

/// A row whose desired state has moved; `None` where it has not.
fn moved(row: &Row, desired: Told, incident: &Incident, now: Wall) -> Option<Row> {
    if row.desired == desired {
        return None;
    }
    let idle = row.next_action().is_none();
    let mut row = Row { desired, lane: lane(row.told, desired), ..row.clone() };
    match row.fate {
        Fate::Pending if desired.status == Status::Resolved && row.told.is_none() => {
            row.fate = Fate::Suppressed(Suppressed::ClearedBeforeSend);
        }
        // It holds (again), and nobody has heard of it yet.
        Fate::Suppressed(Suppressed::ClearedBeforeSend) if desired.status != Status::Resolved => row.fate = Fate::Pending,
        Fate::Suppressed(Suppressed::TooOld) if desired.status != Status::Resolved && !incident.stale => row.fate = Fate::Pending,
        _ => {}
    }
    if idle {
        row.waiting_since = now;
        row.due = now;
    } else if row.attempts == 0 {
        // Nothing has failed: the newest state need not wait. After a failure the back-off stands.
        row.due = row.due.min(now);
    }
    Some(row)
}

/// Which lane a state waits in, given what was told before.
pub(crate) fn lane(told: Option<Told>, desired: Told) -> Lane {
    let severity = told.map_or(desired.severity, |told| told.severity.max(desired.severity));
    match (severity, told) {
        (Severity::Critical, _) => Lane::Page,
        (Severity::Info, _) => Lane::Info,
        (Severity::Warning | Severity::Error, None) => Lane::Ticket,
        (Severity::Warning | Severity::Error, Some(_)) => Lane::Update,
    }
}
