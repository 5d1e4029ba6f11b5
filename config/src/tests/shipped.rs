//! What ships: the defaults, the example, and the shortest file that does.

use std::time::Duration;

use beaconfire_detect::{Count, Field, Plan};
use beaconfire_model::{Kind, Labels, Severity};
use beaconfire_throttle::Mode;

use super::*;

#[test]
fn the_defaults_alone_are_accepted() {
    let config = Config::load(&Sources::default()).unwrap();
    assert!(config.kafka.is_none());
    assert_eq!(config.throttle_mode, Mode::DryRun);
    // Nobody to tell is the one doubt about them.
    assert_eq!(config.warnings.len(), 1, "{:?}", config.warnings);
    assert!(config.warnings[0].to_string().contains("no `receivers`"));
}

#[test]
fn a_short_file_does() {
    let config = load(MINIMAL).config();
    assert_eq!(config.kafka.unwrap().brokers, ["localhost:9092"]);
    assert_eq!(config.decode.len(), 1);
    let reached = config.route.resolve(&Labels::default());
    assert_eq!(&*reached[0].receiver, "mail");
    assert_eq!(&*config.receivers["mail"][0].name, "email-0");
    assert_eq!(config.channels["mail"].len(), 1);
    // Its one doubt is the link to loopback in every mail.
    assert_eq!(config.warnings.len(), 1, "{:?}", config.warnings);
    assert!(config.warnings[0].what.contains("external_url"));
}

#[test]
fn the_example_is_accepted_without_a_doubt() {
    let example = include_str!("../../../deploy/beaconfire.example.yaml");
    let desk = load(example);
    assert_eq!(desk.said(), "");
    let config = desk.config();
    assert_eq!(config.decode.len(), 7);
    assert!(config.plan.rules.iter().any(|rule| &*rule.name == "downloads-per-client"));
    assert_eq!(config.plan.services["shop"].overrides["requests-per-client"].threshold, Some(1200.0));
}

#[test]
fn every_key_of_the_defaults_is_one_that_the_twins_have() {
    let config = Config::load(&Sources::default()).unwrap();
    // What is printed can be loaded again, and means the same.
    let again = load(config.redacted()).config();
    assert_eq!(again.plan, config.plan);
    assert_eq!(again.redacted(), config.redacted());
}

