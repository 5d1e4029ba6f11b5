//! The shipped rules, and plans made of them or of one's own.

use std::sync::Arc;
use std::time::Duration;

use beaconfire_config::{Config, Sources};
use beaconfire_detect::{EntrySpec, Plan, PlanSpec, RuleSpec};
use beaconfire_model::{EntryId, Source, TopicId};

/// The one source of benches without Kafka: a partition of entry 0.
pub(crate) const SOURCE: Source = Source { entry: EntryId(0), topic: TopicId(0), partition: 0 };

/// The configuration that says this and nothing else; the shipped rules are in all of them.
pub(crate) fn load(text: &str) -> Config {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("beaconfire.yaml");
    std::fs::write(&file, text).expect("the configuration can be written");
    Config::load(&Sources { file: Some(file), ..Sources::default() })
        .unwrap_or_else(|complaints| panic!("the configuration is good: {complaints:?}"))
}

/// The ten that the bars are for: those that most services could not do without.
pub(crate) const TEN: [&str; 10] = [
    "requests-per-client",
    "request-burst",
    "requests-per-prefix",
    "distributed-flood",
    "bytes-per-client",
    "client-errors",
    "sensitive-files",
    "path-traversal",
    "failed-logins",
    "server-errors",
];

/// Which of the shipped rules are on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rules {
    Ten,
    All,
}

impl Rules {
    /// The configuration with these rules.
    pub(crate) fn of(self, mut config: Config) -> Config {
        if self == Self::Ten {
            config.plan.rules.retain(|rule| TEN.contains(&&*rule.name));
            assert_eq!(config.plan.rules.len(), TEN.len(), "the ten are among those that ship");
        }
        config
    }
}

/// Entry 0, as a topic of the service `shop`.
pub(crate) fn entry(lateness: Duration) -> EntrySpec {
    EntrySpec { name: "edge".to_owned(), service: Some("shop".to_owned()), lateness, ..EntrySpec::default() }
}

/// The shipped rules over entry 0.
pub(crate) fn shipped(config: &Config) -> Arc<Plan> {
    let spec = PlanSpec { entries: vec![entry(config.limits.lateness)], seed: 7, ..config.plan.clone() };
    Arc::new(Plan::compile(spec).expect("the shipped rules compile"))
}

/// One rule over entry 0, and nothing else.
pub(crate) fn alone(rule: RuleSpec) -> Arc<Plan> {
    let spec = PlanSpec {
        rules: vec![rule],
        entries: vec![entry(Duration::from_secs(30))],
        finding_window: Duration::from_secs(60),
        seed: 7,
        ..PlanSpec::default()
    };
    Arc::new(Plan::compile(spec).expect("the rule compiles"))
}
