//! What is in a digest: the counts that decide what is said, and the names that are.

use std::time::Duration;

use beaconfire_incident::IncidentId;
use beaconfire_model::Wall;
use beaconfire_outbox::{Digest, DigestId, Summary, Tally};
use sqlx::{Any, Transaction};

use super::Standing;
use crate::StoreError;
use crate::sql::{Fields, severity};

/// A storm is over when fewer than so many come in [`CALM`] and wait.
const FEW: i64 = 3;
pub(super) const CALM: Duration = Duration::from_secs(60);

/// Names listed in a summary, and ids.
const LISTED: i64 = 10;
const IDS_LISTED: i64 = 500;

pub(super) async fn stand(
    tx: &mut Transaction<'_, Any>,
    digest: Digest,
    now: Wall,
) -> Result<Standing, StoreError> {
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

pub(super) async fn tally(tx: &mut Transaction<'_, Any>, id: DigestId) -> Result<Tally, StoreError> {
    let row = sqlx::query(
        "SELECT COUNT(*) AS members, \
         CAST(COALESCE(SUM(CASE WHEN desired_status <> 'resolved' THEN 1 ELSE 0 END), 0) AS BIGINT) AS still_open, \
         CAST(COALESCE(SUM(CASE WHEN fate = 'held' THEN 1 ELSE 0 END), 0) AS BIGINT) AS held, \
         CAST(COALESCE(SUM(CASE WHEN fate = 'held' AND lane = 0 THEN 1 ELSE 0 END), 0) AS BIGINT) AS held_pages, \
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
        held_pages: row.count("held_pages")?,
        worst: row.maybe_number("worst")?.and_then(severity),
    })
}

pub(super) async fn summary(tx: &mut Transaction<'_, Any>, id: DigestId) -> Result<Summary, StoreError> {
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
