//! Escalation: who is told next while nobody has taken an incident.

use std::sync::Arc;
use std::time::Duration;

use beaconfire_incident::{Incident, Status, Step};
use beaconfire_model::{Matchers, Wall};

use crate::desire::{made, now_of};
use crate::{Quiet, Receivers, Row, RowKey};

/// One of `escalations`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Escalation {
    /// All must match.
    pub matchers: Matchers,
    /// After how long whom, soonest first.
    pub steps: Vec<(Duration, Arc<str>)>,
}

/// The steps that an incident begins to count now: those of the first entry that matches it, at absolute times.
pub fn begin(escalations: &[Escalation], incident: &Incident, now: Wall) -> Vec<Step> {
    let matching = escalations.iter().find(|entry| entry.matchers.matches(|name| incident.labels.get(name)));
    let steps = matching.into_iter().flat_map(|entry| &entry.steps);
    steps.map(|(after, to)| Step { due: now.plus(*after), receiver: to.clone(), done: false }).collect()
}

/// The first step of an open incident whose time has come, by its place.
pub fn due(incident: &Incident, now: Wall) -> Option<usize> {
    if incident.status != Status::Open || incident.stale {
        return None;
    }
    incident.steps.iter().position(|step| !step.done && step.due <= now)
}

/// The rows that a step to `receiver` asks for: of its integrations, those that have none yet.
pub fn reach(
    receivers: &Receivers,
    incident: &Incident,
    receiver: &Arc<str>,
    rows: &[Row],
    quiet: &Quiet,
    now: Wall,
) -> Vec<Row> {
    let mut wanted = Vec::new();
    for integration in receivers.get(receiver).into_iter().flatten() {
        let key = RowKey {
            incident: incident.id.clone(),
            receiver: receiver.clone(),
            integration: integration.name.clone(),
        };
        if !rows.iter().any(|row| row.key == key) {
            let hushed = quiet.toward(receiver);
            wanted.push(made(key, integration.send_resolved, now_of(incident), incident.stale, hushed, now));
        }
    }
    wanted
}
