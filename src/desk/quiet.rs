//! Silences by hand, and what keeps receivers from hearing of an incident at this moment.

use beaconfire_api::{DeskError, NewSilence, SILENCED_SHOWN, SilenceFacts};
use beaconfire_incident::{Actor, Incident};
use beaconfire_model::Wall;
use beaconfire_outbox::{Quiet, Silence, SilenceState};
use beaconfire_pipeline::Shelf;
use beaconfire_store::StoreError;

use super::{Office, unavailable};
use crate::threads::now;

impl Office {
    /// Silences that are not over, first to end first, then the latest that are.
    pub(super) async fn all_silences(&self) -> Result<Vec<SilenceFacts>, DeskError> {
        let at = now();
        let mut silences = self.store.silences(at).await.map_err(unavailable)?;
        silences.extend(self.store.silences_over(at).await.map_err(unavailable)?);
        let unresolved = self.store.unresolved().await.map_err(unavailable)?;
        Ok(silences.into_iter().map(|silence| matched(silence, &unresolved, at)).collect())
    }

    /// Keeps a silence; the keeper looks at them every second.
    pub(super) async fn hush(
        &self,
        actor: Actor,
        wanted: NewSilence,
        dry_run: bool,
    ) -> Result<SilenceFacts, DeskError> {
        let at = now();
        let NewSilence { matchers, author, comment, starts_at, ends_at } = wanted;
        let silence =
            Silence { id: "".into(), matchers, author, comment, starts_at, ends_at, updated_at: at };
        let silence = if dry_run {
            silence
        } else {
            let kept = self.store.add_silence(&silence, at).await.map_err(|error| match error {
                StoreError::TooManySilences => DeskError::Refused(error.to_string()),
                error => unavailable(error),
            })?;
            tracing::info!(actor = %actor.0, silence = &*kept.id, until = %kept.ends_at, "a silence was made");
            kept
        };
        let unresolved = self.store.unresolved().await.map_err(unavailable)?;
        Ok(matched(silence, &unresolved, at))
    }

    /// Ends a silence now.
    pub(super) async fn unhush(&self, actor: Actor, id: &str) -> Result<Silence, DeskError> {
        let ended = self.store.expire_silence(id, now()).await.map_err(unavailable)?;
        let ended = ended.ok_or(DeskError::NotFound)?;
        tracing::info!(actor = %actor.0, silence = &*ended.id, "a silence was ended");
        Ok(ended)
    }

    /// What keeps receivers from hearing of this incident; of one that is over nothing does.
    pub(super) async fn quiet(&self, incident: &Incident) -> Result<Quiet, DeskError> {
        if incident.status == beaconfire_incident::Status::Resolved {
            return Ok(Quiet::default());
        }
        let at = now();
        let silences = self.store.silences(at).await.map_err(unavailable)?;
        let unresolved = if self.policy.can_be_inhibited(incident.kind) {
            self.store.unresolved().await.map_err(unavailable)?
        } else {
            Vec::new()
        };
        let shelf = Shelf { silences, ..Shelf::default() };
        let unresolved: Vec<&Incident> = unresolved.iter().collect();
        Ok(self.policy.hush(&shelf, &unresolved, at, |hush| hush.of(incident)))
    }
}

/// A silence and what it matches of these; one that is over matches nothing any more.
fn matched(silence: Silence, unresolved: &[Incident], at: Wall) -> SilenceFacts {
    let is_over = silence.state(at) == SilenceState::Expired;
    let matching = || {
        let holds = |incident: &&Incident| !is_over && silence.matches(&incident.labels);
        unresolved.iter().filter(holds)
    };
    let incidents: Vec<Incident> = matching().take(SILENCED_SHOWN).cloned().collect();
    let incidents_total = matching().count() as u64;
    SilenceFacts { silence, incidents, incidents_total }
}
