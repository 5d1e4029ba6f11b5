//! Small things that every table needs: columns by name and type, and lists of placeholders.

use std::fmt::Write as _;
use std::time::Duration;

use beaconfire_model::{EventTime, Severity, Subject, SubjectKind, Wall};
use sqlx::Row as _;
use sqlx::any::AnyRow;

use crate::StoreError;

/// Columns by name; a value that we would never have written is [`StoreError::Corrupt`].
pub(crate) trait Fields {
    fn text(&self, column: &str) -> Result<String, StoreError>;
    fn maybe_text(&self, column: &str) -> Result<Option<String>, StoreError>;
    fn number(&self, column: &str) -> Result<i64, StoreError>;
    fn maybe_number(&self, column: &str) -> Result<Option<i64>, StoreError>;
    fn real(&self, column: &str) -> Result<f64, StoreError>;

    /// A number in the range of its type.
    fn count<T: TryFrom<i64>>(&self, column: &str) -> Result<T, StoreError> {
        T::try_from(self.number(column)?).map_err(|_| StoreError::Corrupt(column.into()))
    }

    fn flag(&self, column: &str) -> Result<bool, StoreError> {
        Ok(self.number(column)? != 0)
    }

    fn wall(&self, column: &str) -> Result<Wall, StoreError> {
        Ok(Wall::from_millis(self.number(column)?))
    }

    fn maybe_wall(&self, column: &str) -> Result<Option<Wall>, StoreError> {
        Ok(self.maybe_number(column)?.map(Wall::from_millis))
    }

    fn event(&self, column: &str) -> Result<EventTime, StoreError> {
        Ok(EventTime::from_millis(self.number(column)?))
    }

    fn duration(&self, column: &str) -> Result<Duration, StoreError> {
        Ok(Duration::from_millis(self.count(column)?))
    }

    /// A word of a closed set.
    fn word<T>(&self, column: &str, parse: impl Fn(&str) -> Option<T>) -> Result<T, StoreError> {
        parse(&self.text(column)?).ok_or_else(|| StoreError::Corrupt(column.into()))
    }

    fn severity(&self, column: &str) -> Result<Severity, StoreError> {
        severity(self.number(column)?).ok_or_else(|| StoreError::Corrupt(column.into()))
    }

    fn subject(&self, kind: &str, value: &str) -> Result<Subject, StoreError> {
        Ok(Subject::new(self.word(kind, SubjectKind::parse)?, self.text(value)?))
    }
}

impl Fields for AnyRow {
    fn text(&self, column: &str) -> Result<String, StoreError> {
        Ok(self.try_get(column)?)
    }

    fn maybe_text(&self, column: &str) -> Result<Option<String>, StoreError> {
        Ok(self.try_get(column)?)
    }

    fn number(&self, column: &str) -> Result<i64, StoreError> {
        Ok(self.try_get(column)?)
    }

    fn maybe_number(&self, column: &str) -> Result<Option<i64>, StoreError> {
        Ok(self.try_get(column)?)
    }

    fn real(&self, column: &str) -> Result<f64, StoreError> {
        Ok(self.try_get(column)?)
    }
}

/// 0 (info) to 3 (critical), so that SQL can compare.
pub(crate) fn rank(severity: Severity) -> i64 {
    match severity {
        Severity::Info => 0,
        Severity::Warning => 1,
        Severity::Error => 2,
        Severity::Critical => 3,
    }
}

pub(crate) fn severity(rank: i64) -> Option<Severity> {
    Severity::ALL.into_iter().find(|severity| self::rank(*severity) == rank)
}

/// A length of time as stored: whole milliseconds.
pub(crate) fn millis(length: Duration) -> i64 {
    i64::try_from(length.as_millis()).unwrap_or(i64::MAX)
}

/// A count as stored.
pub(crate) fn whole(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// SQLite makes NULL of what is not a number; it counts as nothing.
pub(crate) fn real(value: f64) -> f64 {
    if value.is_nan() { 0.0 } else { value }
}

/// `$1, $2, … $n`.
pub(crate) fn list(n: usize) -> String {
    let mut text = String::new();
    for i in 1..=n {
        let comma = if i == 1 { "" } else { ", " };
        let _ = write!(text, "{comma}${i}");
    }
    text
}

/// `($1, $2), ($3, $4), …`: so many tuples of so many placeholders.
pub(crate) fn tuples(rows: usize, columns: usize) -> String {
    let mut text = String::new();
    for row in 0..rows {
        text.push_str(if row == 0 { "(" } else { ", (" });
        for column in 1..=columns {
            let comma = if column == 1 { "" } else { ", " };
            let _ = write!(text, "{comma}${}", row * columns + column);
        }
        text.push(')');
    }
    text
}
