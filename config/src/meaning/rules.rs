//! `rules`, `lists` and what `services` change of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use beaconfire_detect::{Count, EntrySpec, Field, Override, Plan, PlanSpec, RuleSpec, ServiceSpec};
use beaconfire_model::{Kind, Matcher, Matchers, Op, Severity};

use crate::de::At;
use crate::judge::{Judge, sentence};
use crate::node::Place;
use crate::raw::{self, Raw};

/// A list's file is this long at most.
const LIST_MAX: u64 = 4 << 20;
/// Rules at most: each costs a little for every record.
const RULES_MAX: usize = 200;

/// The rules that are switched on, the lists they name, and the services.
pub(crate) fn plan(judge: &mut Judge<'_>, raw: &Raw, entries: Vec<EntrySpec>) -> PlanSpec {
    let lists = lists(judge, raw);
    let services = services(judge, raw);
    if raw.rules.len() > RULES_MAX {
        let place = raw.rules[RULES_MAX].place;
        judge.error(place, format!("there are {} rules; {RULES_MAX} are the most", raw.rules.len()), "");
    }
    let mut spec = PlanSpec {
        rules: Vec::new(),
        lists,
        services,
        entries: Vec::new(),
        finding_window: Duration::from_secs(60),
        mining: None,
        baselines: None,
        tell_services: false,
        surge: false,
        seed: 0,
    };
    let mut rules = Vec::new();
    for rule in raw.rules.iter().filter(|rule| rule.enabled) {
        let before = judge.complaints.len();
        let read = read(judge, rule);
        never_fires(judge, rule);
        if let Some(read) =
            read.filter(|_| judge.complaints[before..].iter().all(|complaint| !complaint.is_error()))
        {
            // What only the compiler of plans knows, it is asked one rule at a time, so that the rule's place is known.
            let alone = PlanSpec { rules: vec![read.clone()], ..spec.clone() };
            if let Err(error) = Plan::compile(alone) {
                judge.error(rule.name.place, error.to_string(), "");
            }
            rules.push(read);
        }
    }
    spec.rules = rules;
    spec.mining = Some(super::workloads::mining(judge, raw));
    spec.baselines = super::workloads::baselines(judge, raw);
    spec.surge = raw.baselines.enabled;
    spec.tell_services = raw.baselines.enabled;
    spec.entries = entries;
    spec
}

fn read(judge: &mut Judge<'_>, rule: &raw::Rule) -> Option<RuleSpec> {
    let name = rule.name.as_str();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || name.len() > 64 || !name.chars().all(is_plain) {
        judge.error(
            rule.name.place,
            format!("`{}` cannot be the name of a rule", name.escape_debug()),
            "a name has 1 to 64 letters, digits, `-`, `_` or `.`",
        );
    }
    let kinds = [Kind::Flood, Kind::Probing, Kind::Login, Kind::Errors, Kind::Sensor];
    let of_requests = |text: &str| kinds.into_iter().find(|kind| kind.name() == text);
    let kind = judge.word("kind of a rate rule", &rule.kind, of_requests, &kinds.map(Kind::name));
    let severity =
        judge.word("severity", &rule.severity, Severity::parse, &Severity::ALL.map(Severity::name));
    let matchers = fields(judge, &rule.matchers);
    let except = fields(judge, &rule.except);
    let by = keys(judge, &rule.by);
    let count = count(judge, rule);
    let min_clients = crowd(judge, rule);
    let window = judge.span("window", &rule.window, "1s"..="1d");
    threshold(judge, "threshold", &rule.threshold);
    if let Some(critical) = &rule.critical_above {
        threshold(judge, "critical_above", critical);
        if critical.value <= rule.threshold.value {
            let said = format!(
                "`critical_above` ({}) must lie above `threshold` ({})",
                critical.value, rule.threshold.value
            );
            judge.error(critical.place, said, "");
        }
    }
    if let (Some(Kind::Sensor), Some(throttle)) = (kind, &rule.throttle) {
        let said = format!(
            "the rule `{name}` is of kind sensor: it tells that clients cannot be told apart, so there is nobody to throttle"
        );
        judge.error(throttle.place, said, "take `throttle` out, or give the rule another kind");
    }
    for reserved in ["alertname", "kind", "service", "severity"] {
        if rule.labels.contains_key(reserved) {
            let said = format!("the label `{reserved}` is ours to set, the rule `{name}` cannot");
            judge.error(rule.name.place, said, "take it out of `labels`");
        }
    }
    Some(RuleSpec {
        name: Arc::from(name),
        kind: kind?,
        matchers,
        except,
        by,
        count: count?,
        window,
        threshold: rule.threshold.value,
        severity: severity?,
        critical_above: rule.critical_above.as_ref().map(|critical| critical.value),
        min_clients,
    })
}

