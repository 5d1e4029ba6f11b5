//! Brokers that ask for a password, go away, and die.

use std::time::Duration;

use beaconfire_pipeline::WorkerKnobs;

use super::history::{ENTRY, Feeder, SECTIONS, essence, lines};
use super::kills::{settled, undisturbed};
use super::log::{flood, send};
use super::world::{PATIENCE, World, now};
use crate::harness::beaconfire::Beaconfire;
use crate::harness::eventually;
use crate::harness::kafka::{Kafka, SASL_PASSWORD, SASL_USER};

#[test]
fn a_flood_is_found_over_sasl_ssl() {
    let Some(world) = World::new("sasl", 3) else { return };
    let Some(brokers) = world.kafka.sasl_bootstrap.clone() else {
        eprintln!("SKIPPED: the broker that BEACONFIRE_TEST_KAFKA names has no SASL listener that we know");
        return;
    };
    let ca = world.kafka.ca();
    let properties = |password: &str| {
        format!(
            "  properties: {{security.protocol: sasl_ssl, sasl.mechanism: SCRAM-SHA-512, sasl.username: {SASL_USER}, \
             sasl.password: {password}, ssl.ca.location: \"{}\"}}",
            ca.display()
        )
    };
    send(&world, &flood(now() - 60_000, 50, &["203.0.113.7".to_owned()], 800));
    let wrong = world.config_of(&brokers, &properties("wrong"), ENTRY, SECTIONS);
    let stranger = Beaconfire::start(world.path(), "stranger", &wrong);
    eventually("the log says what is wrong", PATIENCE, || stranger.log().contains("check sasl.username"));
    assert_eq!(stranger.status("/healthz"), Some(200), "it stays up");
    assert_eq!(stranger.status("/readyz"), Some(503));
    assert_eq!(stranger.metric("beaconfire_kafka_up"), Some(0.0));
    drop(stranger);
    let right = world.config_of(&brokers, &properties(SASL_PASSWORD), ENTRY, SECTIONS);
    let service = Beaconfire::start(world.path(), "member", &right);
    service.ready();
    eventually("the flood is found", PATIENCE, || service.incidents().len() == 1);
    assert_eq!(service.metric("beaconfire_kafka_up"), Some(1.0));
}

#[test]
fn a_broker_that_stops_and_dies_costs_nothing() {
    let Some(kafka) = Kafka::own() else { return };
    // Scenarios hold brokers for as long as the test process lives; this one is killed at its end all the same.
    let kafka: &'static Kafka = Box::leak(Box::new(kafka));
    let Some(world) = World::on(kafka, "outage", 3) else { return };
    // Three times as long as all the trouble takes; what is left then is sent at once.
    let feeder = Feeder::start(&world, lines(now(), 5), Duration::from_secs(180));
    let mut service = Beaconfire::start(world.path(), "outage", &world.config(ENTRY, SECTIONS));
    service.ready();
    eventually("Kafka is seen", PATIENCE, || service.metric("beaconfire_kafka_up") == Some(1.0));
    let mut read = reads_on(&world, 0);
    // Stopped for a moment, as by a machine that swaps: members of the group stay what they are.
    kafka.signal("STOP");
    std::thread::sleep(Duration::from_secs(7));
    kafka.signal("CONT");
    read = reads_on(&world, read);
    // Stopped for longer than a session: the group's members lose what they have, and a while later nobody waits for
    // their coming back to it.
    kafka.signal("STOP");
    eventually("the partitions are lost", PATIENCE, || held(&service) == Some(0));
    std::thread::sleep(WorkerKnobs::default().return_within + Duration::from_secs(2));
    assert!(service.alive());
    kafka.signal("CONT");
    eventually("the partitions are back", PATIENCE, || held(&service) == Some(3));
    reads_on(&world, read);
    // Killed while it is being read from.
    assert!(feeder.is_mid_stream(kafka, &world) && !feeder.is_done(), "all was sent before the broker died");
    kafka.kill();
    eventually("kafka_up falls", PATIENCE, || service.metric("beaconfire_kafka_up") == Some(0.0));
    assert!(service.alive());
    kafka.resume();
    eventually("kafka_up rises", PATIENCE, || service.metric("beaconfire_kafka_up") == Some(1.0));
    feeder.finish(&world);
    world.read_to_the_end();
    let mut found = Vec::new();
    eventually("all incidents are over", PATIENCE, || {
        found = service.incidents();
        settled(&found, 9)
    });
    assert_eq!(essence(&found), essence(&undisturbed(&world, 9)));
    service.stop(Duration::from_secs(10));
    kafka.kill();
}

/// Waits until the group has committed more than `before` records; how many.
fn reads_on(world: &World, before: i64) -> i64 {
    let mut committed = before;
    eventually("it is read on", PATIENCE, || {
        // A partition without a commit says -1; a broker that does not answer says nothing at all.
        committed = world.kafka.committed(&world.name, &world.name, world.partitions).iter().sum();
        committed > before
    });
    committed
}

/// How many partitions the process reads; `None` where it does not answer.
fn held(service: &Beaconfire) -> Option<usize> {
    service.json("/api/v1/sources")["items"].as_array().map(Vec::len)
}
