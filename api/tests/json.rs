//! The JSON API: shapes, pages, refusals.

use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::http::{Method, StatusCode};
use beaconfire_api::Lift;
use beaconfire_incident::{Command, Status};
use beaconfire_model::{EventTime, Kind};
use beaconfire_throttle::{Action, Mode};

use crate::fake::{Fake, decision};
use crate::harness::{ask, get, open};

#[tokio::test]
async fn a_lists_parameters_reach_the_desk_and_its_cursor_comes_back() {
    let desk = Fake::full();
    *desk.next_cursor.lock().unwrap() = Some("after 7/π".into());
    let path = "/api/v1/incidents?status=open,acknowledged&kind=flood&service=shop\
                &since=2026-01-02T03:04:05Z&limit=1&cursor=abc";
    let said = get(&open(&desk), path, &[]).await;
    assert_eq!(said.header("content-type"), "application/json");
    assert_eq!(said.json()["items"].as_array().unwrap().len(), 1);
    assert_eq!(said.json()["next_cursor"], "after 7/π");
    let query = desk.queries.lock().unwrap().pop().unwrap();
    assert_eq!(query.statuses, [Status::Open, Status::Acknowledged]);
    assert_eq!((query.kinds, query.service.as_deref()), (vec![Kind::Flood], Some("shop")));
    assert_eq!(query.since, Some(EventTime::from_millis(1_767_323_045_000)));
    assert_eq!((query.limit, query.cursor.as_deref()), (1, Some("abc")));
}

