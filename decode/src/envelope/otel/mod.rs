//! OpenTelemetry's logs and metrics, as its collectors export them: resources, in them scopes, in them log records or
//! metrics. A log record's attributes may be a request, or its body is a line of whatever the service writes.

pub(crate) mod protobuf;
mod wire;

use crate::json::Value;
use crate::kubernetes;

/// Where a log record has its time: when it happened, else when a collector saw it. Zero is none.
pub(crate) const TIMES: [&str; 2] = ["timeUnixNano", "observedTimeUnixNano"];

/// What is known of a resource.
#[derive(Default)]
pub(crate) struct Resource<'t> {
    service: &'t str,
    namespace: &'t str,
    owner: &'t str,
    /// The pod.
    pub(crate) pod: &'t str,
    /// The node or host.
    pub(crate) node: &'t str,
}

impl<'t> Resource<'t> {
    /// Reads the attributes of `resource`.
    pub(crate) fn of(resource: Option<Value<'t>>) -> Self {
        let mut found = Self::default();
        for (key, value) in
            resource.and_then(|resource| resource.get("attributes")).into_iter().flat_map(pairs)
        {
            let Some(text) = value.text() else { continue };
            match key {
                // What libraries write where nobody gave a name.
                "service.name" if !text.starts_with("unknown_service") => found.service = text,
                "k8s.namespace.name" => found.namespace = text,
                "k8s.deployment.name"
                | "k8s.statefulset.name"
                | "k8s.daemonset.name"
                | "k8s.cronjob.name" => {
                    found.owner = text;
                }
                "k8s.pod.name" => found.pod = text,
                "k8s.node.name" => found.node = text,
                "host.name" if found.node.is_empty() => found.node = text,
                _ => {}
            }
        }
        found
    }

    /// Writes the service that it names: its own name, else `namespace/owner` of the pod.
    pub(crate) fn service(&self, into: &mut String) {
        if !self.service.is_empty() {
            into.push_str(self.service);
            return;
        }
        let owner = if self.owner.is_empty() { kubernetes::owner(self.pod) } else { self.owner };
        if !owner.is_empty() {
            kubernetes::join(into, self.namespace, owner);
        }
    }
}

/// The items of the list under `key`.
pub(crate) fn list<'t>(of: Value<'t>, key: &str) -> impl Iterator<Item = Value<'t>> {
    of.get(key).into_iter().flat_map(Value::items)
}

/// The pairs of a list of attributes, their values without their types.
pub(crate) fn pairs<'t>(list: Value<'t>) -> impl Iterator<Item = (&'t str, Value<'t>)> {
    list.items().filter_map(|pair| {
        let key = pair.get("key")?.text()?;
        Some((key, bare(pair.get("value")?)))
    })
}

/// `{"stringValue":"x"}` without its type. A list of one is its item; a longer one stays a list of typed values.
pub(crate) fn bare(value: Value<'_>) -> Value<'_> {
    let Some((kind, inner)) = value.entries().next() else { return value };
    if kind != "arrayValue" {
        return inner;
    }
    let list = inner.get("values").unwrap_or(inner);
    let mut items = list.items();
    match (items.next(), items.next()) {
        (Some(item), None) => item.entries().next().map_or(item, |(_, inner)| inner),
        _ => list,
    }
}
