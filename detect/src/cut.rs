//! How event time is cut into sub-buckets.

use std::time::Duration;

use beaconfire_model::EventTime;

use crate::plan::BUCKETS;

/// Times are read within this many milliseconds around 1970 (some 300,000 years), so that arithmetic on buckets cannot
/// overflow, whatever a record claims.
const MILLIS_MAX: i64 = 10_000_000_000_000_000;

/// Past every bucket: what has closed when an input has ended.
const ALL: i64 = i64::MAX / 4;

/// How windows of one length are cut: bucket `b` holds the times `t` with `floor(t * 60 / window) = b`, so that 60 of
/// them are exactly the window, also where a 60th is no whole number of milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cut {
    window: i64,
}

impl Cut {
    pub(crate) fn new(window: Duration) -> Self {
        // Windows are at most a day, where they come from rules.
        Self { window: i64::try_from(window.as_millis()).unwrap_or(i64::MAX).clamp(1, MILLIS_MAX) }
    }

    /// The bucket of a time.
    pub(crate) fn bucket(self, at: EventTime) -> i64 {
        (at.millis().clamp(-MILLIS_MAX, MILLIS_MAX) * BUCKETS).div_euclid(self.window)
    }

    /// The first millisecond of a bucket.
    pub(crate) fn start(self, bucket: i64) -> EventTime {
        // A bucket's start lies within a window of its times, which fit; the far side of all time may not.
        let rounded_up = match bucket.checked_mul(self.window) {
            Some(numerator) => -(-numerator).div_euclid(BUCKETS),
            None => {
                let numerator = i128::from(bucket) * i128::from(self.window);
                i64::try_from(-(-numerator).div_euclid(i128::from(BUCKETS))).unwrap_or(i64::MAX)
            }
        };
        EventTime::from_millis(rounded_up)
    }

    /// The first millisecond after a bucket.
    pub(crate) fn end(self, bucket: i64) -> EventTime {
        self.start(bucket + 1)
    }

    /// The last bucket that ends at or before `clearance`.
    pub(crate) fn closed(self, clearance: EventTime) -> i64 {
        if clearance.millis() >= MILLIS_MAX { ALL } else { self.bucket(clearance) - 1 }
    }

    /// How many buckets a span touches at most, less one.
    pub(crate) fn buckets(self, span: Duration) -> i64 {
        let millis = i64::try_from(span.as_millis()).unwrap_or(i64::MAX).min(MILLIS_MAX);
        -(-millis * BUCKETS).div_euclid(self.window)
    }
}

/// The bucket of the last time asked for, with its limits: records come almost in order, and a division for each
/// rule of each record is saved.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Near {
    cut: Cut,
    bucket: i64,
    start: i64,
    end: i64,
}

impl Near {
    pub(crate) fn new(cut: Cut) -> Self {
        Self { cut, bucket: 0, start: 0, end: 0 }
    }

    pub(crate) fn bucket(&mut self, at: EventTime) -> i64 {
        if !(self.start..self.end).contains(&at.millis()) {
            self.bucket = self.cut.bucket(at);
            (self.start, self.end) =
                (self.cut.start(self.bucket).millis(), self.cut.end(self.bucket).millis());
        }
        self.bucket
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_time_lies_in_its_bucket_and_sixty_are_a_window(window in 1_000u64..86_400_000, at in -5_000_000_000_000i64..5_000_000_000_000) {
            let cut = Cut::new(Duration::from_millis(window));
            let time = EventTime::from_millis(at);
            let bucket = cut.bucket(time);
            prop_assert!((cut.start(bucket)..cut.end(bucket)).contains(&time));
            prop_assert_eq!(cut.bucket(EventTime::from_millis(at + window as i64)), bucket + BUCKETS);
            prop_assert!(cut.end(cut.closed(time)) <= time && cut.end(cut.closed(time) + 1) > time);
            let mut near = Near::new(cut);
            for step in [0, 1, -1, 17, 5_000] {
                let time = EventTime::from_millis(at + step);
                prop_assert_eq!(near.bucket(time), cut.bucket(time));
            }
        }
    }

    #[test]
    fn absurd_times_have_buckets_too() {
        let cut = Cut::new(Duration::from_secs(1));
        for time in [EventTime::MIN, EventTime::MAX] {
            let bucket = cut.bucket(time);
            assert!(cut.start(bucket - 120) < cut.end(bucket + 120));
            assert_eq!(Near::new(cut).bucket(time), bucket);
        }
        assert!(cut.closed(EventTime::MAX) > cut.bucket(EventTime::MAX) + BUCKETS);
        assert_eq!(cut.buckets(Duration::from_secs(90)), 5_400);
    }
}
