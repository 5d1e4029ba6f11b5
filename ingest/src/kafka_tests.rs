//! A member of the group against the embedded broker. What needs retention, offsets by time or a broker's death is
//! shown on Apache Kafka elsewhere.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Instant;

use beaconfire_model::{Assignment, EntryId, EventTime, Offset, Secret};
use prometheus::Registry;
use rdkafka::message::Message as _;
use rdkafka::mocking::MockCoordinator;
use rdkafka::producer::{BaseProducer, Producer as _};
use rdkafka::{Offset as KafkaOffset, TopicPartitionList};

use super::*;
use crate::drain;
use crate::{Broker, DeadLetter, DeadLetters, Produced, Producer, StartAt, TopicKnobs, TopicSelect};

const SOON: Duration = Duration::from_secs(15);

fn knobs(broker: &Broker, topics: &[&str]) -> KafkaKnobs {
    knobs_at(broker.bootstrap(), "beaconfire", topics)
}

fn knobs_at(bootstrap: &str, group: &str, topics: &[&str]) -> KafkaKnobs {
    let entry = |(at, topic): (usize, &&str)| TopicKnobs {
        entry: EntryId(at as u16),
        select: match topic.starts_with('^') {
            true => TopicSelect::Pattern((*topic).to_owned()),
            false => TopicSelect::Name((*topic).to_owned()),
        },
        start: StartAt::Earliest,
    };
    KafkaKnobs {
        brokers: vec![bootstrap.to_owned()],
        group: group.to_owned(),
        instance: None,
        properties: properties(2000),
        topics: topics.iter().enumerate().map(entry).collect(),
        dead_letter_topic: None,
    }
}

/// The embedded broker takes a session's length for every rebalance.
fn properties(session: u32) -> BTreeMap<String, Secret> {
    let all = [
        ("session.timeout.ms", session),
        ("max.poll.interval.ms", session),
        ("heartbeat.interval.ms", 200),
        ("reconnect.backoff.max.ms", 500),
    ];
    all.map(|(name, value)| (name.to_owned(), Secret::new(value.to_string()))).into()
}

/// A member and what it has seen. Payloads are their own offset as text.
struct Probe {
    log: KafkaLog,
    metrics: Metrics,
    assigned: Vec<Assignment>,
    revoked: Vec<(Source, bool)>,
    caught_up: Vec<Source>,
    seen: BTreeMap<Source, Vec<i64>>,
    /// Where sources begin; at the committed offset, else at `fresh`, where this says nothing.
    begin: Option<fn(&Assignment) -> i64>,
    retriable: usize,
}

impl Probe {
    fn join(knobs: &KafkaKnobs, worker: usize) -> Self {
        let (names, metrics) = (Names::default(), Metrics::register(&Registry::new()).unwrap());
        Self::join_with(knobs, worker, names, metrics)
    }

    fn join_with(knobs: &KafkaKnobs, worker: usize, names: Names, metrics: Metrics) -> Self {
        let log = KafkaLog::open(knobs, worker, names, metrics.clone()).unwrap();
        Self {
            log,
            metrics,
            assigned: Vec::new(),
            revoked: Vec::new(),
            caught_up: Vec::new(),
            seen: BTreeMap::new(),
            begin: None,
            retriable: 0,
        }
    }

    /// One turn, answered.
    fn step(&mut self) {
        match self.log.poll(Duration::from_millis(20)) {
            Ok(Turn::Idle) => {}
            Ok(Turn::Records) => {
                for record in self.log.records() {
                    let payload = record.payload.map(|payload| String::from_utf8_lossy(payload).into_owned());
                    assert_eq!(payload, Some(record.offset.0.to_string()), "{:?}", record.source);
                    self.seen.entry(record.source).or_default().push(record.offset.0);
                }
            }
            Ok(Turn::Assigned(given)) => {
                let at = |given: &Assignment| match (self.begin, &given.committed) {
                    (Some(begin), _) => begin(given),
                    (None, Some((next, _))) => next.0,
                    (None, None) => given.fresh.0,
                };
                let starts: Vec<Start> =
                    given.iter().map(|given| Start { source: given.source, at: Offset(at(given)) }).collect();
                self.log.start(&starts).unwrap();
                self.assigned.extend(given);
            }
            Ok(Turn::Revoked { sources, lost }) => {
                if !lost {
                    self.commit(&sources);
                }
                self.log.release(&sources).unwrap();
                self.revoked.extend(sources.into_iter().map(|source| (source, lost)));
            }
            Ok(Turn::CaughtUp { source }) => self.caught_up.push(source),
            Ok(Turn::Ended) => panic!("Kafka never ends"),
            Err(LogFault::Retriable(_)) => self.retriable += 1,
            Err(fault) => panic!("{fault}"),
        }
    }

