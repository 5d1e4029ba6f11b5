//! Storms on real files: what folds, what a digest accounts for, and that a crash loses and doubles nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use beaconfire_incident::{Incident, IncidentId, Status};
use beaconfire_model::{Severity, Wall};
use beaconfire_outbox::{
    Action, DigestId, DigestKnobs, Fate, Handle, IntegrationKind, Lane, Outcome, Pace, Phase, Rate,
    RetryKnobs, Row, Sent, Suppressed, Told, settle,
};
use beaconfire_store::{Standing, Store, StoreError};

use crate::support::*;

const LEASE: Duration = Duration::from_secs(30);
const RATE: Rate = Rate { per_minute: 60, burst: 5 };
const KNOBS: DigestKnobs = DigestKnobs::new(10, RATE);

fn ticket(incident: &Incident, at: i64) -> Row {
    let mut row = row(incident, "team");
    row.desired.severity = Severity::Warning;
    row.lane = Lane::Ticket;
    (row.due, row.waiting_since, row.created_at) = (wall(at), wall(at), wall(at));
    row
}

/// So many warnings, numbered from `from`.
async fn warn(store: &Store, from: usize, count: usize, at: i64) {
    for n in from..from + count {
        let incident = incident(&format!("shop-{n}"), 1);
        let row = ticket(&incident, at);
        save(store, &[folded(incident)], &[row]).await.unwrap();
    }
}

async fn fold(store: &Store, at: i64) -> u64 {
    store.fold("team", "slack-0", &KNOBS, wall(at)).await.unwrap()
}

async fn standing(store: &Store, at: i64) -> Vec<Standing> {
    store.digests("team", "slack-0", wall(at)).await.unwrap()
}

/// Sends the digest's next message.
async fn tell(store: &Store, id: DigestId, outcome: &Outcome, at: i64) -> Phase {
    let (standing, _) = store.claim_digest(id, "me", wall(at), LEASE).await.unwrap().expect("nobody's");
    let sent = Sent { tally: standing.tally, last: standing.digest.is_last(&standing.tally, standing.calm) };
    store.settle_digest(id, "me", &sent, outcome, 0.5, wall(at)).await.unwrap().phase
}

/// What the incident is now, for its one row.
async fn becomes(store: &Store, n: usize, change: impl FnOnce(&mut Row)) {
    let id = incident(&format!("shop-{n}"), 1).id;
    let mut row = store.rows(&[id]).await.unwrap().remove(0);
    change(&mut row);
    save(store, &[], &[row]).await.unwrap();
}

fn resolved(row: &mut Row) {
    row.desired = Told { revision: row.desired.revision + 1, status: Status::Resolved, ..row.desired };
}

async fn fates(store: &Store, count: usize) -> BTreeMap<String, usize> {
    let ids: Vec<_> = (0..count).map(|n| incident(&format!("shop-{n}"), 1).id).collect();
    let mut fates = BTreeMap::new();
    for row in store.rows(&ids).await.unwrap() {
        let name = match row.fate {
            Fate::Held(_) => "held".to_owned(),
            Fate::InDigest(_) => "in_digest".to_owned(),
            Fate::Suppressed(why) => why.name().to_owned(),
            other => format!("{other:?}").to_lowercase(),
        };
        *fates.entry(name).or_default() += 1;
    }
    fates
}

fn counted(of: &[(&str, usize)]) -> BTreeMap<String, usize> {
    of.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
}

