//! Digests, of storms and of groups: rows are held for one in one transaction ([`fold`]), and accounted for in the one
//! that writes down that a message which counts them was accepted.

mod fold;
mod sums;

use std::time::Duration;

use beaconfire_incident::Status;
use beaconfire_model::{Untrusted, Wall};
use beaconfire_outbox::{Digest, DigestId, Handle, Outcome, Phase, Sent, Summary, Tally};
use sqlx::any::AnyRow;
use sqlx::{Any, Transaction};

use self::sums::{stand, summary, tally};
use crate::sql::{Fields, rank, severity, whole};
use crate::{Store, StoreError, outbox};

/// Digests of one integration that are looked after at a time: the storm that is on first, or those that only wait for
/// their incidents to end would keep it from being told; then the oldest.
const AT_ONCE: i64 = 8 + GROUPS_MAX;

/// Groups with followers at a time, for one integration.
const GROUPS_MAX: i64 = 64;

/// A digest that is not closed, and what it would count now.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// The digest.
    pub digest: Digest,
    /// What is in it.
    pub tally: Tally,
    /// Whether next to nothing has come in for a minute.
    pub calm: bool,
}

impl Store {
    /// The digests of an integration that are not closed and on nobody's way out, oldest first.
    pub async fn digests(
        &self,
        receiver: &str,
        integration: &str,
        now: Wall,
    ) -> Result<Vec<Standing>, StoreError> {
        let mut reader = self.readers.begin().await?;
        let rows = sqlx::query(
            "SELECT * FROM digest WHERE receiver = $1 AND integration = $2 AND phase <> 'closed' \
             AND (lease_until IS NULL OR lease_until <= $4) \
             ORDER BY CASE WHEN phase <> 'storm' THEN 2 WHEN grp = '' THEN 0 ELSE 1 END, id LIMIT $3",
        )
        .bind(receiver.to_owned())
        .bind(integration.to_owned())
        .bind(AT_ONCE)
        .bind(now.millis())
        .fetch_all(&mut *reader)
        .await?;
        let mut standing = Vec::with_capacity(rows.len());
        for row in &rows {
            standing.push(stand(&mut reader, read(row)?, now).await?);
        }
        Ok(standing)
    }

    /// Leases a digest, marks the rows that its next message accounts for, and says what is in it; `None` where
    /// another process has it.
    pub async fn claim_digest(
        &self,
        id: DigestId,
        owner: &str,
        now: Wall,
        lease: Duration,
    ) -> Result<Option<(Standing, Summary)>, StoreError> {
        let mut tx = self.begin().await?;
        let claimed = sqlx::query(
            "UPDATE digest SET lease_owner = $2, lease_until = $3 \
             WHERE id = $1 AND phase <> 'closed' AND (lease_until IS NULL OR lease_until <= $4)",
        )
        .bind(id.0)
        .bind(owner.to_owned())
        .bind(now.plus(lease).millis())
        .bind(now.millis())
        .execute(&mut *tx)
        .await?;
        if claimed.rows_affected() == 0 {
            return Ok(None);
        }
        sqlx::query(
            "UPDATE outbox SET digest_revision = desired_revision WHERE digest = $1 AND fate = 'held'",
        )
        .bind(id.0)
        .execute(&mut *tx)
        .await?;
        let row = sqlx::query("SELECT * FROM digest WHERE id = $1").bind(id.0).fetch_one(&mut *tx).await?;
        let standing = stand(&mut tx, read(&row)?, now).await?;
        let summary = summary(&mut tx, id).await?;
        tx.commit().await?;
        Ok(Some((standing, summary)))
    }

    /// Writes down what came of a digest's message, and gives the lease back. Where it was accepted, the rows that it
    /// counted have their fate: told, or over before they could be. Those that have moved since stay for the next.
    pub async fn settle_digest(
        &self,
        id: DigestId,
        owner: &str,
        sent: &Sent,
        outcome: &Outcome,
        jitter: f64,
        now: Wall,
    ) -> Result<Digest, StoreError> {
        let mut tx = self.begin().await?;
        let row = sqlx::query("SELECT * FROM digest WHERE id = $1 AND lease_owner = $2")
            .bind(id.0)
            .bind(owner.to_owned())
            .fetch_optional(&mut *tx)
            .await?;
        let Some(row) = row else { return Err(StoreError::LeaseLost) };
        let digest = read(&row)?;
        if matches!(outcome, Outcome::Accepted { .. }) {
            account(&mut tx, id).await?;
        }
        if let Outcome::Rejected { said } = outcome
            && digest.gives_up(outcome)
        {
            bury(&mut tx, id, said).await?;
        }
        let held = tally(&mut tx, id).await?.held;
        let digest = digest.settle(sent, outcome, held, jitter, now);
        write(&mut tx, &digest).await?;
        tx.commit().await?;
        Ok(digest)
    }

