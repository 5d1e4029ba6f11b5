//! A changed configuration is taken over while everything goes on; a bad one is refused, and what runs goes on.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use super::log::finding;
use super::world::{ONE_BY_ONE, PATIENCE, World, now};
use crate::harness::beaconfire::{Beaconfire, post};
use crate::harness::{eventually, signal};

const GOOD: &str = "beaconfire_config_last_reload_successful";

/// The configuration of the service called `name`, changed.
fn change(world: &World, name: &str, from: &str, to: &str) {
    let path: PathBuf = world.path().join(format!("{name}.yaml"));
    let text = std::fs::read_to_string(&path).expect("the configuration");
    assert!(text.contains(from), "{text}");
    std::fs::write(path, text.replace(from, to)).expect("it can be written");
}

#[test]
fn a_changed_configuration_is_taken_over_and_a_bad_one_is_refused() {
    let Some(world) = World::new("reload", 1) else { return };
    let service = Beaconfire::start(world.path(), "reload", &world.config("format: falco", ""));
    service.ready();
    let producer = world.producer();
    let send = |workload: &str| {
        let record = finding(now(), workload, "Terminal shell in container", "Warning", "sh");
        producer.send(&world.name, None, None, record.as_bytes());
        producer.flush();
    };
    send("cart");
    eventually("the first is told", PATIENCE, || world.hook.calls().len() == 1);
    assert_eq!(service.metric(GOOD), Some(1.0));

    change(&world, "reload", "route:\n", "roote:\n");
    let reload = format!("{}/-/reload", service.url);
    assert_eq!(post(&reload, &json!(null)), Some(400));
    assert_eq!(service.metric(GOOD), Some(0.0));
    signal("HUP", service.pid());
    send("search");
    eventually("it goes on as before", PATIENCE, || world.hook.calls().len() == 2);

    // The webhook is told of nothing but what is critical from now on.
    change(&world, "reload", "roote:\n", "route:\n");
    change(
        &world,
        "reload",
        "    - {receiver: hook}",
        "    - {receiver: hook, matchers: ['severity=\"critical\"']}",
    );
    assert_eq!(post(&reload, &json!(null)), Some(200));
    eventually("the new configuration is good", PATIENCE, || service.metric(GOOD) == Some(1.0));
    service.ready();
    send("login");
    eventually("the pager has heard of it", PATIENCE, || world.pager.accepted() == 3);
    world.all_told(&service);
    assert_eq!(world.hook.calls().len(), 2, "no longer of warnings");
    assert_eq!(world.faults(), Vec::<String>::new());

    // One that reads well and cannot be run: its store is a folder.
    let url = format!("sqlite:{}/beaconfire.db", world.path().display());
    change(&world, "reload", &url, &format!("sqlite:{}", world.path().display()));
    signal("HUP", service.pid());
    eventually("the one before goes on, and says so", PATIENCE, || service.metric(GOOD) == Some(0.0));
    service.ready();
    send("mail");
    eventually("it is told as before", PATIENCE, || world.pager.accepted() == 4);
}

#[test]
fn reloads_in_a_storm_send_nothing_extra() {
    const ALL: usize = 200;
    let Some(world) = World::new("reloads", 1) else { return };
    let config = world.config("format: falco", "").replace(&format!("    digest_after: {ONE_BY_ONE}\n"), "");
    let mut service = Beaconfire::start(world.path(), "reloads", &config);
    service.ready();
    let alerts: Value = (0..ALL)
        .map(|n| {
            let severity = if n % 20 == 0 { "critical" } else { "warning" };
            json!({"labels": {"alertname": "Flood", "n": n.to_string(), "severity": severity}, "annotations": {},
                "endsAt": (jiff::Timestamp::now() + Duration::from_secs(3_600)).to_string()})
        })
        .collect();
    assert_eq!(post(&format!("{}/api/v2/alerts", service.url), &alerts), Some(200));
    for reload in 0..4 {
        std::thread::sleep(Duration::from_millis(1_500));
        signal("HUP", service.pid());
        let asked = format!("reload {reload}");
        let log = world.path().join("reloads.log");
        let taken = || std::fs::read_to_string(&log).unwrap_or_default().matches("taking it over").count();
        eventually(&asked, PATIENCE, || taken() == reload + 1);
        service.ready();
        assert!(service.alive());
    }
    let accounts = world.all_told(&service);
    for line in &accounts {
        assert_eq!(line["created"], ALL, "{line}");
        assert_eq!(line["dead"], 0, "{line}");
    }
    let alerts = world.pager.alerts();
    let (storms, alone): (Vec<_>, Vec<_>) = alerts.iter().partition(|(key, _)| key.contains(".storm-"));
    assert!(alone.iter().all(|(_, alert)| (alert.opened, alert.triggers) == (1, 1)), "{alone:?}");
    assert_eq!(storms.len(), 1, "one storm, over all reloads: {storms:?}");
    let calls = world.hook.calls();
    let opened: Vec<&Value> = calls
        .iter()
        .filter(|call| call.body["type"] == "incident.opened")
        .map(|call| &call.body["data"]["id"])
        .collect();
    let distinct: BTreeSet<String> = opened.iter().map(ToString::to_string).collect();
    assert_eq!(opened.len(), distinct.len(), "each once");
    let messages = world.slack.messages();
    let texts: BTreeSet<&String> = messages.iter().map(|message| &message.text).collect();
    let digests = messages.iter().filter(|message| message.text.contains("in one message")).count();
    assert_eq!((digests, world.slack.refused()), (1, 0), "{texts:?}");
    let chat = accounts.iter().find(|line| line["receiver"] == "chat").expect("a line");
    assert_eq!(chat["delivered"], messages.len() as u64 - 1, "as the receiving side counts");
    assert_eq!(world.faults(), Vec::<String>::new());
}
