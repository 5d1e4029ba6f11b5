//! Microsoft Teams, by a workflow ("post to a channel when a webhook request is received"). It can only post: each
//! state is a message of its own.

use std::time::Duration;

use beaconfire_model::Secret;
use beaconfire_outbox::{Handle, Outcome};
use serde_json::Value;

use crate::exchange::{Scrub, Trace};
use crate::http::{Answer, Endpoint, Plaintext};
use crate::knobs::TeamsKnobs;
use crate::message::{Message, word};
use crate::render::{self, Facts};
use crate::templates::Own;
use crate::webhook::unreachable;

/// Microsoft Teams.
#[derive(Debug, Clone)]
pub struct Teams {
    endpoint: Endpoint,
    knobs: TeamsKnobs,
    scrub: Scrub,
}

impl Teams {
    pub(crate) fn build(knobs: &TeamsKnobs, within: Duration) -> Result<Self, String> {
        let (endpoint, path) = Endpoint::new(knobs.url.expose(), Plaintext::LoopbackOnly, within)?.hidden();
        Ok(Self { endpoint, scrub: Scrub::new([&knobs.url, &path]), knobs: knobs.clone() })
    }

    pub(crate) fn name(&self) -> String {
        self.endpoint.origin()
    }

    /// Limits are of the workflow.
    pub(crate) fn credential(&self) -> &Secret {
        &self.knobs.url
    }

    pub(crate) fn scrub(&self) -> &Scrub {
        &self.scrub
    }

    pub(crate) async fn send(&self, message: &Message<'_>, own: &Own, trace: &mut Trace<'_>) -> Outcome {
        let facts = Facts::of(message);
        // What says that it was told before.
        let told = Handle(word(message.notification_id));
        let (outcome, unfit) = self.call(render::teams::message(&facts, own), &told, trace).await;
        if !unfit {
            return outcome;
        }
        tracing::warn!("Teams refused a message's card; it goes out as one line");
        self.call(render::teams::plain(&facts), &told, trace).await.0
    }

    /// What came of it, and whether something plainer may pass.
    async fn call(&self, body: Value, told: &Handle, trace: &mut Trace<'_>) -> (Outcome, bool) {
        let reply = match self.endpoint.post(&[], body.to_string(), trace).await {
            Answer::Reply(reply) => reply,
            Answer::None { said, certificate } => {
                return (unreachable(self.scrub.said(&said), certificate), false);
            }
        };
        let said = self.scrub.said(&reply.said());
        let outcome = match reply.status {
            // 202: the workflow has it, and posts it by and by.
            200..=299 => Outcome::accepted(Some(told.clone())),
            429 => Outcome::Limited { after: reply.retry_after },
            300..=399 | 401 | 403 | 404 | 405 | 407 | 410 => Outcome::Misconfigured { said },
            408 | 425 | 500..=599 => Outcome::Deferred { after: reply.retry_after, said },
            _ => Outcome::Rejected { said },
        };
        (outcome, matches!(reply.status, 400 | 413))
    }
}