fn threshold(judge: &mut Judge<'_>, name: &str, value: &At<f64>) {
    if !(0.0..=1e18).contains(&value.value) {
        judge.error(value.place, format!("`{name}` must be a number of at least 0"), "");
    }
}

/// Matchers on fields of a request.
fn fields(judge: &mut Judge<'_>, texts: &[At<String>]) -> Matchers {
    let mut kept = Vec::new();
    for text in texts {
        for matcher in judge.matchers(std::slice::from_ref(text)).0 {
            if Field::parse(&matcher.name).is_none() {
                let name = At { value: matcher.name.clone(), place: text.place };
                judge.unknown("field of a request", &name, Field::ALL.map(Field::name));
            } else {
                kept.push(matcher);
            }
        }
    }
    Matchers(kept)
}

fn keys(judge: &mut Judge<'_>, by: &At<Vec<At<String>>>) -> Vec<Field> {
    if by.is_empty() || by.len() > 2 {
        judge.error(
            by.place,
            format!("`by` takes one or two fields, not {}", by.len()),
            "for example `by: [client]`",
        );
    }
    let counted: Vec<Field> = Field::ALL.into_iter().filter(|field| field.subject().is_some()).collect();
    let names: Vec<&str> = counted.iter().map(|field| field.name()).collect();
    let parse = |text: &str| counted.iter().copied().find(|field| field.name() == text);
    by.iter().filter_map(|name| judge.word("field to count by", name, parse, &names)).collect()
}

/// How many clients a rule asks for.
fn crowd(judge: &mut Judge<'_>, rule: &raw::Rule) -> Option<u64> {
    let least = rule.min_clients.as_ref()?;
    if rule.by.iter().any(|field| field.as_str() == "client") {
        judge.error(
            least.place,
            "`min_clients` asks for a crowd, and this rule counts each client by itself",
            "take it out, or take `client` out of `by`",
        );
    } else if rule.count.trim().starts_with("share") {
        judge.error(
            least.place,
            "`min_clients` does not go with `count: share(…)`: a share has `min_requests`",
            "take it out",
        );
    } else if least.value == 0 {
        judge.error(
            least.place,
            "`min_clients` must be at least 1",
            "take it out where no crowd is asked for",
        );
    }
    Some(least.value.max(1))
}

/// `requests`, `bytes_sent`, `distinct(FIELD)`, `share(MATCHERS)` with `min_requests`.
fn count(judge: &mut Judge<'_>, rule: &raw::Rule) -> Option<Count> {
    let text = &rule.count;
    let inner = |name: &str| text.trim().strip_prefix(name)?.trim().strip_prefix('(')?.strip_suffix(')');
    let share = inner("share");
    if let (None, Some(least)) = (share, &rule.min_requests) {
        judge.error(least.place, "`min_requests` belongs to `count: share(…)`", "take it out");
    }
    match (text.trim(), share) {
        ("requests", _) => Some(Count::Requests),
        ("bytes_sent", _) => Some(Count::BytesSent),
        (_, Some(inner)) => {
            let parts = split(inner);
            let parts: Vec<At<String>> =
                parts.into_iter().map(|value| At { value, place: text.place }).collect();
            if parts.is_empty() {
                judge.error(
                    text.place,
                    "a share of what? `share` needs matchers",
                    r#"for example share(status=~"5..")"#,
                );
            }
            let Some(least) = &rule.min_requests else {
                judge.error(
                    text.place,
                    "`count: share(…)` needs `min_requests`: of two requests, one is half",
                    "for example `min_requests: 50`",
                );
                return None;
            };
            Some(Count::Share { matchers: fields(judge, &parts), min_requests: least.value.max(1) })
        }
        _ if let Some(field) = inner("distinct") => {
            let name = At { value: field.trim().to_owned(), place: text.place };
            let field =
                judge.word("field of a request", &name, Field::parse, &Field::ALL.map(Field::name))?;
            Some(Count::Distinct { field })
        }
        (other, _) => {
            let known = ["requests", "bytes_sent", "share", "distinct"];
            let name =
                At { value: other.split('(').next().unwrap_or_default().to_owned(), place: text.place };
            judge.unknown("count", &name, known);
            None
        }
    }
}

