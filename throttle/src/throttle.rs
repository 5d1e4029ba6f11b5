//! From a transition to decisions.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use beaconfire_incident::Folded;
use beaconfire_model::{Subject, Wall};

use crate::{Action, Decision, Guard, Mode, Refusal};

/// A rule's `throttle`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleThrottle {
    /// What is to be done.
    pub action: Action,
    /// For how long.
    pub duration: Duration,
    /// Dry run or in earnest.
    pub mode: Mode,
}

/// What came of considering one subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Decide so.
    Decide(Decision),
    /// Leave this subject alone, because.
    Refuse(Subject, Refusal),
}

/// Considers what each fold asks for, within the guard's bounds.
#[derive(Debug)]
pub struct Throttle {
    rules: BTreeMap<Arc<str>, RuleThrottle>,
    guard: Guard,
}

impl Throttle {
    /// A throttle with these rules' actions.
    pub fn new(rules: BTreeMap<Arc<str>, RuleThrottle>, guard: Guard) -> Self {
        Self { rules, guard }
    }

    /// The decisions that a fold's signals ask for. `active` is what is active now.
    pub fn consider(&mut self, folded: &Folded, active: &[Decision], now: Wall) -> Vec<Verdict> {
        let _ = (&self.rules, &self.guard, folded, active, now);
        Vec::new()
    }

    /// The guard.
    pub fn guard(&self) -> &Guard {
        &self.guard
    }
}
