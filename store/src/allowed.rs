//! Networks that rules leave alone for a while, because somebody took a decision on them back.

use beaconfire_model::Wall;
use beaconfire_throttle::{Allows, Decision, Origin};
use ipnet::IpNet;
use sqlx::any::AnyRow;
use sqlx::{Any, Transaction};

use crate::sql::Fields;
use crate::{SaveError, Store, StoreError};

/// What is allowed at a moment.
const ALLOWED: &str = "SELECT network, until_ms FROM allowed WHERE until_ms > $1";

impl Store {
    /// What rules leave alone at `now`.
    pub async fn allows(&self, now: Wall) -> Result<Allows, StoreError> {
        read(&sqlx::query(ALLOWED).bind(now.millis()).fetch_all(&self.readers).await?)
    }
}

/// Allows a network until then; what is allowed for longer stays so.
pub(crate) async fn put(
    tx: &mut Transaction<'_, Any>,
    network: IpNet,
    until: Wall,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO allowed (network, until_ms) VALUES ($1, $2) ON CONFLICT (network) \
         DO UPDATE SET until_ms = excluded.until_ms WHERE allowed.until_ms < excluded.until_ms",
    )
    .bind(network.to_string())
    .bind(until.millis())
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// A rule's decisions were made by what was read before this transaction: where a person has allowed one of their
/// networks meanwhile, the fold has to read again.
pub(crate) async fn check(tx: &mut Transaction<'_, Any>, decisions: &[Decision]) -> Result<(), SaveError> {
    let by_rule = || decisions.iter().filter(|decision| decision.origin == Origin::Rule);
    let Some(earliest) = by_rule().map(|decision| decision.created).min() else { return Ok(()) };
    let rows = sqlx::query(ALLOWED).bind(earliest.millis()).fetch_all(&mut **tx).await?;
    let allows = read(&rows)?;
    if by_rule().any(|decision| allows.covers(decision.key.network, decision.created)) {
        return Err(SaveError::Conflict);
    }
    Ok(())
}

fn read(rows: &[AnyRow]) -> Result<Allows, StoreError> {
    let one = |row: &AnyRow| -> Result<(IpNet, Wall), StoreError> {
        Ok((row.word("network", |text| text.parse().ok())?, row.wall("until_ms")?))
    };
    Ok(Allows::new(rows.iter().map(one).collect::<Result<Vec<_>, _>>()?))
}
