//! How complaints read.

use insta::assert_snapshot;

use super::*;

#[test]
fn an_unknown_key() {
    assert_snapshot!(
        load("kafka:\n  brokers: [a:9092]\n  gruop: x\n  topics: [{name: t, lateneess: 5m}]\n").said()
    );
}

#[test]
fn an_unknown_section() {
    assert_snapshot!(minimal_and("recievers: []\n").said());
}

#[test]
fn several_slips_are_found_at_once() {
    assert_snapshot!(
        minimal_and(
            "limits: {lateness: 5 minutes, detect_memory: lots}\nthrottle: {mode: enforced}\nincidents:\n  resolve_after: [1m]\nprivacy: {query: hide}\n"
        )
        .said()
    );
}

#[test]
fn broken_yaml() {
    assert_snapshot!(load("kafka:\n  brokers: [a:9092\n  group: x\n").said());
    assert_snapshot!("a key twice", load("kafka:\n  group: a\n  group: b\n").said());
    assert_snapshot!("not a mapping", load("- just\n- a list\n").said());
}

#[test]
fn what_this_version_lacks() {
    assert_snapshot!(
        minimal_and("images: {require_digest: true}\nroute: {receiver: mail, group_by: [service]}\n").said()
    );
}

#[test]
fn what_the_text_means() {
    assert_snapshot!(
        minimal_and(
            "route:\n  receiver: mail\n  routes:\n    - {matchers: ['severity=critical'], receiver: paager}\n    - {matchers: ['kind=~\"(\"']}\n"
        )
        .said()
    );
}

#[test]
fn a_variable() {
    assert_snapshot!(minimal_and("").env(&[("BEACONFIRE_HTTP__LISTEM", "x")]).said());
}

#[test]
fn a_missing_key() {
    assert_snapshot!(
        minimal_and("rules:\n  - name: mine\n    kind: flood\n    by: [client]\n    count: requests\n")
            .said()
    );
}

#[test]
fn a_tab_before_the_caret_and_wide_characters() {
    assert_snapshot!(minimal_and("services:\n  größe: {lables: {a: b}}\n").said());
}
