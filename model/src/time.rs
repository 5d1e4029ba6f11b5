//! The two kinds of time. They are different types so that no one compares a record's clock with ours by accident.

use std::fmt;
use std::time::Duration;

macro_rules! instant {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(i64);

        impl $name {
            /// Milliseconds since 1970-01-01T00:00:00Z.
            pub const fn from_millis(millis: i64) -> Self {
                Self(millis)
            }

            /// Milliseconds since 1970-01-01T00:00:00Z.
            pub const fn millis(self) -> i64 {
                self.0
            }

            /// This time moved forward; saturates at the end of the range.
            pub fn plus(self, by: Duration) -> Self {
                Self(self.0.saturating_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)))
            }

            /// This time moved back; saturates at the start of the range.
            pub fn minus(self, by: Duration) -> Self {
                Self(self.0.saturating_sub(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)))
            }

            /// How long after `earlier` this is; zero where it is not after.
            pub fn since(self, earlier: Self) -> Duration {
                Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
            }
        }

        /// RFC 3339 in UTC, with milliseconds only where there are any.
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match jiff::Timestamp::from_millisecond(self.0) {
                    Ok(at) => write!(f, "{at}"),
                    // Outside years -9999 to 9999 there is no RFC 3339 text; the number still tells.
                    Err(_) => write!(f, "{}ms", self.0),
                }
            }
        }
    };
}

instant! {
    /// When something happened, by the record's own clock. Windows, watermarks and episodes live in this time.
    EventTime
}

instant! {
    /// The wall clock of the process, told from outside. Leases, retries and what people do live in this time.
    Wall
}

impl EventTime {
    /// Before every record; the watermark of a source that has delivered nothing.
    pub const MIN: Self = Self(i64::MIN);
    /// After every record; the clearance of an input that has ended.
    pub const MAX: Self = Self(i64::MAX);
}

impl Wall {
    /// The same moment as an event time, for comparing a record's stamp with our clock, which is the one place
    /// where the two meet.
    pub const fn as_event_time(self) -> EventTime {
        EventTime(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_rfc_3339() {
        assert_eq!(EventTime::from_millis(1_767_323_045_000).to_string(), "2026-01-02T03:04:05Z");
        assert_eq!(Wall::from_millis(1_767_323_045_120).to_string(), "2026-01-02T03:04:05.12Z");
        assert_eq!(EventTime::MAX.to_string(), format!("{}ms", i64::MAX));
    }

    #[test]
    fn arithmetic_saturates() {
        assert_eq!(EventTime::MAX.plus(Duration::from_secs(1)), EventTime::MAX);
        assert_eq!(EventTime::from_millis(5).since(EventTime::from_millis(9)), Duration::ZERO);
    }
}
