//! `heartbeats`: watchers elsewhere that are told that all is well.

use serde::{Deserialize, Serialize};

use crate::de::At;
use crate::raw::Sealed;
use crate::units::Span;

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Heartbeat {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) url: Option<At<Sealed>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) url_file: Option<At<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) every: Option<At<Span>>,
}
