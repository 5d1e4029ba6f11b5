//! What is read: a topic of its own, filled before anything is measured.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use beaconfire::threads::now;
use beaconfire_config::Config;
use beaconfire_ingest::{Produced, Producer};
use rand::rngs::StdRng;
use rand::{Rng as _, RngCore as _, SeedableRng as _};

use crate::broker::{Broker, Topic};
use crate::plan;
use crate::shared::traffic::{self, Crowd, Format};

/// A side that has not read everything by then never will.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// How to fill a topic.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Filling {
    pub(crate) format: Format,
    pub(crate) crowd: Crowd,
    /// Compressed by the broker as it takes the records; only where it is Apache Kafka.
    pub(crate) lz4: bool,
    /// Of a thousand records, so many are random bytes instead.
    pub(crate) faults: u32,
}

impl Filling {
    /// Records of this format as they are.
    pub(crate) fn plain(format: Format) -> Self {
        Self { format, crowd: Crowd::Skewed, lz4: false, faults: 0 }
    }
}

/// A filled topic.
pub(crate) struct Load {
    pub(crate) topic: Topic,
    pub(crate) format: Format,
    pub(crate) records: u64,
    pub(crate) bytes: u64,
    /// How many of them are random bytes.
    pub(crate) faults: u64,
}

impl Load {
    /// Fills a topic of its own, keyed by client.
    pub(crate) fn produce(broker: &Broker, name: &str, filling: Filling) -> Self {
        let (records, partitions) = broker.load();
        let settings: &[(&str, &str)] = if filling.lz4 { &[("compression.type", "lz4")] } else { &[] };
        let topic = broker.topic_with(name, partitions, settings);
        let producer = Producer::open(&topic.bootstrap).expect("a producer");
        let mut random = StdRng::seed_from_u64(5);
        let (mut bytes, mut faults) = (0, 0);
        let end = now().as_event_time();
        for line in traffic::lines(filling.format, filling.crowd, records, end) {
            let mut payload = line.text.into_bytes();
            if random.random_ratio(filling.faults, 1000) {
                random.fill_bytes(&mut payload);
                faults += 1;
            }
            bytes += payload.len() as u64;
            let partition = (line.client.wrapping_mul(0x9e37_79b1) >> 16) % partitions as u32;
            let record = Produced {
                topic: &topic.name,
                partition: Some(partition as i32),
                payload: Some(&payload),
                ..Produced::default()
            };
            producer.send(record).expect("the broker takes records");
        }
        producer.flush(PATIENCE).expect("all records arrive");
        Self { topic, format: filling.format, records: records as u64, bytes, faults }
    }

    /// A configuration with a group that has read nothing yet.
    pub(crate) fn config(&self) -> Config {
        static GROUPS: AtomicU64 = AtomicU64::new(0);
        let group = format!("bench-{}-{}", std::process::id(), GROUPS.fetch_add(1, Ordering::Relaxed));
        plan::config(&self.topic, &group, self.format.name())
    }

    /// A time as microseconds a record.
    pub(crate) fn micros(&self, time: Duration) -> f64 {
        time.as_secs_f64() * 1e6 / self.records as f64
    }
}
