//! What a template sees of an incident: the API's JSON of it, with the lines that built-in messages are made of. Names
//! here are promises, as the API's are; `deploy/beaconfire.example.yaml` lists them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use beaconfire_model::Labels;
use beaconfire_view::{DecisionJson, IncidentDetailJson};
use minijinja::value::{Object, ObjectRepr, Value};
use serde_json::json;

use crate::message::{About, Message};
use crate::render::{Facts, picture, words};

/// Entries of each list: the totals tell of the rest.
const LISTED: usize = 50;

/// Longest text of one value, in bytes.
const VALUE_MAX: usize = 4_096;

/// An address that is ours or the operator's.
#[derive(Debug)]
pub(super) struct Link(pub(super) String);

impl Object for Link {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is to be seen. Every text of it is cleaned, so that it has no line end, and redacted.
pub(crate) fn context(message: &Message<'_>, about: &About<'_>) -> Value {
    let privacy = message.site.privacy;
    let mut dossier = about.dossier.clone();
    privacy.apply_to_dossier(&mut dossier);
    dossier.participants.truncate(LISTED);
    dossier.signals.truncate(LISTED);
    let timeline_from = dossier.timeline.len().saturating_sub(LISTED);
    dossier.timeline.drain(..timeline_from);
    dossier.points.clear();
    let facts = Facts::of(message);
    let decisions: Vec<&DecisionJson> = about.decisions.iter().take(LISTED).collect();
    let shown = |labels: &Labels| -> BTreeMap<String, String> {
        let pairs = labels.iter();
        pairs.map(|(name, value)| (name.to_owned(), privacy.apply(value).into_owned())).collect()
    };

    let mut seen = serde_json::to_value(IncidentDetailJson::of(&dossier)).unwrap_or_default();
    // Of the API's answer, what a message does not know.
    for name in ["points", "notifications", "deliveries", "links"] {
        seen.as_object_mut().and_then(|seen| seen.remove(name));
    }
    seen["decisions"] = json!(decisions);
    seen["labels"] = json!(shown(&dossier.incident.labels));
    seen["annotations"] = json!(shown(about.annotations));
    seen["title"] = json!(facts.title);
    seen["action"] = json!(message.action.name());
    seen["installation"] = json!(message.site.installation);
    seen["via"] = json!(about.via);
    seen["standing"] = json!(facts.standing);
    seen["stem"] = json!(facts.stem);
    seen["course"] = json!(facts.course);
    seen["news"] = json!(facts.news);
    seen["numbers"] = json!(facts.rules);
    seen["who"] = json!(facts.crowd);
    clean(&mut seen);
    let mut seen: BTreeMap<String, Value> = seen
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| (name.clone(), Value::from_serialize(value)))
        .collect();
    let links = [
        ("console_url", facts.console),
        ("runbook_url", facts.runbook),
        ("picture", picture::shows(about).then(|| format!("cid:{}", picture::id(message)))),
    ];
    for (name, href) in links {
        let link = href.map_or(Value::from(()), |href| Value::from_object(Link(href)));
        seen.insert(name.to_owned(), link);
    }
    Value::from(seen)
}

/// Cleans every text and name.
fn clean(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::String(text) => *text = words::clean(text, VALUE_MAX),
        serde_json::Value::Array(items) => items.iter_mut().for_each(clean),
        serde_json::Value::Object(entries) => entries.values_mut().for_each(clean),
        _ => {}
    }
}
