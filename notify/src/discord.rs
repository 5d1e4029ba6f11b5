//! Discord, by a webhook: one message an incident, updated in place. Nobody is notified of an update, so what should
//! disturb again is one line more.

use std::time::Duration;

use beaconfire_model::Secret;
use beaconfire_outbox::{Action, Handle, Outcome};
use reqwest::Method;
use serde_json::Value;

use crate::exchange::{Scrub, Trace};
use crate::http::{Answer, Endpoint, Plaintext, Reply, seconds};
use crate::knobs::DiscordKnobs;
use crate::message::Message;
use crate::render::{self, Facts};
use crate::templates::Own;
use crate::webhook::unreachable;

/// Discord.
#[derive(Debug, Clone)]
pub struct Discord {
    endpoint: Endpoint,
    knobs: DiscordKnobs,
    scrub: Scrub,
}

/// What Discord made of a request.
enum Said {
    /// It did it; its answer.
    Done(Value),
    /// It refuses what was sent: something plainer may pass.
    Unfit(Box<str>),
    Other(Outcome),
}

impl Discord {
    pub(crate) fn build(knobs: &DiscordKnobs, within: Duration) -> Result<Self, String> {
        let (endpoint, path) = Endpoint::new(knobs.url.expose(), Plaintext::LoopbackOnly, within)?.hidden();
        Ok(Self { endpoint, scrub: Scrub::new([&knobs.url, &path]), knobs: knobs.clone() })
    }

    pub(crate) fn name(&self) -> String {
        self.endpoint.origin()
    }

    /// Limits are of the webhook.
    pub(crate) fn credential(&self) -> &Secret {
        &self.knobs.url
    }

    pub(crate) fn scrub(&self) -> &Scrub {
        &self.scrub
    }

    pub(crate) async fn send(&self, message: &Message<'_>, own: &Own, trace: &mut Trace<'_>) -> Outcome {
        let facts = Facts::of(message);
        let (full, plain) = (render::discord::message(&facts, own), render::discord::plain(&facts));
        let Some(id) = message.handle.map(|handle| handle.0.as_str()).filter(|id| is_id(id)) else {
            return match self.either(None, full, plain, trace).await {
                Said::Done(answer) => Outcome::accepted(handle(&answer)),
                Said::Unfit(said) => Outcome::Rejected { said },
                Said::Other(outcome) => outcome,
            };
        };
        match self.either(Some(id), full, plain.clone(), trace).await {
            Said::Done(_) => {}
            Said::Unfit(said) => return Outcome::Rejected { said },
            Said::Other(outcome) => return outcome,
        }
        if message.action == Action::Open
            && let Said::Other(outcome) = self.call(None, &plain, trace).await
        {
            // The whole is tried again: the update changes nothing the second time.
            return outcome;
        }
        Outcome::accepted(None)
    }

    /// The full form, or where Discord finds it unfit, the plain one.
    async fn either(&self, id: Option<&str>, full: Value, plain: Value, trace: &mut Trace<'_>) -> Said {
        match self.call(id, &full, trace).await {
            Said::Unfit(said) => {
                tracing::warn!(%said, "Discord refused a message's embed; it goes out as bare text");
                self.call(id, &plain, trace).await
            }
            said => said,
        }
    }

    async fn call(&self, id: Option<&str>, body: &Value, trace: &mut Trace<'_>) -> Said {
        let (method, endpoint) = match id {
            Some(id) => (Method::PATCH, self.endpoint.below(&format!("messages/{id}"))),
            // With `wait` the answer is the message, whose id later updates need.
            None => (
                Method::POST,
                self.endpoint.at(|url| {
                    url.query_pairs_mut().append_pair("wait", "true");
                }),
            ),
        };
        match endpoint.send(method, &[], body.to_string(), trace).await {
            Answer::Reply(reply) => self.judge(&reply, id.is_some()),
            Answer::None { said, certificate } => {
                Said::Other(unreachable(self.scrub.said(&said), certificate))
            }
        }
    }

    fn judge(&self, reply: &Reply, is_update: bool) -> Said {
        let answer: Value = serde_json::from_str(&reply.body).unwrap_or_default();
        let said = self.scrub.said(&reply.said());
        Said::Other(match reply.status {
            200..=299 => return Said::Done(answer),
            429 => {
                // The body has it to the millisecond, the header in whole seconds.
                let told = answer.get("retry_after").and_then(|told| seconds(&told.to_string()));
                Outcome::Limited { after: told.or(reply.retry_after) }
            }
            // 10008: unknown message. Another 404 is the webhook itself.
            404 if is_update && answer["code"] == 10_008 => Outcome::Gone,
            400 | 413 => return Said::Unfit(said),
            300..=399 | 401 | 403 | 404 | 405 | 407 | 410 => Outcome::Misconfigured { said },
            408 | 425 | 500..=599 => Outcome::Deferred { after: reply.retry_after, said },
            _ => Outcome::Rejected { said },
        })
    }
}

/// A message's id goes into an address: digits only.
fn is_id(text: &str) -> bool {
    (1..=20).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn handle(answer: &Value) -> Option<Handle> {
    answer.get("id")?.as_str().filter(|id| is_id(id)).map(|id| Handle(id.to_owned()))
}
