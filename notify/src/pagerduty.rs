//! PagerDuty's Events API v2: trigger, acknowledge and resolve of one alert, which one key holds together.

use std::time::Duration;

use beaconfire_outbox::{Handle, Outcome};
use serde_json::json;

use crate::exchange::{Scrub, Trace};
use crate::http::{Answer, Endpoint, Plaintext, Reply};
use crate::knobs::PagerDutyKnobs;
use crate::message::Message;
use crate::render;
use crate::templates::Own;
use crate::webhook::unreachable;

/// How long to wait after a 429: events have no `Retry-After`, and PagerDuty's own advice is half a minute.
const PATIENCE: Duration = Duration::from_secs(30);

/// PagerDuty.
#[derive(Debug, Clone)]
pub struct PagerDuty {
    endpoint: Endpoint,
    knobs: PagerDutyKnobs,
    scrub: Scrub,
}

impl PagerDuty {
    pub(crate) fn build(knobs: &PagerDutyKnobs, within: Duration) -> Result<Self, String> {
        if knobs.routing_key.is_empty() {
            return Err("the routing key is empty".into());
        }
        Ok(Self {
            endpoint: Endpoint::new(&knobs.url, Plaintext::LoopbackOnly, within)?,
            scrub: Scrub::new([&knobs.routing_key]),
            knobs: knobs.clone(),
        })
    }

    pub(crate) fn name(&self) -> String {
        self.endpoint.origin()
    }

    /// The limit is one of the key's.
    pub(crate) fn credential(&self) -> &beaconfire_model::Secret {
        &self.knobs.routing_key
    }

    pub(crate) fn scrub(&self) -> &Scrub {
        &self.scrub
    }

    pub(crate) async fn send(&self, message: &Message<'_>, own: &Own, trace: &mut Trace<'_>) -> Outcome {
        let mut event = render::pagerduty::event(message, own);
        event["routing_key"] = json!(self.knobs.routing_key.expose());
        match self.endpoint.post(&[], event.to_string(), trace).await {
            Answer::Reply(reply) => self.judge(&reply, message.dedup_key()),
            Answer::None { said, certificate } => unreachable(self.scrub.said(&said), certificate),
        }
    }

    fn judge(&self, reply: &Reply, key: String) -> Outcome {
        let said = || self.scrub.said(&reply.said());
        match reply.status {
            200..=299 => Outcome::accepted(Some(Handle(key))),
            429 => Outcome::Limited { after: Some(reply.retry_after.unwrap_or(PATIENCE)) },
            300..=399 | 401 | 403 | 404 | 405 | 407 => Outcome::Misconfigured { said: said() },
            408 | 425 | 500..=599 => Outcome::Deferred { after: reply.retry_after, said: said() },
            // 400: the event is malformed, and will be so tomorrow.
            _ => Outcome::Rejected { said: said() },
        }
    }
}
