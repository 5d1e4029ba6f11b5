//! What goes into a digest: the rest of a storm, and those that follow the first of a group. Rows are held for it in
//! the transaction that decides so.

use beaconfire_model::Wall;
use beaconfire_outbox::{Digest, DigestId, DigestKnobs, Waiting};
use sqlx::{Any, AssertSqlSafe, Transaction};

use super::sums::{CALM, stand};
use super::{GROUPS_MAX, read};
use crate::sql::Fields;
use crate::{Store, StoreError, outbox};

/// `$1` receiver, `$2` integration: never told, held for nothing, and surely not with the receiver: what was tried may
/// have arrived though no answer did, and one that is told twice is not counted once.
const FREE: &str =
    "receiver = $1 AND integration = $2 AND fate = 'pending' AND attempts = 0 AND lease_until IS NULL";

/// Somebody of the same group came before, is not over, and is as bad: a page does not follow what is none.
const FOLLOWS: &str = "grp IS NOT NULL AND EXISTS (SELECT 1 FROM outbox lead WHERE lead.receiver = outbox.receiver \
     AND lead.integration = outbox.integration AND lead.grp = outbox.grp \
     AND (lead.created_at < outbox.created_at \
     OR (lead.created_at = outbox.created_at AND lead.incident < outbox.incident)) \
     AND lead.desired_status <> 'resolved' AND lead.fate IN ('pending', 'delivered', 'held', 'in_digest') \
     AND (outbox.lane > 0 OR lead.lane = 0))";

/// A storm is of no group.
const STORM: &str = "";

impl Store {
    /// Holds what follows the first of its group for the group's digest: how many rows that were. Call it before
    /// [`fold`](Self::fold). There are at most 64 groups with followers at a time for one integration;
    /// beyond them incidents go by themselves, and in a storm all the same.
    pub async fn gather(&self, receiver: &str, integration: &str, now: Wall) -> Result<u64, StoreError> {
        let sql = format!("SELECT 1 AS found FROM outbox WHERE {FREE} AND {FOLLOWS} LIMIT 1");
        let any = sqlx::query(AssertSqlSafe(sql)).bind(receiver.to_owned()).bind(integration.to_owned());
        if any.fetch_optional(&self.readers).await?.is_none() {
            return Ok(0);
        }
        let mut tx = self.begin().await?;
        let sql = format!(
            "SELECT grp, MAX(grp_wait) AS grp_wait, MAX(grp_interval) AS grp_interval, \
             MIN(created_at) AS first FROM outbox WHERE {FREE} AND {FOLLOWS} GROUP BY grp LIMIT $3"
        );
        let groups = sqlx::query(AssertSqlSafe(sql)).bind(receiver.to_owned()).bind(integration.to_owned());
        let mut held = 0;
        for row in &groups.bind(GROUPS_MAX).fetch_all(&mut *tx).await? {
            let Some(group) = outbox::group(row)? else { continue };
            let digest = match running(&mut tx, receiver, integration, &group.name).await? {
                Some(digest) => digest,
                None if count_groups(&mut tx, receiver, integration).await? >= GROUPS_MAX => continue,
                None => {
                    let id = new_id(&mut tx, now).await?;
                    // Gathering began when the first of them came.
                    let began = row.wall("first")?.min(now);
                    let storm = Digest::begin(id, receiver.into(), integration.into(), false, began);
                    let digest = Digest { group: Some(group.clone()), ..storm };
                    insert(&mut tx, &digest).await?;
                    digest
                }
            };
            let sql =
                format!("UPDATE outbox SET {} WHERE {FREE} AND {FOLLOWS} AND grp = $3", hold(digest.id));
            let update = sqlx::query(AssertSqlSafe(sql)).bind(receiver.to_owned());
            let update = update.bind(integration.to_owned()).bind(group.name.to_string());
            held += update.execute(&mut *tx).await?.rows_affected();
        }
        tx.commit().await?;
        Ok(held)
    }

