//! The rows that hang on an incident: joined by minimum and maximum, so that writing them twice changes nothing, and
//! bounded, so that an attacker cannot fill the disk with one incident.

use std::collections::{BTreeMap, BTreeSet};

use beaconfire_incident::{Folded, ParticipantRow, RatePoint, SampleRow, SignalRow, TimelineEntry};
use beaconfire_model::{Client, EventTime};
use sqlx::{Any, AssertSqlSafe, Transaction};

use crate::sql::{Fields, millis, rank, real, tuples};
use crate::{SaveError, StoreError};

/// Participants kept for an incident: the heaviest; ties go to the smaller subject.
const PARTICIPANTS_MAX: i64 = 10_000;

/// Signal rows kept for an incident: the first by (first, rule, subject).
const SIGNALS_MAX: i64 = 10_000;

/// Chart points kept for each rule of an incident: the newest.
const POINTS_MAX: i64 = 600;

/// Raw records kept with an incident: the first that came.
const SAMPLES_MAX: i64 = 9;

/// Lines of a timeline: the newest, and the first ten, which say how it began.
const TIMELINE_MAX: i64 = 1_000;

/// Rows in one statement.
const AT_ONCE: usize = 50;

type Tx<'a> = Transaction<'a, Any>;

/// Writes all that hangs on a fold.
pub(super) async fn save(tx: &mut Tx<'_>, folded: &Folded) -> Result<(), SaveError> {
    let id = folded.incident.id.as_str();
    signals(tx, id, &folded.signals).await?;
    participants(tx, id, &folded.participants).await?;
    timeline(tx, id, &folded.timeline).await?;
    let points = folded.points.iter().filter(|point| folded.incident.rules.contains_key(&point.rule));
    self::points(tx, id, points).await?;
    samples(tx, id, &folded.samples).await?;
    Ok(())
}

async fn signals(tx: &mut Tx<'_>, id: &str, rows: &[SignalRow]) -> Result<(), StoreError> {
    for row in rows {
        sqlx::query(
            "INSERT INTO incident_signal (incident, rule, subject_kind, subject, severity, observed, threshold, \
             window_ms, first_at, holds_until) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) \
             ON CONFLICT (incident, rule, subject_kind, subject) DO UPDATE SET \
             severity = CASE WHEN excluded.severity > incident_signal.severity THEN excluded.severity \
             ELSE incident_signal.severity END, \
             threshold = CASE WHEN excluded.observed > incident_signal.observed THEN excluded.threshold \
             ELSE incident_signal.threshold END, \
             window_ms = CASE WHEN excluded.observed > incident_signal.observed THEN excluded.window_ms \
             ELSE incident_signal.window_ms END, \
             observed = CASE WHEN excluded.observed > incident_signal.observed THEN excluded.observed \
             ELSE incident_signal.observed END, \
             first_at = CASE WHEN excluded.first_at < incident_signal.first_at THEN excluded.first_at \
             ELSE incident_signal.first_at END, \
             holds_until = CASE WHEN excluded.holds_until > incident_signal.holds_until \
             THEN excluded.holds_until ELSE incident_signal.holds_until END",
        )
        .bind(id.to_owned())
        .bind(row.rule.to_string())
        .bind(row.subject.kind.name())
        .bind(row.subject.value.to_string())
        .bind(rank(row.severity))
        .bind(real(row.observed))
        .bind(real(row.threshold))
        .bind(millis(row.window))
        .bind(row.first.millis())
        .bind(row.holds_until.millis())
        .execute(&mut **tx)
        .await?;
    }
    let count = "SELECT COUNT(*) AS found FROM incident_signal WHERE incident = $1";
    if !rows.is_empty() && count_of(tx, count, id).await? > SIGNALS_MAX {
        tracing::warn!(
            incident = id,
            kept = SIGNALS_MAX,
            "more signal rows than are kept: the latest to begin go"
        );
        sqlx::query(
            "DELETE FROM incident_signal WHERE incident = $1 AND (rule, subject_kind, subject) IN \
             (SELECT rule, subject_kind, subject FROM (SELECT rule, subject_kind, subject, ROW_NUMBER() OVER \
             (ORDER BY first_at, rule, subject_kind, subject) AS place FROM incident_signal WHERE incident = $1) \
             ranked WHERE place > $2)",
        )
        .bind(id.to_owned())
        .bind(SIGNALS_MAX)
        .execute(&mut **tx)
        .await?;
    }
    Ok(())
}

async fn participants(tx: &mut Tx<'_>, id: &str, rows: &[ParticipantRow]) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    // One statement may not touch a row twice, so what is here twice is joined here.
    let mut joined: BTreeMap<(&str, &str), ParticipantRow> = BTreeMap::new();
    for row in rows {
        let key = (row.subject.kind.name(), &*row.subject.value);
        joined
            .entry(key)
            .and_modify(|held| {
                held.events = held.events.join(row.events);
                held.first_seen = held.first_seen.join(row.first_seen);
                held.last_seen = held.last_seen.join(row.last_seen);
            })
            .or_insert_with(|| row.clone());
    }
    let joined: Vec<_> = joined.into_iter().collect();
    for some in joined.chunks(AT_ONCE) {
        let sql = format!(
            "INSERT INTO participant (incident, subject_kind, subject, events, first_seen, last_seen) VALUES {} \
             ON CONFLICT (incident, subject_kind, subject) DO UPDATE SET \
             events = CASE WHEN excluded.events > participant.events THEN excluded.events \
             ELSE participant.events END, \
             first_seen = CASE WHEN excluded.first_seen < participant.first_seen THEN excluded.first_seen \
             ELSE participant.first_seen END, \
             last_seen = CASE WHEN excluded.last_seen > participant.last_seen THEN excluded.last_seen \
             ELSE participant.last_seen END",
            tuples(some.len(), 6)
        );
        // Made of placeholders.
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for ((kind, value), row) in some {
            query = query
                .bind(id.to_owned())
                .bind((*kind).to_owned())
                .bind((*value).to_owned())
                .bind(real(row.events.0))
                .bind(row.first_seen.0.millis())
                .bind(row.last_seen.0.millis());
        }
        query.execute(&mut **tx).await?;
    }
    total(tx, id).await
}

