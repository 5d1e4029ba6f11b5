//! Brokers that ask for a password, go away, and die.

use std::time::Duration;

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
    let feeder = Feeder::start(&world, lines(now(), 5), Duration::from_secs(60));
    let mut service = Beaconfire::start(world.path(), "outage", &world.config(ENTRY, SECTIONS));
    service.ready();
    eventually("Kafka is seen", PATIENCE, || service.metric("beaconfire_kafka_up") == Some(1.0));
    std::thread::sleep(Duration::from_secs(5));
    // Stopped for 20 s, as by a machine that swaps.
    kafka.signal("STOP");
    std::thread::sleep(Duration::from_secs(20));
    assert!(service.alive());
    kafka.signal("CONT");
    std::thread::sleep(Duration::from_secs(5));
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
