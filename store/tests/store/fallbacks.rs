//! Pages that their receiver does not take, and who goes first among those that wait.

use std::time::Duration;

use beaconfire_model::Severity;
use beaconfire_outbox::{
    Fallback, Fate, Integration, IntegrationKind, Lane, Outcome, RetryKnobs, Row, settle,
};
use beaconfire_store::Store;

use crate::support::*;

const LEASE: Duration = Duration::from_secs(30);

fn mail() -> Fallback {
    let name = "email-0".into();
    let integrations = vec![Integration { name, kind: IntegrationKind::Email, send_resolved: true }];
    Fallback { receiver: "mail".into(), integrations }
}

async fn fall_back(store: &Store, broken: bool, at: i64) -> usize {
    store.fall_back("team", "slack-0", &mail(), broken, wall(at)).await.unwrap().len()
}

async fn page(store: &Store, service: &str) -> Row {
    let incident = incident(service, 1);
    let row = row(&incident, "team");
    save(store, &[folded(incident)], std::slice::from_ref(&row)).await.unwrap();
    row
}

#[tokio::test]
async fn a_page_falls_back_once_over_restarts_and_both_rows_are_accounted_for() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    let row = page(&store, "shop").await;
    assert_eq!(fall_back(&store, false, 29_000).await, 0);
    assert_eq!(fall_back(&store, false, 30_000).await, 1);
    store.close().await;
    let store = open(directory.path()).await;
    assert_eq!(fall_back(&store, true, 90_000).await, 0, "once");
    let rows = store.rows(std::slice::from_ref(&row.key.incident)).await.unwrap();
    let [instead, own] = &rows[..] else { panic!("two rows: {rows:?}") };
    assert_eq!((instead.via.as_deref(), &instead.fate), (Some("team"), &Fate::Pending));
    assert_eq!((own.via.as_deref(), &own.fate), (None, &Fate::Pending), "the first is told when it can be");
    let lines = store.ledger().await.unwrap();
    assert_eq!(lines.iter().map(|line| (line.created, line.pending)).collect::<Vec<_>>(), [(1, 1), (1, 1)]);
    let claimed = store.claim("mail", "email-0", "me", wall(91_000), LEASE, 9).await.unwrap();
    assert_eq!(claimed[0].via.as_deref(), Some("team"));
}

#[tokio::test]
async fn what_is_refused_for_good_falls_back_and_who_is_told_already_is_not_told_twice() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    page(&store, "shop").await;
    let both = page(&store, "search").await;
    // A route reaches the fallback too.
    let mut routed = row(&incident("search", 1), "mail");
    routed.key.integration = "email-0".into();
    save(&store, &[], &[routed]).await.unwrap();
    let refused = Outcome::Rejected { said: "550".into() };
    for row in store.claim("team", "slack-0", "me", wall(0), LEASE, 9).await.unwrap() {
        let sent = row.desired;
        let apply = |row| settle(row, sent, &refused, 0.5, &RetryKnobs::default(), wall(1));
        store.settle(&row, "me", apply, &log(&row)).await.unwrap();
    }
    assert_eq!(fall_back(&store, false, 2).await, 2);
    let rows = store.rows(&[both.key.incident]).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.via.is_some()).collect::<Vec<_>>(), [false, false]);
    assert_eq!(fall_back(&store, false, 3).await, 0);
    let mail = store.ledger().await.unwrap().into_iter().find(|line| &*line.receiver == "mail");
    assert_eq!(mail.map(|line| line.created), Some(2));
}

#[tokio::test]
async fn who_has_waited_a_minute_goes_before_the_lane_above_but_never_before_a_page() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    for (service, lane, since) in [
        ("old-info", Lane::Info, 0),
        ("old-ticket", Lane::Ticket, 1_000),
        ("new-update", Lane::Update, 70_000),
        ("new-ticket", Lane::Ticket, 71_000),
        ("page", Lane::Page, 72_000),
    ] {
        let incident = incident(service, 1);
        let mut row = row(&incident, "team");
        row.lane = lane;
        row.desired.severity = if lane == Lane::Page { Severity::Critical } else { Severity::Warning };
        (row.due, row.waiting_since, row.created_at) = (wall(since), wall(since), wall(since));
        save(&store, &[folded(incident)], &[row]).await.unwrap();
    }
    let order = async |at: i64| {
        let owner = format!("at-{at}");
        let claimed = store.claim("team", "slack-0", &owner, wall(at), LEASE, 9).await.unwrap();
        let mut names = Vec::new();
        for row in claimed {
            names.push(stored(&store, &row.key.incident).await.target.value.to_string());
            store.release(&row.key, &owner).await.unwrap();
        }
        names
    };
    assert_eq!(store.next_lane("team", "slack-0", wall(72_000)).await.unwrap(), Some(Lane::Page));
    // The information counts as an update by now, and is older than the other.
    assert_eq!(order(72_000).await, ["page", "old-ticket", "new-ticket", "old-info", "new-update"]);
    // A minute later the update counts as a ticket, and is older than one of them.
    assert_eq!(order(131_000).await, ["page", "old-ticket", "new-update", "new-ticket", "old-info"]);
}

#[tokio::test]
async fn when_the_next_is_due_counts_leases_and_forgets_what_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    let next = async || store.next_due("team", "slack-0").await.unwrap();
    assert_eq!(next().await, None);
    page(&store, "shop").await;
    assert_eq!(next().await, Some(wall(0)));
    let [row] = &store.claim("team", "slack-0", "me", wall(10), LEASE, 9).await.unwrap()[..] else {
        panic!("one")
    };
    assert_eq!(next().await, Some(wall(30_010)), "when the lease is over");
    let apply =
        |row| settle(row, row_desired(), &Outcome::accepted(None), 0.5, &RetryKnobs::default(), wall(20));
    store.settle(row, "me", apply, &log(row)).await.unwrap();
    assert_eq!(next().await, None);
}

fn row_desired() -> beaconfire_outbox::Told {
    row(&incident("shop", 1), "team").desired
}
