//! `route` and `receivers`: whom to tell, and who would be told nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use beaconfire_model::{Kind, Matcher, Matchers, Op, Severity};
use beaconfire_notify::Knobs;
use beaconfire_outbox::{
    DIGEST_AFTER, DigestKnobs, Grouping, Integration, IntegrationKind, Rate, Receivers, Route,
};

use crate::complain::Complaint;
use crate::de::At;
use crate::judge::{Judge, sentence};
use crate::meaning::channels::{channels, kind};
use crate::raw::{self, Raw};

/// The tree, the receivers as the outbox knows them, and their channels: `channels[receiver][n]` belongs to
/// `receivers[receiver][n]`.
pub(crate) struct Tell {
    pub(crate) route: Route,
    pub(crate) receivers: Receivers,
    pub(crate) channels: BTreeMap<Arc<str>, Vec<Knobs>>,
    pub(crate) paces: BTreeMap<Arc<str>, PaceKnobs>,
    pub(crate) fallbacks: BTreeMap<Arc<str>, Arc<str>>,
}

/// How fast a receiver is told, and when one message stands for many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PaceKnobs {
    /// Messages a minute, in place of what the service allows.
    pub rate: Option<u32>,
    /// How many may go at once.
    pub burst: Option<u32>,
    /// More incidents than this at once fold into a digest.
    pub digest_after: u32,
}

impl PaceKnobs {
    /// The ceiling of an integration of this kind, and when it is in a storm.
    pub fn of(&self, kind: IntegrationKind) -> (Rate, DigestKnobs) {
        let usual = Rate::of(kind);
        let rate = Rate {
            per_minute: self.rate.unwrap_or(usual.per_minute),
            burst: self.burst.unwrap_or(usual.burst),
        };
        let digest = match kind {
            IntegrationKind::Alertmanager => DigestKnobs::never(),
            _ => DigestKnobs::new(self.digest_after, rate),
        };
        (rate, digest)
    }
}

impl Default for PaceKnobs {
    fn default() -> Self {
        Self { rate: None, burst: None, digest_after: DIGEST_AFTER }
    }
}

/// `rate`, `burst` and `digest_after` of a receiver, each within bounds that mean something.
fn pace(judge: &mut Judge<'_>, receiver: &raw::Receiver) -> PaceKnobs {
    let mut within = |value: &Option<At<u32>>, name: &str, max: u32| {
        let value = value.as_ref()?;
        if (1..=max).contains(&value.value) {
            return Some(value.value);
        }
        judge.error(value.place, format!("`{name}` is a number from 1 to {max}"), "");
        None
    };
    PaceKnobs {
        rate: within(&receiver.rate, "rate", 60_000),
        burst: within(&receiver.burst, "burst", 1_000),
        digest_after: within(&receiver.digest_after, "digest_after", 10_000).unwrap_or(DIGEST_AFTER),
    }
}

/// The receiver that is told in this one's place.
fn fallback(judge: &mut Judge<'_>, raw: &Raw, receiver: &raw::Receiver) -> Option<Arc<str>> {
    let named = receiver.fallback.as_ref()?;
    if named.value == receiver.name.value {
        judge.error(named.place, "a receiver cannot stand in for itself", "name another receiver");
        return None;
    }
    let Some(held) = raw.receivers.iter().find(|held| held.name.value == named.value) else {
        judge.unknown("receiver", named, raw.receivers.iter().map(|held| held.name.as_str()));
        return None;
    };
    if held.is_empty() {
        judge.warn(
            named.place,
            format!("the receiver `{}` has no integration: it can stand in for nobody", named.value),
            "",
        );
    }
    Some(Arc::from(named.as_str()))
}

/// Routes may be nested so deep.
const DEPTH_MAX: usize = 32;

/// Reads `route` and `receivers`.
pub(crate) fn tell(judge: &mut Judge<'_>, raw: &Raw) -> Tell {
    let (mut receivers, mut all, mut paces) = (Receivers::new(), BTreeMap::new(), BTreeMap::new());
    let mut fallbacks = BTreeMap::new();
    for receiver in &raw.receivers {
        let name: Arc<str> = Arc::from(receiver.name.as_str());
        if name.is_empty() || name.len() > 128 {
            judge.error(receiver.name.place, "a receiver's name has 1 to 128 characters", "");
        }
        paces.insert(name.clone(), pace(judge, receiver));
        if let Some(fallback) = fallback(judge, raw, receiver) {
            fallbacks.insert(name.clone(), fallback);
        }
        let made = channels(judge, raw, receiver);
        if receiver.is_empty() {
            // As in Alertmanager, where people route to such a receiver what nobody should hear of.
            judge.warn(
                receiver.name.place,
                format!("the receiver `{name}` has no integration: nobody hears of what is routed to it"),
                "where that is not meant: email_configs, slack_configs, pagerduty_configs or webhook_configs",
            );
        }
        let mut counts: BTreeMap<IntegrationKind, usize> = BTreeMap::new();
        let mut integrations = Vec::new();
        let mut kept = Vec::new();
        for (channel, send_resolved) in made {
            let kind = kind(&channel);
            let count = counts.entry(kind).or_default();
            let name = Arc::from(format!("{}-{count}", kind.name()));
            integrations.push(Integration { name, kind, send_resolved });
            *count += 1;
            kept.push(channel);
        }
        if receivers.insert(name.clone(), integrations).is_some() {
            judge.error(
                receiver.name.place,
                format!("the receiver `{name}` stands twice"),
                "merge the two, or rename one",
            );
        }
        all.insert(name, kept);
    }
    let route = root(judge, raw);
    unused(judge, raw);
    if let Some(route) = &route {
        alone(judge, raw, route, &receivers, &fallbacks);
    }
    Tell { route: route.unwrap_or_default(), receivers, channels: all, paces, fallbacks }
}

