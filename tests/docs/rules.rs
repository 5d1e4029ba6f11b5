//! `deploy/rules.md` has every rule that ships, with the numbers that it has.

use std::time::Duration;

use beaconfire_config::{Config, Sources};
use beaconfire_detect::{Count, RuleSpec};
use beaconfire_throttle::RuleThrottle;

use super::{blocks, read};
use crate::harness::beaconfire::run;

const DOCUMENT: &str = "deploy/rules.md";

/// `62 s`, `10 min`.
fn span(span: Duration) -> String {
    match span.as_secs() {
        seconds if seconds >= 120 && seconds.is_multiple_of(60) => format!("{} min", seconds / 60),
        seconds => format!("{seconds} s"),
    }
}

/// `120,000`.
fn number(value: f64) -> String {
    let digits = format!("{value}");
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).unwrap()).collect();
    groups.join(",")
}

/// What a rule fires on more than.
fn amount(rule: &RuleSpec) -> String {
    match &rule.count {
        Count::Requests if rule.threshold == 1.0 => "1 request".to_owned(),
        Count::Requests => format!("{} requests", number(rule.threshold)),
        Count::BytesSent => format!("{} GiB sent", rule.threshold / f64::from(1 << 30)),
        Count::Distinct { field } => {
            format!("{} different values of `{}`", number(rule.threshold), field.name())
        }
        Count::Share { min_requests, .. } => {
            format!("{} % of at least {min_requests} requests", rule.threshold * 100.0)
        }
    }
}

fn severity(rule: &RuleSpec) -> String {
    let critical = rule.critical_above.map(|line| format!(", critical above {}", number(line)));
    format!("{}{}", rule.severity.name(), critical.unwrap_or_default())
}

/// How the rule's section begins.
fn beginning(rule: &RuleSpec, throttle: Option<&RuleThrottle>) -> String {
    let crowd = rule
        .min_clients
        .map(|least| format!(", from at least {least} clients, each within its own limit"))
        .unwrap_or_default();
    let throttle = throttle
        .map(|throttle| format!(" Asks for a {} of {}.", throttle.action.name(), span(throttle.duration)))
        .unwrap_or_default();
    format!(
        "Fires on more than {} in {} by one {}{crowd}. Severity {}.{throttle}",
        amount(rule),
        span(rule.window),
        rule.by[0].name(),
        severity(rule)
    )
}

/// How the rule's row of the table reads.
fn row(rule: &RuleSpec) -> String {
    let (name, by) = (&rule.name, rule.by[0].name());
    let crowd = rule.min_clients.map(|least| format!(", from at least {least} clients"));
    format!(
        "| [`{name}`](#{name}) | {} | {by} | {} in {}{} | {} |",
        rule.kind.name(),
        amount(rule),
        span(rule.window),
        crowd.unwrap_or_default(),
        severity(rule)
    )
}

#[test]
fn every_rule_that_ships_has_its_section_with_its_numbers() {
    let config = Config::load(&Sources::default()).unwrap();
    let document = read(DOCUMENT);
    let rows: Vec<&str> = document.lines().filter(|line| line.starts_with("| [`")).collect();
    let sections: Vec<(&str, String)> = document
        .split("\n## ")
        .skip(1)
        .filter_map(|section| section.split_once('\n'))
        .map(|(name, text)| (name, text.split_whitespace().collect::<Vec<_>>().join(" ")))
        .collect();
    let rules = &config.plan.rules;
    let names: Vec<&str> = rules.iter().map(|rule| &*rule.name).collect();
    assert_eq!(sections.iter().map(|(name, _)| *name).collect::<Vec<_>>(), names);
    assert_eq!(rows.len(), rules.len());
    for (shown, rule) in rows.iter().zip(rules) {
        assert_eq!(*shown, row(rule));
    }
    for (rule, (name, text)) in rules.iter().zip(&sections) {
        let beginning = beginning(rule, config.throttle_rules.get(&rule.name));
        assert!(text.starts_with(&beginning), "{name} should begin: {beginning}");
        for part in ["Catches: ", "Mistakes: ", "Tune: "] {
            assert!(text.contains(part), "{name} says nothing of `{part}`");
        }
    }
}

#[test]
fn readme_names_every_kind_of_rule_that_ships() {
    let config = Config::load(&Sources::default()).unwrap();
    let readme = read("README.md");
    // Of probes it names some, and says that there are others.
    let left_out =
        ["path-traversal-query", "script-injection-probes", "cms-user-enumeration", "rate-limited"];
    for rule in &config.plan.rules {
        let named = readme.contains(&format!("`{}`", rule.name));
        assert!(named || left_out.contains(&&*rule.name), "README does not name {}", rule.name);
    }
}

#[test]
fn what_it_shows_is_accepted() {
    let shown = blocks(&read(DOCUMENT), "yaml");
    assert_eq!(shown.len(), 2);
    for config in shown {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("monitoring.txt"), "our-prober/.*\n").unwrap();
        let config = config.replace("/etc/beaconfire/", "");
        std::fs::write(dir.path().join("beaconfire.yaml"), &config).unwrap();
        let (code, _, said) = run(dir.path(), &["check"], None);
        assert_eq!(code, 0, "{config}{said}");
    }
}
