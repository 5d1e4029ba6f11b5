//! How far sources have come: watermarks by source (a record is late against its own source only), clearance by entry
//! (windows close for all sources of an entry together).

use std::collections::BTreeMap;

use beaconfire_model::{EntryId, EventTime, Offset, Source};

use crate::Reach;

/// How far a worker has come in one source.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tide {
    source: Source,
    /// In milliseconds.
    lateness: i64,
    from: Offset,
    through: Offset,
    largest: Option<EventTime>,
    clearance: EventTime,
    /// Windows that begin at or before this may lack records of before `from`. `None` until the first event tells.
    covers_from: Option<EventTime>,
}

impl Tide {
    /// Reading begins at `at`; `seed` is the largest event time before.
    pub(crate) fn new(source: Source, lateness: i64, at: Offset, seed: Option<EventTime>) -> Self {
        // Nothing lies before offset 0.
        let whole = (at.0 <= 0).then_some(EventTime::MIN);
        Self {
            source,
            lateness,
            from: at,
            through: Offset(at.0.saturating_sub(1)),
            largest: seed,
            clearance: EventTime::MIN,
            covers_from: seed.or(whole),
        }
    }

    /// Takes note of an event; whether it is late: older than the source's watermark. One that is not late and still
    /// older than what nothing should have come before shows that this was said too soon (an empty partition that a
    /// recovering sender fills with the past), and takes it back: from here on the source is waited for again.
    pub(crate) fn see(&mut self, offset: Offset, time: EventTime) -> bool {
        let late = time < self.watermark();
        if !late && time < self.clearance {
            self.clearance = EventTime::MIN;
        }
        self.through = self.through.max(offset);
        self.largest = Some(self.largest.map_or(time, |largest| largest.max(time)));
        self.covers_from = self.covers_from.or(Some(time));
        late
    }

    /// Takes note of a record without an event.
    pub(crate) fn pass(&mut self, offset: Offset) {
        self.through = self.through.max(offset);
    }

    /// Nothing older than this will come.
    pub(crate) fn clear(&mut self, clearance: EventTime) {
        self.clearance = self.clearance.max(clearance);
    }

    pub(crate) fn source(&self) -> Source {
        self.source
    }

    pub(crate) fn largest(&self) -> Option<EventTime> {
        self.largest
    }

    pub(crate) fn watermark(&self) -> EventTime {
        self.largest.map_or(EventTime::MIN, |largest| {
            EventTime::from_millis(largest.millis().saturating_sub(self.lateness))
        })
    }

    pub(crate) fn reach(&self) -> Reach {
        Reach {
            source: self.source,
            from: self.from,
            through: self.through,
            watermark: self.watermark(),
            clearance: self.watermark().max(self.clearance),
            covers_from: self.covers_from.unwrap_or(EventTime::MIN),
        }
    }
}

/// A source as the shards hold it.
#[derive(Debug, Clone, Copy)]
struct Held {
    reach: Reach,
    /// Reading went on behind what the shards held already: it opened no gap.
    unbroken: bool,
}

/// How far the entries have come, as one shard sees it.
#[derive(Debug, Default)]
pub(crate) struct Common {
    sources: BTreeMap<Source, Held>,
    covers: BTreeMap<EntryId, EventTime>,
}

impl Common {
    /// Takes note of how far a source has come.
    pub(crate) fn reach(&mut self, reach: Reach) {
        let source = reach.source;
        let held = self.sources.get(&source).copied();
        let unbroken = match held {
            Some(held) if held.reach.from == reach.from => held.unbroken,
            _ => {
                let span = held.map(|held| (held.reach.from, held.reach.through));
                span.is_some_and(|(from, through)| from <= reach.from && reach.from.0 <= through.0 + 1)
            }
        };
        if !unbroken {
            let covers = self.covers.entry(source.entry).or_insert(EventTime::MIN);
            *covers = (*covers).max(reach.covers_from);
        }
        self.sources.insert(source, Held { reach, unbroken });
    }

    /// Whether a source is read.
    pub(crate) fn reads(&self, source: Source) -> bool {
        self.sources.contains_key(&source)
    }

    /// A source is no longer read: it leaves the common minimum.
    pub(crate) fn leave(&mut self, source: Source) {
        self.sources.remove(&source);
    }