/// Matchers with commas between, which may also stand within quotes.
fn split(text: &str) -> Vec<String> {
    let (mut parts, mut quoted, mut escaped) = (vec![String::new()], false, false);
    for c in text.chars() {
        match c {
            ',' if !quoted => {
                parts.push(String::new());
                continue;
            }
            '"' if !escaped => quoted = !quoted,
            _ => {}
        }
        escaped = c == '\\' && !escaped;
        if let Some(last) = parts.last_mut() {
            last.push(c);
        }
    }
    parts.into_iter().map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
}

/// Rules that look alive and can never fire.
fn never_fires(judge: &mut Judge<'_>, rule: &raw::Rule) {
    let name = rule.name.as_str();
    if rule.count.trim().starts_with("share") {
        for (key, line) in
            [("threshold", Some(&rule.threshold)), ("critical_above", rule.critical_above.as_ref())]
        {
            if let Some(line) = line.filter(|line| line.value >= 1.0) {
                judge.error(
                    line.place,
                    format!(
                        "the rule `{name}` can never fire on this: a share is at most 1, and `{key}` is {}",
                        line.value
                    ),
                    "write a share between 0 and 1, as in 0.10",
                );
            }
        }
    }
    one_value(judge, rule);
    for text in &rule.matchers {
        let Ok(matcher) = Matcher::parse(text) else { continue };
        let impossible = match Field::parse(&matcher.name) {
            Some(Field::Status) => !(0..1000u16).any(|status| matcher.matches(&status.to_string())),
            Some(Field::Static | Field::Elsewhere) => !matcher.matches("true") && !matcher.matches("false"),
            _ => false,
        };
        if impossible {
            let said = format!("the rule `{name}` can never fire: nothing satisfies `{matcher}`");
            judge.error(text.place, said, "take the matcher out, or mend its value");
        }
    }
    let equals: Vec<(Matcher, Place)> = rule
        .matchers
        .iter()
        .filter_map(|text| Some((Matcher::parse(text).ok()?, text.place)))
        .filter(|(matcher, _)| matcher.op == Op::Equal)
        .collect();
    for (at, (matcher, place)) in equals.iter().enumerate() {
        if let Some((other, _)) =
            equals[..at].iter().find(|(other, _)| other.name == matcher.name && other.value != matcher.value)
        {
            let said = format!("the rule `{name}` can never fire: nothing is both `{other}` and `{matcher}`");
            judge.error(*place, said, "matchers must all match; for one or the other write =~ \"a|b\"");
        }
    }
    for except in &rule.except {
        if rule.matchers.iter().any(|matcher| matcher.value == except.value) {
            let said = format!(
                "the rule `{name}` can never fire: `{}` is both asked for and excepted",
                except.value
            );
            judge.error(except.place, said, "take one of the two out");
        }
    }
}

/// Different values of a field of which there is one for each key.
fn one_value(judge: &mut Judge<'_>, rule: &raw::Rule) {
    let inner = rule.count.trim().strip_prefix("distinct").map(str::trim);
    let Some(field) = inner.and_then(|rest| rest.strip_prefix('(')?.strip_suffix(')')).map(str::trim) else {
        return;
    };
    let has_one = |by: &str| by == field || (by == "client" && field == "prefix");
    if let Some(by) = rule.by.iter().find(|by| has_one(by)) {
        let said = format!(
            "the rule `{}` can never fire: a {} has only one `{field}`",
            rule.name.value,
            by.replace('_', " ")
        );
        judge.error(rule.count.place, said, "count another field, or count by another");
    }
}

