//! Where a log's clock stood: offsets from UTC, for times that do not say theirs.

/// A time zone, as a list of offsets. `Default` is UTC.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Zone {
    /// Before the first change, in milliseconds east of UTC.
    first: i64,
    /// The local time from which on each offset holds, in order.
    changes: Vec<(i64, i64)>,
}

impl Zone {
    /// A zone that stood at `first` and then changed: each change as the time since 1970 at which it came and the offset
    /// from then on, all in milliseconds, in order.
    pub fn new(first: i64, changes: impl IntoIterator<Item = (i64, i64)>) -> Self {
        let mut before = first;
        let changes = changes.into_iter().map(|(at, after)| {
            // Where clocks go back an hour comes twice, of which the first is taken; where they go forward one never
            // comes, and counts as if they had not. Either way the old offset serves until the later of the two ends.
            let local = at.saturating_add(before.max(after));
            before = after;
            (local, after)
        });
        Self { first, changes: changes.collect() }
    }

    /// The time since 1970 at which clocks there showed `local`.
    pub(crate) fn to_utc(&self, local: i64) -> i64 {
        let passed = self.changes.partition_point(|(from, _)| *from <= local);
        let offset = passed.checked_sub(1).map_or(self.first, |last| self.changes[last].1);
        local.saturating_sub(offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_that_comes_twice_or_never() {
        const HOUR: i64 = 3_600_000;
        // From +1 to +2 at 100 h, back at 200 h.
        let zone = Zone::new(HOUR, [(100 * HOUR, 2 * HOUR), (200 * HOUR, HOUR)]);
        for (local, utc) in
            [(100, 99), (101, 100), (102, 100), (200, 198), (201, 199), (202, 201), (203, 202)]
        {
            assert_eq!(zone.to_utc(local * HOUR), utc * HOUR, "{local}");
        }
        assert_eq!(Zone::default().to_utc(7), 7);
    }
}
