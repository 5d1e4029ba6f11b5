//! When a record says it happened. Records of a topic come nearly in order, so the minute that was worked out last
//! nearly always serves again: [`Clock`] remembers it, and only the seconds are read anew.

mod minute;

use beaconfire_model::EventTime;

use minute::{Minute, clf_minute, iso_minute};

use crate::Zone;
use crate::json::Value;

/// Stands in a [`Minute`] for the zone of a time that has none.
const NO_ZONE: [u8; 6] = *b" local";

/// Reads times; remembers the last minute, which makes it faster and changes nothing.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    clf: Option<Minute<17>>,
    iso: Option<Minute<16>>,
    zone: Zone,
}

impl Clock {
    /// A clock for times that are of this zone where they do not say theirs.
    pub(crate) fn of(zone: Zone) -> Self {
        Self { clf: None, iso: None, zone }
    }

    /// `25/Oct/2016:14:49:33 +0200`, exactly: the 26 bytes between the brackets of an access log.
    pub(crate) fn clf(&mut self, text: &[u8]) -> Option<EventTime> {
        let text: &[u8; 26] = text.try_into().ok()?;
        let (minute, rest) = text.split_first_chunk::<17>()?;
        let (seconds, zone) = rest.split_first_chunk::<3>()?;
        let zone: [u8; 6] = zone.try_into().ok()?;
        let second = second(seconds)?;
        let begins = match &self.clf {
            Some(known) if known.text == *minute && known.zone == zone => known.begins,
            _ => {
                let begins = clf_minute(minute)? - offset(&zone)?;
                self.clf = Some(Minute::new(*minute, zone, begins));
                begins
            }
        };
        Some(EventTime::from_millis(begins + second))
    }

    /// Whatever a record holds as its time: text in any way we know, or a number by its magnitude.
    pub(crate) fn value(&mut self, value: Value<'_>) -> Option<EventTime> {
        self.text(value.scalar()?)
    }

    /// RFC 3339 and its relatives, CLF with or without zone, or seconds, milliseconds, micro- or nanoseconds since 1970.
    #[inline]
    pub(crate) fn text(&mut self, text: &str) -> Option<EventTime> {
        match self.iso.as_ref().and_then(|known| known.again(text.as_bytes())) {
            Some(time) => Some(time),
            None => self.any(text),
        }
    }

    #[inline(never)]
    fn any(&mut self, text: &str) -> Option<EventTime> {
        let bytes = text.trim_ascii().as_bytes();
        match (bytes.get(2), bytes.get(4)) {
            // A fraction of five digits is as long as a zone.
            (Some(b'/'), _) => self.clf(bytes).or_else(|| self.clf_with_fraction(bytes)),
            (_, Some(b'-')) => self.iso(bytes),
            _ => epoch(text.trim_ascii()),
        }
    }

    /// `30/Jul/2018:09:03:52.726`, as HAProxy writes it: without a zone it is of the log's.
    fn clf_with_fraction(&self, text: &[u8]) -> Option<EventTime> {
        let (minute, rest) = text.split_first_chunk::<17>()?;
        let (seconds, rest) = rest.split_first_chunk::<3>()?;
        let (fraction, rest) = fraction(rest)?;
        let begins = match <&[u8; 6]>::try_from(rest) {
            Ok(zone) => clf_minute(minute)? - offset(zone)?,
            Err(_) if rest.is_empty() => self.zone.to_utc(clf_minute(minute)?),
            Err(_) => return None,
        };
        Some(EventTime::from_millis(begins + second(seconds)? + fraction))
    }

    /// `2026-01-02` and `03:04:05`, apart, which is UTC.
    pub(crate) fn date_and_time(&mut self, date: &str, time: &str) -> Option<EventTime> {
        let mut both = *b"YYYY-MM-DDTHH:MM:SSZ";
        both[..10].copy_from_slice(date.as_bytes().try_into().ok().map(|date: &[u8; 10]| date)?);
        both[11..19].copy_from_slice(time.as_bytes().try_into().ok().map(|time: &[u8; 8]| time)?);
        self.iso(&both)
    }

