//! `route`: Alertmanager's tree.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::de::At;
use crate::units::Span;

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Route {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) receiver: Option<At<String>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) matchers: Vec<At<String>>,
    /// Alertmanager's older way of writing `matchers` with `=`.
    #[serde(default, rename = "match", skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) equal: BTreeMap<String, At<String>>,
    /// The same with `=~`.
    #[serde(default, rename = "match_re", skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) regex: BTreeMap<String, At<String>>,
    #[serde(default, rename = "continue", skip_serializing_if = "is_no")]
    pub(crate) continues: bool,
    /// Labels, or `...` alone for each incident by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) group_by: Option<Vec<At<String>>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) group_wait: Option<At<Span>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) group_interval: Option<At<Span>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) repeat_interval: Option<At<Span>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) mute_time_intervals: Vec<At<String>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) active_time_intervals: Vec<At<String>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) routes: Vec<At<Route>>,
}

fn is_no(held: &bool) -> bool {
    !*held
}
