//! Standard Webhooks: one POST a message, signed, with an id that stays the same over retries; the body in our own
//! words, in Alertmanager's, or as a CloudEvent.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use beaconfire_outbox::{Handle, Outcome};

use crate::exchange::{Scrub, Trace};
use crate::http::{Answer, Endpoint, Reply};
use crate::knobs::{Payload, WebhookKnobs};
use crate::login::Authorization;
use crate::message::{Message, word};
use crate::render;
use crate::sign::Signer;

/// A webhook.
#[derive(Debug, Clone)]
pub struct Webhook {
    endpoint: Endpoint,
    signer: Option<Signer>,
    payload: Payload,
    login: Authorization,
    scrub: Scrub,
}

impl Webhook {
    pub(crate) fn build(knobs: &WebhookKnobs, within: Duration) -> Result<Self, String> {
        let login = Authorization::new(knobs.login.as_ref())?;
        // Without a login no secret of ours travels with a request: the body is signed, and the address is the
        // operator's choice.
        let (endpoint, path) = Endpoint::new(knobs.url.expose(), login.plaintext(), within)?.hidden();
        Ok(Self {
            endpoint,
            payload: knobs.payload.clone(),
            signer: knobs.signing_secret.as_ref().map(Signer::new).transpose()?,
            scrub: Scrub::new(knobs.signing_secret.iter().chain([&knobs.url, &path]).chain(login.secrets())),
            login,
        })
    }

    pub(crate) fn name(&self) -> String {
        self.endpoint.origin()
    }

    pub(crate) fn scrub(&self) -> &Scrub {
        &self.scrub
    }

    pub(crate) async fn send(&self, message: &Message<'_>, trace: &mut Trace<'_>) -> Outcome {
        let body = match &self.payload {
            Payload::Beaconfire => render::webhook::body(message),
            Payload::Alertmanager { receiver } => render::alert::webhook(message, receiver),
            Payload::CloudEvents => render::webhook::cloud_event(message),
        };
        let id = word(message.notification_id);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let timestamp = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        let mut headers = vec![("webhook-id", id.clone()), ("webhook-timestamp", timestamp.to_string())];
        headers.extend(self.login.header());
        if self.payload == Payload::CloudEvents {
            headers.push(("content-type", "application/cloudevents+json; charset=utf-8".into()));
        }
        if let Some(signer) = &self.signer {
            headers.push(("webhook-signature", signer.sign(&id, timestamp, &body)));
        }
        match self.endpoint.post(&headers, body, trace).await {
            Answer::Reply(reply) => self.judge(&reply, id),
            Answer::None { said, certificate } => unreachable(self.scrub.said(&said), certificate),
        }
    }

    fn judge(&self, reply: &Reply, id: String) -> Outcome {
        let said = || self.scrub.said(&reply.said());
        match reply.status {
            // The id of the first message tells later ones that it was told.
            200..=299 => Outcome::accepted(Some(Handle(id))),
            429 => Outcome::Limited { after: reply.retry_after },
            // Nothing says it wants to be told elsewhere but a person.
            300..=399 | 401 | 403 | 404 | 405 | 407 => Outcome::Misconfigured { said: said() },
            408 | 425 | 500..=599 => Outcome::Deferred { after: reply.retry_after, said: said() },
            // 410: the receiver wants no more of this.
            _ => Outcome::Rejected { said: said() },
        }
    }
}

/// What to make of no answer: waiting mends a network, not a certificate.
pub(crate) fn unreachable(said: Box<str>, certificate: bool) -> Outcome {
    if certificate { Outcome::Misconfigured { said } } else { Outcome::Deferred { after: None, said } }
}
