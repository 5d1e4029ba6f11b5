//! Records that nobody could read.

use serde::{Deserialize, Serialize};

/// An item of `/api/v1/dead-letters`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetterJson {
    /// The topic it came from.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// Why it was rejected.
    pub reason: String,
    /// When it was.
    pub at: String,
    /// How it begins, or that it is withheld; none for a tombstone.
    pub payload: Option<String>,
}
