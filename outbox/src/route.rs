//! Alertmanager's routing tree: which receivers an incident with these labels reaches, and why.

use std::collections::BTreeMap;
use std::sync::Arc;

use beaconfire_model::{Labels, Matcher, Matchers};

use crate::Grouping;

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
    /// Microsoft Teams, by a workflow.
    Teams,
    /// A Discord webhook.
    Discord,
    /// A Telegram bot.
    Telegram,
    /// An Alertmanager's API v2.
    Alertmanager,
}

impl IntegrationKind {
    /// Whether people read its messages, and are better told of a group in one. A pager has an alert an episode, and
    /// programs count for themselves.
    pub const fn is_read(self) -> bool {
        matches!(self, Self::Email | Self::Slack | Self::Teams | Self::Discord | Self::Telegram)
    }

    /// The name in metrics, JSON and row keys.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Slack => "slack",
            Self::PagerDuty => "pagerduty",
            Self::Webhook => "webhook",
            Self::Teams => "msteams",
            Self::Discord => "discord",
            Self::Telegram => "telegram",
            Self::Alertmanager => "alertmanager",
        }
    }

    /// Whether it can change a message where it stands, which disturbs nobody.
    pub const fn edits(self) -> bool {
        matches!(self, Self::Slack | Self::Discord | Self::Telegram)
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
    /// The time intervals in which it tells nobody, by name. Children do not have their parent's.
    pub mute_times: Vec<Arc<str>>,
    /// The only time intervals in which it tells anybody; none for always.
    pub active_times: Vec<Arc<str>>,
    /// How it groups and repeats: its own or its parent's.
    pub grouping: Grouping,
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
    /// Whether a matcher on that way asks for the severity: only then is it told of what is for showing only.
    pub by_severity: bool,
    /// How the route groups and repeats.
    pub grouping: Grouping,
}

/// One route of the tree, and what became of labels there.
#[derive(Debug, Clone, PartialEq)]
pub struct Visit<'a> {
    /// The route.
    pub route: &'a Route,
    /// Its parent's place among the visits; the root has none.
    pub parent: Option<usize>,
    /// Its receiver, or the one it has from its parents.
    pub receiver: Option<&'a Arc<str>>,
    /// What became of the labels.
    pub verdict: Verdict<'a>,
}

/// What became of labels at one route.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Verdict<'a> {
    /// They match, and no child takes them: the receiver is told.
    Told,
    /// They match, and a child takes them.
    Passed,
    /// They do not match this one.
    Unmatched(&'a Matcher),
    /// An earlier sibling took them and does not continue: it was not asked.
    Skipped,
}

impl Route {
    /// The receivers that labels reach, each once, in the order of the tree: a matching child takes the incident from
    /// its parent, `continue` lets later siblings have it too, the parent has it where no child does.
    pub fn resolve(&self, labels: &Labels) -> Vec<Routed> {
        let visits = self.walk(labels);
        let mut reached: Vec<Routed> = Vec::new();
        for (at, visit) in visits.iter().enumerate() {
            let (Verdict::Told, Some(receiver)) = (visit.verdict, visit.receiver) else { continue };
            if reached.iter().all(|routed| routed.receiver != *receiver) {
                let by_severity = asks_for_severity(&visits, at);
                let (receiver, why) = (receiver.clone(), way(&visits, at));
                let grouping = visit.route.grouping.clone();
                reached.push(Routed { receiver, why, by_severity, grouping });
            }
        }
        reached
    }

    /// Whether any route of the tree tells only at times.
    pub fn has_hours(&self) -> bool {
        let own = !self.mute_times.is_empty() || !self.active_times.is_empty();
        own || self.routes.iter().any(Self::has_hours)
    }

    /// The routes by which labels reach each receiver.
    pub fn ways(&self, labels: &Labels) -> BTreeMap<Arc<str>, Vec<&Self>> {
        let mut ways: BTreeMap<Arc<str>, Vec<&Self>> = BTreeMap::new();
        for visit in self.walk(labels) {
            if let (Verdict::Told, Some(receiver)) = (visit.verdict, visit.receiver) {
                ways.entry(receiver.clone()).or_default().push(visit.route);
            }
        }
        ways
    }

    /// What becomes of labels at every route that is looked at, parents before children, in the order of the tree.
    pub fn walk(&self, labels: &Labels) -> Vec<Visit<'_>> {
        let mut visits = Vec::new();
        self.descend(labels, None, None, &mut visits);
        visits
    }

    /// Whether the labels match here.
    fn descend<'a>(
        &'a self,
        labels: &Labels,
        parent: Option<usize>,
        inherited: Option<&'a Arc<str>>,
        visits: &mut Vec<Visit<'a>>,
    ) -> bool {
        let (here, receiver) = (visits.len(), self.receiver.as_ref().or(inherited));
        let against = self.matchers.0.iter().find(|matcher| !matcher.matches(labels.get(&matcher.name)));
        let verdict = against.map_or(Verdict::Told, Verdict::Unmatched);
        visits.push(Visit { route: self, parent, receiver, verdict });
        if against.is_some() {
            return false;
        }
        let mut over = false;
        for child in &self.routes {
            if over {
                let receiver = child.receiver.as_ref().or(receiver);
                let verdict = Verdict::Skipped;
                visits.push(Visit { route: child, parent: Some(here), receiver, verdict });
            } else if child.descend(labels, Some(here), receiver, visits) {
                visits[here].verdict = Verdict::Passed;
                over = !child.continues;
            }
        }
        true
    }
}

/// Whether a matcher on the way to a visit asks for the severity.
fn asks_for_severity(visits: &[Visit<'_>], at: usize) -> bool {
    let way = std::iter::successors(Some(at), |at| visits.get(*at)?.parent);
    let mut matchers = way.filter_map(|at| visits.get(at)).flat_map(|visit| &visit.route.matchers.0);
    matchers.any(|matcher| matcher.name == "severity")
}

/// The matchers from the root down to a visit.
fn way(visits: &[Visit<'_>], at: usize) -> Vec<String> {
    let up = std::iter::successors(Some(at), |at| visits.get(*at)?.parent);
    let mut routes: Vec<&Route> = up.map(|at| visits[at].route).collect();
    routes.reverse();
    routes.iter().flat_map(|route| &route.matchers.0).map(ToString::to_string).collect()
}
