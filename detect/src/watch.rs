//! What has raised, published by shards, so that workers copy a few raw records of exactly that.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use beaconfire_model::EventTime;

use crate::Key;
use crate::services::ServiceId;

/// At most so many are watched; what raised longest ago goes first.
const WATCHED_MAX: usize = 1_024;
/// Records are copied for so long after the last time it raised, in milliseconds of event time.
pub(crate) const WATCHED_FOR: i64 = 10 * 60_000;
/// How much later it must have raised again before workers hear of it: a flood would tell them every second.
const STEP: i64 = 60_000;

/// Something that raised.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Watched {
    pub(crate) rule: u16,
    pub(crate) service: ServiceId,
    pub(crate) key: Key,
}

/// What has raised, with the last time it held. Shared by the workers and shards of one plan.
#[derive(Debug, Default)]
pub struct Watch {
    held: Mutex<BTreeMap<Watched, EventTime>>,
    version: AtomicU64,
}

impl Watch {
    /// Watches what held at `at`.
    pub(crate) fn add(&self, watched: Watched, at: EventTime) {
        // Every write leaves the map whole, so a panic elsewhere spoils nothing.
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = held.get_mut(&watched) {
            if at.millis() < known.millis().saturating_add(STEP) {
                return;
            }
            *known = at;
        } else {
            held.insert(watched, at);
            if held.len() > WATCHED_MAX {
                let oldest = held.iter().min_by_key(|(watched, at)| (**at, *watched));
                if let Some(oldest) = oldest.map(|(watched, _)| watched.clone()) {
                    held.remove(&oldest);
                }
            }
        }
        self.version.fetch_add(1, Ordering::Release);
    }

    /// Everything watched, with the time until which records are wanted, where that has changed since `seen`.
    pub(crate) fn changed(&self, seen: &mut u64) -> Option<Vec<(Watched, EventTime)>> {
        let version = self.version.load(Ordering::Acquire);
        if version == *seen {
            return None;
        }
        *seen = version;
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let until = |at: EventTime| EventTime::from_millis(at.millis().saturating_add(WATCHED_FOR));
        Some(held.iter().map(|(watched, at)| (watched.clone(), until(*at))).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(number: u32) -> Watched {
        Watched { rule: 0, service: ServiceId(number), key: Key::Service }
    }

    #[test]
    fn the_longest_quiet_go_and_small_steps_tell_nobody() {
        let watch = Watch::default();
        let mut seen = 0;
        for number in 0..WATCHED_MAX as u32 + 10 {
            watch.add(service(number), EventTime::from_millis(i64::from(number)));
        }
        let held = watch.changed(&mut seen).unwrap();
        assert_eq!(held.len(), WATCHED_MAX);
        assert_eq!(held[0], (service(10), EventTime::from_millis(10 + WATCHED_FOR)));
        watch.add(service(500), EventTime::from_millis(500 + STEP - 1));
        assert_eq!(watch.changed(&mut seen), None);
        watch.add(service(500), EventTime::from_millis(500 + STEP));
        assert!(watch.changed(&mut seen).is_some());
    }
}
