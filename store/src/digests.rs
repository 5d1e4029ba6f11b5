//! Storms: rows are held for a digest in one transaction, and accounted for in the one that writes down that a
//! message which counts them was accepted.

use std::time::Duration;

use beaconfire_incident::{IncidentId, Status};
use beaconfire_model::{Untrusted, Wall};
use beaconfire_outbox::{
    Digest, DigestId, DigestKnobs, Handle, Outcome, Phase, Sent, Summary, Tally, Waiting,
};
use sqlx::any::AnyRow;
use sqlx::{Any, Transaction};

use crate::sql::{Fields, rank, severity, whole};
use crate::{Store, StoreError};

/// A storm is over when fewer than so many come in [`CALM`] and wait.
const FEW: i64 = 3;
const CALM: Duration = Duration::from_secs(60);

/// Digests of one integration that are looked after at a time: the storm that is on first, or those that only wait for
/// their incidents to end would keep it from being told; then the oldest.
const AT_ONCE: i64 = 8;

/// Names listed in a summary, and ids.
const LISTED: i64 = 10;
const IDS_LISTED: i64 = 500;

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

/// `$1` receiver, `$2` integration: never told, held for nothing, and surely not with the receiver: what was tried may
/// have arrived though no answer did, and one that is told twice is not counted once.
const FREE: &str =
    "receiver = $1 AND integration = $2 AND fate = 'pending' AND attempts = 0 AND lease_until IS NULL";

impl Store {
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
        let storm = storm(&mut reader, receiver, integration).await?;
        let waiting = waiting(&mut reader, receiver, integration, knobs).await?;
        let mut folds = knobs.breaks_out(waiting);
        if let Some(storm) = &storm {
            let sql = format!("SELECT incident FROM outbox WHERE {FREE} AND {NEW} LIMIT 1");
            let new = sqlx::query(sqlx::AssertSqlSafe(sql))
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
             ORDER BY CASE WHEN phase = 'storm' THEN 0 ELSE 1 END, id LIMIT $3",
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
    let running = storm(tx, receiver, integration).await?;
    let is_new = running.is_none();
    let storm = match running {
        Some(mut storm) => {
            if flooded && !storm.pages {
                storm.pages = true;
                sqlx::query("UPDATE digest SET pages = 1 WHERE id = $1")
                    .bind(storm.id.0)
                    .execute(&mut **tx)
                    .await?;
            }
            let hold = hold(storm.id);
            let sql = format!("UPDATE outbox SET {hold} WHERE {FREE} AND {NEW}");
            held += sqlx::query(sqlx::AssertSqlSafe(sql))
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
            let newest = sqlx::query("SELECT COALESCE(MAX(id), 0) AS newest FROM digest");
            let newest = newest.fetch_one(&mut **tx).await?.number("newest")?;
            // By time, so that none is used twice though old ones are forgotten.
            let id = DigestId((newest + 1).max(now.millis()));
            Digest::begin(id, receiver.into(), integration.into(), flooded, now)
        }
    };
    let hold = hold(storm.id);
    let lanes = [("lane > 0", waiting.others > u64::from(knobs.after)), ("lane = 0", flooded)];
    for (lanes, _) in lanes.into_iter().filter(|(_, too_many)| *too_many) {
        let sql = format!(
            "UPDATE outbox SET {hold} WHERE {FREE} AND {lanes} AND incident NOT IN (SELECT incident FROM outbox \
             WHERE receiver = $1 AND integration = $2 AND fate = 'pending' AND {lanes} \
             ORDER BY lane, waiting_since, incident LIMIT $3)"
        );
        held += sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(receiver.to_owned())
            .bind(integration.to_owned())
            .bind(i64::from(knobs.after))
            .execute(&mut **tx)
            .await?
            .rows_affected();
    }
    if is_new && held > 0 {
        insert(tx, &storm).await?;
    }
    Ok(held)
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
        let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(receiver.to_owned());
        let query = query.bind(integration.to_owned()).bind(i64::from(most) + 1);
        *count = query.fetch_one(&mut **tx).await?.count("found")?;
    }
    Ok(Waiting { pages: counts[0], others: counts[1] })
}

async fn storm(
    tx: &mut Transaction<'_, Any>,
    receiver: &str,
    integration: &str,
) -> Result<Option<Digest>, StoreError> {
    let select =
        sqlx::query("SELECT * FROM digest WHERE receiver = $1 AND integration = $2 AND phase = 'storm'");
    let row = select.bind(receiver.to_owned()).bind(integration.to_owned()).fetch_optional(&mut **tx).await?;
    row.as_ref().map(read).transpose()
}

async fn stand(tx: &mut Transaction<'_, Any>, digest: Digest, now: Wall) -> Result<Standing, StoreError> {
    let tally = tally(tx, digest.id).await?;
    let since = now.minus(CALM).millis();
    let row = sqlx::query(
        "SELECT (SELECT COUNT(*) FROM (SELECT incident FROM outbox WHERE digest = $1 AND created_at > $2 LIMIT $3) a) \
         + (SELECT COUNT(*) FROM (SELECT incident FROM outbox WHERE receiver = $4 AND integration = $5 \
         AND fate = 'pending' AND attempts = 0 LIMIT $3) b) AS found",
    )
    .bind(digest.id.0)
    .bind(since)
    .bind(FEW)
    .bind(digest.receiver.to_string())
    .bind(digest.integration.to_string())
    .fetch_one(&mut **tx)
    .await?;
    let calm = digest.started_at.millis() <= since && row.number("found")? < FEW;
    Ok(Standing { digest, tally, calm })
}

