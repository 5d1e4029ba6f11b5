//! How people are told: email, Slack, PagerDuty, webhooks, Microsoft Teams, Discord, Telegram, and an Alertmanager.
//!
//! A [`Channel`] is built from its knobs and sends one [`Message`] at a time; what came of it is an
//! [`Outcome`](beaconfire_outbox::Outcome), in the terms in which the outbox decides what to do next. Nothing is
//! retried here (but for a plainer form of what a channel refuses for its form), and nothing is kept but connections.
//!
//! Every text of a stranger is cleaned when its facts are gathered (`render/facts.rs`) and escaped where a channel's
//! form is made (`render/`, one file a channel); `templates/` does the same for what operators write themselves. Secrets leave through the requests only: what is shown or logged has
//! them taken out.

mod alertmanager;
mod channel;
mod discord;
mod email;
mod examples;
mod exchange;
mod heartbeat;
mod http;
mod knobs;
mod login;
mod message;
mod pagerduty;
mod render;
mod sign;
mod slack;
mod teams;
mod telegram;
mod templates;
mod webhook;

#[cfg(test)]
mod tests;

pub use alertmanager::Alertmanager;
pub use channel::{Channel, SEND_TIMEOUT};
pub use discord::Discord;
pub use email::Email;
pub use examples::Example;
pub use exchange::{Exchange, Preview, Step};
pub use heartbeat::Heartbeat;
pub use knobs::{
    AlertmanagerKnobs, DiscordKnobs, EmailKnobs, Knobs, Login, PagerDutyKnobs, Payload, SlackKnobs,
    TeamsKnobs, TelegramKnobs, WebhookKnobs,
};
pub use message::{About, Matter, Message, Site, Storm, telling};
pub use pagerduty::PagerDuty;
pub use slack::Slack;
pub use teams::Teams;
pub use telegram::Telegram;
pub use templates::{Slot, TemplateFault, Templates};
pub use webhook::Webhook;

/// A message in one line, as `replay` prints it: `[CRITICAL] Request flood on shop: …`.
pub fn line(message: &Message<'_>) -> String {
    render::Facts::of(message).line()
}
