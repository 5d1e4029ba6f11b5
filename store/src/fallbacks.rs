//! Pages that their receivers have not taken in time.

use beaconfire_incident::IncidentId;
use beaconfire_model::Wall;
use beaconfire_outbox::{Fallback, Row};

use crate::{SaveError, Store, StoreError, outbox};

/// At most so many in one transaction.
const AT_ONCE: i64 = 100;

/// Pages that nobody has heard of and that nobody was told in the place of.
const UNTOLD: &str = "SELECT * FROM outbox WHERE receiver = $1 AND integration = $2 AND lane = 0 \
     AND told_revision IS NULL AND fell_back = 0 AND fate IN ('pending', 'held', 'dead') \
     AND desired_status = 'open' ORDER BY waiting_since, incident LIMIT $3";

impl Store {
    /// Makes rows at the fallback for pages of this integration that it is due to take; `broken` says that the
    /// integration takes nothing at all. Which incidents those are; each once, over restarts.
    pub async fn fall_back(
        &self,
        receiver: &str,
        integration: &str,
        fallback: &Fallback,
        broken: bool,
        now: Wall,
    ) -> Result<Vec<IncidentId>, StoreError> {
        let untold = || {
            let query = sqlx::query(UNTOLD).bind(receiver.to_owned()).bind(integration.to_owned());
            query.bind(AT_ONCE)
        };
        let is_due = |row: &Row| fallback.is_due(row, broken, now);
        let found = untold().fetch_all(&self.readers).await?;
        let found = found.iter().map(outbox::read).collect::<Result<Vec<_>, _>>()?;
        if !found.iter().any(is_due) {
            return Ok(Vec::new());
        }
        let mut tx = self.begin().await?;
        let mut fallen = Vec::new();
        for row in &untold().fetch_all(&mut *tx).await? {
            let row = outbox::read(row)?;
            if !is_due(&row) {
                continue;
            }
            for instead in fallback.rows(&row, now) {
                let there = sqlx::query(
                    "SELECT version FROM outbox WHERE incident = $1 AND receiver = $2 AND integration = $3",
                )
                .bind(instead.key.incident.as_str().to_owned())
                .bind(instead.key.receiver.to_string())
                .bind(instead.key.integration.to_string())
                .fetch_optional(&mut *tx)
                .await?;
                if there.is_some() {
                    continue;
                }
                match outbox::save(&mut tx, &instead).await {
                    Ok(()) => {}
                    // Another process has just made it: all of this is looked at again.
                    Err(SaveError::Conflict) => return Ok(Vec::new()),
                    Err(SaveError::Store(cause)) => return Err(cause),
                }
            }
            sqlx::query(
                "UPDATE outbox SET fell_back = 1 WHERE incident = $1 AND receiver = $2 AND integration = $3",
            )
            .bind(row.key.incident.as_str().to_owned())
            .bind(receiver.to_owned())
            .bind(integration.to_owned())
            .execute(&mut *tx)
            .await?;
            fallen.push(row.key.incident);
        }
        tx.commit().await?;
        Ok(fallen)
    }
}
