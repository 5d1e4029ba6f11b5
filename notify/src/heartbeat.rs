//! A heartbeat: a request that says "all is well" to a watcher elsewhere, which raises the alarm when it no longer comes.
//! It is the one thing that a process that has died can still say.

use std::time::Duration;

use beaconfire_model::{Secret, Wall};
use serde_json::json;

use crate::SEND_TIMEOUT;
use crate::exchange::{Scrub, Trace};
use crate::http::{Answer, Endpoint, Plaintext};

/// One watcher elsewhere.
#[derive(Debug, Clone)]
pub struct Heartbeat {
    endpoint: Endpoint,
    scrub: Scrub,
}

impl Heartbeat {
    /// A heartbeat to this address, which may hold a secret. Refused, without showing it, where it cannot be posted to.
    pub fn build(url: &Secret) -> Result<Self, String> {
        Self::build_within(url, SEND_TIMEOUT)
    }

    pub(crate) fn build_within(url: &Secret, within: Duration) -> Result<Self, String> {
        let (endpoint, path) = Endpoint::new(url.expose(), Plaintext::Allowed, within)?.hidden();
        Ok(Self { endpoint, scrub: Scrub::new([url, &path]) })
    }

    /// The address as it may be shown.
    pub fn shown(&self) -> String {
        self.endpoint.shown()
    }

    /// Says that all is well. What was said against it, cleaned, where it was not taken.
    pub async fn beat(&self, installation: &str, at: Wall) -> Result<(), Box<str>> {
        let body = json!({"type": "heartbeat", "installation": installation, "timestamp": at.to_string()});
        let mut trace = Trace::off(&self.scrub);
        match self.endpoint.post(&[], body.to_string(), &mut trace).await {
            Answer::Reply(reply) if (200..300).contains(&reply.status) => Ok(()),
            Answer::Reply(reply) => Err(self.scrub.said(&reply.said())),
            Answer::None { said, .. } => Err(self.scrub.said(&said)),
        }
    }
}
