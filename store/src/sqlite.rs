//! All that only SQLite understands, in one place, with what stands for it in PostgreSQL. The rest of the SQL is
//! portable.

/// Begins a transaction that holds the write lock from its beginning: one that takes it later may find that what it
/// has read is stale, and fails without waiting. PostgreSQL: `BEGIN ISOLATION LEVEL SERIALIZABLE`, with its
/// serialization failures (40001) read as [`SaveError::Conflict`](crate::SaveError::Conflict).
pub(crate) const BEGIN: &str = "BEGIN IMMEDIATE";

/// For the connection that writes: wait 5 s for a lock; a commit is on the disk when it returns; children go with
/// their parent; the log of writes shrinks again. PostgreSQL: `SET lock_timeout = '5s'; SET synchronous_commit = on`;
/// the other three are how it works.
pub(crate) const WRITER: &str = "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
     PRAGMA foreign_keys = ON; PRAGMA journal_size_limit = 67108864;";

/// For connections that read. PostgreSQL: `SET lock_timeout = '5s'; SET default_transaction_read_only = on`.
pub(crate) const READER: &str = "PRAGMA busy_timeout = 5000; PRAGMA query_only = ON;";