#[tokio::test]
async fn the_first_ten_go_by_themselves_and_the_rest_is_accounted_for_when_a_digest_was_accepted() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    warn(&store, 0, 10, 0).await;
    assert_eq!(fold(&store, 0).await, 0, "ten can be read");
    warn(&store, 10, 20, 0).await;
    assert_eq!(fold(&store, 1).await, 20);
    assert_eq!(fold(&store, 2).await, 0, "once");
    warn(&store, 30, 5, 3_000).await;
    assert_eq!(fold(&store, 3_001).await, 5, "what comes while it lasts folds too");
    let claimed = store.claim("team", "slack-0", "me", wall(4_000), LEASE, 100).await.unwrap();
    assert_eq!(claimed.len(), 10, "only what goes by itself is given out");
    assert_eq!(fates(&store, 35).await, counted(&[("pending", 10), ("held", 25)]));

    let [found] = &standing(&store, 11_000).await[..] else { panic!("one storm") };
    assert_eq!((found.tally.members, found.tally.open, found.tally.held, found.calm), (25, 25, 25, false));
    let id = found.digest.id;
    tell(&store, id, &Outcome::Deferred { after: None, said: "no".into() }, 11_000).await;
    assert_eq!(fates(&store, 35).await["held"], 25, "a message that was not accepted accounts for nothing");
    let line = &store.ledger().await.unwrap()[0];
    assert_eq!((line.created, line.pending, line.in_digest, line.adds_up()), (35, 35, 0, true));

    // One is over before it was told, another while the message is under way.
    becomes(&store, 30, resolved).await;
    let (standing, summary) =
        store.claim_digest(id, "me", wall(12_000), LEASE).await.unwrap().expect("nobody's");
    assert!(store.claim_digest(id, "you", wall(12_000), LEASE).await.unwrap().is_none(), "one sends");
    assert_eq!((summary.incidents.len(), summary.held_since), (25, Some(wall(0))));
    assert_eq!((standing.tally.cleared, standing.tally.open), (1, 24));
    becomes(&store, 31, resolved).await;
    let sent = Sent { tally: standing.tally, last: false };
    let outcome = Outcome::accepted(Some(Handle("C1:1".into())));
    let other = store.settle_digest(id, "you", &sent, &outcome, 0.5, wall(12_500)).await;
    assert!(matches!(other, Err(StoreError::LeaseLost)));
    store.settle_digest(id, "me", &sent, &outcome, 0.5, wall(12_500)).await.unwrap();
    let expected = counted(&[("pending", 10), ("in_digest", 23), ("cleared_before_send", 1), ("held", 1)]);
    assert_eq!(fates(&store, 35).await, expected);
    let line = &store.ledger().await.unwrap()[0];
    assert_eq!((line.in_digest, line.pending, line.suppressed["cleared_before_send"]), (23, 11, 1));
    assert!(line.adds_up());
    assert_eq!(line.messages, 1, "the digest's own");
}

#[tokio::test]
async fn a_storm_ends_after_a_calm_minute_and_says_when_all_are_over() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    warn(&store, 0, 12, 0).await;
    assert_eq!(fold(&store, 0).await, 2);
    for row in store.claim("team", "slack-0", "me", wall(0), LEASE, 100).await.unwrap() {
        let sent = row.desired;
        let apply = |row| settle(row, sent, &Outcome::accepted(None), 0.5, &RetryKnobs::default(), wall(1));
        store.settle(&row, "me", apply, &log(&row)).await.unwrap();
    }
    let id = standing(&store, 10_000).await[0].digest.id;
    let outcome = Outcome::accepted(Some(Handle("C1:1".into())));
    assert_eq!(tell(&store, id, &outcome, 10_000).await, Phase::Storm);
    assert!(!standing(&store, 59_000).await[0].calm);
    assert!(standing(&store, 61_000).await[0].calm);
    assert_eq!(tell(&store, id, &outcome, 61_000).await, Phase::Over);
    warn(&store, 12, 3, 62_000).await;
    assert_eq!(fold(&store, 62_001).await, 0, "three more are no storm");
    for n in 0..12 {
        becomes(&store, n, resolved).await;
    }
    let [found] = &standing(&store, 63_000).await[..] else {
        panic!("it is looked after until all are over")
    };
    let next = found.digest.next(IntegrationKind::Slack, true, &found.tally, found.calm);
    assert_eq!(next.map(|(_, action)| action), Some(Action::Resolve));
    assert_eq!(tell(&store, id, &outcome, 63_000).await, Phase::Closed);
    assert!(standing(&store, 64_000).await.is_empty());
    let swept = store.ledger().await.unwrap()[0].messages;
    assert_eq!(swept, 10 + 3);
}

#[tokio::test]
async fn a_digest_that_is_refused_three_times_leaves_dead_letters_behind() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    warn(&store, 0, 12, 0).await;
    fold(&store, 0).await;
    let id = standing(&store, 10_000).await[0].digest.id;
    let refused = Outcome::Rejected { said: "invalid_blocks".into() };
    for at in [10_000, 40_000] {
        tell(&store, id, &refused, at).await;
        assert_eq!(fates(&store, 12).await, counted(&[("pending", 10), ("held", 2)]));
    }
    tell(&store, id, &refused, 70_000).await;
    assert_eq!(fates(&store, 12).await, counted(&[("pending", 10), ("dead", 2)]));
    let line = store.ledger().await.unwrap().remove(0);
    assert!(line.adds_up() && (line.dead, line.pending) == (2, 10), "{line:?}");
}

