//! Decisions and keys.

use beaconfire_model::Wall;
use beaconfire_store::{Pick, SaveError, StoreError, Write};
use beaconfire_throttle::{Action, Decision, DecisionKey, Mode, Origin};
use sha2::{Digest, Sha256};

use crate::support::*;

fn decision(network: &str, until: i64) -> Decision {
    Decision {
        id: 0,
        key: DecisionKey { network: network.parse().unwrap(), action: Action::Throttle, mode: Mode::Enforce },
        scenario: "flood".into(),
        origin: Origin::Manual("ann".into()),
        incident: Some(incident("shop", 1).id),
        reason: "too many".into(),
        created: wall(0),
        expires: wall(until),
        deleted: None,
        changed: wall(0),
    }
}

fn ids(decisions: &[Decision]) -> Vec<i64> {
    decisions.iter().map(|decision| decision.id).collect()
}

#[tokio::test]
async fn a_decision_is_never_extended_only_replaced_by_a_longer_one() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    let (short, long) = (decision("203.0.113.7/32", 100), decision("203.0.113.7/32", 200));
    let other = Decision { origin: Origin::Rule, incident: None, ..decision("2001:db8::/64", 100) };
    let write = Write { decisions: &[short.clone(), other.clone()], ..Write::default() };
    let saved = store.save(write).await.unwrap();
    assert_eq!(saved, [Decision { id: 1, ..short.clone() }, Decision { id: 2, ..other }]);
    assert_eq!(store.add_decision(&short).await.unwrap().id, 1, "a replay makes none");

    let later = Decision { created: wall(10), changed: wall(10), ..long };
    assert_eq!(store.add_decision(&later).await.unwrap().id, 3);
    assert_eq!(ids(&store.decisions_active(wall(50)).await.unwrap()), [2, 3]);
    let changed = store.decisions_changed_since(wall(10)).await.unwrap();
    assert_eq!((ids(&changed), changed[0].deleted), (vec![1, 3], Some(wall(10))));
    assert_eq!(ids(&store.decisions_active(wall(100)).await.unwrap()), [3], "expired at its moment");
    assert_eq!(ids(&store.decisions_of(&incident("shop", 1).id).await.unwrap()), [1, 3]);
    assert_eq!(store.decisions_changed_since(Wall::from_millis(0)).await.unwrap().len(), 3);
}

#[tokio::test]
async fn decisions_are_taken_back_by_number_by_network_or_all() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    for network in ["203.0.113.1/32", "203.0.113.2/32", "203.0.113.3/32", "203.0.113.4/32"] {
        store.add_decision(&decision(network, 100)).await.unwrap();
    }
    let exact = Pick::Network("203.0.113.2/32".parse().unwrap());
    let around = Pick::Network("203.0.113.0/24".parse().unwrap());
    for (pick, taken) in [
        (Pick::Id(1), vec![1]),
        (Pick::Id(1), vec![]),
        (Pick::Id(99), vec![]),
        (around, vec![]),
        (exact, vec![2]),
        (Pick::All, vec![3, 4]),
        (Pick::All, vec![]),
    ] {
        let answered = store.delete_decision(&pick, None, wall(50)).await.unwrap();
        assert_eq!(ids(&answered), taken, "{pick:?}");
        assert!(answered.iter().all(|decision| decision.deleted == Some(wall(50))), "{pick:?}");
    }
    assert!(store.decisions_active(wall(50)).await.unwrap().is_empty());
}

#[tokio::test]
async fn what_is_taken_back_is_allowed_and_no_rule_decides_on_it_meanwhile() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    let rule = |network: &str, at: i64| Decision {
        origin: Origin::Rule,
        created: wall(at),
        changed: wall(at),
        ..decision(network, 9_000)
    };
    let save = async |decision: Decision| {
        store.save(Write { decisions: &[decision], ..Write::default() }).await.map(|decided| decided.len())
    };
    for network in ["203.0.113.1/32", "203.0.113.2/32", "203.0.113.3/32"] {
        assert_eq!(save(rule(network, 0)).await.unwrap(), 1);
    }
    // Named without a decision, by number, and all that is left; the first stays without being allowed.
    let named = Pick::Network("198.51.100.0/24".parse().unwrap());
    for (pick, until) in [
        (Pick::Id(1), None),
        (Pick::Id(2), Some(wall(100))),
        (named, Some(wall(100))),
        (Pick::All, Some(wall(60))),
    ] {
        store.delete_decision(&pick, until, wall(50)).await.unwrap();
    }
    let allows = store.allows(wall(50)).await.unwrap();
    for (network, allowed) in [
        ("203.0.113.1/32", false),
        ("203.0.113.2/32", true),
        ("203.0.113.3/32", true),
        ("198.51.100.7/32", true),
    ] {
        assert_eq!(allows.covers(network.parse().unwrap(), wall(50)), allowed, "{network}");
        // Decided before that was known: the fold has to read again.
        let saved = save(rule(network, 50)).await;
        assert_eq!(matches!(saved, Err(SaveError::Conflict)), allowed, "{network}: {saved:?}");
    }
    assert_eq!(save(rule("203.0.113.3/32", 60)).await.unwrap(), 1, "no longer allowed");
    assert_eq!(
        store.add_decision(&decision("203.0.113.2/32", 9_000)).await.unwrap().key.network.to_string(),
        "203.0.113.2/32"
    );
    store.sweep(wall(100)).await.unwrap();
    assert_eq!(store.allows(wall(50)).await.unwrap(), Default::default(), "swept");
}

#[tokio::test]
async fn numbers_of_decisions_are_never_used_twice() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    store.add_decision(&decision("203.0.113.1/32", 100)).await.unwrap();
    assert_eq!(store.sweep(wall(100).plus(31 * DAY)).await.unwrap().decisions, 1);
    assert_eq!(store.add_decision(&decision("203.0.113.1/32", 100)).await.unwrap().id, 2);
}

#[tokio::test]
async fn a_key_is_shown_once_and_works_until_it_is_revoked() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    let secret = store.key_add("edge", wall(0)).await.unwrap();
    assert!(
        matches!(store.key_add("edge", wall(1)).await, Err(StoreError::KeyExists(name)) if name == "edge")
    );
    let hash: String = Sha256::digest(secret.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(store.key_verify(&hash).await.unwrap().as_deref(), Some("edge"));
    assert_eq!(store.key_verify(&secret).await.unwrap(), None, "the secret itself is not kept");
    store.key_touch("edge", wall(9)).await.unwrap();
    store.key_touch("edge", wall(5)).await.unwrap();
    assert!(store.key_revoke("edge", wall(10)).await.unwrap());
    assert!(!store.key_revoke("edge", wall(11)).await.unwrap());
    assert_eq!(store.key_verify(&hash).await.unwrap(), None);
    let keys = store.key_list().await.unwrap();
    assert_eq!((keys[0].last_used, keys[0].revoked), (Some(wall(9)), Some(wall(10))));
    assert_ne!(store.key_add("edge", wall(12)).await.unwrap(), secret, "the name is free again");
}