    fn commit(&mut self, sources: &[Source]) {
        let next = |source| self.seen.get(source).and_then(|seen| seen.last()).map(|last| last + 1);
        let commits: Vec<Committed> = sources
            .iter()
            .filter_map(|source| {
                let metadata = "v1;r=3;m=é;e=1".to_owned();
                next(source).map(|next| Committed { source: *source, next: Offset(next), metadata })
            })
            .collect();
        self.log.commit(&commits).unwrap();
    }

    fn until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        let late = Instant::now() + SOON;
        while !done(self) {
            assert!(Instant::now() < late, "never: {what}; seen {:?}", self.count());
            self.step();
        }
    }

    fn spin(&mut self, time: Duration) {
        let until = Instant::now() + time;
        while Instant::now() < until {
            self.step();
        }
    }

    fn count(&self) -> usize {
        self.seen.values().map(Vec::len).sum()
    }

    fn sources(&self) -> Vec<Source> {
        self.log.live.as_ref().unwrap().reader().sources()
    }

    fn lag(&self, topic: &str, partition: i32) -> i64 {
        self.metrics.lag_of(topic, partition)
    }
}

/// Produces records whose payload is the offset they will have.
struct Feed {
    producer: Producer,
    next: BTreeMap<(String, i32), i64>,
}

impl Feed {
    fn to(broker: &Broker) -> Self {
        Self::at(broker.bootstrap())
    }

    fn at(bootstrap: &str) -> Self {
        Self { producer: Producer::open(bootstrap).unwrap(), next: BTreeMap::new() }
    }

    fn more(&mut self, topic: &str, partition: i32, count: i64) {
        let next = self.next.entry((topic.to_owned(), partition)).or_default();
        for offset in *next..*next + count {
            let payload = offset.to_string();
            let record = Produced {
                topic,
                partition: Some(partition),
                payload: Some(payload.as_bytes()),
                stamped: Some(EventTime::from_millis(1_767_323_045_000 + offset)),
                ..Produced::default()
            };
            self.producer.send(record).unwrap();
        }
        *next += count;
        self.producer.flush(SOON).unwrap();
    }
}

#[test]
fn reading_begins_exactly_where_we_say_and_ends_caught_up() {
    let broker = Broker::start(&[("edge", 3)]).unwrap();
    let mut feed = Feed::to(&broker);
    for partition in 0..3 {
        feed.more("edge", partition, 200);
    }
    let mut member = Probe::join(&knobs(&broker, &["edge"]), 0);
    member.begin = Some(|given| 10 + 60 * i64::from(given.source.partition));
    member.until("all read and caught up", |member| member.caught_up.len() >= 3);
    for given in &member.assigned {
        assert_eq!((given.low, given.high, given.fresh), (Offset(0), Offset(200), Offset(0)));
        assert_eq!(given.committed, None);
        let from = 10 + 60 * i64::from(given.source.partition);
        assert_eq!(member.seen[&given.source], (from..200).collect::<Vec<_>>());
    }
    assert_eq!(member.assigned.len(), 3);
    // An end that moves is reached again.
    feed.more("edge", 1, 5);
    member.until("caught up again", |member| {
        member.count() == 190 + 130 + 70 + 5 && member.caught_up.len() >= 4
    });
    assert_eq!(member.caught_up.last().map(|source| source.partition), Some(1));
    member.spin(Duration::from_millis(1200));
    assert_eq!(member.lag("edge", 1), 0);
    assert!(member.revoked.is_empty());
}

