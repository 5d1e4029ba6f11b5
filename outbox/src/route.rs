//! Alertmanager's routing tree: which receivers an incident with these labels reaches, and why.

use std::sync::Arc;

use beaconfire_model::{Labels, Matchers};

/// What kind of integration it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IntegrationKind {
    /// SMTP.
    Email,
    /// Slack's API or an incoming webhook.
    Slack,
    /// PagerDuty Events v2.
    PagerDuty,
    /// Standard Webhooks.
    Webhook,
}

impl IntegrationKind {
    /// The name in metrics, JSON and row keys.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Slack => "slack",
            Self::PagerDuty => "pagerduty",
            Self::Webhook => "webhook",
        }
    }
}

/// One integration of a receiver, as far as the outbox needs to know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Integration {
    /// `slack-0`: kind and place within the receiver.
    pub name: Arc<str>,
    /// Its kind.
    pub kind: IntegrationKind,
    /// Whether it hears of resolves.
    pub send_resolved: bool,
}

/// One node of the tree.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Route {
    /// The receiver; a child without one has its parent's.
    pub receiver: Option<Arc<str>>,
    /// All must match; the root has none.
    pub matchers: Matchers,
    /// Whether siblings after it are tried too when it matches.
    pub continues: bool,
    /// Children, tried in order.
    pub routes: Vec<Route>,
}

/// A receiver that was reached, and the way to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Routed {
    /// The receiver.
    pub receiver: Arc<str>,
    /// The matchers on the way down, as written; empty for the root.
    pub why: Vec<String>,
}

impl Route {
    /// The receivers that labels reach, each once, in the order of the tree: a matching child takes the incident from
    /// its parent, `continue` lets later siblings have it too, the parent has it where no child does.
    pub fn resolve(&self, labels: &Labels) -> Vec<Routed> {
        let mut reached = Vec::new();
        self.descend(labels, None, &mut Vec::new(), &mut reached);
        let mut seen = Vec::new();
        reached.retain(|routed: &Routed| {
            let new = !seen.contains(&routed.receiver);
            if new {
                seen.push(routed.receiver.clone());
            }
            new
        });
        reached
    }

    fn descend(
        &self,
        labels: &Labels,
        inherited: Option<&Arc<str>>,
        way: &mut Vec<String>,
        reached: &mut Vec<Routed>,
    ) -> bool {
        if !self.matchers.matches(|name| labels.get(name)) {
            return false;
        }
        let depth = way.len();
        way.extend(self.matchers.0.iter().map(ToString::to_string));
        let receiver = self.receiver.as_ref().or(inherited);
        let mut taken = false;
        for child in &self.routes {
            if child.descend(labels, receiver, way, reached) {
                taken = true;
                if !child.continues {
                    break;
                }
            }
        }
        if let (false, Some(receiver)) = (taken, receiver) {
            reached.push(Routed { receiver: receiver.clone(), why: way.clone() });
        }
        way.truncate(depth);
        true
    }
}
