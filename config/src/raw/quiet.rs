//! `inhibit_rules` and `time_intervals`, Alertmanager's, and `escalations`, ours.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::de::At;
use crate::units::Span;

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct InhibitRule {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) source_matchers: Vec<At<String>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) target_matchers: Vec<At<String>>,
    // Alertmanager's older ways of writing the two.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) source_match: BTreeMap<String, At<String>>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) source_match_re: BTreeMap<String, At<String>>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) target_match: BTreeMap<String, At<String>>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) target_match_re: BTreeMap<String, At<String>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) equal: Vec<At<String>>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TimeInterval {
    pub(crate) name: At<String>,
    #[serde(default)]
    pub(crate) time_intervals: Vec<At<Stretch>>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Stretch {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) times: Vec<At<Times>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) weekdays: Vec<At<String>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) days_of_month: Vec<At<String>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) months: Vec<At<String>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) years: Vec<At<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) location: Option<At<String>>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Times {
    pub(crate) start_time: At<String>,
    pub(crate) end_time: At<String>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Escalation {
    #[serde(default)]
    pub(crate) matchers: Vec<At<String>>,
    pub(crate) steps: Vec<At<Step>>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Step {
    pub(crate) after: At<Span>,
    pub(crate) receiver: At<String>,
}
