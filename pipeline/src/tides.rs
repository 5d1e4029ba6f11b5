//! How far every source of the process has come, shared by its workers: for alignment (sources of one entry may drift
//! apart by at most a minute of event time) and for the rewind point (which needs the entry's common clearance).
//! Written a few times a second, never for each record.

use std::collections::BTreeMap;
use std::sync::Mutex;

use beaconfire_model::{EntryId, EventTime, Source, Wall};

/// How far one source has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tide {
    /// The largest event time seen, less the entry's lateness.
    pub watermark: EventTime,
    /// Nothing older than this will come: the watermark, or, read to its end, the wall clock less its last delay.
    pub clearance: EventTime,
    /// Whether it is read to its end.
    pub caught_up: bool,
    /// It has stood still, short of its end or long ago, for so long that the others no longer wait for it.
    pub stalled: bool,
    /// Nobody here reads it at the moment.
    pub departed: bool,
    /// When it last moved.
    pub moved: Wall,
    /// The lateness, in milliseconds, that would have covered 99.9 % of its records.
    pub disorder_millis: u64,
}

/// All sources of the process.
#[derive(Debug, Default)]
pub struct Tides(Mutex<BTreeMap<Source, Tide>>);

impl Tides {
    fn held(&self) -> std::sync::MutexGuard<'_, BTreeMap<Source, Tide>> {
        // Every write leaves the map whole, so a panic elsewhere spoils nothing.
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// States how far a source has come.
    pub fn set(&self, source: Source, tide: Tide) {
        self.held().insert(source, tide);
    }

    /// The source was given up; it may come back. Until then it holds its entry back where it stood.
    pub(crate) fn leave(&self, source: Source) {
        if let Some(tide) = self.held().get_mut(&source) {
            tide.departed = true;
        }
    }

    /// The source is no longer read here.
    pub fn remove(&self, source: Source) {
        self.held().remove(&source);
    }

    /// The entry's common clearance: the minimum over its sources that have not stalled. Where all have, the furthest of
    /// those at their ends (nobody brings anything, and the clock goes on), else the minimum of all.
    pub fn common(&self, entry: EntryId) -> Option<EventTime> {
        let held = self.held();
        let of_entry = || held.iter().filter(|(source, _)| source.entry == entry).map(|(_, tide)| tide);
        let moving = of_entry().filter(|tide| !tide.stalled).map(|tide| tide.clearance).min();
        let at_end = || of_entry().filter(|tide| tide.caught_up).map(|tide| tide.clearance).max();
        moving.or_else(at_end).or_else(|| of_entry().map(|tide| tide.clearance).min())
    }

    /// All sources that are read here, for people.
    pub fn snapshot(&self) -> BTreeMap<Source, Tide> {
        let mut held = self.held().clone();
        held.retain(|_, tide| !tide.departed);
        held
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use beaconfire_model::TopicId;

    #[test]
    fn what_stands_still_is_not_waited_for() {
        let common = |tides: &[(i64, bool, bool)]| {
            let all = Tides::default();
            for (partition, (clearance, caught_up, stalled)) in tides.iter().enumerate() {
                let tide = Tide {
                    watermark: EventTime::MIN,
                    clearance: EventTime::from_millis(*clearance),
                    caught_up: *caught_up,
                    stalled: *stalled,
                    departed: false,
                    moved: Wall::default(),
                    disorder_millis: 0,
                };
                let source = Source { entry: EntryId(0), topic: TopicId(0), partition: partition as i32 };
                all.set(source, tide);
            }
            all.common(EntryId(0)).map(EventTime::millis)
        };
        assert_eq!(common(&[]), None);
        assert_eq!(common(&[(100, false, false), (300, true, false)]), Some(100));
        assert_eq!(common(&[(100, true, true), (300, false, false)]), Some(300));
        // All at their ends, long ago: none waits for another.
        assert_eq!(common(&[(100, true, true), (300, true, true)]), Some(300));
        // What is not read to its end may still bring anything.
        assert_eq!(common(&[(100, false, true), (300, false, true)]), Some(100));
    }
}
