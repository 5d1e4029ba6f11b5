//! All series, within a bound in bytes.
//!
//! At the bound a new series is refused, unless some have not been fed for a week: those go, the oldest first. An old
//! series never makes room for a new one that way: whoever makes up names must not wipe out what was learned.

use std::collections::HashMap;
use std::time::Duration;

use beaconfire_model::{EventTime, Subject};

use super::metric::Metric;
use super::parameters::{FIRST_DAY, SLICE};
use super::series::Series;
use super::verdict::{BadSample, Verdict};
use crate::hash::Seeded;
use crate::sealed::SnapshotError;

/// A series that was not fed for so long may go.
const IDLE: std::time::Duration = std::time::Duration::from_secs(7 * 86_400);
/// Having found nothing to drop, the table looks again so much later: looking costs a look at every series.
const LOOK_AGAIN: std::time::Duration = std::time::Duration::from_secs(600);
/// At the bound, so much of it is made free at once, where it can be.
const ROOM: usize = 16;

/// Which series.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SeriesKey {
    /// The workload or service.
    pub subject: Subject,
    /// What of it.
    pub metric: Metric,
}

/// What came of a slice.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fed {
    /// The series has taken it.
    Taken(Verdict),
    /// It was taken before, by this process or one before it.
    Before,
    /// There is no room for another series.
    Full,
}

/// How full it is, and what the bound has cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BaselinesCensus {
    /// Series that are held.
    pub series: usize,
    /// Bytes they occupy.
    pub bytes: usize,
    /// Series that went at the bound.
    pub evicted: u64,
    /// Slices of series for which there was no room.
    pub refused: u64,
    /// Slices that had been taken before.
    pub before: u64,
    /// Samples that cannot have been measured, in the order of [`BadSample::ALL`].
    pub bad: [u64; BadSample::ALL.len()],
}

#[derive(Debug)]
struct Held {
    series: Box<Series>,
    /// Whether it has changed since it was last stored.
    changed: bool,
}

/// All series by key.
#[derive(Debug)]
pub struct Baselines {
    held: HashMap<SeriesKey, Held, Seeded>,
    bound: usize,
    newest: EventTime,
    look_again: EventTime,
    census: BaselinesCensus,
}

impl Baselines {
    /// An empty table of at most so many bytes. The seed is the installation's: names may be an attacker's.
    pub fn new(bound: usize, seed: u64) -> Self {
        Self {
            held: HashMap::with_hasher(Seeded::new(seed)),
            bound,
            newest: EventTime::MIN,
            look_again: EventTime::MIN,
            census: BaselinesCensus::default(),
        }
    }

    /// What a series occupies: the table is at least 7/16 full after it has grown, and allocations have a head.
    fn cost(key: &SeriesKey) -> usize {
        (size_of::<(SeriesKey, Held)>() + 1) * 16 / 7 + key.subject.value.len() + size_of::<Series>() + 32
    }

    /// Feeds the slice that begins at this time; `None` is a missing one. A slice at or before what the series has
    /// taken already changes nothing: that is what makes a rewind harmless.
    pub fn feed(&mut self, key: &SeriesKey, at: EventTime, value: Option<f64>) -> Fed {
        self.newest = self.newest.max(at);
        if !self.held.contains_key(key) && (value.is_none() || !self.admit(key, Series::default())) {
            return if value.is_none() { Fed::Taken(Verdict::Missing) } else { Fed::Full };
        }
        let Some(held) = self.held.get_mut(key) else { return Fed::Full };
        if held.series.closed_through().is_some_and(|through| at <= through) {
            self.census.before += 1;
            return Fed::Before;
        }
        held.changed = true;
        let negative = value.filter(|value| key.metric.refuses(*value) == Some(BadSample::Negative));
        let verdict = match negative {
            // For the series it is a slice without a sample.
            Some(_) => {
                held.series.push(at, None, key.metric.grain());
                Verdict::Refused(BadSample::Negative)
            }
            None => {
                let verdict = held.series.push(at, value, key.metric.grain());
                match (verdict, first_day_left(&held.series, at)) {
                    (Verdict::Learning { left }, day) => Verdict::Learning { left: left.max(day) },
                    (Verdict::Judged { .. }, left @ 1..) => Verdict::Learning { left },
                    (verdict, _) => verdict,
                }
            }
        };
        if let Verdict::Refused(bad) = verdict {
            let place = BadSample::ALL.iter().position(|each| *each == bad).unwrap_or_default();
            self.census.bad[place] += 1;
        }
        Fed::Taken(verdict)
    }

    /// Makes a series known, where there is room.
    fn admit(&mut self, key: &SeriesKey, series: Series) -> bool {
        let cost = Self::cost(key);
        if self.census.bytes + cost > self.bound && self.newest >= self.look_again {
            self.make_room();
        }
        if self.census.bytes + cost > self.bound {
            self.census.refused += 1;
            return false;
        }
        self.census.bytes += cost;
        self.held.insert(key.clone(), Held { series: Box::new(series), changed: false });
        true
    }

