//! The schema's versions, embedded. Each is applied once, in one transaction, by whichever process comes first.

use std::collections::BTreeSet;

use rand::Rng;
use sqlx::{Any, Transaction};

use crate::StoreError;
use crate::sql::Fields;

/// All steps by their version, in order; a step that was released is never edited.
const STEPS: [(i64, &str); 9] = [
    (1, include_str!("../migrations/0001_first.sql")),
    (2, include_str!("../migrations/0002_allowed.sql")),
    (3, include_str!("../migrations/0003_written.sql")),
    (4, include_str!("../migrations/0004_baselines.sql")),
    (5, include_str!("../migrations/0005_silences.sql")),
    (6, include_str!("../migrations/0006_digests.sql")),
    (7, include_str!("../migrations/0007_fallbacks.sql")),
    (8, include_str!("../migrations/0008_groups.sql")),
    (9, include_str!("../migrations/0009_indexes.sql")),
];

/// What was made with the store and stays with it.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) installation: String,
    pub(crate) seed: u64,
}

/// Brings the schema up to date and reads the identity. Runs under the write lock, so that two processes that start
/// together do not both begin.
pub(crate) async fn migrate(tx: &mut Transaction<'_, Any>) -> Result<Identity, StoreError> {
    sqlx::query("CREATE TABLE IF NOT EXISTS schema_version (version BIGINT NOT NULL)")
        .execute(&mut **tx)
        .await?;
    let row = sqlx::query("SELECT COALESCE(MAX(version), 0) AS found FROM schema_version")
        .fetch_one(&mut **tx)
        .await?;
    let (found, known) = (row.number("found")?, STEPS[STEPS.len() - 1].0);
    if found > known {
        return Err(StoreError::Newer { found, known });
    }
    // By name, not by the highest: versions may come in another order than their numbers have.
    let rows = sqlx::query("SELECT version FROM schema_version").fetch_all(&mut **tx).await?;
    let applied = rows.iter().map(|row| row.number("version")).collect::<Result<BTreeSet<_>, _>>()?;
    for (version, step) in STEPS.into_iter().filter(|(version, _)| !applied.contains(version)) {
        sqlx::raw_sql(step).execute(&mut **tx).await?;
        sqlx::query("INSERT INTO schema_version (version) VALUES ($1)")
            .bind(version)
            .execute(&mut **tx)
            .await?;
    }
    if found == 0 {
        let (installation, seed): (u64, u64) = rand::rng().random();
        set(tx, "installation", &format!("{installation:016x}")).await?;
        set(tx, "seed", &seed.to_string()).await?;
    }
    let seed = get(tx, "seed").await?;
    Ok(Identity {
        installation: get(tx, "installation").await?,
        seed: seed.parse().map_err(|_| StoreError::Corrupt("meta.seed".into()))?,
    })
}

async fn set(tx: &mut Transaction<'_, Any>, name: &str, value: &str) -> Result<(), StoreError> {
    let insert = sqlx::query("INSERT INTO meta (name, value) VALUES ($1, $2)");
    insert.bind(name.to_owned()).bind(value.to_owned()).execute(&mut **tx).await?;
    Ok(())
}

async fn get(tx: &mut Transaction<'_, Any>, name: &str) -> Result<String, StoreError> {
    let select = sqlx::query("SELECT value FROM meta WHERE name = $1").bind(name.to_owned());
    match select.fetch_optional(&mut **tx).await? {
        Some(row) => row.text("value"),
        None => Err(StoreError::Corrupt(format!("meta.{name}"))),
    }
}
