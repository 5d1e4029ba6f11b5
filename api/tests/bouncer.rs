//! CrowdSec's contract, as its bouncers rely on it.

use std::time::Duration;

use axum::Router;
use axum::http::{Method, StatusCode};
use beaconfire_throttle::{Action, Mode};
use serde_json::Value;

use crate::fake::{BOUNCER_KEY, Fake, decision, now};
use crate::harness::{Said, ask, get, open};

async fn pull(router: &Router, path: &str) -> Said {
    get(router, path, &[&format!("x-api-key: {BOUNCER_KEY}"), "user-agent: crowdsec-firewall-bouncer/-"])
        .await
}

const HOUR: Duration = Duration::from_secs(3600);

/// A ban, a captcha on a range, an IPv6 client, and what must never be told.
fn table(desk: &Fake) {
    for held in [
        decision(1, "203.0.113.7", Action::Ban, Mode::Enforce, HOUR),
        decision(2, "198.51.100.0/24", Action::Captcha, Mode::Enforce, 2 * HOUR),
        decision(3, "2001:db8:1:2::/64", Action::Ban, Mode::Enforce, HOUR),
        decision(4, "192.0.2.1", Action::Ban, Mode::DryRun, HOUR),
    ] {
        let learned = held.changed;
        desk.board.put(held, learned);
    }
}

/// One that has less than a second to run: told as `0s` it would never end.
fn nearly_over(desk: &Fake) {
    desk.board.put(decision(5, "192.0.2.2", Action::Ban, Mode::Enforce, Duration::from_millis(900)), now());
}

fn values(list: &Value) -> Vec<&str> {
    let mut values: Vec<_> =
        list.as_array().into_iter().flatten().map(|item| item["value"].as_str().unwrap()).collect();
    values.sort_unstable();
    values
}

