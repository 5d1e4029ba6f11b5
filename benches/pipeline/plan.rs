//! The shipped rules, as a configuration that reads one topic has them.

use beaconfire_config::Config;

use crate::broker::Topic;
use crate::shared::rules;

/// The configuration that reads a topic of this format from its first record. No receivers: nothing is told.
pub(crate) fn config(topic: &Topic, group: &str, format: &str) -> Config {
    let Topic { bootstrap, name, .. } = topic;
    rules::load(&format!(
        "kafka:\n  brokers: [\"{bootstrap}\"]\n  group: {group}\n  topics:\n    - {{name: {name}, format: {format}, \
         service: shop, start: earliest}}\n"
    ))
}
