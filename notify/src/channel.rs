//! A channel: one way to tell people, ready to be used.

use std::time::Duration;

use beaconfire_model::Secret;
use beaconfire_outbox::{IntegrationKind, Outcome};
use sha2::{Digest, Sha256};

use crate::alertmanager::{self, Alertmanager};
use crate::discord::Discord;
use crate::email::Email;
use crate::exchange::{Exchange, Preview, Scrub, Trace};
use crate::knobs::Knobs;
use crate::message::Message;
use crate::pagerduty::PagerDuty;
use crate::slack::Slack;
use crate::teams::Teams;
use crate::telegram::Telegram;
use crate::templates::Own;
use crate::webhook::Webhook;

/// How long one request may take in all, and one mail from connecting to the last answer.
pub const SEND_TIMEOUT: Duration = Duration::from_secs(10);

/// One way to tell people. Cheap to share; sending needs no exclusive use.
#[derive(Debug)]
pub enum Channel {
    /// SMTP.
    Email(Email),
    /// Slack.
    Slack(Slack),
    /// PagerDuty Events v2.
    PagerDuty(PagerDuty),
    /// Standard Webhooks.
    Webhook(Webhook),
    /// Microsoft Teams.
    Teams(Teams),
    /// Discord.
    Discord(Discord),
    /// Telegram.
    Telegram(Telegram),
    /// An Alertmanager.
    Alertmanager(Alertmanager),
}

impl Channel {
    /// Makes a channel. Reads certificate files; connects to nobody. Refused, in words and without secrets, where the
    /// knobs cannot work.
    pub fn build(knobs: &Knobs) -> Result<Self, String> {
        Self::build_within(knobs, SEND_TIMEOUT)
    }

    pub(crate) fn build_within(knobs: &Knobs, within: Duration) -> Result<Self, String> {
        Ok(match knobs {
            Knobs::Email(knobs) => Self::Email(Email::build(knobs, within)?),
            Knobs::Slack(knobs) => Self::Slack(Slack::build(knobs, within)?),
            Knobs::PagerDuty(knobs) => Self::PagerDuty(PagerDuty::build(knobs, within)?),
            Knobs::Webhook(knobs) => Self::Webhook(Webhook::build(knobs, within)?),
            Knobs::Teams(knobs) => Self::Teams(Teams::build(knobs, within)?),
            Knobs::Discord(knobs) => Self::Discord(Discord::build(knobs, within)?),
            Knobs::Telegram(knobs) => Self::Telegram(Telegram::build(knobs, within)?),
            Knobs::Alertmanager(knobs) => Self::Alertmanager(Alertmanager::build(knobs, within)?),
        })
    }

    /// Sends a message and says what came of it. Bounded in time: a Slack update with its reply takes at most four
    /// requests of 10 s, anything else one.
    pub async fn send(&self, message: &Message<'_>) -> Outcome {
        self.send_traced(message, &mut Trace::off(self.scrub())).await
    }

    /// Sends a message and writes down what passed, for people. Secrets are taken out.
    pub async fn exchange(&self, message: &Message<'_>) -> Exchange {
        let mut trace = Trace::on(self.scrub());
        let outcome = self.send_traced(message, &mut trace).await;
        Exchange { steps: trace.into_steps(), outcome }
    }

    /// What [`send`](Self::send) would send first; nothing is sent.
    pub async fn preview(&self, message: &Message<'_>) -> Preview {
        let own = Own::of(message, self.kind());
        let mut trace = Trace::dry(self.scrub());
        self.send_own(message, &own, &mut trace).await;
        let sent = trace.into_steps().into_iter().map(|step| step.sent).next().unwrap_or_default();
        Preview { sent, fault: own.fault }
    }

    /// Which kind it is.
    pub const fn kind(&self) -> IntegrationKind {
        match self {
            Self::Email(_) => IntegrationKind::Email,
            Self::Slack(_) => IntegrationKind::Slack,
            Self::PagerDuty(_) => IntegrationKind::PagerDuty,
            Self::Webhook(_) => IntegrationKind::Webhook,
            Self::Teams(_) => IntegrationKind::Teams,
            Self::Discord(_) => IntegrationKind::Discord,
            Self::Telegram(_) => IntegrationKind::Telegram,
            Self::Alertmanager(_) => IntegrationKind::Alertmanager,
        }
    }

    /// How often what this channel was told must be told again while it holds, though nothing has changed: an
    /// Alertmanager forgets what nobody repeats. `None` where once is enough.
    pub const fn refresh(&self) -> Option<Duration> {
        match self {
            Self::Alertmanager(_) => Some(alertmanager::REFRESH),
            _ => None,
        }
    }

    /// What limits the other side sets are counted by: channels with the same name share a pace. Holds no secret; a
    /// credential is in it as the beginning of its hash.
    pub fn endpoint(&self) -> String {
        let with = |name: String, credential: &Secret| {
            let hash = Sha256::digest(credential.expose().as_bytes());
            let short: String = hash.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
            format!("{} {name} {short}", self.kind().name())
        };
        match self {
            Self::Email(email) => format!("{} {}", self.kind().name(), email.name()),
            Self::Webhook(hook) => format!("{} {}", self.kind().name(), hook.name()),
            Self::Alertmanager(manager) => format!("{} {}", self.kind().name(), manager.name()),
            Self::Slack(slack) => with(slack.name(), slack.credential()),
            Self::PagerDuty(pager) => with(pager.name(), pager.credential()),
            Self::Teams(teams) => with(teams.name(), teams.credential()),
            Self::Discord(discord) => with(discord.name(), discord.credential()),
            Self::Telegram(telegram) => with(telegram.name(), telegram.credential()),
        }
    }

    async fn send_traced(&self, message: &Message<'_>, trace: &mut Trace<'_>) -> Outcome {
        let own = Own::of(message, self.kind());
        if let (Some(fault), Some(templates)) = (&own.fault, message.site.templates) {
            tracing::warn!(channel = self.kind().name(), %fault, "a message goes out in its built-in form");
            templates.count_fault(self.kind());
        }
        own.join(self.send_own(message, &own, trace).await)
    }

    async fn send_own(&self, message: &Message<'_>, own: &Own, trace: &mut Trace<'_>) -> Outcome {
        match self {
            Self::Email(email) => email.send(message, own, trace).await,
            Self::Slack(slack) => slack.send(message, own, trace).await,
            Self::PagerDuty(pager) => pager.send(message, own, trace).await,
            Self::Webhook(hook) => hook.send(message, trace).await,
            Self::Teams(teams) => teams.send(message, own, trace).await,
            Self::Discord(discord) => discord.send(message, own, trace).await,
            Self::Telegram(telegram) => telegram.send(message, own, trace).await,
            Self::Alertmanager(manager) => manager.send(message, trace).await,
        }
    }

    fn scrub(&self) -> &Scrub {
        match self {
            Self::Email(email) => email.scrub(),
            Self::Slack(slack) => slack.scrub(),
            Self::PagerDuty(pager) => pager.scrub(),
            Self::Webhook(hook) => hook.scrub(),
            Self::Teams(teams) => teams.scrub(),
            Self::Discord(discord) => discord.scrub(),
            Self::Telegram(telegram) => telegram.scrub(),
            Self::Alertmanager(manager) => manager.scrub(),
        }
    }
}
