//! Outbox rows: reading them, and writing them under their version.

use std::time::Duration;

use beaconfire_incident::{IncidentId, Status};
use beaconfire_model::Wall;
use beaconfire_outbox::{DigestId, Fate, Group, Handle, Lane, Row, RowKey, Suppressed, Told};
use sqlx::any::AnyRow;
use sqlx::{Any, AssertSqlSafe, Transaction};

use crate::incidents::AT_ONCE;
use crate::sql::{Fields, list, rank};
use crate::{SaveError, Store, StoreError};

impl Store {
    /// The outbox rows of these incidents, by (incident, receiver, integration).
    pub async fn rows(&self, incidents: &[IncidentId]) -> Result<Vec<Row>, StoreError> {
        let mut found = Vec::new();
        for some in incidents.chunks(AT_ONCE) {
            let keys = list(some.len());
            // Made of placeholders.
            let sql = format!("SELECT * FROM outbox WHERE incident IN ({keys})");
            let mut query = sqlx::query(AssertSqlSafe(sql));
            for id in some {
                query = query.bind(id.as_str().to_owned());
            }
            for row in &query.fetch_all(&self.readers).await? {
                found.push(read(row)?);
            }
        }
        found.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(found)
    }

    /// The rows of one integration that it was told of and that are not over, as far as it was told; the oldest first,
    /// at most `limit`.
    pub async fn told_and_open(
        &self,
        receiver: &str,
        integration: &str,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        let select = sqlx::query(
            "SELECT * FROM outbox WHERE receiver = $1 AND integration = $2 AND fate = 'delivered' \
             AND told_status <> 'resolved' ORDER BY created_at, incident LIMIT $3",
        );
        let select = select.bind(receiver.to_owned()).bind(integration.to_owned());
        let select = select.bind(i64::try_from(limit).unwrap_or(i64::MAX));
        select.fetch_all(&self.readers).await?.iter().map(read).collect()
    }

    /// All rows with something left to tell: for settling those whose receiver is no longer configured.
    pub async fn waiting_rows(&self) -> Result<Vec<Row>, StoreError> {
        let select = sqlx::query(
            "SELECT * FROM outbox WHERE waits = 1 OR fate = 'held' ORDER BY incident, receiver, integration",
        );
        select.fetch_all(&self.readers).await?.iter().map(read).collect()
    }
}

/// A row as stored.
pub(crate) fn read(row: &AnyRow) -> Result<Row, StoreError> {
    let told = match row.maybe_number("told_revision")? {
        None => None,
        Some(_) => Some(told(row, "told_revision", "told_status", "told_severity", "told_silenced")?),
    };
    let digest = row.maybe_number("digest")?.unwrap_or_default();
    Ok(Row {
        key: RowKey {
            incident: IncidentId::from_text(&row.text("incident")?),
            receiver: row.text("receiver")?.into(),
            integration: row.text("integration")?.into(),
        },
        version: row.number("version")?,
        desired: self::told(
            row,
            "desired_revision",
            "desired_status",
            "desired_severity",
            "desired_silenced",
        )?,
        told,
        handle: row.maybe_text("handle")?.map(Handle),
        fate: row.word("fate", |name| parse_fate(name, DigestId(digest)))?,
        lane: lane(row.number("lane")?).ok_or_else(|| StoreError::Corrupt("lane".into()))?,
        send_resolved: row.flag("send_resolved")?,
        attempts: row.count("attempts")?,
        due: row.wall("due")?,
        waiting_since: row.wall("waiting_since")?,
        messages: row.count("messages")?,
        last_error: row.maybe_text("last_error")?,
        created_at: row.wall("created_at")?,
        via: row.maybe_text("via")?.map(Into::into),
        group: group(row)?,
        repeat: row.maybe_number("repeat_ms")?.map(millis),
        again: row.flag("again")?,
        hushed: row.flag("hushed")?,
    })
}

/// The group that a row of either table names; an empty name is none.
pub(crate) fn group(row: &AnyRow) -> Result<Option<Group>, StoreError> {
    let Some(name) = row.maybe_text("grp")?.filter(|name| !name.is_empty()) else { return Ok(None) };
    let span = |column: &str| Ok::<_, StoreError>(row.maybe_number(column)?.map(millis).unwrap_or_default());
    Ok(Some(Group { name: name.into(), wait: span("grp_wait")?, interval: span("grp_interval")? }))
}

fn millis(millis: i64) -> Duration {
    Duration::from_millis(u64::try_from(millis).unwrap_or_default())
}

pub(crate) fn in_millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

fn told(
    row: &AnyRow,
    revision: &str,
    status: &str,
    severity: &str,
    silenced: &str,
) -> Result<Told, StoreError> {
    Ok(Told {
        revision: row.count(revision)?,
        status: row.word(status, Status::parse)?,
        severity: row.severity(severity)?,
        silenced: row.flag(silenced)?,
    })
}