#[test]
fn an_empty_partition_is_caught_up_at_once() {
    let broker = Broker::start(&[("edge", 1)]).unwrap();
    let mut member = Probe::join(&knobs(&broker, &["edge"]), 0);
    member.until("caught up", |member| member.caught_up.len() == 1);
    member.spin(Duration::from_millis(500));
    assert_eq!(member.caught_up.len(), 1, "told once");
}

#[test]
fn records_carry_their_stamp_and_their_entry() {
    let broker = Broker::start(&[("edge-eu", 1), ("edge-us", 1), ("other", 1), ("edge-dead", 1)]).unwrap();
    let mut feed = Feed::to(&broker);
    for topic in ["edge-eu", "edge-us", "other", "edge-dead"] {
        feed.more(topic, 0, 1);
    }
    let knobs = KafkaKnobs {
        dead_letter_topic: Some("edge-dead".into()),
        ..knobs(&broker, &["^edge-.*", "edge-us"])
    };
    let mut log =
        KafkaLog::open(&knobs, 0, Names::default(), Metrics::register(&Registry::new()).unwrap()).unwrap();
    let (mut seen, late) = (Vec::new(), Instant::now() + SOON);
    while seen.len() < 2 {
        assert!(Instant::now() < late, "{seen:?}");
        match log.poll(Duration::from_millis(20)).unwrap() {
            Turn::Assigned(given) => {
                assert_eq!(given.len(), 2, "neither another topic nor our own dead letters: {given:?}");
                let starts: Vec<Start> =
                    given.iter().map(|given| Start { source: given.source, at: given.low }).collect();
                log.start(&starts).unwrap();
            }
            Turn::Records => {
                seen.extend(
                    log.records().map(|record| (record.source.entry.0, record.stamped.unwrap().millis())),
                );
            }
            _ => {}
        }
    }
    seen.sort_unstable();
    assert_eq!(seen, [(0, 1_767_323_045_000), (1, 1_767_323_045_000)]);
}

#[test]
fn commits_and_their_metadata_come_back() {
    let broker = Broker::start(&[("edge", 1)]).unwrap();
    let mut feed = Feed::to(&broker);
    feed.more("edge", 0, 50);
    let mut member = Probe::join(&knobs(&broker, &["edge"]), 0);
    member.until("all read", |member| member.count() == 50);
    // Refused once: it is said again without being asked for.
    broker.refuse_commits(1).unwrap();
    member.commit(&member.sources());
    member.spin(Duration::from_millis(2500));
    member.log.close(SOON);
    feed.more("edge", 0, 7);
    let mut next = Probe::join(&knobs(&broker, &["edge"]), 0);
    next.until("the rest", |next| next.count() >= 7);
    assert_eq!(next.assigned[0].committed, Some((Offset(50), "v1;r=3;m=é;e=1".to_owned())));
    assert_eq!(next.seen.values().next().unwrap(), &(50..57).collect::<Vec<_>>());
}

#[test]
fn a_member_joins_and_leaves_without_a_gap() {
    let broker = Broker::start(&[("edge", 4)]).unwrap();
    check_joining_and_leaving(&knobs(&broker, &["edge"]), &mut Feed::to(&broker), "edge", 4);
}

