//! The log moves under us: retention takes records that were not read, a topic is made anew, partitions are added.
//! What is lost is said, as an incident of its own; what is there is read.

use serde_json::Value;

use super::log::{flood, request};
use super::world::{PATIENCE, World, now};
use crate::harness::beaconfire::Beaconfire;
use crate::harness::eventually;

const ENTRY: &str = "format: combined, service: shop, lateness: 5s";
const STOP_WITHIN: std::time::Duration = std::time::Duration::from_secs(10);

/// Sends so many visits of a minute ago (what is sent after them must not be late), each by a client of its own.
fn visits(world: &World, partition: i32, count: usize) {
    let producer = world.producer();
    for n in 0..count {
        let line = request(now() - 60_000, &format!("198.18.{}.{}", n / 200, 1 + n % 200), "/", 200);
        producer.send(&world.name, Some(partition), None, line.as_bytes());
    }
    producer.flush();
}

/// Sends a flood of just now by one client, of 800 requests.
fn attack(world: &World, partition: i32, client: &str) {
    let producer = world.producer();
    for line in flood(now() - 50_000, 50, &[client.to_owned()], 800) {
        producer.send(&world.name, Some(partition), None, line.text.as_bytes());
    }
    producer.flush();
}

fn of_kind(service: &Beaconfire, kind: &str) -> Vec<Value> {
    let mut incidents = service.incidents();
    incidents.retain(|incident| incident["kind"] == kind);
    incidents
}

/// Waits for the incident that says that records were lost, and for its page; what it says.
fn lost(world: &World, service: &Beaconfire) -> String {
    let mut found = Vec::new();
    eventually("an incident says that records were lost", PATIENCE, || {
        found = of_kind(service, "sensor");
        !found.is_empty()
    });
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0]["target"], serde_json::json!({"kind": "input", "name": world.name}));
    let id = found[0]["id"].as_str().expect("an id");
    eventually("people are told of it", PATIENCE, || {
        world.pager.alerts().keys().any(|key| key.ends_with(id))
    });
    found[0]["signals"].to_string()
}

/// The flood's only client, once each of its 800 requests is counted.
fn attacker(service: &Beaconfire) -> Value {
    let mut found = Vec::new();
    eventually("the flood is found, whole", PATIENCE, || {
        found = of_kind(service, "flood");
        found.len() == 1 && found[0]["participants"][0]["events"].as_f64() == Some(800.0)
    });
    assert_eq!(found[0]["participants_total"], 1);
    found[0]["participants"][0]["value"].clone()
}

#[test]
fn records_that_retention_took_unread_are_an_incident_and_reading_goes_on() {
    let Some(world) = World::new("retention", 1) else { return };
    visits(&world, 0, 300);
    let mut service = Beaconfire::start(world.path(), "retention", &world.config(ENTRY, ""));
    service.ready();
    world.read_to_the_end();
    service.stop(STOP_WITHIN);
    visits(&world, 0, 200);
    world.kafka.delete_records(&world.name, 0, 420);
    attack(&world, 0, "203.0.113.7");
    service.restart();
    service.ready();
    let said = lost(&world, &service);
    assert!(said.contains("offsets 300 to 419 had left the log before they were read"), "{said}");
    assert_eq!(attacker(&service), "203.0.113.7");
    world.read_to_the_end();
    let decoded = format!(
        "beaconfire_records_total{{format=\"combined\",result=\"decoded\",topic=\"{}\"}}",
        world.name
    );
    assert_eq!(service.metric(&decoded), Some(880.0), "what was left, each once");
    // Said once: what is committed now lies in the log.
    service.stop(STOP_WITHIN);
    service.restart();
    service.ready();
    visits(&world, 0, 1);
    world.read_to_the_end();
    let sensor = of_kind(&service, "sensor");
    assert_eq!((sensor.len(), &sensor[0]["signals"][1]), (1, &Value::Null), "{sensor:?}");
}

#[test]
fn a_topic_made_anew_is_an_incident_and_is_read_from_its_end() {
    let Some(world) = World::new("anew", 1) else { return };
    visits(&world, 0, 300);
    let mut service = Beaconfire::start(world.path(), "anew", &world.config(ENTRY, ""));
    service.ready();
    world.read_to_the_end();
    service.stop(STOP_WITHIN);
    world.kafka.delete_topic(&world.name);
    world.kafka.topic(&world.name, 1);
    visits(&world, 0, 20);
    service.restart();
    service.ready();
    let said = lost(&world, &service);
    assert!(said.contains("the log ends at 20, before the committed offset 300"), "{said}");
    attack(&world, 0, "203.0.113.7");
    assert_eq!(attacker(&service), "203.0.113.7");
    world.read_to_the_end();
}

#[test]
fn partitions_that_appear_later_are_read_from_their_first_record() {
    let Some(mut world) = World::new("added", 1) else { return };
    visits(&world, 0, 100);
    let config = world.config(ENTRY, "pipeline: {workers: 2}").replace("start: earliest", "start: latest");
    let mut service = Beaconfire::start(world.path(), "added", &config);
    service.ready();
    // `latest` is settled by committing it.
    world.read_to_the_end();
    world.kafka.partitions(&world.name, 3);
    world.partitions = 3;
    // Before we can know of them.
    attack(&world, 2, "203.0.113.7");
    visits(&world, 1, 50);
    assert_eq!(attacker(&service), "203.0.113.7");
    world.read_to_the_end();
    let decoded = format!(
        "beaconfire_records_total{{format=\"combined\",result=\"decoded\",topic=\"{}\"}}",
        world.name
    );
    assert_eq!(service.metric(&decoded), Some(850.0), "none of before the start, and each since");

    // Also those that are added while nobody reads.
    service.stop(STOP_WITHIN);
    world.kafka.partitions(&world.name, 4);
    world.partitions = 4;
    attack(&world, 3, "203.0.113.99");
    service.restart();
    service.ready();
    eventually("the second attacker is found", PATIENCE, || {
        of_kind(&service, "flood")
            .iter()
            .any(|flood| flood["participants"].to_string().contains("203.0.113.99"))
    });
}
