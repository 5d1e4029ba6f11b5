//! `time_intervals`: Alertmanager's syntax, and its refusals.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use beaconfire_outbox::{Stretch, TimeInterval};
use jiff::tz::TimeZone;

use crate::de::At;
use crate::judge::Judge;
use crate::raw::{self, Raw};

/// From Sunday, as Alertmanager counts.
const WEEKDAYS: [&str; 7] = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

/// Stretches of one name at most, and ranges of one field.
const RANGES_MAX: usize = 100;

/// Reads `time_intervals`, and `mute_time_intervals` as Alertmanager once called them.
pub(crate) fn intervals(judge: &mut Judge<'_>, raw: &Raw) -> BTreeMap<Arc<str>, TimeInterval> {
    let mut intervals = BTreeMap::new();
    let older = raw.mute_time_intervals.iter().flatten();
    for interval in raw.time_intervals.iter().chain(older) {
        let name: Arc<str> = Arc::from(interval.name.as_str());
        if name.is_empty() || name.len() > 128 {
            judge.error(interval.name.place, "a time interval's name has 1 to 128 characters", "");
        }
        if let Some(over) = interval.time_intervals.get(RANGES_MAX) {
            judge.error(over.place, format!("more than {RANGES_MAX} stretches of time"), "");
        }
        let stretches = interval.time_intervals.iter().map(|stretch| read(judge, stretch)).collect();
        if intervals.insert(name.clone(), TimeInterval(stretches)).is_some() {
            judge.error(
                interval.name.place,
                format!("the time interval `{name}` stands twice"),
                "merge the two, or rename one",
            );
        }
    }
    intervals
}

fn read(judge: &mut Judge<'_>, written: &At<raw::Stretch>) -> Stretch {
    let zone = |judge: &mut Judge<'_>, name: &At<String>| {
        // Alertmanager's word for the clock of the machine.
        let found = if name.value == "Local" { TimeZone::try_system() } else { TimeZone::get(name) };
        found.unwrap_or_else(|_| {
            let said = format!("there is no time zone `{}`", name.escape_debug());
            judge.error(name.place, said, "write a name such as Europe/Berlin, America/New_York or UTC");
            TimeZone::UTC
        })
    };
    let mut field = |texts: &[At<String>], what: &str, parse: fn(&str) -> Result<(i16, i16), String>| {
        if let Some(over) = texts.get(RANGES_MAX) {
            judge.error(over.place, format!("more than {RANGES_MAX} {what}"), "");
        }
        let mut ranges = Vec::new();
        for text in texts {
            match parse(text) {
                Ok(range) => ranges.push(range),
                Err(said) => judge.error(text.place, format!("`{}`: {said}", text.escape_debug()), ""),
            }
        }
        ranges
    };
    let weekdays = field(&written.weekdays, "weekdays", weekdays);
    let days = field(&written.days_of_month, "days of the month", days);
    let months = field(&written.months, "months", months);
    let years = field(&written.years, "years", years);
    let mut times = Vec::new();
    for time in written.times.iter().take(RANGES_MAX) {
        match (minute(&time.start_time), minute(&time.end_time)) {
            (Some(start), Some(end)) if start < end => times.push((start, end)),
            (Some(_), Some(_)) => judge.error(
                time.start_time.place,
                "`start_time` does not come before `end_time`",
                "what lasts over midnight is two: up to 24:00, and from 00:00",
            ),
            (start, _) => {
                let bad = if start.is_none() { &time.start_time } else { &time.end_time };
                let said = format!("`{}` is no time of day", bad.escape_debug());
                judge.error(bad.place, said, "write it as 09:30, from 00:00 to 24:00, in quotes");
            }
        }
    }
    let location = written.location.as_ref().map(|name| zone(judge, name));
    Stretch {
        times,
        weekdays: small(weekdays),
        days_of_month: small(days).into_iter().map(RangeInclusive::into_inner).collect(),
        months: small(months),
        years: years.into_iter().map(|(from, to)| from..=to).collect(),
        location: location.unwrap_or(TimeZone::UTC),
    }
}

/// Days and months fit into less than years do: each was held to its bounds.
fn small(ranges: Vec<(i16, i16)>) -> Vec<RangeInclusive<i8>> {
    let byte = |n: i16| i8::try_from(n).unwrap_or_default();
    ranges.into_iter().map(|(from, to)| byte(from)..=byte(to)).collect()
}

/// `HH:MM` as minutes of the day; 24:00 is the end of it.
fn minute(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':')?;
    let number = |part: &str| {
        let proper = part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
        part.parse::<u16>().ok().filter(|_| proper)
    };
    let (hour, minute) = (number(hour)?, number(minute)?);
    ((hour < 24 && minute < 60) || (hour == 24 && minute == 0)).then_some(hour * 60 + minute)
}

/// `a` or `a:b`.
fn range(text: &str, read: impl Fn(&str) -> Result<i16, String>) -> Result<(i16, i16), String> {
    match text.split_once(':') {
        Some((from, to)) => Ok((read(from)?, read(to)?)),
        None => read(text).map(|one| (one, one)),
    }
}

fn ordered(range: (i16, i16)) -> Result<(i16, i16), String> {
    if range.0 <= range.1 { Ok(range) } else { Err("the end lies before the start".to_owned()) }
}

fn name_of(names: &[&str], text: &str) -> Option<i16> {
    let text = text.trim().to_ascii_lowercase();
    names.iter().position(|name| *name == text).and_then(|at| i16::try_from(at).ok())
}

fn number(text: &str) -> Result<i16, String> {
    text.trim().parse().map_err(|_| format!("`{}` is no number", text.escape_debug()))
}

fn weekdays(text: &str) -> Result<(i16, i16), String> {
    let day = |text: &str| {
        name_of(&WEEKDAYS, text)
            .ok_or_else(|| format!("weekdays are {}, or monday:friday", WEEKDAYS.join(", ")))
    };
    // The week begins on Sunday: `friday:monday` is two.
    ordered(range(text, day)?)
}

fn months(text: &str) -> Result<(i16, i16), String> {
    let month = |text: &str| match name_of(&MONTHS, text) {
        Some(at) => Ok(at + 1),
        None => number(text).and_then(|month| {
            if (1..=12).contains(&month) { Ok(month) } else { Err("months are 1 to 12".to_owned()) }
        }),
    };
    ordered(range(text, month)?)
}

fn years(text: &str) -> Result<(i16, i16), String> {
    ordered(range(text, number)?)
}

/// From 1, or from the month's end with -1 as its last day.
fn days(text: &str) -> Result<(i16, i16), String> {
    let day = |text: &str| {
        let day = number(text)?;
        let proper = day != 0 && (-31..=31).contains(&day);
        if proper { Ok(day) } else { Err("days are 1 to 31, or -1 to -31 from the month's end".to_owned()) }
    };
    let (from, to) = range(text, day)?;
    if from < 0 && to > 0 {
        return Err("what begins from the month's end has to end so".to_owned());
    }
    // In the longest month.
    let of = |day: i16| if day < 0 { 32 + day } else { day };
    ordered((of(from), of(to))).map(|_| (from, to))
}
