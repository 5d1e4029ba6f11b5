//! The ledger: what became of every row, one line a receiver.

use std::collections::BTreeMap;
use std::sync::Arc;

/// One receiver's account: `created` equals the sum of the rest, at any moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LedgerLine {
    /// The receiver.
    pub receiver: Arc<str>,
    /// Rows ever made.
    pub created: u64,
    /// Openings accepted.
    pub delivered: u64,
    /// Told in a digest (none in this version).
    pub in_digest: u64,
    /// Never to be told, by reason.
    pub suppressed: BTreeMap<&'static str, u64>,
    /// Could not be told.
    pub dead: u64,
    /// Still to be told.
    pub pending: u64,
    /// Messages accepted, counted apart.
    pub messages: u64,
}

impl LedgerLine {
    /// Whether the line adds up.
    pub fn adds_up(&self) -> bool {
        self.created
            == self.delivered
                + self.in_digest
                + self.suppressed.values().sum::<u64>()
                + self.dead
                + self.pending
    }
}