/// Writes a row under its version; the lease is left as it is.
pub(crate) async fn save(tx: &mut Transaction<'_, Any>, row: &Row) -> Result<(), SaveError> {
    let sql = if row.version == 0 { INSERT } else { UPDATE };
    let done = sqlx::query(sql)
        .bind(row.key.incident.as_str().to_owned())
        .bind(row.key.receiver.to_string())
        .bind(row.key.integration.to_string())
        .bind(row.version)
        .bind(i64::from(row.desired.revision))
        .bind(row.desired.status.name())
        .bind(rank(row.desired.severity))
        .bind(row.told.map(|told| i64::from(told.revision)))
        .bind(row.told.map(|told| told.status.name()))
        .bind(row.told.map(|told| rank(told.severity)))
        .bind(row.handle.as_ref().map(|handle| handle.0.clone()))
        .bind(fate_name(&row.fate))
        .bind(lane_rank(row.lane))
        .bind(i64::from(row.send_resolved))
        .bind(i64::from(row.attempts))
        .bind(row.due.millis())
        .bind(row.waiting_since.millis())
        .bind(i64::from(row.messages))
        .bind(row.last_error.clone())
        .bind(row.created_at.millis())
        .bind(i64::from(row.next_action().is_some()))
        .bind(match row.fate {
            Fate::Held(digest) | Fate::InDigest(digest) => Some(digest.0),
            _ => None,
        })
        .bind(row.via.as_ref().map(ToString::to_string))
        .bind(row.group.as_ref().map(|group| group.name.to_string()))
        .bind(row.group.as_ref().map(|group| in_millis(group.wait)))
        .bind(row.group.as_ref().map(|group| in_millis(group.interval)))
        .bind(row.repeat.map(in_millis))
        .bind(i64::from(row.again))
        .bind(row.repeat_at().map(Wall::millis))
        .bind(i64::from(row.desired.silenced))
        .bind(i64::from(row.told.is_some_and(|told| told.silenced)))
        .bind(i64::from(row.hushed))
        .execute(&mut **tx)
        .await
        .map_err(SaveError::of_insert)?;
    if done.rows_affected() == 1 { Ok(()) } else { Err(SaveError::Conflict) }
}

const INSERT: &str = "INSERT INTO outbox (incident, receiver, integration, version, desired_revision, desired_status, \
     desired_severity, told_revision, told_status, told_severity, handle, fate, lane, send_resolved, attempts, due, \
     waiting_since, messages, last_error, created_at, waits, digest, via, grp, grp_wait, grp_interval, repeat_ms, again, \
     repeat_at, desired_silenced, told_silenced, hushed) VALUES ($1, $2, $3, $4 + 1, $5, $6, $7, $8, $9, $10, $11, $12, $13, \
     $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32)";

const UPDATE: &str = "UPDATE outbox SET version = version + 1, desired_revision = $5, desired_status = $6, \
     desired_severity = $7, told_revision = $8, told_status = $9, told_severity = $10, handle = $11, fate = $12, \
     lane = $13, send_resolved = $14, attempts = $15, due = $16, waiting_since = $17, messages = $18, \
     last_error = $19, created_at = $20, waits = $21, \
     digest = CASE WHEN $12 = 'suppressed:cleared_before_send' THEN digest ELSE $22 END, via = $23, \
     grp = $24, grp_wait = $25, grp_interval = $26, repeat_ms = $27, again = $28, repeat_at = $29, \
     desired_silenced = $30, told_silenced = $31, hushed = $32 \
     WHERE incident = $1 AND receiver = $2 AND integration = $3 AND version = $4";

/// The name of a fate in SQL: `suppressed` with its reason.
pub(crate) fn fate_name(fate: &Fate) -> String {
    match fate {
        Fate::Pending => "pending".into(),
        Fate::Held(_) => "held".into(),
        Fate::Delivered => "delivered".into(),
        Fate::InDigest(_) => "in_digest".into(),
        Fate::Dead => "dead".into(),
        Fate::Suppressed(why) => format!("suppressed:{}", why.name()),
    }
}

/// The fate of this name, in this digest where it is in one.
pub(crate) fn parse_fate(name: &str, digest: DigestId) -> Option<Fate> {
    match name {
        "pending" => Some(Fate::Pending),
        "held" => Some(Fate::Held(digest)),
        "delivered" => Some(Fate::Delivered),
        "in_digest" => Some(Fate::InDigest(digest)),
        "dead" => Some(Fate::Dead),
        _ => {
            let why = name.strip_prefix("suppressed:")?;
            Suppressed::ALL.into_iter().find(|known| known.name() == why).map(Fate::Suppressed)
        }
    }
}

/// Smaller is sooner.
pub(crate) fn lane_rank(lane: Lane) -> i64 {
    match lane {
        Lane::Page => 0,
        Lane::Ticket => 1,
        Lane::Update => 2,
        Lane::Info => 3,
    }
}

pub(crate) fn lane(rank: i64) -> Option<Lane> {
    Lane::ALL.into_iter().find(|lane| lane_rank(*lane) == rank)
}
