//! One transaction: incidents with what hangs on them, whom to tell, whom to throttle, and how far sources have come.
//! Offsets behind it may be committed when it has returned.

mod hanging;

use beaconfire_incident::{Folded, Incident};
use beaconfire_outbox::Row;
use beaconfire_throttle::Decision;
use sqlx::any::AnyArguments;
use sqlx::query::Query;
use sqlx::{Any, Transaction};

pub(crate) use self::hanging::timeline;
use crate::doc::Doc;
use crate::sql::{rank, whole};
use crate::{Baseline, Progress, SaveError, Store, allowed, baselines, decisions, outbox, progress};

/// One transaction's worth.
#[derive(Debug, Clone, Copy, Default)]
pub struct Write<'a> {
    /// Incidents, each under the version it was read with. Of several for one fingerprint the older come first, so
    /// that one is resolved before the next opens.
    pub folded: &'a [Folded],
    /// Outbox rows, likewise.
    pub rows: &'a [Row],
    /// New decisions.
    pub decisions: &'a [Decision],
    /// How far sources have come.
    pub progress: &'a [Progress],
    /// What was learned of series.
    pub learned: &'a [Baseline],
}

impl Store {
    /// Writes all of it or nothing, and answers with the decisions as they are stored (with their numbers, in the
    /// order given). A decision for which a longer one of the same key is active makes none: that one is answered.
    ///
    /// [`SaveError::Conflict`] where a row has another version than the one it was read with, or exists where none
    /// was read, or a rule's decision is on a network that somebody has allowed meanwhile: read again, fold again, save again.
    pub async fn save(&self, write: Write<'_>) -> Result<Vec<Decision>, SaveError> {
        let mut tx = self.begin().await?;
        for folded in write.folded {
            if folded.incident.version == 0 {
                insert(&mut tx, &folded.incident).await?;
            } else {
                update(&mut tx, &folded.incident).await?;
            }
            hanging::save(&mut tx, folded).await?;
        }
        for row in write.rows {
            outbox::save(&mut tx, row).await?;
        }
        allowed::check(&mut tx, write.decisions).await?;
        let mut decided = Vec::with_capacity(write.decisions.len());
        for decision in write.decisions {
            decided.push(decisions::put(&mut tx, decision).await?);
        }
        progress::save(&mut tx, write.progress).await?;
        baselines::save(&mut tx, write.learned).await?;
        tx.commit().await?;
        Ok(decided)
    }
}

async fn insert(tx: &mut Transaction<'_, Any>, incident: &Incident) -> Result<(), SaveError> {
    let insert = sqlx::query(
        "INSERT INTO incident (id, version, kind, severity, status, target_kind, target, service, started_at, \
         detected_at, holds_until, opened_at, changed_at, resolved_at, stale, doc, fingerprint, episode, \
         participants_total, participants_estimated) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)",
    );
    bound(insert, incident, 1)?
        .bind(incident.fingerprint.as_str().to_owned())
        .bind(i64::from(incident.episode))
        .bind(whole(incident.participants_total))
        .bind(i64::from(incident.participants_estimated))
        .execute(&mut **tx)
        .await
        .map_err(SaveError::of_insert)?;
    sqlx::query(
        "INSERT INTO episode (fingerprint, last_episode) VALUES ($1, $2) ON CONFLICT (fingerprint) \
         DO UPDATE SET last_episode = excluded.last_episode WHERE episode.last_episode < excluded.last_episode",
    )
    .bind(incident.fingerprint.as_str().to_owned())
    .bind(i64::from(incident.episode))
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Fills in what a new row and a changed one have alike: the first sixteen.
fn bound<'q>(
    query: Query<'q, Any, AnyArguments>,
    incident: &Incident,
    version: i64,
) -> Result<Query<'q, Any, AnyArguments>, SaveError> {
    Ok(query
        .bind(incident.id.as_str().to_owned())
        .bind(version)
        .bind(incident.kind.name())
        .bind(rank(incident.severity))
        .bind(incident.status.name())
        .bind(incident.target.kind.name())
        .bind(incident.target.value.to_string())
        .bind(incident.labels.get("service").to_owned())
        .bind(incident.started_at.millis())
        .bind(incident.detected_at.millis())
        .bind(incident.holds_until.millis())
        .bind(incident.opened_at.millis())
        .bind(incident.changed_at.millis())
        .bind(incident.resolved_at.map(|at| at.millis()))
        .bind(i64::from(incident.stale))
        .bind(Doc::of(incident).print()?))
}

/// The total of participants is not the fold's to know: [`hanging`] counts it.
async fn update(tx: &mut Transaction<'_, Any>, incident: &Incident) -> Result<(), SaveError> {
    let update = sqlx::query(
        "UPDATE incident SET version = version + 1, kind = $3, severity = $4, status = $5, target_kind = $6, \
         target = $7, service = $8, started_at = $9, detected_at = $10, holds_until = $11, opened_at = $12, \
         changed_at = $13, resolved_at = $14, stale = $15, doc = $16 WHERE id = $1 AND version = $2",
    );
    let done =
        bound(update, incident, incident.version)?.execute(&mut **tx).await.map_err(SaveError::of_insert)?;
    if done.rows_affected() == 1 { Ok(()) } else { Err(SaveError::Conflict) }
}
