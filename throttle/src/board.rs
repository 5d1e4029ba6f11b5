//! The table of decisions that readers use without blocking the pipeline: a dashmap, refreshed from the store.
//!
//! Enforcers see only decisions in earnest, one for each (network, action): the longest. A dry run never leaves
//! through [`enforced`](Board::enforced), [`matching`](Board::matching), [`within`](Board::within) or
//! [`changes`](Board::changes).
//!
//! A decision gets here later than it was made: after the store's commit, or from another process by way of the
//! store. So each entry keeps when this board learned of its last change, and a poll hears of what was changed or
//! learned since the poll before.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use beaconfire_model::Wall;
use dashmap::DashMap;
use ipnet::IpNet;

use crate::guard::canonical;
use crate::{Action, Decision, DecisionKey, Mode};

/// Decisions held at most, active and ended.
const HELD_MAX: usize = 100_000;

/// The shortest rest that is handed to enforcers: some read less than a second as "for ever".
const REST_MIN: Duration = Duration::from_secs(1);

/// What a poll of changes brings.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Change {
    /// Made or changed since.
    pub new: Vec<Decision>,
    /// Expired or taken back since, and what is replaced by something in `new`: enforcers that hold an address
    /// already ignore a new expiry, unless the same answer takes the old one back.
    pub deleted: Vec<Decision>,
}

/// Decisions as readers see them. All answers are sorted by id.
#[derive(Debug, Default)]
pub struct Board {
    entries: DashMap<DecisionKey, Entry>,
    forgotten: AtomicU64,
}

#[derive(Debug, Clone)]
struct Entry {
    decision: Decision,
    /// When this board heard of the last change of it.
    learned: Wall,
    /// What enforcers held before with another expiry, taken back meanwhile or not.
    replaced: Option<Decision>,
}

impl Entry {
    /// When enforcers could first hear of it as it stands.
    fn news(&self) -> Wall {
        self.decision.changed.max(self.learned)
    }
}

impl Board {
    /// How long an ended decision is remembered, so that an enforcer that was away hears that it ended.
    pub const REMEMBERED: Duration = Duration::from_secs(24 * 3_600);

    /// Puts in a decision as the store has it (active, deleted or expired), learned of at `now`: the moment of the
    /// call, not that of the write behind it. Of several with one key the board keeps the one that is not taken back
    /// and ends last.
    pub fn put(&self, decision: Decision, now: Wall) {
        match self.entries.entry(decision.key.clone()) {
            dashmap::Entry::Vacant(vacant) => {
                vacant.insert(Entry { decision, learned: now, replaced: None });
            }
            dashmap::Entry::Occupied(mut occupied) => {
                let held = occupied.get_mut();
                let order = |decision: &Decision| (decision.deleted.is_none(), decision.expires, decision.id);
                if held.decision.id != decision.id && order(&decision) <= order(&held.decision) {
                    return;
                }
                if held.decision == decision {
                    // Read again: no news.
                    return;
                }
                if (held.decision.id, held.decision.expires) != (decision.id, decision.expires) {
                    held.replaced = Some(held.decision.clone());
                }
                held.decision = decision;
                held.learned = now;
            }
        }
        if self.entries.len() > HELD_MAX {
            self.sweep(now);
        }
    }

    /// Takes over all that the store had when it was asked, at `asked`. What was active here by then and is unknown
    /// there counts as taken back; what came here meanwhile may not have been there yet, and stays.
    pub fn replace_all(&self, decisions: impl IntoIterator<Item = Decision>, asked: Wall, now: Wall) {
        let held = self.entries.iter().filter(|entry| entry.decision.active(asked) && entry.learned < asked);
        let held = held.map(|entry| ((entry.key().clone(), entry.decision.id), entry.decision.clone()));
        let mut unknown: BTreeMap<(DecisionKey, i64), Decision> = held.collect();
        for decision in decisions {
            unknown.remove(&(decision.key.clone(), decision.id));
            self.put(decision, now);
        }
        for decision in unknown.into_values() {
            self.put(Decision { deleted: Some(now), changed: now, ..decision }, now);
        }
        self.sweep(now);
    }

    /// All active decisions, dry runs too: for people, not for enforcers.
    pub fn active(&self, now: Wall) -> Vec<Decision> {
        self.select(|decision| decision.active(now))
    }

    /// All that enforcers should hold: for an enforcer that starts.
    pub fn enforced(&self, now: Wall) -> Vec<Decision> {
        self.select(|decision| is_enforced(decision, now))
    }

