//! `inhibit_rules`, the names of `time_intervals` in routes, and `escalations`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use beaconfire_model::{Matcher, Matchers, Op};
use beaconfire_outbox::{Escalation, InhibitRule, QuietRules, TimeInterval};

use crate::de::At;
use crate::judge::{Judge, sentence};
use crate::meaning::hours;
use crate::raw::{self, Raw};

/// Rules, entries and steps at most.
const RULES_MAX: usize = 200;
const STEPS_MAX: usize = 16;

/// When receivers are not told.
pub(crate) fn quiet(judge: &mut Judge<'_>, raw: &Raw) -> QuietRules {
    let intervals = hours::intervals(judge, raw);
    named(judge, &raw.route, true, &intervals);
    if let Some(over) = raw.inhibit_rules.get(RULES_MAX) {
        judge.error(over.place, format!("more than {RULES_MAX} `inhibit_rules`"), "");
    }
    let inhibit = raw.inhibit_rules.iter().map(|rule| inhibit(judge, rule)).collect();
    unused(judge, raw, &intervals);
    QuietRules { intervals, inhibit }
}

/// Refuses names of time intervals that there are none of, and any at the root: what no other route takes is always told.
fn named(
    judge: &mut Judge<'_>,
    route: &raw::Route,
    is_root: bool,
    intervals: &BTreeMap<Arc<str>, TimeInterval>,
) {
    for name in route.mute_time_intervals.iter().chain(&route.active_time_intervals) {
        if is_root {
            judge.error(
                name.place,
                "the root of `route` tells at all times: it has no time intervals",
                "put them into one of its `routes`",
            );
        } else if !intervals.contains_key(name.as_str()) {
            judge.unknown("time interval", name, intervals.keys().map(|name| &**name));
        }
    }
    route.routes.iter().for_each(|child| named(judge, child, false, intervals));
}

/// Warns of time intervals that no route names.
fn unused(judge: &mut Judge<'_>, raw: &Raw, intervals: &BTreeMap<Arc<str>, TimeInterval>) {
    fn collect<'r>(route: &'r raw::Route, used: &mut BTreeSet<&'r str>) {
        let names = route.mute_time_intervals.iter().chain(&route.active_time_intervals);
        used.extend(names.map(|name| name.as_str()));
        route.routes.iter().for_each(|child| collect(child, used));
    }
    let mut used = BTreeSet::new();
    collect(&raw.route, &mut used);
    for interval in raw.time_intervals.iter().chain(raw.mute_time_intervals.iter().flatten()) {
        let name = interval.name.as_str();
        if intervals.contains_key(name) && !used.contains(name) {
            judge.warn(interval.name.place, format!("no route names the time interval `{name}`"), "");
        }
    }
}

fn inhibit(judge: &mut Judge<'_>, rule: &At<raw::InhibitRule>) -> InhibitRule {
    let source = side(judge, &rule.source_matchers, &rule.source_match, &rule.source_match_re);
    let target = side(judge, &rule.target_matchers, &rule.target_match, &rule.target_match_re);
    // Alertmanager takes both, and inhibits everything or by everything: nobody means that.
    for (name, side) in [("source_matchers", &source), ("target_matchers", &target)] {
        if side.0.is_empty() {
            judge.error(rule.place, format!("this rule has no `{name}`: it would take every incident"), "");
        }
    }
    InhibitRule { source, target, equal: rule.equal.iter().map(|label| label.value.clone()).collect() }
}

fn side(
    judge: &mut Judge<'_>,
    matchers: &[At<String>],
    equal: &BTreeMap<String, At<String>>,
    regex: &BTreeMap<String, At<String>>,
) -> Matchers {
    let mut read = judge.matchers(matchers);
    for (pairs, op) in [(equal, Op::Equal), (regex, Op::Matches)] {
        for (name, value) in pairs {
            match Matcher::new(name, op, value) {
                Ok(matcher) => read.0.push(matcher),
                Err(error) => judge.error(value.place, format!("bad pattern: {}", sentence(&error.said)), ""),
            }
        }
    }
    read
}

/// Who is told next while nobody has taken an incident.
pub(crate) fn escalations(judge: &mut Judge<'_>, raw: &Raw) -> Vec<Escalation> {
    if let Some(over) = raw.escalations.get(RULES_MAX) {
        judge.error(over.place, format!("more than {RULES_MAX} `escalations`"), "");
    }
    let mut read = Vec::new();
    for entry in &raw.escalations {
        let matchers = judge.matchers(&entry.matchers);
        let mut steps: Vec<(std::time::Duration, Arc<str>)> = Vec::new();
        for step in &entry.steps {
            if !raw.receivers.iter().any(|held| held.name.value == step.receiver.value) {
                judge.unknown(
                    "receiver",
                    &step.receiver,
                    raw.receivers.iter().map(|held| held.name.as_str()),
                );
            }
            let after = judge.span("after", &step.after, "1s"..="7d");
            if steps.last().is_some_and(|(before, _)| after <= *before) {
                judge.error(
                    step.after.place,
                    "this step does not come after the one before it",
                    "`after` counts from the opening, not from the step before",
                );
            }
            steps.push((after, Arc::from(step.receiver.as_str())));
        }
        match entry.steps.get(STEPS_MAX) {
            Some(over) => judge.error(over.place, format!("more than {STEPS_MAX} steps"), ""),
            None if entry.steps.is_empty() => judge.error(entry.place, "this escalation has no steps", ""),
            None => {}
        }
        read.push(Escalation { matchers, steps });
    }
    read
}
