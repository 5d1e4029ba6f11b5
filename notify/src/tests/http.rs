//! PagerDuty and webhooks: what each answer comes to.

use std::time::Duration;

use beaconfire_model::Secret;
use beaconfire_outbox::{Action, Handle, Outcome};

use super::fixture::{Case, SITE, wall};
use super::server::{Act, Server};
use crate::sign::Signer;
use crate::{Channel, Knobs, Message, PagerDutyKnobs, Payload, WebhookKnobs};

const WITHIN: Duration = Duration::from_millis(400);
const KEY: &str = "f0e1d2c3b4a5968778695a4b3c2d1e0f";
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn pagerduty(url: &str) -> Channel {
    let knobs = PagerDutyKnobs { url: format!("{url}v2/enqueue"), routing_key: Secret::new(KEY) };
    Channel::build_within(&Knobs::PagerDuty(knobs), WITHIN).unwrap()
}

fn webhook(url: &str) -> Channel {
    let knobs = WebhookKnobs {
        url: Secret::new(format!("{url}hook?key=topsecret")),
        signing_secret: Some(Secret::new(SECRET)),
        payload: Payload::Beaconfire,
        login: None,
    };
    Channel::build_within(&Knobs::Webhook(knobs), WITHIN).unwrap()
}

fn answer(status: u16, headers: &'static str, body: &str) -> Act {
    Act::Answer(status, headers, body.to_owned())
}

/// The outcome in short: its name, and for how long it asks to wait.
fn short(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Limited { after: Some(after) } | Outcome::Deferred { after: Some(after), .. } => {
            format!("{} {}", outcome.name(), after.as_secs())
        }
        _ => outcome.name().to_owned(),
    }
}

async fn check(build: fn(&str) -> Channel, act: Act, expected: &str) {
    let server = Server::start(vec![act.clone()]).await;
    let case = Case::open();
    let outcome = build(&server.url).send(&case.message(Action::Open)).await;
    assert_eq!(short(&outcome), expected, "{act:?} came to {outcome:?}");
}

#[tokio::test]
async fn pagerduty_answers() {
    let done = r#"{"status":"success","message":"Event processed","dedup_key":"k"}"#;
    for (act, expected) in [
        (answer(202, "", done), "accepted"),
        (answer(200, "", ""), "accepted"),
        (answer(400, "", r#"{"status":"invalid event","errors":["x"]}"#), "rejected"),
        (answer(429, "", ""), "limited 30"),
        (answer(429, "retry-after: 7\r\n", ""), "limited 7"),
        (answer(403, "", ""), "misconfigured"),
        (answer(500, "", ""), "deferred"),
        (answer(503, "retry-after: 12\r\n", ""), "deferred 12"),
        (Act::Raw("HTTP/1.1 202 Accepted\r\ncontent-length: 99\r\n\r\n{\"sta"), "deferred"),
        (Act::Raw("HTTP/1.1 400 Bad Request\r\ncontent-length: 99\r\n\r\n{\"sta"), "rejected"),
        (Act::Raw("HTTP/1.1 20"), "deferred"),
        (Act::Raw(""), "deferred"),
        (Act::Hang, "deferred"),
    ] {
        check(pagerduty, act, expected).await;
    }
}

#[tokio::test]
async fn webhook_answers() {
    for (act, expected) in [
        (answer(200, "", ""), "accepted"),
        (answer(204, "", ""), "accepted"),
        (answer(302, "location: http://127.0.0.1:1/\r\n", ""), "misconfigured"),
        (answer(400, "", "no"), "rejected"),
        (answer(401, "", ""), "misconfigured"),
        (answer(404, "", ""), "misconfigured"),
        (answer(410, "", ""), "rejected"),
        (answer(422, "", ""), "rejected"),
        (answer(429, "", ""), "limited"),
        (answer(429, "retry-after: 5\r\n", ""), "limited 5"),
        (answer(429, "retry-after: Sun, 09 Sep 2001 01:46:40 GMT\r\n", ""), "limited 0"),
        (answer(429, "retry-after: whenever\r\n", ""), "limited"),
        (answer(408, "", ""), "deferred"),
        (answer(502, "retry-after: 3\r\n", ""), "deferred 3"),
        (answer(504, "", ""), "deferred"),
        (Act::Raw("HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\nhal"), "deferred"),
        (Act::Raw("HTTP/1.1 410 Gone\r\ncontent-length: 99\r\n\r\nhal"), "rejected"),
        (Act::Raw("HTTP/1."), "deferred"),
        (Act::Hang, "deferred"),
    ] {
        check(webhook, act, expected).await;
    }
}

#[tokio::test]
async fn nobody_there_is_waited_for() {
    // A port that was free a moment ago: whoever listened on it is gone.
    let url = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}/", listener.local_addr().unwrap())
    };
    let case = Case::open();
    let outcome = webhook(&url).send(&case.message(Action::Open)).await;
    let Outcome::Deferred { after: None, said } = outcome else { panic!("{outcome:?}") };
    assert!(said.contains("cannot reach") && !said.contains("topsecret"), "{said}");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let other = Server::start(vec![answer(200, "", "")]).await;
    let location: &'static str = Box::leak(format!("location: {}\r\n", other.url).into_boxed_str());
    check(webhook, answer(307, location, ""), "misconfigured").await;
    assert!(other.got().is_empty());
}

