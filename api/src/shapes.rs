//! From what the desk knows to the public JSON shapes, which `view` owns: the webhook, the CLI and `replay` print the
//! same.

<<<<<<< HEAD
use std::collections::BTreeMap;
use std::fmt::Display;

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use beaconfire_incident::{Incident, Status, title};
use beaconfire_model::{Untrusted, Wall};
use beaconfire_outbox::{Fate, LedgerLine, Row};
use beaconfire_throttle::{Decision, Origin};
use serde_json::{Value, json};
=======
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use beaconfire_model::{EventTime, Wall};
use beaconfire_view::{
    DecisionJson, DeliveryJson, FormatCountJson, IncidentDetailJson, InexactRuleJson, ListJson,
    OutboxRowJson, Privacy, ReceiverStateJson, RejectCountJson, SourceJson, StatusJson,
};
use serde::Serialize;
>>>>>>> 0a7a44a (Print the API's shapes by view, as the webhook and replay do)

use crate::problem::Problem;
use crate::{Case, DeliveryFacts, ReceiverFacts, SourceFacts, StatusFacts};

/// A JSON document.
pub(crate) struct Shape<T>(pub(crate) T);

impl<T: Serialize> IntoResponse for Shape<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(text) => {
                let kind = HeaderValue::from_static("application/json");
                ([(header::CONTENT_TYPE, kind)], text).into_response()
            }
            Err(error) => {
                tracing::error!(%error, "an answer cannot be printed");
                Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the answer cannot be printed; see the log")
                    .into_response()
            }
        }
    }
}

/// `{"items":[…],"next_cursor":…}`.
<<<<<<< HEAD
pub(crate) fn list(items: impl Iterator<Item = Shape>, next_cursor: Option<String>) -> Response {
    let items: Vec<Value> = items.map(|shape| shape.0).collect();
    Shape(json!({ "items": items, "next_cursor": next_cursor })).into_response()
}

/// An incident as lists show it.
pub(crate) fn incident(incident: &Incident) -> Shape {
    let over = incident.status == Status::Resolved;
    let held = incident.acknowledged.as_ref();
    Shape(json!({
        "id": incident.id.as_str(),
        "fingerprint": incident.fingerprint.as_str(),
        "episode": incident.episode,
        "kind": incident.kind.name(),
        "severity": incident.severity.name(),
        "status": incident.status.name(),
        "target": { "kind": incident.target.kind.name(), "name": clean(&incident.target.value) },
        "title": title(incident),
        "started_at": text(incident.started_at),
        "detected_at": text(incident.detected_at),
        "last_seen_at": text(incident.holds_until),
        "ended_at": over.then(|| text(incident.holds_until)),
        "opened_at": text(incident.opened_at),
        "changed_at": text(incident.changed_at),
        "resolved_at": incident.resolved_at.map(text),
        "resolved_by": incident.resolved_by.as_deref().map(clean),
        "acknowledged": held.map(|held| json!({ "by": clean(&held.by), "at": text(held.at), "until": text(held.until) })),
        "participants_total": incident.participants_total,
        "participants_estimated": incident.participants_estimated,
        "stale": incident.stale,
        "labels": incident.labels.iter().map(|(name, value)| (name, clean(value))).collect::<BTreeMap<_, _>>(),
    }))
}

/// An incident with its evidence, what was done, and what happened.
pub(crate) fn case(case: &Case) -> Shape {
    let dossier = &case.dossier;
    let Shape(mut shape) = incident(&dossier.incident);
    let more = [
        (
            "participants",
            each(&dossier.participants, |one| {
                json!({
                    "kind": one.subject.kind.name(), "value": clean(&one.subject.value), "events": one.events.0,
                    "first_seen": text(one.first_seen.0), "last_seen": text(one.last_seen.0),
                })
            }),
        ),
        (
            "signals",
            each(&dossier.signals, |signal| {
                json!({
                    "rule": clean(&signal.rule), "subject": clean(&signal.subject.value), "severity": signal.severity.name(),
                    "observed": signal.observed, "threshold": signal.threshold,
                    "window_seconds": signal.window.as_secs(), "first_at": text(signal.first),
                    "last_at": text(signal.holds_until),
                })
            }),
        ),
        (
            "points",
            each(
                &dossier.points,
                |point| json!({ "rule": clean(&point.rule), "at": text(point.at), "value": point.value }),
            ),
        ),
        (
            "samples",
            each(&dossier.samples, |sample| {
                json!({
                    "at": text(sample.time), "client": sample.client.map(text),
                    "text": sample.text.clean(), "by": sample.by.clean(),
                })
            }),
        ),
        (
            "timeline",
            each(&dossier.timeline, |entry| {
                json!({
                    "at": text(entry.at), "event_at": entry.event_at.map(text),
                    "actor": clean(&entry.actor), "what": entry.what, "text": legible(&entry.text, 4_096),
                })
            }),
        ),
        ("notifications", each(&case.rows, row)),
        ("deliveries", each(&case.deliveries, delivery)),
        ("decisions", each(&case.decisions, |held| decision(held).0)),
        ("runbook_url", json!(case.runbook)),
    ];
    for (name, value) in more {
        shape[name] = value;
    }
    Shape(shape)
}

/// A throttle decision.
pub(crate) fn decision(decision: &Decision) -> Shape {
    Shape(json!({
        "id": decision.id,
        "scope": decision.scope().name().to_ascii_lowercase(),
        "value": decision.value(),
        "action": decision.key.action.name(),
        "mode": decision.key.mode.name(),
        "rule": clean(&decision.scenario),
        "origin": match &decision.origin { Origin::Rule => "rule", Origin::Manual(_) => "manual" },
        "by": match &decision.origin { Origin::Rule => None, Origin::Manual(who) => Some(who) },
        "incident": decision.incident.as_ref().map(|id| id.as_str()),
        "reason": decision.reason,
        "duration_seconds": decision.expires.since(decision.created).as_secs(),
        "at": text(decision.created),
        "expires_at": text(decision.expires),
        "deleted_at": decision.deleted.map(text),
    }))
}

