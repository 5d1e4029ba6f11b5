//! Samples become slices of event time: one value for each key and each few seconds, the same for any order in which
//! the samples came.
//!
//! Sums are whole numbers (values in units of 2^-32), since floating ones depend on order in their last bits. A slice
//! closes when the watermark has passed its end; what comes for it later is counted and left out.

use std::collections::BTreeMap;
use std::time::Duration;

use beaconfire_model::EventTime;

use super::metric::Gather;
use super::verdict::BadSample;

/// Values in units of 2^-32: four billion of the largest that is taken still fit.
const UNIT: f64 = 4_294_967_296.0;
const MOST: f64 = 1.152_921_504_606_847e18;
/// Slices without a sample of anything at all that are still filled in, in a row: a longer silence says that nobody
/// measured.
const FILLED: i64 = 1_024;

/// What there is to gather.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Amount {
    /// So many happened.
    Count(u64),
    /// This was measured.
    Value(f64),
}

/// Why a sample is in no slice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// Its slice is closed.
    Late,
    /// It cannot have been measured.
    Bad(BadSample),
    /// There are as many keys as there may be.
    Full,
}

/// What has been left out so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SlicesCensus {
    /// Keys that are known.
    pub keys: usize,
    /// Samples whose slice was closed.
    pub late: u64,
    /// Samples that cannot have been measured.
    pub bad: u64,
    /// Samples of keys beyond the bound.
    pub full: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    units: i128,
    count: u64,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    gather: Gather,
    /// The first slice with a sample, and the last one that was closed.
    first: i64,
    last: i64,
}

/// Slices that are still open, and the keys that have had some.
#[derive(Debug)]
pub struct Slices<K> {
    width: i64,
    keys_max: usize,
    /// Slices after which a key that is no longer heard of is forgotten.
    forget_after: i64,
    open: BTreeMap<i64, BTreeMap<K, Sum>>,
    known: BTreeMap<K, Known>,
    /// All slices before this one are closed.
    next: Option<i64>,
    /// The last slice with anything in it.
    heard: i64,
    census: SlicesCensus,
}

impl<K: Ord + Clone> Slices<K> {
    /// Slices of this length, aligned to the epoch, for at most so many keys. A key that has had no sample for
    /// `forget_after` is forgotten: its rate is not 0 for ever.
    pub fn new(width: Duration, keys_max: usize, forget_after: Duration) -> Self {
        let millis = |of: Duration| i64::try_from(of.as_millis()).unwrap_or(i64::MAX);
        let width = millis(width).max(1);
        Self {
            width,
            keys_max,
            forget_after: millis(forget_after) / width,
            open: BTreeMap::new(),
            known: BTreeMap::new(),
            next: None,
            heard: i64::MIN,
            census: SlicesCensus::default(),
        }
    }

    /// A key whose slices through this time were taken in before a restart: its rate goes on from there.
    pub fn resume(&mut self, key: K, gather: Gather, closed_through: EventTime) {
        let last = self.index(closed_through);
        if self.known.len() < self.keys_max {
            self.known.insert(key, Known { gather, first: last, last });
        }
        self.next = Some(self.next.map_or(last + 1, |next| next.min(last + 1)));
        self.heard = self.heard.max(last);
    }

    /// Forgets the keys that `which` picks, with what is open of them.
    pub fn forget(&mut self, which: impl Fn(&K) -> bool) {
        self.known.retain(|key, _| !which(key));
        self.open.retain(|_, sums| {
            sums.retain(|key, _| !which(key));
            !sums.is_empty()
        });
    }

    /// Takes a sample in.
    pub fn add(&mut self, key: &K, gather: Gather, at: EventTime, amount: Amount) -> Result<(), Left> {
        let taken = self.take(key, gather, at, amount);
        match taken {
            Err(Left::Late) => self.census.late += 1,
            Err(Left::Bad(_)) => self.census.bad += 1,
            Err(Left::Full) => self.census.full += 1,
            Ok(()) => {}
        }
        taken
    }

    fn take(&mut self, key: &K, gather: Gather, at: EventTime, amount: Amount) -> Result<(), Left> {
        let units = match amount {
            Amount::Count(count) => i128::from(count),
            Amount::Value(value) if value.is_nan() => return Err(Left::Bad(BadSample::NotANumber)),
            Amount::Value(value) if value.abs() > MOST => {
                return Err(Left::Bad(BadSample::of(value).unwrap_or(BadSample::TooLarge)));
            }
            Amount::Value(value) => (value * UNIT) as i128,
        };
        let index = self.index(at);
        if self.next.is_some_and(|next| index < next) {
            return Err(Left::Late);
        }
        if let Some(known) = self.known.get_mut(key) {
            known.first = known.first.min(index);
        } else if self.known.len() < self.keys_max {
            self.known.insert(key.clone(), Known { gather, first: index, last: index });
        } else {
            return Err(Left::Full);
        }
        let slice = self.open.entry(index).or_default();
        if !slice.contains_key(key) {
            slice.insert(key.clone(), Sum::default());
        }
        if let Some(sum) = slice.get_mut(key) {
            sum.units = sum.units.saturating_add(units);
            sum.count = sum.count.saturating_add(1);
        }
        Ok(())
    }