/// The root: it has a receiver, or there is only one. `None` where there are no receivers at all.
fn root(judge: &mut Judge<'_>, raw: &Raw) -> Option<Route> {
    let root = &raw.route;
    if let Some(matcher) = root.matchers.first().or(root.equal.values().next()).or(root.regex.values().next())
    {
        judge.error(
            matcher.place,
            "the root of `route` takes everything: it has no matchers",
            "put them into one of its `routes`",
        );
    }
    let mut route = read(judge, raw, root, &Grouping::default(), 0);
    route.matchers = Matchers::default();
    match (&route.receiver, raw.receivers.as_slice()) {
        (Some(_), _) => Some(route),
        (None, []) => {
            judge.complaints.push(
                Complaint::warning(
                    "there are no `receivers`: incidents are shown on the console, and nobody is told",
                )
                .mend("for example `receivers: [{name: mail, email_configs: [{to: oncall@example.com}]}]`"),
            );
            None
        }
        (None, [only]) => {
            route.receiver = Some(Arc::from(only.name.as_str()));
            Some(route)
        }
        (None, [first, ..]) => {
            judge.error(
                first.name.place,
                "there are several receivers, and `route.receiver` does not say which has what no other route takes",
                &format!("for example `route: {{receiver: {}}}`", first.name.value),
            );
            None
        }
    }
}

fn read(judge: &mut Judge<'_>, raw: &Raw, route: &raw::Route, above: &Grouping, depth: usize) -> Route {
    if let Some(receiver) = &route.receiver
        && !raw.receivers.iter().any(|held| held.name.value == receiver.value)
    {
        judge.unknown("receiver", receiver, raw.receivers.iter().map(|held| held.name.as_str()));
    }
    let mut matchers = judge.matchers(&route.matchers);
    for (pairs, op) in [(&route.equal, Op::Equal), (&route.regex, Op::Matches)] {
        for (name, value) in pairs {
            match Matcher::new(name, op, value) {
                Ok(matcher) => matchers.0.push(matcher),
                Err(error) => judge.error(value.place, format!("bad pattern: {}", sentence(&error.said)), ""),
            }
        }
    }
    let grouping = grouping(judge, route, above);
    let mut children: Vec<Route> = Vec::new();
    if depth >= DEPTH_MAX {
        if let Some(child) = route.routes.first() {
            judge.error(child.place, format!("routes are nested more than {DEPTH_MAX} deep"), "");
        }
        return Route { matchers, continues: route.continues, grouping, ..Route::default() };
    }
    for child in &route.routes {
        let read = read(judge, raw, child, &grouping, depth + 1);
        unreachable(judge, child, &read, &children);
        children.push(read);
    }
    Route {
        receiver: route.receiver.as_ref().map(|receiver| Arc::from(receiver.as_str())),
        matchers,
        continues: route.continues,
        mute_times: names(&route.mute_time_intervals),
        active_times: names(&route.active_time_intervals),
        grouping,
        routes: children,
    }
}

fn names(of: &[At<String>]) -> Vec<Arc<str>> {
    of.iter().map(|name| Arc::from(name.as_str())).collect()
}

/// How a route groups and repeats: what it does not say it has from the route above.
fn grouping(judge: &mut Judge<'_>, route: &raw::Route, above: &Grouping) -> Grouping {
    let mut own = above.clone();
    if let Some(by) = &route.group_by {
        let all = by.iter().find(|name| name.as_str() == "...");
        if let Some(all) = all
            && by.len() > 1
        {
            judge.error(all.place, "`...` stands alone: it groups by all labels", "leave the others out");
        }
        for name in by.iter().filter(|name| name.is_empty()) {
            judge.error(name.place, "a label to group by has a name", "");
        }
        let names: BTreeSet<Arc<str>> = by.iter().map(|name| Arc::from(name.as_str())).collect();
        own.by = all.is_none().then(|| names.into_iter().collect());
    }
    if let Some(wait) = &route.group_wait {
        own.wait = judge.span("group_wait", wait, "0s"..="1h");
    }
    if let Some(interval) = &route.group_interval {
        own.interval = judge.span("group_interval", interval, "1s"..="30d");
    }
    if let Some(repeat) = &route.repeat_interval {
        own.repeat = judge.span("repeat_interval", repeat, "1m"..="365d");
    }
    own
}

