//! Telegram, by a bot: one message an incident, edited in place, and answered where people should look again.

use std::time::Duration;

use beaconfire_model::Secret;
use beaconfire_outbox::{Action, Handle, Outcome};
use serde_json::{Value, json};

use crate::exchange::{Scrub, Trace};
use crate::http::{Answer, Endpoint, Plaintext, Reply, seconds};
use crate::knobs::TelegramKnobs;
use crate::message::Message;
use crate::render::{self, Facts};
use crate::templates::Own;
use crate::webhook::unreachable;

/// Telegram.
#[derive(Debug, Clone)]
pub struct Telegram {
    endpoint: Endpoint,
    knobs: TelegramKnobs,
    scrub: Scrub,
}

/// What Telegram made of a call.
enum Said {
    /// It did it; the result.
    Done(Value),
    /// It refuses what was sent: something plainer may pass.
    Unfit(Box<str>),
    Other(Outcome),
}

impl Telegram {
    pub(crate) fn build(knobs: &TelegramKnobs, within: Duration) -> Result<Self, String> {
        let token = knobs.token.expose();
        let is_token = |c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | '-' | '_');
        if token.is_empty() || !token.chars().all(is_token) {
            return Err("the bot's token is empty or holds what no token does".into());
        }
        let named = knobs.chat.strip_prefix('@').is_some_and(|name| !name.is_empty());
        if !named && knobs.chat.parse::<i64>().is_err() {
            return Err("the chat is neither a number nor @channel".into());
        }
        let endpoint = Endpoint::new(&knobs.api_url, Plaintext::LoopbackOnly, within)?;
        // The token is part of the path.
        let (endpoint, path) = endpoint.below(&format!("bot{token}")).hidden();
        Ok(Self { endpoint, scrub: Scrub::new([&path, &knobs.token]), knobs: knobs.clone() })
    }

    pub(crate) fn name(&self) -> String {
        self.endpoint.origin()
    }

    /// Limits are of the bot, and tighter ones of its chats.
    pub(crate) fn credential(&self) -> &Secret {
        &self.knobs.token
    }

    pub(crate) fn scrub(&self) -> &Scrub {
        &self.scrub
    }

    pub(crate) async fn send(&self, message: &Message<'_>, own: &Own, trace: &mut Trace<'_>) -> Outcome {
        let facts = Facts::of(message);
        let id = message.handle.and_then(|handle| handle.0.parse::<i64>().ok());
        let (name, mut body) = match id {
            None => ("sendMessage", self.body(message)),
            Some(id) => ("editMessageText", json!({"message_id": id})),
        };
        body["text"] = json!(render::telegram::text(&facts, own));
        let outcome = match self.either(name, body, &render::telegram::plain(&facts), trace).await {
            Said::Done(result) => {
                Outcome::accepted(result["message_id"].as_i64().map(|id| Handle(id.to_string())))
            }
            Said::Unfit(said) => return Outcome::Rejected { said },
            Said::Other(outcome) => return outcome,
        };
        // Nobody is notified of an edit.
        if let Some(id) = id
            && matches!(message.action, Action::Open | Action::Resolve)
        {
            let mut reply = self.body(message);
            reply["text"] = json!(render::telegram::reply(&facts));
            reply["reply_parameters"] = json!({"message_id": id, "allow_sending_without_reply": true});
            match self.call("sendMessage", reply, true, trace).await {
                Said::Done(_) => {}
                // The message itself is right; that it cannot be answered does not make it wrong.
                Said::Unfit(said) => tracing::warn!(%said, "Telegram refused an answer to a message"),
                Said::Other(outcome) => return outcome,
            }
        }
        outcome
    }

    fn body(&self, message: &Message<'_>) -> Value {
        let is_over = message.action == Action::Resolve;
        let mut body = json!({"disable_notification": self.knobs.quiet || is_over});
        if let Some(thread) = self.knobs.thread {
            body["message_thread_id"] = json!(thread);
        }
        body
    }

    /// The full text, or where Telegram finds it unfit, the plain one.
    async fn either(&self, name: &str, mut body: Value, plain: &str, trace: &mut Trace<'_>) -> Said {
        match self.call(name, body.clone(), true, trace).await {
            Said::Unfit(said) => {
                tracing::warn!(%said, "Telegram refused a message's form; it goes out as bare text");
                body["text"] = json!(plain);
                self.call(name, body, false, trace).await
            }
            said => said,
        }
    }

    async fn call(&self, name: &str, mut body: Value, html: bool, trace: &mut Trace<'_>) -> Said {
        body["chat_id"] = match self.knobs.chat.parse::<i64>() {
            Ok(number) => json!(number),
            Err(_) => json!(self.knobs.chat),
        };
        body["link_preview_options"] = json!({"is_disabled": true});
        if html {
            body["parse_mode"] = json!("HTML");
        }
        match self.endpoint.below(name).post(&[], body.to_string(), trace).await {
            Answer::Reply(reply) => self.judge(&reply, name),
            Answer::None { said, certificate } => {
                Said::Other(unreachable(self.scrub.said(&said), certificate))
            }
        }
    }

    /// What an answer means. Errors are told by their description; their code is the status.
    fn judge(&self, reply: &Reply, name: &str) -> Said {
        let mut answer: Value = serde_json::from_str(&reply.body).unwrap_or_default();
        let said = self.scrub.said(&reply.said());
        let description = answer["description"].as_str().unwrap_or_default().to_ascii_lowercase();
        let has = |text: &str| description.contains(text);
        Said::Other(match reply.status {
            200..=299 if answer["ok"] == true => return Said::Done(answer["result"].take()),
            429 => {
                let told = seconds(&answer["parameters"]["retry_after"].to_string());
                Outcome::Limited { after: told.or(reply.retry_after) }
            }
            // An edit that came through before, whose answer was lost.
            400 if has("message is not modified") => return Said::Done(Value::Null),
            400 if name == "editMessageText"
                && (has("message to edit not found") || has("message can't be edited")) =>
            {
                Outcome::Gone
            }
            400 if has("chat not found")
                || has("upgraded to a supergroup")
                || has("thread not found")
                || has("not enough rights") =>
            {
                Outcome::Misconfigured { said }
            }
            400 | 413 => return Said::Unfit(said),
            // 404: no such bot.
            300..=399 | 401 | 403 | 404 | 405 | 407 => Outcome::Misconfigured { said },
            200..=299 | 408 | 425 | 500..=599 => Outcome::Deferred { after: reply.retry_after, said },
            _ => Outcome::Rejected { said },
        })
    }
}
