//! `throttle`: what bounds decisions.

use serde::{Deserialize, Serialize};

use crate::de::At;

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Throttle {
    pub(crate) mode: At<Mode>,
    #[serde(default)]
    pub(crate) never: Vec<At<String>>,
    pub(crate) max_prefix: MaxPrefix,
    pub(crate) budget: Budget,
}

#[derive(Debug, Clone, Copy, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Mode {
    DryRun,
    Enforce,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MaxPrefix {
    pub(crate) ipv4: At<u8>,
    pub(crate) ipv6: At<u8>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Budget {
    pub(crate) per_minute: u32,
    pub(crate) active: u32,
}