#[tokio::test]
async fn webhooks_are_signed_and_keep_their_id_over_retries() {
    let server = Server::start(vec![answer(500, "", ""), answer(200, "", "")]).await;
    let channel = webhook(&server.url);
    let case = Case::open();
    let message = case.message(Action::Open);
    assert_eq!(channel.send(&message).await.name(), "deferred");
    let accepted = channel.send(&message).await;
    assert_eq!(accepted, Outcome::accepted(Some(Handle("n-1".into()))));
    let got = server.got();
    for request in &got {
        assert_eq!(request.line, "POST /hook?key=topsecret");
        assert_eq!(request.header("webhook-id"), "n-1");
        assert!(request.header("content-type").starts_with("application/json"));
        let timestamp = request.header("webhook-timestamp").parse().unwrap();
        let signature = Signer::new(&Secret::new(SECRET)).unwrap().sign("n-1", timestamp, &request.body);
        assert_eq!(request.header("webhook-signature"), signature);
        assert_eq!(request.json()["type"], "incident.opened");
        assert_eq!(request.json()["data"]["id"], case.dossier.incident.id.as_str());
    }
    assert_eq!(got[0].body, got[1].body, "a retry says the same");
}

#[tokio::test]
async fn one_key_holds_trigger_acknowledge_and_resolve_together() {
    let server = Server::start(vec![answer(202, "", "")]).await;
    let channel = pagerduty(&server.url);
    let (open, over) = (Case::open(), Case::open().resolved().told("k"));
    let taken = Case::open().acknowledged("ana").told("k");
    let key = "eu-1.0123456789abcdef0123456789abcdef";
    let accepted = Outcome::accepted(Some(Handle(key.into())));
    assert_eq!(channel.send(&open.message(Action::Open)).await, accepted);
    assert_eq!(channel.send(&taken.message(Action::Acknowledge)).await, accepted);
    assert_eq!(channel.send(&over.message(Action::Resolve)).await, accepted);
    let got: Vec<_> = server.got().iter().map(super::server::Got::json).collect();
    let actions: Vec<_> = got.iter().map(|event| event["event_action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["trigger", "acknowledge", "resolve"]);
    assert!(got.iter().all(|event| event["dedup_key"] == key && event["routing_key"] == KEY));
}

#[tokio::test]
async fn the_store_pages_under_one_key_and_a_test_says_so() {
    let server = Server::start(vec![answer(202, "", "")]).await;
    let channel = pagerduty(&server.url);
    for (action, now) in [(Action::Open, 60), (Action::Open, 120), (Action::Resolve, 180)] {
        let message = Message::store_down(SITE, action, "s-1", wall(0), "database is locked", wall(now));
        assert_eq!(channel.send(&message).await.name(), "accepted");
    }
    channel.send(&Message::test(SITE, "t-1", wall(0))).await;
    let got: Vec<_> = server.got().iter().map(super::server::Got::json).collect();
    assert!(got[..3].iter().all(|event| event["dedup_key"] == "eu-1.store-down"));
    assert_eq!(got[0]["payload"]["severity"], "critical");
    assert_eq!(got[2]["event_action"], "resolve");
    assert_eq!(got[3]["payload"]["severity"], "info");
    assert!(got[3]["payload"]["summary"].as_str().unwrap().starts_with("[TEST]"));
    assert_ne!(got[3]["dedup_key"], got[0]["dedup_key"]);
}

#[tokio::test]
async fn an_exchange_shows_everything_but_secrets() {
    let echo = format!("bad key {KEY}");
    let server = Server::start(vec![answer(400, "", &echo)]).await;
    let case = Case::open();
    let exchange = pagerduty(&server.url).exchange(&case.message(Action::Open)).await;
    assert_eq!(exchange.steps.len(), 1);
    let step = &exchange.steps[0];
    assert!(step.sent.starts_with("POST http://127.0.0.1:"), "{}", step.sent);
    assert!(step.sent.contains("\"event_action\":\"trigger\""), "{}", step.sent);
    assert_eq!(step.answered, "HTTP 400\n\nbad key <redacted>");
    assert_eq!(exchange.outcome, Outcome::Rejected { said: "HTTP 400: bad key <redacted>".into() });
    let server = Server::start(vec![answer(200, "", "")]).await;
    let exchange = webhook(&server.url).exchange(&case.message(Action::Open)).await;
    let shown = format!("{exchange:?}");
    assert!(!shown.contains(KEY) && !shown.contains("topsecret") && !shown.contains(SECRET), "{shown}");
    assert!(shown.contains("webhook-signature: v1,"), "{shown}");
}

#[tokio::test]
async fn a_huge_answer_is_cut() {
    let server = Server::start(vec![answer(500, "", &"x".repeat(1 << 20))]).await;
    let case = Case::open();
    let outcome = webhook(&server.url).send(&case.message(Action::Open)).await;
    let Outcome::Deferred { said, .. } = outcome else { panic!("{outcome:?}") };
    assert!(said.len() <= 512, "{}", said.len());
}

#[test]
fn endpoints_are_told_apart_without_showing_what_does() {
    let names = [KEY, "another-key"].map(|key| {
        let knobs = PagerDutyKnobs {
            url: "https://events.pagerduty.com/v2/enqueue".into(),
            routing_key: Secret::new(key),
        };
        Channel::build(&Knobs::PagerDuty(knobs)).unwrap().endpoint()
    });
    assert_ne!(names[0], names[1]);
    assert!(names.iter().all(|name| name.starts_with("pagerduty https://events.pagerduty.com ")));
    let hook = webhook("https://hooks.example.com/").endpoint();
    assert_eq!(hook, "webhook https://hooks.example.com");
}
