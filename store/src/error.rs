//! What can go wrong, in the terms that decide what to do next.

use std::path::PathBuf;

/// SQLite's primary result codes: the low byte of the extended ones.
const BUSY: i64 = 5;
const LOCKED: i64 = 6;
const FULL: i64 = 13;

/// Why the store did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The URL names a database that this version does not speak.
    #[error("{0}")]
    Unsupported(String),
    /// The directory that should hold the file does not exist.
    #[error(
        "the store's directory {0} does not exist: make it (mkdir -p), owned by the user that runs beaconfire, or \
         change `store.url`"
    )]
    NoDirectory(PathBuf),
    /// The file cannot be made or opened.
    #[error("the store's file {path} cannot be opened: {cause}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// A newer version has written this file.
    #[error(
        "the store has schema {found}, this version knows up to {known}: run the newer version, or restore a backup"
    )]
    Newer {
        /// The file's schema.
        found: i64,
        /// The highest that we know.
        known: i64,
    },
    /// A value in the file is none that we write.
    #[error("the store holds a value in column {0} that this version cannot read")]
    Corrupt(String),
    /// The page's cursor is none of ours.
    #[error("the cursor is not one that a page gave out")]
    Cursor,
    /// The lease on an outbox row has gone to another process, or the row was deleted: nothing was applied.
    #[error("another process has taken this delivery over")]
    LeaseLost,
    /// There is a key of this name already.
    #[error("there is a key named {0} already")]
    KeyExists(String),
    /// So many silences hold or are to hold that no more are taken.
    #[error("there are {max} silences that are not over: expire one first", max = crate::SILENCES_MAX)]
    TooManySilences,
    /// The database said no.
    #[error("the store failed: {0}")]
    Sql(#[from] sqlx::Error),
}

impl StoreError {
    /// Whether another process held the file for too long: worth another try.
    pub fn is_busy(&self) -> bool {
        matches!(self.code(), Some(BUSY | LOCKED)) || matches!(self, Self::Sql(sqlx::Error::PoolTimedOut))
    }

    /// Whether there is no space left.
    pub fn is_full(&self) -> bool {
        self.code() == Some(FULL)
    }

    /// Whether a row with the same key exists.
    pub(crate) fn is_unique(&self) -> bool {
        matches!(self, Self::Sql(sqlx::Error::Database(said)) if said.is_unique_violation())
    }

    fn code(&self) -> Option<i64> {
        let Self::Sql(sqlx::Error::Database(said)) = self else { return None };
        said.code()?.parse::<i64>().ok().map(|code| code & 0xff)
    }
}

/// Why a save wrote nothing.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    /// A row has moved since it was read: read again, fold again, save again.
    #[error("a row has moved since it was read")]
    Conflict,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for SaveError {
    fn from(cause: sqlx::Error) -> Self {
        Self::Store(cause.into())
    }
}

impl SaveError {
    /// A unique violation says that another process was first.
    pub(crate) fn of_insert(cause: sqlx::Error) -> Self {
        let cause = StoreError::from(cause);
        if cause.is_unique() { Self::Conflict } else { Self::Store(cause) }
    }
}
