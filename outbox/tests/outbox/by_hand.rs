//! What people do to rows: each fate under each hand.

use beaconfire_incident::{Status, Transition};
use beaconfire_model::Severity;
use beaconfire_outbox::{
    Action, ByHand, DigestId, Fate, Lane, LedgerLine, Outcome, RetryKnobs, Row, Suppressed, Told, settle,
};

use crate::support::{Desk, wall};

const FATES: [Fate; 8] = [
    Fate::Pending,
    Fate::Held(DigestId(7)),
    Fate::Delivered,
    Fate::InDigest(DigestId(7)),
    Fate::Dead,
    Fate::Suppressed(Suppressed::TooOld),
    Fate::Suppressed(Suppressed::ClearedBeforeSend),
    Fate::Suppressed(Suppressed::Dropped),
];

/// A row that has failed twice since second 0 and is not due for a minute. `news` says that it has more to tell than
/// it has told; who was never told always has.
fn row(fate: Fate, news: bool) -> Row {
    let mut desk = Desk::new();
    desk.happens(Transition::Opened, wall(0));
    let row = desk.rows.remove(0);
    let desired = Told { revision: 2, ..row.desired };
    let heard = matches!(fate, Fate::Delivered | Fate::InDigest(_));
    let told = heard.then_some(if news { row.desired } else { desired });
    let messages = u32::from(heard);
    Row {
        fate,
        desired,
        told,
        messages,
        attempts: 2,
        due: wall(60_000),
        last_error: Some("no".into()),
        ..row
    }
}

#[test]
fn what_waits_is_due_and_what_is_dead_waits_again() {
    let now = wall(30_000);
    for fate in [Fate::Dead, Fate::Suppressed(Suppressed::Dropped)] {
        let dead = row(fate, true);
        assert_eq!(dead.next_action(), None);
        let tried = ByHand::Retry.apply(dead.clone(), now).unwrap();
        assert_eq!((&tried.fate, tried.next_action()), (&Fate::Pending, Some(Action::Open)));
        assert_eq!((tried.attempts, tried.due, tried.waiting_since), (0, now, now));
        assert_eq!((tried.desired, tried.version, &tried.key), (dead.desired, dead.version, &dead.key));
        assert_eq!(tried.last_error, dead.last_error, "until something else comes of it");
    }
    for fate in [Fate::Pending, Fate::Delivered, Fate::InDigest(DigestId(7))] {
        let waits = row(fate, true);
        assert_eq!(ByHand::Retry.apply(waits.clone(), now), Ok(Row { due: now, ..waits }));
    }
}

#[test]
fn a_dead_page_is_a_page_again() {
    let dead = row(Fate::Dead, true);
    let desired = Told { severity: Severity::Critical, ..dead.desired };
    let tried = ByHand::Retry.apply(Row { desired, ..dead }, wall(1)).unwrap();
    assert_eq!(tried.lane, Lane::Page);
}

#[test]
fn who_was_never_told_never_is_and_who_was_counts_as_told() {
    let now = wall(30_000);
    for fate in [Fate::Pending, Fate::Held(DigestId(7)), Fate::Dead] {
        let dropped = ByHand::Drop.apply(row(fate, true), now).unwrap();
        assert_eq!(dropped.fate, Fate::Suppressed(Suppressed::Dropped));
        assert_eq!((dropped.next_action(), dropped.told), (None, None));
    }
    for fate in [Fate::Delivered, Fate::InDigest(DigestId(7))] {
        let waits = row(fate.clone(), true);
        let dropped = ByHand::Drop.apply(waits.clone(), now).unwrap();
        assert_eq!((dropped.fate, dropped.told), (fate, Some(waits.desired)));
        assert_eq!((dropped.attempts, dropped.waiting_since), (0, now));
    }
    // Told again though nothing has changed: that is dropped too.
    let again = ByHand::Drop.apply(Row { again: true, ..row(Fate::Delivered, false) }, now).unwrap();
    assert_eq!((again.again, again.next_action()), (false, None));
}

#[test]
fn what_makes_no_sense_is_refused_in_words() {
    for (what, fate, why) in [
        (ByHand::Retry, Fate::Held(DigestId(7)), "waits for a digest"),
        (ByHand::Retry, Fate::Delivered, "nothing left to tell"),
        (ByHand::Retry, Fate::InDigest(DigestId(7)), "nothing left to tell"),
        (ByHand::Retry, Fate::Suppressed(Suppressed::TooOld), "not to be told"),
        (ByHand::Retry, Fate::Suppressed(Suppressed::Silenced), "keeps it quiet"),
        (ByHand::Drop, Fate::Suppressed(Suppressed::Muted), "keeps it quiet"),
        (ByHand::Drop, Fate::Delivered, "nothing left to tell"),
        (ByHand::Drop, Fate::Suppressed(Suppressed::Dropped), "not to be told"),
    ] {
        let said = what.apply(row(fate.clone(), false), wall(1)).unwrap_err();
        assert!(said.contains(why), "{what:?} {fate:?}: {said}");
    }
}

#[test]
fn the_ledger_adds_up_through_all_of_it() {
    let knobs = RetryKnobs::default();
    let mut rows: Vec<Row> =
        FATES.iter().flat_map(|fate| [true, false].map(|news| row(fate.clone(), news))).collect();
    for (step, what) in (1..).zip([ByHand::Drop, ByHand::Retry, ByHand::Drop, ByHand::Retry]) {
        let now = wall(step * 1_000);
        for row in &mut rows {
            if let Ok(applied) = what.apply(row.clone(), now) {
                assert_ne!(applied, *row, "{what:?} changes what it does not refuse");
                *row = applied;
            }
        }
        let [line] = &LedgerLine::of(&rows)[..] else { panic!("one receiver") };
        assert!(line.adds_up() && line.created == 16, "{what:?}: {line:?}");
        let dropped = line.suppressed.get("dropped").copied().unwrap_or_default();
        assert_eq!(dropped, if what == ByHand::Drop { 8 } else { 0 }, "{what:?}: {line:?}");
    }
    for row in &mut rows {
        if let Some((_, sent)) = row.sending() {
            *row = settle(row.clone(), sent, &Outcome::accepted(None), 0.5, &knobs, wall(9_000));
        }
    }
    let [line] = &LedgerLine::of(&rows)[..] else { panic!("one receiver") };
    assert_eq!((line.delivered, line.in_digest, line.pending), (10, 2, 0), "{line:?}");
}

#[test]
fn what_was_dropped_is_told_of_fresh_news() {
    let mut desk = Desk::new();
    desk.happens(Transition::Opened, wall(0));
    let dropped = ByHand::Drop.apply(desk.rows[0].clone(), wall(1)).unwrap();
    desk.put(dropped);
    desk.happens(Transition::Acknowledged { by: "mia".into() }, wall(2));
    assert_eq!(desk.rows[0].next_action(), None, "that disturbs nobody");
    desk.happens(Transition::Escalated { from: Severity::Warning }, wall(3));
    assert_eq!((&desk.rows[0].fate, desk.rows[0].desired.status), (&Fate::Pending, Status::Open));
}
