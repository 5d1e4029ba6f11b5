//! What the operator says about each channel. Plain values; [`Channel::build`](crate::Channel::build) checks them.

use std::path::PathBuf;

use beaconfire_model::Secret;

/// Any channel's knobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Knobs {
    /// SMTP.
    Email(EmailKnobs),
    /// Slack.
    Slack(SlackKnobs),
    /// PagerDuty Events v2.
    PagerDuty(PagerDutyKnobs),
    /// Standard Webhooks.
    Webhook(WebhookKnobs),
    /// Microsoft Teams, by a workflow.
    Teams(TeamsKnobs),
    /// A Discord webhook.
    Discord(DiscordKnobs),
    /// A Telegram bot.
    Telegram(TelegramKnobs),
    /// An Alertmanager.
    Alertmanager(AlertmanagerKnobs),
}

/// How mail is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmailKnobs {
    /// `HOST:PORT`. Port 465 speaks TLS from the first byte, any other starts it by STARTTLS.
    pub smarthost: String,
    /// The sender, `user@host` or `Name <user@host>`. Its host is the domain of our Message-IDs.
    pub from: String,
    /// Who gets it, at least one.
    pub to: Vec<String>,
    /// What we call ourselves in EHLO; the machine's name where there is nothing.
    pub hello: Option<String>,
    /// User name and password. Without TLS they are refused.
    pub login: Option<(String, Secret)>,
    /// Whether nothing is sent before TLS stands. Where it is false and the port is not 465, there is no TLS at all:
    /// TLS that anybody on the way can switch off protects nobody.
    pub require_tls: bool,
    /// Certificates (PEM) that are trusted on top of the well-known ones.
    pub ca_file: Option<PathBuf>,
    /// The name that the server's certificate must have, where it is not the smarthost's.
    pub server_name: Option<String>,
}

/// How Slack is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SlackKnobs {
    /// As an app with a bot token: messages are updated in place and answered in their thread.
    App {
        /// Where the methods are, `https://slack.com/api/`.
        url: String,
        /// The bot's token.
        token: Secret,
        /// `#name` or a channel's id.
        channel: String,
        /// Whether its messages have buttons: only where clicks on them reach us and are believed.
        buttons: bool,
    },
    /// By an incoming webhook: each state is a message of its own.
    Webhook {
        /// The whole address, which is the secret.
        url: Secret,
    },
}

impl SlackKnobs {
    /// As an app.
    pub fn app(url: String, token: Secret, channel: String) -> Self {
        Self::App { url, token, channel, buttons: false }
    }

    /// With buttons, or without. A webhook has none: they would be answered in messages that are never updated.
    #[must_use]
    pub fn with_buttons(mut self, with: bool) -> Self {
        if let Self::App { buttons, .. } = &mut self {
            *buttons = with;
        }
        self
    }

    /// By an incoming webhook.
    pub fn webhook(url: Secret) -> Self {
        Self::Webhook { url }
    }
}

/// How PagerDuty is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PagerDutyKnobs {
    /// Where events go, `https://events.pagerduty.com/v2/enqueue`.
    pub url: String,
    /// The integration key.
    pub routing_key: Secret,
}

/// How a webhook is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookKnobs {
    /// The whole address, which may hold a secret.
    pub url: Secret,
    /// `whsec_` and base64, or any other text, which is then the key as it stands; without one nothing is signed.
    pub signing_secret: Option<Secret>,
    /// Whose words the body is in.
    pub payload: Payload,
    /// What is said in the `Authorization` header.
    pub login: Option<Login>,
}

/// Whose words a webhook's body is in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Payload {
    /// Our own: `{type, timestamp, data}`.
    #[default]
    Beaconfire,
    /// Version 4 of Alertmanager's, so that receivers written for it work.
    Alertmanager {
        /// The receiver's name, which is in the body.
        receiver: String,
    },
    /// A CloudEvent in structured form, with our own data.
    CloudEvents,
}

/// What an HTTP receiver asks of whoever calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Login {
    /// A scheme and its credentials: `Bearer` and a token.
    Scheme(String, Secret),
    /// User name and password.
    Basic(String, Secret),
}

/// How a Teams workflow is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TeamsKnobs {
    /// The workflow's whole address, which is the secret.
    pub url: Secret,
}

/// How a Discord webhook is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiscordKnobs {
    /// The webhook's whole address, which is the secret.
    pub url: Secret,
}

/// How a Telegram bot talks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TelegramKnobs {
    /// Where the Bot API is, `https://api.telegram.org`.
    pub api_url: String,
    /// The bot's token.
    pub token: Secret,
    /// The chat's number, or `@channel`.
    pub chat: String,
    /// The topic within a forum.
    pub thread: Option<i64>,
    /// Whether messages make no sound.
    pub quiet: bool,
}

/// How an Alertmanager is fed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertmanagerKnobs {
    /// Its own address, to which `/api/v2/alerts` is added.
    pub url: String,
    /// What it, or the proxy before it, asks for.
    pub login: Option<Login>,
}

impl From<EmailKnobs> for Knobs {
    fn from(knobs: EmailKnobs) -> Self {
        Self::Email(knobs)
    }
}

impl From<SlackKnobs> for Knobs {
    fn from(knobs: SlackKnobs) -> Self {
        Self::Slack(knobs)
    }
}

impl From<PagerDutyKnobs> for Knobs {
    fn from(knobs: PagerDutyKnobs) -> Self {
        Self::PagerDuty(knobs)
    }
}

impl From<WebhookKnobs> for Knobs {
    fn from(knobs: WebhookKnobs) -> Self {
        Self::Webhook(knobs)
    }
}

impl From<TeamsKnobs> for Knobs {
    fn from(knobs: TeamsKnobs) -> Self {
        Self::Teams(knobs)
    }
}

impl From<DiscordKnobs> for Knobs {
    fn from(knobs: DiscordKnobs) -> Self {
        Self::Discord(knobs)
    }
}

impl From<TelegramKnobs> for Knobs {
    fn from(knobs: TelegramKnobs) -> Self {
        Self::Telegram(knobs)
    }
}

impl From<AlertmanagerKnobs> for Knobs {
    fn from(knobs: AlertmanagerKnobs) -> Self {
        Self::Alertmanager(knobs)
    }
}