#[tokio::test]
async fn rows_that_keep_failing_do_not_keep_a_storm_going() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    warn(&store, 0, 14, 0).await;
    assert_eq!(fold(&store, 0).await, 4);
    let failed = Outcome::Deferred { after: None, said: "500".into() };
    for row in store.claim("team", "slack-0", "me", wall(0), LEASE, 100).await.unwrap() {
        let sent = row.desired;
        let apply = |row| settle(row, sent, &failed, 0.5, &RetryKnobs::default(), wall(1));
        store.settle(&row, "me", apply, &log(&row)).await.unwrap();
    }
    assert!(standing(&store, 61_000).await[0].calm);
    warn(&store, 14, 1, 61_000).await;
    assert_eq!(fold(&store, 61_001).await, 1);
    assert!(standing(&store, 62_000).await[0].calm, "one is not many");
    warn(&store, 15, 3, 62_000).await;
    fold(&store, 62_001).await;
    assert!(!standing(&store, 63_000).await[0].calm);
}

#[tokio::test]
async fn a_storm_whose_end_nobody_wants_to_hear_of_is_closed_once_all_are_over() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    warn(&store, 0, 12, 0).await;
    fold(&store, 0).await;
    let id = standing(&store, 10_000).await[0].digest.id;
    tell(&store, id, &Outcome::accepted(None), 10_000).await;
    store.close_digest(id).await.unwrap();
    assert_eq!(standing(&store, 61_000).await.len(), 1, "two are open");
    for n in 0..12 {
        becomes(&store, n, resolved).await;
    }
    store.close_digest(id).await.unwrap();
    assert!(standing(&store, 61_000).await.is_empty());
}

#[tokio::test]
async fn pages_go_by_themselves_up_to_twice_the_burst_and_what_was_tried_does_not_fold() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    let page = async |from: usize, count: usize| {
        for n in from..from + count {
            let incident = incident(&format!("shop-{n}"), 1);
            let row = row(&incident, "team");
            save(&store, &[folded(incident)], &[row]).await.unwrap();
        }
    };
    page(0, 10).await;
    assert_eq!(fold(&store, 0).await, 0);
    let tried = store.claim("team", "slack-0", "gone", wall(0), LEASE, 2).await.unwrap();
    page(10, 10).await;
    assert_eq!(fold(&store, 1).await, 10, "the first ten, two of which may have arrived, go by themselves");
    let again = store.claim("team", "slack-0", "me", wall(40_000), LEASE, 100).await.unwrap();
    let again: BTreeSet<_> = again.into_iter().map(|row| row.key).collect();
    assert!(tried.iter().all(|row| again.contains(&row.key)), "whose sender died is told by another");
    assert_eq!(again.len(), 10);
}

#[tokio::test]
async fn what_an_endpoint_asked_for_survives_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let mut pace = Pace::new(RATE, wall(0));
    let store = open(directory.path()).await;
    assert_eq!(store.pace("slack x").await.unwrap(), None);
    pace.limited(Some(Duration::from_secs(90)), wall(0));
    store.save_pace("slack x", &pace.state()).await.unwrap();
    pace.limited(Some(Duration::from_secs(300)), wall(0));
    store.save_pace("slack x", &pace.state()).await.unwrap();
    store.close().await;
    let store = open(directory.path()).await;
    assert_eq!(store.pace("slack x").await.unwrap(), Some(pace.state()));
}

/// What a receiver has, counted there: openings by id, and what each digest says now.
#[derive(Default)]
struct Receiver {
    openings: BTreeMap<IncidentId, BTreeSet<String>>,
    digests: BTreeMap<DigestId, BTreeSet<IncidentId>>,
}

/// A generator whose numbers the seed alone decides.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

fn outcome(dice: &mut Dice) -> Outcome {
    match dice.roll(8) {
        0 => Outcome::Limited { after: Some(Duration::from_secs(5)) },
        1 => Outcome::Deferred { after: None, said: "500".into() },
        2 => Outcome::Misconfigured { said: "403".into() },
        3 => Outcome::Gone,
        _ => Outcome::accepted(Some(Handle("C1:1".into()))),
    }
}

