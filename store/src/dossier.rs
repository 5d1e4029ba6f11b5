//! An incident with all that hangs on it.

use std::net::IpAddr;

use beaconfire_incident::{
    Dossier, IncidentId, ParticipantRow, RatePoint, SampleRow, SignalRow, TimelineEntry,
};
use beaconfire_model::{Client, Earliest, EventTime, Latest, Peak, Untrusted};
use sqlx::any::AnyRow;
use sqlx::{Any, Transaction};

use crate::sql::Fields;
use crate::{Store, StoreError, incidents};

impl Store {
    /// An incident with all that hangs on it, as of one moment.
    pub async fn dossier(&self, id: &IncidentId) -> Result<Option<Dossier>, StoreError> {
        // A transaction that only reads: what it sees does not move while it reads.
        let mut tx = self.readers.begin().await?;
        let rows = all(&mut tx, "SELECT * FROM incident WHERE id = $1", id).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let incident = incidents::read(row)?;
        let signals = "SELECT * FROM incident_signal WHERE incident = $1 \
             ORDER BY first_at, rule, subject_kind, subject LIMIT 10000";
        let participants = "SELECT * FROM participant WHERE incident = $1 \
             ORDER BY events DESC, subject_kind, subject LIMIT 10000";
        let timeline = "SELECT * FROM timeline WHERE incident = $1 ORDER BY seq";
        let samples = "SELECT * FROM sample WHERE incident = $1 ORDER BY at_ms, client, said, sent_by";
        let points = "SELECT * FROM point WHERE incident = $1 ORDER BY rule, at_ms";
        Ok(Some(Dossier {
            incident,
            signals: each(&all(&mut tx, signals, id).await?, signal)?,
            participants: each(&all(&mut tx, participants, id).await?, participant)?,
            timeline: each(&all(&mut tx, timeline, id).await?, line)?,
            samples: each(&all(&mut tx, samples, id).await?, sample)?,
            points: each(&all(&mut tx, points, id).await?, point)?,
        }))
    }
}

async fn all(
    tx: &mut Transaction<'_, Any>,
    sql: &'static str,
    id: &IncidentId,
) -> Result<Vec<AnyRow>, StoreError> {
    Ok(sqlx::query(sql).bind(id.as_str().to_owned()).fetch_all(&mut **tx).await?)
}

fn each<T>(rows: &[AnyRow], read: fn(&AnyRow) -> Result<T, StoreError>) -> Result<Vec<T>, StoreError> {
    rows.iter().map(read).collect()
}

fn signal(row: &AnyRow) -> Result<SignalRow, StoreError> {
    Ok(SignalRow {
        rule: row.text("rule")?.into(),
        subject: row.subject("subject_kind", "subject")?,
        severity: row.severity("severity")?,
        observed: row.real("observed")?,
        threshold: row.real("threshold")?,
        window: row.duration("window_ms")?,
        first: row.event("first_at")?,
        holds_until: row.event("holds_until")?,
    })
}

fn participant(row: &AnyRow) -> Result<ParticipantRow, StoreError> {
    Ok(ParticipantRow {
        subject: row.subject("subject_kind", "subject")?,
        events: Peak(row.real("events")?),
        first_seen: Earliest(row.event("first_seen")?),
        last_seen: Latest(row.event("last_seen")?),
    })
}

fn line(row: &AnyRow) -> Result<TimelineEntry, StoreError> {
    Ok(TimelineEntry {
        at: row.wall("at_ms")?,
        event_at: row.maybe_number("event_at")?.map(EventTime::from_millis),
        actor: row.text("actor")?,
        what: row.text("what")?,
        text: row.text("said")?,
    })
}

fn sample(row: &AnyRow) -> Result<SampleRow, StoreError> {
    let client = |text: &str| match text {
        "" => Some(None),
        // An IPv6 client prints as its /64.
        text => text.split('/').next()?.parse::<IpAddr>().ok().map(|address| Some(Client::of(address))),
    };
    // Cleaned and cut before it was written; the bound leaves room for what cleaning may add.
    let text = |column| Ok::<_, StoreError>(Untrusted::new(&row.text(column)?, 1_024));
    Ok(SampleRow {
        time: row.event("at_ms")?,
        client: row.word("client", client)?,
        text: text("said")?,
        by: text("sent_by")?,
    })
}

fn point(row: &AnyRow) -> Result<RatePoint, StoreError> {
    Ok(RatePoint { rule: row.text("rule")?.into(), at: row.event("at_ms")?, value: row.real("value")? })
}
