//! From the record that breaks a limit to the webhook that tells of it: `beaconfire run` as it is installed, on a topic
//! that takes 100,000 records a second, and a receiver on loopback.
//!
//! Four times a second somebody floods a service of their own, so that each attack is an incident of its own, within what
//! a webhook is told a minute. What is measured begins when the request that exceeds `request-burst` is handed to the
//! producer and ends when the receiver has its message. The producer, the broker and the receiver share the machine with
//! the binary: where they leave it too little, fewer records arrive or a backlog grows, so the rate that was reached and
//! the lag at the end are printed, and a tenth of the rate is measured first: what the way takes without a backlog.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use beaconfire::standins::{WEBHOOK_SECRET, Webhook};
use beaconfire_ingest::{Produced, Producer};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};

use crate::broker::{Broker, Topic};
use crate::harness::beaconfire::Beaconfire;
use crate::load::PATIENCE;
use crate::shared::figures::{bar, rounded};

/// Records a second; the last has the bar.
const RATES: [u64; 2] = [10_000, 100_000];
/// How long the background alone runs, and then with attacks.
const WARM: Duration = Duration::from_secs(10);
const ATTACKED: Duration = Duration::from_secs(50);
const ATTACK_EVERY: Duration = Duration::from_millis(250);
/// Requests of one attack, in one go: the shipped `request-burst` fires on more than `LIMIT` in 10 s.
const ATTACK: u64 = 310;
const LIMIT: u64 = 300;
/// Clients of the background. Each stays far below every limit.
const CLIENTS: u32 = 1_000_000;
/// Records are sent so often.
const TICK: Duration = Duration::from_millis(10);
/// Seconds, of the slowest alert in a hundred.
const BAR: f64 = 1.0;

pub(crate) fn measure(broker: &Broker) -> Value {
    if !matches!(broker, Broker::Apache(_)) {
        println!("\nlatency: the embedded broker cannot hold such a load; skipped");
        return Value::Null;
    }
    Value::Object(RATES.map(|rate| (rate.to_string(), attacked(broker, rate))).into_iter().collect())
}

fn attacked(broker: &Broker, rate: u64) -> Value {
    let topic = broker.topic(&format!("latency-{rate}"), 3);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let hook = runtime.block_on(Webhook::start()).expect("a webhook");
    let dir = tempfile::tempdir().expect("a directory");
    let config = format!(
        "kafka:\n  brokers: [\"{}\"]\n  group: latency-{rate}-{}\n  topics: [{{name: {}, format: beaconfire, start: latest}}]\n\
         receivers:\n  - name: all\n    webhook_configs: [{{url: \"{}\", signing_secret: \"{WEBHOOK_SECRET}\"}}]\n\
         store: {{url: \"sqlite:{}/beaconfire.db\"}}\n",
        topic.bootstrap,
        std::process::id(),
        topic.name,
        hook.url(),
        dir.path().display(),
    );
    let service = Beaconfire::start(dir.path(), "latency", &config);
    service.ready();
    let (sent, broken, took) = produce(&topic, rate);
    let lag: f64 = (0..topic.partitions)
        .filter_map(|partition| {
            let labels = format!("{{partition=\"{partition}\",topic=\"{}\"}} ", topic.name);
            service.metric(&format!("beaconfire_kafka_lag_records{labels}"))
        })
        .sum();
    let until = Instant::now() + PATIENCE;
    let mut told = told(&hook);
    while told.len() < broken.len() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(100));
        told = self::told(&hook);
    }
    let mut delays: Vec<f64> = broken
        .iter()
        .filter_map(|(service, at)| told.get(service)?.duration_since(*at).ok())
        .map(|delay| delay.as_secs_f64())
        .collect();
    delays.sort_by(f64::total_cmp);
    assert!(!delays.is_empty(), "nothing was told; it said:\n{}", service.log());
    let share =
        |share: f64| delays[((delays.len() as f64 * share).ceil() as usize).clamp(1, delays.len()) - 1];
    let (p50, p99, most) = (share(0.5), share(0.99), share(1.0));
    let reached = sent as f64 / took.as_secs_f64();
    println!("\nlatency, {} attacks at {reached:.0} records/s (wanted: {rate})", broken.len());
    println!("{:<20} {:>10}", "", "seconds");
    let judged = if RATES.ends_with(&[rate]) { bar(p99, BAR) } else { String::new() };
    println!("{:<20} {p50:>10.3}", "median");
    println!("{:<20} {p99:>10.3}  {judged}", "p99");
    println!("{:<20} {most:>10.3}", "most");
    println!("{:<20} {lag:>10.0}", "lag at the end");
    println!("{:<20} {:>10}", "never told", broken.len() - delays.len());
    json!({
        "records_per_second": reached.round(),
        "lag_records": lag,
        "attacks": broken.len(),
        "told": delays.len(),
        "p50_seconds": rounded(p50),
        "p99_seconds": rounded(p99),
        "bar": BAR,
        "met": p99 <= BAR && delays.len() == broken.len(),
    })
}