    /// Looks whether this integration is in a storm, and holds for its digest what does not go by itself: how many
    /// rows that were. Call it before each claim.
    pub async fn fold(
        &self,
        receiver: &str,
        integration: &str,
        knobs: &DigestKnobs,
        now: Wall,
    ) -> Result<u64, StoreError> {
        let mut reader = self.readers.begin().await?;
        let storm = running(&mut reader, receiver, integration, STORM).await?;
        let waiting = waiting(&mut reader, receiver, integration, knobs).await?;
        let mut folds = knobs.breaks_out(waiting);
        if let Some(storm) = &storm {
            let sql = format!("SELECT incident FROM outbox WHERE {FREE} AND {NEW} LIMIT 1");
            let new = sqlx::query(AssertSqlSafe(sql))
                .bind(receiver.to_owned())
                .bind(integration.to_owned())
                .bind(storm.started_at.millis())
                .bind(i64::from(storm.pages))
                .fetch_optional(&mut *reader)
                .await?;
            folds |= new.is_some();
        }
        // All that was in it goes by itself by now: nothing is left to say.
        let hollow = match storm {
            Some(storm) if !folds => {
                let id = storm.id;
                let standing = stand(&mut reader, storm, now).await?;
                (standing.calm && standing.tally.members == 0).then_some(id)
            }
            _ => None,
        };
        drop(reader);
        if let Some(id) = hollow {
            // Another process may have put a row into it since it was read.
            sqlx::query(
                "UPDATE digest SET phase = 'closed' WHERE id = $1 AND phase = 'storm' \
                 AND NOT EXISTS (SELECT 1 FROM outbox WHERE digest = $1)",
            )
            .bind(id.0)
            .execute(&self.writer)
            .await?;
        }
        if !folds {
            return Ok(0);
        }
        let mut tx = self.begin().await?;
        let held = fold(&mut tx, receiver, integration, knobs, now).await?;
        tx.commit().await?;
        Ok(held)
    }
}

/// What has come since the storm broke out: `$3` when, `$4` whether pages fold too.
const NEW: &str = "created_at > $3 AND (lane > 0 OR $4 = 1)";

async fn fold(
    tx: &mut Transaction<'_, Any>,
    receiver: &str,
    integration: &str,
    knobs: &DigestKnobs,
    now: Wall,
) -> Result<u64, StoreError> {
    let waiting = waiting(tx, receiver, integration, knobs).await?;
    let flooded = knobs.is_flooded(waiting);
    let mut held = 0;
    let running = running(tx, receiver, integration, STORM).await?;
    let is_new = running.is_none();
    let storm = match running {
        Some(mut storm) => {
            // Pages fold for as long as they are too many, however long the storm lasts.
            let pages = flooded || (storm.pages && still_floods(tx, storm.id, knobs, now).await?);
            if pages != storm.pages {
                storm.pages = pages;
                sqlx::query("UPDATE digest SET pages = $2 WHERE id = $1")
                    .bind(storm.id.0)
                    .bind(i64::from(pages))
                    .execute(&mut **tx)
                    .await?;
            }
            let hold = hold(storm.id);
            let sql = format!("UPDATE outbox SET {hold} WHERE {FREE} AND {NEW}");
            held += sqlx::query(AssertSqlSafe(sql))
                .bind(receiver.to_owned())
                .bind(integration.to_owned())
                .bind(storm.started_at.millis())
                .bind(i64::from(storm.pages))
                .execute(&mut **tx)
                .await?
                .rows_affected();
            storm
        }
        None if !knobs.breaks_out(waiting) => return Ok(0),
        None => {
            let id = new_id(tx, now).await?;
            Digest::begin(id, receiver.into(), integration.into(), flooded, now)
        }
    };
    let hold = hold(storm.id);
    // Where pages alone are too many to read, the few messages that go by themselves are theirs.
    let left = if flooded { 0 } else { knobs.after };
    let lanes = [("lane > 0", left, waiting.others > u64::from(left)), ("lane = 0", knobs.after, flooded)];
    for (lanes, left, _) in lanes.into_iter().filter(|(_, _, too_many)| *too_many) {
        let sql = format!(
            "UPDATE outbox SET {hold} WHERE {FREE} AND {lanes} AND incident NOT IN (SELECT incident FROM outbox \
             WHERE receiver = $1 AND integration = $2 AND fate = 'pending' AND {lanes} \
             ORDER BY lane, waiting_since, incident LIMIT $3)"
        );
        held += sqlx::query(AssertSqlSafe(sql))
            .bind(receiver.to_owned())
            .bind(integration.to_owned())
            .bind(i64::from(left))
            .execute(&mut **tx)
            .await?
            .rows_affected();
    }
    if is_new && held > 0 {
        insert(tx, &storm).await?;
    }
    Ok(held)
}

