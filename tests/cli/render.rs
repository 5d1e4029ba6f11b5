//! Messages before they are sent, and templates before they are needed: `render`, and what `check` says of them.

use std::path::Path;
use std::time::Duration;

use beaconfire_incident::{Folded, Incident};
use beaconfire_model::Kind;
use beaconfire_store::{Store, StoreKnobs, Write};
use serde_json::Value;
use tokio::runtime::Runtime;

use super::fake;
use crate::harness::beaconfire::run;

const SECRETS: [&str; 6] =
    ["xoxb-12345", "routing-12345", "whsec-12345", "/w/12345", "webhooks/12345", "1:12345"];

const RECEIVERS: &str = r##"
receivers:
  - name: all
    email_configs: [{to: oncall@example.com, from: beaconfire@example.com, smarthost: "127.0.0.1:25"}]
    slack_configs: [{app_token: xoxb-12345, channel: "#oncall"}]
    pagerduty_configs: [{routing_key: routing-12345}]
    webhook_configs: [{url: "https://hooks.example.com/x", signing_secret: whsec-12345}]
    msteamsv2_configs: [{webhook_url: "https://teams.example.com/w/12345"}]
    discord_configs: [{webhook_url: "https://discord.com/api/webhooks/12345"}]
    telegram_configs: [{bot_token: "1:12345", chat_id: -1001}]
    alertmanager_configs: [{url: "http://localhost:9093"}]
  - {name: pager, pagerduty_configs: [{routing_key: routing-12345}]}
  - {name: nobody}
route: {receiver: all}
"##;

/// Runs a command on this configuration; no secret is in what it says.
fn said(dir: &Path, more: &str, line: &str) -> (i32, String, String) {
    std::fs::write(dir.join("beaconfire.yaml"), format!("{RECEIVERS}{more}")).unwrap();
    let said = run(dir, &line.split(' ').collect::<Vec<_>>(), None);
    for secret in SECRETS {
        assert!(!said.1.contains(secret) && !said.2.contains(secret), "{secret} is in {said:?}");
    }
    said
}

fn render(more: &str, line: &str) -> (i32, String, String) {
    let dir = tempfile::tempdir().unwrap();
    said(dir.path(), more, line)
}

/// The message below this title, and the JSON that it ends with.
#[track_caller]
fn message(out: &str, title: &str) -> (String, Value) {
    let (_, rest) = out.split_once(&format!("{title}\n")).unwrap_or_else(|| panic!("{title}: {out}"));
    let whole = rest.split("\nall, ").next().unwrap_or_default().trim_end();
    let body = whole.split_once("\n\n").map_or("", |(_, body)| body);
    (whole.to_owned(), serde_json::from_str(body).unwrap_or_default())
}

#[test]
fn an_example_is_shown_as_each_integration_would_send_it() {
    let (code, out, err) = render("", "render all --example flood");
    assert_eq!((code, err.as_str()), (0, ""));
    let title = "Request flood on shop: 203.0.113.7 sent 4,120 requests in 60 s (limit 600)";

    let (mail, _) = message(&out, "all, email-0");
    for part in [
        "From: beaconfire@example.com\n",
        "Subject: [Beaconfire] Request flood on shop (",
        "List-Id: Beaconfire <beaconfire-example.beaconfire.example.com>\n",
        "\n--- text/plain\nCRITICAL: ",
        "\n--- text/html\n<!DOCTYPE html>",
        "\n--- image/png, ",
    ] {
        assert!(mail.contains(part), "{part} is not in\n{mail}");
    }
    assert!(mail.contains(title), "{mail}");

    for (name, line, text) in [
        ("slack-0", "POST https://slack.com/api/chat.postMessage\nauthorization: Bearer <redacted>", "/text"),
        ("pagerduty-0", "POST https://events.pagerduty.com/v2/enqueue", "/payload/summary"),
        ("webhook-0", "POST https://hooks.example.com/…", "/data/title"),
        ("msteams-0", "POST https://teams.example.com/…", "/attachments/0/content/fallbackText"),
        ("discord-0", "POST https://discord.com/…", "/content"),
        ("telegram-0", "POST https://api.telegram.org/…", "/text"),
        ("alertmanager-0", "POST http://localhost:9093/api/v2/alerts", "/0/annotations/summary"),
    ] {
        let (shown, body) = message(&out, &format!("all, {name}"));
        assert!(shown.starts_with(line), "{shown}");
        let told = body.pointer(text).and_then(Value::as_str).unwrap_or_else(|| panic!("{text}: {shown}"));
        assert!(told.contains("Request flood on shop"), "{told}");
    }
    let (_, pager) = message(&out, "all, pagerduty-0");
    assert_eq!(pager["routing_key"], "<redacted>");
}

