//! Durations (`90s`, `10m`, `1h30m`, `2d`) and sizes (`64MiB`), written back as they were written.

use std::fmt;
use std::time::Duration;

use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::{Serialize, Serializer};

/// A duration as written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Span {
    text: String,
    pub(crate) duration: Duration,
}

const UNITS: [(&str, u64); 6] =
    [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000), ("w", 604_800_000)];

impl Span {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let bad = || {
            format!(
                "`{text}` is not a duration: write a number with ms, s, m, h, d or w, as in 90s, 10m, 1h30m"
            )
        };
        let mut rest = text.trim();
        if rest == "0" {
            return Ok(Self { text: text.to_owned(), duration: Duration::ZERO });
        }
        if rest.is_empty() {
            return Err(bad());
        }
        let mut millis: u64 = 0;
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(bad)?;
            let count: u64 = rest[..digits].parse().map_err(|_| bad())?;
            let after = &rest[digits..];
            let end = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
            let (_, unit) = UNITS.iter().find(|(name, _)| *name == &after[..end]).ok_or_else(bad)?;
            let part = count.checked_mul(*unit).ok_or_else(bad)?;
            millis = millis.checked_add(part).ok_or_else(bad)?;
            rest = &after[end..];
        }
        Ok(Self { text: text.trim().to_owned(), duration: Duration::from_millis(millis) })
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A size in bytes as written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Size {
    text: String,
    pub(crate) bytes: u64,
}

impl Size {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        const SIZES: [(&str, u64); 8] = [
            ("B", 1),
            ("KiB", 1 << 10),
            ("MiB", 1 << 20),
            ("GiB", 1 << 30),
            ("KB", 1000),
            ("MB", 1_000_000),
            ("GB", 1_000_000_000),
            ("", 1),
        ];
        let bad =
            || format!("`{text}` is not a size: write a whole number with B, KiB, MiB or GiB, as in 64MiB");
        let trimmed = text.trim();
        let digits = trimmed.find(|c: char| !c.is_ascii_digit()).unwrap_or(trimmed.len());
        let count: u64 = trimmed[..digits].parse().map_err(|_| bad())?;
        let (_, unit) = SIZES.iter().find(|(name, _)| *name == trimmed[digits..].trim()).ok_or_else(bad)?;
        let bytes = count.checked_mul(*unit).ok_or_else(bad)?;
        Ok(Self { text: trimmed.to_owned(), bytes })
    }
}

macro_rules! from_text {
    ($name:ident, $what:literal) => {
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;
                impl Visitor<'_> for Text {
                    type Value = $name;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($what)
                    }

                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$name, E> {
                        $name::parse(text).map_err(E::custom)
                    }

                    fn visit_u64<E: de::Error>(self, number: u64) -> Result<$name, E> {
                        $name::parse(&number.to_string()).map_err(E::custom)
                    }
                }
                deserializer.deserialize_any(Text)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.text)
            }
        }
    };
}

from_text!(Span, "a duration, as in 90s or 10m");
from_text!(Size, "a size, as in 64MiB");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_people_write_them() {
        for (text, millis) in [
            ("90s", Some(90_000)),
            ("10m", Some(600_000)),
            ("2h", Some(7_200_000)),
            ("1d", Some(86_400_000)),
            ("1h30m", Some(5_400_000)),
            ("250ms", Some(250)),
            ("1w", Some(604_800_000)),
            ("0", Some(0)),
            ("0s", Some(0)),
            ("10", None),
            ("", None),
            ("s", None),
            ("-5s", None),
            ("1.5h", None),
            ("10 m", None),
            ("10y", None),
            ("99999999999999999999s", None),
            ("18446744073709551615w", None),
        ] {
            let read = Span::parse(text).ok().map(|span| span.duration.as_millis());
            assert_eq!(read, millis, "{text:?}");
        }
    }

    #[test]
    fn sizes_read_as_people_write_them() {
        for (text, bytes) in [
            ("64MiB", Some(64 << 20)),
            ("1GiB", Some(1 << 30)),
            ("512 KiB", Some(512 << 10)),
            ("2MB", Some(2_000_000)),
            ("1024", Some(1024)),
            ("64M", None),
            ("MiB", None),
            ("-1MiB", None),
            ("18446744073709551615GiB", None),
        ] {
            assert_eq!(Size::parse(text).ok().map(|size| size.bytes), bytes, "{text:?}");
        }
    }
}
