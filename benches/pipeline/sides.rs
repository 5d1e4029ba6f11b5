//! The ways to read the same records, from the least that can be done to all of it. The last, `whole`, has a file of its
//! own, as has `batch`.

use std::time::{Duration, Instant};

use beaconfire_config::Config;
use beaconfire_ingest::{KafkaLog, Metrics};
use beaconfire_model::{Log as _, Names, Start, Turn};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::Message as _;

use crate::load::{Load, PATIENCE};

/// The least: rdkafka's own `poll`, one message at a time. Settings are librdkafka's, but for the one that would have
/// it wait for a second whenever its queue is full.
pub(crate) fn bare(load: &Load) -> Instant {
    let group = load.config().kafka.expect("a topic is configured").group;
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &load.topic.bootstrap)
        .set("group.id", group)
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        .set("fetch.queue.backoff.ms", "10")
        .create()
        .expect("a consumer");
    consumer.subscribe(&[&load.topic.name]).expect("a topic's name");
    let (mut records, mut bytes, until) = (0, 0, Instant::now() + PATIENCE);
    while records < load.records {
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => {
                records += 1;
                bytes += message.payload().map_or(0, <[u8]>::len) as u64;
            }
            Some(Err(error)) => panic!("reading failed: {error}"),
            None => assert!(Instant::now() < until, "only {records} records came"),
        }
    }
    assert_eq!(bytes, load.bytes, "all records were read once");
    Instant::now()
}

pub(crate) fn open(config: &Config, names: &Names) -> KafkaLog {
    let metrics = Metrics::register(&prometheus::Registry::new()).expect("a fresh registry");
    let knobs = config.kafka.as_ref().expect("a topic is configured");
    KafkaLog::open(knobs, 0, names.clone(), metrics).expect("a consumer")
}

/// Our log, without anything behind it: what our way of reading saves.
pub(crate) fn log(load: &Load) -> Instant {
    let mut log = open(&load.config(), &Names::default());
    let (mut records, mut bytes, until) = (0, 0, Instant::now() + PATIENCE);
    while records < load.records {
        match log.poll(Duration::from_millis(20)).expect("reading goes on") {
            Turn::Records => {
                for record in log.records() {
                    records += 1;
                    bytes += record.payload.map_or(0, <[u8]>::len) as u64;
                }
            }
            Turn::Assigned(given) => {
                let starts: Vec<Start> =
                    given.iter().map(|given| Start { source: given.source, at: given.fresh }).collect();
                log.start(&starts).expect("they were assigned");
            }
            _ => assert!(Instant::now() < until, "only {records} records came"),
        }
    }
    assert_eq!(bytes, load.bytes, "all records were read once");
    Instant::now()
}
