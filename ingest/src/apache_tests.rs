//! What the embedded broker cannot show: transactions, fencing, offsets by time, real rebalances. Run with
//! `BEACONFIRE_TEST_KAFKA=host:port cargo test -p beaconfire-ingest apache -- --ignored`, against a broker that makes
//! topics of 3 partitions by itself.

use std::time::{SystemTime, UNIX_EPOCH};

use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

use super::*;

fn bootstrap() -> String {
    std::env::var("BEACONFIRE_TEST_KAFKA").expect("BEACONFIRE_TEST_KAFKA names a broker")
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64
}

/// A topic of this name that nobody has used, and a member's knobs for it.
fn fresh(name: &str) -> (String, KafkaKnobs) {
    let topic = format!("{name}-{}", now());
    let knobs = KafkaKnobs { properties: properties(6000), ..knobs_at(&bootstrap(), &topic, &[&topic]) };
    (topic, knobs)
}

#[test]
#[ignore = "needs BEACONFIRE_TEST_KAFKA"]
fn apache_a_member_joins_and_leaves_without_a_gap() {
    let (topic, knobs) = fresh("joining");
    let mut feed = Feed::at(&bootstrap());
    check_joining_and_leaving(&knobs, &mut feed, &topic, 3);
}

#[test]
#[ignore = "needs BEACONFIRE_TEST_KAFKA"]
fn apache_a_rebalance_at_the_end_of_a_partition_skips_nothing() {
    let (topic, knobs) = fresh("ends");
    let mut feed = Feed::at(&bootstrap());
    check_a_rebalance_at_the_end(&knobs, &mut feed, &topic);
}

#[test]
#[ignore = "needs BEACONFIRE_TEST_KAFKA"]
fn apache_a_second_process_with_the_same_instance_fences_the_first() {
    let (topic, knobs) = fresh("fencing");
    let mut feed = Feed::at(&bootstrap());
    feed.more(&topic, 0, 1);
    let knobs = KafkaKnobs { instance: Some("pod-0".into()), ..knobs };
    let mut first = Probe::join(&knobs, 0);
    first.until("assigned", |first| !first.assigned.is_empty());
    let mut second = Probe::join(&knobs, 0);
    let late = Instant::now() + SOON;
    let fault = loop {
        assert!(Instant::now() < late, "never fenced");
        second.step();
        match first.log.poll(Duration::from_millis(20)) {
            Err(fault @ LogFault::Fenced(_)) => break fault.to_string(),
            Err(LogFault::Fatal(said)) => panic!("{said}"),
            Ok(Turn::Revoked { sources, .. }) => first.log.release(&sources).unwrap(),
            _ => {}
        }
    };
    assert!(fault.contains("pod-0-0") && fault.contains("kafka.instance"), "{fault}");
}

#[test]
#[ignore = "needs BEACONFIRE_TEST_KAFKA"]
fn apache_reading_may_begin_at_a_time() {
    let (topic, mut knobs) = fresh("times");
    let mut feed = Feed::at(&bootstrap());
    // Records are stamped a millisecond apart.
    feed.more(&topic, 0, 100);
    knobs.topics[0].start = StartAt::Time(EventTime::from_millis(1_767_323_045_000 + 40));
    let mut probe = Probe::join(&knobs, 0);
    probe.until("caught up", |probe| probe.caught_up.len() == 3);
    let read: Vec<i64> = probe.seen.values().flatten().copied().collect();
    assert_eq!(read, (40..100).collect::<Vec<_>>());
}

