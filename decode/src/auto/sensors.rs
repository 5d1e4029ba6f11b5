//! The shapes of what sensors and collectors of metrics write. Their keys are common words (`name`, `type`, `tags`), so a
//! shape asks for several of them at once, and for values of the right kind.

use crate::Format;
use crate::json::Value;

/// Every mark of this file: most records have none.
pub(super) const ANY: u64 = !((1 << FIRST) - 1);

/// The marks of `auto` itself are below.
const FIRST: u32 = 20;
/// `metricset`.
const METRICSET: u64 = 1 << FIRST;
/// `container_stats`.
const STATS: u64 = 1 << (FIRST + 1);
/// `metrics`, a list of Telegraf's.
const BATCH: u64 = 1 << (FIRST + 2);
const NAME: u64 = 1 << (FIRST + 3);
/// Telegraf's `fields`.
const FIELDS: u64 = 1 << (FIRST + 4);
/// Telegraf's `tags`.
const TAGS: u64 = 1 << (FIRST + 5);
/// `labels` with Prometheus's `__name__`.
const SERIES: u64 = 1 << (FIRST + 6);
const VALUE: u64 = 1 << (FIRST + 7);
/// Tracee's `eventName`; other logs have one too.
const EVENT_NAME: u64 = 1 << (FIRST + 8);
const ARGS: u64 = 1 << (FIRST + 9);
/// `data`, a list of named values.
const DATA: u64 = 1 << (FIRST + 10);
/// Something else that only an event of Tracee's has: `workload`, `policies`, `threat`.
const ABOUT: u64 = 1 << (FIRST + 11);
const ID: u64 = 1 << (FIRST + 12);
/// `SigMetadata`.
const SIGNATURE: u64 = 1 << (FIRST + 13);
/// GuardDuty's `type`: `CryptoCurrency:EC2/BitcoinTool.B!DNS`.
const TYPE: u64 = 1 << (FIRST + 14);
const SERVICE: u64 = 1 << (FIRST + 15);
const RESOURCE: u64 = 1 << (FIRST + 16);
/// `detail-type` of GuardDuty's.
const DETAIL: u64 = 1 << (FIRST + 17);
const QUERY: u64 = 1 << (FIRST + 18);
const QUERY_TYPE: u64 = 1 << (FIRST + 19);
const QUERY_FROM: u64 = 1 << (FIRST + 20);
/// There is something in that list.
const SOME_DATA: u64 = 1 << (FIRST + 21);
const THREAT: u64 = 1 << (FIRST + 22);

pub(super) fn of_marks(seen: u64) -> Option<Format> {
    let has = |marks: u64| seen & marks == marks;
    if has(METRICSET) {
        Some(Format::Metricbeat)
    } else if has(STATS) {
        Some(Format::Cadvisor)
    } else if has(BATCH) || has(NAME | FIELDS | TAGS) {
        Some(Format::Telegraf)
    } else if has(SERIES | VALUE) {
        Some(Format::Prometheus)
    } else if has(SIGNATURE) || has(EVENT_NAME | ARGS) || has(NAME) && is_tracee(seen) {
        Some(Format::Tracee)
    } else if has(TYPE | SERVICE | RESOURCE) || has(DETAIL) {
        Some(Format::Guardduty)
    } else if has(QUERY | QUERY_TYPE | QUERY_FROM) {
        Some(Format::VpcDns)
    } else {
        None
    }
}

/// Whether what has a name is an event of Tracee's after its releases. An empty list and a number are what anything may
/// have.
fn is_tracee(seen: u64) -> bool {
    let has = |marks: u64| seen & marks == marks;
    has(DATA | ABOUT) || has(DATA | SOME_DATA | ID) || has(THREAT | ID)
}

/// What a key says of the record that has it, by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Word {
    Metricset,
    Stats,
    Metrics,
    Name,
    Fields,
    Tags,
    Labels,
    Value,
    EventName,
    Args,
    Data,
    About,
    Threat,
    Id,
    Signature,
    Type,
    Service,
    Resource,
    DetailType,
    Query,
    QueryType,
    QueryFrom,
}

pub(super) fn word(key: &str) -> Option<Word> {
    Some(match key {
        "metricset" | "metricset.name" => Word::Metricset,
        "container_stats" => Word::Stats,
        "metrics" => Word::Metrics,
        "name" => Word::Name,
        "fields" => Word::Fields,
        "tags" => Word::Tags,
        "labels" => Word::Labels,
        "value" => Word::Value,
        "eventName" => Word::EventName,
        "args" => Word::Args,
        "data" => Word::Data,
        "workload" | "policies" | "detected_from" | "detectedFrom" => Word::About,
        "threat" => Word::Threat,
        "id" => Word::Id,
        "SigMetadata" => Word::Signature,
        "type" | "Type" => Word::Type,
        "service" | "Service" => Word::Service,
        "resource" | "Resource" => Word::Resource,
        "detail-type" => Word::DetailType,
        "query_name" => Word::Query,
        "query_type" => Word::QueryType,
        "query_timestamp" | "srcaddr" => Word::QueryFrom,
        _ => return None,
    })
}

