//! `pipeline`: threads.

use serde::{Deserialize, Serialize};

use crate::de::At;

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pipeline {
    /// `auto` or a number.
    pub(crate) workers: At<String>,
    /// `auto` or a number.
    pub(crate) shards: At<String>,
    pub(crate) exchange: At<String>,
}
