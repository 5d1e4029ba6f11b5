//! Digests: which goes next, and what came of it.

use std::sync::Mutex;

use beaconfire_model::Wall;
use beaconfire_notify::{Matter, Message, Storm};
use beaconfire_outbox::{Action, Digest, Pace, Sent};
use beaconfire_store::{Standing, StoreError};
use tokio::time::sleep;

use super::{LEASE, SETTLE_TRIES, STORE_RETRY, Sender, now};

impl Sender {
    /// The digest that goes next, and when.
    pub(super) async fn next_digest(&self, at: Wall) -> Result<Option<(Wall, Standing)>, StoreError> {
        let mut next: Option<(Wall, Standing)> = None;
        for standing in self.store.digests(&self.receiver, &self.integration, at).await? {
            let Standing { digest, tally, calm } = &standing;
            // All that was in it has gone by itself, or was dropped.
            let hollow = tally.members == 0 && (digest.group.is_some() || *calm);
            if hollow || digest.is_silently_over(self.digest.resolves, tally, *calm) {
                self.store.close_digest(digest.id).await?;
                continue;
            }
            let Some((due, _)) = digest.next(self.channel.kind(), self.digest.resolves, tally, *calm) else {
                continue;
            };
            if next.as_ref().is_none_or(|(earliest, _)| due < *earliest) {
                next = Some((due, standing));
            }
        }
        Ok(next)
    }

    /// Sends a digest's next message and writes down what came of it.
    pub(super) async fn deliver_digest(&self, digest: &Digest, pace: &Mutex<Pace>) -> Result<(), StoreError> {
        let claimed = self.store.claim_digest(digest.id, &self.owner, now(), LEASE).await?;
        let Some((Standing { digest, tally, calm }, summary)) = claimed else { return Ok(()) };
        let next = digest.next(self.channel.kind(), self.digest.resolves, &tally, calm);
        let action = next.map_or(Action::Update, |(_, action)| action);
        let id = digest.notification_id(&tally);
        let message = Message {
            matter: Matter::Storm(Storm { digest: &digest, tally, summary: &summary }),
            action,
            notification_id: &id,
            handle: digest.handle.as_ref(),
            now: now(),
            site: self.house.site(),
        };
        let outcome = self.channel.send(&message).await;
        let at = now();
        let matter = format!("storm {}", digest.id.0);
        self.heed(&matter, &outcome, pace, at).await;
        self.note(&matter, &outcome);
        let sent = Sent { tally, last: digest.is_last(&tally, calm) };
        let mut tries = 0;
        loop {
            let jitter: f64 = rand::random();
            match self.store.settle_digest(digest.id, &self.owner, &sent, &outcome, jitter, at).await {
                Ok(_) => return Ok(()),
                Err(StoreError::LeaseLost) => {
                    tracing::warn!(
                        receiver = %self.receiver,
                        digest = digest.id.0,
                        "another process took this digest over; it may be told twice, with the same id"
                    );
                    return Ok(());
                }
                Err(error) if tries < SETTLE_TRIES => {
                    tries += 1;
                    tracing::debug!(receiver = %self.receiver, %error, "cannot write down what was sent yet");
                    sleep(STORE_RETRY).await;
                }
                Err(error) => return Err(error),
            }
        }
    }
}
