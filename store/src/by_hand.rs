//! What people see of the outbox and do to it: the rows that are not told in full, and trying or dropping them.

use std::collections::BTreeMap;

use beaconfire_incident::{Incident, IncidentId, TimelineEntry};
use beaconfire_model::{Untrusted, Wall};
use beaconfire_outbox::{ByHand, Fate, Row};
use sqlx::AssertSqlSafe;

use crate::incidents::{self, AT_ONCE};
use crate::save::timeline;
use crate::sql::{Fields as _, list};
use crate::{SaveError, Store, StoreError, outbox};

/// Longest page.
const PAGE_MAX: usize = 500;

/// Which rows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UnfinishedQuery {
    /// Only this receiver's.
    pub receiver: Option<String>,
    /// Only those of this fate: pending, held, delivered, in_digest or dead.
    pub fate: Option<String>,
    /// At most so many, 1 to 500; what lies outside is brought inside.
    pub limit: usize,
    /// Where the page before ended.
    pub cursor: Option<String>,
}

/// A row that is not told in full.
#[derive(Debug, Clone, PartialEq)]
pub struct Unfinished {
    /// The row.
    pub row: Row,
    /// What it is about.
    pub incident: Incident,
    /// Whether its receiver's fallback was told in its place.
    pub fell_back: bool,
    /// Whether a sender is at it.
    pub in_flight: bool,
}

/// What became of a request to try or drop rows.
#[derive(Debug, Clone, PartialEq)]
pub enum Handled {
    /// Done: the rows as they now stand.
    Done(Vec<Row>),
    /// There is no such row.
    NotFound,
    /// Nothing was changed; why, in words for the person who asked.
    Refused(String),
}

/// `$1` receiver and `$2` fate, each NULL for all; `$3` to `$6` the last row of the page before.
const UNFINISHED: &str = "SELECT * FROM outbox WHERE (waits = 1 OR fate IN ('held', 'dead')) \
     AND ($1 IS NULL OR receiver = $1) AND ($2 IS NULL OR fate = $2) \
     AND (created_at, incident, receiver, integration) > ($3, $4, $5, $6) \
     ORDER BY created_at, incident, receiver, integration LIMIT $7";

/// The rows of one incident at one receiver, with the lease of the digest that a row may be held for.
const PICKED: &str = "SELECT outbox.*, digest.lease_until AS digest_lease_until FROM outbox \
     LEFT JOIN digest ON digest.id = outbox.digest AND outbox.fate = 'held' \
     WHERE outbox.incident = $1 AND outbox.receiver = $2 AND ($3 IS NULL OR outbox.integration = $3) \
     ORDER BY outbox.integration";

impl Store {
    /// A page of the rows that are not told in full: waiting, held for a digest, or dead; the oldest first. With it,
    /// where the next page begins.
    pub async fn unfinished(
        &self,
        query: &UnfinishedQuery,
        now: Wall,
    ) -> Result<(Vec<Unfinished>, Option<String>), StoreError> {
        let limit = query.limit.clamp(1, PAGE_MAX);
        let after = match query.cursor.as_deref() {
            None => After { created: i64::MIN, incident: "", integration: "", receiver: "" },
            Some(cursor) => After::read(cursor).ok_or(StoreError::Cursor)?,
        };
        let found = sqlx::query(UNFINISHED)
            .bind(query.receiver.clone())
            .bind(query.fate.clone())
            .bind(after.created)
            .bind(after.incident.to_owned())
            .bind(after.receiver.to_owned())
            .bind(after.integration.to_owned())
            .bind(limit as i64 + 1)
            .fetch_all(&self.readers)
            .await?;
        let mut rows = Vec::with_capacity(found.len().min(limit));
        for row in found.iter().take(limit) {
            let in_flight = row.maybe_number("lease_until")?.is_some_and(|until| until > now.millis());
            rows.push((outbox::read(row)?, row.flag("fell_back")?, in_flight));
        }
        let last = rows.last().filter(|_| found.len() > limit);
        let next = last.map(|(row, ..)| After::of(row).print());
        let mut about = self.about(rows.iter().map(|(row, ..)| &row.key.incident)).await?;
        // Retention may take an incident between the two questions, and its rows with it.
        let whole = rows.into_iter().filter_map(|(row, fell_back, in_flight)| {
            let incident = about.get_mut(&row.key.incident)?.clone();
            Some(Unfinished { row, incident, fell_back, in_flight })
        });
        Ok((whole.collect(), next))
    }

