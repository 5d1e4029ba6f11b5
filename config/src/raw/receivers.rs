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
    /// Ours: who is told of what is critical where this one does not take it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) fallback: Option<At<String>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) email_configs: Vec<At<Email>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) slack_configs: Vec<At<Slack>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) pagerduty_configs: Vec<At<PagerDuty>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) webhook_configs: Vec<At<Webhook>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) msteamsv2_configs: Vec<At<Hooked>>,
    /// Alertmanager's older key, for connectors that Microsoft has retired.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) msteams_configs: Vec<At<Hooked>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) discord_configs: Vec<At<Hooked>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) telegram_configs: Vec<At<Telegram>>,
    /// Ours: an Alertmanager that is fed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) alertmanager_configs: Vec<At<Alertmanager>>,
}

impl Receiver {
    /// Whether it names no integration at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.email_configs.is_empty()
            && self.slack_configs.is_empty()
            && self.pagerduty_configs.is_empty()
            && self.webhook_configs.is_empty()
            && self.msteamsv2_configs.is_empty()
            && self.msteams_configs.is_empty()
            && self.discord_configs.is_empty()
            && self.telegram_configs.is_empty()
            && self.alertmanager_configs.is_empty()
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) http_config: Option<At<HttpConfig>>,
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) http_config: Option<At<HttpConfig>>,
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) http_config: Option<At<HttpConfig>>,
}

/// An integration that is one secret address: Teams and Discord.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Hooked {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) webhook_url: Option<At<Sealed>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) webhook_url_file: Option<At<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) http_config: Option<At<HttpConfig>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) send_resolved: Option<bool>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Telegram {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) api_url: Option<At<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) bot_token: Option<At<Sealed>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) bot_token_file: Option<At<String>>,
    /// A number, or `@channel`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) chat_id: Option<At<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) chat_id_file: Option<At<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) message_thread_id: Option<At<i64>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) disable_notifications: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) http_config: Option<At<HttpConfig>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) send_resolved: Option<bool>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Alertmanager {
    pub(crate) url: At<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) http_config: Option<At<HttpConfig>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) send_resolved: Option<bool>,
}

/// What of Alertmanager's `http_config` we honour; the rest is refused or warned of by name.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HttpConfig {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) authorization: Option<At<Authorization>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) basic_auth: Option<At<BasicAuth>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) bearer_token: Option<At<Sealed>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) bearer_token_file: Option<At<String>>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Authorization {
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub(crate) scheme: Option<At<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) credentials: Option<At<Sealed>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) credentials_file: Option<At<String>>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BasicAuth {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) username: Option<At<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) password: Option<At<Sealed>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) password_file: Option<At<String>>,
}
