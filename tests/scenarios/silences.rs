//! Silences by hand, an escalation and a restart: who is told when, on the real parts.

use std::process::Command;

use beaconfire::standins::AlertState;
use serde_json::{Value, json};

use super::world::{PATIENCE, World, now};
use crate::harness::beaconfire::{Beaconfire, run};
use crate::harness::eventually;

/// Posts an alert about `shop` that ends then.
fn fires(service: &Beaconfire, ends: i64) {
    fires_as(service, "TooSlow", "page", ends);
}

fn fires_as(service: &Beaconfire, name: &str, severity: &str, ends: i64) {
    let at = |millis| beaconfire_model::Wall::from_millis(millis).to_string();
    let alert = json!([{
        "labels": {"alertname": name, "service": "shop", "severity": severity},
        "startsAt": at(now() - 60_000), "endsAt": at(ends),
    }]);
    let url = format!("{}/api/v2/alerts", service.url);
    let done = Command::new("curl")
        .args(["-sf", "-m", "20", "-H", "content-type: application/json", "-d", &alert.to_string(), &url])
        .output()
        .expect("curl runs");
    assert!(done.status.success(), "{}", service.log());
}

/// A command against the service, which succeeds.
#[track_caller]
fn asks(service: &Beaconfire, words: &[&str]) -> Value {
    let dir = tempfile::tempdir().expect("a directory");
    let words: Vec<&str> = words.iter().copied().chain(["--url", &service.url, "--output", "json"]).collect();
    let (code, out, err) = run(dir.path(), &words, None);
    assert_eq!(code, 0, "{words:?}: {err}");
    serde_json::from_str(&out).expect("JSON")
}

/// What the ledger says of each receiver that has anything.
fn ledger(service: &Beaconfire, of: impl Fn(&Value) -> bool) -> bool {
    let lines = service.json("/api/v1/ledger")["items"].as_array().cloned().unwrap_or_default();
    !lines.is_empty() && lines.iter().all(of)
}

#[test]
fn a_silence_keeps_everybody_from_being_told_until_it_ends_and_never_from_hearing_of_the_end() {
    let Some(world) = World::new("silences", 1) else { return };
    let service = Beaconfire::start(world.dir.path(), "silences", &world.config("format: falco", ""));
    service.ready();
    let made = asks(&service, &["silences", "add", "service=shop", "-d", "1h", "-c", "load test"]);
    let id = made["id"].as_str().expect("an id").to_owned();
    fires(&service, now() + 3_600_000);
    eventually("it is kept from everybody", PATIENCE, || {
        ledger(&service, |line| line["suppressed"]["silenced"] == 1 && line["created"] == 1)
    });
    let tried = asks(&service, &["silences", "add", "severity=critical", "--dry-run"]);
    assert_eq!((&tried["id"], &tried["incidents_total"]), (&Value::Null, &1.into()), "{tried}");
    let incident = tried["incidents"][0]["id"].as_str().expect("an id").to_owned();
    assert!(world.hook.calls().is_empty() && world.slack.messages().is_empty());

    asks(&service, &["silences", "expire", &id]);
    eventually("everybody is told now", PATIENCE, || {
        ledger(&service, |line| line["delivered"] == 1 && line["pending"] == 0)
    });
    assert_eq!(world.hook.calls().len(), 1);

    // What was posted says that it is silenced, and nobody is disturbed.
    asks(&service, &["silences", "add", "service=shop", "--author", "zoe"]);
    let message = || world.slack.messages()[0].clone();
    eventually("the message says so", PATIENCE, || message().blocks.to_string().contains("Silenced by zoe"));
    assert_eq!((world.slack.messages().len(), world.hook.calls().len()), (1, 1), "no answer in the thread");
    let shown = service.json(&format!("/api/v1/incidents/{incident}"));
    let because = shown["notifications"][0]["because"].as_str().unwrap_or_default().to_owned();
    assert!(because.starts_with("silenced by zoe"), "{shown}");

    fires(&service, now() - 1);
    eventually("who saw it hears of the end", PATIENCE, || world.hook.calls().len() == 2);
    eventually("the page ends", PATIENCE, || {
        world.pager.alerts().values().all(|alert| alert.state == AlertState::Resolved && alert.resolves == 1)
    });
    world.all_told(&service);
    assert!(world.faults().is_empty(), "{:?}", world.faults());
}