/// When the receiver was first told of each service.
fn told(hook: &Webhook) -> BTreeMap<String, SystemTime> {
    let opened = hook.calls().into_iter().filter(|call| call.body["type"] == "incident.opened");
    opened
        .filter_map(|call| Some((call.body["data"]["target"]["name"].as_str()?.to_owned(), call.at)))
        .collect()
}

/// Fills the topic at the wanted rate; how many records, when each service's limit was broken, and how long it took.
fn produce(topic: &Topic, rate: u64) -> (u64, BTreeMap<String, SystemTime>, Duration) {
    let mut feed = Feed {
        producer: Producer::open(&topic.bootstrap).expect("a producer"),
        topic,
        sent: 0,
        text: String::new(),
    };
    let mut random = StdRng::seed_from_u64(6);
    let mut broken = BTreeMap::new();
    let begun = Instant::now();
    while begun.elapsed() < WARM + ATTACKED {
        let due = rate * begun.elapsed().as_millis() as u64 / 1000;
        // A producer that cannot keep up does not catch up in bursts: it stays behind, and the rate says so.
        for _ in 0..due.saturating_sub(feed.sent).min(rate / 20) {
            feed.send("shop", random.random_range(0..CLIENTS));
        }
        let attacks = begun.elapsed().saturating_sub(WARM).as_millis() / ATTACK_EVERY.as_millis();
        if attacks > broken.len() as u128 {
            let number = broken.len() as u32;
            let service = format!("shop-{number}");
            for request in 0..ATTACK {
                if request == LIMIT {
                    broken.insert(service.clone(), SystemTime::now());
                }
                feed.send(&service, CLIENTS + number);
            }
        }
        std::thread::sleep(TICK);
    }
    let took = begun.elapsed();
    feed.producer.flush(PATIENCE).expect("all records arrive");
    (feed.sent, broken, took)
}

struct Feed<'t> {
    producer: Producer,
    topic: &'t Topic,
    sent: u64,
    text: String,
}

impl Feed<'_> {
    fn send(&mut self, service: &str, client: u32) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970");
        let [a, b, c, d] = client.wrapping_mul(0x9e37_79b1).to_be_bytes();
        self.text.clear();
        write!(
            self.text,
            r#"{{"kind":"request","time":{}.{:03},"client":"{}.{b}.{c}.{d}","service":"{service}","method":"GET","host":"shop.example.com","path":"/shop/item-{client}","status":200,"bytes_sent":5120,"duration_seconds":0.012,"user_agent":"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}}"#,
            now.as_secs(),
            now.subsec_millis(),
            11 + a % 100,
        )
        .expect("text takes text");
        let record = Produced {
            topic: &self.topic.name,
            partition: Some((client % self.topic.partitions as u32) as i32),
            payload: Some(self.text.as_bytes()),
            ..Produced::default()
        };
        self.producer.send(record).expect("the broker takes records");
        self.sent += 1;
    }
}
