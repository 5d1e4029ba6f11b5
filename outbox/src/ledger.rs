//! The ledger: what became of every row, one line a receiver.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::{Fate, Row};

/// The account of these rows, one line for each receiver that has any, sorted by name.
pub fn ledger<'a>(rows: impl IntoIterator<Item = &'a Row>) -> Vec<LedgerLine> {
    let mut lines: BTreeMap<&Arc<str>, LedgerLine> = BTreeMap::new();
    for row in rows {
        let line = lines
            .entry(&row.key.receiver)
            .or_insert_with(|| LedgerLine { receiver: row.key.receiver.clone(), ..LedgerLine::default() });
        line.created += 1;
        line.messages += u64::from(row.messages);
        match row.fate {
            Fate::Pending => line.pending += 1,
            Fate::Delivered => line.delivered += 1,
            Fate::Suppressed(why) => *line.suppressed.entry(why.name()).or_default() += 1,
            Fate::Dead => line.dead += 1,
        }
    }
    lines.into_values().collect()
}

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
        let suppressed: u64 = self.suppressed.values().sum();
        self.created == self.delivered + self.in_digest + suppressed + self.dead + self.pending
    }
}
