//! Opening, closing, and the two ways in: one connection that writes, a few that read.

use std::sync::Arc;
use std::time::Duration;

use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::{Any, AnyPool, Transaction};

use crate::migrate::{Identity, migrate};
use crate::{StoreError, file, sqlite};

/// Connections that read at the same time.
const READERS: u32 = 4;

/// How long a caller waits for its turn: a writer that waits its 5 s for another process's lock may be before it.
const TURN_MAX: Duration = Duration::from_secs(15);

/// How often opening is tried while other processes open the same new file: changing to WAL fails at once where
/// another connection is in the way, without regard to the busy timeout.
const OPEN_TRIES: u32 = 20;

/// Where incidents are kept, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreKnobs {
    /// `sqlite:PATH`.
    pub url: String,
    /// How long resolved incidents and ended decisions are kept.
    pub retention: Duration,
}

/// The store. Clones share its connections; several processes may share its file.
#[derive(Debug, Clone)]
pub struct Store {
    pub(crate) writer: AnyPool,
    pub(crate) readers: AnyPool,
    pub(crate) retention: Duration,
    identity: Arc<Identity>,
}

impl Store {
    /// Opens the store, makes it where there is none (mode 0600, in a directory that exists), and brings its schema
    /// up to date. Refuses databases other than SQLite, and a schema newer than ours.
    pub async fn open(knobs: &StoreKnobs) -> Result<Self, StoreError> {
        let path = file::path(&knobs.url)?;
        file::make(&path)?;
        let url = file::driver_url(&path);
        let mut tries = 0;
        loop {
            match Self::try_open(&url, knobs.retention).await {
                Err(cause) if cause.is_busy() && tries < OPEN_TRIES => {
                    tries += 1;
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                other => return other,
            }
        }
    }

    async fn try_open(url: &str, retention: Duration) -> Result<Self, StoreError> {
        sqlx::any::install_default_drivers();
        let options: AnyConnectOptions = url.parse()?;
        let writer = pool(1, sqlite::WRITER).connect_with(options.clone()).await?;
        let mut tx = writer.begin_with(sqlite::BEGIN).await?;
        let identity = Arc::new(migrate(&mut tx).await?);
        tx.commit().await?;
        let readers = pool(READERS, sqlite::READER).connect_with(options).await?;
        Ok(Self { writer, readers, retention, identity })
    }

    /// The installation's own id, 16 hex digits, made with the store: part of dedup keys and Message-IDs.
    pub fn installation(&self) -> &str {
        &self.identity.installation
    }

    /// The seed for hashes over what attackers choose, made with the store.
    pub fn seed(&self) -> u64 {
        self.identity.seed
    }

    /// Whether the store can be read.
    pub async fn healthy(&self) -> Result<(), StoreError> {
        sqlx::query("SELECT name FROM meta LIMIT 1").fetch_optional(&self.readers).await?;
        Ok(())
    }

    /// Closes all connections; what was saved is in the file. Calls through other clones fail from now on.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    /// A transaction that nobody else's write can come into.
    pub(crate) async fn begin(&self) -> Result<Transaction<'static, Any>, StoreError> {
        match self.writer.begin_with(sqlite::BEGIN).await {
            // SQLite ends some failed transactions by itself (a full disk, an error of the disk). The driver's own
            // rollback then fails, and it takes the connection to be within a transaction for ever: another one helps.
            Err(sqlx::Error::InvalidSavePointStatement) => {
                self.writer.acquire().await?.close().await?;
                Ok(self.writer.begin_with(sqlite::BEGIN).await?)
            }
            begun => Ok(begun?),
        }
    }
}

fn pool(connections: u32, settings: &'static str) -> AnyPoolOptions {
    AnyPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(TURN_MAX)
        .idle_timeout(None)
        .max_lifetime(None)
        .after_connect(move |connection, _| {
            Box::pin(async move {
                sqlx::raw_sql(settings).execute(connection).await?;
                Ok(())
            })
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_disk_that_was_full_costs_the_transactions_of_that_time_only() {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}/store.db", directory.path().display());
        let store = Store::open(&StoreKnobs { url, retention: Duration::from_secs(1) }).await.unwrap();
        sqlx::query("CREATE TABLE ballast (bytes BLOB)").execute(&store.writer).await.unwrap();
        let write = async || {
            let mut tx = store.begin().await?;
            sqlx::query("INSERT INTO ballast VALUES (zeroblob(1000000))").execute(&mut *tx).await?;
            Ok::<_, StoreError>(tx.commit().await?)
        };
        // The least that it can be: what is there.
        sqlx::raw_sql("PRAGMA max_page_count = 1").execute(&store.writer).await.unwrap();
        let full = write().await.unwrap_err();
        assert!(full.is_full(), "{full}");
        write().await.expect("a connection without that limit takes its place");
        let rows =
            sqlx::query("SELECT COUNT(*) AS found FROM ballast").fetch_one(&store.readers).await.unwrap();
        assert_eq!(sqlx::Row::get::<i64, _>(&rows, "found"), 1);
    }

    #[tokio::test]
    async fn a_commit_is_on_the_disk_when_it_returns_and_readers_cannot_write() {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}/store.db", directory.path().display());
        let store = Store::open(&StoreKnobs { url, retention: Duration::from_secs(1) }).await.unwrap();
        for (setting, expected) in [
            ("SELECT synchronous AS found FROM pragma_synchronous", 2_i64),
            ("SELECT foreign_keys AS found FROM pragma_foreign_keys", 1),
            ("SELECT timeout AS found FROM pragma_busy_timeout", 5_000),
            ("SELECT journal_mode = 'wal' AS found FROM pragma_journal_mode", 1),
        ] {
            let row = sqlx::query(setting).fetch_one(&store.writer).await.unwrap();
            assert_eq!(sqlx::Row::get::<i64, _>(&row, "found"), expected, "{setting}");
        }
        let write = sqlx::query("DELETE FROM meta").execute(&store.readers).await;
        assert!(write.unwrap_err().to_string().contains("readonly"));
    }
}
