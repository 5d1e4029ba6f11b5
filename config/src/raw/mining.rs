//! `mining`: detection of cryptomining.

use serde::{Deserialize, Serialize};

use crate::de::At;

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Mining {
    #[serde(default)]
    pub(crate) allow: Vec<At<String>>,
    #[serde(default)]
    pub(crate) indicators_file: Option<At<String>>,
}
