//! Attacks laid over real traffic: each is told once to everybody, and nobody else is accused.

use std::collections::BTreeSet;
use std::time::Duration;

use beaconfire::standins::AlertState;
use serde_json::Value;

use super::log::{background, flood, lay, send};
use super::world::{World, now};
use crate::harness::beaconfire::{Beaconfire, get};
use crate::harness::eventually;

const ENTRY: &str = "format: combined, service: blog, lateness: 2m";
/// Rules alone: what the surge engine makes of a minute's flood depends on where in its minutes it begins, and these begin
/// when the test does.
pub const SECTIONS: &str = "incidents: {resolve_after: 1m, flap_window: 1m}
baselines: {enabled: false}
rules:
  - {name: requests-per-client, throttle: {action: ban, for: 1h}}
  - {name: requests-per-prefix, throttle: {action: captcha, for: 1h}}
throttle: {mode: enforce}
";
const MINUTE: i64 = 60_000;

pub fn one() -> Vec<String> {
    vec!["203.0.113.7".to_owned()]
}

pub fn forty() -> Vec<String> {
    (1..=40).map(|n| format!("192.0.2.{n}")).collect()
}

pub fn participants(incident: &Value) -> BTreeSet<String> {
    let all = incident["participants"].as_array().expect("participants");
    all.iter().map(|one| one["value"].as_str().expect("a value").to_owned()).collect()
}

pub fn floods(service: &Beaconfire) -> Vec<Value> {
    let mut floods = service.incidents();
    floods.retain(|incident| incident["kind"] == "flood");
    floods.sort_by(|a, b| a["started_at"].as_str().cmp(&b["started_at"].as_str()));
    floods
}

pub fn are_resolved(incidents: &[Value], count: usize) -> bool {
    incidents.len() == count && incidents.iter().all(|incident| incident["status"] == "resolved")
}

#[test]
fn two_floods_on_a_real_log_are_two_incidents_told_once_each() {
    let Some(world) = World::new("two-floods", 3) else { return };
    let end = now();
    let single = flood(end - 30 * MINUTE, 60, &one(), 800);
    let many = flood(end - 15 * MINUTE, 50, &forty(), 90);
    send(&world, &lay(background(end), [single, many].concat()));
    let mut service = Beaconfire::start(world.path(), "two-floods", &world.config(ENTRY, SECTIONS));
    service.ready();
    world.read_to_the_end();
    let mut found = Vec::new();
    eventually("two floods are found and over", Duration::from_secs(60), || {
        found = floods(&service);
        are_resolved(&found, 2)
    });
    assert_eq!(participants(&found[0]), BTreeSet::from_iter(one()), "{}", found[0]);
    assert_eq!(participants(&found[1]), BTreeSet::from_iter(forty()), "{}", found[1]);
    let late = format!("beaconfire_late_records_total{{topic=\"{}\"}}", world.name);
    assert_eq!(service.metric(&late).unwrap_or(0.0), 0.0, "none is late");
    let evictions = service.metric("beaconfire_detect_evictions_total{table=\"clients\"}");
    assert_eq!(evictions, Some(0.0), "{}", service.text("/metrics"));

    // Everybody heard of each incident's beginning and end, once; what is only shown is told to nobody.
    let incidents = service.incidents();
    let incidents: Vec<_> = incidents.iter().filter(|incident| incident["severity"] != "info").collect();
    let ids: BTreeSet<String> =
        incidents.iter().map(|incident| incident["id"].as_str().expect("an id").to_owned()).collect();
    for line in world.all_told(&service) {
        assert_eq!(line["delivered"], ids.len(), "{line}");
    }
    let alerts = world.pager.alerts();
    assert_eq!(alerts.len(), ids.len());
    for incident in &found {
        let id = incident["id"].as_str().expect("an id");
        let (_, alert) = alerts.iter().find(|(key, _)| key.ends_with(id)).expect("an alert of this incident");
        assert_eq!((alert.state, alert.opened), (AlertState::Resolved, 1), "{alert:?}");
        assert_eq!((alert.triggers, alert.resolves), (1, 1), "{alert:?}");
        let short = &id[..8];
        let mails = world.smtp.mails();
        let about = |mail: &&String| mail.contains(&format!("({short})"));
        assert_eq!(mails.iter().filter(about).count(), 2, "an opening and a resolve");
        let calls = world.hook.calls();
        let events: Vec<&Value> =
            calls.iter().map(|call| &call.body).filter(|body| body.to_string().contains(id)).collect();
        assert_eq!(events.len(), 2, "{events:?}");
    }
    let messages = world.slack.messages();
    let parents: Vec<_> = messages.iter().filter(|message| message.thread_ts.is_none()).collect();
    assert_eq!(parents.len(), ids.len());
    assert!(parents.iter().all(|parent| parent.updates == 1), "{parents:?}");
    assert_eq!(world.faults(), Vec::<String>::new());

    served_to_bouncers(&world, &service);
    accepted_by_promtool(&service.text("/metrics"));
    service.stop(Duration::from_secs(10));
}

