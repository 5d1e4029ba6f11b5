//! What ships: the defaults, the example, and the shortest file that does.

use std::time::Duration;

use beaconfire_detect::{Count, Plan};
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
    assert_eq!(config.decode.len(), 6);
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
            (
                &*rule.name,
                rule.kind,
                by.join(" "),
                rule.threshold,
                rule.window.as_secs(),
                rule.severity,
                rule.critical_above,
            )
        })
        .collect();
    let (flood, warning) = (Kind::Flood, Severity::Warning);
    assert_eq!(
        rows,
        [
            ("requests-per-client", flood, "client".to_owned(), 600.0, 60, warning, Some(6000.0)),
            ("request-burst", flood, "client".to_owned(), 300.0, 10, warning, Some(2000.0)),
            ("requests-per-prefix", flood, "prefix".to_owned(), 3000.0, 60, warning, Some(12000.0)),
            ("client-errors", Kind::Probing, "client".to_owned(), 60.0, 60, warning, None),
            ("failed-logins", Kind::Login, "client".to_owned(), 10.0, 60, warning, None),
            ("server-errors", Kind::Errors, "service".to_owned(), 0.1, 60, Severity::Error, None),
        ]
    );
    let share = config.plan.rules.last().unwrap();
    assert!(matches!(&share.count, Count::Share { min_requests: 50, .. }), "{:?}", share.count);
    Plan::compile(config.plan).unwrap();
    assert!(config.throttle_rules.values().all(|throttle| throttle.mode == Mode::DryRun));
    assert_eq!(config.throttle_rules.len(), 5);
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
