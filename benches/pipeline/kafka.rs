//! Records from Kafka through the hot path, against a loop that does nothing with them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use beaconfire::health::Health;
use beaconfire::reached::{Past, Reached};
use beaconfire::threads::{self, Answers, Crew, News, now};
use beaconfire_config::Config;
use beaconfire_decode::Reject;
use beaconfire_detect::{Plan, Shard, ShardKnobs, Watch};
use beaconfire_ingest::{KafkaLog, Metrics, Produced, Producer};
use beaconfire_model::{Log, Names, Record, Start, Turn};
use beaconfire_pipeline::{
    DeadLetterSink, Durable, Registry, Report, Tally, Tides, Worker, WorkerFault, WorkerId, WorkerKnobs,
};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::Message as _;
use serde_json::{Value, json};

use crate::broker::{Broker, Topic};
use crate::traffic::{self, Crowd, Format};
use crate::{ROUNDS, cpu, median, plan, rounded};

/// A side that has not read everything by then never will.
const PATIENCE: Duration = Duration::from_secs(120);

/// A way to read them all, by its name.
type Side = (&'static str, fn(&Load));

/// The ways to read the same records, from the least that can be done to all of it.
const SIDES: [Side; 3] = [("bare BaseConsumer", bare), ("our log alone", log), ("whole path", whole)];

/// What is read.
struct Load {
    topic: Topic,
    format: Format,
    records: u64,
    bytes: u64,
}

/// Loads named in `only` alone, where any is.
pub(crate) fn measure(broker: &Broker, only: &[&str]) -> Value {
    let loads = [
        ("combined", Format::Combined, Crowd::Skewed),
        ("nginx-json", Format::NginxJson, Crowd::Skewed),
        ("combined-even", Format::Combined, Crowd::Even),
    ];
    let all = !loads.iter().any(|(name, ..)| only.contains(name));
    let wanted = loads.into_iter().filter(|(name, ..)| all || only.contains(name));
    let costs = wanted.map(|(name, format, crowd)| {
        let load = Load::produce(broker, name, format, crowd);
        (name.to_owned(), compare(name, &load))
    });
    Value::Object(costs.collect())
}

fn compare(name: &str, load: &Load) -> Value {
    let mut costs = [const { Vec::new() }; SIDES.len()];
    let mut walls = [const { Vec::new() }; SIDES.len()];
    // One round in vain, so that all pages of the broker's log are in memory.
    for round in 0..=ROUNDS {
        for step in 0..SIDES.len() {
            let side = (round + step) % SIDES.len();
            let (started, spent) = (Instant::now(), cpu::spent());
            (SIDES[side].1)(load);
            if round > 0 {
                costs[side].push(micros(cpu::spent() - spent, load));
                walls[side].push(micros(started.elapsed(), load));
            }
        }
    }
    let records = load.records;
    println!("\n{name}, {records} records of {} bytes", load.bytes / records);
    println!("{:<20} {:>14} {:>8} {:>8} {:>8}", "", "CPU us/record", "least", "most", "ratio");
    let ratio = |side: usize| {
        // Round by round: what the machine does meanwhile is the same for both.
        median(costs[side].iter().zip(&costs[0]).map(|(cost, bare)| cost / bare).collect())
    };
    for (side, (name, _)) in SIDES.iter().enumerate() {
        let least = costs[side].iter().copied().fold(f64::INFINITY, f64::min);
        let most = costs[side].iter().copied().fold(0.0, f64::max);
        let (cost, ratio) = (median(costs[side].clone()), ratio(side));
        println!("{name:<20} {cost:>14.3} {least:>8.3} {most:>8.3} {ratio:>8.2}");
    }
    json!({
        "records": records,
        "bare_cpu_us": rounded(median(costs[0].clone())),
        "log_cpu_us": rounded(median(costs[1].clone())),
        "whole_cpu_us": rounded(median(costs[2].clone())),
        "whole_wall_us": rounded(median(walls[2].clone())),
        "log_ratio": rounded(ratio(1)),
        "whole_ratio": rounded(ratio(2)),
    })
}

fn micros(time: Duration, load: &Load) -> f64 {
    time.as_secs_f64() * 1e6 / load.records as f64
}

impl Load {
    /// Fills a topic of its own, keyed by client.
    fn produce(broker: &Broker, name: &str, format: Format, crowd: Crowd) -> Self {
        let (records, partitions) = broker.load();
        let topic = broker.topic(name, partitions);
        let producer = Producer::open(&topic.bootstrap).expect("a producer");
        let end = now().as_event_time();
        let mut bytes = 0;
        for line in traffic::lines(format, crowd, records, end) {
            bytes += line.text.len() as u64;
            let partition = (line.client.wrapping_mul(0x9e37_79b1) >> 16) % partitions as u32;
            let record = Produced {
                topic: &topic.name,
                partition: Some(partition as i32),
                payload: Some(line.text.as_bytes()),
                ..Produced::default()
            };
            producer.send(record).expect("the broker takes records");
        }
        producer.flush(PATIENCE).expect("all records arrive");
        Self { topic, format, records: records as u64, bytes }
    }

    /// A configuration with a group that has read nothing yet.
    fn config(&self) -> Config {
        static GROUPS: AtomicU64 = AtomicU64::new(0);
        let group = format!("bench-{}-{}", std::process::id(), GROUPS.fetch_add(1, Ordering::Relaxed));
        plan::config(&self.topic, &group, self.format.name())
    }
}

/// The least: rdkafka's own `poll`, one message at a time. Settings are librdkafka's, but for the one that would have
/// it wait for a second whenever its queue is full.
fn bare(load: &Load) {
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
}

fn open(config: &Config, names: &Names) -> KafkaLog {
    let metrics = Metrics::register(&prometheus::Registry::new()).expect("a fresh registry");
    let knobs = config.kafka.as_ref().expect("a topic is configured");
    KafkaLog::open(knobs, 0, names.clone(), metrics).expect("a consumer")
}

/// Our log, without anything behind it: what our way of reading saves.
fn log(load: &Load) {
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
}

/// What does not decode is counted, and there is none.
struct Counting;

impl DeadLetterSink for Counting {
    fn reject(&mut self, _: &Record<'_>, _: Reject) {}
}

/// Everything up to the facts, with the service's own threads: only the keeper is missing, so barriers are answered as
/// soon as all shards have passed them on.
fn whole(load: &Load) {
    let config = load.config();
    let plan = Arc::new(Plan::compile(config.plan.clone()).expect("the shipped rules compile"));
    let (names, watch) = (Names::default(), Arc::<Watch>::default());
    let worker = WorkerKnobs { event_skew: config.limits.event_skew, ..WorkerKnobs::default() };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = (threads / 2).clamp(1, 8);
    let shards = (0..threads).map(|thread| {
        let knobs =
            ShardKnobs { memory: config.limits.detect_memory / threads, early: true, drift: worker.drift };
        Shard::new(plan.clone(), thread, threads, knobs, watch.clone())
    });
    let (tides, spans) = (Arc::<Tides>::default(), Arc::<Registry>::default());
    let crews = (0..threads).map(|id| {
        let (config, log_names) = (config.clone(), names.clone());
        Crew {
            worker: Worker::new(
                WorkerId(id),
                worker.clone(),
                plan.clone(),
                &config.decode,
                watch.clone(),
                tides.clone(),
                spans.clone(),
                names.clone(),
            ),
            open: Box::new(move || Ok::<_, WorkerFault>(open(&config, &log_names))),
            dead: Counting,
        }
    });
    let found = Found::default();
    let (report, news) = (found.clone(), found.clone());
    let running = threads::start(
        shards.collect(),
        crews.collect(),
        &Past::new(&Reached::default()),
        &Health::default(),
        move |said| report.report(&said, threads),
        move |said| news.news(said),
    )
    .expect("threads start");
    assert!(found.answers.set(running.answers()).is_ok(), "answers are set once");
    let until = Instant::now() + PATIENCE;
    while found.records() < load.records {
        assert!(Instant::now() < until, "only {} records came", found.records());
        std::thread::sleep(Duration::from_millis(5));
    }
    running.stop();
    assert!(running.join(PATIENCE), "the threads end");
    found.check(load);
}

/// What the threads have told so far.
#[derive(Clone, Default)]
struct Found {
    tally: Arc<Mutex<Tally>>,
    /// Rules that have raised.
    raised: Arc<Mutex<BTreeMap<String, u64>>>,
    /// By worker and barrier, how many shards have passed it on.
    passed: Arc<Mutex<BTreeMap<(WorkerId, u64), usize>>>,
    answers: Arc<OnceLock<Answers>>,
}

impl Found {
    fn report(&self, report: &Report, shards: usize) {
        for signal in &report.signals {
            *self.raised.lock().expect("not poisoned").entry(signal.rule.to_string()).or_default() += 1;
        }
        let Some(barrier) = &report.barrier else { return };
        let mut passed = self.passed.lock().expect("not poisoned");
        let count = passed.entry((barrier.worker, barrier.number)).or_default();
        *count += 1;
        if *count == shards {
            // Nothing is kept here, so nothing can be lost.
            let durable = Durable::vouch(barrier.clone());
            self.answers.wait().give(durable);
        }
    }

    fn news(&self, news: News) {
        match news {
            News::Tally(tally) => self.tally.lock().expect("not poisoned").add(&tally),
            News::Panicked(thread) => panic!("{thread} has panicked"),
            News::Ended(_, Err(fault)) => panic!("a worker has failed: {fault}"),
            News::Census(..) | News::Paused(..) | News::Ended(_, Ok(())) => {}
        }
    }

    fn records(&self) -> u64 {
        self.tally.lock().expect("not poisoned").records
    }

    /// What was measured is what was meant: every record understood and counted in time, and the flood found.
    fn check(&self, load: &Load) {
        let tally = self.tally.lock().expect("not poisoned");
        assert_eq!((tally.records, tally.decoded, tally.late), (load.records, load.records, 0), "{tally:?}");
        let raised = self.raised.lock().expect("not poisoned");
        assert!(raised.contains_key("request-burst"), "the flood is found: {raised:?}");
    }
}
