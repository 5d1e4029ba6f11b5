//! Retention and counts.

use beaconfire_incident::{Incident, Status};
use beaconfire_model::{Kind, Severity};

use crate::support::*;

#[tokio::test]
async fn retention_deletes_what_ended_and_never_the_numbers_of_episodes() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    let old = Incident { status: Status::Resolved, changed_at: wall(0), ..incident("old", 1) };
    let recent = Incident { status: Status::Resolved, changed_at: wall(1), ..incident("recent", 1) };
    let open = Incident { changed_at: wall(-1_000), ..incident("open", 1) };
    let mut crowded = laden(old.clone());
    crowded.participants =
        (0..2_500).map(|n| participant(&format!("10.0.{}.{}", n / 250, n % 250), 1.0)).collect();
    let rows = [row(&old, "team"), row(&recent, "team")];
    save(&store, &[crowded, laden(recent.clone()), laden(open.clone())], &rows).await.unwrap();

    let now = wall(1).plus(30 * DAY);
    assert_eq!(store.sweep(now).await.unwrap().incidents, 1);
    assert_eq!(store.dossier(&old.id).await.unwrap(), None);
    for kept in [&recent, &open] {
        let dossier = store.dossier(&kept.id).await.unwrap().unwrap();
        assert_eq!((dossier.signals.len(), dossier.participants.len(), dossier.points.len()), (1, 1, 1));
    }
    assert_eq!(store.rows(&[old.id, recent.id]).await.unwrap().len(), 1);
    let episodes = store.episodes(std::slice::from_ref(&old.fingerprint)).await.unwrap();
    assert_eq!(episodes[&old.fingerprint], (Vec::new(), 1), "the next episode is the second");
    assert_eq!(store.sweep(now).await.unwrap().incidents, 0);
}

#[tokio::test]
async fn open_incidents_are_counted_by_kind_and_severity() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    for (name, status) in [("a", Status::Open), ("b", Status::Acknowledged), ("c", Status::Resolved)] {
        save(&store, &[folded(Incident { status, ..incident(name, 1) })], &[]).await.unwrap();
    }
    let open = store.counts().await.unwrap().open;
    assert_eq!(open.into_iter().collect::<Vec<_>>(), [((Kind::Flood, Severity::Critical), 2)]);
}
