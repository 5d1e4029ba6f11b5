//! Numbers for metrics, and retention.

use std::collections::BTreeMap;

use beaconfire_incident::Status;
use beaconfire_model::{Kind, Severity, Wall};

use crate::sql::Fields;
use crate::{Store, StoreError};

/// Rows deleted in one transaction: others wait for it.
const CHUNK: i64 = 1_000;

/// What the store has, for metrics.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counts {
    /// Incidents that are not resolved.
    pub open: BTreeMap<(Kind, Severity), u64>,
}

/// What a sweep has deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// Incidents, each with all that hangs on it.
    pub incidents: u64,
    /// Decisions.
    pub decisions: u64,
}

impl Store {
    /// What the store has, for metrics.
    pub async fn counts(&self) -> Result<Counts, StoreError> {
        let select = sqlx::query(
            "SELECT kind, severity, COUNT(*) AS found FROM incident WHERE status <> 'resolved' \
             GROUP BY kind, severity",
        );
        let mut open = BTreeMap::new();
        for row in &select.fetch_all(&self.readers).await? {
            open.insert((row.word("kind", Kind::parse)?, row.severity("severity")?), row.count("found")?);
        }
        Ok(Counts { open })
    }

    /// Deletes what ended longer ago than the retention: resolved incidents with all that hangs on them, expired or
    /// deleted decisions, and what is no longer allowed. Numbers of episodes stay, and the ledger keeps the account of the deleted rows: what was
    /// never told by then counts as suppressed, too old.
    pub async fn sweep(&self, now: Wall) -> Result<Swept, StoreError> {
        let before = now.minus(self.retention).millis();
        let mut swept = Swept::default();
        loop {
            let select = sqlx::query(
                "SELECT id FROM incident WHERE status = $1 AND changed_at < $2 ORDER BY changed_at LIMIT 100",
            )
            .bind(Status::Resolved.name())
            .bind(before);
            let rows = select.fetch_all(&self.readers).await?;
            if rows.is_empty() {
                break;
            }
            for row in &rows {
                swept.incidents += u64::from(self.sweep_incident(&row.text("id")?, before).await?);
            }
        }
        sqlx::query("DELETE FROM allowed WHERE until_ms <= $1")
            .bind(now.millis())
            .execute(&self.writer)
            .await?;
        self.sweep_baselines(now).await?;
        self.sweep_silences(before).await?;
        self.sweep_digests(before).await?;
        loop {
            let done = sqlx::query(
                "DELETE FROM decision WHERE id IN (SELECT id FROM decision WHERE changed < $1 \
                 AND (expires < $1 OR deleted IS NOT NULL) LIMIT $2)",
            )
            .bind(before)
            .bind(CHUNK)
            .execute(&self.writer)
            .await?;
            swept.decisions += done.rows_affected();
            if done.rows_affected() == 0 {
                return Ok(swept);
            }
        }
    }

    /// The many rows first, in chunks; then the incident with the rest, if it is still to go.
    async fn sweep_incident(&self, id: &str, before: i64) -> Result<bool, StoreError> {
        for sql in [
            "DELETE FROM participant WHERE incident = $1 AND (subject_kind, subject) IN \
             (SELECT subject_kind, subject FROM participant WHERE incident = $1 LIMIT $2)",
            "DELETE FROM incident_signal WHERE incident = $1 AND (rule, subject_kind, subject) IN \
             (SELECT rule, subject_kind, subject FROM incident_signal WHERE incident = $1 LIMIT $2)",
            "DELETE FROM point WHERE incident = $1 AND (rule, at_ms) IN \
             (SELECT rule, at_ms FROM point WHERE incident = $1 LIMIT $2)",
        ] {
            while sqlx::query(sql)
                .bind(id.to_owned())
                .bind(CHUNK)
                .execute(&self.writer)
                .await?
                .rows_affected()
                > 0
            {}
        }
        let mut tx = self.begin().await?;
        sqlx::query(
            "INSERT INTO ledger_past (receiver, fate, row_count, messages) \
             SELECT receiver, CASE WHEN fate IN ('pending', 'held') THEN 'suppressed:too_old' ELSE fate END, COUNT(*), \
             SUM(messages) FROM outbox WHERE incident IN (SELECT id FROM incident WHERE id = $1 \
             AND status = 'resolved' AND changed_at < $2) \
             GROUP BY receiver, CASE WHEN fate IN ('pending', 'held') THEN 'suppressed:too_old' ELSE fate END \
             ON CONFLICT (receiver, fate) DO UPDATE SET row_count = ledger_past.row_count + excluded.row_count, \
             messages = ledger_past.messages + excluded.messages",
        )
        .bind(id.to_owned())
        .bind(before)
        .execute(&mut *tx)
        .await?;
        let delete =
            sqlx::query("DELETE FROM incident WHERE id = $1 AND status = 'resolved' AND changed_at < $2");
        let done = delete.bind(id.to_owned()).bind(before).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(done.rows_affected() > 0)
    }
}