/// A receiver's account.
pub(crate) fn ledger(line: &LedgerLine) -> Shape {
    Shape(json!({
        "receiver": &*line.receiver, "created": line.created, "delivered": line.delivered,
        "in_digest": line.in_digest, "suppressed": line.suppressed, "dead": line.dead,
        "pending": line.pending, "messages": line.messages,
    }))
=======
pub(crate) fn list<T: Serialize>(items: impl Iterator<Item = T>, next_cursor: Option<String>) -> Response {
    Shape(ListJson { items: items.collect(), next_cursor }).into_response()
}

/// An incident with its evidence, what was done, and what happened.
pub(crate) fn case(case: &Case) -> IncidentDetailJson {
    IncidentDetailJson {
        notifications: case.rows.iter().map(OutboxRowJson::of).collect(),
        deliveries: case.deliveries.iter().map(delivery).collect(),
        decisions: case.decisions.iter().map(DecisionJson::stored).collect(),
        runbook_url: case.runbook.clone(),
        // The desk has applied `privacy.query` already, for the console too.
        ..IncidentDetailJson::of(&case.dossier, Privacy::Keep)
    }
>>>>>>> 0a7a44a (Print the API's shapes by view, as the webhook and replay do)
}

/// A partition that feeds us.
pub(crate) fn source(source: &SourceFacts) -> SourceJson {
    let format =
        |(format, records): &(String, u64)| FormatCountJson { format: format.clone(), records: *records };
    let reject =
        |(reason, records): &(String, u64)| RejectCountJson { reason: reason.clone(), records: *records };
    SourceJson {
        entry: source.entry.clone(),
        topic: source.topic.clone(),
        partition: source.partition,
        formats: source.formats.iter().map(format).collect(),
        rejected: source.rejected.iter().map(reject).collect(),
        late: source.late,
        watermark: source.watermark.map(|at: EventTime| at.to_string()),
        lateness_seconds: source.lateness.as_secs_f64(),
        disorder_seconds: source.disorder.as_secs_f64(),
        lag_records: source.lag_records,
    }
}

/// How we are.
pub(crate) fn status(status: &StatusFacts, now: Wall) -> StatusJson {
    let inexact = |(rule, why): &(String, String)| InexactRuleJson { rule: rule.clone(), why: why.clone() };
    StatusJson {
        version: status.version.clone(),
        revision: status.revision.clone(),
        installation: status.installation.clone(),
        now: now.to_string(),
        started_at: status.started.to_string(),
        last_record_at: status.last_record.map(|at| at.to_string()),
        kafka_up: status.kafka_up,
        lag_records: status.lag_records,
        store_up: status.store_up,
        receivers: status.receivers.iter().map(receiver).collect(),
        config_loaded_at: status.config_loaded.to_string(),
        inexact_rules: status.inexact_rules.as_ref().map(|rules| rules.iter().map(inexact).collect()),
        throttle_mode: status.throttle_mode.name().to_owned(),
    }
}

fn receiver(facts: &ReceiverFacts) -> ReceiverStateJson {
    ReceiverStateJson {
        receiver: facts.receiver.to_string(),
        integration: facts.integration.to_string(),
        pending: facts.pending,
        oldest_pending_at: facts.oldest_pending.map(|at| at.to_string()),
        paused_until: facts.paused_until.map(|at| at.to_string()),
        last_error: facts.last_error.clone(),
    }
}

<<<<<<< HEAD
fn row(row: &Row) -> Value {
    let (fate, reason) = match &row.fate {
        Fate::Pending => ("pending", None),
        Fate::Delivered => ("delivered", None),
        Fate::Dead => ("dead", None),
        Fate::Suppressed(why) => ("suppressed", Some(why.name())),
    };
    let next = row.next_action();
    json!({
        "receiver": &*row.key.receiver, "integration": &*row.key.integration, "fate": fate, "reason": reason,
        "told": row.told.map(|told| told.status.name()), "still_to_tell": next.map(|action| action.name()),
        "next_at": next.map(|_| text(row.due)), "attempts": row.attempts, "messages": row.messages,
        "last_error": row.last_error,
    })
}

fn delivery(facts: &DeliveryFacts) -> Value {
    json!({
        "at": text(facts.at), "receiver": &*facts.receiver, "integration": &*facts.integration,
        "action": facts.action, "outcome": facts.outcome, "said": facts.said,
    })
}

fn each<T>(items: &[T], shape: impl Fn(&T) -> Value) -> Value {
    items.iter().map(shape).collect()
}

/// A name that may be a stranger's, fit for a terminal: what cannot be seen is made visible.
fn clean(name: &str) -> String {
    legible(name, 1_024)
}

fn legible(text: &str, max: usize) -> String {
    Untrusted::new(text, max).clean().to_owned()
}

fn text(value: impl Display) -> String {
    value.to_string()
=======
fn delivery(facts: &DeliveryFacts) -> DeliveryJson {
    DeliveryJson {
        at: facts.at.to_string(),
        receiver: facts.receiver.to_string(),
        integration: facts.integration.to_string(),
        action: facts.action.clone(),
        outcome: facts.outcome.clone(),
        said: facts.said.clone(),
    }
>>>>>>> 0a7a44a (Print the API's shapes by view, as the webhook and replay do)
}
