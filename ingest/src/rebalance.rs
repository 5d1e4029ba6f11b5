//! What librdkafka tells us while it is polled: the group's wishes, commits that failed, whether brokers answer.
//!
//! All of it arrives as callbacks on the polling thread, and all of them only take notes. The poll loop answers a
//! rebalance later with its own start offsets; until then librdkafka waits, and pauses what it fetches.

use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use memchr::memmem;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::types::{RDKafkaErrorCode, RDKafkaRespErr};
use rdkafka::{Offset, TopicPartitionList};

use crate::{Metrics, stats};

/// A topic's name and a partition of it.
pub(crate) type Place = (String, i32);

/// What the group wants from us. Each must be answered exactly once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Note {
    /// These partitions are ours from now on; often none at all.
    Assigned(Vec<Place>),
    /// These are to be given up; often none at all. `lost` ones have gone to another member already.
    Revoked { places: Vec<Place>, lost: bool },
}

/// A commit that the broker refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Uncommitted {
    pub(crate) place: Place,
    pub(crate) next: i64,
}

/// The notebook that the callbacks write and the poll loop reads.
pub(crate) struct Context {
    worker: usize,
    metrics: Metrics,
    closing: AtomicBool,
    notes: Mutex<VecDeque<Note>>,
    uncommitted: Mutex<Vec<Uncommitted>>,
    complaint: Mutex<Option<(RDKafkaErrorCode, Instant)>>,
    leaderless: Mutex<BTreeSet<Place>>,
}

impl Context {
    pub(crate) fn new(worker: usize, metrics: Metrics) -> Self {
        metrics.set_up(worker, Some(false));
        Self {
            worker,
            metrics,
            closing: AtomicBool::new(false),
            notes: Mutex::default(),
            uncommitted: Mutex::default(),
            complaint: Mutex::default(),
            leaderless: Mutex::default(),
        }
    }

    /// The oldest note, which stays until it is answered.
    pub(crate) fn first(&self) -> Option<Note> {
        lock(&self.notes).front().cloned()
    }

    /// Whether there are more notes behind the first.
    pub(crate) fn has_more(&self) -> bool {
        lock(&self.notes).len() > 1
    }

    /// Strikes out the oldest note: it was answered, or is being answered.
    pub(crate) fn strike(&self) -> Option<Note> {
        lock(&self.notes).pop_front()
    }

    /// Commits that were refused since the last call.
    pub(crate) fn uncommitted(&self) -> Vec<Uncommitted> {
        std::mem::take(&mut *lock(&self.uncommitted))
    }

    /// From now on rebalances are answered in the callback: nobody reads notes any more.
    pub(crate) fn close(&self) {
        self.closing.store(true, Ordering::SeqCst);
    }

    /// Notes that a broker has answered, or that none does.
    pub(crate) fn saw_broker(&self, up: bool) {
        if !self.closing.load(Ordering::SeqCst) {
            self.metrics.set_up(self.worker, Some(up));
        }
    }

    /// Whether the broker that leads a partition was away when librdkafka last reported, or there was none.
    pub(crate) fn is_leaderless(&self, place: &Place) -> bool {
        lock(&self.leaderless).contains(place)
    }

    /// Says what is wrong and how to mend it, once a minute at most while it stays the same.
    pub(crate) fn complain(&self, code: RDKafkaErrorCode, reason: &str) {
        let now = Instant::now();
        let mut said = lock(&self.complaint);
        if said.is_some_and(|(last, at)| last == code && now.duration_since(at) < Duration::from_secs(60)) {
            return;
        }
        *said = Some((code, now));
        drop(said);
        let worker = self.worker;
        match mend(code) {
            Some(mend) => tracing::error!(worker, %code, reason, "kafka refuses us: {mend}"),
            None => tracing::warn!(worker, %code, reason, "kafka reported an error; librdkafka tries again"),
        }
    }
}

