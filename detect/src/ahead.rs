//! Partials of sources that have run ahead of their entry. Merged at once they would push what slower sources still
//! bring out of the rings, so they wait until the common clearance is near. A sparse topic that is read from its start
//! brings days in one batch; the worker holds such a source from then on, so what waits is bounded by what it had read.

use std::collections::BTreeMap;

use beaconfire_model::{EntryId, EventTime, Source};

use crate::Partial;

/// Partials that may wait in one thread; beyond, they are merged as they come, and what does not fit is counted as
/// evicted.
const WAITING_MAX: usize = 1 << 18;

/// The partials that wait, by entry.
#[derive(Debug, Default)]
pub(crate) struct Ahead {
    waiting: BTreeMap<EntryId, Vec<(EventTime, Partial)>>,
    count: usize,
}

impl Ahead {
    /// Whether there is no room left.
    pub(crate) fn is_full(&self) -> bool {
        self.count >= WAITING_MAX
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// Lets a partial wait whose bucket begins at `start`.
    pub(crate) fn put(&mut self, start: EventTime, partial: Partial) {
        self.waiting.entry(partial.entry).or_default().push((start, partial));
        self.count += 1;
    }

    /// Whether nothing of this entry waits.
    pub(crate) fn is_empty(&self, entry: EntryId) -> bool {
        !self.waiting.contains_key(&entry)
    }

    /// When the earliest bucket begins that waits.
    pub(crate) fn earliest(&self, entry: EntryId) -> Option<EventTime> {
        self.waiting.get(&entry)?.iter().map(|(start, _)| *start).min()
    }

    /// Drops what came from this source alone.
    pub(crate) fn drop_of(&mut self, source: Source) {
        let Some(held) = self.waiting.get_mut(&source.entry) else { return };
        let before = held.len();
        held.retain(|(_, partial)| partial.source != Some(source));
        self.count -= before - held.len();
        if held.is_empty() {
            self.waiting.remove(&source.entry);
        }
    }

    /// Takes out what begins at or before `until`.
    pub(crate) fn take(&mut self, entry: EntryId, until: EventTime) -> Vec<Partial> {
        let Some(held) = self.waiting.remove(&entry) else { return Vec::new() };
        let (due, later): (Vec<_>, Vec<_>) = held.into_iter().partition(|(start, _)| *start <= until);
        self.count -= due.len();
        if !later.is_empty() {
            self.waiting.insert(entry, later);
        }
        due.into_iter().map(|(_, partial)| partial).collect()
    }
}
