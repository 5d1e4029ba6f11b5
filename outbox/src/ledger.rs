//! The ledger: what became of every row, one line a receiver.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::{Fate, Row};

/// One receiver's account: `created` equals the sum of the rest, at any moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LedgerLine {
    /// The receiver.
    pub receiver: Arc<str>,
    /// Rows ever made.
    pub created: u64,
    /// Openings accepted.
    pub delivered: u64,
    /// Told in a digest that was accepted.
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

    /// Enters so many rows of this fate, with so many messages accepted for them.
    pub fn enter(&mut self, fate: &Fate, rows: u64, messages: u64) {
        self.created += rows;
        self.messages += messages;
        match fate {
            Fate::Pending | Fate::Held(_) => self.pending += rows,
            Fate::Delivered => self.delivered += rows,
            Fate::InDigest(_) => self.in_digest += rows,
            Fate::Suppressed(why) => *self.suppressed.entry(why.name()).or_default() += rows,
            Fate::Dead => self.dead += rows,
        }
    }

    /// The account of these rows, one line for each receiver that has any, sorted by name.
    pub fn of<'a>(rows: impl IntoIterator<Item = &'a Row>) -> Vec<Self> {
        let mut lines: BTreeMap<&Arc<str>, Self> = BTreeMap::new();
        for row in rows {
            let line = lines.entry(&row.key.receiver).or_default();
            line.receiver = row.key.receiver.clone();
            line.enter(&row.fate, 1, u64::from(row.messages));
        }
        lines.into_values().collect()
    }
}