    /// `2026-01-02T03:04:05`, with `T` or a blank, any fraction, and `Z`, an offset or nothing (the log's zone) behind it.
    fn iso(&mut self, text: &[u8]) -> Option<EventTime> {
        let (minute, rest) = text.split_first_chunk::<16>()?;
        let (seconds, rest) = rest.split_first_chunk::<3>()?;
        let second = second(seconds)?;
        let (fraction, zone) = fraction(rest)?;
        let zone: [u8; 6] = match zone {
            b"" => NO_ZONE,
            b"Z" | b"z" | b" UTC" => *b" +0000",
            [sign, a, b, b':', c, d] | [b' ', sign, a, b, c, d] | [sign, a, b, c, d] => {
                [b' ', *sign, *a, *b, *c, *d]
            }
            [sign, a, b] => [b' ', *sign, *a, *b, b'0', b'0'],
            _ => return None,
        };
        let begins = match &self.iso {
            Some(known) if known.text == *minute && known.zone == zone => known.begins,
            _ => {
                let begins = match zone {
                    NO_ZONE => self.zone.to_utc(iso_minute(minute)?),
                    _ => iso_minute(minute)? - offset(&zone)?,
                };
                self.iso = Some(Minute::new(*minute, zone, begins));
                begins
            }
        };
        Some(EventTime::from_millis(begins + second + fraction))
    }
}

/// Whether a time is there but stands for "none": Go's zero time, or a negative number.
pub(crate) fn is_none(text: &str) -> bool {
    text.starts_with("0001-01-01T00:00:00") || text.starts_with('-')
}

/// `:33` in milliseconds; a leap second counts as the one before it.
#[inline(always)]
fn second([colon, a, b]: &[u8; 3]) -> Option<i64> {
    let second = two(*a, *b)?;
    (*colon == b':' && second <= 60).then(|| second.min(59) * 1000)
}

/// The milliseconds of `.123456…` or `,123…`, and what follows.
fn fraction(text: &[u8]) -> Option<(i64, &[u8])> {
    let [b'.' | b',', rest @ ..] = text else { return Some((0, text)) };
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let digit = |at: usize| rest[..digits].get(at).map_or(0, |byte| i64::from(byte - b'0'));
    (digits > 0).then(|| (digit(0) * 100 + digit(1) * 10 + digit(2), &rest[digits..]))
}

/// ` +0200` in milliseconds.
fn offset([blank, sign, a, b, c, d]: &[u8; 6]) -> Option<i64> {
    let (hours, minutes) = (two(*a, *b)?, two(*c, *d)?);
    let size = (hours * 60 + minutes) * 60_000;
    match (blank, sign) {
        (b' ', b'+') if hours < 24 && minutes < 60 => Some(size),
        (b' ', b'-') if hours < 24 && minutes < 60 => Some(-size),
        _ => None,
    }
}

#[inline(always)]
fn two(a: u8, b: u8) -> Option<i64> {
    Some(i64::from(digit(a)?) * 10 + i64::from(digit(b)?))
}

#[inline(always)]
fn digit(byte: u8) -> Option<u8> {
    let digit = byte.wrapping_sub(b'0');
    (digit < 10).then_some(digit)
}