    /// Drops series that were not fed for long, in the order of how long, then of their keys.
    fn make_room(&mut self) {
        let line = self.newest.minus(IDLE);
        let mut idle: Vec<(EventTime, SeriesKey)> = Vec::new();
        #[allow(clippy::iter_over_hash_type, reason = "sorted before anything is made of it")]
        for (key, held) in &self.held {
            let through = held.series.closed_through().unwrap_or(EventTime::MIN);
            if through < line {
                idle.push((through, key.clone()));
            }
        }
        idle.sort_unstable();
        let target = self.bound - self.bound / ROOM;
        for (_, key) in idle {
            if self.census.bytes <= target {
                break;
            }
            self.census.bytes -= Self::cost(&key);
            self.census.evicted += 1;
            self.held.remove(&key);
        }
        self.look_again = self.newest.plus(LOOK_AGAIN);
    }

    /// A series.
    pub fn get(&self, key: &SeriesKey) -> Option<&Series> {
        self.held.get(key).map(|held| &*held.series)
    }

    /// Stops or resumes learning of one series; whether there is one.
    pub fn freeze(&mut self, key: &SeriesKey, frozen: bool) -> bool {
        match self.get(key).map(Series::is_frozen) {
            // As it was: nothing to store.
            Some(held) if held == frozen => true,
            _ => self.change(key, |series| series.freeze(frozen)),
        }
    }

    /// Takes what one series does now for normal; whether there is one.
    pub fn accept(&mut self, key: &SeriesKey) -> bool {
        self.change(key, Series::accept)
    }

    /// Forgets the series that `which` picks: they learn anew.
    pub fn forget(&mut self, which: impl Fn(&SeriesKey) -> bool) {
        let bytes = &mut self.census.bytes;
        self.held.retain(|key, _| {
            let gone = which(key);
            if gone {
                *bytes -= Self::cost(key);
            }
            !gone
        });
    }

    fn change(&mut self, key: &SeriesKey, change: impl FnOnce(&mut Series)) -> bool {
        let held = self.held.get_mut(key);
        if let Some(held) = held {
            change(&mut held.series);
            held.changed = true;
            return true;
        }
        false
    }

    /// Series that have changed since they were last asked for, in the order of their keys and at most so many: how far
    /// each has come, and its bytes, for the store.
    pub fn changes(&mut self, most: usize) -> Vec<(SeriesKey, Option<EventTime>, Vec<u8>)> {
        let changed = self.held.iter().filter(|(_, held)| held.changed);
        let mut keys: Vec<SeriesKey> = changed.map(|(key, _)| key.clone()).collect();
        keys.sort_unstable();
        keys.truncate(most);
        let mut changes = Vec::with_capacity(keys.len());
        for key in keys {
            if let Some(held) = self.held.get_mut(&key) {
                held.changed = false;
                changes.push((key, held.series.closed_through(), held.series.snapshot()));
            }
        }
        changes
    }

    /// Whether any series has changed since it was last asked for.
    pub fn has_changes(&self) -> bool {
        self.held.values().any(|held| held.changed)
    }

    /// Takes a stored series in; whether there was room for it.
    pub fn restore(&mut self, key: &SeriesKey, bytes: &[u8]) -> Result<bool, SnapshotError> {
        let series = Series::restore(bytes)?;
        self.newest = self.newest.max(series.closed_through().unwrap_or(EventTime::MIN));
        if let Some(held) = self.held.get_mut(key) {
            *held = Held { series: Box::new(series), changed: false };
            return Ok(true);
        }
        Ok(self.admit(key, series))
    }

    /// How many series learn silently, and in how much time the last of them will tell.
    pub fn learning(&self) -> (usize, Duration) {
        let left = self.held.values().map(|held| {
            let day = held.series.closed_through().map_or(0, |at| first_day_left(&held.series, at));
            SLICE * held.series.left().max(day)
        });
        left.filter(|left| !left.is_zero())
            .fold((0, Duration::ZERO), |(series, longest), left| (series + 1, longest.max(left)))
    }

    /// How full it is, and what the bound has cost.
    pub fn census(&self) -> BaselinesCensus {
        BaselinesCensus { series: self.held.len(), ..self.census }
    }
}