/// Two members, each answering in its own time; the second leaves again.
fn check_joining_and_leaving(knobs: &KafkaKnobs, feed: &mut Feed, topic: &str, partitions: i32) {
    let all = partitions as usize;
    let names = Names::default();
    let metrics = || Metrics::register(&Registry::new()).unwrap();
    for partition in 0..partitions {
        feed.more(topic, partition, 300);
    }
    let mut first = Probe::join_with(knobs, 0, names.clone(), metrics());
    first.until("the first reads all", |first| first.count() == 300 * all);
    let mut second = Probe::join_with(knobs, 1, names.clone(), metrics());
    let late = Instant::now() + SOON;
    while second.sources().is_empty() || first.sources().len() + second.sources().len() != all {
        assert!(Instant::now() < late, "the second never got its share: {:?}", first.revoked);
        first.step();
        second.step();
        feed.more(topic, 0, 1);
        feed.more(topic, partitions - 1, 1);
    }
    assert_eq!(first.revoked.len(), second.sources().len());
    assert!(second.sources().len() <= first.sources().len() && !first.sources().is_empty());
    assert!(first.revoked.iter().all(|(_, lost)| !lost), "given up in order");
    for partition in 0..partitions {
        feed.more(topic, partition, 100);
    }
    for _ in 0..20 {
        first.step();
        second.step();
    }
    second.commit(&second.sources());
    let late = Instant::now() + SOON;
    second.log.close(SOON);
    while first.sources().len() < all {
        assert!(Instant::now() < late, "the first never got all back");
        first.step();
    }
    for partition in 0..partitions {
        feed.more(topic, partition, 10);
    }
    let total = |partition: i32| feed.next[&(topic.to_owned(), partition)];
    let ends: Vec<i64> = (0..partitions).map(total).collect();
    let of = |member: &Probe, partition: i32| -> Vec<i64> {
        let seen = member.seen.iter().filter(|(source, _)| source.partition == partition);
        seen.flat_map(|(_, seen)| seen.iter().copied()).collect()
    };
    let reached =
        |first: &Probe| (0..partitions).all(|at| of(first, at).last() == Some(&(ends[at as usize] - 1)));
    first.until("the first reads to all ends", |first| reached(first));
    for partition in 0..partitions {
        let mut all = of(&first, partition);
        // Within one member offsets only rise.
        for member in [&first, &second] {
            assert!(of(member, partition).windows(2).all(|pair| pair[0] < pair[1]), "{partition} steps back");
        }
        all.extend(of(&second, partition));
        all.sort_unstable();
        all.dedup();
        assert_eq!(all, (0..total(partition)).collect::<Vec<_>>(), "partition {partition} has a gap");
    }
    let moved = first.revoked[0].0.partition;
    assert!(!of(&second, moved).is_empty(), "the second has read something");
}

#[test]
fn a_rebalance_at_the_end_of_a_partition_skips_nothing() {
    let broker = Broker::start(&[("edge", 3)]).unwrap();
    check_a_rebalance_at_the_end(&knobs(&broker, &["edge"]), &mut Feed::to(&broker), "edge");
}

/// librdkafka 2.12.1 moves its position past an end-of-partition message read in a batch, and goes on from there after
/// a rebalance: with `enable.partition.eof` the record at offset 20 would be missing.
fn check_a_rebalance_at_the_end(knobs: &KafkaKnobs, feed: &mut Feed, topic: &str) {
    for partition in 0..3 {
        feed.more(topic, partition, 20);
    }
    let mut first = Probe::join(knobs, 0);
    first.until("caught up", |first| first.caught_up.len() >= 3);
    first.spin(Duration::from_millis(600));
    let mut second = Probe::join(knobs, 1);
    let late = Instant::now() + SOON;
    while second.sources().is_empty() {
        assert!(Instant::now() < late);
        first.step();
        second.step();
    }
    for partition in 0..3 {
        feed.more(topic, partition, 5);
    }
    let kept = first.sources()[0];
    first.until("what came after the rebalance", |first| first.seen[&kept].len() >= 25);
    assert_eq!(first.seen[&kept], (0..25).collect::<Vec<_>>());
}

