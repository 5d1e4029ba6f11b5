//! What transitions ask of rows, and what outcomes do to them.

use beaconfire_incident::{Status, Transition};
use beaconfire_model::Severity;
use beaconfire_outbox::{
    Action, Fate, Handle, IntegrationKind, Lane, Outcome, Receivers, RetryKnobs, Row, Suppressed, Told,
    orphaned, settle,
};

use crate::support::{Desk, millis, receivers, route, secs, wall};

/// Plays a script, one word a step, at one step a second, and shows the row after each that changed it as
/// `FATE ACTION LANE`. `send` starts a delivery, the other words are transitions or its outcome; `limited`, `deferred`
/// … without `send` send first.
#[track_caller]
fn check(script: &str, expected: &[&str]) {
    let mut desk = Desk::new();
    let mut under_way: Option<Told> = None;
    let mut shown = Vec::new();
    for (step, word) in (0..).zip(script.split_whitespace()) {
        let now = wall(step * 1_000);
        let before = desk.rows.clone();
        let said = Box::from("no");
        let transition = match word {
            "opened" => Some(Transition::Opened),
            "grew" => Some(Transition::Grew),
            "reopened" => Some(Transition::Reopened),
            "escalated" => Some(Transition::Escalated { from: Severity::Warning }),
            "acked" => Some(Transition::Acknowledged { by: "mia".into() }),
            "unacked" => Some(Transition::Unacknowledged),
            "resolved" => Some(Transition::Resolved { by: None }),
            "stale" => {
                desk.incident.stale = true;
                continue;
            }
            "fresh" => {
                desk.incident.stale = false;
                desk.incident.revision += 1;
                Some(Transition::Opened)
            }
            _ => None,
        };
        let outcome = match word {
            "accepted" => Some(Outcome::accepted(Some(Handle("C1/17".into())))),
            "limited" => Some(Outcome::Limited { after: None }),
            "deferred" => Some(Outcome::Deferred { after: None, said }),
            "misconfigured" => Some(Outcome::Misconfigured { said }),
            "rejected" => Some(Outcome::Rejected { said }),
            "gone" => Some(Outcome::Gone),
            _ => None,
        };
        if let Some(transition) = transition {
            desk.happens(transition, now);
        } else if let Some(outcome) = outcome {
            let row = desk.rows[0].clone();
            let sent = under_way.take().or(row.sending().map(|(_, sent)| sent)).unwrap_or(row.desired);
            desk.put(settle(row, sent, &outcome, 0.5, &RetryKnobs::default(), now));
        } else {
            assert_eq!(word, "send");
            assert!(desk.rows[0].next_action().is_some(), "there is something to send");
            under_way = desk.rows[0].sending().map(|(_, sent)| sent);
        }
        if desk.rows != before {
            shown.push(desk.rows.first().map_or_else(String::new, show));
        }
    }
    assert_eq!(shown, expected, "{script}");
}

fn show(row: &Row) -> String {
    let fate = match row.fate {
        Fate::Pending => "pending",
        Fate::Held(_) => "held",
        Fate::InDigest(_) => "in_digest",
        Fate::Delivered => "delivered",
        Fate::Suppressed(why) => why.name(),
        Fate::Dead => "dead",
    };
    match row.next_action() {
        Some(action) => format!("{fate} {} {}", action.name(), row.lane.name()),
        None => fate.to_owned(),
    }
}

#[test]
fn a_receiver_hears_of_the_beginning_and_of_the_end() {
    check(
        "opened accepted grew resolved accepted",
        &["pending open ticket", "delivered", "delivered resolve update", "delivered"],
    );
}

#[test]
fn the_newest_state_wins() {
    check(
        "opened accepted acked escalated accepted",
        &[
            "pending open ticket",
            "delivered",
            "delivered acknowledge update",
            "delivered open page",
            "delivered",
        ],
    );
}

#[test]
fn what_moved_during_a_delivery_stays_to_be_told() {
    check(
        "opened send escalated accepted accepted",
        &["pending open ticket", "pending open page", "delivered open page", "delivered"],
    );
}

