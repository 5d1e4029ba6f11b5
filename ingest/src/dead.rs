//! Records that nobody could read: counted, sampled for people, and sent on to a topic where one is configured.
//!
//! Nothing here ever blocks the pipeline. A poison flood must not become a produce flood: at most 100 records a second
//! are sent (a token bucket) from a queue of 1,000; what is over that is counted by [`DeadLetters::dropped`] and told
//! in the log. Delivery is at most once; `dead_letters_total` counts every dead letter, sent or not.
//!
//! What is handed in here leaves the process: query strings must have been redacted by the caller, as
//! `privacy.query` says.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use beaconfire_model::{LogFault, Wall};
use rdkafka::client::ClientContext;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::error::KafkaError;
use rdkafka::message::{DeliveryResult, Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer};
use rdkafka::types::RDKafkaErrorCode;

use crate::rebalance::mend;
use crate::{KafkaKnobs, Metrics, settings};

/// What is sent of a record at most.
const BODY_BYTES: usize = 64 * 1024;
/// What is sent of an error's text at most.
const ERROR_CHARS: usize = 256;
/// Records sent each second, and at once after a quiet second.
const PER_SECOND: f64 = 100.0;
/// Samples kept for each reason, and bytes kept of each.
const SAMPLES: usize = 8;
const SAMPLE_BYTES: usize = 4096;
/// Reasons are a closed set; this bounds them whatever a caller does.
const REASONS: usize = 64;
/// Once a reason has its samples, one newer takes the oldest's place this often.
const FRESH_AFTER: Duration = Duration::from_secs(10);

/// A record that did not decode.
#[derive(Debug, Clone, Copy)]
pub struct DeadLetter<'a> {
    /// The topic it came from.
    pub topic: &'a str,
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// Why: a name from a closed set, the metric's label.
    pub reason: &'static str,
    /// Why, in words. Cleaned of control characters and cut at 256 characters here.
    pub error: &'a str,
    /// The value, **prepared by the caller**: query strings are already redacted. `None` is a tombstone. Cut at 64 KiB
    /// here.
    pub payload: Option<&'a [u8]>,
    /// Why the value is none of the record's, but says that it was kept back; a header of its own.
    pub withheld: Option<&'static str>,
}

/// A dead letter as it is kept for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// Its number: later ones have higher.
    pub number: u64,
    /// When it was found, by our clock.
    pub at: Wall,
    /// The topic it came from.
    pub topic: String,
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// Why it is dead.
    pub reason: &'static str,
    /// Why, in words; no control characters, at most 256 characters.
    pub error: String,
    /// The value's first 4 KiB, as the caller prepared it: hostile text, to be escaped at the exit.
    pub payload: Option<Vec<u8>>,
}

/// Where dead letters go. Cloning shares it; any thread may send.
#[derive(Clone)]
pub struct DeadLetters {
    metrics: Metrics,
    shared: Arc<Shared>,
    outlet: Option<Arc<Outlet>>,
}

struct Outlet {
    topic: String,
    producer: ThreadedProducer<Failures>,
}

#[derive(Default)]
struct Shared {
    bucket: Mutex<Option<Bucket>>,
    samples: Mutex<Samples>,
    dropped: AtomicU64,
    complaint: Mutex<Option<Instant>>,
}

#[derive(Default)]
struct Samples {
    /// By reason.
    rings: BTreeMap<&'static str, Ring>,
    /// How many were ever kept.
    taken: u64,
}

struct Ring {
    samples: VecDeque<Sample>,
    newest: Instant,
}

impl DeadLetters {
    /// An outlet to `dead_letter_topic` where the knobs name one; else dead letters are only counted and sampled.
    /// Connecting goes on in the background. [`LogFault::Fatal`] where the configuration cannot work.
    pub fn open(knobs: &KafkaKnobs, metrics: Metrics) -> Result<Self, LogFault> {
        let shared = Arc::<Shared>::default();
        let Some(topic) = knobs.dead_letter_topic.clone() else {
            return Ok(Self { metrics, shared, outlet: None });
        };
        let mut config = settings::producer(knobs, "dead-letters")?;
        config
            .set("queue.buffering.max.messages", "1000")
            .set("queue.buffering.max.kbytes", "16384")
            .set("message.timeout.ms", "30000")
            .set("linger.ms", "50")
            .set_log_level(RDKafkaLogLevel::Warning);
        let producer = ThreadedProducer::from_config_and_context(&config, Failures(shared.clone()))
            .map_err(|error| LogFault::Fatal(format!("cannot make a producer for dead letters: {error}")))?;
        Ok(Self { metrics, shared, outlet: Some(Arc::new(Outlet { topic, producer })) })
    }

