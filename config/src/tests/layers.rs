//! Which layer wins, and how files, variables and flags are written.

use std::time::Duration;

use super::*;
use crate::Flag;

fn threshold(config: &Config, rule: &str) -> Option<f64> {
    config.plan.rules.iter().find(|held| &*held.name == rule).map(|held| held.threshold)
}

#[test]
fn defaults_file_environment_flags_in_this_order() {
    let mut desk = minimal_and(
        "limits: {lateness: 1m}\nincidents: {resolve_after: 6m}\nhttp: {listen: '127.0.0.1:1'}\n",
    )
    .env(&[("BEACONFIRE_LIMITS__LATENESS", "2m"), ("BEACONFIRE_HTTP__LISTEN", "127.0.0.1:2")]);
    let flag = |key: &str, value: &str| Flag { name: "--x".into(), key: key.into(), value: value.into() };
    desk.sources.flags = vec![flag("http.listen", "127.0.0.1:3")];
    let config = desk.config();
    assert_eq!(config.http.listen, "127.0.0.1:3");
    assert_eq!(config.limits.lateness, Duration::from_secs(120));
    assert_eq!(config.plan.entries[0].lateness, Duration::from_secs(120));
    assert_eq!(config.knobs.resolve_after, Duration::from_secs(360));
    assert_eq!(config.knobs.flap_window, Duration::from_secs(300));
}

#[test]
fn rules_of_one_name_merge_key_by_key_across_files() {
    let config = minimal_and(
        "rules:\n  - {name: requests-per-client, threshold: 700}\n  - {name: request-burst, enabled: false}\n  - {name: client-errors, critical_above: 900, throttle: null}\n",
    )
    .with("rules.d/20-b.yaml", "rules: [{name: requests-per-client, window: 30s}]\nlists: {bots: {patterns: ['x']}}\n")
    .with("rules.d/10-a.yaml", "rules: [{name: requests-per-client, threshold: 800, window: 20s}]\n")
    .with("rules.d/notes.txt", "not: read\n")
    .config();
    assert_eq!(threshold(&config, "requests-per-client"), Some(800.0));
    let rule = config.plan.rules.iter().find(|rule| &*rule.name == "requests-per-client").unwrap();
    assert_eq!(rule.window, Duration::from_secs(30));
    assert_eq!(rule.critical_above, Some(6000.0));
    assert_eq!(threshold(&config, "request-burst"), None);
    assert!(!config.throttle_rules.contains_key("client-errors"));
    assert!(config.throttle_rules.contains_key("requests-per-client"));
    assert_eq!(config.plan.lists["bots"], ["x"]);
}

#[test]
fn rules_d_holds_rules_only_and_says_what_it_skips() {
    let desk =
        minimal_and("").with("rules.d/a.yaml", "kafka: {group: x}\n").with("rules.d/b.yml", "rules: []\n");
    let said = desk.said();
    assert!(said.contains("`kafka` has no place in rules.d"), "{said}");
    assert!(said.contains("this file is not read: only *.yaml is"), "{said}");
}

#[test]
fn variables_fill_in_scalars_and_cannot_change_the_shape() {
    let config = minimal_and("external_labels: {cluster: \"${C}\", zone: '${Z:-z1}', literal: 'a$${b} $c'}\npipeline: {shards: \"${N}\"}\n")
        .env(&[("C", "eu: {x: [1"), ("N", "4")])
        .config();
    assert_eq!(config.context.external.get("cluster"), "eu: {x: [1");
    assert_eq!(config.context.external.get("zone"), "z1");
    assert_eq!(config.context.external.get("literal"), "a${b} $c");
    assert_eq!(config.pipeline.shards, Some(4));
}

#[test]
fn variables_that_cannot_be_filled_in_are_refused() {
    for (text, said) in [
        ("${MISSING}", "the environment variable `MISSING` is not set"),
        ("${", "never closed"),
        ("${a b}", "`a b` is not the name"),
        ("${}", "is not the name"),
    ] {
        let found = minimal_and(&format!("external_labels: {{x: '{text}'}}\n")).said();
        assert!(found.contains(said), "{text}: {found}");
    }
}

