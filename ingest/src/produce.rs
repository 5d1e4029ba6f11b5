//! Putting records into Kafka: for the demo's traffic and for tests. The pipeline itself only ever reads, but for
//! dead letters.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use beaconfire_model::{EventTime, LogFault};
use rdkafka::client::ClientContext;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::error::KafkaError;
use rdkafka::message::{DeliveryResult, Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer};
use rdkafka::types::RDKafkaErrorCode;

use crate::{KafkaKnobs, settings};

/// How long a full queue may keep [`Producer::send`] waiting.
const FULL_WITHIN: Duration = Duration::from_secs(30);

/// One record to produce.
#[derive(Debug, Clone, Copy, Default)]
pub struct Produced<'a> {
    /// The topic, which must exist.
    pub topic: &'a str,
    /// The partition; by the key's hash (as Java clients hash it) where `None`.
    pub partition: Option<i32>,
    /// The key.
    pub key: Option<&'a [u8]>,
    /// The value; `None` is a tombstone.
    pub payload: Option<&'a [u8]>,
    /// The record's timestamp; now where `None`.
    pub stamped: Option<EventTime>,
    /// Headers.
    pub headers: &'a [(&'a str, &'a [u8])],
}

/// Produces records, batched in the background; [`Producer::flush`] waits for them.
pub struct Producer {
    producer: ThreadedProducer<Outcomes>,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    delivered: AtomicU64,
    failed: AtomicU64,
}

impl Producer {
    /// A producer for these brokers, without authentication.
    pub fn open(brokers: &str) -> Result<Self, LogFault> {
        let knobs = KafkaKnobs {
            brokers: vec![brokers.to_owned()],
            group: "beaconfire".to_owned(),
            instance: None,
            properties: std::collections::BTreeMap::new(),
            topics: Vec::new(),
            dead_letter_topic: None,
        };
        Self::with(&knobs)
    }

    /// A producer that reaches the brokers as `knobs` say.
    pub fn with(knobs: &KafkaKnobs) -> Result<Self, LogFault> {
        let mut config = settings::producer(knobs, "producer")?;
        config
            .set("partitioner", "murmur2_random")
            .set("linger.ms", "5")
            .set("message.timeout.ms", "30000")
            .set_log_level(RDKafkaLogLevel::Warning);
        let counts = Arc::new(Counts::default());
        let producer = ThreadedProducer::from_config_and_context(&config, Outcomes(counts.clone()))
            .map_err(|error| LogFault::Fatal(format!("cannot make a Kafka producer: {error}")))?;
        Ok(Self { producer, counts })
    }

    /// Hands over one record; waits, up to 30 s, only while the queue of unsent records is full.
    pub fn send(&self, record: Produced<'_>) -> Result<(), LogFault> {
        let mut headers = OwnedHeaders::new_with_capacity(record.headers.len());
        for (key, value) in record.headers {
            headers = headers.insert(Header { key, value: Some(*value) });
        }
        let mut native = BaseRecord::<[u8], [u8]>::to(record.topic).headers(headers);
        native.partition = record.partition;
        native.key = record.key;
        native.payload = record.payload;
        native.timestamp = record.stamped.map(EventTime::millis);
        let until = Instant::now() + FULL_WITHIN;
        loop {
            match self.producer.send(native) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back))
                    if Instant::now() < until =>
                {
                    native = back;
                    std::thread::sleep(Duration::from_millis(5));
                }
                Err((error, _)) => {
                    return Err(LogFault::Retriable(format!("{} was not produced: {error}", record.topic)));
                }
            }
        }
    }

    /// Waits until all records are acknowledged. An error where that takes longer than `within`, or where any record
    /// since the producer was made has failed.
    pub fn flush(&self, within: Duration) -> Result<(), LogFault> {
        self.producer
            .flush(within)
            .map_err(|error| LogFault::Retriable(format!("records are still not acknowledged: {error}")))?;
        match self.counts.failed.load(Ordering::SeqCst) {
            0 => Ok(()),
            failed => Err(LogFault::Retriable(format!("{failed} records were refused or timed out"))),
        }
    }

    /// How many records brokers have acknowledged.
    pub fn delivered(&self) -> u64 {
        self.counts.delivered.load(Ordering::SeqCst)
    }
}

struct Outcomes(Arc<Counts>);

impl ClientContext for Outcomes {}

impl ProducerContext for Outcomes {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let count = if result.is_ok() { &self.0.delivered } else { &self.0.failed };
        count.fetch_add(1, Ordering::SeqCst);
    }
}
