//! An Alertmanager that is fed, and webhooks in Alertmanager's words and as CloudEvents; logins.

use std::collections::BTreeMap;
use std::time::Duration;

use beaconfire_model::Secret;
use beaconfire_outbox::{Action, Handle, Outcome};
use serde_json::{Value, json};

use super::fixture::{Case, SITE, wall};
use super::server::{Act, Got, Server};
use crate::sign::Signer;
use crate::{AlertmanagerKnobs, Channel, Knobs, Login, Message, Payload, WebhookKnobs};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn answer(status: u16, headers: &'static str, body: &str) -> Act {
    Act::Answer(status, headers, body.to_owned())
}

fn fed(url: &str, login: Option<Login>) -> Channel {
    let knobs = AlertmanagerKnobs { url: format!("{url}base/"), login };
    Channel::build_within(&Knobs::Alertmanager(knobs), Duration::from_millis(400)).unwrap()
}

fn hook(url: &str, payload: Payload, login: Option<Login>) -> Channel {
    let knobs = WebhookKnobs {
        url: Secret::new(format!("{url}hook")),
        signing_secret: Some(Secret::new(SECRET)),
        payload,
        login,
    };
    Channel::build_within(&Knobs::Webhook(knobs), Duration::from_millis(400)).unwrap()
}

/// What Alertmanager's own validation asks of an alert.
fn is_valid(alert: &Value) {
    let labels: BTreeMap<String, String> = serde_json::from_value(alert["labels"].clone()).unwrap();
    assert!(!labels["alertname"].is_empty());
    for (name, value) in labels {
        assert!(!value.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit()), "{name}={value}");
        assert!(name.chars().all(|c| c == '_' || c.is_ascii_alphanumeric()), "{name}");
    }
    let starts = alert["startsAt"].as_str().unwrap_or("0");
    assert!(starts <= alert["endsAt"].as_str().unwrap(), "{alert}");
}

#[tokio::test]
async fn an_alertmanager_gets_one_alert_at_a_time_and_its_end() {
    let server = Server::start(vec![answer(200, "", "")]).await;
    let channel = fed(&server.url, None);
    assert_eq!(channel.refresh(), Some(Duration::from_secs(60)));
    let open = Case::open();
    let Outcome::Accepted { remote: Some(Handle(handle)), .. } =
        channel.send(&open.message(Action::Open)).await
    else {
        panic!()
    };
    let over = Case::open().resolved().told(&handle);
    channel.send(&over.message(Action::Resolve)).await;
    let got = server.got();
    assert!(got.iter().all(|request| request.line == "POST /base/api/v2/alerts"));
    assert!(got.iter().all(|request| request.header("content-type") == "application/json"));
    let (first, last) = (got[0].json(), got[1].json());
    assert_eq!((first.as_array().unwrap().len(), last.as_array().unwrap().len()), (1, 1));
    is_valid(&first[0]);
    assert_eq!(first[0]["labels"]["incident"], open.dossier.incident.id.as_str());
    assert_eq!(
        first[0]["generatorURL"],
        format!("https://beacon.example.com/incidents/{}", open.dossier.incident.id)
    );
    // It is believed for five minutes, so that it ends where nobody says so any more.
    assert_eq!(first[0]["endsAt"], wall(135 + 300).to_string());
    assert_eq!(last[0]["labels"], first[0]["labels"]);
    assert_eq!(last[0]["endsAt"], wall(135).to_string());
}

#[tokio::test]
async fn an_alert_whose_labels_change_ends_under_the_old_ones() {
    let server = Server::start(vec![answer(200, "", "")]).await;
    let channel = fed(&server.url, None);
    let mut before = Case::open();
    before.dossier.incident.labels.set("severity", "warning");
    let outcome = channel.send(&before.message(Action::Open)).await;
    let Outcome::Accepted { remote: Some(Handle(handle)), .. } = outcome else { panic!() };
    let worse = Case::open().told(&handle);
    channel.send(&worse.message(Action::Open)).await;
    let alerts = server.got()[1].json();
    assert_eq!(alerts.as_array().unwrap().len(), 2);
    assert_eq!(alerts[0]["labels"]["severity"], "critical");
    assert_eq!(alerts[1]["labels"]["severity"], "warning");
    assert_eq!(alerts[1]["endsAt"], wall(135).to_string());
    assert!(alerts[0]["endsAt"].as_str() > alerts[1]["endsAt"].as_str());
}

#[tokio::test]
async fn an_alertmanager_answers() {
    let case = Case::open();
    for (status, headers, expected) in [
        (200, "", "accepted"),
        (400, "", "rejected"),
        (422, "", "rejected"),
        (415, "", "misconfigured"),
        (401, "", "misconfigured"),
        (404, "", "misconfigured"),
        (429, "retry-after: 3\r\n", "limited"),
        (503, "", "deferred"),
    ] {
        let server = Server::start(vec![answer(status, headers, "x")]).await;
        let outcome = fed(&server.url, None).send(&case.message(Action::Open)).await;
        assert_eq!(outcome.name(), expected, "{status}");
        assert_eq!(server.got().len(), 1, "never the same again at once");
    }
}

