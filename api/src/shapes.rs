//! From what the desk knows to the public JSON shapes.

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use beaconfire_incident::Incident;
use beaconfire_model::Wall;
use beaconfire_outbox::LedgerLine;
use beaconfire_throttle::Decision;
use serde_json::{Value, json};

use crate::{Case, SourceFacts, StatusFacts};

pub(crate) struct Shape(Value);
impl IntoResponse for Shape {
    fn into_response(self) -> Response {
        let kind = HeaderValue::from_static("application/json");
        ([(header::CONTENT_TYPE, kind)], self.0.to_string()).into_response()
    }
}
pub(crate) fn list(items: impl Iterator<Item = Shape>, next_cursor: Option<String>) -> Response {
    Shape(json!({"items": items.map(|shape| shape.0).collect::<Vec<_>>(), "next_cursor": next_cursor}))
        .into_response()
}
pub(crate) fn incident(incident: &Incident) -> Shape {
    Shape(json!({"id": incident.id.as_str()}))
}
pub(crate) fn case(case: &Case) -> Shape {
    incident(&case.dossier.incident)
}
pub(crate) fn decision(decision: &Decision) -> Shape {
    Shape(json!({"id": decision.id}))
}
pub(crate) fn ledger(line: &LedgerLine) -> Shape {
    Shape(json!({"receiver": &*line.receiver}))
}
pub(crate) fn source(source: &SourceFacts) -> Shape {
    Shape(json!({"topic": source.topic}))
}
pub(crate) fn status(status: &StatusFacts, _now: Wall) -> Shape {
    Shape(json!({"version": status.version}))
}
