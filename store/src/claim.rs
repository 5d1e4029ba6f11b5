//! Who sends: a row is leased to one process at a time, and what came of the attempt is applied to the row as it
//! then stands, since what is to be told may have moved while it was under way.

use std::time::Duration;

use beaconfire_model::Wall;
use beaconfire_outbox::{AGES_AFTER, Lane, Row, RowKey};
use sqlx::any::AnyArguments;
use sqlx::query::Query;
use sqlx::{Any, Transaction};

use crate::deliveries::{self, DeliveryLog};
use crate::sql::Fields;
use crate::{SaveError, Store, StoreError, outbox};

/// The first of one lane that are due, have something to tell and are leased to nobody.
macro_rules! of_lane {
    ($lane:literal) => {
        concat!(
            "SELECT * FROM (SELECT * FROM outbox WHERE waits = 1 AND receiver = $1 AND integration = $2 AND lane = ",
            $lane,
            " AND due <= $3 AND (lease_until IS NULL OR lease_until <= $3) ",
            "ORDER BY waiting_since, incident LIMIT $4) lane_",
            $lane
        )
    };
}

/// `$1` receiver, `$2` integration, `$3` now, `$4` at most so many, `$5` who waits since then counts for the lane above.
/// By lane, so that an index has the first of each and nothing is sorted.
const CLAIMABLE: &str = concat!(
    "SELECT * FROM (",
    of_lane!("0"),
    " UNION ALL ",
    of_lane!("1"),
    " UNION ALL ",
    of_lane!("2"),
    " UNION ALL ",
    of_lane!("3"),
    ") lanes ORDER BY CASE WHEN lane > 1 AND waiting_since <= $5 THEN lane - 1 ELSE lane END, waiting_since, incident \
     LIMIT $4"
);

fn claimable(receiver: &str, integration: &str, now: Wall, limit: i64) -> Query<'static, Any, AnyArguments> {
    sqlx::query(CLAIMABLE)
        .bind(receiver.to_owned())
        .bind(integration.to_owned())
        .bind(now.millis())
        .bind(limit)
        .bind(now.minus(AGES_AFTER).millis())
}

impl Store {
    /// The most urgent lane of this integration that has a row to be claimed.
    pub async fn next_lane(
        &self,
        receiver: &str,
        integration: &str,
        now: Wall,
    ) -> Result<Option<Lane>, StoreError> {
        let first = claimable(receiver, integration, now, 1).fetch_optional(&self.readers).await?;
        let Some(row) = first else { return Ok(None) };
        outbox::lane(row.number("lane")?).map(Some).ok_or_else(|| StoreError::Corrupt("lane".into()))
    }

    /// Leases rows of one integration that are due, most urgent lane first, then who has waited longest. Nobody else
    /// is given them until `now + lease`; settle them before. The version does not change: what is to be told may
    /// move meanwhile.
    pub async fn claim(
        &self,
        receiver: &str,
        integration: &str,
        owner: &str,
        now: Wall,
        lease: Duration,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let select = || claimable(receiver, integration, now, limit);
        // Most looks find nothing: they need not wait for the write lock.
        if select().fetch_optional(&self.readers).await?.is_none() {
            return Ok(Vec::new());
        }
        let mut tx = self.begin().await?;
        let mut claimed = Vec::new();
        for row in &select().fetch_all(&mut *tx).await? {
            let row = outbox::read(row)?;
            set_lease(&mut tx, &row.key, Some((owner, now.plus(lease)))).await?;
            claimed.push(row);
        }
        tx.commit().await?;
        Ok(claimed)
    }

