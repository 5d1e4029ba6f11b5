//! What people do in Slack and PagerDuty is done here and told to the other, once.

use std::process::Command;

use beaconfire::standins::AlertState;
use serde_json::json;

use super::clients::{encoded, said};
use super::log::finding;
use super::world::{PATIENCE, World, now};
use crate::harness::beaconfire::Beaconfire;
use crate::harness::{eventually, has, parts};

const SLACK_SECRET: &str = "8f742231b10e8888abcd99yyyzzz85a5";
const PAGERDUTY_SECRET: &str = "a-secret-of-pagerduty";

/// A POST with these headers: the status.
fn hook(service: &Beaconfire, path: &str, body: &str, headers: &[String]) -> String {
    let mut command = Command::new("curl");
    command.args(["-s", "-m", "10", "-o", "/dev/null", "-w", "%{http_code}", "--data-binary", body]);
    for header in headers {
        command.args(["-H", header]);
    }
    let done = command.arg(format!("{}{path}", service.url)).output().expect("curl runs");
    String::from_utf8_lossy(&done.stdout).into_owned()
}

#[test]
fn taken_in_slack_it_is_taken_in_pagerduty_once_and_closed_there_it_is_closed_in_slack() {
    if !has("slack_sdk", parts().join("smtp/clients").exists()) {
        return;
    }
    let Some(world) = World::new("twoway", 1) else { return };
    let secrets = format!(
        "interactions: {{slack_signing_secret: \"{SLACK_SECRET}\", pagerduty_webhook_secret: \"{PAGERDUTY_SECRET}\"}}\n"
    );
    let service = Beaconfire::start(world.path(), "twoway", &world.config("format: falco", &secrets));
    service.ready();
    let producer = world.producer();
    let record = finding(now(), "checkout", "Drop and execute", "Critical", "sh");
    producer.send(&world.name, None, None, record.as_bytes());
    producer.flush();
    eventually("everybody has heard of it", PATIENCE, || {
        (world.slack.messages().len(), world.pager.accepted()) == (1, 1)
    });
    let id = service.incidents()[0]["id"].as_str().expect("an id").to_owned();

    // Two people click at the same time, one of them twice.
    for (user, at) in [("mia", "1.5"), ("mia", "1.5"), ("jo", "1.6")] {
        let payload = json!({"type": "block_actions", "user": {"id": user, "username": user},
            "actions": [{"action_id": "acknowledge", "value": id, "action_ts": at}]});
        let body = format!("payload={}", encoded(&payload.to_string()));
        let mut headers: Vec<String> =
            said(&["sign", SLACK_SECRET, &body], "").lines().map(str::to_owned).collect();
        headers.push("content-type: application/x-www-form-urlencoded".into());
        assert_eq!(hook(&service, "/hooks/slack", &body, &headers), "200");
    }
    let alert = || world.pager.alerts().into_iter().next().expect("one alert");
    eventually("PagerDuty knows that somebody is on it", PATIENCE, || {
        alert().1.state == AlertState::Acknowledged
    });
    eventually("and Slack says who", PATIENCE, || {
        world.slack.messages().iter().any(|message| message.text.contains("ACKNOWLEDGED by"))
    });
    world.all_told(&service);
    let (key, _) = alert();

    let event = json!({"event": {"id": "e1", "event_type": "incident.resolved",
        "agent": {"type": "user_reference", "summary": "Mira"},
        "data": {"type": "incident", "incident_key": key}}})
    .to_string();
    let signature = said(&["pagerduty", PAGERDUTY_SECRET, &event], "");
    let headers = [signature, "x-webhook-id: w1".to_owned(), "content-type: application/json".to_owned()];
    for _ in 0..2 {
        assert_eq!(hook(&service, "/hooks/pagerduty", &event, &headers), "202");
    }
    eventually("Slack says that it is over", PATIENCE, || {
        world.slack.messages().iter().any(|message| message.text.contains("RESOLVED"))
    });
    world.all_told(&service);
    let incident = service.json(&format!("/api/v1/incidents/{id}"));
    assert_eq!(
        (&incident["status"], &incident["resolved_by"]),
        (&json!("resolved"), &json!("pagerduty:Mira"))
    );
    let (_, alert) = alert();
    assert_eq!((alert.opened, alert.triggers, alert.resolves), (1, 1, 1), "{alert:?}");
    let parents = world.slack.messages().into_iter().filter(|message| message.thread_ts.is_none()).count();
    assert_eq!(parents, 1, "one message, brought up to date");
    let opened = world.hook.calls().iter().filter(|call| call.body["type"] == "incident.opened").count();
    assert_eq!(opened, 1);
    assert_eq!(world.faults(), Vec::<String>::new());
}
