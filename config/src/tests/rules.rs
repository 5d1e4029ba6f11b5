//! Rules that ask for different values, and for a crowd.

use beaconfire_detect::{Count, Field, RuleSpec};
use beaconfire_model::Kind;
use insta::assert_snapshot;

use super::*;

/// A configuration with one rule more, of these keys.
fn rule(keys: &str) -> Desk {
    minimal_and(&format!(
        "rules:\n  - {{name: mine, window: 60s, threshold: 5, severity: warning, {keys}}}\n"
    ))
}

fn mine(keys: &str) -> RuleSpec {
    let config = rule(keys).config();
    config.plan.rules.into_iter().find(|rule| &*rule.name == "mine").unwrap()
}

#[test]
fn different_values_of_any_field_can_be_counted() {
    for field in Field::ALL {
        let by = if field == Field::Service { "host" } else { "service" };
        let read = mine(&format!("kind: probing, by: [{by}], count: distinct({})", field.name()));
        assert_eq!(read.count, Count::Distinct { field });
        assert_eq!(read.min_clients, None);
    }
    let spaced = mine("kind: probing, by: [client], count: ' distinct ( path ) '");
    assert_eq!(spaced.count, Count::Distinct { field: Field::Path });
}

#[test]
fn a_crowd_can_be_asked_for_where_clients_are_counted_together() {
    for by in ["service", "prefix", "host", "service, path"] {
        let read = mine(&format!("kind: flood, by: [{by}], count: requests, min_clients: 30"));
        assert_eq!(read.min_clients, Some(30));
    }
}

#[test]
fn a_blind_sensor_is_told_and_never_throttled() {
    assert_eq!(mine("kind: sensor, by: [client], count: distinct(user_agent)").kind, Kind::Sensor);
}

#[test]
fn what_cannot_work_is_refused_where_it_stands() {
    let said: Vec<String> = [
        "kind: probing, by: [client], count: distinct(pfad)",
        "kind: probing, by: [client], count: distinct(user-agent)",
        "kind: probing, by: [client], count: distinct()",
        "kind: probing, by: [client], count: distict(path)",
        "kind: probing, by: [client], count: distinct(prefix)",
        "kind: probing, by: [service, path], count: distinct(path)",
        "kind: probing, by: [service], count: distinct(path), min_requests: 5",
        "kind: flood, by: [client], count: requests, min_clients: 8",
        "kind: flood, by: [service], count: requests, min_clients: 0",
        "kind: flood, by: [service], count: requests, min_clients: some",
        "kind: errors, by: [service], count: share(status=500), min_requests: 9, min_clients: 8",
        "kind: sensor, by: [client], count: requests, throttle: {action: ban, for: 10m}",
    ]
    .into_iter()
    .map(|keys| {
        let text =
            format!("rules:\n  - {{name: mine, window: 60s, threshold: 0.5, severity: warning, {keys}}}\n");
        let desk = minimal_and(&text);
        let mut complaints = desk.load().expect_err(keys);
        complaints.retain(Complaint::is_error);
        desk.show(&complaints)
    })
    .collect();
    assert_snapshot!(said.join("\n\n"));
}
