//! Opening, sharing and refusing files.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use beaconfire_store::{Store, StoreError, StoreKnobs};
use sqlx::Connection as _;

use crate::support::{folded, incident, knobs, open, save, stored};

#[tokio::test]
async fn reopening_keeps_identity_and_contents() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    let (installation, seed) = (store.installation().to_owned(), store.seed());
    assert!(installation.len() == 16 && installation.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let incident = incident("shop", 1);
    save(&store, &[folded(incident.clone())], &[]).await.unwrap();
    store.close().await;
    assert!(store.healthy().await.is_err(), "a closed store is not healthy");

    let again = open(directory.path()).await;
    again.healthy().await.unwrap();
    assert_eq!((again.installation(), again.seed()), (installation.as_str(), seed));
    assert_eq!(stored(&again, &incident.id).await.fingerprint, incident.fingerprint);

    let other = tempfile::tempdir().unwrap();
    assert_ne!(
        open(other.path()).await.installation(),
        installation,
        "another store is another installation"
    );
}

#[tokio::test]
async fn only_the_owner_may_read_its_files() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    save(&store, &[folded(incident("shop", 1))], &[]).await.unwrap();
    let mut names = Vec::new();
    for entry in std::fs::read_dir(directory.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{entry:?}");
        names.push(entry.file_name().into_string().unwrap());
    }
    names.sort();
    assert_eq!(names, ["our 100% store.db", "our 100% store.db-shm", "our 100% store.db-wal"]);
}

#[tokio::test]
async fn many_may_make_the_same_store_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let mut opening = tokio::task::JoinSet::new();
    for _ in 0..6 {
        let knobs = knobs(directory.path());
        opening.spawn(async move { Store::open(&knobs).await.unwrap().installation().to_owned() });
    }
    let mut installations = opening.join_all().await;
    installations.dedup();
    assert_eq!(installations.len(), 1, "one store has one installation");
}

#[tokio::test]
async fn what_cannot_be_opened_says_why() {
    let directory = tempfile::tempdir().unwrap();
    let missing = format!("sqlite:{}/no/such/store.db", directory.path().display());
    for (url, said) in [
        ("postgres://u:secret@h/db", "PostgreSQL is not in this version"),
        ("postgresql://u:secret@h/db", "PostgreSQL is not in this version"),
        ("mysql://h/db", "is not `sqlite:PATH`"),
        ("sqlite:", "names no file"),
        ("sqlite::memory:", "names no file"),
        ("sqlite:x.db?mode=memory", "parameters"),
        (missing.as_str(), "mkdir -p"),
    ] {
        let knobs = StoreKnobs { url: url.into(), retention: Duration::from_secs(1) };
        let refused = Store::open(&knobs).await.expect_err(url).to_string();
        assert!(refused.contains(said), "{url}: {refused}");
        assert!(!refused.contains("secret"), "{refused}");
    }
}

/// A stranger's connection to the same file.
async fn stranger(directory: &std::path::Path) -> sqlx::AnyConnection {
    let url = format!("sqlite://{}/our%20100%25%20store.db", directory.display());
    sqlx::AnyConnection::connect(&url).await.unwrap()
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    open(directory.path()).await.close().await;
    let mut newer = stranger(directory.path()).await;
    sqlx::raw_sql("INSERT INTO schema_version (version) VALUES (999)").execute(&mut newer).await.unwrap();
    let refused = Store::open(&knobs(directory.path())).await.unwrap_err();
    assert!(matches!(refused, StoreError::Newer { found: 999, .. }), "{refused}");
}

#[tokio::test]
async fn a_lock_that_lasts_is_busy_and_passes() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    let mut holder = stranger(directory.path()).await;
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut holder).await.unwrap();
    let wanted = [folded(incident("shop", 1))];
    match save(&store, &wanted, &[]).await.unwrap_err() {
        beaconfire_store::SaveError::Store(cause) => {
            assert!(cause.is_busy() && !cause.is_full(), "{cause}");
        }
        beaconfire_store::SaveError::Conflict => panic!("a lock is no conflict"),
    }
    assert!(store.unresolved().await.unwrap().is_empty(), "reading goes on, and nothing was written");
    sqlx::raw_sql("ROLLBACK").execute(&mut holder).await.unwrap();
    save(&store, &wanted, &[]).await.unwrap();
    assert_eq!(store.unresolved().await.unwrap().len(), 1);
}

#[tokio::test]
async fn no_space_is_told_from_busy() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    // A bound of pages gives the same code as a full disk.
    let mut tight = stranger(directory.path()).await;
    let full = async {
        sqlx::raw_sql("PRAGMA max_page_count = 1").execute(&mut tight).await?;
        sqlx::raw_sql("CREATE TABLE filler AS SELECT randomblob(4000000) AS filler").execute(&mut tight).await
    };
    let cause = StoreError::from(full.await.expect_err("no space"));
    assert!(cause.is_full() && !cause.is_busy(), "{cause}");
    store.healthy().await.unwrap();
}
