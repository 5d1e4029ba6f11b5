//! How far each source has come, written by its owner and read by everybody who resolves incidents.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use beaconfire_model::{EventTime, Offset, Wall};
use sqlx::{Any, Transaction};

use crate::sql::Fields;
use crate::{SaveError, Store, StoreError};

/// How far one source has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// The entry of `kafka.topics`, by name.
    pub entry: String,
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The owner's epoch: an older owner's write changes nothing.
    pub epoch: i64,
    /// Nothing older than this will come; `None` while it is not known. Writing `None` keeps what is recorded.
    pub clearance: Option<EventTime>,
    /// The next offset to process.
    pub next: Offset,
    /// When the owner wrote this. It does so every few seconds, also while nothing comes.
    pub written: Wall,
}

/// How recently another source of the entry must have been written for silence to mean that a source has no owner.
const LIVELY: Duration = Duration::from_secs(60);

impl Store {
    /// The clearance of each entry: the minimum over its sources. An entry with a source whose clearance is not
    /// known is left out.
    pub async fn clearances(&self) -> Result<BTreeMap<String, EventTime>, StoreError> {
        let select = sqlx::query(
            "SELECT entry, MIN(clearance) AS least FROM progress GROUP BY entry HAVING COUNT(*) = COUNT(clearance)",
        );
        let rows = select.fetch_all(&self.readers).await?;
        rows.iter().map(|row| Ok((row.text("entry")?, row.event("least")?))).collect()
    }

    /// All sources, by entry, topic, partition.
    pub async fn progress(&self) -> Result<Vec<Progress>, StoreError> {
        let select = sqlx::query("SELECT * FROM progress ORDER BY entry, topic, partition_number");
        let rows = select.fetch_all(&self.readers).await?;
        let read = |row| -> Result<Progress, StoreError> {
            let row: &sqlx::any::AnyRow = row;
            Ok(Progress {
                entry: row.text("entry")?,
                topic: row.text("topic")?,
                partition: row.count("partition_number")?,
                epoch: row.number("epoch")?,
                clearance: row.maybe_number("clearance")?.map(EventTime::from_millis),
                next: Offset(row.number("next_offset")?),
                written: Wall::from_millis(row.number("written")?),
            })
        };
        rows.iter().map(read).collect()
    }

    /// Forgets sources that nobody has read for so long, while others of their entry are being read: their topic or
    /// partition is gone, and would hold back resolving for ever. Topic and partition of each.
    pub async fn forget_abandoned(
        &self,
        now: Wall,
        after: Duration,
    ) -> Result<Vec<(String, i32)>, StoreError> {
        let delete = sqlx::query(
            "DELETE FROM progress WHERE written < $1 AND entry IN \
             (SELECT lively.entry FROM progress AS lively WHERE lively.written >= $2) \
             RETURNING topic, partition_number",
        );
        let mut tx = self.begin().await?;
        let gone = delete
            .bind(now.minus(after).millis())
            .bind(now.minus(LIVELY).millis())
            .fetch_all(&mut *tx)
            .await?;
        tx.commit().await?;
        gone.iter().map(|row| Ok((row.text("topic")?, row.count("partition_number")?))).collect()
    }

    /// Forgets the sources of entries that are no longer configured: they would hold back resolving for ever.
    pub async fn forget_entries_except(&self, entries: &[String]) -> Result<(), StoreError> {
        let kept: BTreeSet<&str> = entries.iter().map(String::as_str).collect();
        let mut tx = self.begin().await?;
        let known = sqlx::query("SELECT DISTINCT entry FROM progress").fetch_all(&mut *tx).await?;
        for row in &known {
            let entry = row.text("entry")?;
            if !kept.contains(entry.as_str()) {
                sqlx::query("DELETE FROM progress WHERE entry = $1").bind(entry).execute(&mut *tx).await?;
            }
        }
        tx.commit().await?;
        Ok(())
    }
}

pub(crate) async fn save(tx: &mut Transaction<'_, Any>, progress: &[Progress]) -> Result<(), SaveError> {
    for source in progress {
        sqlx::query(
            "INSERT INTO progress (entry, topic, partition_number, epoch, clearance, next_offset, written) \
             VALUES ($1, $2, $3, $4, $5, $6, $7) \
             ON CONFLICT (entry, topic, partition_number) DO UPDATE SET epoch = excluded.epoch, \
             clearance = COALESCE(excluded.clearance, progress.clearance), next_offset = excluded.next_offset, \
             written = excluded.written WHERE progress.epoch <= excluded.epoch",
        )
        .bind(source.entry.clone())
        .bind(source.topic.clone())
        .bind(i64::from(source.partition))
        .bind(source.epoch)
        .bind(source.clearance.map(EventTime::millis))
        .bind(source.next.0)
        .bind(source.written.millis())
        .execute(&mut **tx)
        .await?;
    }
    Ok(())
}
