//! `services`: what is known of each service.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::de::At;
use crate::units::Span;

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Service {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) capacity: Option<Capacity>,
    #[serde(default)]
    pub(crate) logins: Vec<At<String>>,
    #[serde(default)]
    pub(crate) workloads: Vec<At<String>>,
    #[serde(default)]
    pub(crate) rules: BTreeMap<String, At<Override>>,
    #[serde(default)]
    pub(crate) labels: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) annotations: BTreeMap<String, String>,
}

/// What a service was sized for.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Capacity {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) requests_per_second: Option<At<f64>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) latency: Option<At<Span>>,
}

#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Override {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) enabled: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) threshold: Option<At<f64>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) critical_above: Option<At<f64>>,
}