#[test]
fn any_key_is_a_variable() {
    let yaml = "services: {my-shop: {logins: [/in]}}\n";
    let config = minimal_and(yaml)
        .env(&[
            ("BEACONFIRE_KAFKA__BROKERS", "a:1,b:2"),
            ("BEACONFIRE_KAFKA__TOPICS__0__LATENESS", "9s"),
            ("BEACONFIRE_KAFKA__PROPERTIES__SASL_USERNAME", "u"),
            ("BEACONFIRE_SERVICES__MY_SHOP__LABELS__TEAM", "edge"),
            ("BEACONFIRE_RULES__REQUESTS_PER_CLIENT__THRESHOLD", "650"),
            ("BEACONFIRE_RULES__REQUESTS_PER_CLIENT__ENABLED", "true"),
            ("BEACONFIRE_RECEIVERS__MAIL__EMAIL_CONFIGS__0__TO", "b@example.com"),
            ("BEACONFIRE_CLIENTS__TRUSTED_PROXIES", "[192.0.2.0/24, 10.0.0.0/8]"),
            ("BEACONFIRE_THROTTLE__MAX_PREFIX__IPV4", "32"),
            ("BEACONFIRE_CONFIG", "/nowhere"),
            ("BEACONFIRE_TEST_KAFKA", "ignored"),
        ])
        .config();
    let kafka = config.kafka.as_ref().unwrap();
    assert_eq!(kafka.brokers, ["a:1", "b:2"]);
    assert_eq!(kafka.properties["sasl.username"].expose(), "u");
    assert_eq!(config.plan.entries[0].lateness, Duration::from_secs(9));
    assert_eq!(config.context.services["my-shop"].labels.get("team"), "edge");
    assert_eq!(config.plan.services["my-shop"].logins, ["/in"]);
    assert_eq!(threshold(&config, "requests-per-client"), Some(650.0));
    assert_eq!(config.decode[0].trusted_proxies.len(), 2);
    assert_eq!(config.guard.max_prefix_v4, 32);
}

#[test]
fn a_misspelt_variable_is_refused_by_its_name() {
    let said = minimal_and("").env(&[("BEACONFIRE_KAFKA__GRUOP", "x")]).said();
    assert!(said.contains("--> environment variable BEACONFIRE_KAFKA__GRUOP"), "{said}");
    assert!(said.contains("did you mean `group`?"), "{said}");
    let said = minimal_and("").env(&[("BEACONFIRE_KAFKA__TOPICS__7__NAME", "x")]).said();
    assert!(said.contains("there is no item `7` in this list of 1"), "{said}");
    let said = minimal_and("").env(&[("BEACONFIRE_LIMITS__LATENESS", "soon")]).said();
    assert!(said.contains("`soon` is not a duration"), "{said}");
}

#[test]
fn a_key_without_a_value_is_as_good_as_not_written() {
    let config =
        minimal_and("store:\nhttp: {metrics_listen: null, listen: null}\nthrottle:\n  never:\n").config();
    assert_eq!(config.http.listen, "127.0.0.1:8480");
    assert!(config.http.metrics_listen.is_none());
}

#[test]
fn the_file_is_found_by_flag_variable_or_name() {
    let found =
        |flag: Option<&str>, pairs: &[(&str, &str)]| Sources::find(flag.map(Into::into), env(pairs)).file;
    assert_eq!(found(Some("a.yaml"), &[("BEACONFIRE_CONFIG", "b.yaml")]), Some("a.yaml".into()));
    assert_eq!(found(None, &[("BEACONFIRE_CONFIG", "b.yaml")]), Some("b.yaml".into()));
    assert_eq!(found(None, &[("BEACONFIRE_CONFIG", "")]), None);
}

#[test]
fn a_file_that_is_not_there_is_named_with_its_neighbour() {
    let mut desk = load(MINIMAL);
    desk.sources.file = Some(desk.folder.path().join("beaconfre.yaml"));
    let said = desk.said();
    assert!(said.contains("cannot read beaconfre.yaml"), "{said}");
    assert!(said.contains("did you mean `beaconfire.yaml`?"), "{said}");
}
