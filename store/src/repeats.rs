//! Rows that are told again though nothing has changed.

use beaconfire_model::Wall;

use crate::sql::Fields as _;
use crate::{SaveError, Store, StoreError, outbox};

/// At most so many in one transaction; the rest is due still.
const AT_ONCE: i64 = 200;

/// `$1` receiver, `$2` integration, `$3` now.
const DUE: &str = "SELECT * FROM outbox WHERE receiver = $1 AND integration = $2 AND repeat_at <= $3 \
     ORDER BY repeat_at, incident LIMIT $4";

impl Store {
    /// Puts rows of this integration up to be told again whose time has come; how many. Call it before each claim.
    pub async fn repeat(&self, receiver: &str, integration: &str, now: Wall) -> Result<usize, StoreError> {
        let due = || {
            let query = sqlx::query(DUE).bind(receiver.to_owned()).bind(integration.to_owned());
            query.bind(now.millis()).bind(AT_ONCE)
        };
        if due().fetch_optional(&self.readers).await?.is_none() {
            return Ok(0);
        }
        let mut tx = self.begin().await?;
        let mut repeated = 0;
        for row in &due().fetch_all(&mut *tx).await? {
            // A sender that is at it will have told it by the time its lease is over.
            if row.maybe_number("lease_until")?.is_some_and(|until| until > now.millis()) {
                continue;
            }
            let mut row = outbox::read(row)?;
            (row.again, row.due, row.waiting_since) = (true, now, now);
            match outbox::save(&mut tx, &row).await {
                Ok(()) => repeated += 1,
                // Read in this transaction, under the write lock; where there is none, it is due still.
                Err(SaveError::Conflict) => return Ok(0),
                Err(SaveError::Store(cause)) => return Err(cause),
            }
        }
        tx.commit().await?;
        Ok(repeated)
    }
}