#[tokio::test]
async fn what_cannot_be_meant_is_a_problem_document() {
    let desk = Fake::full();
    let id = desk.cases.lock().unwrap()[4].dossier.incident.id.to_string();
    let resolve = format!("/api/v1/incidents/{id}/resolve");
    let notes = format!("/api/v1/incidents/{id}/notes");
    let json = "content-type: application/json";
    let large = format!(r#"{{"text":"{}"}}"#, "x".repeat(1 << 20));
    let router = open(&desk);
    for (method, path, header, body, status, detail) in [
        (Method::GET, "/nosuch", "x-a: b", "", 404, "nothing"),
        (Method::PUT, "/api/v1/incidents", "x-a: b", "", 405, "Allow"),
        (Method::GET, "/api/v1/incidents?stauts=open", "x-a: b", "", 400, "stauts"),
        (Method::GET, "/api/v1/incidents?status=opened", "x-a: b", "", 400, "opened"),
        (Method::GET, "/api/v1/incidents?limit=0", "x-a: b", "", 400, "1 to 500"),
        (Method::GET, "/api/v1/incidents?limit=501", "x-a: b", "", 400, "1 to 500"),
        (Method::GET, "/api/v1/incidents?since=yesterday", "x-a: b", "", 400, "RFC 3339"),
        (Method::GET, "/api/v1/incidents/../../etc", "x-a: b", "", 404, "nothing"),
        (Method::GET, "/api/v1/incidents/xyz", "x-a: b", "", 404, "no such thing"),
        (
            Method::GET,
            "/api/v1/incidents/00000000000000000000000000000000",
            "x-a: b",
            "",
            404,
            "no such thing",
        ),
        (Method::POST, &*resolve, "x-a: b", "", 409, "resolved already"),
        (Method::POST, &*notes, "x-a: b", "text", 415, "application/json"),
        (Method::POST, &*notes, json, "{", 422, "EOF"),
        (Method::POST, &*notes, json, r#"{"txt":""}"#, 422, "txt"),
        (Method::POST, &*notes, json, r#"{"text":" \n "}"#, 400, "empty"),
        (Method::POST, &*notes, json, &*large, 413, "1 MiB"),
        (Method::DELETE, "/api/v1/decisions", "x-a: b", "", 400, "say which"),
        (Method::DELETE, "/api/v1/decisions?all=yes", "x-a: b", "", 400, "say which"),
        (Method::DELETE, "/api/v1/decisions?id=1&all=true", "x-a: b", "", 400, "say which"),
        (Method::DELETE, "/api/v1/decisions?value=shop", "x-a: b", "", 400, "shop"),
    ] {
        let said = ask(&router, method.clone(), path, &[header], body).await;
        assert_eq!(said.status.as_u16(), status, "{method} {path}");
        assert!(said.problem().contains(detail), "{method} {path}: {}", said.body);
    }
}

#[tokio::test]
async fn a_store_that_does_not_answer_is_said_without_its_secrets() {
    let desk = Fake::full();
    desk.store_down.store(true, Ordering::Relaxed);
    let router = open(&desk);
    for path in ["/api/v1/incidents", "/api/v1/ledger", "/api/v1/decisions"] {
        let said = get(&router, path, &[]).await;
        assert_eq!(said.status, StatusCode::SERVICE_UNAVAILABLE, "{path}");
        assert!(!said.problem().contains("secret.db"), "{path}");
        assert_eq!(said.header("retry-after"), "5");
    }
    assert_eq!(get(&router, "/api/v1/status", &[]).await.json()["store_up"], false);
    assert_eq!(get(&router, "/readyz", &[]).await.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(get(&router, "/healthz", &[]).await.status, StatusCode::OK);
}

#[tokio::test]
async fn commands_carry_who_and_what() {
    let desk = Fake::full();
    let id = desk.cases.lock().unwrap()[0].dossier.incident.id.clone();
    let router = open(&desk);
    for (action, body, command) in [
        ("acknowledge", "", Command::Acknowledge),
        ("resolve", "", Command::Resolve),
        ("reopen", "", Command::Reopen),
        ("accept", "", Command::Accept),
        (
            "notes",
            r#"{"text":"first\r\nsecond \u001b[31m"}"#,
            Command::Note("first / second \\u{1b}[31m".into()),
        ),
    ] {
        let path = format!("/api/v1/incidents/{id}/{action}");
        let said = ask(&router, Method::POST, &path, &["content-type: application/json"], body).await;
        assert_eq!(said.status, StatusCode::OK, "{}", said.body);
        assert_eq!(said.json()["id"], id.as_str());
        let (to, actor, what) = desk.commands.lock().unwrap().pop().unwrap();
        assert_eq!((to, &*actor.0, what), (id.clone(), "local", command));
    }
}

#[tokio::test]
async fn an_incident_is_told_whole() {
    let desk = Fake::full();
    let id = desk.cases.lock().unwrap()[0].dossier.incident.id.clone();
    let json = get(&open(&desk), &format!("/api/v1/incidents/{id}"), &[]).await.json();
    assert_eq!(json["target"], serde_json::json!({ "kind": "service", "name": "shop" }));
    assert_eq!(
        (&json["kind"], &json["severity"], &json["status"]),
        (&"flood".into(), &"critical".into(), &"open".into())
    );
    assert_eq!(json["participants_total"], 300);
    assert_eq!(json["participants"][0]["value"], "203.0.113.7");
    assert_eq!(json["signals"][0]["rule"], "requests-per-client");
    assert_eq!(json["ended_at"], serde_json::Value::Null);
    assert_eq!(json["labels"]["alertname"], "requests-per-client");
    assert_eq!(json["techniques"], serde_json::json!(["T1499.002"]));
    // Whole numbers print as such, here as in a webhook.
    for (path, name) in [("/participants/0", "events"), ("/signals/0", "observed"), ("/points/0", "value")] {
        assert!(json.pointer(path).unwrap()[name].is_i64(), "{path} {json}");
    }
    assert_eq!(json["notifications"][2]["still_to_tell"], "open");
    assert_eq!(json["decisions"][1]["scope"], "range");
    assert_eq!(json["timeline"][0]["what"], "opened");
    assert!(json["started_at"].as_str().unwrap().ends_with('Z'));
}

#[tokio::test]
async fn a_path_that_is_no_text_is_a_problem_like_any_other() {
    let said = get(&open(&Fake::full()), "/api/v1/incidents/%ff", &[]).await;
    assert_eq!((said.status, &*said.problem()), (StatusCode::BAD_REQUEST, "the path is not UTF-8"));
}

#[tokio::test]
async fn the_ledger_adds_up() {
    let json = get(&open(&Fake::full()), "/api/v1/ledger", &[]).await.json();
    let line = &json["items"][0];
    let count = |name: &str| line[name].as_u64().unwrap();
    let suppressed: u64 =
        line["suppressed"].as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum();
    assert_eq!(
        count("created"),
        count("delivered") + count("in_digest") + suppressed + count("dead") + count("pending")
    );
    assert_eq!(json["next_cursor"], serde_json::Value::Null);
}

#[tokio::test]
async fn decisions_by_hand_and_their_end() {
    let desk = Fake::full();
    desk.board.put(
        decision(1, "203.0.113.7", Action::Ban, Mode::DryRun, Duration::from_secs(600)),
        crate::fake::now(),
    );
    let router = open(&desk);
    let item = &get(&router, "/api/v1/decisions", &[]).await.json()["items"][0];
    assert_eq!((&item["value"], &item["mode"]), (&"203.0.113.7".into(), &"dry_run".into()));

    let body = r#"{"value":"::ffff:198.51.100.9","action":"throttle","duration_seconds":60,"mode":"enforce","reason":"why"}"#;
    let json = ["content-type: application/json"];
    let said = ask(&router, Method::POST, "/api/v1/decisions", &json, body).await;
    assert_eq!(said.status, StatusCode::CREATED, "{}", said.body);
    let (actor, wanted) = desk.wanted.lock().unwrap().pop().unwrap();
    assert_eq!((&*actor.0, wanted.network.to_string()), ("local", "198.51.100.9/32".to_owned()));
    assert_eq!(
        (wanted.action, wanted.mode, wanted.duration),
        (Action::Throttle, Some(Mode::Enforce), Duration::from_secs(60))
    );

    for bad in [
        r#"{"value":"shop","action":"ban","duration_seconds":60}"#,
        r#"{"value":"198.51.100.9","action":"nuke","duration_seconds":60}"#,
        r#"{"value":"198.51.100.9","action":"ban","duration_seconds":0}"#,
        r#"{"value":"198.51.100.9","action":"ban","duration_seconds":99999999}"#,
        r#"{"value":"198.51.100.9","action":"ban","duration_seconds":60,"mode":"live"}"#,
    ] {
        let said = ask(&router, Method::POST, "/api/v1/decisions", &json, bad).await;
        assert_eq!(said.status, StatusCode::BAD_REQUEST, "{bad}");
    }
    for (query, lift, allow) in [
        ("id=7", Lift::Id(7), true),
        ("id=7&allow=false", Lift::Id(7), false),
        ("value=203.0.113.7&allow=true", Lift::Network("203.0.113.7/32".parse().unwrap()), true),
        ("value=198.51.100.77/24", Lift::Network("198.51.100.0/24".parse().unwrap()), true),
        ("all=true", Lift::All, true),
    ] {
        let said = ask(&router, Method::DELETE, &format!("/api/v1/decisions?{query}"), &[], "").await;
        assert_eq!(said.body, r#"{"items":[],"next_cursor":null}"#);
        assert_eq!(desk.lifted.lock().unwrap().pop(), Some((lift, allow)), "{query}");
    }
    let said = ask(&router, Method::DELETE, "/api/v1/decisions?id=7&allow=perhaps", &[], "").await;
    assert_eq!(said.status, StatusCode::BAD_REQUEST, "{}", said.body);
}

#[tokio::test]
async fn status_and_sources_have_their_shapes() {
    let router = open(&Fake::full());
    let status = get(&router, "/api/v1/status", &[]).await.json();
    assert_eq!((&status["version"], &status["kafka_up"]), (&"0.1.0".into(), &true.into()));
    assert_eq!(status["receivers"][1]["last_error"], "450 mailbox busy");
    let source = &get(&router, "/api/v1/sources", &[]).await.json()["items"][0];
    assert_eq!(source["formats"][0], serde_json::json!({ "format": "combined", "records": 1200 }));
    assert_eq!((&source["lateness_seconds"], &source["disorder_seconds"]), (&30.into(), &0.512.into()));
    assert_eq!(status["inexact_rules"][0]["rule"], "server-errors");
    assert_eq!(status["learning"], serde_json::json!({"series": 3, "seconds_left": 5400}));
    let sample = serde_json::json!({"reason": "syntax", "offset": 17, "payload": "{\"uri\":\"/s?…\""});
    assert_eq!(source["rejected_samples"], serde_json::json!([sample]));
}