#[test]
fn paused_or_held_nothing_comes_and_membership_goes_on() {
    let broker = Broker::start(&[("edge", 2)]).unwrap();
    let mut feed = Feed::to(&broker);
    let knobs = knobs(&broker, &["edge"]);
    let mut member = Probe::join(&knobs, 0);
    member.until("both empty", |member| member.caught_up.len() == 2);
    let (held, other) = (member.sources()[0], member.sources()[1]);
    member.log.hold(&[held]);
    feed.more("edge", held.partition, 40);
    feed.more("edge", other.partition, 40);
    member.until("the other", |member| member.count() >= 40);
    member.spin(Duration::from_millis(300));
    assert_eq!(member.seen.get(&held), None);
    member.log.pause(true).unwrap();
    member.log.hold(&[]);
    feed.more("edge", other.partition, 40);
    // Longer than session and poll interval.
    member.spin(Duration::from_millis(2600));
    assert_eq!(member.count(), 40, "nothing while paused");
    assert!(member.revoked.is_empty(), "still a member");
    member.log.pause(false).unwrap();
    member.until("everything", |member| member.count() == 120);
    assert_eq!(member.seen[&held], (0..40).collect::<Vec<_>>());
    assert_eq!(member.seen[&other], (0..80).collect::<Vec<_>>());
    // Where nothing came meanwhile, that is told too: whoever paused cannot know.
    let ends = |member: &Probe| member.caught_up.len();
    member.until("both read to their ends", |member| ends(member) >= 4);
    let told = ends(&member);
    member.log.pause(true).unwrap();
    member.log.pause(false).unwrap();
    member.until("both ends told anew", |member| ends(member) == told + 2);
}

#[test]
fn the_partition_that_is_furthest_behind_is_read_more_but_not_alone() {
    let broker = Broker::start(&[("edge", 2)]).unwrap();
    let mut feed = Feed::to(&broker);
    feed.more("edge", 0, 20_000);
    feed.more("edge", 1, 20_000);
    let mut member = Probe::join(&knobs(&broker, &["edge"]), 0);
    // The second begins long before the first, by its stamps.
    member.begin = Some(|given| 10_000 * i64::from(given.source.partition == 0));
    member.log.pause(true).unwrap();
    member.until("assigned", |member| member.sources().len() == 2);
    // Both queues fill meanwhile.
    member.spin(Duration::from_secs(1));
    member.log.pause(false).unwrap();
    member.until("eight batches", |member| member.count() >= 8 * 1024);
    let read = |partition: i32| {
        member.seen.iter().find(|(at, _)| at.partition == partition).map_or(0, |(_, seen)| seen.len())
    };
    // Five of eight: all whose turn is by stamps, but for the one before there were any, and half of the others.
    assert!(2 * read(1) >= 3 * read(0), "{} of the first, {} of the second", read(0), read(1));
    assert!(read(0) >= 1024, "stamps may be anything: the other goes on, too");
    member.until("all", |member| member.count() == 30_000);
}

#[test]
fn a_broker_that_goes_and_comes_is_told_and_costs_nothing() {
    let broker = Broker::start(&[("edge", 1)]).unwrap();
    let mut feed = Feed::to(&broker);
    feed.more("edge", 0, 30);
    let mut member = Probe::join(&knobs(&broker, &["edge"]), 0);
    member.until("all read, and up", |member| member.count() == 30 && member.metrics.kafka_up());
    broker.down().unwrap();
    member.until("down", |member| !member.metrics.kafka_up());
    member.spin(Duration::from_millis(300));
    broker.up().unwrap();
    member.until("up again", |member| member.metrics.kafka_up());
    feed.more("edge", 0, 30);
    member.until("the rest", |member| member.count() >= 60);
    assert_eq!(member.seen.values().next().unwrap(), &(0..60).collect::<Vec<_>>());
    member.log.close(SOON);
    assert!(!member.metrics.kafka_up(), "nobody is left who could say");
}

#[test]
fn a_partition_whose_broker_is_away_is_told_from_a_silent_one() {
    let brokers: BaseProducer =
        rdkafka::ClientConfig::new().set("test.mock.num.brokers", "2").create().unwrap();
    let cluster = brokers.client().mock_cluster().unwrap();
    drain::hasten_groups(brokers.client());
    cluster.create_topic("edge", 2, 1).unwrap();
    for (partition, leader) in [(0, 1), (1, 2)] {
        cluster.partition_leader("edge", partition, Some(leader)).unwrap();
    }
    cluster.coordinator(MockCoordinator::Group("beaconfire".to_owned()), 1).unwrap();
    let mut member = Probe::join(&knobs_at(&cluster.bootstrap_servers(), "beaconfire", &["edge"]), 0);
    member.until("both are read", |member| member.caught_up.len() == 2);
    let heard = |member: &Probe| {
        let sources = member.sources().into_iter();
        sources.map(|source| member.log.answers_for(source)).collect::<Vec<_>>()
    };
    member.until("both answer", |member| member.log.answers() && heard(member) == [true, true]);
    cluster.broker_down(2).unwrap();
    member.until("one does not", |member| heard(member) == [true, false]);
    assert!(member.log.answers(), "there is a broker");
    cluster.broker_up(2).unwrap();
    member.until("both do again", |member| heard(member) == [true, true]);
}

