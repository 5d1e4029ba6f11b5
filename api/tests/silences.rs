//! Silences and assigning over the API.

use std::time::Duration;

use axum::http::{Method, StatusCode};
use beaconfire_api::Role;
use beaconfire_incident::Command;

use crate::fake::{Fake, SILENCE, now, silenced};
use crate::harness::{ask, get, open, secret, surface, with_tokens};

const PATH: &str = "/api/v1/silences";
const JSON: &str = "content-type: application/json";

#[tokio::test]
async fn a_silence_is_made_listed_and_ended() {
    let desk = Fake::full();
    let router = open(&desk);
    let body = r#"{"matchers":["service=\"shop\"","severity=~\"critical|error\""],"author":"mira","comment":"load  test\nby us","duration_seconds":3600}"#;
    let made = ask(&router, Method::POST, PATH, &[JSON], body).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    let made = made.json();
    assert_eq!((&made["id"], &made["status"]), (&SILENCE.into(), &"active".into()));
    assert_eq!(made["matchers"], serde_json::json!(["service=\"shop\"", "severity=~\"critical|error\""]));
    assert_eq!((&made["author"], &made["comment"]), (&"mira".into(), &"load test by us".into()));
    assert_eq!(made["incidents_total"], 0, "the flood on shop has no label of its severity here");

    let listed = get(&router, PATH, &[]).await.json();
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    assert_eq!(listed["items"][0]["ends_at"], made["ends_at"]);
    let of = |status: &str| format!("{PATH}?status={status}");
    assert_eq!(get(&router, &of("pending,active"), &[]).await.json()["items"][0]["id"], SILENCE);
    assert_eq!(get(&router, &of("expired"), &[]).await.json()["items"], serde_json::json!([]));
    assert!(get(&router, &of("over"), &[]).await.problem().contains("over"));

    let ended = ask(&router, Method::DELETE, &format!("{PATH}/{SILENCE}"), &[], "").await;
    assert_eq!((ended.status, &ended.json()["status"]), (StatusCode::OK, &"expired".into()));
    assert_eq!(get(&router, &of("expired"), &[]).await.json()["items"][0]["id"], SILENCE);
    let unknown = ask(&router, Method::DELETE, &format!("{PATH}/17"), &[], "").await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_dry_run_lists_what_would_be_silenced_and_keeps_nothing() {
    let desk = Fake::full();
    let router = open(&desk);
    let path = format!("{PATH}?dry_run=true");
    let body = r#"{"matchers":["service=~\"shop|search\""],"duration_seconds":60}"#;
    let tried = ask(&router, Method::POST, &path, &[JSON], body).await;
    assert_eq!(tried.status, StatusCode::OK);
    let tried = tried.json();
    assert_eq!((&tried["id"], &tried["incidents_total"]), (&serde_json::Value::Null, &2.into()));
    let title = tried["incidents"][0]["title"].as_str().unwrap();
    assert!(title.starts_with("Request flood on shop"), "{title}");
    assert!(desk.silenced.lock().unwrap().iter().all(|(.., dry_run)| *dry_run));
    assert_eq!(get(&router, PATH, &[]).await.json()["items"], serde_json::json!([]));
}

/// What posts silences to an Alertmanager can post them here.
#[tokio::test]
async fn alertmanagers_own_shape_is_understood() {
    let desk = Fake::full();
    let (starts, ends) = (now().plus(Duration::from_secs(600)), now().plus(Duration::from_secs(1_200)));
    let body = format!(
        r#"{{"matchers":[{{"name":"service","value":"sh.p","isRegex":true}},{{"name":"kind","value":"login","isRegex":false,"isEqual":false}}],
        "startsAt":"{starts}","endsAt":"{ends}","createdBy":"mira","comment":"x"}}"#
    );
    let made = ask(&open(&desk), Method::POST, PATH, &[JSON], &body).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    let made = made.json();
    assert_eq!(made["matchers"], serde_json::json!(["service=~\"sh.p\"", "kind!=\"login\""]));
    assert_eq!((&made["status"], &made["author"]), (&"pending".into(), &"mira".into()));
    assert_eq!(made["starts_at"], starts.to_string());
}