/// What an operator can do about an error that does not pass by itself.
pub(crate) fn mend(code: RDKafkaErrorCode) -> Option<&'static str> {
    Some(match code {
        RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SaslAuthenticationFailed => {
            "check sasl.username, sasl.password and sasl.mechanism in kafka.properties"
        }
        RDKafkaErrorCode::UnsupportedSASLMechanism => {
            "set sasl.mechanism in kafka.properties to one the brokers offer"
        }
        RDKafkaErrorCode::SSL => "check security.protocol and ssl.ca.location in kafka.properties",
        RDKafkaErrorCode::TopicAuthorizationFailed => "grant READ and DESCRIBE on the topics",
        RDKafkaErrorCode::GroupAuthorizationFailed => "grant READ on the consumer group",
        RDKafkaErrorCode::UnknownTopic | RDKafkaErrorCode::UnknownTopicOrPartition => {
            "create the topic, or mend its name in kafka.topics"
        }
        RDKafkaErrorCode::InconsistentGroupProtocol => {
            "another program uses this consumer group; give kafka.group a name of its own"
        }
        RDKafkaErrorCode::FencedInstanceId => {
            "another process runs with the same kafka.instance; give each a name of its own"
        }
        RDKafkaErrorCode::OffsetMetadataTooLarge => "raise offset.metadata.max.bytes on the brokers to 4096",
        _ => return None,
    })
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, said: &str) {
        let worker = self.worker;
        match level {
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
                tracing::error!(target: "librdkafka", worker, facility, "{said}");
            }
            // A broker that is away is an error to librdkafka, with every try. `kafka_up` and `complain` say it once.
            RDKafkaLogLevel::Error
            | RDKafkaLogLevel::Warning
            | RDKafkaLogLevel::Notice
            | RDKafkaLogLevel::Info => {
                tracing::info!(target: "librdkafka", worker, facility, "{said}");
            }
            RDKafkaLogLevel::Debug => tracing::debug!(target: "librdkafka", worker, facility, "{said}"),
        }
    }

    /// A broker's state is the one that is printed as `"state":"UP"`. Parsing the whole report, which grows with the
    /// number of partitions, would cost more than reading does on a quiet topic, so that is done only while something
    /// is wrong.
    fn stats_raw(&self, report: &[u8]) {
        self.saw_broker(memmem::find(report, br#""state":"UP""#).is_some());
        let away = if stats::may_lack_leaders(report) {
            stats::leaderless(report).unwrap_or_default()
        } else {
            BTreeSet::new()
        };
        let mut known = lock(&self.leaderless);
        if *known != away {
            let (worker, partitions) = (self.worker, away.len());
            tracing::info!(worker, partitions, "partitions whose broker does not answer");
            *known = away;
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let Some(code) = error.rdkafka_error_code() else { return };
        match code {
            RDKafkaErrorCode::AllBrokersDown => {
                self.saw_broker(false);
                self.complain(code, reason);
            }
            // One broker of several; librdkafka goes to another, or says that all are down.
            RDKafkaErrorCode::BrokerTransportFailure
            | RDKafkaErrorCode::Resolve
            | RDKafkaErrorCode::OperationTimedOut => {
                tracing::debug!(worker = self.worker, %code, reason, "a broker does not answer");
            }
            _ => self.complain(code, reason),
        }
    }
}

impl ConsumerContext for Context {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, wish: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let assigned = wish == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        if self.closing.load(Ordering::SeqCst) {
            let answered = if assigned { assign(consumer, list) } else { unassign(consumer, list) };
            if let Err(error) = answered {
                tracing::debug!(worker = self.worker, %error, "could not answer a rebalance while closing");
            }
            return;
        }
        let places = places(list);
        let lost = !assigned && consumer.assignment_lost();
        tracing::info!(
            worker = self.worker,
            assigned,
            lost,
            partitions = places.len(),
            "the group rebalances"
        );
        if assigned {
            self.metrics.set_joined(self.worker);
        }
        lock(&self.notes).push_back(if assigned {
            Note::Assigned(places)
        } else {
            Note::Revoked { places, lost }
        });
    }

    fn commit_callback(&self, result: KafkaResult<()>, offsets: &TopicPartitionList) {
        let whole = result.err().and_then(|error| error.rdkafka_error_code());
        let mut refused = Vec::new();
        for element in offsets.elements() {
            let code = whole.or_else(|| element.error().err().and_then(|error| error.rdkafka_error_code()));
            let (Some(code), Offset::Offset(next)) = (code, element.offset()) else { continue };
            if mend(code).is_some() {
                self.complain(code, "a commit was refused");
            }
            refused.push(Uncommitted { place: (element.topic().to_owned(), element.partition()), next });
        }
        if !refused.is_empty() {
            tracing::debug!(worker = self.worker, partitions = refused.len(), ?whole, "a commit failed");
            lock(&self.uncommitted).append(&mut refused);
        }
    }
}

/// Adds partitions, each at the offset in the list.
pub(crate) fn assign(consumer: &BaseConsumer<Context>, list: &TopicPartitionList) -> KafkaResult<()> {
    match consumer.rebalance_protocol() {
        RebalanceProtocol::Cooperative => consumer.incremental_assign(list),
        RebalanceProtocol::Eager | RebalanceProtocol::None => consumer.assign(list),
    }
}

/// Gives up partitions. librdkafka refuses the whole list where one of them is not assigned (its assignment had
/// failed, or was given up before): those are left out then.
pub(crate) fn unassign(consumer: &BaseConsumer<Context>, list: &TopicPartitionList) -> KafkaResult<()> {
    match consumer.rebalance_protocol() {
        RebalanceProtocol::Cooperative => consumer.incremental_unassign(list).or_else(|_| {
            let held = consumer.assignment()?;
            let mut ours = TopicPartitionList::new();
            for (topic, partition) in places(list) {
                if held.find_partition(&topic, partition).is_some() {
                    ours.add_partition(&topic, partition);
                }
            }
            consumer.incremental_unassign(&ours)
        }),
        RebalanceProtocol::Eager | RebalanceProtocol::None => consumer.unassign(),
    }
}

/// The names and partitions of a list.
pub(crate) fn places(list: &TopicPartitionList) -> Vec<Place> {
    list.elements().iter().map(|element| (element.topic().to_owned(), element.partition())).collect()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