/// Counts the participants and keeps the heaviest. The total is exact up to the bound; above it those that were let
/// go may come again, so it is the highest count there was, and marked as an estimate.
async fn total(tx: &mut Tx<'_>, id: &str) -> Result<(), StoreError> {
    let count = count_of(tx, "SELECT COUNT(*) AS found FROM participant WHERE incident = $1", id).await?;
    let beyond = i64::from(count > PARTICIPANTS_MAX);
    sqlx::query(
        "UPDATE incident SET participants_total = CASE WHEN participants_estimated = 1 AND participants_total > $2 \
         THEN participants_total ELSE $2 END, \
         participants_estimated = CASE WHEN $3 = 1 THEN 1 ELSE participants_estimated END WHERE id = $1",
    )
    .bind(id.to_owned())
    .bind(count)
    .bind(beyond)
    .execute(&mut **tx)
    .await?;
    if beyond == 1 {
        tracing::warn!(
            incident = id,
            kept = PARTICIPANTS_MAX,
            "more participants than are kept: the lightest go"
        );
        sqlx::query(
            "DELETE FROM participant WHERE incident = $1 AND (subject_kind, subject) IN \
             (SELECT subject_kind, subject FROM (SELECT subject_kind, subject, ROW_NUMBER() OVER \
             (ORDER BY events DESC, subject_kind, subject) AS place FROM participant WHERE incident = $1) ranked \
             WHERE place > $2)",
        )
        .bind(id.to_owned())
        .bind(PARTICIPANTS_MAX)
        .execute(&mut **tx)
        .await?;
    }
    Ok(())
}

/// Adds lines to an incident's timeline.
pub(crate) async fn timeline(tx: &mut Tx<'_>, id: &str, lines: &[TimelineEntry]) -> Result<(), StoreError> {
    if lines.is_empty() {
        return Ok(());
    }
    let last = "SELECT COALESCE(MAX(seq), 0) AS found FROM timeline WHERE incident = $1";
    let mut seq = count_of(tx, last, id).await?;
    for line in lines {
        seq += 1;
        sqlx::query(
            "INSERT INTO timeline (incident, seq, at_ms, event_at, actor, what, said) \
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(id.to_owned())
        .bind(seq)
        .bind(line.at.millis())
        .bind(line.event_at.map(EventTime::millis))
        .bind(line.actor.clone())
        .bind(line.what.clone())
        .bind(line.text.clone())
        .execute(&mut **tx)
        .await?;
    }
    sqlx::query("DELETE FROM timeline WHERE incident = $1 AND seq > 10 AND seq <= $2")
        .bind(id.to_owned())
        .bind(seq - TIMELINE_MAX + 10)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

async fn points(
    tx: &mut Tx<'_>,
    id: &str,
    points: impl Iterator<Item = &RatePoint>,
) -> Result<(), StoreError> {
    let mut rules = BTreeSet::new();
    for point in points {
        rules.insert(point.rule.to_string());
        sqlx::query(
            "INSERT INTO point (incident, rule, at_ms, value) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (incident, rule, at_ms) DO UPDATE SET value = excluded.value \
             WHERE point.value < excluded.value",
        )
        .bind(id.to_owned())
        .bind(point.rule.to_string())
        .bind(point.at.millis())
        .bind(real(point.value))
        .execute(&mut **tx)
        .await?;
    }
    for rule in rules {
        sqlx::query(
            "DELETE FROM point WHERE incident = $1 AND rule = $2 AND at_ms <= COALESCE((SELECT at_ms FROM point \
             WHERE incident = $1 AND rule = $2 ORDER BY at_ms DESC LIMIT 1 OFFSET $3), $4)",
        )
        .bind(id.to_owned())
        .bind(rule)
        .bind(POINTS_MAX)
        .bind(i64::MIN)
        .execute(&mut **tx)
        .await?;
    }
    Ok(())
}

async fn samples(tx: &mut Tx<'_>, id: &str, samples: &[SampleRow]) -> Result<(), StoreError> {
    for sample in samples {
        sqlx::query(
            "INSERT INTO sample (incident, at_ms, client, said, sent_by) SELECT $1, $2, $3, $4, $5 \
             WHERE (SELECT COUNT(*) FROM sample WHERE incident = $1) < $6 \
             ON CONFLICT (incident, at_ms, client, said, sent_by) DO NOTHING",
        )
        .bind(id.to_owned())
        .bind(sample.time.millis())
        .bind(sample.client.as_ref().map(Client::to_string).unwrap_or_default())
        .bind(sample.text.clean().to_owned())
        .bind(sample.by.clean().to_owned())
        .bind(SAMPLES_MAX)
        .execute(&mut **tx)
        .await?;
    }
    Ok(())
}

/// The one number that a statement finds.
async fn count_of(tx: &mut Tx<'_>, sql: &'static str, id: &str) -> Result<i64, StoreError> {
    sqlx::query(sql).bind(id.to_owned()).fetch_one(&mut **tx).await?.number("found")
}
