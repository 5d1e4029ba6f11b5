//! What the operator's templates make of one message for one channel.

use beaconfire_outbox::{Action, IntegrationKind, Outcome};

use super::{Slot, context};
use crate::message::{Matter, Message};
use crate::render::words;

/// Longest text of what is said of a delivery, in bytes: what the outbox keeps.
const SAID_MAX: usize = 480;

/// The parts that stand in place of the built-in ones, escaped for their channel. Digests, tests and what is told past
/// the store have their built-in form.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Own {
    /// The subject, title or summary.
    pub(crate) title: Option<String>,
    /// The text.
    pub(crate) text: Option<String>,
    /// A mail's HTML.
    pub(crate) html: Option<String>,
    /// Why there is nothing of one's own, where there should be.
    pub(crate) fault: Option<String>,
}

impl Own {
    /// All or nothing: half a message of one's own might say half of it.
    pub(crate) fn of(message: &Message<'_>, kind: IntegrationKind) -> Self {
        let (Some(templates), Matter::Incident(about)) = (message.site.templates, message.matter) else {
            return Self::default();
        };
        // PagerDuty reads of nothing else which alert is meant, and has its words already.
        let is_mute = matches!(message.action, Action::Acknowledge | Action::Resolve);
        if kind == IntegrationKind::PagerDuty && is_mute {
            return Self::default();
        }
        let slots: Vec<Slot> = templates.slots().filter(|slot| slot.kind() == kind).collect();
        if slots.is_empty() {
            return Self::default();
        }
        let context = context(message, &about);
        let mut own = Self::default();
        for slot in slots {
            match templates.render(slot, &context) {
                Ok(text) => *own.place(slot) = Some(text),
                Err(fault) => {
                    let said = format!("template failed: {}, {fault}", slot.name());
                    return Self { fault: Some(said), ..Self::default() };
                }
            }
        }
        own
    }

    fn place(&mut self, slot: Slot) -> &mut Option<String> {
        match slot {
            Slot::EmailHtml => &mut self.html,
            Slot::EmailText | Slot::SlackText | Slot::TeamsText | Slot::DiscordText | Slot::TelegramText => {
                &mut self.text
            }
            Slot::EmailSubject
            | Slot::SlackTitle
            | Slot::PagerDutySummary
            | Slot::TeamsTitle
            | Slot::DiscordTitle
            | Slot::TelegramTitle => &mut self.title,
        }
    }

    /// The outcome, saying that the message had to be told in its built-in form. That is no failure of the message.
    pub(crate) fn join(&self, outcome: Outcome) -> Outcome {
        let Some(fault) = &self.fault else { return outcome };
        match outcome {
            Outcome::Accepted { remote, said } => {
                let said = said.map_or_else(|| fault.clone(), |said| format!("{fault}; {said}"));
                Outcome::Accepted { remote, said: Some(words::clean(&said, SAID_MAX).into()) }
            }
            other => other,
        }
    }
}