    /// Closes the slices that end at or before the watermark, in the order of time and keys. Each key has a value in
    /// each slice from its first on; `None` where it is missing.
    pub fn close(&mut self, watermark: EventTime, mut each: impl FnMut(&K, EventTime, Option<f64>)) {
        let end = watermark.millis().div_euclid(self.width);
        let Some(first) = self.next.or_else(|| self.open.keys().next().copied()) else { return };
        let mut index = first;
        while index < end {
            if self.open.contains_key(&index) {
                self.heard = index;
            } else if index > self.heard.saturating_add(FILLED) {
                index = self.open.keys().next().map_or(end, |next| (*next).min(end));
                continue;
            }
            self.close_one(index, &mut each);
            index += 1;
        }
        self.next = Some(self.next.unwrap_or(end).max(end));
    }

    fn close_one(&mut self, index: i64, each: &mut impl FnMut(&K, EventTime, Option<f64>)) {
        let mut sums = self.open.remove(&index).unwrap_or_default();
        let at = EventTime::from_millis(index.saturating_mul(self.width));
        let seconds = self.width as f64 / 1e3;
        let (open, forget_after) = (&self.open, self.forget_after);
        self.known.retain(|key, known| {
            // Its first sample lies ahead, and has come early.
            if known.first > index {
                return true;
            }
            let sum = sums.remove(key);
            if sum.is_some() {
                known.last = index;
            }
            let value = match (known.gather, sum) {
                (Gather::PerSecond, sum) => Some(sum.map_or(0.0, |sum| sum.units as f64 / seconds)),
                (Gather::Mean, sum) => sum.map(|sum| sum.units as f64 / UNIT / sum.count as f64),
            };
            each(key, at, value);
            if index - known.last < forget_after {
                return true;
            }
            // Forgotten, but for what has come early: it begins anew there.
            let ahead = open.iter().find_map(|(ahead, sums)| sums.contains_key(key).then_some(*ahead));
            known.first = ahead.unwrap_or(index);
            known.last = known.first;
            ahead.is_some()
        });
    }

    /// What has been left out so far.
    pub fn census(&self) -> SlicesCensus {
        SlicesCensus { keys: self.known.len(), ..self.census }
    }

