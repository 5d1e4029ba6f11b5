//! The body of a webhook: `{type, timestamp, data}`, with the incident as the API prints it; and the same as a
//! CloudEvent in structured form.

use beaconfire_model::Wall;
use beaconfire_outbox::Action;
use beaconfire_view::IncidentJson;
use serde::Serialize;
use serde_json::json;

use super::Facts;
use crate::message::{Matter, Message, word};

/// Participants and signals that are sent: Standard Webhooks advises less than 20 KB, and the totals tell of the rest.
const LISTED: usize = 50;

#[derive(Serialize)]
struct Body<T> {
    #[serde(rename = "type")]
    kind: &'static str,
    timestamp: String,
    data: T,
}

/// The message as a CloudEvent 1.0: the same type and data, under the id that a repeat has as well.
pub(crate) fn cloud_event(message: &Message<'_>) -> String {
    let mut body: serde_json::Value = serde_json::from_str(&body(message)).unwrap_or_default();
    let kind = body["type"].as_str().unwrap_or("incident.updated");
    json!({
        "specversion": "1.0",
        "id": message.notification_id,
        "source": format!("/beaconfire/{}", word(message.site.installation)),
        "type": format!("io.beaconfire.{kind}.v1"),
        "subject": &*message.topic(),
        "time": body["timestamp"].as_str(),
        "datacontenttype": "application/json",
        "data": body["data"].take(),
    })
    .to_string()
}

/// The body of a message, as JSON text.
pub(crate) fn body(message: &Message<'_>) -> String {
    let printed = match message.matter {
        Matter::Incident(about) => {
            let mut dossier = about.dossier.clone();
            message.site.privacy.apply_to_dossier(&mut dossier);
            let mut incident = IncidentJson::of(&dossier);
            incident.shorten(LISTED, LISTED);
            let told = message.handle.is_some();
            let kind = match message.action {
                Action::Open if !told => "incident.opened",
                Action::Open | Action::Update => "incident.updated",
                Action::Acknowledge => "incident.acknowledged",
                Action::Resolve => "incident.resolved",
            };
            print(kind, about.dossier.incident.changed_at, incident)
        }
        Matter::Storm(storm) => print(
            if message.action == Action::Resolve { "storm.over" } else { "storm.digest" },
            message.now,
            super::storm::json(message, &storm),
        ),
        Matter::Test => print("test", message.now, facts(message)),
        Matter::StoreDown { since, .. } => match message.action {
            Action::Resolve => print("store.up", message.now, facts(message)),
            _ => print("store.down", since, facts(message)),
        },
    };
    // Our own shapes have text keys and no number that JSON lacks; were it otherwise, the id still tells.
    printed.unwrap_or_else(|_| {
        json!({"type": "incident.updated", "timestamp": message.now.to_string(),
            "data": {"id": &*message.topic()}})
        .to_string()
    })
}

fn print(kind: &'static str, at: Wall, data: impl Serialize) -> serde_json::Result<String> {
    serde_json::to_string(&Body { kind, timestamp: at.to_string(), data })
}

fn facts(message: &Message<'_>) -> serde_json::Value {
    let facts = Facts::of(message);
    json!({"installation": message.site.installation, "title": facts.title, "description": facts.course,
        "remarks": facts.remarks})
}
