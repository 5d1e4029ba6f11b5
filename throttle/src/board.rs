//! The table of active decisions that readers use without blocking the pipeline: a dashmap, refreshed from the store.

use beaconfire_model::Wall;
use dashmap::DashMap;

use crate::{Decision, DecisionKey};

/// What a poll of changes brings.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Change {
    /// Made or changed since.
    pub new: Vec<Decision>,
    /// Expired or taken back since.
    pub deleted: Vec<Decision>,
}

/// Decisions as readers see them.
#[derive(Debug, Default)]
pub struct Board {
    decisions: DashMap<DecisionKey, Decision>,
}

impl Board {
    /// Puts in a decision as the store has it (active, deleted or expired).
    pub fn put(&self, decision: Decision) {
        self.decisions.insert(decision.key.clone(), decision);
    }

    /// All active decisions.
    pub fn active(&self, now: Wall) -> Vec<Decision> {
        self.decisions.iter().filter(|held| held.active(now)).map(|held| held.clone()).collect()
    }
}
