//! Throttle decisions: at most one is active for each key, never extended, only replaced by a longer one.

use std::collections::BTreeSet;

use beaconfire_incident::IncidentId;
use beaconfire_model::Wall;
use beaconfire_throttle::{Action, Decision, DecisionKey, Mode, Origin};
use ipnet::IpNet;
use sqlx::any::AnyRow;
use sqlx::{Any, Transaction};

use crate::sql::Fields;
use crate::{Store, StoreError, allowed};

/// Decisions handed out at once: as many as a board holds.
const HANDED_MAX: i64 = 100_000;

/// Which decisions to take back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pick {
    /// The one with this number.
    Id(i64),
    /// All on exactly this network.
    Network(IpNet),
    /// All there are.
    All,
}

impl Store {
    /// All that changed at or after `since` (made, replaced, taken back), by number, at most the newest 100,000.
    /// Expiring is no change. With the beginning of time: all there are.
    pub async fn decisions_changed_since(&self, since: Wall) -> Result<Vec<Decision>, StoreError> {
        let select =
            sqlx::query("SELECT * FROM decision WHERE changed >= $1 ORDER BY changed DESC, id DESC LIMIT $2")
                .bind(since.millis())
                .bind(HANDED_MAX);
        sorted(select.fetch_all(&self.readers).await?)
    }

    /// All that hold at `now`, dry runs too, by number, at most the newest 100,000.
    pub async fn decisions_active(&self, now: Wall) -> Result<Vec<Decision>, StoreError> {
        let select = sqlx::query(
            "SELECT * FROM decision WHERE expires > $1 AND deleted IS NULL ORDER BY id DESC LIMIT $2",
        )
        .bind(now.millis())
        .bind(HANDED_MAX);
        sorted(select.fetch_all(&self.readers).await?)
    }

    /// Those that answer an incident, active or not, by number, at most the newest 1,000.
    pub async fn decisions_of(&self, incident: &IncidentId) -> Result<Vec<Decision>, StoreError> {
        let select = sqlx::query("SELECT * FROM decision WHERE incident = $1 ORDER BY id DESC LIMIT 1000")
            .bind(incident.as_str().to_owned());
        sorted(select.fetch_all(&self.readers).await?)
    }

    /// Stores a decision (`id` is ignored) and answers with it as it is stored, or with the one of the same key that
    /// is active and ends no sooner.
    pub async fn add_decision(&self, decision: &Decision) -> Result<Decision, StoreError> {
        let mut tx = self.begin().await?;
        let stored = put(&mut tx, decision).await?;
        tx.commit().await?;
        Ok(stored)
    }

    /// Takes decisions back, and answers with those that were active, as they now stand, by number. Where
    /// `allow_until` is given, rules leave their networks alone until then, and a network that was named also where
    /// nothing was active on it: a rule may be about to decide.
    pub async fn delete_decision(
        &self,
        pick: &Pick,
        allow_until: Option<Wall>,
        now: Wall,
    ) -> Result<Vec<Decision>, StoreError> {
        let (id, network) = match pick {
            Pick::Id(id) => (Some(*id), None),
            Pick::Network(network) => (None, Some(network.to_string())),
            Pick::All => (None, None),
        };
        let mut tx = self.begin().await?;
        let select = sqlx::query(
            "SELECT * FROM decision WHERE expires > $1 AND deleted IS NULL AND ($2 IS NULL OR id = $2) \
             AND ($3 IS NULL OR network = $3) ORDER BY id",
        );
        let rows = select.bind(now.millis()).bind(id).bind(network).fetch_all(&mut *tx).await?;
        let mut taken = rows.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        for decision in &mut taken {
            take_back(&mut tx, decision, now).await?;
        }
        if let Some(until) = allow_until {
            let named = match pick {
                Pick::Network(network) => Some(*network),
                Pick::Id(_) | Pick::All => None,
            };
            let networks = taken.iter().map(|decision| decision.key.network).chain(named);
            for network in networks.collect::<BTreeSet<_>>() {
                allowed::put(&mut tx, network, until).await?;
            }
        }
        tx.commit().await?;
        Ok(taken)
    }
}

/// Stores a decision, unless one of the same key is active that ends no sooner; a shorter one is taken back.
pub(crate) async fn put(tx: &mut Transaction<'_, Any>, decision: &Decision) -> Result<Decision, StoreError> {
    let select = sqlx::query(
        "SELECT * FROM decision WHERE network = $1 AND action = $2 AND mode = $3 AND deleted IS NULL \
         AND expires > $4 ORDER BY expires DESC, id",
    )
    .bind(decision.key.network.to_string())
    .bind(decision.key.action.name())
    .bind(decision.key.mode.name())
    .bind(decision.created.millis());
    for row in &select.fetch_all(&mut **tx).await? {
        let mut held = read(row)?;
        if held.expires >= decision.expires {
            return Ok(held);
        }
        take_back(tx, &mut held, decision.created).await?;
    }
    // Numbers are never used twice, also where retention has deleted the highest: bouncers remember them.
    let next = sqlx::query(
        "INSERT INTO counter (name, value) VALUES ('decision', 1) \
         ON CONFLICT (name) DO UPDATE SET value = counter.value + 1 RETURNING value",
    );
    let id = next.fetch_one(&mut **tx).await?.number("value")?;
    let by = match &decision.origin {
        Origin::Rule => None,
        Origin::Manual(name) => Some(name.clone()),
    };
    sqlx::query(
        "INSERT INTO decision (id, network, action, mode, scenario, decided_by, incident, reason, created, expires, \
         deleted, changed) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
    )
    .bind(id)
    .bind(decision.key.network.to_string())
    .bind(decision.key.action.name())
    .bind(decision.key.mode.name())
    .bind(decision.scenario.to_string())
    .bind(by)
    .bind(decision.incident.as_ref().map(|incident| incident.as_str().to_owned()))
    .bind(decision.reason.clone())
    .bind(decision.created.millis())
    .bind(decision.expires.millis())
    .bind(decision.deleted.map(Wall::millis))
    .bind(decision.changed.millis())
    .execute(&mut **tx)
    .await?;
    Ok(Decision { id, ..decision.clone() })
}

async fn take_back(
    tx: &mut Transaction<'_, Any>,
    decision: &mut Decision,
    now: Wall,
) -> Result<(), StoreError> {
    let update = sqlx::query("UPDATE decision SET deleted = $2, changed = $2 WHERE id = $1");
    update.bind(decision.id).bind(now.millis()).execute(&mut **tx).await?;
    decision.deleted = Some(now);
    decision.changed = now;
    Ok(())
}

fn sorted(rows: Vec<AnyRow>) -> Result<Vec<Decision>, StoreError> {
    let mut decisions = rows.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    decisions.sort_by_key(|decision| decision.id);
    Ok(decisions)
}

fn read(row: &AnyRow) -> Result<Decision, StoreError> {
    Ok(Decision {
        id: row.number("id")?,
        key: DecisionKey {
            network: row.word("network", |text| text.parse().ok())?,
            action: row.word("action", Action::parse)?,
            mode: row.word("mode", Mode::parse)?,
        },
        scenario: row.text("scenario")?.into(),
        origin: row.maybe_text("decided_by")?.map_or(Origin::Rule, Origin::Manual),
        incident: row.maybe_text("incident")?.map(|id| IncidentId::from_text(&id)),
        reason: row.text("reason")?,
        created: row.wall("created")?,
        expires: row.wall("expires")?,
        deleted: row.maybe_wall("deleted")?,
        changed: row.wall("changed")?,
    })
}