/// A number by its magnitude, digit by digit: nanoseconds do not fit into a float.
fn epoch(text: &str) -> Option<EventTime> {
    let (whole, parts) = match text.split_once('.') {
        Some((whole, parts)) => (whole, parts),
        None => (text, ""),
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || whole.len() > 19 || !digits(whole) || !digits(parts) {
        return float(text);
    }
    let number: i64 = whole.parse().ok()?;
    let millis = match number {
        0..100_000_000_000 => {
            let part = |at: usize| parts.as_bytes().get(at).map_or(0, |byte| i64::from(byte - b'0'));
            number * 1000 + part(0) * 100 + part(1) * 10 + part(2)
        }
        100_000_000_000..100_000_000_000_000 => number,
        100_000_000_000_000..100_000_000_000_000_000 => number / 1000,
        _ => number / 1_000_000,
    };
    Some(EventTime::from_millis(millis))
}

/// `1.554141513598656e9`: only numbers with an exponent come here, and those that are none.
fn float(text: &str) -> Option<EventTime> {
    let number: f64 = text.parse().ok()?;
    let millis = match number {
        0.0..1e11 => number * 1e3,
        1e11..1e14 => number,
        1e14..1e17 => number / 1e3,
        1e17..1e19 => number / 1e6,
        _ => return None,
    };
    text.contains(['e', 'E']).then(|| EventTime::from_millis(millis as i64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Option<String> {
        let mut clock = Clock::default();
        let first = clock.text(text);
        assert_eq!(clock.text(text), first, "the remembered minute says the same of {text}");
        first.map(|time| time.to_string())
    }

    #[test]
    fn times_are_read_in_every_way_logs_write_them() {
        for (text, meant) in [
            ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z"),
            ("2026-01-02t03:04:05z", "2026-01-02T03:04:05Z"),
            ("2026-01-02T03:04:05.123456789Z", "2026-01-02T03:04:05.123Z"),
            ("2026-01-02T03:04:05,1Z", "2026-01-02T03:04:05.1Z"),
            ("2026-01-02T03:04:05+02:00", "2026-01-02T01:04:05Z"),
            ("2026-01-02T03:04:05-0730", "2026-01-02T10:34:05Z"),
            ("2026-01-02T03:04:05+02", "2026-01-02T01:04:05Z"),
            ("2026-01-02 03:04:05", "2026-01-02T03:04:05Z"),
            ("2026-01-02 03:04:05.5 +0100", "2026-01-02T02:04:05.5Z"),
            ("2026-01-02 03:04:05 UTC", "2026-01-02T03:04:05Z"),
            ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59Z"),
            ("2024-02-29T00:00:00Z", "2024-02-29T00:00:00Z"),
            ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z"),
            ("2100-03-01T00:00:00Z", "2100-03-01T00:00:00Z"),
            ("25/Oct/2016:14:49:33 +0200", "2016-10-25T12:49:33Z"),
            ("30/Jul/2018:09:03:52.726", "2018-07-30T09:03:52.726Z"),
            ("30/Jul/2018:09:03:52.72689", "2018-07-30T09:03:52.726Z"),
            ("30/Jul/2018:09:03:52.726 +0200", "2018-07-30T07:03:52.726Z"),
            ("30/Jul/2018:09:03:52", "2018-07-30T09:03:52Z"),
            ("1767323045", "2026-01-02T03:04:05Z"),
            ("1767323045.5987", "2026-01-02T03:04:05.598Z"),
            ("1767323045123", "2026-01-02T03:04:05.123Z"),
            ("1767323045123456", "2026-01-02T03:04:05.123Z"),
            ("1767323045123456789", "2026-01-02T03:04:05.123Z"),
            ("1.767323045e9", "2026-01-02T03:04:05Z"),
            ("4102444800", "2100-01-01T00:00:00Z"),
            (" 1767323045 ", "2026-01-02T03:04:05Z"),
        ] {
            assert_eq!(read(text).as_deref(), Some(meant), "{text}");
        }
    }

    #[test]
    fn only_times_without_an_offset_are_of_the_logs_zone() {
        let mut clock = Clock::of(Zone::new(3_600_000, []));
        for (text, meant) in [
            ("2026-01-02T03:04:05", "2026-01-02T02:04:05Z"),
            ("2026-01-02 03:04:05.5", "2026-01-02T02:04:05.5Z"),
            ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z"),
            ("2026-01-02T03:04:05+00:00", "2026-01-02T03:04:05Z"),
            ("30/Jul/2018:09:03:52.726", "2018-07-30T08:03:52.726Z"),
            ("25/Oct/2016:14:49:33 +0200", "2016-10-25T12:49:33Z"),
            ("1767323045", "2026-01-02T03:04:05Z"),
        ] {
            assert_eq!(clock.text(text).map(|time| time.to_string()).as_deref(), Some(meant), "{text}");
        }
        let apart = clock.date_and_time("2026-01-02", "03:04:05");
        assert_eq!(apart.map(|time| time.to_string()).as_deref(), Some("2026-01-02T03:04:05Z"));
        assert_eq!(clock.date_and_time("2026-01-2", "03:04:05"), None);
    }

    #[test]
    fn what_is_no_time_is_none() {
        for text in [
            "",
            "yesterday",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-01-02T24:00:00Z",
            "2026-01-02T03:60:00Z",
            "2026-01-02T03:04:61Z",
            "2026-01-02T03:04:05.Z",
            "2026-01-02T03:04:05+25:00",
            "2026-01-02T03:04",
            "1969-12-31T23:59:59Z",
            "31/Feb/2016:14:49:33 +0200",
            "25/Okt/2016:14:49:33 +0200",
            "-5",
            "inf",
            "1e300",
            "99999999999999999999",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    proptest! {
        /// The calendar here against the library's, and the two spellings against each other.
        #[test]
        fn agrees_with_the_calendar(seconds in 0i64..4_200_000_000, shift in -14i64..=14) {
            let time = EventTime::from_millis(seconds * 1000);
            prop_assert_eq!(read(&time.to_string()), Some(time.to_string()));
            let local = EventTime::from_millis((seconds + shift * 3600).max(0) * 1000).to_string();
            let sign = if shift < 0 { '-' } else { '+' };
            let zoned = format!("{}{sign}{:02}:00", &local[..19], shift.abs());
            if seconds + shift * 3600 >= 0 {
                prop_assert_eq!(read(&zoned), Some(time.to_string()));
            }
        }

        /// Whatever was read before, a time reads the same.
        #[test]
        fn memory_changes_nothing(seconds in prop::collection::vec(1_700_000_000i64..1_700_000_400, 1..20)) {
            let mut clock = Clock::default();
            for second in seconds {
                let text = EventTime::from_millis(second * 1000).to_string();
                prop_assert_eq!(clock.text(&text), Clock::default().text(&text));
            }
        }

        #[test]
        fn no_text_makes_it_panic(text in ".{0,40}") {
            let _ = read(&text);
        }
    }
}