#[test]
fn there_is_an_example_of_every_kind() {
    for kind in Kind::ALL {
        let (code, out, err) = render("", &format!("render pager --example {}", kind.name()));
        assert_eq!(code, 0, "{err}");
        assert!(out.starts_with("pager, pagerduty-0\nPOST https://events.pagerduty.com/"), "{out}");
        assert!(out.contains(&format!("\"group\": \"{}\"", kind.name())), "{out}");
    }
}

#[test]
fn ones_own_words_are_shown_and_what_is_wrong_with_them() {
    let own = "templates: {pagerduty: {summary: '{{ labels.alertname }} pages'}}\n";
    let (code, out, err) = render(own, "render pager --example flood");
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.contains("\"summary\": \"requests-per-client pages\""), "{out}");

    let broken = "templates: {pagerduty: {summary: '{{ labels.service }} is hit'}}\n";
    let (code, out, err) = render(broken, "render pager --example sensor");
    assert_eq!(code, 0);
    assert!(out.contains("\"summary\": \"Blind sensor on edge-access"), "the built-in form: {out}");
    assert!(err.contains("warning: pager, pagerduty-0: template failed: pagerduty.summary, line 1"), "{err}");
}

/// An incident in a store of its own, with all that is known of it.
fn stored(dir: &Path) -> Incident {
    let dossier = fake::flood().dossier;
    let mut incident = dossier.incident.clone();
    incident.version = 0;
    let folded = Folded {
        incident: incident.clone(),
        transitions: Vec::new(),
        signals: dossier.signals,
        participants: dossier.participants,
        points: dossier.points,
        samples: dossier.samples,
        timeline: dossier.timeline,
    };
    let knobs = StoreKnobs {
        url: format!("sqlite:{}/beaconfire.db", dir.display()),
        retention: Duration::from_secs(86_400),
    };
    Runtime::new().unwrap().block_on(async {
        let store = Store::open(&knobs).await.unwrap();
        store.save(Write { folded: &[folded], ..Write::default() }).await.unwrap();
        store.close().await;
    });
    incident
}

#[test]
fn an_incident_is_shown_as_it_is_in_the_store() {
    let dir = tempfile::tempdir().unwrap();
    let incident = stored(dir.path());
    let services = "services: {shop: {annotations: {runbook_url: 'https://wiki.example.com/shop'}}}\n";
    let (code, out, err) = said(dir.path(), services, &format!("render all --incident {}", incident.id));
    assert_eq!((code, err.as_str()), (0, ""));
    let (_, pager) = message(&out, "all, pagerduty-0");
    assert_eq!(pager["payload"]["custom_details"]["incident"], incident.id.as_str());
    assert_eq!(pager["links"][1]["href"], "https://wiki.example.com/shop");
    assert!(pager["dedup_key"].as_str().unwrap().ends_with(incident.id.as_str()), "{pager}");
    let (hook, _) = message(&out, "all, webhook-0");
    assert!(hook.contains("\"type\": \"incident.opened\""), "{hook}");

    let empty = tempfile::tempdir().unwrap();
    for dir in [dir.path(), empty.path()] {
        let (code, _, err) = said(dir, "", "render pager --incident 0123");
        assert_eq!(code, 1);
        assert!(err.contains("there is no incident 0123 in the store"), "{err}");
    }
    assert!(!empty.path().join("beaconfire.db").exists(), "nothing was left behind");
}

#[test]
fn what_cannot_be_shown_is_a_fault_of_usage() {
    for (line, expected) in [
        ("render pager --example floood", "did you mean `flood`?"),
        ("render pagr --example flood", "did you mean `pager`?"),
        ("render nobody --example flood", "no integration"),
        ("render pager", "--incident"),
        ("render pager --incident 1 --example flood", "cannot be used with"),
    ] {
        let (code, out, err) = render("", line);
        assert_eq!((code, out.as_str()), (2, ""), "{line}");
        assert!(err.contains(expected), "{line}: {err}");
    }
}

#[test]
fn check_says_no_to_a_template_that_would_fail_at_night() {
    let (code, out, err) = render("templates: {slack: {text: '{{ labels.service }}'}}\n", "check");
    assert_eq!((code, out.as_str()), (3, ""));
    assert!(err.contains("`templates.slack.text` fails on an example of mining"), "{err}");
    assert!(err.contains("beaconfire.yaml:15:31") && err.contains("^^^^"), "{err}");
    assert!(err.ends_with("beaconfire.yaml: 1 template fails on an example\n"), "{err}");

    let (code, _, err) = render("templates: {slack: {text: '{{ labels.service'}}\n", "check");
    assert_eq!(code, 3);
    assert!(err.contains("error: `templates.slack.text` is no template: line 1"), "{err}");
    // What only doubts the looks keeps nobody from being told.
    let (code, _, err) =
        render("templates: {slack: {text: '{{ labels.service }}'}}\n", "routes test kind=flood");
    assert_eq!(code, 0, "{err}");
    let (code, out, err) = render("templates: {slack: {text: '{{ title }}'}}\n", "check");
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("is good"), "{out}");
}