/// Warns of a route that nothing ever reaches: an earlier sibling takes everything it would match, or it asks for a
/// severity or kind that no incident has.
fn unreachable(judge: &mut Judge<'_>, written: &At<raw::Route>, route: &Route, before: &[Route]) {
    // The place of the first matcher shows best which route is meant.
    let place = written.matchers.first().map_or(written.place, |matcher| matcher.place);
    let taken = before.iter().find(|sibling| {
        !sibling.continues && sibling.matchers.0.iter().all(|matcher| route.matchers.0.contains(matcher))
    });
    if let Some(sibling) = taken {
        let by: Vec<String> = sibling.matchers.0.iter().map(ToString::to_string).collect();
        let by = if by.is_empty() {
            "which has no matchers".to_owned()
        } else {
            format!("with {}", by.join(", "))
        };
        judge.warn(
            place,
            format!(
                "this route is never reached: an earlier one, {by}, takes everything that it would match"
            ),
            "put it before the other, or give the other `continue: true`",
        );
    }
    let sets: [(&str, Vec<&str>); 2] = [
        ("severity", Severity::ALL.map(Severity::name).to_vec()),
        ("kind", Kind::ALL.map(Kind::name).to_vec()),
    ];
    for (label, names) in sets {
        let about: Vec<&Matcher> = route.matchers.0.iter().filter(|matcher| matcher.name == label).collect();
        if !about.is_empty() && !names.iter().any(|name| about.iter().all(|matcher| matcher.matches(name))) {
            let complaint =
                Complaint::warning(format!("this route is never reached: no incident has such a `{label}`"))
                    .near(&about[0].value, names.iter().copied());
            judge.push(complaint, place, &format!("there are {}", names.join(", ")));
        }
    }
}

/// Warns of receivers that no route leads to.
fn unused(judge: &mut Judge<'_>, raw: &Raw) {
    fn collect<'r>(route: &'r raw::Route, used: &mut BTreeSet<&'r str>) {
        used.extend(route.receiver.as_ref().map(|receiver| receiver.as_str()));
        route.routes.iter().for_each(|child| collect(child, used));
    }
    let mut used = BTreeSet::new();
    collect(&raw.route, &mut used);
    if used.is_empty() {
        return;
    }
    let steps = raw.escalations.iter().flat_map(|entry| &entry.steps);
    used.extend(steps.map(|step| step.receiver.as_str()));
    used.extend(
        raw.receivers.iter().filter_map(|receiver| receiver.fallback.as_ref()).map(|named| named.as_str()),
    );
    for receiver in raw.receivers.iter().filter(|receiver| !used.contains(receiver.name.as_str())) {
        judge.warn(
            receiver.name.place,
            format!("no route leads to the receiver `{}`", receiver.name.value),
            "",
        );
    }
}

/// Warns where a page has only one way to reach anybody. A receiver pages where it has a PagerDuty integration, or
/// where a route of its own sends it what is critical.
fn alone(
    judge: &mut Judge<'_>,
    raw: &Raw,
    route: &Route,
    receivers: &Receivers,
    fallbacks: &BTreeMap<Arc<str>, Arc<str>>,
) {
    let critical = |severity: &str| {
        let mut labels = beaconfire_model::Labels::default();
        labels.set("severity", severity);
        route.resolve(&labels)
    };
    let reached = critical(Severity::Critical.name());
    let ways: usize = reached.iter().map(|routed| receivers.get(&routed.receiver).map_or(0, Vec::len)).sum();
    let [only] = reached.as_slice() else { return };
    let has_pager = receivers
        .get(&only.receiver)
        .is_some_and(|held| held.iter().any(|integration| integration.kind == IntegrationKind::PagerDuty));
    let apart = critical(Severity::Warning.name()) != reached;
    if ways != 1 || !(has_pager || apart) || fallbacks.contains_key(&only.receiver) {
        return;
    }
    let place =
        raw.receivers.iter().find(|held| held.name.as_str() == &*only.receiver).map(|held| held.name.place);
    judge.warn(
        place.unwrap_or_default(),
        format!(
            "critical incidents reach nobody but `{}`, by one integration: while it fails, nobody is paged",
            only.receiver
        ),
        "give the receiver a `fallback`, a second integration, or a second route with `continue: true`",
    );
}
