//! Slack's buttons: who is believed, and what one click does.

use std::sync::atomic::Ordering;

use axum::Router;
use axum::http::{Method, StatusCode};
use beaconfire_api::HttpKnobs;
use beaconfire_incident::Command;
use beaconfire_model::Secret;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::fake::{Fake, now};
use crate::harness::{Said, ask, open, surface, with_tokens};

const SECRET: &str = "8f742231b10e8888abcd99yyyzzz85a5";

fn knobs() -> HttpKnobs {
    HttpKnobs { slack_signing_secret: Some(Secret::new(SECRET)), ..with_tokens() }
}

/// Sends a click as Slack does, signed with `secret`.
async fn click(router: &Router, secret: &str, action: &str, id: &str, at: &str) -> Said {
    let payload = format!(
        r#"{{"type":"block_actions","user":{{"id":"U1","username":"ana"}},"actions":[{{"action_id":"{action}","value":"{id}","action_ts":"{at}"}}]}}"#
    );
    let encoded: String = payload.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let body = format!("payload={encoded}");
    let time = now().millis() / 1_000;
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(format!("v0:{time}:{body}").as_bytes());
    let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let (time, signature) =
        (format!("x-slack-request-timestamp: {time}"), format!("x-slack-signature: v0={hex}"));
    ask(router, Method::POST, "/hooks/slack", &[&time, &signature], &body).await
}

fn id(desk: &Fake, place: usize) -> String {
    desk.cases.lock().unwrap()[place].dossier.incident.id.to_string()
}

#[tokio::test]
async fn a_click_in_slack_is_done_once_in_the_name_of_who_clicked() {
    let desk = Fake::full();
    let router = surface(&desk, knobs());
    let first = id(&desk, 0);
    for _ in 0..2 {
        let said = click(&router, SECRET, "acknowledge", &first, "1.1").await;
        assert_eq!((said.status, said.body.as_str()), (StatusCode::OK, ""));
    }
    click(&router, SECRET, "resolve", &first, "2.1").await;
    click(&router, SECRET, "open_console", &first, "3.1").await;
    let done = desk.commands.lock().unwrap().clone();
    let done: Vec<_> = done.iter().map(|(_, actor, command)| (actor.0.as_str(), command.clone())).collect();
    assert_eq!(done, [("slack:ana", Command::Acknowledge), ("slack:ana", Command::Resolve)]);
}

#[tokio::test]
async fn a_click_silences_for_an_hour_what_is_like_the_incident() {
    let desk = Fake::full();
    let router = surface(&desk, knobs());
    let said = click(&router, SECRET, "silence", &id(&desk, 0), "1.1").await;
    let text = said.json()["text"].as_str().unwrap().to_owned();
    assert!(text.starts_with("Silenced until ") && text.contains("http://127.0.0.1:8480/silences"), "{text}");
    assert_eq!(click(&router, SECRET, "silence", &id(&desk, 0), "1.1").await.body, "", "the same click");
    let (actor, silence, dry_run) = desk.silenced.lock().unwrap().pop().unwrap();
    assert_eq!((actor.0.as_str(), silence.author.as_str(), dry_run), ("slack:ana", "slack:ana", false));
    assert_eq!(silence.ends_at.since(silence.starts_at).as_secs(), 3_600);
    let matchers: Vec<String> = silence.matchers.0.iter().map(ToString::to_string).collect();
    assert_eq!(matchers, ["kind=\"flood\"", "service=\"shop\""]);
    assert!(desk.silenced.lock().unwrap().is_empty());
    let over = click(&router, SECRET, "silence", &id(&desk, 4), "2.1").await;
    assert_eq!(over.json()["text"], "Nothing was changed: it is over already.");
}

#[tokio::test]
async fn a_stale_click_is_answered_to_who_clicked_alone() {
    let desk = Fake::full();
    let router = surface(&desk, knobs());
    let said = click(&router, SECRET, "resolve", &id(&desk, 4), "1.1").await;
    assert_eq!(said.status, StatusCode::OK);
    assert_eq!(said.json()["response_type"], "ephemeral");
    assert_eq!(said.json()["text"], "Nothing was changed: it is resolved already.");
}

#[tokio::test]
async fn what_slack_did_not_sign_changes_nothing() {
    let desk = Fake::full();
    let first = id(&desk, 0);
    let said = click(&surface(&desk, knobs()), "another", "resolve", &first, "1.1").await;
    assert_eq!(said.status, StatusCode::UNAUTHORIZED);
    said.problem();
    let unset = open(&Fake::full());
    let said = click(&unset, SECRET, "resolve", &first, "1.1").await;
    assert_eq!(said.status, StatusCode::NOT_FOUND, "no secret is configured");
    said.problem();
    assert!(desk.commands.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_click_that_the_store_did_not_take_may_be_sent_again() {
    let desk = Fake::full();
    let router = surface(&desk, knobs());
    let first = id(&desk, 0);
    desk.store_down.store(true, Ordering::Relaxed);
    let said = click(&router, SECRET, "acknowledge", &first, "1.1").await;
    assert_eq!(said.status, StatusCode::SERVICE_UNAVAILABLE);
    desk.store_down.store(false, Ordering::Relaxed);
    assert_eq!(click(&router, SECRET, "acknowledge", &first, "1.1").await.status, StatusCode::OK);
    assert_eq!(desk.commands.lock().unwrap().len(), 2);
}
