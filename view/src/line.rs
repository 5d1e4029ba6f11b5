//! One line of ndjson, told apart by `type`; and lists of the API.

use serde::{Deserialize, Serialize};

use crate::{DecisionJson, IncidentJson, NotificationJson, RuleReportJson, SignalJson, SummaryJson};

/// One line of `replay --output ndjson`.
// An incident is some times larger than the rest; lines are made, printed and dropped one by one.
#[allow(clippy::large_enum_variant)]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Line {
    /// An incident.
    Incident(IncidentJson),
    /// A signal.
    Signal(SignalJson),
    /// A message that would be sent.
    Notification(NotificationJson),
    /// A throttle decision that would be made.
    Decision(DecisionJson),
    /// How a rule fared.
    Rule(RuleReportJson),
    /// The last line.
    Summary(SummaryJson),
}

/// `{"items":[…],"next_cursor":null}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ListJson<T> {
    /// The items.
    pub items: Vec<T>,
    /// Where the next page begins; `null` at the end.
    pub next_cursor: Option<String>,
}
