//! Reading incidents: by fingerprint for the fold, unresolved ones for the passing of time, pages for people.

use std::collections::BTreeMap;

use beaconfire_incident::{Fingerprint, Incident, IncidentId, Status};
use beaconfire_model::{EventTime, Kind, Labels};
use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use crate::doc::Doc;
use crate::sql::{Fields, list};
use crate::{Store, StoreError};

/// Episodes of a fingerprint that a fold looks at: older ones are beyond reach of what may still arrive.
const EPISODES: i64 = 5;

/// Longest page.
const PAGE_MAX: usize = 500;

/// Keys asked for in one statement.
pub(crate) const AT_ONCE: usize = 200;

/// Which incidents.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Query {
    /// Any of these; empty for all.
    pub statuses: Vec<Status>,
    /// Any of these; empty for all.
    pub kinds: Vec<Kind>,
    /// Only those whose `service` label is this.
    pub service: Option<String>,
    /// Only those that still held at or after this (`holds_until`).
    pub since: Option<EventTime>,
    /// At most so many, 1 to 500; what lies outside is brought inside.
    pub limit: usize,
    /// Where the page before ended.
    pub cursor: Option<String>,
    /// Worst severity first, then newest: one page, without a cursor. Otherwise newest first (`opened_at`, id).
    pub worst_first: bool,
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// The items, in the list's order.
    pub items: Vec<Incident>,
    /// Give this back for the next page; `None` at the end.
    pub next_cursor: Option<String>,
}

impl Store {
    /// The latest five episodes of each fingerprint, oldest first, and the highest number it ever had. Fingerprints
    /// that were never seen are left out.
    pub async fn episodes(
        &self,
        fingerprints: &[Fingerprint],
    ) -> Result<BTreeMap<Fingerprint, (Vec<Incident>, u32)>, StoreError> {
        let mut found: BTreeMap<Fingerprint, (Vec<Incident>, u32)> = BTreeMap::new();
        for some in fingerprints.chunks(AT_ONCE) {
            let keys = list(some.len());
            // One statement, so that the number and the episodes are of one moment.
            let sql = format!(
                "SELECT e.fingerprint AS of_fingerprint, e.last_episode, i.* FROM episode e LEFT JOIN \
                 (SELECT incident.*, ROW_NUMBER() OVER (PARTITION BY fingerprint ORDER BY episode DESC) AS age \
                 FROM incident WHERE fingerprint IN ({keys})) i \
                 ON i.fingerprint = e.fingerprint AND i.age <= {EPISODES} \
                 WHERE e.fingerprint IN ({keys}) ORDER BY e.fingerprint, i.episode"
            );
            // Made of placeholders and a constant.
            let mut query = sqlx::query(AssertSqlSafe(sql));
            for fingerprint in some {
                query = query.bind(fingerprint.as_str().to_owned());
            }
            for row in &query.fetch_all(&self.readers).await? {
                let fingerprint = Fingerprint::from_text(&row.text("of_fingerprint")?);
                let (episodes, last) = found.entry(fingerprint).or_default();
                *last = row.count("last_episode")?;
                if row.maybe_text("id")?.is_some() {
                    episodes.push(read(row)?);
                }
            }
        }
        Ok(found)
    }

    /// All that are not resolved, by (fingerprint, episode).
    pub async fn unresolved(&self) -> Result<Vec<Incident>, StoreError> {
        let select =
            sqlx::query("SELECT * FROM incident WHERE status <> 'resolved' ORDER BY fingerprint, episode");
        select.fetch_all(&self.readers).await?.iter().map(read).collect()
    }

    /// One incident.
    pub async fn incident(&self, id: &IncidentId) -> Result<Option<Incident>, StoreError> {
        let select = sqlx::query("SELECT * FROM incident WHERE id = $1").bind(id.as_str().to_owned());
        select.fetch_optional(&self.readers).await?.as_ref().map(read).transpose()
    }

    /// A page of incidents.
    pub async fn incidents(&self, query: &Query) -> Result<Page, StoreError> {
        let limit = query.limit.clamp(1, PAGE_MAX);
        let (opened, id) = match query.cursor.as_deref().filter(|_| !query.worst_first) {
            None => (i64::MAX, "~".to_owned()),
            Some(cursor) => {
                let (opened, id) = cursor.split_once('-').ok_or(StoreError::Cursor)?;
                let is_ours = id.bytes().all(|byte| byte.is_ascii_alphanumeric());
                let opened = opened.parse().ok().filter(|_| is_ours).ok_or(StoreError::Cursor)?;
                (opened, id.to_owned())
            }
        };
        let sql = if query.worst_first { WORST_FIRST } else { NEWEST_FIRST };
        let select = sqlx::query(sql)
            .bind(words(query.statuses.iter().map(|status| status.name())))
            .bind(words(query.kinds.iter().map(|kind| kind.name())))
            .bind(query.service.clone())
            .bind(query.since.unwrap_or(EventTime::MIN).millis())
            .bind(opened)
            .bind(id)
            .bind(limit as i64 + 1);
        let rows = select.fetch_all(&self.readers).await?;
        let mut items = rows.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        let more = items.len() > limit;
        items.truncate(limit);
        let last = items.last().filter(|_| more && !query.worst_first);
        let next_cursor = last.map(|last| format!("{}-{}", last.opened_at.millis(), last.id));
        Ok(Page { items, next_cursor })
    }
}

/// What both lists ask: `$1` and `$2` are words between commas, an empty text for all.
macro_rules! matching {
    ($order:literal) => {
        concat!(
            "SELECT * FROM incident WHERE ($1 = '' OR $1 LIKE '%,' || status || ',%') ",
            "AND ($2 = '' OR $2 LIKE '%,' || kind || ',%') AND ($3 IS NULL OR service = $3) ",
            "AND holds_until >= $4 AND (opened_at < $5 OR (opened_at = $5 AND id < $6)) ORDER BY ",
            $order,
            " LIMIT $7"
        )
    };
}
const NEWEST_FIRST: &str = matching!("opened_at DESC, id DESC");
const WORST_FIRST: &str = matching!("severity DESC, opened_at DESC, id DESC");

fn words<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let text = names.fold(String::new(), |text, name| text + "," + name);
    if text.is_empty() { text } else { text + "," }
}

/// An incident from its row.
pub(crate) fn read(row: &AnyRow) -> Result<Incident, StoreError> {
    let mut incident = Incident {
        id: IncidentId::from_text(&row.text("id")?),
        fingerprint: Fingerprint::from_text(&row.text("fingerprint")?),
        episode: row.count("episode")?,
        version: row.number("version")?,
        kind: row.word("kind", Kind::parse)?,
        severity: row.severity("severity")?,
        status: row.word("status", Status::parse)?,
        target: row.subject("target_kind", "target")?,
        labels: Labels::default(),
        rules: BTreeMap::new(),
        rules_beyond: 0,
        started_at: row.event("started_at")?,
        detected_at: row.event("detected_at")?,
        holds_until: row.event("holds_until")?,
        entries: Default::default(),
        opened_at: row.wall("opened_at")?,
        changed_at: row.wall("changed_at")?,
        resolved_at: row.maybe_wall("resolved_at")?,
        resolved_by: None,
        acknowledged: None,
        assignee: None,
        steps: Vec::new(),
        closed_through: None,
        revision: 0,
        participants_total: row.count("participants_total")?,
        participants_estimated: row.flag("participants_estimated")?,
        stale: row.flag("stale")?,
        untold: Default::default(),
    };
    Doc::parse(&row.text("doc")?)?.fill(&mut incident)?;
    Ok(incident)
}
