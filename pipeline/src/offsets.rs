//! From which offset the unfinished windows of a source can be rebuilt, and how that is written into the commit's
//! metadata. No local files, no extra topics: recovery is a rewind.

use std::collections::BTreeMap;
use std::time::Duration;

use beaconfire_model::{EventTime, Offset};

/// At most so many seconds of event time are told apart; older ones are merged, which only rewinds further.
const SECONDS_MAX: usize = 7_200;

/// The index of one source's unfinished windows: for each second of event time, the first record that fell into it.
#[derive(Debug, Clone, Default)]
pub struct Rewind {
    /// Second of event time -> (first offset in it, largest event time before that offset).
    seconds: BTreeMap<i64, (Offset, Option<EventTime>)>,
    /// The largest event time so far.
    largest: Option<EventTime>,
    /// Everything before this event time is finished.
    floor: Option<EventTime>,
    /// The second that was noted last, while it is there: most records fall into the same as the one before.
    noted: Option<i64>,
}

impl Rewind {
    /// Begins with the largest event time before the first offset that will be noted.
    pub fn seeded(seed: Option<EventTime>) -> Self {
        Self { largest: seed, ..Self::default() }
    }

    /// Notes a record's event. Offsets rise.
    pub fn note(&mut self, offset: Offset, time: EventTime) {
        if self.floor.is_none_or(|floor| time >= floor) {
            let second = time.millis().div_euclid(1000);
            if self.noted != Some(second) {
                self.seconds.entry(second).or_insert((offset, self.largest));
                self.noted = Some(second);
                if self.seconds.len() > SECONDS_MAX {
                    self.merge_oldest();
                }
            }
        }
        self.largest = Some(self.largest.map_or(time, |largest| largest.max(time)));
    }

    /// Notes an event of a line that may have begun at `offset`; `before` is the largest event time before that.
    pub fn note_from(&mut self, offset: Offset, before: Option<EventTime>, time: EventTime) {
        if self.floor.is_none_or(|floor| time >= floor) {
            let point = self.seconds.entry(time.millis().div_euclid(1000)).or_insert((offset, before));
            if offset < point.0 {
                *point = (offset, before);
            }
            if self.seconds.len() > SECONDS_MAX {
                self.merge_oldest();
            }
        }
        self.largest = Some(self.largest.map_or(time, |largest| largest.max(time)));
    }

    fn merge_oldest(&mut self) {
        self.noted = None;
        let (Some((_, first)), Some(mut second)) = (self.seconds.pop_first(), self.seconds.first_entry())
        else {
            return;
        };
        if first.0 < second.get().0 {
            second.insert(first);
        }
    }

    /// The largest event time so far.
    pub fn largest(&self) -> Option<EventTime> {
        self.largest
    }

    /// Forgets what lies before `finished`: no point further back will be asked for.
    pub fn forget_before(&mut self, finished: EventTime) {
        if self.floor.is_none_or(|floor| finished > floor) {
            self.floor = Some(finished);
            self.noted = None;
            let second = finished.millis().div_euclid(1000);
            self.seconds = self.seconds.split_off(&second);
        }
    }

    /// Where to rewind to so that every record with a time of at least `unfinished` is read again, as far as it was not
    /// forgotten, and the largest event time before that. `next` where there is no such record.
    pub fn point(&self, unfinished: EventTime, next: Offset) -> (Offset, Option<EventTime>) {
        let second = unfinished.millis().div_euclid(1000);
        let needed = self.seconds.range(second..).map(|(_, first)| *first);
        needed.min_by_key(|(offset, _)| *offset).unwrap_or((next, self.largest))
    }
}

/// The time before which every window of an entry is finished.
pub(crate) fn unfinished(
    common: EventTime,
    longest_window: Duration,
    lateness: Duration,
    drift: Duration,
) -> EventTime {
    common.minus(longest_window).minus(lateness).minus(drift)
}

/// What a commit says besides the offset: `v1;r=REWIND;m=SEED;e=EPOCH`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metadata {
    /// Where to begin reading again.
    pub rewind: Offset,
    /// The largest event time before it; `None` where there is none.
    pub seed: Option<EventTime>,
    /// The assignment that wrote it.
    pub epoch: i64,
}

impl Metadata {
    /// As it is committed; far below Kafka's 4,096 bytes.
    pub fn text(&self) -> String {
        let seed = self.seed.map_or_else(|| "-".to_owned(), |seed| seed.millis().to_string());
        format!("v1;r={};m={seed};e={}", self.rewind.0, self.epoch)
    }

    /// Reads it; `None` where somebody else wrote it (then reading begins at the committed offset, cold).
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(';');
        if parts.next() != Some("v1") {
            return None;
        }
        let (mut rewind, mut seed, mut epoch) = (None, None, None);
        for part in parts {
            match part.split_once('=')? {
                ("r", value) => rewind = Some(Offset(value.parse().ok()?)),
                ("m", "-") => {}
                ("m", value) => seed = Some(EventTime::from_millis(value.parse().ok()?)),
                ("e", value) => epoch = Some(value.parse().ok()?),
                // A later version may say more; what it must not do is change what these mean.
                _ => {}
            }
        }
        Some(Self { rewind: rewind?, seed, epoch: epoch? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(millis: i64) -> EventTime {
        EventTime::from_millis(millis)
    }

    #[test]
    fn metadata_survives_the_trip() {
        for seed in [None, Some(at(-5)), Some(at(1_767_323_045_000))] {
            let metadata = Metadata { rewind: Offset(42), seed, epoch: 7 };
            assert_eq!(Metadata::parse(&metadata.text()), Some(metadata));
        }
        for foreign in ["", "v2;r=1", "v1", "v1;r=x;m=-;e=1", "checkpoint-17"] {
            assert_eq!(Metadata::parse(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn what_is_forgotten_bounds_how_far_back_a_point_lies() {
        let mut rewind = Rewind::default();
        for offset in 0..100 {
            rewind.note(Offset(offset), at(offset * 1_000));
        }
        assert_eq!(rewind.point(at(40_000), Offset(100)), (Offset(40), Some(at(39_000))));
        assert_eq!(rewind.point(at(10_000), Offset(100)), (Offset(10), Some(at(9_000))));
        rewind.forget_before(at(30_000));
        assert_eq!(rewind.point(at(40_000), Offset(100)), (Offset(40), Some(at(39_000))));
        assert_eq!(rewind.point(at(10_000), Offset(100)), (Offset(30), Some(at(29_000))));
    }

    proptest! {
        /// Against a naive reading of the whole log: no record of an unfinished window lies before the point, and the
        /// seed is the largest event time before it.
        #[test]
        fn the_point_covers_every_unfinished_record(times in prop::collection::vec(0i64..200_000, 1..300), unfinished in 0i64..200_000) {
            let mut rewind = Rewind::default();
            for (offset, time) in times.iter().enumerate() {
                rewind.note(Offset(offset as i64), at(*time));
            }
            let next = Offset(times.len() as i64);
            let (point, seed) = rewind.point(at(unfinished), next);
            let before = &times[..point.0 as usize];
            prop_assert!(before.iter().all(|time| *time < unfinished));
            prop_assert_eq!(seed, before.iter().max().map(|time| at(*time)));
        }
    }
}
