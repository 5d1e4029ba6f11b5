//! Incidents in Alertmanager's words: alerts for its API, and version 4 of its webhook's body.
//!
//! An alert is told from others by its labels alone, so they hold the incident's id: two incidents on one service are
//! two alerts, and the end of one does not end the other.

use std::time::Duration;

use beaconfire_incident::Status;
use beaconfire_model::{EventTime, Labels};
use beaconfire_outbox::Action;
use serde_json::{Value, json};

use super::{Facts, words};
use crate::message::{Matter, Message};

/// For how long an Alertmanager believes an alert that nobody repeats: as long as it does by its own default.
const HOLDS_FOR: Duration = Duration::from_secs(300);

/// Longest value of a label or annotation, in characters.
const VALUE_MAX: usize = 1_024;

/// The time that Go calls zero, which stands for "not over".
const NEVER: &str = "0001-01-01T00:00:00Z";

/// One message as an alert.
pub(crate) struct Alert {
    pub(crate) labels: Labels,
    annotations: Labels,
    starts_at: EventTime,
    /// `None` while it goes on.
    ended_at: Option<EventTime>,
    generator: String,
}

impl Alert {
    pub(crate) fn of(message: &Message<'_>) -> Self {
        let facts = Facts::of(message);
        let now = message.now.as_event_time();
        let (labels, starts_at, over) = match message.matter {
            Matter::Incident(about) => {
                let incident = &about.dossier.incident;
                let mut labels = Labels::default();
                for (name, value) in incident.labels.iter() {
                    let value = words::clean(&message.site.privacy.apply(value), VALUE_MAX);
                    labels.set(&label_name(name), &value);
                }
                labels.set("incident", incident.id.as_str());
                if labels.get("alertname").is_empty() {
                    labels.set("alertname", incident.kind.name());
                }
                (labels, incident.started_at, incident.status == Status::Resolved)
            }
            Matter::Storm(storm) => {
                let worst = storm.tally.worst.map_or("warning", |worst| worst.name());
                let mut labels = bare("BeaconfireStorm", worst);
                labels.set("storm", &storm.digest.id.0.to_string());
                let since = storm.digest.started_at.as_event_time();
                (labels, since, message.action == Action::Resolve)
            }
            Matter::Test => (bare("BeaconfireTest", "info"), now, false),
            Matter::StoreDown { since, .. } => {
                let over = message.action == Action::Resolve;
                (bare("BeaconfireStoreDown", "critical"), since.as_event_time(), over)
            }
        };
        let mut description = facts.course.clone();
        for line in facts.remarks.iter().chain(&facts.rules) {
            description.push('\n');
            description.push_str(line);
        }
        let mut annotations = Labels::default();
        annotations.set("summary", &words::cut(&facts.title, VALUE_MAX));
        annotations.set("description", &words::cut(&description, 4 * VALUE_MAX));
        annotations.set("runbook_url", facts.runbook.as_deref().unwrap_or_default());
        // An end before the beginning is refused.
        let ended_at = over.then(|| now.max(starts_at));
        let generator = facts.console.unwrap_or_default();
        Self { labels, annotations, starts_at, ended_at, generator }
    }

    /// What an Alertmanager's API takes.
    pub(crate) fn posted(&self, now: EventTime) -> Value {
        let ends_at = self.ended_at.unwrap_or(now.max(self.starts_at).plus(HOLDS_FOR));
        json!({
            "labels": self.labels.0, "annotations": self.annotations.0, "generatorURL": self.generator,
            "startsAt": self.starts_at.to_string(), "endsAt": ends_at.to_string(),
        })
    }
}

/// The body of Alertmanager's webhook, version 4: a group of one alert.
pub(crate) fn webhook(message: &Message<'_>, receiver: &str) -> String {
    let alert = Alert::of(message);
    let status = if alert.ended_at.is_some() { "resolved" } else { "firing" };
    let mut group = Labels::default();
    for name in ["alertname", "incident"] {
        group.set(name, alert.labels.get(name));
    }
    let pairs: Vec<String> = group.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    json!({
        "version": "4",
        "groupKey": format!("{{}}:{{{}}}", pairs.join(", ")),
        "truncatedAlerts": 0,
        "status": status,
        "receiver": receiver,
        "groupLabels": group.0,
        "commonLabels": alert.labels.0,
        "commonAnnotations": alert.annotations.0,
        "externalURL": message.site.external_url,
        "alerts": [{
            "status": status,
            "labels": alert.labels.0,
            "annotations": alert.annotations.0,
            "startsAt": alert.starts_at.to_string(),
            "endsAt": alert.ended_at.map_or_else(|| NEVER.to_owned(), |at| at.to_string()),
            "generatorURL": alert.generator,
            "fingerprint": format!("{:016x}", alert.labels.fingerprint()),
        }],
    })
    .to_string()
}

/// An alert that is over now, of which only the labels are known.
pub(crate) fn ended(labels: &Labels, now: EventTime) -> Value {
    json!({"labels": labels.0, "annotations": {}, "endsAt": now.to_string()})
}

fn bare(name: &str, severity: &str) -> Labels {
    [("alertname", name), ("severity", severity), ("service", "beaconfire")].into_iter().collect()
}

/// A label's name as every Alertmanager takes it: before 0.27 a letter or underscore, then digits too.
fn label_name(name: &str) -> String {
    let fits = |(at, c): (usize, char)| c == '_' || c.is_ascii_alphabetic() || (at > 0 && c.is_ascii_digit());
    let name: String =
        name.chars().enumerate().map(|(at, c)| if fits((at, c)) { c } else { '_' }).take(128).collect();
    if name.is_empty() { "_".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_labels_fit_every_alertmanager() {
        for (name, fits) in
            [("team", "team"), ("a.b-c", "a_b_c"), ("9lives", "_lives"), ("é", "_"), ("", "_")]
        {
            assert_eq!(label_name(name), fits);
        }
    }
}
