//! JSON around a record: Fluent Bit, Filebeat, Vector, Docker's json-file, journald. They differ in where they put the
//! record, the time and the Kubernetes metadata; one pass over the keys finds all of it.

use crate::auto;
use crate::json::Value;
use crate::kubernetes;

/// What an object says about a record that it is, or that is in it.
#[derive(Clone, Copy)]
pub(crate) struct Outer<'t> {
    /// Who put it there, as far as the keys tell.
    pub(crate) name: &'static str,
    /// The key and value of the record inside, where there may be one.
    pub(crate) inner: Option<(&'t str, Value<'t>)>,
    /// When the shipper got it.
    pub(crate) time: Option<Value<'t>>,
    /// The node or host it came from.
    pub(crate) node: &'t str,
    /// The pod it came from.
    pub(crate) pod: &'t str,
    service: &'t str,
    namespace: &'t str,
    owner: &'t str,
    container: &'t str,
}

impl Outer<'_> {
    /// Writes the service that the metadata name: `service.name`, else `namespace/owner` of the pod.
    pub(crate) fn service(&self, into: &mut String) {
        if !self.service.is_empty() {
            into.push_str(self.service);
            return;
        }
        let owner = match (self.owner, self.pod) {
            ("", "") => self.container,
            ("", pod) => kubernetes::owner(pod),
            (owner, _) => owner,
        };
        if !owner.is_empty() {
            kubernetes::join(into, self.namespace, owner);
        }
    }
}

/// Reads what stands around a record. Of equal keys the last counts, as everywhere.
pub(crate) fn read(object: Value<'_>) -> Outer<'_> {
    let mut outer = Outer {
        name: "JSON",
        inner: None,
        time: None,
        node: "",
        pod: "",
        service: "",
        namespace: "",
        owner: "",
        container: "",
    };
    let (mut inner_rank, mut time_rank) = (u8::MAX, u8::MAX);
    for (key, value) in object.entries() {
        if let Some(rank) = inner_key(key)
            && rank <= inner_rank
            && let Some(inner) = inner(key, value)
        {
            outer.inner = Some((key, inner));
            inner_rank = rank;
        }
        if let Some(rank) = time_key(key)
            && rank <= time_rank
            && value.scalar().is_some()
            && !value.is_missing()
        {
            outer.time = Some(value);
            time_rank = rank;
        }
        outer.metadata(key, value);
    }
    outer
}

fn inner_key(key: &str) -> Option<u8> {
    Some(match key {
        "log" => 0,
        "message" => 1,
        "MESSAGE" => 2,
        "event.original" => 3,
        "event" => 4,
        "log_processed" => 5,
        _ => return None,
    })
}

/// Text that may hold a record, or an object that is one.
fn inner<'t>(key: &str, value: Value<'t>) -> Option<Value<'t>> {
    if key == "event"
        && let Some(original) = value.get("original").filter(|original| original.text().is_some())
    {
        return Some(original);
    }
    let is_record = value.text().is_some() || value.is_object() && auto::shape(value).is_some();
    (is_record && !value.is_missing()).then_some(value)
}

fn time_key(key: &str) -> Option<u8> {
    Some(match key {
        "@timestamp" => 0,
        "timestamp" => 1,
        "time" => 2,
        "date" => 3,
        "__REALTIME_TIMESTAMP" => 4,
        _ => return None,
    })
}

impl<'t> Outer<'t> {
    fn metadata(&mut self, key: &str, value: Value<'t>) {
        let text = named(value).unwrap_or_default();
        match key {
            "kubernetes" => {
                for (key, value) in value.entries() {
                    self.kubernetes(key, value);
                }
            }
            "service.name" => self.service = named(value).unwrap_or(self.service),
            "service" => {
                // In text form it is the record's own affair: formats name the field themselves.
                self.service = value.get("name").and_then(named).unwrap_or(self.service);
            }
            "host" if value.is_object() => {
                self.node = value.get("name").and_then(named).unwrap_or(self.node);
            }
            "_HOSTNAME" => self.node = text,
            "source_type" => self.name = "Vector",
            "@metadata" | "agent" if value.is_object() => self.name = "Filebeat",
            "stream" if self.name == "JSON" => self.name = "Docker",
            "__REALTIME_TIMESTAMP" => self.name = "journald",
            _ => {
                // Vector's documentation prints the path of a key as one.
                if let Some(key) = key.strip_prefix("kubernetes.") {
                    self.kubernetes(key, value);
                }
            }
        }
    }

