//! Groups and repeats: who is in one, when it is told of, and when a row is told again.

use std::time::Duration;

use beaconfire_incident::Transition;
use beaconfire_model::{Labels, Severity};
use beaconfire_outbox::{
    Action, Digest, DigestId, Fate, Group, Grouping, IntegrationKind, Outcome, RetryKnobs, Row, Sent, Tally,
    settle,
};

use crate::support::{Desk, millis, receivers, secs, wall};

fn by(names: &[&str]) -> Grouping {
    Grouping { by: Some(names.iter().map(|name| (*name).into()).collect()), ..Grouping::default() }
}

fn name(grouping: &Grouping, labels: &[(&str, &str)]) -> Option<String> {
    let labels: Labels = labels.iter().copied().collect();
    grouping.group(&labels).map(|group| group.name.to_string())
}

#[test]
fn a_group_is_the_values_of_its_labels_and_a_missing_one_is_empty() {
    let labels = [("service", "shop"), ("kind", "flood"), ("severity", "critical")];
    let shop = name(&by(&["kind", "service"]), &labels);
    assert_eq!(shop.as_deref(), Some(r#"{kind="flood", service="shop"}"#));
    assert_eq!(name(&by(&["service", "kind"]), &labels), shop, "in any order");
    assert_eq!(name(&by(&[]), &labels).as_deref(), Some("{}"), "all of them together");
    assert_eq!(name(&Grouping::default(), &labels), None, "each by itself");
    let long = "x".repeat(2_000);
    let [one, other] =
        [format!("{long}1"), format!("{long}2")].map(|value| name(&by(&["service"]), &[("service", &value)]));
    assert_ne!(one, other, "what is cut is not the same");
    assert!(one.is_some_and(|name| name.len() <= 400));
}

/// A row that the default route makes for this kind of integration.
fn made(kind: IntegrationKind, grouping: Grouping) -> Row {
    let mut desk = Desk::new();
    desk.route.grouping = grouping;
    desk.receivers = receivers(&[("chat", kind, true)]);
    desk.happens(Transition::Opened, wall(0));
    desk.rows.remove(0)
}

#[test]
fn people_are_told_of_groups_and_pagers_and_programs_of_each_episode() {
    for (kind, grouped, repeats) in [
        (IntegrationKind::Email, true, true),
        (IntegrationKind::Slack, true, true),
        (IntegrationKind::Teams, true, true),
        (IntegrationKind::PagerDuty, false, true),
        (IntegrationKind::Webhook, false, true),
        (IntegrationKind::Alertmanager, false, false),
    ] {
        let row = made(kind, by(&["service"]));
        assert_eq!((row.group.is_some(), row.repeat.is_some()), (grouped, repeats), "{kind:?}");
    }
}

fn accept(row: Row, now: i64) -> Row {
    let Some((_, sent)) = row.sending() else { panic!("{row:?} has nothing to tell") };
    settle(row, sent, &Outcome::accepted(None), 0.5, &RetryKnobs::default(), wall(now))
}

#[test]
fn what_nobody_acknowledges_is_told_again_under_another_id_and_once() {
    let row = made(IntegrationKind::Slack, Grouping { repeat: secs(3_600), ..Grouping::default() });
    assert_eq!(row.repeat_at(), None, "it was not told yet");
    let (_, sent) = row.sending().expect("it opens");
    let first = row.notification_id(sent);
    let mut row = accept(row, 1_000);
    assert_eq!((row.next_action(), row.repeat_at().map(millis)), (None, Some(3_601_000)));

    row.again = true;
    assert_eq!(row.repeat_at(), None);
    let (action, sent) = row.sending().expect("it is told again");
    assert_eq!(action, Action::Open);
    let second = row.notification_id(sent);
    assert_ne!(first, second, "a receiver that drops repeats must not drop this");
    let failed = Outcome::Deferred { after: None, said: "500".into() };
    let row = settle(row, sent, &failed, 0.5, &RetryKnobs::default(), wall(3_602_000));
    assert_eq!(row.notification_id(sent), second, "the same on every try");
    let row = accept(row, 3_603_000);
    assert_eq!((row.next_action(), row.repeat_at().map(millis), row.messages), (None, Some(7_203_000), 2));
}

#[test]
fn what_is_acknowledged_or_over_is_not_told_again() {
    for transition in [Transition::Acknowledged { by: "mia".into() }, Transition::Resolved { by: None }] {
        let mut desk = Desk::new();
        desk.happens(Transition::Opened, wall(0));
        desk.rows[0] = accept(desk.rows[0].clone(), 0);
        desk.rows[0].again = true;
        desk.happens(transition, wall(1));
        let (action, _) = desk.rows[0].sending().expect("the news are told");
        assert_ne!(action, Action::Open);
        let row = accept(desk.rows[0].clone(), 2);
        assert_eq!((row.next_action(), row.repeat_at(), row.again), (None, None, false));
    }
    let held = Row { fate: Fate::Held(DigestId(1)), ..made(IntegrationKind::Slack, Grouping::default()) };
    assert_eq!(held.repeat_at(), None);
}

#[test]
fn a_group_is_told_of_after_its_wait_and_then_by_its_interval_until_all_are_over() {
    let group = Group { name: "{}".into(), wait: secs(10), interval: Duration::from_secs(300) };
    let storm = Digest::begin(DigestId(7), "chat".into(), "slack-0".into(), false, wall(0));
    let digest = Digest { group: Some(group), ..storm };
    let tally = |members, open, held| Tally {
        members,
        open,
        cleared: 0,
        held,
        held_pages: 0,
        worst: Some(Severity::Warning),
    };
    let next = |digest: &Digest, tally: &Tally| {
        let next = digest.next(IntegrationKind::Slack, true, tally, false);
        next.map(|(at, action)| (millis(at) / 1_000, action))
    };
    let accept = |digest: Digest, tally: Tally, at: i64| {
        let sent = Sent { tally, last: digest.is_last(&tally, false) };
        digest.settle(&sent, &Outcome::accepted(None), 0, 0.5, wall(at))
    };
    assert_eq!(next(&digest, &tally(2, 2, 2)), Some((10, Action::Open)));
    let digest = accept(digest, tally(2, 2, 2), 10_000);
    assert_eq!(next(&digest, &tally(2, 2, 0)), None, "nothing has changed");
    assert_eq!(next(&digest, &tally(3, 3, 1)), Some((310, Action::Open)));
    let page = Tally { held_pages: 1, ..tally(3, 3, 1) };
    assert_eq!(next(&digest, &page), Some((40, Action::Open)), "a page does not wait for the interval");
    assert_eq!(next(&digest, &tally(2, 1, 0)), Some((310, Action::Update)), "one is over");
    assert_eq!(next(&digest, &tally(2, 0, 0)), Some((310, Action::Resolve)), "also without a calm minute");
    let digest = accept(digest, tally(2, 0, 0), 310_000);
    assert_eq!(next(&digest, &tally(2, 0, 0)), None, "it is closed");
}