    /// What enforcers should do with `network` (one address, or a range): decisions for it or for a network around
    /// it. Costs a look-up for each prefix length, however many decisions there are.
    pub fn matching(&self, network: IpNet, now: Wall) -> Vec<Decision> {
        let network = canonical(network);
        let mut found = Vec::new();
        for length in 0..=network.prefix_len() {
            // A length up to the network's own is always valid.
            let Ok(around) = IpNet::new(network.addr(), length) else { continue };
            for action in Action::ALL {
                let key = DecisionKey { network: around.trunc(), action, mode: Mode::Enforce };
                let held = self.entries.get(&key).map(|held| held.decision.clone());
                found.extend(held.filter(|decision| is_enforced(decision, now)));
            }
        }
        sorted(found)
    }

    /// What enforcers should do inside `network`: decisions for it or for a network within it.
    pub fn within(&self, network: IpNet, now: Wall) -> Vec<Decision> {
        let network = canonical(network);
        self.select(|decision| is_enforced(decision, now) && network.contains(&decision.key.network))
    }

    /// What enforcers that asked last at `since` should change now. Let `since` reach back a little behind the last
    /// poll: what was put here while that was answered would fall between two polls otherwise, and enforcers take
    /// repeats as they are. With a `since` before everything, all that is held and all that ended.
    pub fn changes(&self, since: Wall, now: Wall) -> Change {
        let mut change = Change::default();
        for entry in self.entries.iter().filter(|entry| entry.key().mode == Mode::Enforce) {
            let decision = &entry.decision;
            if is_enforced(decision, now) {
                if entry.news() >= since {
                    change.new.push(decision.clone());
                    // What was held until then goes out with the same answer, expired meanwhile or not.
                    change.deleted.extend(entry.replaced.clone().filter(|held| held.expires >= since));
                }
            } else if !decision.active(now) && (ended(decision) >= since || entry.news() >= since) {
                change.deleted.push(decision.clone());
            }
        }
        Change { new: sorted(change.new), deleted: sorted(change.deleted) }
    }

    /// How many are active, for each action and mode.
    pub fn census(&self, now: Wall) -> Vec<(Action, Mode, usize)> {
        let active = self.active(now);
        let count = |action, mode| {
            active
                .iter()
                .filter(|decision| (decision.key.action, decision.key.mode) == (action, mode))
                .count()
        };
        let modes = [Mode::DryRun, Mode::Enforce];
        let all = Action::ALL.into_iter().flat_map(|action| modes.map(|mode| (action, mode)));
        all.map(|(action, mode)| (action, mode, count(action, mode))).collect()
    }

    /// Forgets what ended more than a day ago and, beyond 100,000 entries, what ends first. How many went; the latter
    /// are counted in [`forgotten`](Self::forgotten) too.
    pub fn sweep(&self, now: Wall) -> usize {
        let before = self.entries.len();
        self.entries.retain(|_, entry| now.since(ended(&entry.decision)) <= Self::REMEMBERED);
        let excess = self.entries.len().saturating_sub(HELD_MAX);
        if excess > 0 {
            // A tenth more than needed goes, so that a full board is not swept for every new decision.
            let mut all: Vec<(Wall, DecisionKey)> =
                self.entries.iter().map(|entry| (ended(&entry.decision), entry.key().clone())).collect();
            all.sort();
            for (_, key) in all.into_iter().take(excess + HELD_MAX / 10) {
                if self.entries.remove(&key).is_some() {
                    self.forgotten.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
        before.saturating_sub(self.entries.len())
    }

    /// Entries that were forgotten early because the board was full, since it was made.
    pub fn forgotten(&self) -> u64 {
        self.forgotten.load(Ordering::Relaxed)
    }

    fn select(&self, wanted: impl Fn(&Decision) -> bool) -> Vec<Decision> {
        let chosen = self.entries.iter().filter(|entry| wanted(&entry.decision));
        sorted(chosen.map(|entry| entry.decision.clone()).collect())
    }
}

/// When a decision ended or will.
fn ended(decision: &Decision) -> Wall {
    decision.deleted.map_or(decision.expires, |deleted| deleted.min(decision.expires))
}

fn is_enforced(decision: &Decision, now: Wall) -> bool {
    decision.key.mode == Mode::Enforce && decision.active(now) && decision.expires.since(now) >= REST_MIN
}

fn sorted(mut decisions: Vec<Decision>) -> Vec<Decision> {
    decisions.sort_by(|a, b| (a.id, &a.key).cmp(&(b.id, &b.key)));
    decisions
}
