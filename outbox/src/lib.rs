//! Transitions in, next delivery out. A desired-state outbox: one row per (episode, receiver integration) with the
//! newest state to be told, what was told last, and the handle of the remote message. Coalescing, restart and
//! idempotency follow from that row; a row has exactly one fate, so the ledger adds up by construction.

mod breaker;
mod by_hand;
mod desire;
mod digest;
mod escalate;
mod fallback;
mod group;
mod hours;
mod inhibit;
mod ledger;
mod outcome;
mod pace;
mod quiet;
mod route;
mod row;
mod settle;
mod silence;

pub use breaker::{Breaker, Switch};
pub use by_hand::ByHand;
pub use desire::{Receivers, desire, orphaned};
pub use digest::{DIGEST_AFTER, Digest, DigestId, DigestKnobs, Phase, Sent, Summary, Tally, Waiting};
pub use escalate::{Escalation, begin, due, reach};
pub use fallback::{FALLS_BACK_AFTER, FALLS_BACK_FROM_DIGEST_AFTER, Fallback};
pub use group::{Group, Grouping};
pub use hours::{Stretch, TimeInterval};
pub use inhibit::{InhibitRule, Inhibitors};
pub use ledger::LedgerLine;
pub use outcome::{Handle, Outcome};
pub use pace::{Pace, PaceState, Rate};
pub use quiet::{Hush, Hushed, Quiet, QuietRules, review};
pub use route::{Integration, IntegrationKind, Route, Routed, Verdict, Visit};
pub use row::{AGES_AFTER, Action, Fate, Lane, Row, RowKey, Suppressed, Told};
pub use settle::{RetryKnobs, settle};
pub use silence::{Silence, SilenceState, alike, asks_for_something};