/// Whether more pages than are read one by one have come into a digest within the last minute.
async fn still_floods(
    tx: &mut Transaction<'_, Any>,
    id: DigestId,
    knobs: &DigestKnobs,
    now: Wall,
) -> Result<bool, StoreError> {
    let count = sqlx::query(
        "SELECT COUNT(*) AS found FROM (SELECT incident FROM outbox WHERE digest = $1 AND lane = 0 \
         AND created_at > $2 LIMIT $3) some_rows",
    );
    let count = count.bind(id.0).bind(now.minus(CALM).millis()).bind(i64::from(knobs.after) + 1);
    Ok(count.fetch_one(&mut **tx).await?.count::<u64>("found")? > u64::from(knobs.after))
}

/// What holds a row for this digest.
fn hold(id: DigestId) -> String {
    format!("fate = 'held', digest = {}, waits = 0, version = version + 1", id.0)
}

async fn waiting(
    tx: &mut Transaction<'_, Any>,
    receiver: &str,
    integration: &str,
    knobs: &DigestKnobs,
) -> Result<Waiting, StoreError> {
    let mut counts = [0_u64; 2];
    for (count, (lanes, most)) in
        counts.iter_mut().zip([("lane = 0", knobs.pages), ("lane > 0", knobs.after)])
    {
        // More than enough is as good as all.
        let sql = format!(
            "SELECT COUNT(*) AS found FROM (SELECT incident FROM outbox WHERE receiver = $1 \
             AND integration = $2 AND fate = 'pending' AND {lanes} LIMIT $3) some_rows"
        );
        let query = sqlx::query(AssertSqlSafe(sql)).bind(receiver.to_owned());
        let query = query.bind(integration.to_owned()).bind(i64::from(most) + 1);
        *count = query.fetch_one(&mut **tx).await?.count("found")?;
    }
    Ok(Waiting { pages: counts[0], others: counts[1] })
}

/// The digest of a group that is under way, or of a storm where the name is empty.
async fn running(
    tx: &mut Transaction<'_, Any>,
    receiver: &str,
    integration: &str,
    group: &str,
) -> Result<Option<Digest>, StoreError> {
    let select = sqlx::query(
        "SELECT * FROM digest WHERE receiver = $1 AND integration = $2 AND grp = $3 AND phase = 'storm'",
    );
    let select = select.bind(receiver.to_owned()).bind(integration.to_owned()).bind(group.to_owned());
    select.fetch_optional(&mut **tx).await?.as_ref().map(read).transpose()
}

async fn count_groups(
    tx: &mut Transaction<'_, Any>,
    receiver: &str,
    integration: &str,
) -> Result<i64, StoreError> {
    let count = sqlx::query(
        "SELECT COUNT(*) AS found FROM digest WHERE receiver = $1 AND integration = $2 AND phase = 'storm' \
         AND grp <> ''",
    );
    let row = count.bind(receiver.to_owned()).bind(integration.to_owned()).fetch_one(&mut **tx).await?;
    row.number("found")
}

/// An id that was never used, though old digests are forgotten: by time.
async fn new_id(tx: &mut Transaction<'_, Any>, now: Wall) -> Result<DigestId, StoreError> {
    let newest = sqlx::query("SELECT COALESCE(MAX(id), 0) AS newest FROM digest");
    let newest = newest.fetch_one(&mut **tx).await?.number("newest")?;
    Ok(DigestId((newest + 1).max(now.millis())))
}

async fn insert(tx: &mut Transaction<'_, Any>, digest: &Digest) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO digest (id, receiver, integration, phase, pages, started_at, messages, attempts, due, \
         grp, grp_wait, grp_interval) VALUES ($1, $2, $3, $4, $5, $6, 0, 0, $7, $8, $9, $10)",
    )
    .bind(digest.id.0)
    .bind(digest.receiver.to_string())
    .bind(digest.integration.to_string())
    .bind(digest.phase.name())
    .bind(i64::from(digest.pages))
    .bind(digest.started_at.millis())
    .bind(digest.due.millis())
    .bind(digest.group.as_ref().map_or_else(String::new, |group| group.name.to_string()))
    .bind(digest.group.as_ref().map(|group| outbox::in_millis(group.wait)))
    .bind(digest.group.as_ref().map(|group| outbox::in_millis(group.interval)))
    .execute(&mut **tx)
    .await?;
    Ok(())
}
