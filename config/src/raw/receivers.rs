//! `receivers`: whom to tell, in Alertmanager's words.

use serde::{Deserialize, Serialize};

use crate::de::At;
use crate::raw::Sealed;

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Receiver {
    pub(crate) name: At<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) rate: Option<At<u32>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) burst: Option<At<u32>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) digest_after: Option<At<u32>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) email_configs: Vec<At<Email>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) slack_configs: Vec<At<Slack>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) pagerduty_configs: Vec<At<PagerDuty>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) webhook_configs: Vec<At<Webhook>>,
}

impl Receiver {
    /// Whether it names no integration at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.email_configs.is_empty()
            && self.slack_configs.is_empty()
            && self.pagerduty_configs.is_empty()
            && self.webhook_configs.is_empty()
    }
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Email {
    /// One address or several with commas between.
    pub(crate) to: At<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) from: Option<At<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) smarthost: Option<At<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) hello: Option<At<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) auth_username: Option<At<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) auth_password: Option<At<Sealed>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) auth_password_file: Option<At<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) require_tls: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tls_config: Option<At<Tls>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) send_resolved: Option<bool>,
}

/// What of Alertmanager's `tls_config` we honour.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tls {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ca_file: Option<At<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) server_name: Option<At<String>>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Slack {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) api_url: Option<At<Sealed>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) api_url_file: Option<At<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) app_token: Option<At<Sealed>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) app_token_file: Option<At<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) app_url: Option<At<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) channel: Option<At<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) send_resolved: Option<bool>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PagerDuty {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) routing_key: Option<At<Sealed>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) routing_key_file: Option<At<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) url: Option<At<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) send_resolved: Option<bool>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Webhook {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) url: Option<At<Sealed>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) url_file: Option<At<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) signing_secret: Option<At<Sealed>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) signing_secret_file: Option<At<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) payload: Option<At<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) send_resolved: Option<bool>,
}
