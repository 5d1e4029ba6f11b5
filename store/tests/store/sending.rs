//! Claims, settlements, the ledger.

use std::collections::BTreeSet;
use std::time::Duration;

use beaconfire_incident::Status;
use beaconfire_outbox::{Fate, Handle, Lane, LedgerLine, Outcome, RetryKnobs, Row, Suppressed, Told, settle};
use beaconfire_store::{SaveError, Store, StoreError};

use crate::support::*;

const LEASE: Duration = Duration::from_secs(30);

async fn claim(store: &Store, owner: &str, now: i64, limit: usize) -> Vec<Row> {
    store.claim("team", "slack-0", owner, wall(now), LEASE, limit).await.unwrap()
}

fn accepted(row: Row) -> Row {
    let sent = row.desired;
    let outcome = Outcome::accepted(Some(Handle("ts-1".into())));
    settle(row, sent, &outcome, 0.5, &RetryKnobs::default(), wall(5))
}

/// So many incidents with a row each.
async fn filled(store: &Store, rows: usize) {
    for n in 0..rows {
        let incident = incident(&format!("shop-{n}"), 1);
        let row = row(&incident, "team");
        save(store, &[folded(incident)], &[row]).await.unwrap();
    }
}

#[tokio::test]
async fn no_row_is_claimed_twice() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    filled(&store, 60).await;
    let mut claiming = tokio::task::JoinSet::new();
    for worker in 0..4 {
        let store = open(directory.path()).await;
        claiming.spawn(async move {
            let mut mine = Vec::new();
            loop {
                let rows = claim(&store, &format!("worker-{worker}"), 10, 7).await;
                if rows.is_empty() {
                    return mine;
                }
                mine.extend(rows.into_iter().map(|row| row.key));
            }
        });
    }
    let claimed: Vec<_> = claiming.join_all().await.into_iter().flatten().collect();
    assert_eq!(claimed.len(), 60);
    assert_eq!(claimed.into_iter().collect::<BTreeSet<_>>().len(), 60);
}

#[tokio::test]
async fn claims_go_by_lane_then_by_who_waited_longest() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    for (name, lane, since, due) in [
        ("info", Lane::Info, 0, 0),
        ("late page", Lane::Page, 2, 0),
        ("page", Lane::Page, 1, 0),
        ("ticket", Lane::Ticket, 0, 0),
        ("not yet", Lane::Page, 0, 100),
    ] {
        let incident = incident(name, 1);
        let wanted = Row { lane, waiting_since: wall(since), due: wall(due), ..row(&incident, "team") };
        let elsewhere = row(&incident, "other");
        save(&store, &[folded(incident)], &[wanted, elsewhere]).await.unwrap();
    }
    assert_eq!(store.next_due("team", "slack-0").await.unwrap(), Some(wall(0)));
    let claimed = claim(&store, "me", 10, 10).await;
    let order: Vec<_> = claimed.iter().map(|row| (row.lane, row.waiting_since)).collect();
    let expected = [(Lane::Page, 1), (Lane::Page, 2), (Lane::Ticket, 0), (Lane::Info, 0)]
        .map(|(lane, at)| (lane, wall(at)));
    assert_eq!(order, expected);
    assert_eq!(store.next_due("team", "slack-0").await.unwrap(), Some(wall(100)));
    let backlog = store.backlog().await.unwrap();
    let team: Vec<_> = backlog.iter().filter(|line| &*line.receiver == "team").collect();
    assert_eq!((team[0].lane, team[0].rows, team[0].oldest), (Lane::Page, 3, wall(0)));
    assert_eq!(store.next_due("team", "email-0").await.unwrap(), None);
}

#[tokio::test]
async fn what_only_waits_for_its_failures_can_be_made_due() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    for (name, receiver, attempts, due) in [
        ("failed", "team", 5, 60_000),
        ("failed, and due", "team", 1, 5),
        ("limited", "team", 0, 50_000),
        ("elsewhere", "other", 5, 60_000),
    ] {
        let incident = incident(name, 1);
        let wanted = Row { attempts, due: wall(due), ..row(&incident, receiver) };
        save(&store, &[folded(incident)], &[wanted]).await.unwrap();
    }
    assert_eq!(store.hasten("team", "slack-0", wall(10)).await.unwrap(), 1);
    let claimed = claim(&store, "me", 10, 10).await;
    let attempts: BTreeSet<u32> = claimed.iter().map(|row| row.attempts).collect();
    assert_eq!(attempts, BTreeSet::from([1, 5]));
    assert_eq!(store.next_due("other", "slack-0").await.unwrap(), Some(wall(60_000)));
}

