//! Email, Slack, PagerDuty and webhooks: how people are told
mod knobs;
mod message;

pub use knobs::{EmailKnobs, Knobs, PagerDutyKnobs, SlackKnobs, WebhookKnobs};
pub use message::{About, Matter, Message, Site};