async fn tally(tx: &mut Transaction<'_, Any>, id: DigestId) -> Result<Tally, StoreError> {
    let row = sqlx::query(
        "SELECT COUNT(*) AS members, \
         CAST(COALESCE(SUM(CASE WHEN desired_status <> 'resolved' THEN 1 ELSE 0 END), 0) AS BIGINT) AS still_open, \
         CAST(COALESCE(SUM(CASE WHEN fate = 'held' THEN 1 ELSE 0 END), 0) AS BIGINT) AS held, \
         CAST(COALESCE(SUM(CASE WHEN fate = 'suppressed:cleared_before_send' \
         OR (fate = 'held' AND desired_status = 'resolved') THEN 1 ELSE 0 END), 0) AS BIGINT) AS cleared, \
         MAX(desired_severity) AS worst FROM outbox WHERE digest = $1",
    )
    .bind(id.0)
    .fetch_one(&mut **tx)
    .await?;
    Ok(Tally {
        members: row.count("members")?,
        open: row.count("still_open")?,
        cleared: row.count("cleared")?,
        held: row.count("held")?,
        worst: row.maybe_number("worst")?.and_then(severity),
    })
}

async fn summary(tx: &mut Transaction<'_, Any>, id: DigestId) -> Result<Summary, StoreError> {
    let mut summary = Summary::default();
    let rules = sqlx::query(
        "SELECT s.rule AS name, i.severity AS severity, COUNT(DISTINCT i.id) AS found FROM outbox o \
         JOIN incident i ON i.id = o.incident JOIN incident_signal s ON s.incident = i.id WHERE o.digest = $1 \
         GROUP BY s.rule, i.severity ORDER BY found DESC, name LIMIT $2",
    );
    for row in &rules.bind(id.0).bind(LISTED).fetch_all(&mut **tx).await? {
        summary.rules.push((row.text("name")?, row.severity("severity")?, row.count("found")?));
    }
    let targets = sqlx::query(
        "SELECT i.target AS name, COUNT(*) AS found FROM outbox o JOIN incident i ON i.id = o.incident \
         WHERE o.digest = $1 GROUP BY i.target ORDER BY found DESC, name LIMIT $2",
    );
    for row in &targets.bind(id.0).bind(LISTED).fetch_all(&mut **tx).await? {
        summary.targets.push((row.text("name")?, row.count("found")?));
    }
    let participants = sqlx::query(
        "SELECT p.subject AS name, COUNT(*) AS found FROM outbox o JOIN participant p ON p.incident = o.incident \
         WHERE o.digest = $1 GROUP BY p.subject ORDER BY found DESC, name LIMIT $2",
    );
    for row in &participants.bind(id.0).bind(LISTED).fetch_all(&mut **tx).await? {
        summary.participants.push((row.text("name")?, row.count("found")?));
    }
    let span = sqlx::query(
        "SELECT COALESCE(MIN(i.started_at), 0) AS first_seen, COALESCE(MAX(i.holds_until), 0) AS last_seen, \
         MIN(CASE WHEN o.fate = 'held' THEN o.waiting_since END) AS held_since \
         FROM outbox o JOIN incident i ON i.id = o.incident WHERE o.digest = $1",
    );
    let span = span.bind(id.0).fetch_one(&mut **tx).await?;
    summary.first_seen = span.event("first_seen")?;
    summary.last_seen = span.event("last_seen")?;
    summary.held_since = span.maybe_wall("held_since")?;
    let ids = sqlx::query(
        "SELECT incident FROM outbox WHERE digest = $1 ORDER BY desired_severity DESC, created_at, incident LIMIT $2",
    );
    for row in &ids.bind(id.0).bind(IDS_LISTED).fetch_all(&mut **tx).await? {
        summary.incidents.push(IncidentId::from_text(&row.text("incident")?));
    }
    Ok(summary)
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
            worst: row.maybe_number("told_worst")?.and_then(severity),
        }),
    };
    Ok(Digest {
        id: DigestId(row.number("id")?),
        receiver: row.text("receiver")?.into(),
        integration: row.text("integration")?.into(),
        phase: row.word("phase", |name| Phase::ALL.into_iter().find(|phase| phase.name() == name))?,
        pages: row.flag("pages")?,
        started_at: row.wall("started_at")?,
        handle: row.maybe_text("handle")?.map(Handle),
        messages: row.count("messages")?,
        told_at: row.maybe_wall("told_at")?,
        told,
        attempts: row.count("attempts")?,
        due: row.wall("due")?,
        last_error: row.maybe_text("last_error")?,
    })
}

async fn insert(tx: &mut Transaction<'_, Any>, digest: &Digest) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO digest (id, receiver, integration, phase, pages, started_at, messages, attempts, due) \
         VALUES ($1, $2, $3, $4, $5, $6, 0, 0, $7)",
    )
    .bind(digest.id.0)
    .bind(digest.receiver.to_string())
    .bind(digest.integration.to_string())
    .bind(digest.phase.name())
    .bind(i64::from(digest.pages))
    .bind(digest.started_at.millis())
    .bind(digest.due.millis())
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Writes what a message has changed, and gives the lease back.
async fn write(tx: &mut Transaction<'_, Any>, digest: &Digest) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE digest SET phase = $2, handle = $3, messages = $4, told_at = $5, told_members = $6, \
         told_open = $7, told_cleared = $8, told_worst = $9, attempts = $10, due = $11, last_error = $12, \
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
    .execute(&mut **tx)
    .await?;
    Ok(())
}