/// Sends what is next, as a sender does. A timeout may have arrived all the same, and a crash forgets the answer.
async fn send(store: &Store, receiver: &mut Receiver, dice: &mut Dice, owner: &str, at: Wall, faults: bool) {
    store.fold("team", "slack-0", &KNOBS, at).await.unwrap();
    let answer = if faults { outcome(dice) } else { Outcome::accepted(Some(Handle("C1:1".into()))) };
    let arrived = matches!(answer, Outcome::Accepted { .. })
        || (faults && dice.roll(4) == 0 && matches!(answer, Outcome::Deferred { .. }));
    let crash = faults && dice.roll(10) == 0;
    let standing = store.digests("team", "slack-0", at).await.unwrap();
    let due = standing.iter().find(|found| {
        let next = found.digest.next(IntegrationKind::Slack, true, &found.tally, found.calm);
        next.is_some_and(|(due, _)| due <= at)
    });
    if let Some(found) = due {
        let id = found.digest.id;
        let Some((found, summary)) = store.claim_digest(id, owner, at, LEASE).await.unwrap() else { return };
        if arrived {
            receiver.digests.insert(id, summary.incidents.into_iter().collect());
        }
        if !crash {
            let sent = Sent { tally: found.tally, last: found.digest.is_last(&found.tally, found.calm) };
            store.settle_digest(id, owner, &sent, &answer, 0.5, at).await.unwrap();
        }
        return;
    }
    for row in store.claim("team", "slack-0", owner, at, LEASE, 1).await.unwrap() {
        let Some((action, sent)) = row.sending() else { panic!("{row:?} has nothing to tell") };
        if arrived && action == Action::Open {
            let heard = receiver.openings.entry(row.key.incident.clone()).or_default();
            heard.insert(row.notification_id(sent));
        }
        if !crash {
            let apply = |row| settle(row, sent, &answer, 0.5, &RetryKnobs::default(), at);
            store.settle(&row, owner, apply, &log(&row)).await.unwrap();
        }
    }
}

#[tokio::test]
async fn every_incident_is_in_exactly_one_message_or_digest_whatever_happens() {
    for seed in 1..=6 {
        let directory = tempfile::tempdir().unwrap();
        let store = open(directory.path()).await;
        let (mut dice, mut receiver) = (Dice(seed), Receiver::default());
        let (mut now, mut made) = (0_i64, 0_usize);
        for step in 0..160 {
            match dice.roll(6) {
                0 if made < 60 => {
                    let count = 1 + dice.roll(9) as usize;
                    warn(&store, made, count, now).await;
                    made += count;
                }
                1 if made > 0 => {
                    let n = dice.roll(made as u64) as usize;
                    becomes(&store, n, |row| {
                        if row.desired.status != Status::Resolved {
                            resolved(row);
                            row.due = wall(now);
                        }
                    })
                    .await;
                }
                2 => now += dice.roll(20_000) as i64,
                _ => {
                    // Another owner each time, as after a restart.
                    let owner = format!("sender-{step}");
                    send(&store, &mut receiver, &mut dice, &owner, wall(now), true).await;
                    now += 300;
                }
            }
            let lines = store.ledger().await.unwrap();
            assert!(lines.iter().all(|line| line.adds_up()), "seed {seed}, step {step}: {lines:?}");
            assert_eq!(lines.iter().map(|line| line.created).sum::<u64>(), made as u64, "seed {seed}");
        }
        for round in 0..400 {
            now += 2_000;
            send(&store, &mut receiver, &mut dice, &format!("end-{round}"), wall(now), false).await;
        }
        let line = store.ledger().await.unwrap().remove(0);
        assert!(line.adds_up() && line.pending == 0 && line.dead == 0, "seed {seed}: {line:?}");
        assert!(line.in_digest > 0 && line.delivered > 0, "seed {seed} made no storm: {line:?}");
        for n in 0..made {
            let id = incident(&format!("shop-{n}"), 1).id;
            let openings = receiver.openings.get(&id).map_or(0, BTreeSet::len);
            let digests = receiver.digests.values().filter(|digest| digest.contains(&id)).count();
            assert_eq!(openings + digests, 1, "seed {seed}: shop-{n}, {openings} and {digests}");
        }
        let said: usize = receiver.digests.values().map(BTreeSet::len).sum();
        let cleared = line.suppressed.get(Suppressed::ClearedBeforeSend.name()).copied().unwrap_or_default();
        assert_eq!(said as u64, line.in_digest + cleared, "seed {seed}");
        assert_eq!(receiver.openings.len() as u64, line.delivered, "seed {seed}");
    }
}
