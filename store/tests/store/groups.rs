//! Groups and repeats on real files.

use std::collections::BTreeMap;
use std::time::Duration;

use beaconfire_incident::Status;
use beaconfire_model::Severity;
use beaconfire_outbox::{
    Action, Digest, Fate, Group, IntegrationKind, Lane, Outcome, RetryKnobs, Row, Sent, Told, settle,
};
use beaconfire_store::Store;

use crate::support::*;

const LEASE: Duration = Duration::from_secs(30);

/// A row of `service` in the group of this name.
async fn opens(store: &Store, service: &str, group: &str, lane: Lane, at: i64) -> Row {
    let incident = incident(service, 1);
    let mut row = row(&incident, "team");
    row.lane = lane;
    row.desired.severity = if lane == Lane::Page { Severity::Critical } else { Severity::Warning };
    (row.due, row.waiting_since, row.created_at) = (wall(at), wall(at), wall(at));
    let (wait, interval) = (Duration::from_secs(10), Duration::from_secs(300));
    row.group = Some(Group { name: group.into(), wait, interval });
    row.repeat = Some(Duration::from_secs(3_600));
    save(store, &[folded(incident)], std::slice::from_ref(&row)).await.unwrap();
    row
}

async fn gather(store: &Store, at: i64) -> u64 {
    store.gather("team", "slack-0", wall(at)).await.unwrap()
}

async fn fate(store: &Store, row: &Row) -> Fate {
    store.rows(std::slice::from_ref(&row.key.incident)).await.unwrap().remove(0).fate
}

async fn digests(store: &Store, at: i64) -> Vec<Digest> {
    let standing = store.digests("team", "slack-0", wall(at)).await.unwrap();
    standing.into_iter().map(|standing| standing.digest).collect()
}

/// Tells what may go by itself.
async fn tell(store: &Store, at: i64) -> usize {
    let claimed = store.claim("team", "slack-0", "me", wall(at), LEASE, 99).await.unwrap();
    for row in &claimed {
        let (_, sent) = row.sending().expect("something to tell");
        let apply = |row| settle(row, sent, &Outcome::accepted(None), 0.5, &RetryKnobs::default(), wall(at));
        store.settle(row, "me", apply, &log(row)).await.unwrap();
    }
    claimed.len()
}

#[tokio::test]
async fn the_first_of_a_group_goes_by_itself_and_its_followers_together() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    let first = opens(&store, "a1", "a", Lane::Ticket, 0).await;
    let other = opens(&store, "b1", "b", Lane::Ticket, 0).await;
    assert_eq!(gather(&store, 1).await, 0, "two groups, nobody follows");
    let second = opens(&store, "a2", "a", Lane::Ticket, 1_000).await;
    assert_eq!(gather(&store, 1_001).await, 1);
    assert_eq!(gather(&store, 1_002).await, 0, "once");
    assert_eq!(tell(&store, 2_000).await, 2);
    assert_eq!(fate(&store, &first).await, Fate::Delivered);
    assert_eq!(fate(&store, &other).await, Fate::Delivered);

    // A page does not follow a ticket; another ticket does, though the first was told long ago.
    let page = opens(&store, "a3", "a", Lane::Page, 3_000).await;
    let third = opens(&store, "a4", "a", Lane::Ticket, 4_000).await;
    assert_eq!(gather(&store, 4_001).await, 1);
    assert_eq!(fate(&store, &page).await, Fate::Pending);
    // But a page follows a page.
    opens(&store, "a5", "a", Lane::Page, 5_000).await;
    assert_eq!(gather(&store, 5_001).await, 1);

    let [digest] = &digests(&store, 9_000).await[..] else { panic!("one group has followers") };
    assert_eq!(digest.group.as_ref().map(|group| &*group.name), Some("a"));
    assert_eq!(digest.started_at, wall(1_000), "since the first follower came");
    let claimed = store.claim_digest(digest.id, "me", wall(11_000), LEASE).await.unwrap();
    let (standing, summary) = claimed.expect("nobody's");
    assert_eq!((standing.tally.members, summary.incidents.len()), (3, 3));
    assert_eq!(
        standing.digest.next(IntegrationKind::Slack, true, &standing.tally, standing.calm),
        Some((wall(11_000), Action::Open))
    );
    let sent = Sent { tally: standing.tally, last: standing.digest.is_last(&standing.tally, standing.calm) };
    store.settle_digest(digest.id, "me", &sent, &Outcome::accepted(None), 0.5, wall(11_000)).await.unwrap();
    for row in [&second, &third] {
        assert_eq!(fate(&store, row).await, Fate::InDigest(digest.id));
    }
    let line = store.ledger().await.unwrap().remove(0);
    assert!(line.adds_up(), "{line:?}");
    assert_eq!((line.created, line.delivered, line.in_digest, line.pending), (6, 2, 3, 1));
}

