//! Silences: a bounded number that are not over, and for as long as the retention those that were.

use beaconfire_model::{Labels, Matchers, Wall, parse_matchers};
use beaconfire_outbox::{Silence, SilenceState};
use rand::Rng;
use sqlx::any::AnyRow;

use crate::sql::Fields;
use crate::{Store, StoreError};

/// Silences that are not over at most: each is held against each unresolved incident every second.
pub const SILENCES_MAX: i64 = 200;

/// Silences that are over, shown at most.
const OVER_SHOWN: i64 = 300;

impl Store {
    /// Silences that are not over at `now`, those that end first before the others.
    pub async fn silences(&self, now: Wall) -> Result<Vec<Silence>, StoreError> {
        let select = sqlx::query("SELECT * FROM silence WHERE ends_at > $1 ORDER BY ends_at, id");
        select.bind(now.millis()).fetch_all(&self.readers).await?.iter().map(read).collect()
    }

    /// The silence that keeps quiet what has these labels at `now`, of several the one that lasts longest.
    pub async fn silence_of(&self, labels: &Labels, now: Wall) -> Result<Option<Silence>, StoreError> {
        let silences = self.silences(now).await?;
        let holds = |silence: &Silence| silence.state(now) == SilenceState::Active && silence.matches(labels);
        Ok(silences.into_iter().rev().find(holds))
    }

    /// The latest silences that were over at `now`, the last to end first.
    pub async fn silences_over(&self, now: Wall) -> Result<Vec<Silence>, StoreError> {
        let select =
            sqlx::query("SELECT * FROM silence WHERE ends_at <= $1 ORDER BY ends_at DESC, id LIMIT $2");
        let rows = select.bind(now.millis()).bind(OVER_SHOWN).fetch_all(&self.readers).await?;
        rows.iter().map(read).collect()
    }

    /// Stores a silence under an id of its own (the given one is ignored), and answers with it as it is stored.
    /// [`StoreError::TooManySilences`] where [`SILENCES_MAX`] are not over.
    pub async fn add_silence(&self, silence: &Silence, now: Wall) -> Result<Silence, StoreError> {
        let id = format!("{:032x}", rand::rng().random::<u128>());
        let matchers: Vec<String> = silence.matchers.0.iter().map(ToString::to_string).collect();
        let matchers = serde_json::to_string(&matchers).map_err(|_| corrupt())?;
        let mut tx = self.begin().await?;
        let count =
            sqlx::query("SELECT COUNT(*) AS found FROM silence WHERE ends_at > $1").bind(now.millis());
        if count.fetch_one(&mut *tx).await?.number("found")? >= SILENCES_MAX {
            return Err(StoreError::TooManySilences);
        }
        sqlx::query(
            "INSERT INTO silence (id, matchers, author, said, starts_at, ends_at, updated_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(id.clone())
        .bind(matchers)
        .bind(silence.author.clone())
        .bind(silence.comment.clone())
        .bind(silence.starts_at.millis())
        .bind(silence.ends_at.millis())
        .bind(now.millis())
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(Silence { id: id.into(), updated_at: now, ..silence.clone() })
    }

    /// Ends a silence now, one that has not begun too, and answers with it as it then stands; one that is over stays as
    /// it is. `None` where there is none of this id.
    pub async fn expire_silence(&self, id: &str, now: Wall) -> Result<Option<Silence>, StoreError> {
        let mut tx = self.begin().await?;
        sqlx::query(
            "UPDATE silence SET ends_at = $2, updated_at = $2, \
             starts_at = CASE WHEN starts_at > $2 THEN $2 ELSE starts_at END WHERE id = $1 AND ends_at > $2",
        )
        .bind(id.to_owned())
        .bind(now.millis())
        .execute(&mut *tx)
        .await?;
        let select = sqlx::query("SELECT * FROM silence WHERE id = $1").bind(id.to_owned());
        let found = select.fetch_optional(&mut *tx).await?.as_ref().map(read).transpose()?;
        tx.commit().await?;
        Ok(found)
    }

    /// Deletes those that ended before `before`.
    pub(crate) async fn sweep_silences(&self, before: i64) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM silence WHERE ends_at < $1").bind(before).execute(&self.writer).await?;
        Ok(())
    }
}

fn read(row: &AnyRow) -> Result<Silence, StoreError> {
    Ok(Silence {
        id: row.text("id")?.into(),
        matchers: row.word("matchers", matchers)?,
        author: row.text("author")?,
        comment: row.text("said")?,
        starts_at: row.wall("starts_at")?,
        ends_at: row.wall("ends_at")?,
        updated_at: row.wall("updated_at")?,
    })
}

fn matchers(text: &str) -> Option<Matchers> {
    let texts: Vec<String> = serde_json::from_str(text).ok()?;
    parse_matchers(texts).ok()
}

fn corrupt() -> StoreError {
    StoreError::Corrupt("silence.matchers".into())
}