#[tokio::test]
async fn what_cannot_be_meant_is_refused_in_words() {
    let router = open(&Fake::full());
    let many = vec!["\"a=b\""; 33].join(",");
    let long = format!("\"a={}\"", "x".repeat(1_100));
    let hour = r#""duration_seconds":3600"#;
    for (body, status, said) in [
        (format!(r#"{{"matchers":[],{hour}}}"#), 400, "would silence all"),
        (format!(r#"{{"matchers":["a=~\".*\"","b!=\"x\""],{hour}}}"#), 400, "would silence all"),
        (format!(r#"{{"matchers":["shop"],{hour}}}"#), 400, "NAME=VALUE"),
        (format!(r#"{{"matchers":["a=~\"(\""],{hour}}}"#), 400, "bad matcher"),
        (format!(r#"{{"matchers":[{{"name":"a=\"x","value":"b"}}],{hour}}}"#), 400, "cannot be kept"),
        (format!(r#"{{"matchers":[{many}],{hour}}}"#), 400, "at most 32"),
        (format!(r#"{{"matchers":[{long}],{hour}}}"#), 400, "1024 bytes"),
        (r#"{"matchers":["a=b"]}"#.to_owned(), 400, "until when"),
        (r#"{"matchers":["a=b"],"duration_seconds":0}"#.to_owned(), 400, "before it begins"),
        (r#"{"matchers":["a=b"],"ends_at":"2020-01-01T00:00:00Z"}"#.to_owned(), 400, "before it begins"),
        (r#"{"matchers":["a=b"],"ends_at":"2999-01-01T00:00:00Z"}"#.to_owned(), 400, "366 days"),
        (r#"{"matchers":["a=b"],"duration_seconds":18446744073709551615}"#.to_owned(), 400, "366 days"),
        (r#"{"matchers":["a=b"],"ends_at":"tomorrow"}"#.to_owned(), 400, "RFC 3339"),
        (format!(r#"{{"matchers":["a=b"],"endless":true,{hour}}}"#), 422, "endless"),
        (format!(r#"{{"matchers":["a=b"],"comment":"{}",{hour}}}"#, "x".repeat(1_001)), 400, "1000 bytes"),
    ] {
        let answer = ask(&router, Method::POST, PATH, &[JSON], &body).await;
        assert_eq!(answer.status.as_u16(), status, "{body}");
        assert!(answer.problem().contains(said), "{body}: {}", answer.body);
    }
}

/// A name that is given does not hide the one that logged in.
#[tokio::test]
async fn who_makes_a_silence_is_known_by_the_login() {
    let desk = Fake::full();
    let router = surface(&desk, with_tokens());
    let bearer = format!("authorization: Bearer {}", secret(Role::Responder));
    for (given, author) in
        [("", "the-responder"), ("the-responder", "the-responder"), ("boss", "boss, by the-responder")]
    {
        let body = format!(r#"{{"matchers":["a=b"],"author":"{given}","duration_seconds":60}}"#);
        let made = ask(&router, Method::POST, PATH, &[JSON, &bearer], &body).await;
        assert_eq!(made.json()["author"], author);
    }
    assert!(desk.silenced.lock().unwrap().iter().all(|(actor, ..)| actor.0 == "the-responder"));
}

#[tokio::test]
async fn an_incident_says_for_each_receiver_why_it_was_not_told() {
    let desk = Fake::full();
    silenced(&mut desk.cases.lock().unwrap()[0]);
    let id = desk.cases.lock().unwrap()[0].dossier.incident.id.to_string();
    let shown = get(&open(&desk), &format!("/api/v1/incidents/{id}"), &[]).await.json();
    let rows = shown["notifications"].as_array().unwrap();
    let row = rows.iter().find(|row| row["receiver"] == "mail").unwrap();
    assert_eq!((&row["fate"], &row["reason"]), (&"suppressed".into(), &"silenced".into()));
    let because = row["because"].as_str().unwrap();
    assert!(because.starts_with("silenced by mira") && because.contains(SILENCE), "{because}");
}

#[tokio::test]
async fn an_incident_is_given_to_somebody() {
    let desk = Fake::full();
    let router = open(&desk);
    let id = desk.cases.lock().unwrap()[0].dossier.incident.id.to_string();
    let path = format!("/api/v1/incidents/{id}/assign");
    let given = ask(&router, Method::POST, &path, &[JSON], r#"{"to":"mira"}"#).await;
    assert_eq!((given.status, &given.json()["id"]), (StatusCode::OK, &id.into()));
    let (_, actor, command) = desk.commands.lock().unwrap().pop().unwrap();
    assert_eq!((actor.0.as_str(), command), ("local", Command::Assign("mira".to_owned())));
    let long = format!(r#"{{"to":"{}"}}"#, "x".repeat(129));
    assert_eq!(ask(&router, Method::POST, &path, &[JSON], &long).await.status, StatusCode::BAD_REQUEST);
}
