//! `kafka`: brokers, group, topics.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::de::At;
use crate::raw::Sealed;
use crate::units::Span;

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Kafka {
    #[serde(default)]
    pub(crate) brokers: Vec<At<String>>,
    pub(crate) group: At<String>,
    #[serde(default)]
    pub(crate) instance: Option<At<String>>,
    #[serde(default, serialize_with = "properties")]
    pub(crate) properties: BTreeMap<String, At<Sealed>>,
    #[serde(default)]
    pub(crate) topics: Vec<At<Topic>>,
    #[serde(default)]
    pub(crate) dead_letter_topic: Option<At<String>>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Topic {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<At<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) pattern: Option<At<String>>,
    #[serde(default = "auto")]
    pub(crate) format: At<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) service: Option<At<String>>,
    #[serde(default = "latest")]
    pub(crate) start: At<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) lateness: Option<At<Span>>,
    #[serde(default)]
    pub(crate) client_resolved: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) dedup: Option<At<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) log_format: Option<At<String>>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) fields: BTreeMap<String, At<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) timezone: Option<At<String>>,
}

fn auto() -> At<String> {
    At { value: "auto".to_owned(), ..At::default() }
}

fn latest() -> At<String> {
    At { value: "latest".to_owned(), ..At::default() }
}

/// Shows properties that cannot hold a secret; the others might, under names that only librdkafka knows.
fn properties<S: serde::Serializer>(
    properties: &BTreeMap<String, At<Sealed>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    const PLAIN: [&str; 9] = [
        ".ms",
        ".bytes",
        ".kbytes",
        ".messages",
        ".protocol",
        ".mechanism",
        ".mechanisms",
        ".location",
        "_file",
    ];
    serializer.collect_map(properties.iter().map(|(name, value)| {
        let shown = PLAIN.iter().any(|end| name.ends_with(end));
        (name, if shown { value.0.expose() } else { "<redacted>" })
    }))
}