/// Slices of the first day that are still to come, of the length that the heads are for.
fn first_day_left(series: &Series, at: EventTime) -> u32 {
    let end = series.first().map_or(at, |first| first.plus(FIRST_DAY));
    u32::try_from(end.since(at).as_millis().div_ceil(SLICE.as_millis())).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use beaconfire_model::SubjectKind;

    fn key(n: usize) -> SeriesKey {
        let subject = Subject { kind: SubjectKind::Workload, value: format!("shop/w{n:04}").into() };
        SeriesKey { subject, metric: Metric::Cpu }
    }

    fn at(hour: i64) -> EventTime {
        EventTime::from_millis(hour * 3_600_000)
    }

    /// Room for so many series.
    fn table(series: usize) -> Baselines {
        Baselines::new(Baselines::cost(&key(0)) * series, 1)
    }

    #[test]
    fn at_the_bound_new_series_are_refused_and_old_ones_stay() {
        let mut table = table(100);
        for n in 0..150 {
            let fed = table.feed(&key(n), at(1), Some(1.0));
            assert_eq!(matches!(fed, Fed::Taken(_)), n < 100, "{n}: {fed:?}");
        }
        let census = table.census();
        assert_eq!((census.series, census.refused, census.evicted), (100, 50, 0));
        assert!(census.bytes <= table.bound);
        assert!(matches!(table.feed(&key(7), at(2), Some(1.0)), Fed::Taken(Verdict::Learning { .. })));
    }

    #[test]
    fn what_was_not_fed_for_a_week_makes_room_the_oldest_first() {
        let run = |order: &mut dyn Iterator<Item = usize>| {
            let mut table = table(100);
            for n in order {
                table.feed(&key(n), at(n as i64), Some(1.0));
            }
            // 8 days on, twenty of them still live.
            for n in 80..100 {
                table.feed(&key(n), at(300), Some(1.0));
            }
            assert!(matches!(table.feed(&key(500), at(300), Some(1.0)), Fed::Taken(_)));
            let census = table.census();
            let left: Vec<usize> = (0..100).filter(|n| table.get(&key(*n)).is_some()).collect();
            (census.evicted, left)
        };
        let (evicted, left) = run(&mut (0..100));
        assert_eq!(left, (evicted as usize..100).collect::<Vec<_>>());
        assert!((6..=8).contains(&evicted), "a sixteenth: {evicted}");
        assert_eq!(run(&mut (0..100).rev()), (evicted, left), "in whatever order they came");
    }

    #[test]
    fn the_first_day_is_silent() {
        let mut table = table(10);
        let five = |n: i64| EventTime::from_millis(n * 300_000);
        let learning = |fed: Fed| match fed {
            Fed::Taken(Verdict::Learning { left }) => Some(left),
            Fed::Taken(Verdict::Judged { .. }) => None,
            other => panic!("{other:?}"),
        };
        for n in 0..288 {
            // A peak behind the first hundred samples is one of them.
            let left = learning(table.feed(&key(1), five(n), Some(if n == 150 { 90.0 } else { 1.0 })));
            assert_eq!(left, Some(288 - n as u32), "{n}");
        }
        assert_eq!(learning(table.feed(&key(1), five(288), Some(1.0))), None);
    }

    #[test]
    fn slices_that_were_taken_before_change_nothing() {
        let mut table = table(10);
        table.feed(&key(1), at(1), Some(1.0));
        let before = table.get(&key(1)).cloned();
        for hour in [1, 0, -5] {
            assert_eq!(table.feed(&key(1), at(hour), Some(99.0)), Fed::Before);
        }
        assert_eq!(table.get(&key(1)).cloned(), before);
        assert_eq!(table.census().before, 3);
        // And a missing slice makes no series.
        assert_eq!(table.feed(&key(2), at(1), None), Fed::Taken(Verdict::Missing));
        assert_eq!(table.census().series, 1);
    }

    #[test]
    fn bad_samples_are_counted_by_reason() {
        let mut table = table(10);
        for (n, value) in [-0.5, f64::NAN, 1e308, -3.0].into_iter().enumerate() {
            assert!(matches!(
                table.feed(&key(1), at(n as i64), Some(value)),
                Fed::Taken(Verdict::Refused(_))
            ));
        }
        assert_eq!(table.census().bad, [1, 1, 2]);
        assert_eq!(table.get(&key(1)).map(Series::left), Some(101), "none of them was learned");
    }

    #[test]
    fn a_table_that_is_stored_and_restored_goes_on_as_if_nothing_had_been() {
        let feed = |table: &mut Baselines, hours: std::ops::Range<i64>| -> Vec<Fed> {
            let each = |hour: i64| (0..5).map(move |n| (hour, n));
            let value = |hour: i64, n: usize| (hour * 7_919 % 101) as f64 + n as f64;
            hours
                .flat_map(each)
                .map(|(hour, n)| table.feed(&key(n), at(hour), Some(value(hour, n))))
                .collect()
        };
        let (mut undisturbed, mut first) = (table(10), table(10));
        feed(&mut undisturbed, 0..300);
        feed(&mut first, 0..250);
        assert_eq!(first.changes(usize::MAX).len(), 5);
        assert_eq!(first.changes(usize::MAX), [], "all of it is stored");
        feed(&mut first, 250..300);
        first.freeze(&key(3), true);
        undisturbed.freeze(&key(3), true);
        let mut second = table(10);
        for (key, through, bytes) in first.changes(usize::MAX) {
            assert_eq!(through, Some(at(299)));
            assert_eq!(second.restore(&key, &bytes), Ok(true));
        }
        // The log is read again from a little earlier.
        assert!(feed(&mut second, 290..300).iter().all(|fed| *fed == Fed::Before));
        assert_eq!(feed(&mut second, 300..400), feed(&mut undisturbed, 300..400));
        assert_eq!(second.restore(&key(9), b"nonsense"), Err(SnapshotError::Damaged));
        assert!(second.accept(&key(3)) && !second.accept(&key(8)));
    }
}