#[test]
fn shipped_rules_are_those_of_the_documentation() {
    let config = Config::load(&Sources::default()).unwrap();
    let rows: Vec<_> = config
        .plan
        .rules
        .iter()
        .map(|rule| {
            let by: Vec<_> = rule.by.iter().map(|field| field.name()).collect();
            let count = match &rule.count {
                Count::Requests => "requests".to_owned(),
                Count::BytesSent => "bytes".to_owned(),
                Count::Share { min_requests, .. } => format!("share of {min_requests}"),
                Count::Distinct { field } => field.name().to_owned(),
            };
            (
                &*rule.name,
                (rule.kind, rule.severity),
                by.join(" "),
                count,
                rule.threshold,
                rule.window.as_secs(),
                (rule.critical_above, rule.min_clients),
            )
        })
        .collect();
    let shown = |kind| (kind, Severity::Info);
    let warned = |kind| (kind, Severity::Warning);
    let (flood, probing, login) = (Kind::Flood, Kind::Probing, Kind::Login);
    let plain = (None, None);
    let critical = |above| (Some(above), None);
    let crowd = |least| (None, Some(least));
    let wanted = [
        ("requests-per-client", warned(flood), "client", "requests", 600.0, 60, critical(6000.0)),
        ("request-burst", warned(flood), "client", "requests", 300.0, 10, critical(2000.0)),
        ("requests-per-prefix", warned(flood), "prefix", "requests", 3000.0, 60, (Some(12000.0), Some(8))),
        ("distributed-flood", (flood, Severity::Critical), "service", "requests", 120_000.0, 60, crowd(500)),
        ("bytes-per-client", warned(flood), "client", "bytes", (2_u64 << 30) as f64, 60, plain),
        ("random-uri", warned(flood), "client", "requests", 30.0, 31, plain),
        ("cache-busting", warned(flood), "client", "query", 30.0, 31, plain),
        ("user-agent-switching", shown(flood), "client", "user_agent", 10.0, 90, plain),
        ("likely-proxy", warned(Kind::Sensor), "client", "user_agent", 100.0, 600, plain),
        ("invalid-http-version", warned(flood), "client", "requests", 0.0, 10, plain),
        ("rate-limited", shown(flood), "client", "requests", 5.0, 310, plain),
        ("crawl", shown(probing), "client", "file", 40.0, 30, plain),
        ("client-errors", warned(probing), "client", "requests", 60.0, 60, plain),
        ("probing-paths", shown(probing), "client", "path", 10.0, 102, plain),
        ("sensitive-files", warned(probing), "client", "path", 4.0, 21, plain),
        ("path-traversal", warned(probing), "client", "path", 3.0, 31, plain),
        ("path-traversal-query", warned(probing), "client", "query", 3.0, 31, plain),
        ("injection-probes", warned(probing), "client", "query", 10.0, 60, plain),
        ("script-injection-probes", warned(probing), "client", "query", 5.0, 60, plain),
        ("scanner-user-agent", warned(probing), "client", "requests", 1.0, 62, plain),
        ("open-proxy", warned(probing), "client", "requests", 2.0, 600, plain),
        ("cms-scan", warned(probing), "client", "path", 3.0, 31, plain),
        ("cms-user-enumeration", warned(probing), "client", "query", 5.0, 51, plain),
        ("failed-logins", warned(login), "client", "requests", 10.0, 60, plain),
        ("auth-failures", shown(login), "client", "requests", 5.0, 51, plain),
        ("cms-logins", warned(login), "client", "requests", 5.0, 51, plain),
        ("credential-stuffing", (login, Severity::Error), "service", "requests", 200.0, 600, crowd(30)),
        ("server-errors", (Kind::Errors, Severity::Error), "service", "share of 50", 0.1, 60, plain),
    ]
    .map(|(name, kind, by, count, threshold, window, more)| {
        (name, kind, by.to_owned(), count.to_owned(), threshold, window, more)
    });
    assert_eq!(rows.len(), wanted.len());
    for (row, wanted) in rows.iter().zip(&wanted) {
        assert_eq!(row, wanted);
    }
    // What is only shown, or has no one address behind it, throttles nobody.
    for rule in &config.plan.rules {
        let throttled = rule.severity != Severity::Info
            && rule.kind != Kind::Sensor
            && rule.by.iter().any(|field| matches!(field, Field::Client | Field::Prefix));
        assert_eq!(config.throttle_rules.contains_key(&rule.name), throttled, "{}", rule.name);
    }
    Plan::compile(config.plan).unwrap();
    assert!(config.throttle_rules.values().all(|throttle| throttle.mode == Mode::DryRun));
    assert_eq!(config.throttle_rules["request-burst"].duration, Duration::from_secs(600));
}

#[test]
fn shipped_login_patterns_know_logins_from_other_pages() {
    let config = Config::load(&Sources::default()).unwrap();
    let matcher = |path: &str| {
        config.plan.lists["logins"]
            .iter()
            .any(|pattern| regex::Regex::new(&format!("^(?:{pattern})$")).unwrap().is_match(path))
    };
    for (path, is_login) in [
        ("/login", true),
        ("/api/v1/login", true),
        ("/account/sign-in/", true),
        ("/signin.php", true),
        ("/api/session", true),
        ("/auth", true),
        ("/oauth2/token", true),
        ("/oauth/authorize", true),
        ("/blog/wp-login.php", true),
        ("/", false),
        ("/blog/how-to-login", false),
        ("/login-help", false),
        ("/authors", false),
        ("/assets/login.css/x", false),
    ] {
        assert_eq!(matcher(path), is_login, "{path}");
    }
}
