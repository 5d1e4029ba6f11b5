//! What a replay says of a rule, for people who set thresholds.

use serde::{Deserialize, Serialize};

use crate::number;

/// `{"type":"rule",…}`: how a rule fared, and what would have become of other thresholds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RuleReportJson {
    /// The rule's name.
    pub rule: String,
    /// It fires on more than this; services may have a line of their own.
    #[serde(with = "number")]
    pub threshold: f64,
    /// The window's length in seconds.
    #[serde(with = "number")]
    pub window_seconds: f64,
    /// Incidents that it was a part of.
    pub incidents: u64,
    /// The same by day; nothing where the input is shorter than one.
    pub incidents_per_day: Option<f64>,
    /// The lowest line that at most one key a week was above; where the input is shorter, that nobody was above.
    pub once_a_week_above: Option<f64>,
    /// The ten keys that came highest, whether they fired or not.
    pub highest: Vec<HighestJson>,
}

/// How high one key came.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HighestJson {
    /// The key.
    pub subject: String,
    /// The service.
    pub service: String,
    /// The highest value in any one window.
    #[serde(with = "number")]
    pub observed: f64,
    /// The end of the first such window.
    pub at: String,
}
