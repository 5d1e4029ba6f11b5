//! How a record was understood, field by field: the same decoder, with notes taken.

use std::collections::BTreeMap;
use std::fmt;

use beaconfire_model::{
    EntryId, Event, Offset, Record, ResourceSample, RuntimeEvent, Source, TopicId, Untrusted,
};

use crate::notes::Notes;
use crate::{DecodeKnobs, Decoded, Decoder, Format, Reject};

/// Events and notes kept at most: an explanation is for reading.
const EVENTS_MAX: usize = 20;

/// One envelope that came off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// What it is.
    pub name: &'static str,
    /// Where in it the record was, cleaned.
    pub detail: String,
}

/// One canonical field of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExplainedField {
    /// Its name.
    pub name: &'static str,
    /// Its value, cleaned; empty where the record has none.
    pub value: String,
    /// Where it came from; empty where nothing is to be said.
    pub from: String,
}

/// One event that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExplainedEvent {
    /// The format it was written in.
    pub format: Format,
    /// What it is: request, resource, runtime or image.
    pub kind: &'static str,
    /// Its fields.
    pub fields: Vec<ExplainedField>,
}

/// How a record was understood.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Explanation {
    /// The envelopes, outermost first.
    pub layers: Vec<Layer>,
    /// The first 20 events.
    pub events: Vec<ExplainedEvent>,
    /// Events beyond those.
    pub more: usize,
    /// What went wrong, or is worth saying, in words.
    pub remarks: Vec<String>,
    /// Why it, or a part of it, was not understood.
    pub reject: Option<Reject>,
}

/// Decodes `payload` and says how.
pub fn explain(payload: &[u8], knobs: &DecodeKnobs) -> Explanation {
    let source = Source { entry: EntryId(0), topic: TopicId(0), partition: 0 };
    let record = Record { source, offset: Offset(0), stamped: None, payload: Some(payload) };
    let mut listener = Listener::default();
    let ended = Decoder::new(knobs.clone()).decode_noting(&record, &mut listener, |_| {});
    let mut explanation = listener.explanation;
    explanation.reject = ended.err();
    explanation
}

#[derive(Default)]
struct Listener {
    explanation: Explanation,
    origins: BTreeMap<&'static str, String>,
}

fn clean(text: &str) -> String {
    Untrusted::new(text, 512).clean().to_owned()
}

impl Notes for Listener {
    fn layer(&mut self, name: &'static str, detail: impl FnOnce() -> String) {
        if self.explanation.layers.len() < EVENTS_MAX {
            self.explanation.layers.push(Layer { name, detail: clean(&detail()) });
        }
    }

    fn origin(&mut self, field: &'static str, from: impl FnOnce() -> String) {
        self.origins.insert(field, clean(&from()));
    }

    fn event(&mut self, decoded: &Decoded<'_>) {
        let origins = std::mem::take(&mut self.origins);
        if self.explanation.events.len() >= EVENTS_MAX {
            self.explanation.more += 1;
            return;
        }
        let (kind, values) = values(&decoded.event);
        let fields = values
            .into_iter()
            .map(|(name, value)| ExplainedField {
                name,
                value: clean(&value),
                from: origins.get(name).cloned().unwrap_or_default(),
            })
            .collect();
        self.explanation.events.push(ExplainedEvent { format: decoded.format, kind, fields });
    }

    fn fault(&mut self, what: impl FnOnce() -> String) {
        self.remark(what);
    }

    fn remark(&mut self, what: impl FnOnce() -> String) {
        if self.explanation.remarks.len() < EVENTS_MAX {
            self.explanation.remarks.push(clean(&what()));
        }
    }
}

type Values = Vec<(&'static str, String)>;

fn values(event: &Event<'_>) -> (&'static str, Values) {
    match event {
        Event::Request(request) => (
            "request",
            vec![
                ("time", request.time.to_string()),
                ("client", request.client.map_or_else(String::new, |client| client.to_string())),
                ("service", request.service.to_owned()),
                ("method", request.method.to_owned()),
                ("host", request.host.to_owned()),
                ("path", request.path.to_owned()),
                ("query", request.query.to_owned()),
                ("http_version", request.http_version.to_owned()),
                ("status", request.status.to_string()),
                ("bytes_sent", request.bytes_sent.to_string()),
                (
                    "duration",
                    request.duration_micros.map_or_else(String::new, |micros| format!("{micros} us")),
                ),
                ("user_agent", request.user_agent.to_owned()),
                ("request_id", request.request_id.to_owned()),
            ],
        ),
        Event::Resource(sample) => ("resource", of_sample(sample)),
        Event::Runtime(event) => ("runtime", of_runtime(event)),
        Event::Image(scan) => {
            ("image", vec![("time", scan.time.to_string()), ("image", scan.image.to_owned())])
        }
    }
}

fn of_sample(sample: &ResourceSample<'_>) -> Values {
    let mut values = vec![
        ("time", sample.time.to_string()),
        ("workload", sample.workload.to_owned()),
        ("pod", sample.pod.to_owned()),
        ("container", sample.container.to_owned()),
        ("image", sample.image.to_owned()),
        ("node", sample.node.to_owned()),
        ("instance", sample.instance.to_owned()),
        ("part", sample.part.to_owned()),
    ];
    values.extend(sample.measured.iter().map(|one| (one.metric.name(), one.value.to_string())));
    values
}

fn of_runtime(event: &RuntimeEvent<'_>) -> Values {
    let details = event.details;
    let mut values = vec![
        ("time", event.time.to_string()),
        ("kind", format!("{:?}", event.kind).to_lowercase()),
        ("workload", event.workload.to_owned()),
        ("container", event.container.to_owned()),
        ("image", event.image.to_owned()),
        ("process", event.process.to_owned()),
        ("cmdline", event.cmdline.to_owned()),
        ("remote", event.remote.to_owned()),
        ("domain", event.domain.to_owned()),
        ("path", event.path.to_owned()),
        ("rule", event.rule.to_owned()),
        ("severity", event.severity.map_or("", |severity| severity.name()).to_owned()),
    ];
    // What few sensors have is shown where it is there.
    let more = [
        ("event", details.event.to_owned()),
        ("namespace", details.namespace.to_owned()),
        ("pod", details.pod.to_owned()),
        ("container_id", details.container_id.to_owned()),
        ("host", details.host.to_owned()),
        ("exe", details.exe.to_owned()),
        ("parent", details.parent.to_owned()),
        ("pid", details.pid.map_or_else(String::new, |pid| pid.to_string())),
        ("flags", details.flags.to_owned()),
        ("environment", details.environment.join(" ")),
        ("answers", details.answers.join(" ")),
        ("tags", details.tags.join(" ")),
    ];
    values.extend(more.into_iter().filter(|(_, value)| !value.is_empty()));
    values
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for layer in &self.layers {
            writeln!(f, "envelope  {} {}", layer.name, layer.detail)?;
        }
        for event in &self.events {
            writeln!(f, "{}  ({})", event.kind, event.format.name())?;
            for field in &event.fields {
                let value = if field.value.is_empty() { "-" } else { &field.value };
                match field.from.as_str() {
                    "" => writeln!(f, "  {:<24} {value}", field.name)?,
                    from => writeln!(f, "  {:<24} {value}  (from {from})", field.name)?,
                }
            }
        }
        if self.more > 0 {
            writeln!(f, "and {} more", self.more)?;
        }
        for remark in &self.remarks {
            writeln!(f, "note      {remark}")?;
        }
        match self.reject {
            Some(reason) => write!(f, "rejected  {}", reason.name()),
            None => write!(f, "understood"),
        }
    }
}
