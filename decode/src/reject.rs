//! Why a record gave no event.

use std::fmt;

/// Why a record, or a part of it, gave no event. A closed set: the [`name`](Self::name) is a metric's label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reject {
    /// The record has no value: Kafka's mark of a deleted key.
    Tombstone,
    /// The value, or what was inside its envelope, is blank.
    Empty,
    /// The value is larger than 1 MiB, or a line cut into parts is longer than 64 KiB.
    TooLarge,
    /// The value holds more than 10,000 records, or more lines are cut into parts at once than are kept.
    TooMany,
    /// It is not text in UTF-8, and replacing the broken bytes did not make it readable either.
    Encoding,
    /// It begins like a format that we know and breaks off or goes wrong.
    Syntax,
    /// It is nested deeper than 64 levels, or wears more envelopes than are taken off.
    Depth,
    /// It has the shape of no format of this version.
    UnknownFormat,
    /// A field without which the record says nothing is missing.
    MissingField,
    /// A field that decides how to read the record holds none of its possible values.
    BadValue,
    /// Its time is written in a way that we do not read, or lies too far from the present.
    Timestamp,
    /// It has no time, nor has its envelope, nor the log.
    MissingTime,
}

impl Reject {
    /// All reasons, for metrics and for tests.
    pub const ALL: [Self; 12] = [
        Self::Tombstone,
        Self::Empty,
        Self::TooLarge,
        Self::TooMany,
        Self::Encoding,
        Self::Syntax,
        Self::Depth,
        Self::UnknownFormat,
        Self::MissingField,
        Self::BadValue,
        Self::Timestamp,
        Self::MissingTime,
    ];

    /// The name in metrics and in the headers of dead letters.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tombstone => "tombstone",
            Self::Empty => "empty",
            Self::TooLarge => "too_large",
            Self::TooMany => "too_many",
            Self::Encoding => "encoding",
            Self::Syntax => "syntax",
            Self::Depth => "depth",
            Self::UnknownFormat => "unknown_format",
            Self::MissingField => "missing_field",
            Self::BadValue => "bad_value",
            Self::Timestamp => "timestamp",
            Self::MissingTime => "missing_time",
        }
    }
}

impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tombstone => "the record has no value",
            Self::Empty => "there is nothing in it",
            Self::TooLarge => "it is too large",
            Self::TooMany => "it holds too many records",
            Self::Encoding => "it is not text in UTF-8",
            Self::Syntax => "it is broken",
            Self::Depth => "it is nested too deep",
            Self::UnknownFormat => "it has the shape of no format of this version",
            Self::MissingField => "a field it needs is missing",
            Self::BadValue => "a field holds none of its possible values",
            Self::Timestamp => "its time cannot be used",
            Self::MissingTime => "it has no time",
        })
    }
}

impl std::error::Error for Reject {}