#[tokio::test]
async fn bare_answers_are_crowdsecs() {
    let router = open(&Fake::empty());
    let key = format!("x-api-key: {BOUNCER_KEY}");
    let forbidden = r#"{"message":"access forbidden"}"#;
    for (method, path, headers, status, body) in [
        (Method::GET, "/v1/decisions?ip=1.2.3.4", &[][..], 403, forbidden),
        (Method::GET, "/v1/decisions/stream", &["x-api-key: bad"][..], 403, forbidden),
        (Method::HEAD, "/v1/decisions/stream", &["x-api-key: bad"][..], 403, ""),
        (Method::GET, "/v1/decisions?ip=1.2.3.4", &[&*key][..], 200, "null"),
        (Method::GET, "/v1/decisions?scope=Ip&value=10.0.0.1&type=ban", &[&*key][..], 200, "null"),
        (
            Method::GET,
            "/v1/decisions/stream?startup=true",
            &[&*key][..],
            200,
            r#"{"deleted":null,"new":null}"#,
        ),
        (Method::GET, "/v1/decisions/stream?", &[&*key][..], 200, r#"{"deleted":null,"new":null}"#),
        (Method::HEAD, "/v1/decisions?ip=1.2.3.4", &[&*key][..], 200, ""),
        (Method::HEAD, "/v1/decisions/stream", &[&*key][..], 200, ""),
        (Method::POST, "/v1/usage-metrics", &[&*key][..], 201, ""),
        (Method::POST, "/v1/decisions", &[&*key][..], 405, ""),
        (Method::DELETE, "/v1/decisions/stream", &[&*key][..], 405, ""),
        (Method::GET, "/v1/heartbeat", &[&*key][..], 404, ""),
        (Method::GET, "/v1/nosuch", &[][..], 404, ""),
        (Method::GET, "/health", &[][..], 200, r#"{"status":"up"}"#),
        (Method::POST, "/health", &[][..], 405, ""),
    ] {
        let sent = if method == Method::POST { "{}" } else { "" };
        let said = ask(&router, method.clone(), path, headers, sent).await;
        assert_eq!((said.status.as_u16(), &*said.body), (status, body), "{method} {path}");
    }
    let said = ask(&router, Method::POST, "/v1/usage-metrics", &[&key], "{\"remediation").await;
    assert_eq!(said.status, StatusCode::BAD_REQUEST);
    assert!(said.json()["message"].as_str().unwrap().contains("no JSON"), "{}", said.body);
    let said = pull(&router, "/v1/decisions?ip=notanip").await;
    assert_eq!(said.status, StatusCode::BAD_REQUEST);
    assert!(said.json()["message"].as_str().unwrap().contains("notanip"));
}

#[tokio::test]
async fn filters_find_what_is_asked_for() {
    let desk = Fake::empty();
    table(&desk);
    nearly_over(&desk);
    let router = open(&desk);
    for (query, expected) in [
        ("ip=203.0.113.7", &["203.0.113.7"][..]),
        ("ip=::ffff:203.0.113.7", &["203.0.113.7"][..]),
        ("ip=198.51.100.200", &["198.51.100.0/24"][..]),
        ("ip=2001:db8:1:2:3::4", &["2001:db8:1:2::/64"][..]),
        ("ip=192.0.2.1", &[][..]),
        ("ip=192.0.2.2", &[][..]),
        ("range=198.51.100.128/25&contains=true", &["198.51.100.0/24"][..]),
        ("range=198.51.0.0/16", &[][..]),
        ("range=198.51.0.0/16&contains=false", &["198.51.100.0/24"][..]),
        ("scope=range", &["198.51.100.0/24", "2001:db8:1:2::/64"][..]),
        ("scopes=Ip", &["203.0.113.7"][..]),
        ("scope=Country", &[][..]),
        ("value=203.0.113.7", &["203.0.113.7"][..]),
        ("type=BAN", &["2001:db8:1:2::/64", "203.0.113.7"][..]),
        ("origins=beaconfire,other", &["198.51.100.0/24", "2001:db8:1:2::/64", "203.0.113.7"][..]),
        ("origins=CAPI", &[][..]),
        ("scenarios_containing=per-client", &["198.51.100.0/24", "2001:db8:1:2::/64", "203.0.113.7"][..]),
        ("scenarios_not_containing=per-client", &[][..]),
        ("banned=true&dedup=false&ip=203.0.113.7", &["203.0.113.7"][..]),
    ] {
        let said = pull(&router, &format!("/v1/decisions?{query}")).await;
        assert_eq!(said.status, StatusCode::OK, "{query}");
        if expected.is_empty() {
            assert_eq!(said.body, "null", "{query}");
        } else {
            assert_eq!(values(&said.json()), expected, "{query}");
        }
    }
}

#[tokio::test]
async fn every_decision_has_all_fields_and_whole_seconds() {
    let desk = Fake::empty();
    table(&desk);
    nearly_over(&desk);
    let said = pull(&open(&desk), "/v1/decisions/stream?startup=true").await;
    let json = said.json();
    assert_eq!(values(&json["new"]), ["198.51.100.0/24", "2001:db8:1:2::/64", "203.0.113.7"]);
    for item in json["new"].as_array().unwrap() {
        for field in ["duration", "origin", "scenario", "scope", "type", "value"] {
            assert!(!item[field].as_str().unwrap().is_empty(), "{field} in {item}");
        }
        let duration = item["duration"].as_str().unwrap();
        assert!(duration.ends_with('s') && !duration.contains(['.', '-', 'd']), "{duration}");
        assert_eq!(item["origin"], "beaconfire");
        assert!(item["id"].as_i64().unwrap() > 0);
    }
    assert_eq!(said.header("content-length"), said.body.len().to_string());
}

#[tokio::test]
async fn a_stream_tells_each_change_once_and_deletes_first() {
    let desk = Fake::empty();
    table(&desk);
    let router = open(&desk);
    pull(&router, "/v1/decisions/stream?startup=true").await;
    assert_eq!(pull(&router, "/v1/decisions/stream").await.body, r#"{"deleted":null,"new":null}"#);

    // One is taken back, one comes, one gets a longer expiry: that one must be deleted and new at once.
    let mut lifted = decision(1, "203.0.113.7", Action::Ban, Mode::Enforce, HOUR);
    (lifted.deleted, lifted.changed) = (Some(now()), now());
    desk.board.put(lifted, now());
    let mut fresh = decision(6, "203.0.113.99", Action::Ban, Mode::Enforce, HOUR);
    (fresh.created, fresh.changed) = (now(), now());
    desk.board.put(fresh, now());
    let mut longer = decision(3, "2001:db8:1:2::/64", Action::Ban, Mode::Enforce, 9 * HOUR);
    longer.changed = now();
    desk.board.put(longer, now());
    let mut dry = decision(7, "192.0.2.77", Action::Ban, Mode::DryRun, HOUR);
    (dry.deleted, dry.changed) = (Some(now()), now());
    desk.board.put(dry, now());

    let said = pull(&router, "/v1/decisions/stream").await;
    let json = said.json();
    assert_eq!(values(&json["new"]), ["2001:db8:1:2::/64", "203.0.113.99"]);
    assert_eq!(values(&json["deleted"]), ["2001:db8:1:2::/64", "203.0.113.7"]);
    assert!(said.body.find("\"deleted\"") < said.body.find("\"new\""), "deletes come first");
    let gone =
        &json["deleted"].as_array().unwrap().iter().find(|item| item["value"] == "203.0.113.7").unwrap();
    assert_eq!(gone["duration"], "-1s");

    // Polls overlap by two seconds: what happened in them comes again, which bouncers skip.
    assert_eq!(values(&pull(&router, "/v1/decisions/stream").await.json()["new"]).len(), 2);
    tokio::time::sleep(Duration::from_millis(2100)).await;
    pull(&router, "/v1/decisions/stream").await;
    assert_eq!(pull(&router, "/v1/decisions/stream").await.body, r#"{"deleted":null,"new":null}"#);
    // Who starts anew is told everything again.
    let json = pull(&router, "/v1/decisions/stream?startup=true").await.json();
    assert_eq!(values(&json["new"]), ["198.51.100.0/24", "2001:db8:1:2::/64", "203.0.113.99"]);
    assert_eq!(values(&json["deleted"]), ["203.0.113.7"]);
}

#[tokio::test]
async fn who_asks_for_the_first_time_without_startup_is_told_everything() {
    let desk = Fake::empty();
    table(&desk);
    let router = open(&desk);
    assert_eq!(values(&pull(&router, "/v1/decisions/stream?startup=false").await.json()["new"]).len(), 3);
    assert_eq!(pull(&router, "/v1/decisions/stream").await.json()["new"], Value::Null);
}

#[tokio::test]
async fn only_a_read_moves_the_last_pull() {
    let desk = Fake::empty();
    table(&desk);
    let router = open(&desk);
    let key = format!("x-api-key: {BOUNCER_KEY}");
    ask(&router, Method::HEAD, "/v1/decisions/stream", &[&key], "").await;
    ask(&router, Method::HEAD, "/v1/decisions", &[&key], "").await;
    assert!(desk.pulls.lock().unwrap().is_empty());
    assert!(!get(&router, "/metrics", &[]).await.body.contains("last_pull"));
    // The HEAD above did not count as this bouncer's first read either.
    assert_eq!(values(&pull(&router, "/v1/decisions/stream").await.json()["new"]).len(), 3);
    let pulls = desk.pulls.lock().unwrap().clone();
    assert_eq!((&*pulls[0].key, &*pulls[0].agent), ("edge-nft", "crowdsec-firewall-bouncer/-"));
    let metrics = get(&router, "/metrics", &[]).await.body;
    let name = "beaconfire_throttle_bouncer_last_pull_timestamp_seconds{bouncer=\"edge-nft\"} 1";
    assert!(metrics.contains(name), "{metrics}");
}

#[tokio::test]
async fn an_answer_that_was_never_taken_is_told_again() {
    use axum::body::Body;
    use axum::http::Request;
    use tower::ServiceExt;

    let desk = Fake::empty();
    table(&desk);
    let router = open(&desk);
    let request = || {
        let request = Request::builder().uri("/v1/decisions/stream").header("host", "127.0.0.1");
        request.header("x-api-key", BOUNCER_KEY).body(Body::empty()).unwrap()
    };
    drop(router.clone().oneshot(request()).await.unwrap());
    assert_eq!(values(&pull(&router, "/v1/decisions/stream").await.json()["new"]).len(), 3);
}
