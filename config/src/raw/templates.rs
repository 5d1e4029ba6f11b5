//! `templates`: the operator's own words for messages, by channel.

use serde::{Deserialize, Serialize};

use crate::de::At;

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Templates {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) email: Option<Mail>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) slack: Option<Titled>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) pagerduty: Option<Summed>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) msteams: Option<Titled>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) discord: Option<Titled>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) telegram: Option<Titled>,
}

/// A mail.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Mail {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) subject: Option<At<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) text: Option<At<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) html: Option<At<String>>,
}

/// A message of a chat.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Titled {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) title: Option<At<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) text: Option<At<String>>,
}

/// One line.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Summed {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) summary: Option<At<String>>,
}
