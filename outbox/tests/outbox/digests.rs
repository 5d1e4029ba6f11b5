//! Storms: when a digest goes, what it does, and what becomes of the rows that it tells of.

use beaconfire_incident::Transition;
use beaconfire_model::Severity;
use beaconfire_outbox::{
    Action, Digest, DigestId, DigestKnobs, Fate, Handle, IntegrationKind, LedgerLine, Outcome, Phase, Rate,
    RetryKnobs, Sent, Tally, Waiting, settle,
};

use crate::support::{Desk, millis, secs, wall};

fn storm() -> Digest {
    Digest::begin(DigestId(7), "chat".into(), "slack-0".into(), false, wall(0))
}

fn tally(members: u64, open: u64) -> Tally {
    Tally { members, open, cleared: 0, held: members, held_pages: 0, worst: Some(Severity::Warning) }
}

fn accepted(digest: Digest, tally: Tally, last: bool, now: i64) -> Digest {
    let outcome = Outcome::accepted(Some(Handle("C1:1".into())));
    digest.settle(&Sent { tally, last }, &outcome, 0, 0.5, wall(now))
}

/// When the next message goes, in seconds, and what it does.
fn next(digest: &Digest, kind: IntegrationKind, tally: &Tally, calm: bool) -> Option<(i64, Action)> {
    digest.next(kind, true, tally, calm).map(|(at, action)| (millis(at) / 1_000, action))
}

#[test]
fn a_storm_is_more_than_can_be_read_or_more_pages_than_twice_the_burst() {
    let knobs = DigestKnobs::new(10, Rate { per_minute: 60, burst: 5 });
    for (pages, others, expected) in
        [(0, 10, false), (0, 11, true), (10, 0, false), (11, 0, true), (10, 10, false)]
    {
        assert_eq!(knobs.breaks_out(Waiting { pages, others }), expected, "{pages} {others}");
    }
}

#[test]
fn a_digest_goes_after_ten_seconds_and_then_every_thirty_while_it_changes() {
    let slack = IntegrationKind::Slack;
    let digest = storm();
    assert_eq!(next(&digest, slack, &tally(0, 0), false), None, "nothing to tell");
    assert_eq!(next(&digest, slack, &tally(5, 5), false), Some((10, Action::Open)));
    let digest = accepted(digest, tally(5, 5), false, 10_000);
    assert_eq!(next(&digest, slack, &Tally { held: 0, ..tally(5, 5) }, false), None, "nothing has changed");
    assert_eq!(next(&digest, slack, &tally(9, 9), false), Some((40, Action::Update)));
    assert_eq!(next(&digest, slack, &tally(5, 4), false), Some((40, Action::Update)), "one is over");
}

#[test]
fn the_last_one_always_goes_and_one_more_when_all_are_over() {
    let slack = IntegrationKind::Slack;
    let told = Tally { held: 0, ..tally(5, 2) };
    let digest = accepted(storm(), told, false, 10_000);
    assert_eq!(next(&digest, slack, &told, true), Some((10, Action::Update)), "though nothing has changed");
    let digest = accepted(digest, told, true, 70_000);
    assert_eq!((digest.phase, next(&digest, slack, &told, true)), (Phase::Over, None));
    let over = Tally { open: 0, ..told };
    assert_eq!(next(&digest, slack, &over, true), Some((70, Action::Resolve)));
    let digest = accepted(digest, over, true, 80_000);
    assert_eq!((digest.phase, next(&digest, slack, &over, true)), (Phase::Closed, None));
    // All over by the end: one message says both.
    assert_eq!(accepted(storm(), over, true, 70_000).phase, Phase::Closed);
}

