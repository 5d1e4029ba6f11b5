//! Reading Kafka leaks nothing: members that join, read, pause, hold back, begin in the middle, rebalance and go while half
//! of a batch is unread, over and over, on the embedded broker. What `drain.rs` takes from librdkafka it must destroy:
//! messages, queues, lists. Shown by what malloc has handed out (`mallinfo2`), which must not grow from round to round;
//! a message that is left behind keeps its whole fetch response, and its consumer from ever being closed.
#![cfg(target_env = "gnu")]
#![allow(unsafe_code, reason = "mallinfo2 is C's")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use beaconfire_ingest::{
    Broker, KafkaKnobs, KafkaLog, Metrics, Produced, Producer, StartAt, TopicKnobs, TopicSelect,
};
use beaconfire_model::{Committed, EntryId, Log as _, LogFault, Names, Offset, Secret, Source, Start, Turn};

const PATIENCE: Duration = Duration::from_secs(60);
const PARTITIONS: i32 = 4;
/// Of each partition; less than the broker keeps.
const RECORDS: i64 = 4_000;
/// Rounds until caches, arenas and the broker's groups have their size.
const WARM: usize = 3;
/// Rounds that are measured.
const ROUNDS: usize = 6;
/// What a round may leave behind: less than one fetch response.
const SLACK: i64 = 20 << 10;

/// Bytes that malloc has handed out and were not given back.
fn in_use() -> i64 {
    // SAFETY: no arguments, and plain numbers are returned.
    let info = unsafe { libc::mallinfo2() };
    (info.uordblks + info.hblkhd) as i64
}

fn knobs(broker: &Broker) -> KafkaKnobs {
    // The embedded broker takes a session's length for every rebalance.
    let properties =
        [("session.timeout.ms", "1000"), ("max.poll.interval.ms", "1000"), ("heartbeat.interval.ms", "100")];
    KafkaKnobs {
        brokers: vec![broker.bootstrap().to_owned()],
        group: "leaks".to_owned(),
        instance: None,
        properties: properties.map(|(name, value)| (name.to_owned(), Secret::new(value.to_owned()))).into(),
        topics: vec![TopicKnobs {
            entry: EntryId(0),
            select: TopicSelect::Name("edge".to_owned()),
            start: StartAt::Earliest,
        }],
        dead_letter_topic: None,
    }
}

/// A member, and where it has come in each partition.
struct Member {
    log: KafkaLog,
    next: BTreeMap<Source, i64>,
    batches: u64,
    revoked: u64,
}

impl Member {
    fn join(broker: &Broker, worker: usize) -> Self {
        let metrics = Metrics::register(&prometheus::Registry::new()).expect("a fresh registry");
        let log = KafkaLog::open(&knobs(broker), worker, Names::default(), metrics).expect("a consumer");
        Self { log, next: BTreeMap::new(), batches: 0, revoked: 0 }
    }

    /// One turn, answered. Every other batch is left unread, and of the rest only a part is read.
    fn step(&mut self) {
        match self.log.poll(Duration::from_millis(5)) {
            Ok(Turn::Records) => {
                self.batches += 1;
                let most = if self.batches.is_multiple_of(2) { 0 } else { 100 };
                for record in self.log.records().take(most) {
                    self.next.insert(record.source, record.offset.0 + 1);
                }
            }
            Ok(Turn::Assigned(given)) => {
                // At the begin, in the middle and near the end in turn: a seek for most of them.
                let starts = given.iter().zip([0, RECORDS / 2, RECORDS - 500].into_iter().cycle());
                let starts: Vec<Start> =
                    starts.map(|(given, at)| Start { source: given.source, at: Offset(at) }).collect();
                self.log.start(&starts).expect("they were assigned");
                self.next.extend(starts.iter().map(|start| (start.source, start.at.0)));
            }
            Ok(Turn::Revoked { sources, .. }) => {
                self.revoked += 1;
                self.commit();
                self.log.release(&sources).expect("they were revoked");
                self.next.retain(|source, _| !sources.contains(source));
            }
            Ok(Turn::Idle | Turn::CaughtUp { .. } | Turn::Ended) | Err(LogFault::Retriable(_)) => {}
            Err(fault) => panic!("{fault}"),
        }
    }

    fn commit(&mut self) {
        let committed = |(source, next): (&Source, &i64)| Committed {
            source: *source,
            next: Offset(*next),
            metadata: "v1;r=3;m=5;e=1".to_owned(),
        };
        let commits: Vec<Committed> = self.next.iter().map(committed).collect();
        self.log.commit(&commits).expect("commits are taken");
    }

    fn until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        let late = Instant::now() + PATIENCE;
        while !done(self) {
            assert!(Instant::now() < late, "never: {what}");
            self.step();
        }
    }
}

/// What a process does in a day, in a few seconds.
fn round(broker: &Broker) {
    let mut one = Member::join(broker, 0);
    one.until("the first has all partitions", |member| member.next.len() == PARTITIONS as usize);
    one.until("it reads", |member| member.batches >= 2);
    one.log.pause(true).expect("it pauses");
    for _ in 0..4 {
        one.step();
    }
    one.log.pause(false).expect("it goes on");
    let held: Vec<Source> = one.next.keys().copied().take(2).collect();
    one.log.hold(&held);
    one.until("it reads what is not held back", |member| member.batches >= 3);
    one.log.hold(&[]);
    one.commit();
    // A rebalance with a batch in hand.
    let mut two = Member::join(broker, 1);
    let late = Instant::now() + PATIENCE;
    while two.batches < 1 || one.revoked == 0 {
        assert!(Instant::now() < late, "the second never gets its share");
        one.step();
        two.step();
    }
    // Both go with what they have not read.
}

#[test]
fn reading_kafka_leaks_nothing() {
    let broker = Broker::start(&[("edge", PARTITIONS)]).expect("a broker");
    let producer = Producer::open(broker.bootstrap()).expect("a producer");
    let payload = vec![b'x'; 400];
    for number in 0..RECORDS * i64::from(PARTITIONS) {
        let partition = Some((number % i64::from(PARTITIONS)) as i32);
        let record = Produced { topic: "edge", partition, payload: Some(&payload), ..Produced::default() };
        producer.send(record).expect("the broker takes records");
    }
    producer.flush(PATIENCE).expect("all records arrive");
    drop(producer);

    let mut after = Vec::new();
    for _ in 0..WARM + ROUNDS {
        let began = Instant::now();
        round(&broker);
        after.push(in_use());
        println!("{} bytes in use after {:?}", after[after.len() - 1], began.elapsed());
    }
    // The least of the first rounds and of the last: what is in flight when a round ends comes and goes.
    let half = WARM + ROUNDS / 2;
    let least = |rounds: &[i64]| rounds.iter().copied().min().expect("rounds");
    let grown = (least(&after[half..]) - least(&after[WARM..half])) / (ROUNDS as i64 / 2);
    assert!(grown < SLACK, "each round leaves {grown} bytes behind: {after:?}");
}
