//! Says again what still holds to whoever forgets it otherwise: an Alertmanager keeps alerts in memory, and each only
//! for minutes. The rows of the outbox are left as they are: nothing has changed that a receiver should be told of.

use std::sync::Arc;
use std::time::Duration;

use beaconfire_incident::Status;
use beaconfire_model::Labels;
use beaconfire_notify::{About, Channel, Matter, Message};
use beaconfire_outbox::{Action, Outcome};
use beaconfire_store::{Store, StoreError};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::sender::House;
use crate::threads::now;

/// Rows that are said again in one round at most, the oldest incidents first.
const ROWS_MAX: usize = 2_000;

/// Between two requests of a round: well below what an endpoint may be sent.
const BETWEEN: Duration = Duration::from_millis(20);

/// One integration that forgets.
pub struct Refresher {
    /// The receiver.
    pub receiver: Arc<str>,
    /// The integration within it.
    pub integration: Arc<str>,
    /// The way out.
    pub channel: Arc<Channel>,
    /// Where rows are.
    pub store: Store,
    /// What messages say of us.
    pub house: Arc<House>,
}

impl Refresher {
    /// Says everything that holds once each `every`, until told to stop. Several processes may do so at once: to be
    /// told twice harms nobody.
    pub async fn run(self, every: Duration, mut stop: watch::Receiver<bool>) {
        loop {
            tokio::select! {
                () = sleep(every) => {}
                _ = stop.changed() => return,
            }
            // The sender says that an endpoint or the store is away; here the next round tries again.
            if let Err(error) = self.round().await {
                tracing::debug!(receiver = %self.receiver, %error, "what still holds could not be read");
            }
        }
    }

    /// One round; how many were said again.
    async fn round(&self) -> Result<usize, StoreError> {
        let rows = self.store.told_and_open(&self.receiver, &self.integration, ROWS_MAX).await?;
        let mut said = 0;
        for row in rows {
            let Some(told) = row.told else { continue };
            let Some(dossier) = self.store.dossier(&row.key.incident).await? else { continue };
            // The end is the sender's to tell, once: it must not be overtaken.
            if dossier.incident.status == Status::Resolved {
                continue;
            }
            let nothing = Labels::default();
            let service = self.house.context.services.get(&*dossier.incident.target.value);
            let annotations = service.map_or(&nothing, |service| &service.annotations);
            let id = row.notification_id(told);
            let about = About {
                dossier: &dossier,
                revision: told.revision,
                decisions: &[],
                silenced: None,
                annotations,
                via: row.via.as_deref(),
                again: false,
            };
            let message = Message {
                matter: Matter::Incident(about),
                action: Action::Update,
                notification_id: &id,
                handle: row.handle.as_ref(),
                now: now(),
                site: self.house.site(),
            };
            match self.channel.send(&message).await {
                Outcome::Accepted { .. } => said += 1,
                // Nothing to be gained by asking on: it is the same endpoint.
                Outcome::Limited { .. } | Outcome::Deferred { .. } | Outcome::Misconfigured { .. } => break,
                Outcome::Rejected { .. } | Outcome::Gone => {}
            }
            sleep(BETWEEN).await;
        }
        Ok(said)
    }
}

#[cfg(test)]
mod tests {
    use beaconfire_incident::Context;
    use beaconfire_model::{Secret, Severity};
    use beaconfire_notify::{Knobs, Payload, WebhookKnobs};
    use beaconfire_outbox::{Fate, Told};
    use beaconfire_store::{StoreKnobs, Write};
    use beaconfire_view::Privacy;

    use super::*;
    use crate::sender::tests::{flood, row};
    use crate::standins::{Mode, WEBHOOK_SECRET, Webhook};

    #[tokio::test]
    async fn what_was_told_and_holds_is_said_again_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}/beaconfire.db", directory.path().display());
        let store = Store::open(&StoreKnobs { url, retention: Duration::from_secs(86_400) }).await.unwrap();
        let at = now();
        let mut folded = ["holds", "over", "untold"].map(|service| flood(service, at));
        folded[1].incident.status = Status::Resolved;
        let mut rows = folded.each_ref().map(|folded| row(&folded.incident, at));
        for row in &mut rows[..2] {
            row.told = Some(Told {
                revision: 1,
                status: Status::Open,
                severity: Severity::Critical,
                silenced: false,
            });
            row.fate = Fate::Delivered;
        }
        store.save(Write { folded: &folded, rows: &rows, ..Write::default() }).await.unwrap();
        let standin = Webhook::start().await.unwrap();
        let knobs = WebhookKnobs {
            url: Secret::new(standin.url()),
            signing_secret: Some(Secret::new(WEBHOOK_SECRET)),
            payload: Payload::Beaconfire,
            login: None,
        };
        let refresher = Refresher {
            receiver: rows[0].key.receiver.clone(),
            integration: rows[0].key.integration.clone(),
            channel: Arc::new(Channel::build(&Knobs::Webhook(knobs)).unwrap()),
            store,
            house: Arc::new(House {
                installation: "eu-1".into(),
                external_url: "http://127.0.0.1:8480".into(),
                privacy: Privacy::Redact,
                templates: Arc::default(),
                context: Context::default(),
            }),
        };
        assert_eq!(refresher.round().await.unwrap(), 1);
        assert_eq!(standin.calls().len(), 1);
        standin.set(Mode::Broken(500));
        assert_eq!(refresher.round().await.unwrap(), 0);
        assert_eq!(standin.calls().len(), 1);
    }
}