    /// The clearance of every entry that is read: the minimum over its sources.
    pub(crate) fn clearances(&self) -> BTreeMap<EntryId, EventTime> {
        let mut common: BTreeMap<EntryId, EventTime> = BTreeMap::new();
        for (source, held) in &self.sources {
            let least = common.entry(source.entry).or_insert(EventTime::MAX);
            *least = (*least).min(held.reach.clearance);
        }
        common
    }

    /// Windows of an entry that begin at or before this may lack records: reading of a source began behind it.
    pub(crate) fn covers_from(&self, entry: EntryId) -> EventTime {
        self.covers.get(&entry).copied().unwrap_or(EventTime::MIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use beaconfire_model::TopicId;

    fn source(partition: i32) -> Source {
        Source { entry: EntryId(0), topic: TopicId(0), partition }
    }

    fn at(millis: i64) -> EventTime {
        EventTime::from_millis(millis)
    }

    #[test]
    fn lateness_is_judged_by_the_source_alone_and_before_the_record_counts() {
        let mut tide = Tide::new(source(0), 30, Offset(0), None);
        let times = [(100, false), (70, false), (69, true), (500, false), (469, true), (470, false)];
        for (offset, (time, late)) in times.into_iter().enumerate() {
            assert_eq!(tide.see(Offset(offset as i64), at(time)), late, "{time}");
        }
        assert_eq!(tide.watermark(), at(470));
        // A seed judges from the first record on.
        assert!(Tide::new(source(0), 30, Offset(9), Some(at(100))).see(Offset(9), at(60)));
    }

    #[test]
    fn a_source_that_brings_what_should_not_have_come_is_waited_for_again() {
        let mut tide = Tide::new(source(0), 30, Offset(0), None);
        tide.clear(at(900));
        assert_eq!(tide.reach().clearance, at(900));
        tide.see(Offset(0), at(100));
        assert_eq!(tide.reach().clearance, at(70));
        // What is late says nothing new.
        tide.clear(at(500));
        tide.see(Offset(1), at(60));
        assert_eq!(tide.reach().clearance, at(500));
        tide.see(Offset(2), at(600));
        assert_eq!(tide.reach().clearance, at(570));
    }

    #[test]
    fn the_slowest_source_holds_its_entry_back_until_it_leaves() {
        let mut common = Common::default();
        let mut fast = Tide::new(source(0), 0, Offset(0), None);
        fast.see(Offset(0), at(900));
        let mut slow = Tide::new(source(1), 0, Offset(0), None);
        common.reach(fast.reach());
        common.reach(slow.reach());
        assert_eq!(common.clearances()[&EntryId(0)], EventTime::MIN);
        slow.clear(at(300));
        common.reach(slow.reach());
        assert_eq!(common.clearances()[&EntryId(0)], at(300));
        common.leave(source(1));
        assert_eq!(common.clearances()[&EntryId(0)], at(900));
    }

    #[test]
    fn reading_that_begins_behind_records_leaves_windows_that_lack_them() {
        let covers = |tides: &[Tide]| {
            let mut common = Common::default();
            for tide in tides {
                common.reach(tide.reach());
            }
            common.covers_from(EntryId(0))
        };
        let seen = |mut tide: Tide, offset, time| {
            tide.see(Offset(offset), at(time));
            tide
        };
        let first = seen(Tide::new(source(0), 0, Offset(0), None), 9, 500);
        assert_eq!(covers(&[first]), EventTime::MIN);
        // A rewind says up to where it lacks records; a cold start in mid-log learns it from its first event.
        assert_eq!(covers(&[Tide::new(source(0), 0, Offset(40), Some(at(400)))]), at(400));
        assert_eq!(covers(&[seen(Tide::new(source(0), 0, Offset(40), None), 40, 700)]), at(700));
        // Back again behind what is held already: nothing is lacking. Further on: there is a gap.
        assert_eq!(covers(&[first, Tide::new(source(0), 0, Offset(10), Some(at(500)))]), EventTime::MIN);
        assert_eq!(covers(&[first, Tide::new(source(0), 0, Offset(11), Some(at(500)))]), at(500));
    }
}