#[test]
fn who_was_paged_hears_of_the_end_at_once() {
    check(
        "opened escalated accepted resolved",
        &["pending open ticket", "pending open page", "delivered", "delivered resolve page"],
    );
}

#[test]
fn what_cleared_before_it_was_told_is_told_all_the_same_opening_first() {
    check(
        "opened resolved accepted accepted",
        &["pending open ticket", "pending open ticket", "delivered resolve update", "delivered"],
    );
    check(
        "opened acked accepted accepted",
        &["pending open ticket", "pending open ticket", "delivered acknowledge update", "delivered"],
    );
    check(
        "opened resolved reopened accepted",
        &["pending open ticket", "pending open ticket", "pending open ticket", "delivered"],
    );
}

#[test]
fn an_opening_under_way_while_it_clears_is_delivered_and_then_resolved() {
    check(
        "opened send resolved accepted accepted",
        &["pending open ticket", "pending open ticket", "delivered resolve update", "delivered"],
    );
    check("opened send resolved rejected", &["pending open ticket", "pending open ticket", "dead"]);
}

#[test]
fn what_is_too_old_is_told_once_it_is_fresh() {
    check("stale opened resolved reopened fresh", &["too_old", "too_old", "too_old", "pending open ticket"]);
}

#[test]
fn a_dead_letter_is_tried_again_with_worse_news_only() {
    check("opened rejected acked resolved", &["pending open ticket", "dead", "dead", "dead"]);
    check("opened rejected escalated", &["pending open ticket", "dead", "pending open page"]);
}

#[test]
fn a_rejected_update_is_not_tried_again_and_stays_delivered() {
    check(
        "opened accepted acked rejected resolved",
        &[
            "pending open ticket",
            "delivered",
            "delivered acknowledge update",
            "delivered",
            "delivered resolve update",
        ],
    );
}

#[test]
fn a_message_that_is_gone_is_told_afresh_without_its_handle() {
    check(
        "opened accepted resolved gone accepted",
        &[
            "pending open ticket",
            "delivered",
            "delivered resolve update",
            "delivered resolve update",
            "delivered",
        ],
    );
    let mut row = delivered();
    row.desired.revision = 2;
    let gone = settled(row, &Outcome::Gone, 0.5);
    assert_eq!((gone.handle.clone(), gone.attempts, millis(gone.due)), (None, 0, 0));
    let again = settled(gone, &Outcome::Gone, 0.5);
    assert_eq!((again.attempts, millis(again.due)), (1, 500), "not in a circle");
}

#[test]
fn who_does_not_hear_of_resolves_is_left_alone() {
    let mut desk = Desk::new();
    desk.receivers = receivers(&[("chat", IntegrationKind::Slack, false)]);
    desk.happens(Transition::Opened, wall(0));
    let row = desk.rows[0].clone();
    desk.put(settle(
        row.clone(),
        row.desired,
        &Outcome::accepted(None),
        0.0,
        &RetryKnobs::default(),
        wall(1),
    ));
    desk.happens(Transition::Resolved { by: None }, wall(2));
    assert_eq!(desk.rows[0].next_action(), None);
    desk.happens(Transition::Reopened, wall(40_000));
    assert_eq!(desk.rows[0].next_action(), Some(Action::Open));
}

#[test]
fn who_flaps_a_hundred_times_sends_two_messages() {
    let mut desk = Desk::new();
    desk.happens(Transition::Opened, wall(0));
    let mut sent = Vec::new();
    // Each second it ends or begins again, and each is sent at once where it may be.
    for second in 0..250 {
        let now = wall(second * 1_000);
        match second {
            0 => {}
            ..200 if second % 2 == 1 => desk.happens(Transition::Resolved { by: None }, now),
            ..200 => desk.happens(Transition::Reopened, now),
            200 => desk.happens(Transition::Resolved { by: None }, now),
            _ => {}
        }
        let row = desk.rows[0].clone();
        if let Some((action, told)) = row.sending().filter(|_| row.due <= now) {
            sent.push(action);
            desk.put(settle(row, told, &Outcome::accepted(None), 0.0, &RetryKnobs::default(), now));
        }
    }
    assert_eq!(sent, [Action::Open, Action::Resolve]);
}