#[test]
fn a_look_up_that_fails_is_tried_again_and_never_starts_cold() {
    let broker = Broker::start(&[("edge", 1)]).unwrap();
    let mut feed = Feed::to(&broker);
    feed.more("edge", 0, 30);
    let mut member = Probe::join(&knobs(&broker, &["edge"]), 0);
    member.until("all read", |member| member.count() == 30);
    member.commit(&member.sources());
    member.log.close(SOON);
    broker.refuse_look_ups(2).unwrap();
    let mut next = Probe::join(&knobs(&broker, &["edge"]), 0);
    next.until("assigned after all", |next| !next.assigned.is_empty());
    assert!(next.retriable >= 1, "the first look-ups failed");
    assert_eq!(next.assigned[0].committed.as_ref().map(|(at, _)| at.0), Some(30));
}

#[test]
fn a_member_that_cannot_look_up_leaves_and_joins_again() {
    let broker = Broker::start(&[("edge", 2)]).unwrap();
    let mut feed = Feed::to(&broker);
    feed.more("edge", 0, 10);
    let mut member = Probe::join(&knobs(&broker, &["edge"]), 0);
    member.until("all read", |member| member.count() == 10 && member.assigned.len() == 2);
    // What happens when the time for look-ups is over.
    member.log.live.as_mut().unwrap().leave();
    member.until("both given up, and got back", |member| {
        member.revoked.len() == 2 && member.assigned.len() == 4
    });
    feed.more("edge", 0, 10);
    member.until("reading goes on", |member| member.count() >= 20);
    let read = member.seen.iter().find(|(source, _)| source.partition == 0).unwrap().1;
    assert_eq!(read, &(0..20).collect::<Vec<_>>());
}

#[test]
fn an_offset_that_retention_took_is_looked_up_anew() {
    let broker = Broker::start(&[("edge", 1)]).unwrap();
    let big = vec![b'x'; 200_000];
    let producer = Producer::open(broker.bootstrap()).unwrap();
    let fill = |count: usize| {
        for _ in 0..count {
            let record =
                Produced { topic: "edge", partition: Some(0), payload: Some(&big), ..Produced::default() };
            producer.send(record).unwrap();
            producer.flush(SOON).unwrap();
        }
    };
    fill(3);
    let metrics = Metrics::register(&Registry::new()).unwrap();
    let mut log = KafkaLog::open(&knobs(&broker, &["edge"]), 0, Names::default(), metrics).unwrap();
    let turns = Mutex::new(Vec::new());
    let late = Instant::now() + SOON;
    let mut filled = false;
    let mut lows = Vec::new();
    let mut seen = Vec::new();
    while seen.last() != Some(&62) {
        assert!(Instant::now() < late, "{:?} {seen:?}", turns.lock().unwrap());
        match log.poll(Duration::from_millis(20)).unwrap() {
            Turn::Assigned(given) => {
                turns.lock().unwrap().push("assigned");
                lows.push(given[0].low.0);
                // 5 MiB are kept; what the first assignment points at has gone when it is fetched.
                if !filled {
                    fill(60);
                    filled = true;
                }
                let at = if lows.len() == 1 { Offset(0) } else { given[0].low };
                log.start(&[Start { source: given[0].source, at }]).unwrap();
            }
            Turn::Revoked { sources, lost } => {
                assert!(lost, "nothing to commit");
                turns.lock().unwrap().push("revoked");
                log.release(&sources).unwrap();
            }
            Turn::Records => seen.extend(log.records().map(|record| record.offset.0)),
            _ => {}
        }
    }
    assert_eq!(*turns.lock().unwrap(), ["assigned", "revoked", "assigned"]);
    assert!(lows[1] > 0, "{lows:?}");
    assert_eq!(seen, (lows[1]..63).collect::<Vec<_>>());
}

