//! The log of single attempts, for people who ask "was it sent?".

use std::sync::Arc;

use beaconfire_incident::IncidentId;
use beaconfire_model::Wall;
use sqlx::any::AnyRow;
use sqlx::{Any, Transaction};

use crate::sql::{Fields, whole};
use crate::{Store, StoreError};

/// Attempts kept for an incident: the newest.
const KEPT: i64 = 1_000;

/// One attempt to tell one receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryLog {
    /// When it ended.
    pub at: Wall,
    /// About which incident.
    pub incident: IncidentId,
    /// The receiver.
    pub receiver: Arc<str>,
    /// The integration within it.
    pub integration: Arc<str>,
    /// [`Action::name`](beaconfire_outbox::Action::name).
    pub action: String,
    /// [`Outcome::name`](beaconfire_outbox::Outcome::name).
    pub outcome: String,
    /// What the receiver said, cleaned.
    pub said: Option<String>,
    /// The id under which it was sent.
    pub notification_id: String,
    /// How long it took, in milliseconds.
    pub millis: u64,
}

impl Store {
    /// The attempts about an incident, oldest first, at most the newest 1,000.
    pub async fn deliveries(&self, incident: &IncidentId) -> Result<Vec<DeliveryLog>, StoreError> {
        let select = sqlx::query("SELECT * FROM delivery WHERE incident = $1 ORDER BY seq");
        let rows = select.bind(incident.as_str().to_owned()).fetch_all(&self.readers).await?;
        rows.iter().map(read).collect()
    }
}

fn read(row: &AnyRow) -> Result<DeliveryLog, StoreError> {
    Ok(DeliveryLog {
        at: row.wall("at_ms")?,
        incident: IncidentId::from_text(&row.text("incident")?),
        receiver: row.text("receiver")?.into(),
        integration: row.text("integration")?.into(),
        action: row.text("action")?,
        outcome: row.text("outcome")?,
        said: row.maybe_text("said")?,
        notification_id: row.text("notification_id")?,
        millis: row.count("took_ms")?,
    })
}

pub(crate) async fn append(tx: &mut Transaction<'_, Any>, log: &DeliveryLog) -> Result<(), StoreError> {
    let incident = log.incident.as_str();
    let last = sqlx::query("SELECT COALESCE(MAX(seq), 0) AS last FROM delivery WHERE incident = $1");
    let seq = last.bind(incident.to_owned()).fetch_one(&mut **tx).await?.number("last")? + 1;
    sqlx::query(
        "INSERT INTO delivery (incident, seq, at_ms, receiver, integration, action, outcome, said, \
         notification_id, took_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind(incident.to_owned())
    .bind(seq)
    .bind(log.at.millis())
    .bind(log.receiver.to_string())
    .bind(log.integration.to_string())
    .bind(log.action.clone())
    .bind(log.outcome.clone())
    .bind(log.said.clone())
    .bind(log.notification_id.clone())
    .bind(whole(log.millis))
    .execute(&mut **tx)
    .await?;
    let trim = sqlx::query("DELETE FROM delivery WHERE incident = $1 AND seq <= $2");
    trim.bind(incident.to_owned()).bind(seq - KEPT).execute(&mut **tx).await?;
    Ok(())
}