    fn kubernetes(&mut self, key: &str, value: Value<'t>) {
        let text = named(value).unwrap_or_default();
        let own = || value.get("name").and_then(named).unwrap_or(text);
        match key {
            "pod_name" | "pod" => self.pod = own(),
            "namespace_name" => {
                self.namespace = text;
                if matches!(self.name, "JSON" | "Docker") {
                    self.name = "Fluent Bit";
                }
            }
            "pod_namespace" => self.namespace = text,
            "namespace" => self.namespace = own(),
            "container_name" | "container" => self.container = own(),
            "deployment" | "statefulset" | "daemonset" | "cronjob" => self.owner = own(),
            "pod_node_name" | "host" | "node" => self.node = own(),
            _ => {}
        }
    }
}

/// A name; `-` and the like are none.
fn named(value: Value<'_>) -> Option<&str> {
    value.text().filter(|_| !value.is_missing())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Tape;

    fn check(text: &str, name: &str, inner: &str, service: &str) {
        let mut tape = Tape::default();
        let outer = read(tape.parse(text).unwrap().0);
        let mut found = String::new();
        outer.service(&mut found);
        let key = outer.inner.map_or("", |(key, _)| key);
        assert_eq!((outer.name, key, found.as_str()), (name, inner, service), "{text}");
    }

    #[test]
    fn shippers() {
        check(
            r#"{"log":"x","stream":"stdout","kubernetes":{"pod_name":"web-7dc9f5fbb8-gbfk7","namespace_name":"shop"}}"#,
            "Fluent Bit",
            "log",
            "shop/web",
        );
        check(
            r#"{"@metadata":{"beat":"filebeat"},"message":"x","log":{"offset":1},"kubernetes":{"namespace":"shop","pod":{"name":"db-0"}}}"#,
            "Filebeat",
            "message",
            "shop/db",
        );
        check(
            r#"{"message":"x","source_type":"kubernetes_logs","kubernetes":{"pod_name":"a-x7k2m","pod_namespace":"ns"}}"#,
            "Vector",
            "message",
            "ns/a",
        );
        check(
            r#"{"message":"x","kubernetes.pod_name":"a","kubernetes.pod_namespace":"ns","source_type":"k"}"#,
            "Vector",
            "message",
            "ns/a",
        );
        check(r#"{"log":"x\n","stream":"stdout","time":"t"}"#, "Docker", "log", "");
        check(r#"{"MESSAGE":"x","__REALTIME_TIMESTAMP":"1"}"#, "journald", "MESSAGE", "");
        check(r#"{"event":{"original":"x"},"service":{"name":"shop"}}"#, "JSON", "event", "shop");
        check(r#"{"log":{"rule":"r","output_fields":{}}}"#, "JSON", "log", "");
        check(r#"{"log":{"file":"x"}}"#, "JSON", "", "");
        check(
            r#"{"kubernetes":{"deployment":{"name":"web"},"pod":{"name":"p"},"namespace":"shop"}}"#,
            "JSON",
            "",
            "shop/web",
        );
    }

    #[test]
    fn names_that_say_none_are_none() {
        check(r#"{"log":"x","service":{"name":"-"}}"#, "JSON", "log", "");
        check(r#"{"log":"x","service":{"name":"shop"},"service.name":"-"}"#, "JSON", "log", "shop");
        check(r#"{"log":"x","service.name":"null","kubernetes":{"pod_name":"<NA>"}}"#, "JSON", "log", "");
        check(r#"{"log":"x","kubernetes":{"container":"web","pod_name":"-"}}"#, "JSON", "log", "web");
    }

    #[test]
    fn of_equal_keys_the_last_counts() {
        let mut tape = Tape::default();
        let text = r#"{"time":"1","log":"x","log":"y","time":"2","log":null,"time":"-","time":null,"@timestamp":""}"#;
        let outer = read(tape.parse(text).unwrap().0);
        let text = |value: Option<Value<'_>>| value.and_then(Value::text).map(str::to_owned);
        assert_eq!(text(outer.inner.map(|(_, inner)| inner)).as_deref(), Some("y"));
        assert_eq!(text(outer.time).as_deref(), Some("2"));
    }
}
