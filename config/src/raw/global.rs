//! `global`: what integrations share, in Alertmanager's words.

use serde::{Deserialize, Serialize};

use crate::de::At;
use crate::raw::{HttpConfig, Sealed, Tls};

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Global {
    pub(crate) smtp_smarthost: At<String>,
    pub(crate) smtp_from: At<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) smtp_hello: Option<At<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) smtp_auth_username: Option<At<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) smtp_auth_password: Option<At<Sealed>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) smtp_auth_password_file: Option<At<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) smtp_require_tls: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) smtp_tls_config: Option<At<Tls>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) slack_api_url: Option<At<Sealed>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) slack_api_url_file: Option<At<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) slack_app_token: Option<At<Sealed>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) slack_app_token_file: Option<At<String>>,
    pub(crate) slack_app_url: At<String>,
    pub(crate) pagerduty_url: At<String>,
    pub(crate) telegram_api_url: At<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) telegram_bot_token: Option<At<Sealed>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) telegram_bot_token_file: Option<At<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) http_config: Option<At<HttpConfig>>,
}