#[test]
fn an_end_by_hand_or_worse_news_do_not_wait() {
    let told = |desk: &mut Desk| {
        let row = desk.rows[0].clone();
        let (_, sent) = row.sending().expect("something to tell");
        desk.put(settle(row, sent, &Outcome::accepted(None), 0.0, &RetryKnobs::default(), wall(0)));
    };
    let mut desk = Desk::new();
    desk.happens(Transition::Opened, wall(0));
    told(&mut desk);
    desk.happens(Transition::Resolved { by: None }, wall(1_000));
    assert_eq!(millis(desk.rows[0].due), 31_000);
    desk.happens(Transition::Escalated { from: Severity::Warning }, wall(2_000));
    assert_eq!((desk.rows[0].next_action(), millis(desk.rows[0].due)), (Some(Action::Open), 2_000));
    told(&mut desk);
    desk.happens(Transition::Resolved { by: Some("mia".into()) }, wall(3_000));
    assert_eq!(millis(desk.rows[0].due), 3_000);
    // In the last seconds the end may be on its way: then the beginning is told, too.
    let mut desk = Desk::new();
    desk.happens(Transition::Opened, wall(0));
    told(&mut desk);
    desk.happens(Transition::Resolved { by: None }, wall(0));
    desk.happens(Transition::Reopened, wall(26_000));
    assert_eq!(desk.rows[0].next_action(), Some(Action::Open));
}