#[test]
fn the_next_is_called_while_nobody_takes_it_though_the_process_died_meanwhile() {
    let Some(world) = World::new("escalation", 1) else { return };
    let config = world.config(
        "format: falco",
        "escalations: [{matchers: ['kind=external'], steps: [{after: 8s, receiver: pager}, {after: 1h, receiver: mail}]}]",
    );
    // Only the hook is told at once.
    let routes = config
        .split_once("  routes:")
        .and_then(|(head, rest)| Some((head, rest.split_once("receivers:\n")?.1)));
    let (head, rest) = routes.expect("routes");
    let config = format!("{}receivers:\n{rest}", head.replace("receiver: mail", "receiver: hook"));
    let mut service = Beaconfire::start(world.dir.path(), "escalation", &config);
    service.ready();
    fires(&service, now() + 3_600_000);
    eventually("the hook is told", PATIENCE, || world.hook.calls().len() == 1);
    assert!(world.pager.alerts().is_empty(), "the step's time has not come");
    service.kill();
    service.restart();
    service.ready();
    eventually("the pager is called", PATIENCE, || world.pager.alerts().len() == 1);
    let incident = &service.json("/api/v1/incidents?status=open")["items"][0];
    let id = incident["id"].as_str().expect("an id");
    let shown = service.json(&format!("/api/v1/incidents/{id}"));
    let steps: Vec<&str> = shown["timeline"]
        .as_array()
        .expect("a timeline")
        .iter()
        .filter(|line| line["what"] == "step")
        .filter_map(|line| line["text"].as_str())
        .collect();
    assert_eq!(steps, ["step 1 of 2: nobody has taken it, next is pager"]);
    assert_eq!(world.hook.calls().len(), 1, "who was told is not told again");
    assert!(world.faults().is_empty(), "{:?}", world.faults());
}

/// The hook is muted at all hours, and a warning of a service is explained by what is critical there.
#[test]
fn a_muted_route_and_an_inhibited_incident_are_told_when_nothing_keeps_them_back() {
    let Some(world) = World::new("muted", 1) else { return };
    let config = world.config(
        "format: falco",
        "time_intervals: [{name: always, time_intervals: [{}]}]\n\
         inhibit_rules: [{source_matchers: ['severity=critical'], target_matchers: ['severity=warning'], equal: [service]}]",
    );
    let config = config.replace("- {receiver: hook}", "- {receiver: hook, mute_time_intervals: [always]}");
    let service = Beaconfire::start(world.dir.path(), "muted", &config);
    service.ready();
    fires_as(&service, "TooSlow", "page", now() + 3_600_000);
    eventually("all but the hook are told", PATIENCE, || {
        ledger(&service, |line| match line["receiver"].as_str() {
            Some("hook") => line["suppressed"]["muted"] == 1,
            _ => line["delivered"] == 1,
        })
    });
    fires_as(&service, "Errors", "warning", now() + 3_600_000);
    eventually("what it explains is kept from everybody", PATIENCE, || {
        ledger(&service, |line| line["suppressed"]["inhibited"] == 1 && line["created"] == 2)
    });
    let page = service.text("/");
    assert!(page.contains("TooSlow") && page.contains("Errors"), "both are shown");
    fires_as(&service, "TooSlow", "page", now() - 1);
    eventually("it is told once that is over", PATIENCE, || {
        ledger(&service, |line| match line["receiver"].as_str() {
            Some("hook") => line["suppressed"]["muted"] == 2,
            _ => line["delivered"] == 2 && line["pending"] == 0,
        })
    });
    assert!(world.hook.calls().is_empty());
    assert!(world.faults().is_empty(), "{:?}", world.faults());
}