#[tokio::test]
async fn hostile_labels_make_valid_alerts() {
    let evil = "a\"b\n\u{202e}{}=~\u{0}";
    let mut case = Case::with(evil, evil, evil, evil);
    case.dossier.incident.labels.set("1 evil-name\u{e9}", evil);
    case.dossier.incident.labels.set("alertname", "");
    let server = Server::start(vec![answer(200, "", "")]).await;
    fed(&server.url, None).send(&case.message(Action::Open)).await;
    fed(&server.url, None).send(&Message::test(SITE, "t", wall(0))).await;
    for action in [Action::Open, Action::Resolve] {
        let message = Message::store_down(SITE, action, "s", wall(0), "locked", wall(60));
        fed(&server.url, None).send(&message).await;
    }
    for request in server.got() {
        is_valid(&request.json()[0]);
    }
}

#[tokio::test]
async fn a_webhook_in_alertmanagers_words() {
    let server = Server::start(vec![answer(200, "", "")]).await;
    let channel = hook(&server.url, Payload::Alertmanager { receiver: "chat".into() }, None);
    let (open, over) = (Case::open(), Case::open().resolved().told("n"));
    channel.send(&open.message(Action::Open)).await;
    channel.send(&over.message(Action::Resolve)).await;
    let got = server.got();
    let body = got[0].json();
    let keys: Vec<&str> = body.as_object().unwrap().keys().map(String::as_str).collect();
    let mut expected = vec![
        "version",
        "groupKey",
        "truncatedAlerts",
        "status",
        "receiver",
        "groupLabels",
        "commonLabels",
        "commonAnnotations",
        "externalURL",
        "alerts",
    ];
    expected.sort_unstable();
    assert_eq!(keys, expected);
    assert_eq!(
        (&body["version"], &body["status"], &body["receiver"]),
        (&json!("4"), &json!("firing"), &json!("chat"))
    );
    assert_eq!(
        body["groupKey"],
        "{}:{alertname=\"requests-per-client\", incident=\"0123456789abcdef0123456789abcdef\"}"
    );
    let alert = &body["alerts"][0];
    assert_eq!((&alert["status"], &alert["endsAt"]), (&json!("firing"), &json!("0001-01-01T00:00:00Z")));
    // As Alertmanager 0.25 answered for these labels.
    assert_eq!(alert["fingerprint"], "6909852ccca4fa33");
    let last = got[1].json();
    assert_eq!(
        (&last["status"], &last["alerts"][0]["endsAt"]),
        (&json!("resolved"), &json!(wall(135).to_string()))
    );
    assert_eq!(last["alerts"][0]["fingerprint"], alert["fingerprint"]);
    assert_eq!(last["groupKey"], body["groupKey"]);
    assert!(got.iter().all(is_signed));
}

#[tokio::test]
async fn a_webhook_as_a_cloud_event() {
    let server = Server::start(vec![answer(200, "", "")]).await;
    let case = Case::open();
    hook(&server.url, Payload::CloudEvents, None).send(&case.message(Action::Open)).await;
    let got = server.got();
    assert_eq!(got[0].header("content-type"), "application/cloudevents+json; charset=utf-8");
    assert!(is_signed(&got[0]));
    let event = got[0].json();
    for (name, expected) in [
        ("specversion", "1.0"),
        ("id", "n-1"),
        ("source", "/beaconfire/eu-1"),
        ("type", "io.beaconfire.incident.opened.v1"),
        ("subject", case.dossier.incident.id.as_str()),
        ("datacontenttype", "application/json"),
    ] {
        assert_eq!(event[name], expected);
    }
    assert_eq!(event["data"]["id"], case.dossier.incident.id.as_str());
    assert_eq!(event["time"], case.dossier.incident.changed_at.to_string());
}

fn is_signed(request: &Got) -> bool {
    let timestamp = request.header("webhook-timestamp").parse().unwrap();
    let id = request.header("webhook-id");
    let signature = Signer::new(&Secret::new(SECRET)).unwrap().sign(id, timestamp, &request.body);
    request.header("webhook-signature") == signature
}

#[tokio::test]
async fn logins_are_sent_and_never_shown() {
    let case = Case::open();
    for (login, header) in [
        (Login::Scheme("Bearer".into(), Secret::new("topsecret")), "Bearer topsecret"),
        (Login::Basic("ana".into(), Secret::new("topsecret")), "Basic YW5hOnRvcHNlY3JldA=="),
    ] {
        let echo = format!("no {header}");
        let server = Server::start(vec![answer(401, "", &echo)]).await;
        for channel in [
            fed(&server.url, Some(login.clone())),
            hook(&server.url, Payload::Beaconfire, Some(login.clone())),
        ] {
            let exchange = channel.exchange(&case.message(Action::Open)).await;
            let shown = format!("{exchange:?} {channel:?}");
            assert!(!shown.contains("topsecret") && !shown.contains("YW5hOnRvcHNlY3JldA"), "{shown}");
            assert_eq!(exchange.outcome.name(), "misconfigured");
        }
        assert!(server.got().iter().all(|request| request.header("authorization") == header));
    }
    // Credentials do not travel in the clear, nor break a header.
    let build = |url: &str, login| {
        Channel::build(&Knobs::Alertmanager(AlertmanagerKnobs { url: url.into(), login })).map(|_| ())
    };
    let login = |secret: &str| Some(Login::Scheme("Bearer".into(), Secret::new(secret)));
    assert_eq!(build("http://am.example.com:9093", None), Ok(()));
    assert!(build("http://am.example.com:9093", login("x")).is_err());
    assert!(build("https://am.example.com", login("x\r\ny: z")).is_err());
    assert!(build("https://am.example.com", Some(Login::Basic("a:b".into(), Secret::new("x")))).is_err());
}
