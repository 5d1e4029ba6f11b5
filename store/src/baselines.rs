//! What was learned of series, in the transaction that makes the barriers behind it durable.

use beaconfire_model::{EventTime, Wall};
use sqlx::{Any, Row as _, Transaction};

use crate::sql::Fields;
use crate::{SaveError, Store, StoreError};

/// What was learned of one series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Baseline {
    /// Which series.
    pub series: String,
    /// The last slice in it.
    pub closed_through: EventTime,
    /// What the detector makes of it.
    pub state: Vec<u8>,
}

impl Store {
    /// All series, by name.
    pub async fn baselines(&self) -> Result<Vec<Baseline>, StoreError> {
        let select = sqlx::query("SELECT series, closed_through, state FROM baseline ORDER BY series");
        let rows = select.fetch_all(&self.readers).await?;
        let read = |row: &sqlx::any::AnyRow| -> Result<Baseline, StoreError> {
            Ok(Baseline {
                series: row.text("series")?,
                closed_through: row.event("closed_through")?,
                state: row.try_get("state")?,
            })
        };
        rows.iter().map(read).collect()
    }

    /// Forgets series that have had no slice for so long as is kept of anything; how many.
    pub(crate) async fn sweep_baselines(&self, now: Wall) -> Result<u64, StoreError> {
        let before = now.minus(self.retention).millis();
        let mut tx = self.begin().await?;
        let delete = sqlx::query("DELETE FROM baseline WHERE closed_through < $1").bind(before);
        let gone = delete.execute(&mut *tx).await?.rows_affected();
        tx.commit().await?;
        Ok(gone)
    }
}

/// Writes what was learned; of one series, whoever has come further wins.
pub(crate) async fn save(tx: &mut Transaction<'_, Any>, learned: &[Baseline]) -> Result<(), SaveError> {
    for baseline in learned {
        sqlx::query(
            "INSERT INTO baseline (series, closed_through, state) VALUES ($1, $2, $3) ON CONFLICT (series) \
             DO UPDATE SET closed_through = excluded.closed_through, state = excluded.state \
             WHERE baseline.closed_through <= excluded.closed_through",
        )
        .bind(baseline.series.clone())
        .bind(baseline.closed_through.millis())
        .bind(baseline.state.clone())
        .execute(&mut **tx)
        .await?;
    }
    Ok(())
}
