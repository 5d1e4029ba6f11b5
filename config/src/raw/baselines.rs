//! `baselines`: what is usual of workloads and services.

use serde::{Deserialize, Serialize};

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Baselines {
    pub(crate) enabled: bool,
}