    /// Dead letters without Kafka: counted and sampled only.
    pub fn kept(metrics: Metrics) -> Self {
        Self { metrics, shared: Arc::default(), outlet: None }
    }

    /// Takes a dead letter. Never waits: what cannot be sent now is dropped and counted.
    pub fn send(&self, letter: DeadLetter<'_>) {
        let now = Instant::now();
        self.metrics.count_dead(letter.topic, letter.reason);
        let error = clean(letter.error);
        self.shared.keep(&letter, &error, now);
        let Some(outlet) = &self.outlet else { return };
        let mut bucket = lock(&self.shared.bucket);
        let allowed = bucket.get_or_insert_with(|| Bucket::full(now)).take(now);
        drop(bucket);
        if !allowed {
            self.shared.drop_one("more than 100 a second");
            return;
        }
        if let Err(error) = outlet.send(&letter, &error) {
            self.shared.drop_one(&error.to_string());
        }
    }

    /// Dead letters that were counted and sampled but did not reach the topic: too many at a time, or no broker.
    /// Always 0 where no topic is configured.
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }

    /// A few recent dead letters of each reason, oldest first.
    pub fn samples(&self) -> Vec<Sample> {
        lock(&self.shared.samples).rings.values().flat_map(|ring| ring.samples.iter().cloned()).collect()
    }

    /// Waits until what was taken is delivered, up to `within`.
    pub fn close(&self, within: Duration) {
        let Some(outlet) = &self.outlet else { return };
        if let Err(error) = outlet.producer.flush(within) {
            tracing::warn!(%error, "dead letters were left unsent");
        }
    }
}

impl Outlet {
    fn send(&self, letter: &DeadLetter<'_>, error: &str) -> Result<(), KafkaError> {
        let (partition, offset) = (letter.partition.to_string(), letter.offset.to_string());
        let headers = OwnedHeaders::new()
            .insert(Header { key: "dlq.reason", value: Some(letter.reason) })
            .insert(Header { key: "dlq.topic", value: Some(letter.topic) })
            .insert(Header { key: "dlq.partition", value: Some(partition.as_str()) })
            .insert(Header { key: "dlq.offset", value: Some(offset.as_str()) })
            .insert(Header { key: "dlq.error", value: Some(error) });
        let headers = match letter.withheld {
            Some(why) => headers.insert(Header { key: "dlq.withheld", value: Some(why) }),
            None => headers,
        };
        let mut record = BaseRecord::<[u8], [u8]>::to(&self.topic).headers(headers);
        record.payload = letter.payload.map(|payload| &payload[..payload.len().min(BODY_BYTES)]);
        self.producer.send(record).map_err(|(error, _)| error)
    }
}

impl Shared {
    fn keep(&self, letter: &DeadLetter<'_>, error: &str, now: Instant) {
        let Samples { rings, taken } = &mut *lock(&self.samples);
        if !rings.contains_key(letter.reason) && rings.len() >= REASONS {
            return;
        }
        let ring =
            rings.entry(letter.reason).or_insert_with(|| Ring { samples: VecDeque::new(), newest: now });
        if ring.samples.len() >= SAMPLES {
            if now.duration_since(ring.newest) < FRESH_AFTER {
                return;
            }
            ring.samples.pop_front();
        }
        ring.newest = now;
        *taken += 1;
        ring.samples.push_back(Sample {
            number: *taken,
            at: wall(),
            topic: letter.topic.to_owned(),
            partition: letter.partition,
            offset: letter.offset,
            reason: letter.reason,
            error: error.to_owned(),
            payload: letter.payload.map(|payload| payload[..payload.len().min(SAMPLE_BYTES)].to_vec()),
        });
    }

    /// Counts one that did not go out, and says so once a minute at most.
    fn drop_one(&self, why: &str) {
        let dropped = self.dropped.fetch_add(1, Ordering::Relaxed) + 1;
        let now = Instant::now();
        let mut said = lock(&self.complaint);
        if said.is_none_or(|at| now.duration_since(at) >= Duration::from_secs(60)) {
            *said = Some(now);
            drop(said);
            tracing::warn!(dropped, why, "dead letters do not reach their topic");
        }
    }
}

/// 100 at once, then 100 a second.
struct Bucket {
    tokens: f64,
    at: Instant,
}