#[test]
fn who_saw_the_open_hears_the_resolve_wherever_the_labels_route_now() {
    let mut desk = Desk::new();
    desk.receivers =
        receivers(&[("chat", IntegrationKind::Slack, true), ("pager", IntegrationKind::PagerDuty, true)]);
    desk.route = route(
        Some("chat"),
        &[],
        false,
        vec![route(Some("pager"), &[r#"severity="critical""#], false, Vec::new())],
    );
    desk.happens(Transition::Opened, wall(0));
    accept_all(&mut desk);
    desk.happens(Transition::Escalated { from: Severity::Warning }, wall(1));
    assert_eq!(desk.rows.len(), 2, "the pager is reached now");
    accept_all(&mut desk);
    desk.happens(Transition::Resolved { by: None }, wall(2));
    let next: Vec<_> =
        desk.rows.iter().map(|row| (row.key.receiver.to_string(), row.next_action())).collect();
    assert_eq!(next, [("chat".into(), Some(Action::Resolve)), ("pager".into(), Some(Action::Resolve))]);
}

#[test]
fn an_acknowledgement_or_resolve_makes_no_rows() {
    let mut desk = Desk::new();
    desk.happens(Transition::Acknowledged { by: "mia".into() }, wall(0));
    desk.happens(Transition::Resolved { by: None }, wall(1));
    assert_eq!(desk.rows, []);
}

#[test]
fn information_is_told_to_whoever_asks_for_it_and_to_all_once_it_is_worse() {
    let mut desk = Desk::new();
    let nosy = route(Some("nosy"), &["severity=~\"info|critical\""], true, Vec::new());
    desk.route.routes.push(nosy);
    desk.route.routes.push(route(Some("chat"), &[], false, Vec::new()));
    desk.receivers =
        receivers(&[("chat", IntegrationKind::Slack, true), ("nosy", IntegrationKind::Email, true)]);
    desk.incident.severity = Severity::Info;
    desk.incident.labels.set("severity", "info");
    desk.happens(Transition::Opened, wall(0));
    let told = |desk: &Desk| -> Vec<(String, Lane)> {
        desk.rows.iter().map(|row| (row.key.receiver.to_string(), row.lane)).collect()
    };
    assert_eq!(told(&desk), [("nosy".to_owned(), Lane::Info)]);
    desk.happens(Transition::Escalated { from: Severity::Info }, wall(1));
    let receivers: Vec<String> = told(&desk).into_iter().map(|told| told.0).collect();
    assert_eq!(receivers, ["nosy", "chat"]);
}

#[test]
fn rows_whose_receiver_is_gone_are_settled() {
    let told = delivered();
    let mut waiting = told.clone();
    waiting.desired.revision = 9;
    let untold = Row { told: None, fate: Fate::Pending, ..told.clone() };
    let settled = orphaned([told.clone(), waiting.clone(), untold.clone()], &Receivers::new());
    let fates: Vec<_> = settled.iter().map(|row| (row.fate.clone(), row.next_action())).collect();
    assert_eq!(fates, [(Fate::Delivered, None), (Fate::Suppressed(Suppressed::Unrouted), None)]);
    assert_eq!(orphaned([told, waiting, untold], &Desk::new().receivers), []);
}

#[test]
fn waits_are_spaced_by_what_came_of_it() {
    let deferred = |after| Outcome::Deferred { after, said: "busy".into() };
    let cases = [
        (0, Outcome::Limited { after: None }, 1_000, 0),
        (0, Outcome::Limited { after: Some(secs(5)) }, 5_000, 0),
        (0, Outcome::Limited { after: Some(secs(86_400)) }, 900_000, 0),
        (0, deferred(None), 500, 1),
        (3, deferred(None), 4_000, 4),
        (20, deferred(None), 150_000, 21),
        (u32::MAX, deferred(None), 150_000, u32::MAX),
        (3, deferred(Some(secs(30))), 30_000, 4),
        (3, deferred(Some(secs(86_400))), 900_000, 4),
        (7, Outcome::Misconfigured { said: "token revoked".into() }, 60_000, 7),
    ];
    for (attempts, outcome, due, counted) in cases {
        let row = Row { attempts, ..pending() };
        let row = settled(row, &outcome, 0.5);
        assert_eq!((millis(row.due), row.attempts, row.fate), (due, counted, Fate::Pending), "{outcome:?}");
    }
}

#[test]
fn acceptance_forgets_what_failed() {
    let row = Row { attempts: 9, last_error: Some("busy".into()), ..pending() };
    let row = settled(row, &Outcome::accepted(Some(Handle("C1/17".into()))), 0.5);
    assert_eq!((row.attempts, row.last_error.clone(), row.messages), (0, None, 1));
    let again =
        settled(Row { desired: Told { revision: 2, ..row.desired }, ..row }, &Outcome::accepted(None), 0.5);
    assert_eq!(
        (again.handle, again.messages),
        (Some(Handle("C1/17".into())), 2),
        "an update keeps the handle"
    );
}

#[test]
fn what_a_receiver_says_is_cleaned_and_cut() {
    let said = format!("\u{1b}[31m{}", "x".repeat(4_000)).into();
    let error = settled(pending(), &Outcome::Rejected { said }, 0.5).last_error.expect("an error");
    assert!(error.len() <= 512 && error.starts_with("\\u{1b}"), "{error}");
}

#[test]
fn a_notification_id_is_the_same_on_every_try_and_safe_in_headers() {
    let mut row = pending();
    row.key.receiver = "on call/größe.1".into();
    let id = |row: &Row| row.notification_id(row.sending().expect("something to tell").1);
    let first = id(&row);
    assert_eq!(id(&settled(row.clone(), &Outcome::Limited { after: None }, 0.5)), first);
    assert!(first.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_'), "{first}");
    row.desired.revision += 1;
    row.desired.status = Status::Resolved;
    assert_eq!(id(&row), first, "it is over, and the opening is still the same message");
    row = settled(row.clone(), &Outcome::accepted(None), 0.5);
    assert_ne!(id(&row), first, "the resolve is another");
}

fn pending() -> Row {
    let mut desk = Desk::new();
    desk.happens(Transition::Opened, wall(0));
    desk.rows.remove(0)
}

fn delivered() -> Row {
    let row = settled(pending(), &Outcome::accepted(Some(Handle("C1/17".into()))), 0.5);
    assert_eq!(row.told.map(|told| told.status), Some(Status::Open));
    row
}

fn settled(row: Row, outcome: &Outcome, jitter: f64) -> Row {
    let sent = row.sending().map_or(row.desired, |(_, sent)| sent);
    settle(row, sent, outcome, jitter, &RetryKnobs::default(), wall(0))
}

fn accept_all(desk: &mut Desk) {
    for row in desk.rows.clone() {
        if row.next_action().is_some() {
            desk.put(settled(row, &Outcome::accepted(None), 0.5));
        }
    }
}
