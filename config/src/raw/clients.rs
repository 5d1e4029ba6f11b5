//! `clients`: who counts as a client.

use serde::{Deserialize, Serialize};

use crate::de::At;

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Clients {
    #[serde(default)]
    pub(crate) trusted_proxies: Vec<At<String>>,
}