#[test]
fn what_cannot_be_changed_once_sent_follows_at_1_5_15_and_60_minutes() {
    let mail = IntegrationKind::Email;
    let mut digest = storm();
    let mut at = Vec::new();
    for members in 1..=6 {
        let tally = tally(members, members);
        let Some((due, _)) = digest.next(mail, true, &tally, false) else { panic!("it has changed") };
        at.push(millis(due) / 60_000);
        digest = accepted(digest, tally, false, millis(due));
    }
    assert_eq!(at, [1, 5, 15, 60, 120, 180]);
    // An incoming webhook of Slack gives no handle.
    let sent = Sent { tally: tally(1, 1), last: false };
    let hook = storm().settle(&sent, &Outcome::accepted(None), 0, 0.5, wall(10_000));
    assert_eq!(next(&hook, IntegrationKind::Slack, &tally(2, 2), false), Some((60, Action::Update)));
}

#[test]
fn a_pager_is_woken_again_only_when_it_gets_worse_or_ten_times_as_large() {
    let pager = IntegrationKind::PagerDuty;
    let digest = accepted(storm(), tally(5, 5), false, 10_000);
    assert_eq!(next(&digest, pager, &tally(49, 49), false), None);
    assert!(next(&digest, pager, &tally(50, 50), false).is_some());
    let worse = Tally { worst: Some(Severity::Critical), ..tally(6, 6) };
    assert!(next(&digest, pager, &worse, false).is_some());
    assert_eq!(next(&digest, pager, &tally(6, 6), true), Some((10, Action::Update)), "the last one");
}

#[test]
fn a_digest_that_is_not_accepted_waits() {
    let sent = Sent { tally: tally(5, 5), last: true };
    for (outcome, due) in [
        (Outcome::Limited { after: Some(secs(7)) }, 7_000),
        (Outcome::Deferred { after: None, said: "no".into() }, 500),
        (Outcome::Misconfigured { said: "no".into() }, 60_000),
        (Outcome::Rejected { said: "no".into() }, 500),
    ] {
        let digest = storm().settle(&sent, &outcome, 5, 0.5, wall(0));
        assert_eq!(
            (millis(digest.due), digest.phase, digest.messages),
            (due, Phase::Storm, 0),
            "{outcome:?}"
        );
        assert_eq!(
            digest.notification_id(&sent.tally),
            storm().notification_id(&sent.tally),
            "the same id again"
        );
    }
    // What moved while it was under way keeps the storm open.
    let digest = storm().settle(&sent, &Outcome::accepted(None), 1, 0.5, wall(0));
    assert_eq!(digest.phase, Phase::Storm);
}

#[test]
fn a_digest_that_is_refused_again_and_again_is_given_up_and_one_that_is_not_taken_is_not() {
    let refused = Outcome::Rejected { said: "invalid_blocks".into() };
    let failed = Outcome::Deferred { after: None, said: "500".into() };
    let sent = Sent { tally: tally(5, 5), last: false };
    let mut digest = storm();
    for (attempt, given_up) in [(1, false), (2, false), (3, true)] {
        assert_eq!(digest.gives_up(&refused), given_up, "{attempt}");
        assert!(!digest.gives_up(&failed));
        digest = digest.settle(&sent, &refused, 5, 0.5, wall(0));
    }
    let digest = digest.settle(&sent, &failed, 5, 0.5, wall(0));
    assert!(!digest.gives_up(&refused), "only refusals in a row count");
}

#[test]
fn pages_in_a_digest_disturb_and_wait_for_no_slot() {
    let tally = |held, held_pages| Tally { held, held_pages, ..tally(5 + held, 5 + held) };
    let slack = accepted(storm(), tally(0, 0), false, 10_000);
    assert_eq!(next(&slack, IntegrationKind::Slack, &tally(3, 0), false), Some((40, Action::Update)));
    assert_eq!(next(&slack, IntegrationKind::Slack, &tally(3, 1), false), Some((40, Action::Open)));
    assert_eq!(next(&storm(), IntegrationKind::Email, &tally(3, 1), false), Some((30, Action::Open)));
    let mail = accepted(storm(), tally(0, 0), false, 60_000);
    assert_eq!(next(&mail, IntegrationKind::Email, &tally(3, 0), false), Some((300, Action::Update)));
    assert_eq!(next(&mail, IntegrationKind::Email, &tally(3, 1), false), Some((90, Action::Open)));
    // What came between two tries makes it another message.
    assert_ne!(mail.notification_id(&tally(3, 0)), mail.notification_id(&tally(4, 0)));
}

