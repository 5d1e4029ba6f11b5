//! The table of decisions that readers use without blocking the pipeline: a dashmap, refreshed from the store.

use std::net::IpAddr;
use std::time::Duration;

use beaconfire_model::Wall;
use dashmap::DashMap;
use ipnet::IpNet;

use crate::{Action, Decision, DecisionKey, Mode};

/// What a poll of changes brings.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Change {
    /// Made or changed since.
    pub new: Vec<Decision>,
    /// Expired or taken back since.
    pub deleted: Vec<Decision>,
}

/// Decisions that are over stay so long, for pollers that come late.
const KEPT_FOR: Duration = Duration::from_secs(24 * 3600);
/// At most so many in all; beyond, those that are over go first.
const HELD_MAX: usize = 100_000;

/// Decisions as readers see them.
#[derive(Debug, Default)]
pub struct Board {
    decisions: DashMap<DecisionKey, Decision>,
}

impl Board {
    /// Puts in a decision as the store has it (active, deleted or expired). Of two for one key the newer stands.
    pub fn put(&self, decision: Decision) {
        match self.decisions.entry(decision.key.clone()) {
            dashmap::Entry::Occupied(mut held) => {
                if (held.get().changed, held.get().id) <= (decision.changed, decision.id) {
                    held.insert(decision);
                }
            }
            dashmap::Entry::Vacant(slot) => {
                slot.insert(decision);
            }
        }
    }

    /// Forgets what has been over for a day, and, at the bound, everything that is over. How many went.
    pub fn sweep(&self, now: Wall) -> usize {
        let before = self.decisions.len();
        let full = before > HELD_MAX;
        self.decisions.retain(|_, held| held.active(now) || (!full && now.since(over(held)) < KEPT_FOR));
        before - self.decisions.len()
    }

    /// All active decisions, by key.
    pub fn active(&self, now: Wall) -> Vec<Decision> {
        let mut active: Vec<_> = self.decisions.iter().filter(|held| held.active(now)).map(|held| held.clone()).collect();
        active.sort_by(|a, b| a.key.cmp(&b.key));
        active
    }

    /// Active decisions that enforcers may see, the longest of each (network, action).
    pub fn enforced(&self, now: Wall) -> Vec<Decision> {
        self.active(now).into_iter().filter(|held| held.key.mode == Mode::Enforce).collect()
    }

    /// Enforced decisions whose network holds this address.
    pub fn holding(&self, address: IpAddr, now: Wall) -> Vec<Decision> {
        self.enforced(now).into_iter().filter(|held| held.key.network.contains(&address)).collect()
    }

    /// Enforced decisions whose network holds this one (`contains`), or lies within it.
    pub fn about(&self, network: IpNet, contains: bool, now: Wall) -> Vec<Decision> {
        let about = |held: IpNet| if contains { held.contains(&network) } else { network.contains(&held) };
        self.enforced(now).into_iter().filter(|held| about(held.key.network)).collect()
    }

    /// What enforcers must hear that last asked at `since`. A decision that was changed is deleted and new at once, as
    /// some enforcers skip an address they already have.
    pub fn changes(&self, since: Wall, now: Wall) -> Change {
        let mut change = Change::default();
        for held in &self.decisions {
            if held.key.mode != Mode::Enforce {
                continue;
            }
            if held.active(now) {
                if held.changed >= since {
                    change.new.push(held.clone());
                    if held.changed > held.created {
                        change.deleted.push(held.clone());
                    }
                }
            } else if over(&held) >= since {
                change.deleted.push(held.clone());
            }
        }
        change.new.sort_by(|a, b| a.key.cmp(&b.key));
        change.deleted.sort_by(|a, b| a.key.cmp(&b.key));
        change
    }

    /// How many are active, by action and mode.
    pub fn census(&self, now: Wall) -> Vec<(Action, Mode, usize)> {
        let active = self.active(now);
        let mut counts = Vec::new();
        for action in Action::ALL {
            for mode in [Mode::DryRun, Mode::Enforce] {
                let count = active.iter().filter(|held| (held.key.action, held.key.mode) == (action, mode)).count();
                counts.push((action, mode, count));
            }
        }
        counts
    }
}

/// When a decision that is no longer active ended.
fn over(decision: &Decision) -> Wall {
    decision.deleted.unwrap_or(decision.expires)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Origin;

    fn decision(network: &str, mode: Mode, from: i64, until: i64) -> Decision {
        Decision {
            id: 1,
            key: DecisionKey { network: network.parse().unwrap(), action: Action::Ban, mode },
            scenario: "requests-per-client".into(),
            origin: Origin::Rule,
            incident: None,
            reason: String::new(),
            created: Wall::from_millis(from),
            expires: Wall::from_millis(until),
            deleted: None,
            changed: Wall::from_millis(from),
        }
    }

    #[test]
    fn enforcers_see_what_is_enforced_and_what_ended() {
        let board = Board::default();
        board.put(decision("203.0.113.7/32", Mode::Enforce, 100, 1_000));
        board.put(decision("203.0.113.8/32", Mode::DryRun, 100, 1_000));
        let at = Wall::from_millis;
        assert_eq!(board.enforced(at(500)).len(), 1);
        assert_eq!(board.active(at(500)).len(), 2);
        assert_eq!(board.holding("203.0.113.7".parse().unwrap(), at(500)).len(), 1);
        assert_eq!(board.holding("203.0.113.8".parse().unwrap(), at(500)).len(), 0);
        let change = board.changes(at(50), at(500));
        assert_eq!((change.new.len(), change.deleted.len()), (1, 0));
        let change = board.changes(at(600), at(1_500));
        assert_eq!((change.new.len(), change.deleted.len()), (0, 1));
        assert_eq!(board.sweep(at(500)), 0);
        assert_eq!(board.sweep(at(1_000 + 25 * 3_600_000)), 2);
    }
}
