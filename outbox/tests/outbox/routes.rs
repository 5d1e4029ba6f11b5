//! Alertmanager's routing tree.

use beaconfire_model::Labels;
use beaconfire_outbox::{Route, Verdict};

use crate::support::route;

/// The tree of the documentation, with what its rules of descent are about.
fn tree() -> Route {
    route(
        Some("mail"),
        &[],
        false,
        vec![
            route(Some("pager"), &[r#"severity="critical""#], true, Vec::new()),
            route(
                Some("chat"),
                &[r#"kind=~"flood|surge""#],
                false,
                vec![
                    route(None, &[r#"team="edge""#], false, Vec::new()),
                    route(Some("shop"), &[r#"service="shop""#], true, Vec::new()),
                    route(Some("shop"), &[r#"service=~"sh.*""#], false, Vec::new()),
                ],
            ),
            route(Some("late"), &[r#"kind="flood""#], false, Vec::new()),
        ],
    )
}

#[track_caller]
fn check(labels: &[(&str, &str)], expected: &str) {
    let labels = Labels::from_iter(labels.iter().copied());
    let reached: Vec<_> = tree()
        .resolve(&labels)
        .iter()
        .map(|routed| format!("{} because {}", routed.receiver, routed.why.join(" and ")))
        .collect();
    assert_eq!(reached.join("; "), expected);
}

#[test]
fn what_no_child_takes_stays_with_the_root() {
    check(&[("kind", "login")], "mail because ");
    check(&[], "mail because ");
}

#[test]
fn a_child_takes_it_from_its_parent() {
    check(&[("kind", "surge")], r#"chat because kind=~"flood|surge""#);
}

#[test]
fn the_first_match_ends_the_search_unless_it_continues() {
    check(
        &[("kind", "flood"), ("severity", "critical")],
        r#"pager because severity="critical"; chat because kind=~"flood|surge""#,
    );
}

#[test]
fn only_a_route_that_continues_matches_alone() {
    check(&[("kind", "login"), ("severity", "critical")], r#"pager because severity="critical""#);
}

#[test]
fn a_child_without_a_receiver_has_its_parents() {
    check(&[("kind", "flood"), ("team", "edge")], r#"chat because kind=~"flood|surge" and team="edge""#);
}

#[test]
fn a_receiver_reached_twice_is_told_once() {
    check(
        &[("kind", "flood"), ("service", "shop")],
        r#"shop because kind=~"flood|surge" and service="shop""#,
    );
}

#[test]
fn every_route_that_is_looked_at_says_what_became_of_the_labels() {
    let labels = Labels::from_iter([("kind", "flood"), ("service", "shop")]);
    let tree = tree();
    let visits = tree.walk(&labels);
    let said: Vec<String> = visits
        .iter()
        .map(|visit| {
            let depth = std::iter::successors(visit.parent, |at| visits[*at].parent).count();
            let verdict = match visit.verdict {
                Verdict::Told => "told".to_owned(),
                Verdict::Passed => "passed on".to_owned(),
                Verdict::Unmatched(matcher) => format!("not {matcher}"),
                Verdict::Skipped => "not asked".to_owned(),
            };
            format!("{}{}: {verdict}", "  ".repeat(depth), visit.receiver.map_or("nobody", |name| name))
        })
        .collect();
    assert_eq!(
        said,
        [
            "mail: passed on",
            r#"  pager: not severity="critical""#,
            "  chat: passed on",
            r#"    chat: not team="edge""#,
            "    shop: told",
            "    shop: told",
            "  late: not asked",
        ]
    );
}