#[test]
fn floods_that_overlap_are_one_incident_with_everybody_in_it() {
    let Some(world) = World::new("one-flood", 3) else { return };
    let end = now();
    let single = flood(end - 16 * MINUTE, 60, &one(), 800);
    let many = flood(end - 16 * MINUTE + 20_000, 50, &forty(), 90);
    send(&world, &lay(background(end), [single, many].concat()));
    let service = Beaconfire::start(world.path(), "one-flood", &world.config(ENTRY, SECTIONS));
    service.ready();
    world.read_to_the_end();
    let mut found = Vec::new();
    eventually("one flood is found and over", Duration::from_secs(60), || {
        found = floods(&service);
        are_resolved(&found, 1)
    });
    assert_eq!(participants(&found[0]), [one(), forty()].concat().into_iter().collect());
    assert_eq!(found[0]["participants_total"], 41);
}

/// The decisions are there for who shows a key, and for nobody else.
fn served_to_bouncers(world: &World, service: &Beaconfire) {
    let config = world.path().join("two-floods.yaml");
    let config = config.to_str().expect("a path");
    let (code, key, said) =
        crate::harness::beaconfire::run(world.path(), &["keys", "add", "edge", "--config", config], None);
    assert_eq!(code, 0, "{said}");
    let url = format!("{}/v1/decisions/stream?startup=true", service.url);
    assert_eq!(get(&url, &[]).map(|(status, _)| status), Some(403));
    assert_eq!(get(&url, &[("X-Api-Key", "wrong")]).map(|(status, _)| status), Some(403));
    let (status, body) = get(&url, &[("X-Api-Key", key.trim())]).expect("an answer");
    assert_eq!(status, 200, "{body}");
    let body: Value = serde_json::from_str(&body).expect("JSON");
    let decided: BTreeSet<(String, String, String)> = body["new"]
        .as_array()
        .expect("new decisions")
        .iter()
        .map(|decision| {
            let text = |name: &str| decision[name].as_str().expect("text").to_owned();
            (text("type"), text("scope"), text("value"))
        })
        .collect();
    let expected = [("ban", "Ip", "203.0.113.7"), ("captcha", "Range", "192.0.2.0/24")];
    assert_eq!(decided, expected.map(|(a, b, c)| (a.to_owned(), b.to_owned(), c.to_owned())).into());
}

/// `promtool check metrics`, where it is there.
fn accepted_by_promtool(metrics: &str) {
    use std::io::Write as _;
    use std::process::{Command, Stdio};
    if !crate::harness::has("promtool", Command::new("promtool").arg("--version").output().is_ok()) {
        return;
    }
    let mut child = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool starts");
    child.stdin.take().expect("a pipe").write_all(metrics.as_bytes()).expect("promtool reads");
    let done = child.wait_with_output().expect("promtool ends");
    let said = String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned();
    assert!(done.status.success() && said.trim().is_empty(), "{said}");
}
