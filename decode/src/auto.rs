//! What a record is, by its own shape alone: the keys it has, never what came before it.

use crate::Format;
use crate::json::Value;

/// The format that an object has the shape of, without looking into envelopes.
pub(crate) fn shape(object: Value<'_>) -> Option<Format> {
    let mut seen = 0;
    for (key, value) in object.entries() {
        seen |= mark(key, value);
    }
    let has = |marks: u32| seen & marks == marks;
    let any = |marks: u32| seen & marks != 0;
    if has(KIND) && !any(NESTED) {
        Some(Format::Beaconfire)
    } else if has(RULE) && (any(FIELDS) || has(PRIORITY | OUTPUT)) {
        Some(Format::Falco)
    } else if any(CODE | DOWNSTREAM) && any(PATH | DOWNSTREAM | START) {
        Some(Format::Envoy)
    } else if any(LINE) || (has(STATUS) && any(PATH)) {
        Some(Format::NginxJson)
    } else {
        None
    }
}

/// `kind` with one of our own three words.
const KIND: u32 = 1;
const RULE: u32 = 1 << 1;
/// `output_fields`.
const FIELDS: u32 = 1 << 2;
const PRIORITY: u32 = 1 << 3;
const OUTPUT: u32 = 1 << 4;
/// `response_code`.
const CODE: u32 = 1 << 5;
const DOWNSTREAM: u32 = 1 << 6;
const START: u32 = 1 << 7;
/// `request` with a request line in it.
const LINE: u32 = 1 << 8;
const STATUS: u32 = 1 << 9;
/// The path or peer of a request.
const PATH: u32 = 1 << 10;
/// A Kubernetes object's own `kind` stands beside these.
const NESTED: u32 = 1 << 11;

fn mark(key: &str, value: Value<'_>) -> u32 {
    match key {
        "kind" if matches!(value.text(), Some("request" | "resource" | "runtime")) => KIND,
        "apiVersion" => NESTED,
        "rule" if value.text().is_some() => RULE,
        "output_fields" if value.is_object() => FIELDS,
        "priority" if value.text().is_some() => PRIORITY,
        "output" if value.text().is_some() => OUTPUT,
        "response_code" => CODE,
        "downstream_remote_address" | "downstream_direct_remote_address" => DOWNSTREAM,
        "start_time" => START,
        "request" if value.text().is_some_and(is_request_line) => LINE,
        "status" | "status_code" | "response_status" if !value.is_object() => STATUS,
        "path" | "uri" | "request_uri" | "url" | "remote_addr" | "method" | "request_method" | ":path"
        | ":authority" | "authority"
            if value.text().is_some() =>
        {
            PATH
        }
        _ => 0,
    }
}

fn is_request_line(text: &str) -> bool {
    text.contains(" HTTP/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Tape;

    #[test]
    fn shapes() {
        for (text, meant) in [
            (r#"{"kind":"request","path":"/"}"#, Some(Format::Beaconfire)),
            (r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1"}"#, None),
            (r#"{"rule":"r","output_fields":{}}"#, Some(Format::Falco)),
            (r#"{"rule":"r","priority":"Notice","output":"o"}"#, Some(Format::Falco)),
            (r#"{"rule":"r","message":"o"}"#, None),
            (r#"{"start_time":"t","response_code":200}"#, Some(Format::Envoy)),
            (r#"{":authority":"a","response_code":"200","method":"GET"}"#, Some(Format::Envoy)),
            (r#"{"remote_addr":"203.0.113.7","status":"200"}"#, Some(Format::NginxJson)),
            (r#"{"request":"GET / HTTP/1.1"}"#, Some(Format::NginxJson)),
            (r#"{"request":{"uri":"/"},"status":200}"#, None),
            (r#"{"log":"x","stream":"stdout","time":"t"}"#, None),
            (r#"{"status":200}"#, None),
            ("{}", None),
        ] {
            let mut tape = Tape::default();
            assert_eq!(shape(tape.parse(text).unwrap().0), meant, "{text}");
        }
    }
}
