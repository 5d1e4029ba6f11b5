//! PagerDuty's webhooks: who is believed, what is taken, and how often.

use std::sync::atomic::Ordering;

use axum::Router;
use axum::http::{Method, StatusCode};
use beaconfire_api::HttpKnobs;
use beaconfire_incident::Command;
use beaconfire_model::Secret;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::fake::Fake;
use crate::harness::{Said, ask, open, surface, with_tokens};

const MIRA: &str = r#"{"type":"user_reference","summary":"Mira\n"}"#;

fn knobs() -> HttpKnobs {
    HttpKnobs { pagerduty_webhook_secret: Some(Secret::new("older\nnewer")), ..with_tokens() }
}

/// Sends a webhook as PagerDuty does.
async fn hook(router: &Router, secret: &str, webhook: &str, body: &str) -> Said {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(body.as_bytes());
    let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let (signature, id) =
        (format!("x-pagerduty-signature: v1=00,v1={hex}"), format!("x-webhook-id: {webhook}"));
    ask(router, Method::POST, "/hooks/pagerduty", &[&signature, &id], body).await
}

fn event(id: &str, kind: &str, agent: &str, key: &str) -> String {
    format!(
        r#"{{"event":{{"id":"{id}","event_type":"{kind}","agent":{agent},"data":{{"type":"incident","incident_key":"{key}"}}}}}}"#
    )
}

/// The dedup key of one of the desk's incidents.
fn key(desk: &Fake, place: usize) -> String {
    format!("4f2a.{}", desk.cases.lock().unwrap()[place].dossier.incident.id)
}

fn done(desk: &Fake) -> Vec<(String, Command)> {
    let commands = desk.commands.lock().unwrap();
    commands.iter().map(|(_, actor, command)| (actor.0.clone(), command.clone())).collect()
}

#[tokio::test]
async fn what_people_do_in_pagerduty_is_done_here_once() {
    let desk = Fake::full();
    let router = surface(&desk, knobs());
    let key = key(&desk, 0);
    for (n, kind) in ["acknowledged", "unacknowledged", "resolved", "reopened"].into_iter().enumerate() {
        let body = event(&format!("e{n}"), &format!("incident.{kind}"), MIRA, &key);
        // Tried again under its id, and repeated by somebody under another.
        for webhook in [format!("w{n}"), format!("w{n}"), format!("x{n}")] {
            assert_eq!(hook(&router, "newer", &webhook, &body).await.status, StatusCode::ACCEPTED);
        }
    }
    // The same webhook, whatever it now says.
    hook(&router, "older", "w0", &event("e9", "incident.resolved", MIRA, &key)).await;
    let wanted = [Command::Acknowledge, Command::Reopen, Command::Resolve, Command::Reopen];
    assert_eq!(done(&desk), wanted.map(|command| ("pagerduty:Mira".to_owned(), command)));
}

#[tokio::test]
async fn what_is_not_ours_or_nobodys_doing_is_taken_and_changes_nothing() {
    let desk = Fake::full();
    let router = surface(&desk, knobs());
    let ours = key(&desk, 0);
    let service = r#"{"type":"service_reference","summary":"shop"}"#;
    let elsewhere = ours.replace("4f2a", "4f2b");
    for (n, (kind, agent, key)) in [
        ("pagey.ping", "null", ""),
        ("incident.escalated", MIRA, &*ours),
        ("incident.acknowledged", "null", &*ours),
        ("incident.acknowledged", service, &*ours),
        ("incident.resolved", MIRA, &*elsewhere),
        ("incident.resolved", MIRA, "4f2a.store-down"),
        ("incident.resolved", MIRA, ""),
    ]
    .into_iter()
    .enumerate()
    {
        let said = hook(&router, "older", &format!("w{n}"), &event(&format!("e{n}"), kind, agent, key)).await;
        assert_eq!(said.status, StatusCode::ACCEPTED, "{kind} {agent} {key}");
    }
    assert!(done(&desk).is_empty());
    let unknown = format!("4f2a.{}", "0".repeat(32));
    for (n, key) in [unknown, self::key(&desk, 4)].into_iter().enumerate() {
        let said = hook(
            &router,
            "newer",
            &format!("u{n}"),
            &event(&format!("f{n}"), "incident.resolved", MIRA, &key),
        )
        .await;
        assert_eq!(said.status, StatusCode::ACCEPTED, "unknown here, or resolved already");
    }
    assert_eq!(hook(&router, "newer", "w", "[]").await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn what_pagerduty_did_not_sign_changes_nothing() {
    let desk = Fake::full();
    let body = event("e", "incident.resolved", MIRA, &key(&desk, 0));
    let router = surface(&desk, knobs());
    for secret in ["another", "older\nnewer", ""] {
        let said = hook(&router, secret, "w", &body).await;
        assert_eq!(said.status, StatusCode::UNAUTHORIZED, "{secret:?}");
        said.problem();
    }
    let unset = open(&Fake::full());
    assert_eq!(hook(&unset, "newer", "w", &body).await.status, StatusCode::NOT_FOUND);
    assert!(done(&desk).is_empty());
}

#[tokio::test]
async fn a_webhook_that_the_store_did_not_take_may_be_sent_again() {
    let desk = Fake::full();
    let router = surface(&desk, knobs());
    let body = event("e", "incident.acknowledged", MIRA, &key(&desk, 0));
    desk.store_down.store(true, Ordering::Relaxed);
    assert_eq!(hook(&router, "newer", "w", &body).await.status, StatusCode::SERVICE_UNAVAILABLE);
    desk.store_down.store(false, Ordering::Relaxed);
    assert_eq!(hook(&router, "newer", "w", &body).await.status, StatusCode::ACCEPTED);
    assert_eq!(done(&desk).len(), 2);
}