#[tokio::test]
async fn when_all_of_a_group_are_over_the_next_is_told_at_once_again() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    let first = opens(&store, "a1", "a", Lane::Ticket, 0).await;
    assert_eq!(tell(&store, 1).await, 1);
    let mut row = store.rows(&[first.key.incident]).await.unwrap().remove(0);
    row.desired = Told { revision: row.desired.revision + 1, status: Status::Resolved, ..row.desired };
    save(&store, &[], &[row]).await.unwrap();
    let next = opens(&store, "a2", "a", Lane::Ticket, 60_000).await;
    assert_eq!(gather(&store, 60_001).await, 0);
    assert_eq!(fate(&store, &next).await, Fate::Pending);
}

#[tokio::test]
async fn beyond_so_many_groups_followers_go_by_themselves() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    let mut fates: BTreeMap<bool, usize> = BTreeMap::new();
    let mut followers = Vec::new();
    for n in 0..70 {
        opens(&store, &format!("lead-{n}"), &format!("g{n}"), Lane::Ticket, 0).await;
        followers.push(opens(&store, &format!("follow-{n}"), &format!("g{n}"), Lane::Ticket, 1).await);
    }
    assert_eq!(gather(&store, 2).await, 64);
    for row in &followers {
        *fates.entry(fate(&store, row).await == Fate::Pending).or_default() += 1;
    }
    assert_eq!(fates, BTreeMap::from([(true, 6), (false, 64)]));
}

#[tokio::test]
async fn what_is_open_and_told_is_told_again_when_its_time_has_come() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    let row = opens(&store, "a1", "a", Lane::Ticket, 0).await;
    let repeat = async |at: i64| store.repeat("team", "slack-0", wall(at)).await.unwrap();
    assert_eq!(repeat(10_000_000).await, 0, "it was not told yet");
    assert_eq!(tell(&store, 0).await, 1);
    assert_eq!(repeat(3_599_999).await, 0);
    store.close().await;
    let store = open(directory.path()).await;
    let repeat = async |at: i64| store.repeat("team", "slack-0", wall(at)).await.unwrap();
    assert_eq!(repeat(3_600_000).await, 1);
    assert_eq!(repeat(3_600_001).await, 0, "once");
    assert_eq!(tell(&store, 3_600_002).await, 1);
    assert_eq!(repeat(7_000_000).await, 0, "from when it was told");
    let line = store.ledger().await.unwrap().remove(0);
    assert_eq!((line.created, line.delivered, line.messages), (1, 1, 2));
    // Nobody is told again of what somebody is on.
    let mut row = store.rows(&[row.key.incident]).await.unwrap().remove(0);
    row.desired = Told { revision: row.desired.revision + 1, status: Status::Acknowledged, ..row.desired };
    save(&store, &[], &[row]).await.unwrap();
    assert_eq!(tell(&store, 7_000_001).await, 1);
    assert_eq!(repeat(20_000_000).await, 0);
}
