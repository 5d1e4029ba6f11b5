//! What a record is, by its own shape alone: the keys it has, never what came before it.

mod sensors;

use crate::Format;
use crate::json::Value;
use crate::requests::caddy;

/// The format that an object has the shape of, without looking into envelopes.
pub(crate) fn shape(object: Value<'_>) -> Option<Format> {
    of_marks(object.pairs().fold(0, |seen, (key, value)| {
        let word = key.meaning().map_or_else(|| word(key.text()), |means| means.word);
        seen | mark(word, value)
    }))
}

/// The format that these keys and values have the shape of.
pub(crate) fn of_pairs<'t>(pairs: impl Iterator<Item = (&'t str, Value<'t>)>) -> Option<Format> {
    of_marks(pairs.fold(0, |seen, (key, value)| seen | mark(word(key), value)))
}

fn of_marks(seen: u64) -> Option<Format> {
    let has = |marks: u64| seen & marks == marks;
    let any = |marks: u64| seen & marks != 0;
    if any(sensors::ANY)
        && let Some(format) = sensors::of_marks(seen)
    {
        Some(format)
    } else if has(EXPORT) {
        Some(Format::Otel)
    } else if has(KIND) && !any(NESTED) {
        Some(Format::Beaconfire)
    } else if has(RULE) && (any(FIELDS) || has(PRIORITY | OUTPUT)) {
        Some(Format::Falco)
    } else if any(CODE | DOWNSTREAM) && any(PATH | DOWNSTREAM | START) {
        Some(Format::Envoy)
    } else if has(TRAEFIK) {
        Some(Format::Traefik)
    } else if has(CADDY) {
        Some(Format::Caddy)
    } else if has(CLOUDFLARE) {
        Some(Format::Cloudflare)
    } else if has(HTTP) {
        Some(Format::Ecs)
    } else if any(LINE) || (has(STATUS) && any(PATH)) {
        Some(Format::NginxJson)
    } else {
        None
    }
}

/// `kind` with one of our own three words.
const KIND: u64 = 1;
const RULE: u64 = 1 << 1;
/// `output_fields`.
const FIELDS: u64 = 1 << 2;
const PRIORITY: u64 = 1 << 3;
const OUTPUT: u64 = 1 << 4;
/// `response_code`.
const CODE: u64 = 1 << 5;
const DOWNSTREAM: u64 = 1 << 6;
const START: u64 = 1 << 7;
/// `request` with a request line in it.
const LINE: u64 = 1 << 8;
const STATUS: u64 = 1 << 9;
/// The path or peer of a request.
const PATH: u64 = 1 << 10;
/// A Kubernetes object's own `kind` stands beside these.
const NESTED: u64 = 1 << 11;
/// `RequestMethod` or `RequestPath`, as Traefik spells them, in a log of what it answered.
const TRAEFIK: u64 = TRAEFIK_ASKED | TRAEFIK_ANSWERED;
const TRAEFIK_ASKED: u64 = 1 << 12;
const TRAEFIK_ANSWERED: u64 = 1 << 13;
/// Caddy's `request`, and what came of it.
const CADDY: u64 = 1 << 14 | OUTCOME;
const OUTCOME: u64 = 1 << 15;
/// Fields of both sides, as Cloudflare names them.
const CLOUDFLARE: u64 = CLOUDFLARE_CLIENT | CLOUDFLARE_EDGE;
const CLOUDFLARE_CLIENT: u64 = 1 << 16;
const CLOUDFLARE_EDGE: u64 = 1 << 17;
/// A request or response under `http`.
const HTTP: u64 = 1 << 18;
/// OpenTelemetry's list of logs or metrics by resource.
const EXPORT: u64 = 1 << 19;

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
    StatusCode,
    Size,
    Path,
    TraefikAsked,
    TraefikAnswered,
    CloudflareClient,
    CloudflareEdge,
    Http,
    HttpDotted,
    ResourceLogs,
    /// One that sensors and collectors of metrics have.
    Sensor(sensors::Word),
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
        "status" => Word::Status,
        "status_code" | "response_status" => Word::StatusCode,
        "size" => Word::Size,
        "RequestMethod" | "RequestPath" => Word::TraefikAsked,
        "DownstreamStatus" | "OriginStatus" | "StartUTC" => Word::TraefikAnswered,
        "ClientRequestMethod"
        | "ClientRequestURI"
        | "ClientRequestPath"
        | "ClientRequestHost"
        | "ClientIP" => Word::CloudflareClient,
        "EdgeResponseStatus" | "EdgeStartTimestamp" | "EdgeEndTimestamp" | "RayID" => Word::CloudflareEdge,
        "http" => Word::Http,
        "http.request.method" | "http.response.status_code" => Word::HttpDotted,
        "resourceLogs" | "resourceMetrics" => Word::ResourceLogs,
        "path" | "uri" | "request_uri" | "url" | "remote_addr" | "method" | "request_method" | ":path"
        | ":authority" | "authority" => Word::Path,
        _ => sensors::word(key).map_or(Word::Other, Word::Sensor),
    }
}

/// Whether the text of its value counts, and not only what kind of value it is. (Of a request it counts whether it is a
/// line; see [`is_request_line`].)
pub(crate) fn counts_by_text(word: Word) -> bool {
    matches!(word, Word::Kind | Word::Sensor(sensors::Word::Type | sensors::Word::DetailType))
}

/// What a key says together with its value.
fn mark(word: Word, value: Value<'_>) -> u64 {
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
        Word::Request if caddy::is_request(value) => CADDY & !OUTCOME,
        Word::Status if value.is_number() => STATUS | OUTCOME,
        Word::Status | Word::StatusCode if !value.is_object() => STATUS,
        Word::Size => OUTCOME,
        Word::TraefikAsked => TRAEFIK_ASKED,
        Word::TraefikAnswered => TRAEFIK_ANSWERED,
        Word::CloudflareClient => CLOUDFLARE_CLIENT,
        Word::CloudflareEdge => CLOUDFLARE_EDGE,
        Word::Http
            if value.get("request").or_else(|| value.get("response")).is_some_and(Value::is_object) =>
        {
            HTTP
        }
        Word::HttpDotted => HTTP,
        Word::ResourceLogs if value.is_array() => EXPORT,
        Word::Path if value.is_text() => PATH,
        Word::Sensor(word) => sensors::mark(word, value),
        _ => 0,
    }
}

pub(crate) fn is_request_line(text: &str) -> bool {
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
            (r#"{"RequestPath":"/","DownstreamStatus":200}"#, Some(Format::Traefik)),
            (r#"{"RequestPath":"/"}"#, None),
            (r#"{"request":{"uri":"/","remote_ip":"203.0.113.7"},"status":200}"#, Some(Format::Caddy)),
            (r#"{"request":{"uri":"/","remote_ip":"203.0.113.7"}}"#, None),
            (r#"{"ClientIP":"203.0.113.7","RayID":"7"}"#, Some(Format::Cloudflare)),
            (r#"{"ClientIP":"203.0.113.7"}"#, None),
            (r#"{"http":{"request":{"method":"GET"}},"message":"x"}"#, Some(Format::Ecs)),
            (r#"{"http.response.status_code":200}"#, Some(Format::Ecs)),
            (r#"{"http":{"proxy":"x"}}"#, None),
            (r#"{"resourceLogs":[]}"#, Some(Format::Otel)),
            (r#"{"resourceMetrics":[]}"#, Some(Format::Otel)),
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