    /// Writes down what came of an attempt: reads the row again, applies the outcome, writes it and gives the lease
    /// back, in one transaction with a line of the log. [`StoreError::LeaseLost`] where the lease is another's by
    /// now: nothing is applied, but the log has the attempt, since it was made.
    pub async fn settle(
        &self,
        claimed: &Row,
        owner: &str,
        apply: impl FnOnce(Row) -> Row,
        log: &DeliveryLog,
    ) -> Result<Row, StoreError> {
        let key = &claimed.key;
        let mut tx = self.begin().await?;
        let found =
            sqlx::query("SELECT * FROM outbox WHERE incident = $1 AND receiver = $2 AND integration = $3")
                .bind(key.incident.as_str().to_owned())
                .bind(key.receiver.to_string())
                .bind(key.integration.to_string())
                .fetch_optional(&mut *tx)
                .await?;
        // Retention took the incident while the attempt was under way: there is nothing to log it with.
        let Some(found) = found else { return Err(StoreError::LeaseLost) };
        deliveries::append(&mut tx, log).await?;
        if found.maybe_text("lease_owner")?.as_deref() != Some(owner) {
            tx.commit().await?;
            return Err(StoreError::LeaseLost);
        }
        let current = outbox::read(&found)?;
        let version = current.version;
        let mut applied = apply(current);
        applied.version = version;
        applied.key = key.clone();
        match outbox::save(&mut tx, &applied).await {
            Ok(()) => {}
            // Read in this transaction, under the write lock: its version cannot have moved.
            Err(SaveError::Conflict) => return Err(StoreError::LeaseLost),
            Err(SaveError::Store(cause)) => return Err(cause),
        }
        set_lease(&mut tx, key, None).await?;
        tx.commit().await?;
        applied.version += 1;
        Ok(applied)
    }

    /// Gives a lease back without an attempt, so that another may take the row at once.
    pub async fn release(&self, key: &RowKey, owner: &str) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE outbox SET lease_owner = NULL, lease_until = NULL \
             WHERE incident = $1 AND receiver = $2 AND integration = $3 AND lease_owner = $4",
        )
        .bind(key.incident.as_str().to_owned())
        .bind(key.receiver.to_string())
        .bind(key.integration.to_string())
        .bind(owner.to_owned())
        .execute(&self.writer)
        .await?;
        Ok(())
    }

    /// Makes rows of one integration due that only wait because attempts at them have failed: for when the endpoint
    /// works again. How many there were.
    pub async fn hasten(&self, receiver: &str, integration: &str, now: Wall) -> Result<u64, StoreError> {
        // The version stays: should somebody write the row at this moment, it waits as long as it would have.
        let done = sqlx::query(
            "UPDATE outbox SET due = $3 \
             WHERE waits = 1 AND receiver = $1 AND integration = $2 AND attempts > 0 AND due > $3",
        )
        .bind(receiver.to_owned())
        .bind(integration.to_owned())
        .bind(now.millis())
        .execute(&self.writer)
        .await?;
        let digests = sqlx::query(
            "UPDATE digest SET due = $3 \
             WHERE receiver = $1 AND integration = $2 AND phase <> 'closed' AND attempts > 0 AND due > $3",
        );
        let digests = digests.bind(receiver.to_owned()).bind(integration.to_owned()).bind(now.millis());
        digests.execute(&self.writer).await?;
        Ok(done.rows_affected())
    }

    /// When the next row of this integration can be claimed, by its due time and its lease; `None` where nothing
    /// waits.
    pub async fn next_due(&self, receiver: &str, integration: &str) -> Result<Option<Wall>, StoreError> {
        let select = sqlx::query(
            "SELECT MIN(due) AS next FROM outbox WHERE waits = 1 AND receiver = $1 AND integration = $2 \
             AND lease_until IS NULL \
             UNION ALL SELECT MIN(CASE WHEN lease_until > due THEN lease_until ELSE due END) FROM outbox \
             WHERE waits = 1 AND receiver = $1 AND integration = $2 AND lease_until IS NOT NULL",
        );
        let select = select.bind(receiver.to_owned()).bind(integration.to_owned());
        let mut next = None;
        for row in &select.fetch_all(&self.readers).await? {
            next = next.into_iter().chain(row.maybe_wall("next")?).min();
        }
        Ok(next)
    }
}

async fn set_lease(
    tx: &mut Transaction<'_, Any>,
    key: &RowKey,
    lease: Option<(&str, Wall)>,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE outbox SET lease_owner = $4, lease_until = $5 \
         WHERE incident = $1 AND receiver = $2 AND integration = $3",
    )
    .bind(key.incident.as_str().to_owned())
    .bind(key.receiver.to_string())
    .bind(key.integration.to_string())
    .bind(lease.map(|(owner, _)| owner.to_owned()))
    .bind(lease.map(|(_, until)| until.millis()))
    .execute(&mut **tx)
    .await?;
    Ok(())
}
