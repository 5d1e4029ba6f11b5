//! What people see of the outbox and do to it.

use std::time::Duration;

use beaconfire_incident::IncidentId;
use beaconfire_outbox::{ByHand, DigestKnobs, Fate, Rate, Row, Suppressed};
use beaconfire_store::{Handled, Store, StoreError, UnfinishedQuery};

use crate::support::*;

const LEASE: Duration = Duration::from_secs(30);

/// Stores an incident with one row of this fate at each of these receivers.
async fn put(store: &Store, service: &str, fate: Fate, receivers: &[&str]) -> IncidentId {
    let incident = incident(service, 1);
    let id = incident.id.clone();
    let told = |row: &Row| (fate == Fate::Delivered).then_some(row.desired);
    let rows: Vec<Row> = receivers
        .iter()
        .map(|receiver| row(&incident, receiver))
        .map(|row| Row { told: told(&row), fate: fate.clone(), ..row })
        .collect();
    save(store, &[folded(incident)], &rows).await.unwrap();
    id
}

async fn list(store: &Store, query: UnfinishedQuery) -> Vec<(String, Fate, bool)> {
    let (items, _) = store.unfinished(&query, wall(10)).await.unwrap();
    let of = |item: beaconfire_store::Unfinished| {
        assert_eq!(item.row.key.incident, item.incident.id);
        let service = item.incident.labels.get("service").to_owned();
        (format!("{service} {}", item.row.key.receiver), item.row.fate, item.in_flight)
    };
    items.into_iter().map(of).collect()
}

fn all() -> UnfinishedQuery {
    UnfinishedQuery { limit: 100, ..UnfinishedQuery::default() }
}

async fn fate(store: &Store, id: &IncidentId) -> Fate {
    store.rows(std::slice::from_ref(id)).await.unwrap().remove(0).fate
}

#[tokio::test]
async fn what_is_not_told_in_full_is_listed_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    put(&store, "a", Fate::Pending, &["chat"]).await;
    put(&store, "b", Fate::Dead, &["mail"]).await;
    put(&store, "c", Fate::Delivered, &["chat"]).await;
    put(&store, "d", Fate::Suppressed(Suppressed::TooOld), &["chat"]).await;
    let moved = put(&store, "e", Fate::Delivered, &["chat"]).await;
    let mut row = store.rows(std::slice::from_ref(&moved)).await.unwrap().remove(0);
    row.desired.revision += 1;
    save(&store, &[], &[row]).await.unwrap();

    let mut found = list(&store, all()).await;
    found.sort_by(|a, b| a.0.cmp(&b.0));
    let expected = [("a chat", Fate::Pending), ("b mail", Fate::Dead), ("e chat", Fate::Delivered)];
    assert_eq!(found, expected.map(|(name, fate)| (name.to_owned(), fate, false)));
    let dead = UnfinishedQuery { fate: Some("dead".into()), ..all() };
    assert_eq!(list(&store, dead).await, [("b mail".to_owned(), Fate::Dead, false)]);
    let mail = UnfinishedQuery { receiver: Some("mail".into()), ..all() };
    assert_eq!(list(&store, mail).await.len(), 1);

    store.claim("chat", "slack-0", "me", wall(1), LEASE, 1).await.unwrap();
    assert_eq!(list(&store, all()).await.iter().filter(|(_, _, in_flight)| *in_flight).count(), 1);
}

#[tokio::test]
async fn pages_follow_one_another_whatever_receivers_are_called() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    let receivers = ["chat", "a/b", "ü 100%", "/"];
    for service in ["a", "b", "c"] {
        put(&store, service, Fate::Dead, &receivers).await;
    }
    let whole = list(&store, all()).await;
    assert_eq!(whole.len(), 12);
    for limit in [1, 5, 11] {
        let (mut paged, mut cursor) = (Vec::new(), None);
        loop {
            let query = UnfinishedQuery { limit, cursor, ..all() };
            let (items, next) = store.unfinished(&query, wall(10)).await.unwrap();
            assert!(items.len() <= limit);
            paged.extend(items.into_iter().map(|item| item.row.key));
            cursor = next;
            if cursor.is_none() {
                break;
            }
        }
        let names: Vec<_> = paged.iter().map(|key| key.receiver.to_string()).collect();
        assert!(names.iter().zip(&whole).all(|(name, (of, ..))| of.ends_with(name.as_str())), "{names:?}");
        assert_eq!(paged.len(), 12, "{limit} at a time");
    }
    for cursor in ["", "x", "1/2/3", "one/2/3/4"] {
        let query = UnfinishedQuery { cursor: Some(cursor.into()), ..all() };
        assert!(matches!(store.unfinished(&query, wall(10)).await, Err(StoreError::Cursor)), "{cursor}");
    }
}

