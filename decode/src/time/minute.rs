//! Minutes: the calendar they are worked out by, and the one that was worked out last.

use beaconfire_model::EventTime;

use super::{digit, second, two};

/// The text of a minute and of its zone, and when it began.
#[derive(Debug, Clone, Copy)]
pub(super) struct Minute<const N: usize> {
    pub(super) text: [u8; N],
    pub(super) zone: [u8; 6],
    /// The zone as ISO 8601 has it, `+02:00`.
    written: [u8; 6],
    /// Milliseconds since 1970.
    pub(super) begins: i64,
}

impl<const N: usize> Minute<N> {
    pub(super) fn new(text: [u8; N], zone: [u8; 6], begins: i64) -> Self {
        let [_, sign, a, b, c, d] = zone;
        Self { text, zone, written: [sign, a, b, b':', c, d], begins }
    }
}

impl Minute<16> {
    /// A time in this minute, written as most are: `2026-01-02T03:04:05.123+00:00`, with or without milliseconds, or with
    /// `Z`. `None` is no answer.
    #[inline(always)]
    pub(super) fn again(&self, text: &[u8]) -> Option<EventTime> {
        let (minute, rest) = text.split_first_chunk()?;
        if self.text != *minute {
            return None;
        }
        let (seconds, rest) = rest.split_first_chunk()?;
        let (millis, zone) = match rest {
            [b'.', a, b, c, zone @ ..] => (two(*a, *b)? * 10 + i64::from(digit(*c)?), zone),
            zone => (0, zone),
        };
        let is_same = match zone {
            [b'Z'] => self.zone == *b" +0000",
            zone => zone == self.written,
        };
        is_same.then_some(EventTime::from_millis(self.begins + second(seconds)? + millis))
    }
}

/// `25/Oct/2016:14:49`, without its zone.
pub(super) fn clf_minute(text: &[u8; 17]) -> Option<i64> {
    let [d, e, b'/', m, n, o, b'/', y1, y2, y3, y4, b':', h, i, b':', u, v] = *text else { return None };
    let month = match &[m, n, o] {
        b"Jan" => 1,
        b"Feb" => 2,
        b"Mar" => 3,
        b"Apr" => 4,
        b"May" => 5,
        b"Jun" => 6,
        b"Jul" => 7,
        b"Aug" => 8,
        b"Sep" => 9,
        b"Oct" => 10,
        b"Nov" => 11,
        b"Dec" => 12,
        _ => return None,
    };
    minute(two(y1, y2)? * 100 + two(y3, y4)?, month, two(d, e)?, two(h, i)?, two(u, v)?)
}

/// `2026-01-02T03:04`, without its zone.
pub(super) fn iso_minute(text: &[u8; 16]) -> Option<i64> {
    let [y1, y2, y3, y4, b'-', m, n, b'-', d, e, b'T' | b't' | b' ', h, i, b':', u, v] = *text else {
        return None;
    };
    minute(two(y1, y2)? * 100 + two(y3, y4)?, two(m, n)?, two(d, e)?, two(h, i)?, two(u, v)?)
}

/// Milliseconds since 1970 of a minute in UTC; `None` for dates that the calendar lacks and years before 1970.
fn minute(year: i64, month: i64, day: i64, hour: i64, minute: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if year < 1970 || !(1..=days).contains(&day) || hour > 23 || minute > 59 {
        return None;
    }
    // Days since 1970 by counting years from March, so that the leap day is the last of its year.
    let (year, month) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let of_year = (153 * month + 2) / 5 + day - 1;
    let since = year * 365 + year / 4 - year / 100 + year / 400 + of_year - 719_468;
    Some(((since * 24 + hour) * 60 + minute) * 60_000)
}
