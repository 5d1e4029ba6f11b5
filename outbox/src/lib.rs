//! Transitions in, next delivery out. A desired-state outbox: one row per (episode, receiver integration) with the
//! newest state to be told, what was told last, and the handle of the remote message. Coalescing, restart and
//! idempotency follow from that row; a row has exactly one fate, so the ledger adds up by construction.

mod breaker;
mod desire;
mod digest;
mod fallback;
mod group;
mod ledger;
mod outcome;
mod pace;
mod route;
mod row;
mod settle;

pub use breaker::{Breaker, Switch};
pub use desire::{Receivers, desire, orphaned};
pub use digest::{DIGEST_AFTER, Digest, DigestId, DigestKnobs, Phase, Sent, Summary, Tally, Waiting};
pub use fallback::{FALLS_BACK_AFTER, FALLS_BACK_FROM_DIGEST_AFTER, Fallback};
pub use group::{Group, Grouping};
pub use ledger::LedgerLine;
pub use outcome::{Handle, Outcome};
pub use pace::{Pace, PaceState, Rate};
pub use route::{Integration, IntegrationKind, Route, Routed, Verdict, Visit};
pub use row::{AGES_AFTER, Action, Fate, Lane, Row, RowKey, Suppressed, Told};
pub use settle::{RetryKnobs, settle};