#[tokio::test]
async fn a_dead_letter_is_given_out_again_and_a_dropped_one_never() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    let id = put(&store, "shop", Fate::Dead, &["chat", "mail"]).await;
    let claim = async |at| store.claim("chat", "slack-0", "me", wall(at), LEASE, 9).await.unwrap();
    assert!(claim(1).await.is_empty());

    let adds_up = async || store.ledger().await.unwrap().iter().all(beaconfire_outbox::LedgerLine::adds_up);
    let done = store.by_hand(&id, "chat", None, ByHand::Retry, "mi\u{1b}ra", wall(2)).await.unwrap();
    let Handled::Done(rows) = done else { panic!("{done:?}") };
    assert_eq!(rows, store.rows(std::slice::from_ref(&id)).await.unwrap()[..1], "as it now stands");
    assert_eq!(rows[0].fate, Fate::Pending);
    assert!(adds_up().await);

    // In flight: nobody knows what becomes of it.
    let claimed = claim(3).await;
    assert_eq!(claimed.len(), 1);
    for what in [ByHand::Retry, ByHand::Drop] {
        let refused = store.by_hand(&id, "chat", Some("slack-0"), what, "mira", wall(4)).await.unwrap();
        assert!(matches!(&refused, Handled::Refused(why) if why.contains("at this moment")), "{refused:?}");
    }
    store.release(&claimed[0].key, "me").await.unwrap();

    let dropped = store.by_hand(&id, "chat", Some("slack-0"), ByHand::Drop, "mira", wall(5)).await.unwrap();
    assert!(matches!(dropped, Handled::Done(_)), "{dropped:?}");
    assert!(claim(6).await.is_empty());
    assert!(adds_up().await);
    let ledger = store.ledger().await.unwrap();
    assert_eq!((ledger[0].suppressed["dropped"], ledger[1].dead), (1, 1), "the mail is another row");

    let refused = store.by_hand(&id, "chat", None, ByHand::Drop, "mira", wall(7)).await.unwrap();
    assert!(matches!(&refused, Handled::Refused(why) if why.starts_with("chat (slack-0): ")), "{refused:?}");
    for (receiver, integration) in [("pager", None), ("chat", Some("slack-1"))] {
        let none = store.by_hand(&id, receiver, integration, ByHand::Drop, "mira", wall(7)).await.unwrap();
        assert_eq!(none, Handled::NotFound);
    }
    let lines = store.dossier(&id).await.unwrap().expect("an incident").timeline;
    let lines: Vec<_> = lines.iter().map(|line| (&*line.actor, &*line.what, &*line.text)).collect();
    assert_eq!(
        lines,
        [
            ("mi\\u{1b}ra", "retried", "chat (slack-0) is tried again"),
            ("mira", "dropped", "chat (slack-0) is not told"),
        ],
        "what was refused is none"
    );
}

#[tokio::test]
async fn what_is_held_is_dropped_from_its_digest_unless_that_is_on_its_way() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    let mut ids = Vec::new();
    for n in 0..13 {
        let incident = incident(&format!("shop-{n:02}"), 1);
        let mut row = row(&incident, "team");
        (row.desired.severity, row.lane) =
            (beaconfire_model::Severity::Warning, beaconfire_outbox::Lane::Ticket);
        ids.push(incident.id.clone());
        save(&store, &[folded(incident)], &[row]).await.unwrap();
    }
    let knobs = DigestKnobs::new(10, Rate { per_minute: 60, burst: 5 });
    assert_eq!(store.fold("team", "slack-0", &knobs, wall(1)).await.unwrap(), 3);
    let held = list(&store, UnfinishedQuery { fate: Some("held".into()), ..all() }).await;
    assert_eq!(held.len(), 3);
    let mut of_digest = Vec::new();
    for id in &ids {
        if matches!(fate(&store, id).await, Fate::Held(_)) {
            of_digest.push(id.clone());
        }
    }
    let hand = async |id: &IncidentId, what, at| {
        store.by_hand(id, "team", None, what, "mira", wall(at)).await.unwrap()
    };
    let early = hand(&of_digest[0], ByHand::Retry, 2).await;
    assert!(matches!(&early, Handled::Refused(why) if why.contains("digest")), "{early:?}");
    assert!(matches!(hand(&of_digest[0], ByHand::Drop, 2).await, Handled::Done(_)));

    let digest = store.digests("team", "slack-0", wall(11_000)).await.unwrap().remove(0);
    assert_eq!((digest.tally.members, digest.tally.held), (2, 2), "it no longer counts");
    store.claim_digest(digest.digest.id, "me", wall(11_000), LEASE).await.unwrap().expect("nobody's");
    let late = hand(&of_digest[1], ByHand::Drop, 11_001).await;
    assert!(matches!(&late, Handled::Refused(why) if why.contains("at this moment")), "{late:?}");
    assert!(store.ledger().await.unwrap()[0].adds_up());
}
