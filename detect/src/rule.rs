//! Rate rules: a filter on request fields, a key, a count, a window, a threshold.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use beaconfire_model::{Kind, Matchers, Severity};

use crate::Field;

/// What a rule counts.
#[derive(Debug, Clone, PartialEq)]
pub enum Count {
    /// Requests.
    Requests,
    /// Bytes sent to the client.
    BytesSent,
    /// The share of requests that also match, from 0 to 1, among at least so many.
    Share {
        /// What the counted share matches.
        matchers: Matchers,
        /// Fewer requests than this in a window say nothing.
        min_requests: u64,
    },
    /// Different values of a field.
    Distinct {
        /// The field.
        field: Field,
    },
}

/// A rule as the operator wrote it.
#[derive(Debug, Clone, PartialEq)]
pub struct RuleSpec {
    /// Its name.
    pub name: Arc<str>,
    /// What sort of trouble it finds.
    pub kind: Kind,
    /// All must match.
    pub matchers: Matchers,
    /// None may match.
    pub except: Matchers,
    /// One or two keys.
    pub by: Vec<Field>,
    /// What is counted.
    pub count: Count,
    /// The window, at least a second.
    pub window: Duration,
    /// Fires on more than this.
    pub threshold: f64,
    /// How bad it is.
    pub severity: Severity,
    /// Critical on more than this.
    pub critical_above: Option<f64>,
    /// Fires only where so many clients take part, each within its own limit; `None` for what the key asks by itself.
    pub min_clients: Option<u64>,
}

/// What one service changes of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Override {
    /// Switches it off (or on).
    pub enabled: Option<bool>,
    /// Another threshold.
    pub threshold: Option<f64>,
    /// Another line for critical.
    pub critical_above: Option<f64>,
}

/// Why a rule is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleError {
    /// The rule's name.
    pub rule: String,
    /// What is wrong with it, and how to mend it.
    pub said: String,
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rule `{}`: {}", self.rule, self.said)
    }
}

impl std::error::Error for RuleError {}
