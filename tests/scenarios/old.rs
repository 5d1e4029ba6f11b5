//! Old records, and silence. What happened long ago is counted in its own time and told to nobody; what happens now,
//! behind it in the same topic, is told as ever; and what stops is over, though no further record says so.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::attacks::{SECTIONS, are_resolved, floods, forty, one, participants};
use super::log::{as_it_stands, flood, lay, send};
use super::world::{PATIENCE, World, now};
use crate::harness::beaconfire::Beaconfire;
use crate::harness::eventually;

const HOUR: i64 = 3_600_000;

fn moment(incident: &Value, name: &str) -> i64 {
    let text = incident[name].as_str().unwrap_or_else(|| panic!("an incident has `{name}`: {incident}"));
    text.parse::<Timestamp>().expect("a time").as_millisecond()
}

#[test]
fn what_happened_years_ago_is_stored_in_its_own_time_and_pages_nobody() {
    let Some(world) = World::new("old", 3) else { return };
    let log = as_it_stands();
    let (first, last) = (log[0].at, log[log.len() - 1].at);
    let (single, many) = (first + 10 * HOUR, first + 30 * HOUR);
    assert!(many < last);
    let attacks = [flood(single, 60, &one(), 800), flood(many, 50, &forty(), 90)].concat();
    send(&world, &lay(log, attacks));
    let entry = "format: combined, service: blog, lateness: 2m";
    let service = Beaconfire::start(world.path(), "old", &world.config(entry, SECTIONS));
    service.ready();
    world.read_to_the_end();
    let mut found = Vec::new();
    eventually("both floods are found and over", PATIENCE, || {
        found = floods(&service);
        are_resolved(&found, 2)
    });
    assert_eq!(participants(&found[0]), BTreeSet::from_iter(one()), "{}", found[0]);
    assert_eq!(participants(&found[1]), BTreeSet::from_iter(forty()), "{}", found[1]);
    for (incident, began) in found.iter().zip([single, many]) {
        assert_eq!(incident["stale"], true, "{incident}");
        // Its last window that held more than 0.9 times the limit ends less than a window after its last request.
        assert!((began..began + 60_000).contains(&moment(incident, "detected_at")), "{incident}");
        assert!((began + 50_000..began + 120_000).contains(&moment(incident, "ended_at")), "{incident}");
    }
    let late = format!("beaconfire_late_records_total{{topic=\"{}\"}}", world.name);
    assert_eq!(service.metric(&late).unwrap_or(0.0), 0.0, "none is late");

    // Nobody was told, and the ledger says why; nobody is throttled.
    for line in world.all_told(&service) {
        assert_eq!(line["suppressed"]["too_old"], line["created"], "{line}");
        assert_eq!(line["created"], service.incidents().len(), "{line}");
    }
    assert_eq!(told(&world), [0, 0, 0, 0]);
    assert_eq!(service.json("/api/v1/decisions")["items"], serde_json::json!([]));

    // What happens now is told, though the other partitions end years ago.
    send(&world, &flood(now() - 300_000, 55, &one(), 800));
    eventually("a flood of five minutes ago is told", PATIENCE, || told(&world) == [1, 1, 1, 1]);
    let fresh = floods(&service);
    assert_eq!((fresh.len(), &fresh[2]["stale"]), (3, &false.into()), "{fresh:?}");
    assert_eq!(participants(&fresh[2]), BTreeSet::from_iter(one()));
    // One visit beyond its lateness, in the same partition, and it is over: nobody waits for those that ended years ago.
    send(&world, &flood(now(), 1, &one(), 1));
    eventually("it is over, and everybody knows", PATIENCE, || {
        are_resolved(&floods(&service), 3) && world.hook.calls().len() == 2
    });
    assert_eq!(world.faults(), Vec::<String>::new());
}

#[test]
fn a_flood_on_a_topic_that_falls_silent_resolves_by_the_clock() {
    let Some(world) = World::new("silent", 3) else { return };
    let entry = "format: combined, service: blog, lateness: 5s";
    let service = Beaconfire::start(world.path(), "silent", &world.config(entry, SECTIONS));
    service.ready();
    let began = now() - 50_000;
    let attack = flood(began, 50, &one(), 800);
    let last = attack[attack.len() - 1].at;
    send(&world, &attack);
    let mut found = Vec::new();
    eventually("the flood is found", PATIENCE, || {
        found = service.incidents();
        found.len() == 1
    });
    assert_eq!((&found[0]["status"], &found[0]["stale"]), (&"open".into(), &false.into()));
    eventually("it is over", PATIENCE, || {
        found = service.incidents();
        are_resolved(&found, 1)
    });
    // `resolve_after` and the entry's lateness behind its end, and as late as the clock of a busy machine strikes.
    let after = moment(&found[0], "resolved_at") - last;
    assert!((60_000..60_000 + 5_000 + 30_000).contains(&after), "resolved {after} ms after the last request");
    for line in world.all_told(&service) {
        assert_eq!((&line["created"], &line["delivered"]), (&1.into(), &1.into()), "{line}");
    }
    // Its beginning and its end, once each.
    let mut events: Vec<String> =
        world.hook.calls().iter().map(|call| call.body["type"].to_string()).collect();
    events.sort();
    assert_eq!(events, [r#""incident.opened""#, r#""incident.resolved""#]);
    let alerts: Vec<_> = world.pager.alerts().into_values().collect();
    assert_eq!(alerts.len(), 1);
    assert_eq!((alerts[0].triggers, alerts[0].resolves), (1, 1), "{alerts:?}");
    assert_eq!(world.smtp.mails().len(), 2);
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(service.incidents().len(), 1, "and no second");
    assert_eq!(world.hook.calls().len(), 2, "nobody is told again");
    assert_eq!(world.faults(), Vec::<String>::new());
}

/// Mails, Slack messages outside of threads, PagerDuty's alerts, and webhook calls.
fn told(world: &World) -> [usize; 4] {
    let messages = world.slack.messages();
    [
        world.smtp.mails().len(),
        messages.iter().filter(|message| message.thread_ts.is_none()).count(),
        world.pager.alerts().len(),
        world.hook.calls().len(),
    ]
}
