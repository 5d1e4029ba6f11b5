//! What a shard holds, and what its bounds have cost.

use std::time::Duration;

use super::{Shard, TABLES};
use crate::workloads::Desk;

/// What the tables hold, and what their bounds have cost so far. Exactness is promised while that is nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Census {
    /// One for each table, by name.
    pub tables: Vec<TableCensus>,
    /// Partials that came after their windows were settled: a source brought records of before its entry's horizon.
    pub stale: u64,
    /// Partials that wait because their source has run ahead of its entry.
    pub ahead: u64,
    /// Records whose service was beyond the 10,000 that are told apart. Told by the first thread for all.
    pub services_beyond: u64,
    /// Resource samples that were left out, or stood for less, by reason.
    pub flaws: Vec<(&'static str, u64)>,
    /// What is learned before anything is told.
    pub learning: Learning,
}

/// Series that learn silently.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Learning {
    /// How many of them there are.
    pub series: u64,
    /// In how much time the last of them will have learned enough.
    pub left: Duration,
}

/// What one table holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableCensus {
    /// Its name: clients, prefixes, texts, services, findings, request_ids, workloads, baselines or surges.
    pub name: &'static str,
    /// Keys held.
    pub keys: u64,
    /// Bytes held.
    pub bytes: u64,
    /// Keys, hosts and buckets evicted at a bound, ever.
    pub evictions: u64,
}

impl Shard {
    /// What the tables hold.
    pub fn census(&self) -> Census {
        let parts = || self.parts.iter().flatten();
        let tables = TABLES.iter().enumerate().map(|(at, (name, _))| {
            let mut sum = TableCensus { name, keys: 0, bytes: 0, evictions: 0 };
            for part in parts() {
                let (keys, bytes, evictions) = match at.checked_sub(1) {
                    None => (part.clients.len(), part.clients.bytes(), part.clients.evictions()),
                    Some(at) => {
                        let table = &part.tables[at];
                        (table.len(), table.bytes(), table.evictions())
                    }
                };
                sum.keys += keys as u64;
                sum.bytes += bytes as u64;
                sum.evictions += evictions;
            }
            sum
        });
        let copies = (self.first && self.plan.knows_copies()).then(|| self.plan.copies.census());
        Census {
            tables: tables.chain(copies).chain(self.desk.iter().flat_map(Desk::census)).collect(),
            stale: self.stale,
            ahead: self.ahead.len() as u64,
            services_beyond: if self.first { self.plan.services_beyond() } else { 0 },
            flaws: self.desk.as_ref().map(Desk::flaws).unwrap_or_default(),
            learning: self.desk.as_ref().map(Desk::learning).unwrap_or_default(),
        }
    }
}
