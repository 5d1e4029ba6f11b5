//! An Alertmanager, fed by its API v2. What it knows it holds in memory, and only for as long as somebody repeats it:
//! so whoever owns the channel sends what still holds once more every [`REFRESH`].
//!
//! Its alerts are told apart by their labels. Where those change (the severity rose), the alert under the old ones is
//! ended in the same request; the handle keeps what they were.

use std::collections::BTreeMap;
use std::time::Duration;

use beaconfire_model::{Labels, Secret};
use beaconfire_outbox::{Handle, Outcome};
use serde_json::{Value, json};

use crate::exchange::{Scrub, Trace};
use crate::http::{Answer, Endpoint, Reply};
use crate::knobs::AlertmanagerKnobs;
use crate::login::Authorization;
use crate::message::Message;
use crate::render::alert::{Alert, ended};
use crate::webhook::unreachable;

/// How often what holds is said again: often enough that two that are lost do no harm.
pub(crate) const REFRESH: Duration = Duration::from_secs(60);

/// Longest handle, in bytes; labels beyond that end by themselves, minutes later.
const HANDLE_MAX: usize = 4_096;

/// An Alertmanager.
#[derive(Debug, Clone)]
pub struct Alertmanager {
    endpoint: Endpoint,
    login: Authorization,
    scrub: Scrub,
}

impl Alertmanager {
    pub(crate) fn build(knobs: &AlertmanagerKnobs, within: Duration) -> Result<Self, String> {
        let login = Authorization::new(knobs.login.as_ref())?;
        let endpoint = Endpoint::new(&knobs.url, login.plaintext(), within)?.below("api/v2/alerts");
        Ok(Self { endpoint, scrub: Scrub::new(login.secrets().iter().collect::<Vec<&Secret>>()), login })
    }

    pub(crate) fn name(&self) -> String {
        self.endpoint.origin()
    }

    pub(crate) fn scrub(&self) -> &Scrub {
        &self.scrub
    }

    /// One message, and the end of what it takes the place of. Nothing else is in the request: where one alert of
    /// several is refused, all but it are taken, and the answer is a refusal all the same.
    pub(crate) async fn send(&self, message: &Message<'_>, trace: &mut Trace<'_>) -> Outcome {
        let alert = Alert::of(message);
        let now = message.now.as_event_time();
        let mut alerts = vec![alert.posted(now)];
        if let Some(before) = message.handle.and_then(labels_of).filter(|before| *before != alert.labels) {
            alerts.push(ended(&before, now));
        }
        let mut headers = vec![("content-type", "application/json".to_owned())];
        headers.extend(self.login.header());
        match self.endpoint.post(&headers, Value::Array(alerts).to_string(), trace).await {
            Answer::Reply(reply) => self.judge(&reply, &alert.labels),
            Answer::None { said, certificate } => unreachable(self.scrub.said(&said), certificate),
        }
    }

    fn judge(&self, reply: &Reply, labels: &Labels) -> Outcome {
        let said = || self.scrub.said(&reply.said());
        match reply.status {
            200..=299 => Outcome::accepted(Some(handle(labels))),
            429 => Outcome::Limited { after: reply.retry_after },
            300..=399 | 401 | 403 | 404 | 405 | 407 | 415 => Outcome::Misconfigured { said: said() },
            408 | 425 | 500..=599 => Outcome::Deferred { after: reply.retry_after, said: said() },
            // 400, 422: the alert is malformed, and will be so tomorrow.
            _ => Outcome::Rejected { said: said() },
        }
    }
}

fn handle(labels: &Labels) -> Handle {
    let text = json!(labels.0).to_string();
    Handle(if text.len() <= HANDLE_MAX { text } else { "{}".to_owned() })
}

/// The labels that were told last; nothing for a handle that holds none.
fn labels_of(handle: &Handle) -> Option<Labels> {
    let labels: BTreeMap<String, String> = serde_json::from_str(&handle.0).ok()?;
    (!labels.is_empty()).then_some(Labels(labels))
}
