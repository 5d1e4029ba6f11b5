//! Alertmanager's time intervals: when routes are muted, or are the only time they tell.

use std::ops::RangeInclusive;

use beaconfire_model::Wall;
use jiff::Timestamp;
use jiff::civil::Weekday;
use jiff::tz::TimeZone;

/// One stretch of the calendar: all that is given must hold; of a field, any range does. Nothing given is always.
#[derive(Debug, Clone, PartialEq)]
pub struct Stretch {
    /// Minutes of the day: from the first, up to but without the second (1,440 is midnight after it).
    pub times: Vec<(u16, u16)>,
    /// Days of the week, 0 for Sunday.
    pub weekdays: Vec<RangeInclusive<i8>>,
    /// Days of the month from 1; negative ones count from its end.
    pub days_of_month: Vec<(i8, i8)>,
    /// Months, from 1.
    pub months: Vec<RangeInclusive<i8>>,
    /// Years.
    pub years: Vec<RangeInclusive<i16>>,
    /// Whose clock counts.
    pub location: TimeZone,
}

impl Default for Stretch {
    fn default() -> Self {
        Self {
            times: Vec::new(),
            weekdays: Vec::new(),
            days_of_month: Vec::new(),
            months: Vec::new(),
            years: Vec::new(),
            location: TimeZone::UTC,
        }
    }
}

/// What a name in `time_intervals` stands for: any of these stretches.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TimeInterval(pub Vec<Stretch>);

impl TimeInterval {
    /// Whether a moment lies in it.
    pub fn contains(&self, now: Wall) -> bool {
        // A clock beyond the calendar lies in nothing.
        let Ok(stamp) = Timestamp::from_millisecond(now.millis()) else { return false };
        self.0.iter().any(|stretch| stretch.contains(stamp))
    }
}

impl Stretch {
    fn contains(&self, stamp: Timestamp) -> bool {
        let at = stamp.to_zoned(self.location.clone());
        let minute = u16::try_from(i32::from(at.hour()) * 60 + i32::from(at.minute())).unwrap_or(0);
        let weekday = weekday(at.weekday());
        let (day, last) = (at.day(), at.days_in_month());
        any(&self.times, |(from, until)| (*from..*until).contains(&minute))
            && any(&self.weekdays, |days| days.contains(&weekday))
            && any(&self.days_of_month, |(from, until)| in_month(*from, *until, day, last))
            && any(&self.months, |months| months.contains(&at.month()))
            && any(&self.years, |years| years.contains(&at.year()))
    }
}

fn any<T>(ranges: &[T], holds: impl Fn(&T) -> bool) -> bool {
    ranges.is_empty() || ranges.iter().any(holds)
}

fn weekday(day: Weekday) -> i8 {
    day.to_sunday_zero_offset()
}

/// Whether a day lies in a range of a month with `last` days: what reaches beyond the month's ends is cut there, and
/// what begins after its end holds nothing of it.
fn in_month(from: i8, until: i8, day: i8, last: i8) -> bool {
    let of = |bound: i8| if bound < 0 { last + bound + 1 } else { bound };
    let (from, until) = (of(from), of(until));
    from <= last && (from.max(1)..=until.min(last)).contains(&day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Wall {
        Wall::from_millis(text.parse::<Timestamp>().unwrap().as_millisecond())
    }

    #[track_caller]
    fn check(stretch: &Stretch, text: &str, expect: bool) {
        assert_eq!(TimeInterval(vec![stretch.clone()]).contains(at(text)), expect, "{text}");
    }

    #[test]
    fn nothing_given_is_always_and_no_stretch_is_never() {
        check(&Stretch::default(), "2026-01-02T03:04:05Z", true);
        assert!(!TimeInterval::default().contains(at("2026-01-02T03:04:05Z")));
    }

    #[test]
    fn times_begin_with_their_first_minute_and_end_before_their_last() {
        let office = Stretch { times: vec![(9 * 60, 17 * 60)], ..Stretch::default() };
        check(&office, "2026-01-02T08:59:59Z", false);
        check(&office, "2026-01-02T09:00:00Z", true);
        check(&office, "2026-01-02T16:59:59Z", true);
        check(&office, "2026-01-02T17:00:00Z", false);
        let evening = Stretch { times: vec![(18 * 60, 24 * 60)], ..Stretch::default() };
        check(&evening, "2026-01-02T23:59:59Z", true);
        check(&evening, "2026-01-03T00:00:00Z", false);
    }

    /// The zone's own rules, summer time included, from the tables that are built in.
    #[test]
    fn the_clock_of_the_place_counts() {
        let location = TimeZone::get("Europe/Berlin").unwrap();
        let office = Stretch { times: vec![(9 * 60, 10 * 60)], location, ..Stretch::default() };
        check(&office, "2026-01-15T08:30:00Z", true);
        check(&office, "2026-01-15T07:30:00Z", false);
        check(&office, "2026-07-15T07:30:00Z", true);
        check(&office, "2026-07-15T08:30:00Z", false);
        // On the other side of midnight it is another day there.
        let location = TimeZone::get("Australia/Sydney").unwrap();
        let saturday = Stretch { weekdays: vec![6..=6], location, ..Stretch::default() };
        check(&saturday, "2026-01-02T13:30:00Z", true);
        check(&saturday, "2026-01-03T13:30:00Z", false);
    }

    #[test]
    fn days_of_a_month_count_from_both_ends() {
        let days = |from, until| Stretch { days_of_month: vec![(from, until)], ..Stretch::default() };
        check(&days(-3, -1), "2026-02-26T00:00:00Z", true);
        check(&days(-3, -1), "2026-02-25T00:00:00Z", false);
        check(&days(-3, -1), "2024-02-27T00:00:00Z", true);
        check(&days(1, -1), "2026-02-28T00:00:00Z", true);
        check(&days(29, 31), "2026-02-28T00:00:00Z", false);
        check(&days(15, 31), "2026-02-28T00:00:00Z", true);
        check(&days(-31, 2), "2026-02-01T00:00:00Z", true);
    }

    #[test]
    fn fields_must_all_hold_and_of_a_field_any_range_does() {
        let stretch = Stretch {
            weekdays: vec![1..=5],
            months: vec![1..=3, 12..=12],
            years: vec![2026..=2027],
            ..Stretch::default()
        };
        check(&stretch, "2026-01-02T12:00:00Z", true);
        check(&stretch, "2026-12-31T12:00:00Z", true);
        check(&stretch, "2026-01-04T12:00:00Z", false);
        check(&stretch, "2026-05-04T12:00:00Z", false);
        check(&stretch, "2028-01-04T12:00:00Z", false);
    }
}