impl Bucket {
    fn full(now: Instant) -> Self {
        Self { tokens: PER_SECOND, at: now }
    }

    fn take(&mut self, now: Instant) -> bool {
        let since = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = self.at.max(now);
        self.tokens = (self.tokens + since * PER_SECOND).min(PER_SECOND);
        let allowed = self.tokens >= 1.0;
        if allowed {
            self.tokens -= 1.0;
        }
        allowed
    }
}

/// An error's text quotes the record: no control characters, and not too much of it.
fn clean(error: &str) -> String {
    error.chars().take(ERROR_CHARS).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

struct Failures(Arc<Shared>);

impl ClientContext for Failures {
    fn error(&self, error: KafkaError, reason: &str) {
        match error.rdkafka_error_code().and_then(mend) {
            Some(mend) => tracing::warn!(%error, reason, "dead letters do not reach Kafka: {mend}"),
            // The consumers say that brokers are away.
            None => tracing::debug!(%error, reason, "the dead letters' producer reported an error"),
        }
    }
}

impl ProducerContext for Failures {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown);
            let why = match mend(code) {
                Some(_) if code == RDKafkaErrorCode::TopicAuthorizationFailed => {
                    "grant WRITE on the dead letter topic".to_owned()
                }
                Some(mend) => format!("{error}: {mend}"),
                None => error.to_string(),
            };
            self.0.drop_one(&why);
        }
    }
}

fn wall() -> Wall {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Wall::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus::Registry;

    fn letter<'a>(reason: &'static str, offset: i64, payload: &'a [u8]) -> DeadLetter<'a> {
        DeadLetter {
            topic: "edge",
            partition: 2,
            offset,
            reason,
            error: "bad\r\nline",
            payload: Some(payload),
            withheld: None,
        }
    }

    #[test]
    fn the_bucket_lets_a_hundred_through_and_then_a_hundred_a_second() {
        let start = Instant::now();
        let mut bucket = Bucket::full(start);
        let allowed = |bucket: &mut Bucket, at| (0..1000).filter(|_| bucket.take(at)).count();
        assert_eq!(allowed(&mut bucket, start), 100);
        assert_eq!(allowed(&mut bucket, start + Duration::from_millis(500)), 50);
        assert_eq!(allowed(&mut bucket, start + Duration::from_secs(60)), 100);
        assert_eq!(allowed(&mut bucket, start), 0, "a clock that steps back gives nothing");
    }

    #[test]
    fn samples_are_few_cut_and_refreshed_slowly() {
        let shared = Shared::default();
        let start = Instant::now();
        let long = vec![b'x'; 10_000];
        for offset in 0..100 {
            shared.keep(&letter("syntax", offset, &long), "e", start);
        }
        shared.keep(&letter("depth", 7, b"{"), "e", start);
        let offsets = |shared: &Shared| -> Vec<i64> {
            lock(&shared.samples).rings["syntax"].samples.iter().map(|sample| sample.offset).collect()
        };
        assert_eq!(offsets(&shared), [0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(
            lock(&shared.samples).rings["syntax"].samples[0].payload.as_ref().map(Vec::len),
            Some(SAMPLE_BYTES)
        );
        assert_eq!(lock(&shared.samples).rings["depth"].samples.len(), 1);
        shared.keep(&letter("syntax", 900, b"x"), "e", start + FRESH_AFTER);
        assert_eq!(offsets(&shared), [1, 2, 3, 4, 5, 6, 7, 900]);
    }

    #[test]
    fn without_a_topic_dead_letters_are_counted_and_sampled() {
        let registry = Registry::new();
        let dead = DeadLetters::kept(Metrics::register(&registry).unwrap());
        dead.send(letter("syntax", 5, b"{"));
        dead.send(DeadLetter { payload: None, ..letter("tombstone", 6, b"") });
        let samples = dead.samples();
        assert_eq!(
            samples.iter().map(|sample| (sample.number, sample.offset)).collect::<Vec<_>>(),
            [(1, 5), (2, 6)]
        );
        assert!(wall().since(samples[1].at) < Duration::from_secs(60));
        assert_eq!(samples[0].error, "bad\u{fffd}\u{fffd}line");
        assert_eq!(samples[1].payload, None);
        assert_eq!(dead.dropped(), 0);
        let counted: f64 = registry
            .gather()
            .iter()
            .filter(|family| family.name() == "beaconfire_dead_letters_total")
            .flat_map(|family| family.get_metric().iter().map(|metric| metric.get_counter().get_value()))
            .sum();
        assert_eq!(counted, 2.0);
    }
}
