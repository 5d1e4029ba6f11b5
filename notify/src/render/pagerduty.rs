//! Events for PagerDuty's Events API v2. Lengths are its: summary 1,024 characters, key 255, body 512 KB.

use beaconfire_model::Severity;
use beaconfire_outbox::Action;
use serde_json::{Value, json};

use super::{Facts, words};
use crate::message::{Matter, Message};
use crate::templates::Own;

/// Where details are left out: below the limit of 512 KB, with room for the rest.
const BODY_MAX: usize = 480 * 1024;

/// What the event asks for.
fn event_action(action: Action) -> &'static str {
    match action {
        // A trigger with the same key is merged into the alert that is open, with its new severity and details.
        Action::Open | Action::Update => "trigger",
        Action::Acknowledge => "acknowledge",
        Action::Resolve => "resolve",
    }
}

/// The event of a message. `routing_key` is put in by the caller, so that this can be shown.
pub(crate) fn event(message: &Message<'_>, own: &Own) -> Value {
    let key = message.dedup_key();
    let action = event_action(message.action);
    if action != "trigger" {
        return json!({"event_action": action, "dedup_key": key});
    }
    let facts = Facts::of(message);
    let summary = match message.matter {
        _ if own.title.is_some() => own.title.clone().unwrap_or_default(),
        Matter::Test => facts.line(),
        Matter::Incident(_) | Matter::Storm(_) | Matter::StoreDown { .. } => facts.title.clone(),
    };
    let mut payload = json!({
        "summary": words::cut(&summary, 1_024),
        "severity": severity(facts.severity),
        "source": "beaconfire",
        "custom_details": details(&facts),
    });
    if let Matter::Incident(about) = message.matter {
        let incident = &about.dossier.incident;
        let target = words::cut(&words::clean(&message.site.privacy.apply(&incident.target.value), 255), 255);
        if !target.is_empty() {
            payload["source"] = json!(target);
            payload["component"] = json!(target);
        }
        payload["group"] = json!(incident.kind.name());
        payload["class"] = json!(words::clean(incident.labels.get("alertname"), 255));
        payload["timestamp"] = json!(incident.detected_at.to_string());
        payload["custom_details"]["incident"] = json!(incident.id.as_str());
        payload["custom_details"]["labels"] =
            incident.labels.iter().map(|(name, value)| (name.to_owned(), json!(value))).collect();
    }
    let mut event =
        json!({"event_action": action, "dedup_key": key, "client": "Beaconfire", "payload": payload});
    if let Some(console) = &facts.console {
        event["client_url"] = json!(console);
    }
    let links = [(&facts.console, "Open in Beaconfire"), (&facts.runbook, "Runbook")];
    let links: Vec<Value> = links
        .iter()
        .filter_map(|(href, text)| href.as_ref().map(|href| json!({"href": href, "text": text})))
        .collect();
    if !links.is_empty() {
        event["links"] = json!(links);
    }
    if event.to_string().len() > BODY_MAX {
        event["payload"]["custom_details"] = json!({"note": "the details were too large to send"});
    }
    event
}

/// The four words that PagerDuty knows are ours.
fn severity(severity: Option<Severity>) -> &'static str {
    severity.unwrap_or(Severity::Info).name()
}

fn details(facts: &Facts) -> Value {
    let participants: Vec<String> =
        facts.participants.iter().map(|(who, events)| format!("{who}: {events}")).collect();
    let mut details = json!({"status": facts.standing, "course": facts.course, "from": facts.colophon});
    let lists = [
        ("numbers", &facts.rules),
        ("participants", &participants),
        ("samples", &facts.samples),
        ("decisions", &facts.decisions),
        ("remarks", &facts.remarks),
        ("incidents", &facts.incidents),
    ];
    for (name, list) in lists.into_iter().filter(|(_, list)| !list.is_empty()) {
        details[name] = json!(list);
    }
    if !facts.crowd.is_empty() {
        details["who"] = json!(facts.crowd);
    }
    if let Some(news) = &facts.news {
        details["news"] = json!(news);
    }
    details
}