#[test]
#[ignore = "needs BEACONFIRE_TEST_KAFKA"]
fn apache_marks_of_transactions_hide_neither_records_nor_the_end() {
    let (topic, knobs) = fresh("transactions");
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap())
        .set("transactional.id", &topic)
        .create()
        .unwrap();
    Feed::at(&bootstrap()).more(&topic, 1, 1);
    producer.init_transactions(SOON).unwrap();
    let mut next = 0;
    let mut expected = Vec::new();
    for (count, commit) in [(10, true), (5, false), (3, true), (4, false)] {
        producer.begin_transaction().unwrap();
        for _ in 0..count {
            let payload = next.to_string();
            producer.send(BaseRecord::<str, str>::to(&topic).partition(0).payload(&payload)).unwrap();
            if commit {
                expected.push(next);
            }
            next += 1;
        }
        producer.flush(SOON).unwrap();
        match commit {
            true => producer.commit_transaction(SOON).unwrap(),
            false => producer.abort_transaction(SOON).unwrap(),
        }
        // The mark takes an offset.
        next += 1;
    }
    let mut probe = Probe::join(&knobs, 0);
    let of = |probe: &Probe, partition| probe.caught_up.iter().any(|source| source.partition == partition);
    probe.until("all caught up", |probe| (0..3).all(|partition| of(probe, partition)));
    let read = probe.seen.iter().find(|(source, _)| source.partition == 0).unwrap().1;
    assert_eq!(read, &expected);
    probe.spin(Duration::from_millis(1200));
    assert_eq!(probe.lag(&topic, 0), 0);
}

#[test]
#[ignore = "a measurement that needs BEACONFIRE_TEST_KAFKA; optimise the crate for it"]
fn apache_measure_against_a_bare_consumer() {
    use rdkafka::message::Message as _;

    const RECORDS: u64 = 1_000_000;
    let (topic, knobs) = fresh("measure");
    let producer = Producer::open(&bootstrap()).unwrap();
    let payload = vec![b'x'; 234];
    for n in 0..RECORDS {
        let record = Produced {
            topic: &topic,
            partition: Some((n % 3) as i32),
            payload: Some(&payload),
            ..Produced::default()
        };
        producer.send(record).unwrap();
    }
    producer.flush(Duration::from_secs(60)).unwrap();
    drop(producer);
    for round in 0..3 {
        let mut knobs = knobs.clone();
        knobs.group = format!("{topic}-{round}");
        let mut log =
            KafkaLog::open(&knobs, 0, Names::default(), Metrics::register(&Registry::new()).unwrap())
                .unwrap();
        let (mut seen, mut bytes, mut begun) = (0, 0, (Instant::now(), cpu()));
        while seen < RECORDS {
            match log.poll(Duration::from_millis(100)).unwrap() {
                Turn::Assigned(given) => {
                    let starts: Vec<Start> =
                        given.iter().map(|given| Start { source: given.source, at: given.low }).collect();
                    begun = (Instant::now(), cpu());
                    log.start(&starts).unwrap();
                }
                Turn::Records => {
                    for record in log.records() {
                        seen += 1;
                        bytes += record.payload.map_or(0, <[u8]>::len);
                        assert!(record.stamped.is_some());
                    }
                }
                _ => {}
            }
        }
        let ours = (begun.0.elapsed(), cpu() - begun.1);
        drop(log);
        assert_eq!(bytes as u64, 234 * RECORDS);

        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", bootstrap())
            .set("group.id", format!("{topic}-bare-{round}"))
            .set("fetch.queue.backoff.ms", "10")
            .create()
            .unwrap();
        let mut list = TopicPartitionList::new();
        for partition in 0..3 {
            list.add_partition_offset(&topic, partition, KafkaOffset::Beginning).unwrap();
        }
        let begun = (Instant::now(), cpu());
        consumer.assign(&list).unwrap();
        let mut seen = 0;
        while seen < RECORDS {
            if let Some(message) = consumer.poll(Duration::from_millis(100)) {
                let message = message.unwrap();
                assert!(message.payload().is_some() && message.timestamp().to_millis().is_some());
                seen += 1;
            }
        }
        let bare = (begun.0.elapsed(), cpu() - begun.1);
        println!("KafkaLog {ours:?}, BaseConsumer {bare:?} for {RECORDS} records (wall, CPU)");
    }
}

/// What this process has used, user and system: fields 14 and 15 of `stat`, in hundredths of a second.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks = |at: usize| fields[at].parse::<u64>().unwrap();
    Duration::from_millis(10 * (ticks(11) + ticks(12)))
}
