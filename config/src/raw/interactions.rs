//! `interactions`: what people do to incidents in Slack and PagerDuty.

use serde::{Deserialize, Serialize};

use crate::de::At;
use crate::raw::Sealed;

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Interactions {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) slack_signing_secret: Option<At<Sealed>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) slack_signing_secret_file: Option<At<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) pagerduty_webhook_secret: Option<At<Sealed>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) pagerduty_webhook_secret_file: Option<At<String>>,
}