    async fn about(
        &self,
        ids: impl Iterator<Item = &IncidentId>,
    ) -> Result<BTreeMap<IncidentId, Incident>, StoreError> {
        let ids: std::collections::BTreeSet<&IncidentId> = ids.collect();
        let ids: Vec<&IncidentId> = ids.into_iter().collect();
        let mut about = BTreeMap::new();
        for some in ids.chunks(AT_ONCE) {
            // Made of placeholders.
            let sql = format!("SELECT * FROM incident WHERE id IN ({})", list(some.len()));
            let mut select = sqlx::query(AssertSqlSafe(sql));
            for id in some {
                select = select.bind(id.as_str().to_owned());
            }
            for row in &select.fetch_all(&self.readers).await? {
                let incident = incidents::read(row)?;
                about.insert(incident.id.clone(), incident);
            }
        }
        Ok(about)
    }

    /// Tries or drops one incident's rows at a receiver, of one integration or of all, in one transaction with a line
    /// for each in the incident's timeline. Of all integrations, those to which it cannot be done are left out, unless
    /// that is all. What a sender is at is refused: nobody knows yet what has become of it.
    pub async fn by_hand(
        &self,
        incident: &IncidentId,
        receiver: &str,
        integration: Option<&str>,
        what: ByHand,
        actor: &str,
        now: Wall,
    ) -> Result<Handled, StoreError> {
        let mut tx = self.begin().await?;
        let found = sqlx::query(PICKED)
            .bind(incident.as_str().to_owned())
            .bind(receiver.to_owned())
            .bind(integration.map(str::to_owned))
            .fetch_all(&mut *tx)
            .await?;
        if found.is_empty() {
            return Ok(Handled::NotFound);
        }
        let actor = Untrusted::new(actor.trim(), 128).clean().to_owned();
        let (mut done, mut lines, mut refused) = (Vec::new(), Vec::new(), None);
        for row in &found {
            let is_leased = |until: Option<i64>| until.is_some_and(|until| until > now.millis());
            let in_flight = is_leased(row.maybe_number("lease_until")?)
                || is_leased(row.maybe_number("digest_lease_until")?);
            let row = outbox::read(row)?;
            let place = format!("{} ({})", row.key.receiver, row.key.integration);
            if in_flight {
                return Ok(Handled::Refused(format!("{place} is being told at this moment: try again")));
            }
            let mut applied = match what.apply(row, now) {
                Ok(applied) => applied,
                Err(why) => {
                    refused.get_or_insert_with(|| format!("{place}: {why}"));
                    continue;
                }
            };
            match outbox::save(&mut tx, &applied).await {
                Ok(()) => applied.version += 1,
                // Read in this transaction, under the write lock; where there is none, somebody else was first.
                Err(SaveError::Conflict) => {
                    return Ok(Handled::Refused(format!("{place} has just moved: try again")));
                }
                Err(SaveError::Store(cause)) => return Err(cause),
            }
            let text = match (what, &applied.fate) {
                (ByHand::Retry, _) => format!("{place} is tried again"),
                (ByHand::Drop, Fate::Suppressed(_)) => format!("{place} is not told"),
                (ByHand::Drop, _) => format!("{place} is not told the rest"),
            };
            let (actor, what) = (actor.clone(), what.done().to_owned());
            lines.push(TimelineEntry { at: now, event_at: None, actor, what, text });
            done.push(applied);
        }
        if let Some(why) = refused.filter(|_| done.is_empty()) {
            return Ok(Handled::Refused(why));
        }
        timeline(&mut tx, incident.as_str(), &lines).await?;
        tx.commit().await?;
        Ok(Handled::Done(done))
    }
}

/// A place in the list.
struct After<'a> {
    created: i64,
    incident: &'a str,
    integration: &'a str,
    receiver: &'a str,
}

impl<'a> After<'a> {
    fn of(row: &'a Row) -> Self {
        let key = &row.key;
        Self {
            created: row.created_at.millis(),
            incident: key.incident.as_str(),
            integration: &key.integration,
            receiver: &key.receiver,
        }
    }

    /// The receiver comes last: it is the one name that may hold anything.
    fn print(&self) -> String {
        format!("{}/{}/{}/{}", self.created, self.incident, self.integration, self.receiver)
    }

    fn read(cursor: &'a str) -> Option<Self> {
        let mut parts = cursor.splitn(4, '/');
        let created = parts.next()?.parse().ok()?;
        let (incident, integration, receiver) = (parts.next()?, parts.next()?, parts.next()?);
        Some(Self { created, incident, integration, receiver })
    }
}
