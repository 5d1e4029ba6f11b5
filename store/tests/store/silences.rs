//! Silences: kept, bounded, ended.

use beaconfire_incident::Step;
use beaconfire_model::{Labels, parse_matchers};
use beaconfire_outbox::{Silence, SilenceState, Told};
use beaconfire_store::{SILENCES_MAX, StoreError};

use crate::support::*;

fn silence(from: i64, until: i64) -> Silence {
    Silence {
        id: "ignored".into(),
        matchers: parse_matchers([r#"service=~"sh.p|\"q\"""#, "severity!=critical"]).unwrap(),
        author: "ann".into(),
        comment: "load test".into(),
        starts_at: wall(from),
        ends_at: wall(until),
        updated_at: wall(0),
    }
}

#[tokio::test]
async fn a_silence_is_read_back_as_it_was_made_until_it_is_over() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    let made = store.add_silence(&silence(10, 60), wall(5)).await.unwrap();
    assert_eq!(made.id.len(), 32);
    assert_eq!(made, Silence { id: made.id.clone(), updated_at: wall(5), ..silence(10, 60) });
    let later = store.add_silence(&silence(10, 90), wall(6)).await.unwrap();
    assert_ne!(later.id, made.id);
    assert_eq!(store.silences(wall(59)).await.unwrap(), [made.clone(), later.clone()]);
    assert_eq!(store.silences(wall(60)).await.unwrap(), std::slice::from_ref(&later));
    assert_eq!(store.silences_over(wall(60)).await.unwrap(), std::slice::from_ref(&made));

    // Of those that hold, the one that lasts longest is named.
    let shop = Labels::from_iter([("service", "shop")]);
    let of = async |labels: &Labels, at| store.silence_of(labels, wall(at)).await.unwrap();
    assert_eq!(of(&shop, 9).await, None, "it has not begun");
    assert_eq!(of(&shop, 10).await, Some(later));
    assert_eq!(of(&Labels::from_iter([("service", "till")]), 10).await, None);
}

#[tokio::test]
async fn to_end_a_silence_ends_it_now_and_once() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    let made = store.add_silence(&silence(0, 60), wall(0)).await.unwrap();
    let to_come = store.add_silence(&silence(30, 60), wall(0)).await.unwrap();
    let ended = store.expire_silence(&made.id, wall(20)).await.unwrap().unwrap();
    assert_eq!((ended.starts_at, ended.ends_at, ended.updated_at), (wall(0), wall(20), wall(20)));
    assert_eq!(ended.state(wall(20)), SilenceState::Expired);
    assert_eq!(store.expire_silence(&made.id, wall(25)).await.unwrap(), Some(ended), "it stays as it was");
    let never = store.expire_silence(&to_come.id, wall(20)).await.unwrap().unwrap();
    assert_eq!((never.starts_at, never.ends_at), (wall(20), wall(20)));
    assert!(store.silences(wall(20)).await.unwrap().is_empty());
    assert_eq!(store.expire_silence("nobody's", wall(20)).await.unwrap(), None);
}

#[tokio::test]
async fn there_are_so_many_at_once_and_no_more() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    for _ in 0..SILENCES_MAX {
        store.add_silence(&silence(0, 60), wall(0)).await.unwrap();
    }
    let refused = store.add_silence(&silence(0, 60), wall(0)).await.unwrap_err();
    assert!(matches!(refused, StoreError::TooManySilences));
    assert!(refused.to_string().contains("200"), "{refused}");
    store.add_silence(&silence(60, 99), wall(60)).await.unwrap();
}

/// Steps are absolute times, whose it is stays, and whether a message says that it is silenced.
#[tokio::test]
async fn what_comes_next_and_what_was_said_outlives_the_process() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    let mut incident = incident("shop", 1);
    incident.assignee = Some("ann".into());
    incident.steps = vec![
        Step { due: wall(300), receiver: "pager".into(), done: true },
        Step { due: wall(900), receiver: "boss".into(), done: false },
    ];
    let mut row = row(&incident, "team");
    row.told = Some(Told { silenced: true, ..row.desired });
    let other = {
        let mut other = self::row(&incident, "other");
        other.desired.silenced = true;
        other
    };
    save(&store, &[folded(incident.clone())], &[row, other]).await.unwrap();
    drop(store);
    let store = open(directory.path()).await;
    let read = store.incident(&incident.id).await.unwrap().unwrap();
    assert_eq!((read.assignee, read.steps), (incident.assignee, incident.steps));
    let rows = store.rows(&[incident.id]).await.unwrap();
    let silenced = |at: usize| (rows[at].desired.silenced, rows[at].told.map(|told| told.silenced));
    assert_eq!((silenced(0), silenced(1)), ((true, None), (false, Some(true))));
}