#[test]
fn who_does_not_want_to_hear_of_ends_is_not_told_of_that_of_a_storm() {
    let told = Tally { held: 0, ..tally(5, 0) };
    let digest = accepted(storm(), tally(5, 2), false, 10_000);
    let next =
        |tally, calm| digest.next(IntegrationKind::Slack, false, tally, calm).map(|(_, action)| action);
    assert_eq!(next(&told, true), None);
    assert!(digest.is_silently_over(false, &told, true) && !digest.is_silently_over(true, &told, true));
    assert!(!digest.is_silently_over(false, &told, false), "more may come");
    assert!(!storm().is_silently_over(false, &told, true), "nothing was told yet");
    // What was over before it was told is told nevertheless.
    assert_eq!(next(&Tally { held: 1, cleared: 1, ..told }, true), Some(Action::Update));
}

fn held() -> Desk {
    let mut desk = Desk::new();
    desk.happens(Transition::Opened, wall(0));
    desk.rows[0].fate = Fate::Held(DigestId(7));
    desk
}

fn in_digest() -> Desk {
    let mut desk = held();
    desk.rows[0].fate = Fate::InDigest(DigestId(7));
    desk.rows[0].told = Some(desk.rows[0].desired);
    desk
}

#[test]
fn a_held_row_is_pending_and_says_nothing_by_itself() {
    let mut desk = held();
    assert_eq!(desk.rows[0].next_action(), None);
    desk.happens(Transition::Resolved { by: None }, wall(1));
    assert_eq!((desk.rows[0].next_action(), &desk.rows[0].fate), (None, &Fate::Held(DigestId(7))));
    let line = &LedgerLine::of(&desk.rows)[0];
    assert_eq!((line.pending, line.adds_up()), (1, true));
}

#[test]
fn what_becomes_a_page_does_not_wait_for_its_digest() {
    let mut desk = held();
    desk.happens(Transition::Joined { rule: "other".into() }, wall(1));
    assert_eq!(desk.rows[0].fate, Fate::Held(DigestId(7)), "another rule is told there");
    desk.happens(Transition::Escalated { from: Severity::Warning }, wall(2));
    assert_eq!((desk.rows[0].next_action(), &desk.rows[0].fate), (Some(Action::Open), &Fate::Pending));
}

#[test]
fn what_a_digest_told_of_ends_there_until_it_disturbs_anew() {
    let mut desk = in_digest();
    desk.happens(Transition::Acknowledged { by: "mia".into() }, wall(1));
    assert_eq!(desk.rows[0].next_action(), None);
    desk.happens(Transition::Escalated { from: Severity::Warning }, wall(2));
    let (action, sent) = desk.rows[0].sending().expect("it goes by itself");
    assert_eq!(action, Action::Open);
    let outcome = Outcome::accepted(Some(Handle("C1:2".into())));
    desk.rows[0] = settle(desk.rows[0].clone(), sent, &outcome, 0.5, &RetryKnobs::default(), wall(3));
    assert_eq!(desk.rows[0].fate, Fate::InDigest(DigestId(7)), "its opening was told there");
    let line = &LedgerLine::of(&desk.rows)[0];
    assert_eq!((line.in_digest, line.delivered, line.adds_up()), (1, 0, true));
    desk.happens(Transition::Resolved { by: None }, wall(4));
    assert_eq!(desk.rows[0].next_action(), Some(Action::Resolve), "it has a message of its own by now");
}
