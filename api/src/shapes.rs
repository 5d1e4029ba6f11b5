//! From what the desk knows to the public JSON shapes, which `view` owns: the webhook, the CLI and `replay` print the
//! same.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use beaconfire_model::{EventTime, Wall};
use beaconfire_view::{
    DecisionJson, DeliveryJson, FormatCountJson, IncidentDetailJson, InexactRuleJson, LearningJson, LinkJson,
    ListJson, OutboxRowJson, ReceiverStateJson, RejectCountJson, RejectSampleJson, SourceJson, StatusJson,
};
use serde::Serialize;

use crate::problem::Problem;
use crate::{Case, DeliveryFacts, ReceiverFacts, RejectedFacts, SourceFacts, StatusFacts};

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
pub(crate) fn list<T: Serialize>(items: impl Iterator<Item = T>, next_cursor: Option<String>) -> Response {
    Shape(ListJson { items: items.collect(), next_cursor }).into_response()
}

/// An incident with its evidence, what was done, and what happened.
pub(crate) fn case(case: &Case) -> IncidentDetailJson {
    IncidentDetailJson {
        notifications: case.rows.iter().map(|row| OutboxRowJson::hushed(row, &case.quiet)).collect(),
        deliveries: case.deliveries.iter().map(delivery).collect(),
        decisions: case.decisions.iter().map(DecisionJson::stored).collect(),
        runbook_url: case.runbook.clone(),
        links: case.links.iter().map(|(other, how, why)| LinkJson::of(other, *how, why)).collect(),
        // The desk has applied `privacy.query` already, for the console too.
        ..IncidentDetailJson::of(&case.dossier)
    }
}

/// A partition that feeds us.
pub(crate) fn source(source: &SourceFacts) -> SourceJson {
    let format =
        |(format, records): &(String, u64)| FormatCountJson { format: format.clone(), records: *records };
    let reject =
        |(reason, records): &(String, u64)| RejectCountJson { reason: reason.clone(), records: *records };
    let sample = |sample: &RejectedFacts| RejectSampleJson {
        reason: sample.reason.clone(),
        offset: sample.offset,
        payload: sample.payload.clone(),
    };
    SourceJson {
        entry: source.entry.clone(),
        topic: source.topic.clone(),
        partition: source.partition,
        formats: source.formats.iter().map(format).collect(),
        rejected: source.rejected.iter().map(reject).collect(),
        rejected_samples: source.rejected_samples.iter().map(sample).collect(),
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
        learning: LearningJson { series: status.learning.0, seconds_left: status.learning.1.as_secs() },
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

fn delivery(facts: &DeliveryFacts) -> DeliveryJson {
    DeliveryJson {
        at: facts.at.to_string(),
        receiver: facts.receiver.to_string(),
        integration: facts.integration.to_string(),
        action: facts.action.clone(),
        outcome: facts.outcome.clone(),
        said: facts.said.clone(),
    }
}
