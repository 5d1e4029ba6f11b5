//! What became of every outbox row, and what still waits.

use std::collections::BTreeMap;
use std::sync::Arc;

use beaconfire_model::Wall;
use beaconfire_outbox::{DigestId, Lane, LedgerLine};

use crate::sql::Fields;
use crate::{Store, StoreError, outbox};

/// Rows that wait in one lane of one integration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backlog {
    /// The receiver.
    pub receiver: Arc<str>,
    /// The integration within it.
    pub integration: Arc<str>,
    /// The lane.
    pub lane: Lane,
    /// Rows with something to tell.
    pub rows: u64,
    /// Since when the oldest of them waits.
    pub oldest: Wall,
}

impl Store {
    /// One line a receiver, by name, over all rows ever made, those that retention has deleted too.
    pub async fn ledger(&self) -> Result<Vec<LedgerLine>, StoreError> {
        let select = sqlx::query(
            "SELECT receiver, fate, CAST(SUM(row_count) AS BIGINT) AS row_count, \
             CAST(SUM(messages) AS BIGINT) AS messages FROM \
             (SELECT receiver, fate, COUNT(*) AS row_count, SUM(messages) AS messages FROM outbox \
             GROUP BY receiver, fate \
             UNION ALL SELECT receiver, fate, row_count, messages FROM ledger_past \
             UNION ALL SELECT receiver, 'in_digest', 0, messages FROM digest) all_kinds \
             GROUP BY receiver, fate",
        );
        let mut lines: BTreeMap<Arc<str>, LedgerLine> = BTreeMap::new();
        for row in &select.fetch_all(&self.readers).await? {
            let receiver: Arc<str> = row.text("receiver")?.into();
            let fate = row.word("fate", |name| outbox::parse_fate(name, DigestId(0)))?;
            let line = lines.entry(receiver.clone()).or_default();
            line.receiver = receiver;
            line.enter(&fate, row.count("row_count")?, row.count("messages")?);
        }
        Ok(lines.into_values().collect())
    }

    /// What waits, by (receiver, integration, lane).
    pub async fn backlog(&self) -> Result<Vec<Backlog>, StoreError> {
        let select = sqlx::query(
            // Two halves, each with its index; no row is in both.
            "SELECT receiver, integration, lane, CAST(SUM(row_count) AS BIGINT) AS row_count, MIN(oldest) AS oldest FROM \
             (SELECT receiver, integration, lane, COUNT(*) AS row_count, MIN(waiting_since) AS oldest FROM outbox \
             WHERE waits = 1 GROUP BY receiver, integration, lane \
             UNION ALL SELECT receiver, integration, lane, COUNT(*), MIN(waiting_since) FROM outbox \
             WHERE fate = 'held' AND waits = 0 GROUP BY receiver, integration, lane) halves \
             GROUP BY receiver, integration, lane ORDER BY receiver, integration, lane",
        );
        let rows = select.fetch_all(&self.readers).await?;
        let read = |row: &sqlx::any::AnyRow| {
            Ok(Backlog {
                receiver: row.text("receiver")?.into(),
                integration: row.text("integration")?.into(),
                lane: outbox::lane(row.number("lane")?).ok_or_else(|| StoreError::Corrupt("lane".into()))?,
                rows: row.count("row_count")?,
                oldest: row.wall("oldest")?,
            })
        };
        rows.iter().map(read).collect()
    }
}