fn lists(judge: &mut Judge<'_>, raw: &Raw) -> BTreeMap<String, Vec<String>> {
    let mut lists = BTreeMap::new();
    for (name, list) in &raw.lists {
        let mut patterns = Vec::new();
        for pattern in &list.patterns {
            if let Err(error) = Matcher::new(name, Op::Matches, pattern) {
                judge.error(
                    pattern.place,
                    format!("bad pattern `{}`: {}", pattern.value, sentence(&error.said)),
                    "",
                );
            } else {
                patterns.push(pattern.value.clone());
            }
        }
        if let Some(file) = &list.file {
            match judge.slurp(file, LIST_MAX) {
                Ok(text) => {
                    for (at, line) in text.lines().map(str::trim).enumerate() {
                        if line.is_empty() || line.starts_with('#') {
                            continue;
                        }
                        match Matcher::new(name, Op::Matches, line) {
                            Ok(_) => patterns.push(line.to_owned()),
                            Err(error) => {
                                let said = format!(
                                    "bad pattern in line {} of `{}`: {}",
                                    at + 1,
                                    file.value,
                                    error.said
                                );
                                judge.error(file.place, said, "");
                            }
                        }
                    }
                }
                Err(said) => judge.error(file.place, said, "a list's file has one pattern a line"),
            }
        }
        if patterns.is_empty() {
            judge.warn(list.place, format!("the list `{name}` has no patterns: it matches nothing"), "");
        }
        lists.insert(name.clone(), patterns);
    }
    lists
}

fn services(judge: &mut Judge<'_>, raw: &Raw) -> BTreeMap<String, ServiceSpec> {
    let mut services = BTreeMap::new();
    for (name, service) in &raw.services {
        let mut overrides = BTreeMap::new();
        for (rule, change) in &service.rules {
            let Some(held) = raw.rules.iter().find(|held| held.name.as_str() == rule) else {
                let known = At { value: rule.clone(), place: change.place };
                judge.unknown("rule", &known, raw.rules.iter().map(|rule| rule.name.as_str()));
                continue;
            };
            let line = |line: &Option<At<f64>>| line.as_ref().map(|line| line.value);
            for (key, value) in [("threshold", &change.threshold), ("critical_above", &change.critical_above)]
            {
                if let Some(value) = value {
                    threshold(judge, key, value);
                    if held.count.trim().starts_with("share") && value.value >= 1.0 {
                        let said = format!("`{rule}` can never fire for `{name}`: a share is at most 1");
                        judge.error(value.place, said, "write a share between 0 and 1, as in 0.10");
                    }
                }
            }
            let above = line(&change.threshold).unwrap_or(held.threshold.value);
            let critical = line(&change.critical_above).or(line(&held.critical_above));
            if let Some(critical) = critical.filter(|critical| *critical <= above) {
                let place = change
                    .threshold
                    .as_ref()
                    .or(change.critical_above.as_ref())
                    .map_or(change.place, |at| at.place);
                let said = format!(
                    "for `{name}`, `critical_above` of `{rule}` ({critical}) must lie above its `threshold` ({above})"
                );
                judge.error(place, said, "set both for the service");
            }
            if !held.enabled && change.enabled == Some(true) {
                let said = format!(
                    "`{rule}` is switched off for all services, so it cannot be switched on for `{name}`"
                );
                judge.error(
                    change.place,
                    said,
                    "switch it on in `rules`, and off for the services that should not have it",
                );
            }
            overrides.insert(
                rule.clone(),
                Override {
                    enabled: change.enabled,
                    threshold: line(&change.threshold),
                    critical_above: line(&change.critical_above),
                },
            );
        }
        for login in &service.logins {
            if !login.starts_with('/') || login.contains('?') {
                judge.error(
                    login.place,
                    format!("`{}` is no path", login.value),
                    "logins are exact paths without a query string, as in /login; patterns go to `lists.logins`",
                );
            }
        }
        let logins = service.logins.iter().map(|login| login.value.clone()).collect();
        let key = format!("services.{name}.workloads");
        let workloads = super::workloads::patterns(judge, &key, &service.workloads);
        let capacity = service.capacity.as_ref();
        let capacity = capacity.map(|capacity| super::workloads::capacity(judge, name, capacity));
        let capacity = capacity.unwrap_or_default();
        services.insert(name.clone(), ServiceSpec { logins, overrides, workloads, capacity });
    }
    services
}