/// What a key says together with its value.
pub(super) fn mark(word: Word, value: Value<'_>) -> u64 {
    let marked = |holds: bool, mark: u64| if holds { mark } else { 0 };
    match word {
        Word::Metricset => METRICSET,
        Word::Stats => marked(value.is_object(), STATS),
        Word::Metrics => marked(value.items().next().is_some_and(is_telegraf), BATCH),
        Word::Name => marked(value.is_text(), NAME),
        Word::Fields => marked(value.is_object(), FIELDS),
        Word::Tags => marked(value.is_object(), TAGS),
        Word::Labels => marked(value.get("__name__").is_some(), SERIES),
        Word::Value => marked(value.scalar().is_some(), VALUE),
        Word::EventName => marked(value.is_text(), EVENT_NAME),
        Word::Args => marked(value.is_array(), ARGS),
        Word::Data if value.is_array() && value.items().all(|item| item.get("name").is_some()) => {
            DATA | marked(value.items().next().is_some(), SOME_DATA)
        }
        Word::Data => 0,
        Word::About => marked(value.is_object(), ABOUT),
        Word::Threat => marked(value.is_object(), ABOUT | THREAT),
        Word::Id => ID,
        Word::Signature => marked(value.is_object(), SIGNATURE),
        Word::Type => marked(value.text().is_some_and(|text| text.contains(':') && text.contains('/')), TYPE),
        Word::Service => marked(value.is_object(), SERVICE),
        Word::Resource => marked(value.is_object(), RESOURCE),
        Word::DetailType => marked(value.text() == Some("GuardDuty Finding"), DETAIL),
        Word::Query => marked(value.is_text(), QUERY),
        Word::QueryType => marked(value.is_text(), QUERY_TYPE),
        Word::QueryFrom => marked(value.is_text(), QUERY_FROM),
    }
}

fn is_telegraf(metric: Value<'_>) -> bool {
    metric.get("name").is_some_and(Value::is_text)
        && ["fields", "tags"].iter().all(|key| metric.get(key).is_some_and(Value::is_object))
}

#[cfg(test)]
mod tests {
    use super::super::shape;
    use super::*;
    use crate::json::Tape;

    #[test]
    fn shapes() {
        for (text, meant) in [
            (r#"{"metricset":{"name":"cpu"},"event":{"original":"x"}}"#, Some(Format::Metricbeat)),
            (r#"{"metricset.name":"cpu"}"#, Some(Format::Metricbeat)),
            (
                r#"{"metricset":{"name":"http"},"http":{"request":{"method":"GET"}}}"#,
                Some(Format::Metricbeat),
            ),
            (r#"{"container_Name":"x","container_stats":{}}"#, Some(Format::Cadvisor)),
            (r#"{"name":"cpu","fields":{},"tags":{},"timestamp":1}"#, Some(Format::Telegraf)),
            (r#"{"metrics":[{"name":"cpu","fields":{},"tags":{}}]}"#, Some(Format::Telegraf)),
            (r#"{"metrics":[]}"#, None),
            (r#"{"metrics":[{"name":"cpu"}]}"#, None),
            (r#"{"name":"cpu","fields":{},"tags":["a"]}"#, None),
            (r#"{"name":"up","value":"1","labels":{"__name__":"up"}}"#, Some(Format::Prometheus)),
            (r#"{"name":"up","value":"1","labels":{"a":"b"}}"#, None),
            (r#"{"eventName":"execve","args":[]}"#, Some(Format::Tracee)),
            (r#"{"eventName":"RunInstances","eventSource":"ec2.amazonaws.com"}"#, None),
            (r#"{"id":1,"name":"execve","data":[{"name":"argv"}]}"#, Some(Format::Tracee)),
            (r#"{"id":1,"name":"execve","data":[],"workload":{}}"#, Some(Format::Tracee)),
            (r#"{"id":6001,"name":"mine","threat":{"severity":2}}"#, Some(Format::Tracee)),
            (r#"{"id":1,"name":"jane","data":["x"]}"#, None),
            (r#"{"id":1,"name":"jane","data":[]}"#, None),
            (r#"{"name":"jane","threat":{"framework":"x"}}"#, None),
            (r#"{"name":"test","int32":42}"#, None),
            (r#"{"Data":null,"Context":{},"SigMetadata":{}}"#, Some(Format::Tracee)),
            (r#"{"type":"Recon:EC2/Portscan","service":{},"resource":{}}"#, Some(Format::Guardduty)),
            (r#"{"Type":"Recon:EC2/Portscan","Service":{},"Resource":{}}"#, Some(Format::Guardduty)),
            (r#"{"detail-type":"GuardDuty Finding","detail":{}}"#, Some(Format::Guardduty)),
            (r#"{"detail-type":"EC2 Instance State-change Notification","detail":{}}"#, None),
            (r#"{"query_name":"a.","query_type":"A","srcaddr":"10.0.0.1"}"#, Some(Format::VpcDns)),
            (r#"{"query_name":"a.","query_type":"A"}"#, None),
            (r#"{"kind":"resource","workload":"a","id":1}"#, Some(Format::Beaconfire)),
            (r#"{"rule":"r","output_fields":{},"tags":[],"type":"x"}"#, Some(Format::Falco)),
            (r#"{"service":{"name":"shop"},"resource":{},"type":"log"}"#, None),
        ] {
            let mut tape = Tape::default();
            assert_eq!(shape(tape.parse(text).unwrap().0), meant, "{text}");
        }
    }
}
