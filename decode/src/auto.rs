//! What a record is, by its own shape alone: the keys it has, never what came before it.

use crate::Format;
use crate::json::Value;

/// The format that an object has the shape of, without looking into envelopes.
pub(crate) fn shape(object: Value<'_>) -> Option<Format> {
    let mut seen = 0;
    for (key, value) in object.pairs() {
        let word = key.meaning().map_or_else(|| word(key.text()), |means| means.word);
        seen |= mark(word, value);
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

/// What a key says of the record that has it, by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Word {
    Kind,
    ApiVersion,
    Rule,
    OutputFields,
    Priority,
    Output,
    ResponseCode,
    Downstream,
    StartTime,
    Request,
    Status,
    Path,
    /// Nothing.
    Other,
}

/// What this key says.
pub(crate) fn word(key: &str) -> Word {
    match key {
        "kind" => Word::Kind,
        "apiVersion" => Word::ApiVersion,
        "rule" => Word::Rule,
        "output_fields" => Word::OutputFields,
        "priority" => Word::Priority,
        "output" => Word::Output,
        "response_code" => Word::ResponseCode,
        "downstream_remote_address" | "downstream_direct_remote_address" => Word::Downstream,
        "start_time" => Word::StartTime,
        "request" => Word::Request,
        "status" | "status_code" | "response_status" => Word::Status,
        "path" | "uri" | "request_uri" | "url" | "remote_addr" | "method" | "request_method" | ":path"
        | ":authority" | "authority" => Word::Path,
        _ => Word::Other,
    }
}

/// What a key says together with its value.
fn mark(word: Word, value: Value<'_>) -> u32 {
    match word {
        Word::Kind if matches!(value.text(), Some("request" | "resource" | "runtime")) => KIND,
        Word::ApiVersion => NESTED,
        Word::Rule if value.is_text() => RULE,
        Word::OutputFields if value.is_object() => FIELDS,
        Word::Priority if value.is_text() => PRIORITY,
        Word::Output if value.is_text() => OUTPUT,
        Word::ResponseCode => CODE,
        Word::Downstream => DOWNSTREAM,
        Word::StartTime => START,
        Word::Request if value.text().is_some_and(is_request_line) => LINE,
        Word::Status if !value.is_object() => STATUS,
        Word::Path if value.is_text() => PATH,
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
