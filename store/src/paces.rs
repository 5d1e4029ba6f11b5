//! What endpoints have asked for, across restarts.

use beaconfire_outbox::PaceState;

use crate::sql::Fields;
use crate::{Store, StoreError};

impl Store {
    /// What was known of this endpoint's pace.
    pub async fn pace(&self, endpoint: &str) -> Result<Option<PaceState>, StoreError> {
        let select = sqlx::query("SELECT * FROM pace WHERE endpoint = $1").bind(endpoint.to_owned());
        let Some(row) = select.fetch_optional(&self.readers).await? else { return Ok(None) };
        let limited = match (row.maybe_number("share")?, row.maybe_wall("limited_at")?) {
            (Some(_), Some(at)) => Some((row.count("share")?, at)),
            _ => None,
        };
        Ok(Some(PaceState {
            full_at: row.wall("full_at")?,
            paused_until: row.maybe_wall("paused_until")?,
            limited,
            streak: row.count("streak")?,
        }))
    }

    /// Writes down what is known of this endpoint's pace.
    pub async fn save_pace(&self, endpoint: &str, state: &PaceState) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO pace (endpoint, full_at, paused_until, share, limited_at, streak) \
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (endpoint) DO UPDATE SET full_at = excluded.full_at, \
             paused_until = excluded.paused_until, share = excluded.share, limited_at = excluded.limited_at, \
             streak = excluded.streak",
        )
        .bind(endpoint.to_owned())
        .bind(state.full_at.millis())
        .bind(state.paused_until.map(|until| until.millis()))
        .bind(state.limited.map(|(share, _)| i64::from(share)))
        .bind(state.limited.map(|(_, at)| at.millis()))
        .bind(i64::from(state.streak))
        .execute(&self.writer)
        .await?;
        Ok(())
    }
}