    /// Ends a digest without a word.
    pub async fn close_digest(&self, id: DigestId) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE digest SET phase = 'closed' WHERE id = $1 AND phase <> 'closed' \
             AND NOT EXISTS (SELECT 1 FROM outbox WHERE digest = $1 AND (fate = 'held' OR desired_status <> 'resolved'))",
        )
        .bind(id.0)
        .execute(&self.writer)
        .await?;
        Ok(())
    }

    /// Forgets digests whose incidents are all gone; the ledger keeps the count of their messages.
    pub(crate) async fn sweep_digests(&self, before: i64) -> Result<(), StoreError> {
        const GONE: &str =
            "started_at < $1 AND NOT EXISTS (SELECT 1 FROM outbox WHERE outbox.digest = digest.id)";
        let mut tx = self.begin().await?;
        let keep = format!(
            "INSERT INTO ledger_past (receiver, fate, row_count, messages) \
             SELECT receiver, 'in_digest', 0, SUM(messages) FROM digest WHERE {GONE} GROUP BY receiver \
             ON CONFLICT (receiver, fate) DO UPDATE SET messages = ledger_past.messages + excluded.messages"
        );
        sqlx::query(sqlx::AssertSqlSafe(keep)).bind(before).execute(&mut *tx).await?;
        let delete = format!("DELETE FROM digest WHERE {GONE}");
        sqlx::query(sqlx::AssertSqlSafe(delete)).bind(before).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(())
    }
}

/// The rows that an accepted message counted have their fate.
async fn account(tx: &mut Transaction<'_, Any>, id: DigestId) -> Result<(), StoreError> {
    for (fate, told, which) in [
        ("suppressed:cleared_before_send", "", "="),
        (
            "in_digest",
            "told_revision = desired_revision, told_status = desired_status, told_severity = desired_severity, ",
            "<>",
        ),
    ] {
        let sql = format!(
            "UPDATE outbox SET {told}fate = $3, attempts = 0, waits = 0, version = version + 1 WHERE digest = $1 \
             AND fate = 'held' AND digest_revision = desired_revision AND desired_status {which} $2"
        );
        sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(id.0)
            .bind(Status::Resolved.name())
            .bind(fate)
            .execute(&mut **tx)
            .await?;
    }
    Ok(())
}

/// The rows that a message would have counted which is refused again and again are dead letters.
async fn bury(tx: &mut Transaction<'_, Any>, id: DigestId, said: &str) -> Result<(), StoreError> {
    let said = Untrusted::new(said, 500);
    sqlx::query(
        "UPDATE outbox SET fate = 'dead', digest = NULL, last_error = $2, waits = 0, version = version + 1 \
         WHERE digest = $1 AND fate = 'held' AND digest_revision = desired_revision",
    )
    .bind(id.0)
    .bind(said.clean().to_owned())
    .execute(&mut **tx)
    .await?;
    Ok(())
}

fn read(row: &AnyRow) -> Result<Digest, StoreError> {
    let told = match row.maybe_number("told_members")? {
        None => None,
        Some(_) => Some(Tally {
            members: row.count("told_members")?,
            open: row.count("told_open")?,
            cleared: row.count("told_cleared")?,
            held: 0,
            held_pages: 0,
            worst: row.maybe_number("told_worst")?.and_then(severity),
        }),
    };
    Ok(Digest {
        id: DigestId(row.number("id")?),
        receiver: row.text("receiver")?.into(),
        integration: row.text("integration")?.into(),
        phase: row.word("phase", |name| Phase::ALL.into_iter().find(|phase| phase.name() == name))?,
        group: outbox::group(row)?,
        pages: row.flag("pages")?,
        started_at: row.wall("started_at")?,
        handle: row.maybe_text("handle")?.map(Handle),
        messages: row.count("messages")?,
        told_at: row.maybe_wall("told_at")?,
        told,
        attempts: row.count("attempts")?,
        refusals: row.count("refusals")?,
        due: row.wall("due")?,
        last_error: row.maybe_text("last_error")?,
    })
}

/// Writes what a message has changed, and gives the lease back.
async fn write(tx: &mut Transaction<'_, Any>, digest: &Digest) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE digest SET phase = $2, handle = $3, messages = $4, told_at = $5, told_members = $6, \
         told_open = $7, told_cleared = $8, told_worst = $9, attempts = $10, due = $11, last_error = $12, refusals = $13, \
         lease_owner = NULL, lease_until = NULL WHERE id = $1",
    )
    .bind(digest.id.0)
    .bind(digest.phase.name())
    .bind(digest.handle.as_ref().map(|handle| handle.0.clone()))
    .bind(i64::from(digest.messages))
    .bind(digest.told_at.map(Wall::millis))
    .bind(digest.told.map(|told| whole(told.members)))
    .bind(digest.told.map(|told| whole(told.open)))
    .bind(digest.told.map(|told| whole(told.cleared)))
    .bind(digest.told.and_then(|told| told.worst).map(rank))
    .bind(i64::from(digest.attempts))
    .bind(digest.due.millis())
    .bind(digest.last_error.clone())
    .bind(i64::from(digest.refusals))
    .execute(&mut **tx)
    .await?;
    Ok(())
}
