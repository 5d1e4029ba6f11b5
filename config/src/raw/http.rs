//! `http`: where to listen, and whom to let in.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::de::At;
use crate::raw::Sealed;

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Http {
    pub(crate) listen: At<String>,
    pub(crate) external_url: At<String>,
    #[serde(default)]
    pub(crate) metrics_listen: Option<At<String>>,
    #[serde(default)]
    pub(crate) tls_server_config: ServerTls,
    #[serde(default)]
    pub(crate) basic_auth_users: BTreeMap<String, At<Sealed>>,
    #[serde(default)]
    pub(crate) tokens: Vec<At<Token>>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ServerTls {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cert_file: Option<At<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) key_file: Option<At<String>>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Token {
    pub(crate) name: String,
    pub(crate) role: At<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) token: Option<At<Sealed>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) token_file: Option<At<String>>,
}
