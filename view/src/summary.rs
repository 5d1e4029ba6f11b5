//! The last line of `replay --output ndjson`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// `{"type":"summary",…}`: what was read and what came of it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct SummaryJson {
    /// Records read.
    pub records: u64,
    /// Those that decoded.
    pub decoded: u64,
    /// Those that did not, by reason.
    pub rejected: BTreeMap<String, u64>,
    /// Records older than their source's watermark, left out of windows.
    pub late: u64,
    /// Requests that another log had told of, left out where the topic says `dedup`.
    #[serde(default, skip_serializing_if = "is_none")]
    pub copies: u64,
    /// The earliest event time.
    pub first_at: Option<String>,
    /// The latest.
    pub last_at: Option<String>,
    /// Incidents.
    pub incidents: u64,
    /// (rule, subject) rows of incidents.
    pub signals: u64,
    /// Messages that would have been sent.
    pub notifications: u64,
    /// Throttle decisions that would have been made.
    pub decisions: u64,
    /// How long it took.
    pub wall_seconds: f64,
    /// How much CPU time it took.
    pub cpu_seconds: f64,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_none(count: &u64) -> bool {
    *count == 0
}
