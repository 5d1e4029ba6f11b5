//! What was not told in full, and what was not read.

use beaconfire_incident::{Incident, IncidentId};
use beaconfire_model::Wall;
use beaconfire_outbox::Row;

/// Which rows of the outbox.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OutboxQuery {
    /// Only this receiver's.
    pub receiver: Option<String>,
    /// Only those of this fate: pending, held, delivered, in_digest or dead.
    pub fate: Option<String>,
    /// At most so many, 1 to 500.
    pub limit: usize,
    /// Where the page before ended.
    pub cursor: Option<String>,
}

/// A row that is not told in full.
#[derive(Debug, Clone, PartialEq)]
pub struct OutboxFacts {
    /// The row.
    pub row: Row,
    /// What it is about.
    pub incident: Incident,
    /// Whether its receiver's fallback was told in its place.
    pub fell_back: bool,
    /// Whether it is being told at this moment.
    pub in_flight: bool,
}

/// One incident's rows at one receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowPick {
    /// The incident.
    pub incident: IncidentId,
    /// The receiver.
    pub receiver: String,
    /// The integration within it; all of them where none is named.
    pub integration: Option<String>,
}

/// Which dead letters.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LetterQuery {
    /// Only of this topic.
    pub topic: Option<String>,
    /// Only of this partition.
    pub partition: Option<i32>,
    /// Only the one at this offset.
    pub offset: Option<i64>,
    /// Only those rejected for this.
    pub reason: Option<String>,
    /// At most so many, 1 to 500.
    pub limit: usize,
    /// Where the page before ended.
    pub cursor: Option<String>,
}

/// A record that nobody could read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LetterFacts {
    /// The topic it came from.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// Why it was rejected.
    pub reason: String,
    /// When it was.
    pub at: Wall,
    /// How it begins (`privacy.query` applied, cleaned: what is in here is shown); `None` for a tombstone.
    pub payload: Option<String>,
}
