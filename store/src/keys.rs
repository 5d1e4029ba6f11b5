//! Keys of bouncers: shown once, kept as their SHA-256. They are long and random, so nothing slower is needed.

use beaconfire_model::Wall;
use rand::Rng;
use sha2::{Digest, Sha256};

use crate::sql::Fields;
use crate::{Store, StoreError};

/// A key, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// The name the operator gave it.
    pub name: String,
    /// Since when.
    pub created: Wall,
    /// When it was shown to us last.
    pub last_used: Option<Wall>,
    /// When it was revoked.
    pub revoked: Option<Wall>,
}

impl Store {
    /// Makes a key and answers with its secret (64 hex digits), which is not kept: this is the only time it can be
    /// shown. Refused where a key of this name is not revoked.
    pub async fn key_add(&self, name: &str, now: Wall) -> Result<String, StoreError> {
        let bytes: [u8; 32] = rand::rng().random();
        let secret = hex(&bytes);
        let insert = sqlx::query("INSERT INTO api_key (sha256, name, created) VALUES ($1, $2, $3)")
            .bind(hex(&Sha256::digest(secret.as_bytes())))
            .bind(name.to_owned())
            .bind(now.millis());
        match insert.execute(&self.writer).await.map_err(StoreError::from) {
            Ok(_) => Ok(secret),
            Err(cause) if cause.is_unique() => Err(StoreError::KeyExists(name.to_owned())),
            Err(cause) => Err(cause),
        }
    }

    /// All keys, by name, then age.
    pub async fn key_list(&self) -> Result<Vec<Key>, StoreError> {
        let select =
            sqlx::query("SELECT name, created, last_used, revoked FROM api_key ORDER BY name, created");
        let rows = select.fetch_all(&self.readers).await?;
        let read = |row: &sqlx::any::AnyRow| {
            Ok(Key {
                name: row.text("name")?,
                created: row.wall("created")?,
                last_used: row.maybe_wall("last_used")?,
                revoked: row.maybe_wall("revoked")?,
            })
        };
        rows.iter().map(read).collect()
    }

    /// Revokes the key of this name; `false` where there is none that is not revoked.
    pub async fn key_revoke(&self, name: &str, now: Wall) -> Result<bool, StoreError> {
        let update = sqlx::query("UPDATE api_key SET revoked = $2 WHERE name = $1 AND revoked IS NULL");
        let done = update.bind(name.to_owned()).bind(now.millis()).execute(&self.writer).await?;
        Ok(done.rows_affected() > 0)
    }

    /// The name of the key whose secret has this SHA-256 (64 lower-case hex digits), unless it is revoked.
    pub async fn key_verify(&self, sha256: &str) -> Result<Option<String>, StoreError> {
        let select = sqlx::query("SELECT name FROM api_key WHERE sha256 = $1 AND revoked IS NULL");
        let row = select.bind(sha256.to_owned()).fetch_optional(&self.readers).await?;
        row.map(|row| row.text("name")).transpose()
    }

    /// Writes down that the key of this name was used; an earlier time than is known changes nothing.
    pub async fn key_touch(&self, name: &str, now: Wall) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE api_key SET last_used = $2 WHERE name = $1 AND revoked IS NULL \
             AND (last_used IS NULL OR last_used < $2)",
        )
        .bind(name.to_owned())
        .bind(now.millis())
        .execute(&self.writer)
        .await?;
        Ok(())
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
