//! Throttle decisions: ours, and as CrowdSec's bouncers read them.

use std::time::Duration;

use beaconfire_model::Wall;
use beaconfire_throttle::{Decision, Origin};
use serde::{Deserialize, Serialize};

use crate::clean;

/// `{"type":"decision",…}`: who is throttled, how, for how long. What only the store knows is left out where a
/// decision is not stored (`replay`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecisionJson {
    /// ip or range.
    pub scope: String,
    /// The address or network.
    pub value: String,
    /// ban, captcha or throttle.
    pub action: String,
    /// For how long in all, in seconds.
    pub duration_seconds: u64,
    /// dry_run or enforce.
    pub mode: String,
    /// The rule, or `manual`.
    pub rule: String,
    /// The incident it answers.
    pub incident: Option<String>,
    /// Since when.
    pub at: String,
    /// The store's number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<i64>,
    /// rule or manual.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// Who decided by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Why, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Until when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    /// When it was taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted_at: Option<String>,
}

impl DecisionJson {
    /// A decision as `replay` prints it.
    pub fn of(decision: &Decision) -> Self {
        Self {
            scope: decision.scope().name().to_ascii_lowercase(),
            value: decision.value(),
            action: decision.key.action.name().to_owned(),
            duration_seconds: decision.expires.since(decision.created).as_secs(),
            mode: decision.key.mode.name().to_owned(),
            rule: clean(&decision.scenario),
            incident: decision.incident.as_ref().map(|id| id.as_str().to_owned()),
            at: decision.created.to_string(),
            id: None,
            origin: None,
            by: None,
            reason: None,
            expires_at: None,
            deleted_at: None,
        }
    }

    /// A stored decision, with what the store knows.
    pub fn stored(decision: &Decision) -> Self {
        let (origin, by) = match &decision.origin {
            Origin::Rule => ("rule", None),
            Origin::Manual(who) => ("manual", Some(clean(who))),
        };
        Self {
            id: Some(decision.id),
            origin: Some(origin.to_owned()),
            by,
            reason: Some(clean(&decision.reason)),
            expires_at: Some(decision.expires.to_string()),
            deleted_at: decision.deleted.map(|at| at.to_string()),
            ..Self::of(decision)
        }
    }
}

/// A decision in CrowdSec's bouncer contract. All of it is always there: bouncers fail on what is missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BouncerDecisionJson {
    /// What is left, in Go's format and whole seconds.
    pub duration: String,
    /// The store's number.
    pub id: i64,
    /// `beaconfire`: firewall bouncers name sets after it.
    pub origin: String,
    /// The rule.
    pub scenario: String,
    /// Ip or Range.
    pub scope: String,
    /// The action.
    #[serde(rename = "type")]
    pub action: String,
    /// The address or network.
    pub value: String,
}

impl BouncerDecisionJson {
    /// A decision that holds; nothing where less than a second is left of it, because a bouncer takes a duration of
    /// nothing for one without an end.
    pub fn active(decision: &Decision, now: Wall) -> Option<Self> {
        let left = decision.expires.since(now);
        (decision.active(now) && left >= Duration::from_secs(1))
            .then(|| Self::with(decision, go_duration(left)))
    }

    /// A decision that is over, for `deleted`.
    pub fn over(decision: &Decision) -> Self {
        Self::with(decision, "-1s".to_owned())
    }

    fn with(decision: &Decision, duration: String) -> Self {
        Self {
            duration,
            id: decision.id,
            origin: "beaconfire".to_owned(),
            scenario: clean(&decision.scenario),
            scope: decision.scope().name().to_owned(),
            action: decision.key.action.name().to_owned(),
            value: decision.value(),
        }
    }
}

/// A duration as Go prints whole seconds: `3h59m49s`. Fractions are dropped; there is no unit above hours.
pub fn go_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (hours, minutes, rest) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{rest}s"),
        (0, _) => format!("{minutes}m{rest}s"),
        _ => format!("{hours}h{minutes}m{rest}s"),
    }
}