    fn index(&self, at: EventTime) -> i64 {
        at.millis().div_euclid(self.width)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Closed = Vec<(&'static str, i64, Option<u64>)>;

    fn at(seconds: i64) -> EventTime {
        EventTime::from_millis(seconds * 1_000)
    }

    fn slices() -> Slices<&'static str> {
        Slices::new(Duration::from_secs(10), 8, Duration::from_secs(3_600))
    }

    fn close(slices: &mut Slices<&'static str>, watermark: i64) -> Closed {
        let mut closed = Vec::new();
        slices.close(at(watermark), |key, at, value| {
            closed.push((*key, at.millis() / 1_000, value.map(f64::to_bits)));
        });
        closed
    }

    fn value(of: f64) -> Option<u64> {
        Some(of.to_bits())
    }

    #[test]
    fn a_slice_is_the_mean_or_the_rate_of_what_came_for_it() {
        let mut slices = slices();
        for (key, gather, second, amount) in [
            ("cpu", Gather::Mean, 3, Amount::Value(1.0)),
            ("cpu", Gather::Mean, 9, Amount::Value(2.0)),
            ("requests", Gather::PerSecond, 5, Amount::Count(30)),
            ("requests", Gather::PerSecond, 5, Amount::Count(20)),
            ("cpu", Gather::Mean, 31, Amount::Value(7.0)),
        ] {
            slices.add(&key, gather, at(second), amount).unwrap();
        }
        assert_eq!(close(&mut slices, 9), []);
        assert_eq!(
            close(&mut slices, 39),
            [
                ("cpu", 0, value(1.5)),
                ("requests", 0, value(5.0)),
                // Nothing came: a gauge is missing, a rate is nothing.
                ("cpu", 10, None),
                ("requests", 10, value(0.0)),
                ("cpu", 20, None),
                ("requests", 20, value(0.0)),
            ]
        );
        assert_eq!(slices.add(&"cpu", Gather::Mean, at(29), Amount::Value(1.0)), Err(Left::Late));
        assert_eq!(close(&mut slices, 40), [("cpu", 30, value(7.0)), ("requests", 30, value(0.0))]);
        assert_eq!(slices.census(), SlicesCensus { keys: 2, late: 1, bad: 0, full: 0 });
    }

    #[test]
    fn bad_samples_and_keys_beyond_the_bound_are_counted() {
        let mut slices = Slices::new(Duration::from_secs(10), 1, Duration::MAX);
        for (amount, reason) in [
            (f64::NAN, BadSample::NotANumber),
            (f64::INFINITY, BadSample::NotANumber),
            (1e308, BadSample::TooLarge),
            (-1e19, BadSample::TooLarge),
        ] {
            assert_eq!(slices.add(&1, Gather::Mean, at(1), Amount::Value(amount)), Err(Left::Bad(reason)));
        }
        assert_eq!(slices.add(&1, Gather::Mean, at(1), Amount::Value(1.0)), Ok(()));
        assert_eq!(slices.add(&2, Gather::Mean, at(1), Amount::Value(1.0)), Err(Left::Full));
        assert_eq!(slices.census(), SlicesCensus { keys: 1, late: 0, bad: 4, full: 1 });
    }

    #[test]
    fn a_rate_that_is_no_longer_heard_of_is_forgotten() {
        let mut slices = slices();
        slices.add(&"gone", Gather::PerSecond, at(0), Amount::Count(1)).unwrap();
        for second in (0..8_000).step_by(10) {
            slices.add(&"stays", Gather::PerSecond, at(second), Amount::Count(1)).unwrap();
        }
        let closed = close(&mut slices, 8_000);
        assert_eq!(closed.iter().filter(|(key, ..)| *key == "gone").count(), 361, "an hour of zeros");
        assert_eq!(slices.census().keys, 1);
    }

    #[test]
    fn a_long_silence_of_everything_is_not_filled_in() {
        let mut slices = slices();
        slices.forget_after = i64::MAX;
        slices.add(&"a", Gather::PerSecond, at(0), Amount::Count(1)).unwrap();
        slices.add(&"a", Gather::PerSecond, at(1_000_000_000), Amount::Count(1)).unwrap();
        assert_eq!(close(&mut slices, 1_000_000_010).len(), 1 + 1_024 + 1);
    }

    #[test]
    fn what_was_closed_before_a_restart_is_late_and_rates_go_on() {
        let mut slices = slices();
        slices.resume("requests", Gather::PerSecond, at(20));
        assert_eq!(slices.add(&"requests", Gather::PerSecond, at(25), Amount::Count(9)), Err(Left::Late));
        slices.add(&"requests", Gather::PerSecond, at(45), Amount::Count(10)).unwrap();
        assert_eq!(close(&mut slices, 50), [("requests", 30, value(0.0)), ("requests", 40, value(1.0))]);
    }

    proptest! {
        /// Any order, and closing at any watermark that is not beyond the lateness, gives the same bits.
        #[test]
        fn order_within_the_lateness_changes_no_bit(
            samples in prop::collection::vec((0i64..600, 0usize..3, -1e6..1e6f64, 0i64..60), 1..300),
            gap in prop_oneof![Just(0i64), Just(5_000), Just(40_000)],
        ) {
            const KEYS: [(&str, Gather); 3] =
                [("a", Gather::Mean), ("b", Gather::PerSecond), ("c", Gather::Mean)];
            let feed = |order: &[(i64, usize, f64)], closing: bool| {
                let mut slices = slices();
                let (mut closed, mut largest) = (Closed::new(), i64::MIN);
                for (second, key, amount) in order {
                    let (key, gather) = KEYS[*key];
                    let amount = match gather {
                        Gather::Mean => Amount::Value(*amount),
                        Gather::PerSecond => Amount::Count(amount.abs() as u64),
                    };
                    slices.add(&key, gather, at(*second), amount).unwrap();
                    largest = largest.max(*second);
                    if closing {
                        closed.extend(close(&mut slices, largest - 60));
                    }
                }
                closed.extend(close(&mut slices, 100_000));
                closed
            };
            let timed = |(second, key, amount, _): &(i64, usize, f64, i64)| {
                (second + if *second > 300 { gap } else { 0 }, *key, *amount)
            };
            let mut sorted: Vec<_> = samples.iter().map(timed).collect();
            sorted.sort_by_key(|(second, ..)| *second);
            // Each comes up to its own delay later, none by more than the lateness.
            let mut delayed = samples.clone();
            delayed.sort_by_key(|sample| (timed(sample).0 + sample.3, sample.1));
            let delayed: Vec<_> = delayed.iter().map(timed).collect();
            prop_assert_eq!(feed(&sorted, true), feed(&delayed, true));
            prop_assert_eq!(feed(&sorted, false), feed(&delayed, true));
        }
    }
}
