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
    /// It has stood still, not read to its end, for so long that the others no longer wait for it.
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

    /// The entry's common clearance: the minimum over its sources that have not stalled.
    pub fn common(&self, entry: EntryId) -> Option<EventTime> {
        let held = self.held();
        let of_entry = || held.iter().filter(|(source, _)| source.entry == entry).map(|(_, tide)| tide);
        let moving = of_entry().filter(|tide| !tide.stalled).map(|tide| tide.clearance).min();
        moving.or_else(|| of_entry().map(|tide| tide.clearance).min())
    }

    /// All sources that are read here, for people.
    pub fn snapshot(&self) -> BTreeMap<Source, Tide> {
        let mut held = self.held().clone();
        held.retain(|_, tide| !tide.departed);
        held
    }
}
