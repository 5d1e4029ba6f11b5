//! Incidents, outbox, decisions and progress in SQL.
//!
//! One file of SQLite holds all that must survive: what happened, who was told, who is throttled, and how far each
//! source has come. The sentence to carry: **what must stand together is written in one transaction**
//! ([`Store::save`]), under the versions that the rows had when they were read, so that two processes on one file
//! never both open an incident or both send a page. Everything that a replay can touch is joined by minimum or
//! maximum.
//!
//! The SQL is portable (no dialect of one database); in this version the only database is SQLite.

mod allowed;
mod baselines;
mod by_hand;
mod claim;
mod decisions;
mod deliveries;
mod digests;
mod doc;
mod dossier;
mod error;
mod fallbacks;
mod file;
mod incidents;
mod keys;
mod ledger;
mod migrate;
mod outbox;
mod paces;
mod progress;
mod repeats;
mod save;
mod silences;
mod sql;
mod sqlite;
mod store;
mod sweep;

pub use baselines::Baseline;
pub use by_hand::{Handled, Unfinished, UnfinishedQuery};
pub use decisions::Pick;
pub use deliveries::DeliveryLog;
pub use digests::Standing;
pub use error::{SaveError, StoreError};
pub use incidents::{Page, Query};
pub use keys::Key;
pub use ledger::Backlog;
pub use progress::Progress;
pub use save::Write;
pub use silences::SILENCES_MAX;
pub use store::{Store, StoreKnobs};
pub use sweep::{Counts, Swept};