#[tokio::test]
async fn a_settled_row_is_written_and_logged_and_waits_no_more() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    filled(&store, 1).await;
    let claimed = claim(&store, "me", 10, 10).await.remove(0);
    let settled = store.settle(&claimed, "me", accepted, &log(&claimed)).await.unwrap();
    assert_eq!((settled.messages, settled.told, settled.version), (1, Some(claimed.desired), 2));
    let id = &claimed.key.incident;
    assert_eq!(store.rows(std::slice::from_ref(id)).await.unwrap(), [settled]);
    assert_eq!(store.deliveries(id).await.unwrap(), [log(&claimed)]);
    assert!(claim(&store, "me", 1_000_000, 10).await.is_empty());
    assert!(store.waiting_rows().await.unwrap().is_empty());
}

#[tokio::test]
async fn what_is_to_be_told_may_move_while_a_delivery_is_under_way() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    filled(&store, 1).await;
    let claimed = claim(&store, "me", 10, 10).await.remove(0);
    let newer = Told { revision: 3, status: Status::Resolved, ..claimed.desired };
    save(&store, &[], &[Row { desired: newer, ..claimed.clone() }]).await.unwrap();
    assert!(matches!(save(&store, &[], std::slice::from_ref(&claimed)).await, Err(SaveError::Conflict)));
    assert!(claim(&store, "other", 10, 10).await.is_empty(), "the lease holds");

    let sent = claimed.desired;
    let apply = |row| settle(row, sent, &Outcome::accepted(None), 0.5, &RetryKnobs::default(), wall(5));
    let settled = store.settle(&claimed, "me", apply, &log(&claimed)).await.unwrap();
    assert_eq!((settled.desired, settled.told), (newer, Some(sent)));
    assert_eq!(claim(&store, "other", 10, 10).await, [settled], "the resolve is still to be told");
}

#[tokio::test]
async fn a_lease_that_ran_out_may_be_taken_and_fences_who_had_it() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    filled(&store, 1).await;
    let claimed = claim(&store, "slow", 0, 10).await.remove(0);
    assert_eq!(store.next_due("team", "slack-0").await.unwrap(), Some(wall(30_000)));
    assert!(claim(&store, "quick", 29_999, 10).await.is_empty());
    assert_eq!(claim(&store, "quick", 30_000, 10).await.len(), 1);
    let late = store.settle(&claimed, "slow", accepted, &log(&claimed)).await;
    assert!(matches!(late, Err(StoreError::LeaseLost)));
    let id = &claimed.key.incident;
    assert_eq!(store.rows(std::slice::from_ref(id)).await.unwrap()[0].told, None, "nothing was applied");
    assert_eq!(store.deliveries(id).await.unwrap().len(), 1, "the attempt was made");
    store.release(&claimed.key, "slow").await.unwrap();
    assert!(claim(&store, "slow", 30_001, 10).await.is_empty(), "only the holder can give it back");
    store.release(&claimed.key, "quick").await.unwrap();
    assert_eq!(claim(&store, "slow", 30_001, 10).await.len(), 1);
}

#[tokio::test]
async fn the_ledger_adds_up_also_for_what_retention_has_deleted() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    for (n, fate) in [
        Fate::Pending,
        Fate::Delivered,
        Fate::Dead,
        Fate::Suppressed(Suppressed::TooOld),
        Fate::Suppressed(Suppressed::Unrouted),
    ]
    .into_iter()
    .enumerate()
    {
        let mut incident = incident(&n.to_string(), 1);
        incident.status = Status::Resolved;
        let mut row = row(&incident, "team");
        if fate == Fate::Delivered {
            (row.told, row.messages) = (Some(row.desired), 3);
        }
        row.fate = fate;
        save(&store, &[folded(incident)], &[row]).await.unwrap();
    }
    let before = store.ledger().await.unwrap();
    let ids: Vec<_> = (0..5).map(|n| incident(&n.to_string(), 1).id).collect();
    assert_eq!(before, LedgerLine::of(&store.rows(&ids).await.unwrap()));
    assert!(before[0].adds_up());
    assert_eq!((before[0].created, before[0].pending, before[0].messages), (5, 1, 3));

    assert_eq!(store.sweep(wall(0).plus(31 * DAY)).await.unwrap().incidents, 5);
    let after = &store.ledger().await.unwrap()[0];
    assert!(after.adds_up() && store.rows(&ids).await.unwrap().is_empty());
    assert_eq!((after.created, after.pending, after.messages), (5, 0, 3));
    assert_eq!(after.suppressed["too_old"], 2, "what was never told is accounted for");
}
