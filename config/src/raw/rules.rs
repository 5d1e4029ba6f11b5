//! `rules` and `lists`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::de::At;
use crate::raw::throttle::Mode;
use crate::units::Span;

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rule {
    pub(crate) name: At<String>,
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub(crate) enabled: bool,
    pub(crate) kind: At<String>,
    #[serde(default)]
    pub(crate) matchers: Vec<At<String>>,
    #[serde(default)]
    pub(crate) except: Vec<At<String>>,
    pub(crate) by: At<Vec<At<String>>>,
    pub(crate) count: At<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) min_requests: Option<At<u64>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) min_clients: Option<At<u64>>,
    pub(crate) window: At<Span>,
    pub(crate) threshold: At<f64>,
    pub(crate) severity: At<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) critical_above: Option<At<f64>>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) labels: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) throttle: Option<At<RuleThrottle>>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RuleThrottle {
    pub(crate) action: At<String>,
    #[serde(rename = "for")]
    pub(crate) duration: At<Span>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) mode: Option<At<Mode>>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct List {
    #[serde(default)]
    pub(crate) patterns: Vec<At<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) file: Option<At<String>>,
}

fn yes() -> bool {
    true
}

fn is_yes(held: &bool) -> bool {
    *held
}
