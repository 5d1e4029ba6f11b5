//! The shipped rules, as a configuration that reads one topic has them.

use beaconfire_config::{Config, Sources};

use crate::broker::Topic;

/// The configuration that reads a topic of this format from its first record. No receivers: nothing is told.
pub(crate) fn config(topic: &Topic, group: &str, format: &str) -> Config {
    let Topic { bootstrap, name, .. } = topic;
    load(&format!(
        "kafka:\n  brokers: [\"{bootstrap}\"]\n  group: {group}\n  topics:\n    - {{name: {name}, format: {format}, \
         service: shop, start: earliest}}\n"
    ))
}

/// The configuration that says this and nothing else.
pub(crate) fn load(text: &str) -> Config {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("beaconfire.yaml");
    std::fs::write(&file, text).expect("the configuration can be written");
    Config::load(&Sources { file: Some(file), ..Sources::default() })
        .unwrap_or_else(|complaints| panic!("the configuration is good: {complaints:?}"))
}