#[test]
fn what_cannot_work_is_refused_with_a_way_to_mend_it() {
    let broker = Broker::start(&[("edge", 1)]).unwrap();
    let open = |knobs: &KafkaKnobs| {
        let metrics = Metrics::register(&Registry::new()).unwrap();
        KafkaLog::open(knobs, 0, Names::default(), metrics).err().map(|fault| fault.to_string()).unwrap()
    };
    let with = |name: &str, value: &str| {
        let properties = BTreeMap::from([(name.to_owned(), Secret::new(value))]);
        KafkaKnobs { properties, ..knobs(&broker, &["edge"]) }
    };
    let said = open(&with("sasl.mechanims", "PLAIN"));
    assert!(said.contains("sasl.mechanims") && said.contains("kafka.properties"), "{said}");
    let said = open(&with("enable.auto.commit", "true"));
    assert!(said.contains("kafka.properties.enable.auto.commit"), "{said}");
    let said = open(&KafkaKnobs { brokers: Vec::new(), ..knobs(&broker, &["edge"]) });
    assert!(said.contains("kafka.brokers"), "{said}");
}

#[test]
fn dead_letters_arrive_with_their_headers_and_cut() {
    use rdkafka::message::Headers as _;

    let broker = Broker::start(&[("edge", 1), ("dead", 1)]).unwrap();
    let knobs = KafkaKnobs { dead_letter_topic: Some("dead".into()), ..knobs(&broker, &["edge"]) };
    let dead = DeadLetters::open(&knobs, Metrics::register(&Registry::new()).unwrap()).unwrap();
    let long = vec![b'x'; 100_000];
    let letter = DeadLetter {
        topic: "edge",
        partition: 3,
        offset: 77,
        reason: "syntax",
        error: "expected `{`\nat 1",
        payload: Some(&long),
        withheld: None,
    };
    dead.send(letter);
    dead.send(DeadLetter { payload: None, reason: "tombstone", ..letter });
    dead.send(DeadLetter { payload: Some(b"withheld"), withheld: Some("it is binary"), ..letter });
    dead.close(SOON);
    assert_eq!(dead.dropped(), 0);

    let consumer: BaseConsumer = rdkafka::ClientConfig::new()
        .set("bootstrap.servers", broker.bootstrap())
        .set("group.id", "reader")
        .create()
        .unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_offset("dead", 0, KafkaOffset::Beginning).unwrap();
    consumer.assign(&list).unwrap();
    let next = || {
        let late = Instant::now() + SOON;
        loop {
            assert!(Instant::now() < late, "no dead letter");
            if let Some(message) = consumer.poll(Duration::from_millis(100)) {
                break message.unwrap().detach();
            }
        }
    };
    let message = next();
    assert_eq!(message.payload().map(<[u8]>::len), Some(64 * 1024));
    let headers: Vec<(String, String)> = message
        .headers()
        .unwrap()
        .iter()
        .map(|header| (header.key.to_owned(), String::from_utf8_lossy(header.value.unwrap()).into_owned()))
        .collect();
    let expected = [
        ("dlq.reason", "syntax"),
        ("dlq.topic", "edge"),
        ("dlq.partition", "3"),
        ("dlq.offset", "77"),
        ("dlq.error", "expected `{`\u{fffd}at 1"),
    ];
    assert_eq!(headers, expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
    assert_eq!(next().payload(), None);
    let withheld = next();
    let last = withheld.headers().unwrap().iter().last().unwrap();
    assert_eq!((last.key, last.value), ("dlq.withheld", Some(&b"it is binary"[..])));
    for _ in 0..1000 {
        dead.send(letter);
    }
    assert!(dead.dropped() >= 850, "{} were over the limit", dead.dropped());
}

#[path = "apache_tests.rs"]
mod apache;
