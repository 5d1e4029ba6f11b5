//! Forty minutes of a small shop with an attack every few of them, to be read while everything goes wrong; and what of
//! the incidents must be the same afterwards.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};

use super::log::{Line, key, request};
use super::world::{World, now};
use crate::harness::kafka::Kafka;

pub const ENTRY: &str = "format: combined, service: shop, lateness: 5s";
pub const SECTIONS: &str = "incidents: {resolve_after: 1m, flap_window: 1m}
services: {shop: {logins: [/login]}}
throttle: {mode: enforce}
rules: [{name: requests-per-client, throttle: {action: ban, for: 1h}}]
pipeline: {workers: 2, shards: 2}
";

const MINUTE: i64 = 60_000;
const SPAN: i64 = 40 * MINUTE;

/// What must be the same: everything but what a clock of ours decides.
pub fn essence(incidents: &[Value]) -> Vec<Value> {
    let mut all: Vec<Value> = incidents.iter().map(of_one).collect();
    all.sort_by_key(|incident| (incident["started_at"].to_string(), incident["id"].to_string()));
    all
}

fn of_one(incident: &Value) -> Value {
    let kept = [
        "id",
        "fingerprint",
        "episode",
        "kind",
        "severity",
        "status",
        "target",
        "title",
        "started_at",
        "detected_at",
        "ended_at",
        "participants",
        "participants_total",
        "signals",
        "labels",
    ];
    let mut essence = json!({});
    for name in kept {
        assert!(!incident[name].is_null(), "an incident has `{name}`: {incident}");
        essence[name] = incident[name].clone();
    }
    essence
}

/// The lines, in order of arrival: out of order by up to 4 s.
pub fn lines(end: i64, seed: u64) -> Vec<Line> {
    let mut random = StdRng::seed_from_u64(seed);
    let start = end - SPAN;
    let mut lines = Vec::new();
    for at in (start..end).step_by(300) {
        let reader = random.random_range(0..2_000u32);
        let client = format!("198.{}.{}.{}", 18 + reader % 2, reader / 200, 1 + reader % 200);
        lines.push((at, client, "/".to_owned(), 200));
    }
    // Every four minutes a flood, by one client or two; between them guessers at the login.
    for (attack, at) in (start + 2 * MINUTE..end - 3 * MINUTE).step_by(4 * MINUTE as usize).enumerate() {
        for one in 0..1 + attack % 2 {
            let client = format!("203.0.{}.{}", 113 + attack % 3, 7 + 10 * attack + one);
            let count = 700 + random.random_range(0..400);
            for n in 0..count {
                lines.push((at + n * 50_000 / count, client.clone(), "/search".to_owned(), 200));
            }
        }
        let guesser = format!("192.0.{}.{}", 2 + attack % 2, 9 + attack);
        for n in 0..15 {
            lines.push((at + MINUTE + n * 2_000, guesser.clone(), "/login".to_owned(), 401));
        }
    }
    let mut arriving: Vec<(i64, Line)> = lines
        .into_iter()
        .map(|(at, client, path, status)| {
            let text = request(at, &client, &path, status);
            let text = if status == 401 { text.replacen("GET", "POST", 1) } else { text };
            (at + random.random_range(0..4_000), Line { at, client, text })
        })
        .collect();
    arriving.sort_by_key(|(arrival, _)| *arrival);
    arriving.into_iter().map(|(_, line)| line).collect()
}

/// Sends lines over so long, in the background.
pub struct Feeder {
    sent: Arc<AtomicBool>,
    hurry: Arc<AtomicBool>,
    ends: Arc<Mutex<Vec<i64>>>,
    thread: Option<JoinHandle<()>>,
}

impl Feeder {
    pub fn start(world: &World, lines: Vec<Line>, over: Duration) -> Self {
        let (sent, hurry) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (producer, topic) = (world.producer(), world.name.clone());
        let thread = std::thread::spawn({
            let (sent, hurry) = (sent.clone(), hurry.clone());
            move || {
                let started = Instant::now();
                let total = lines.len();
                for (at, line) in lines.into_iter().enumerate() {
                    // Many times as fast as it happened, and as even.
                    let due = over.mul_f64(at as f64 / total as f64);
                    while started.elapsed() < due && !hurry.load(Ordering::Relaxed) {
                        std::thread::sleep(Duration::from_millis(2));
                    }
                    producer.send(&topic, None, Some(&key(&line.client)), line.text.as_bytes());
                }
                producer.flush();
                sent.store(true, Ordering::Relaxed);
            }
        });
        Self { sent, hurry, ends: Arc::default(), thread: Some(thread) }
    }

    /// Whether all has been sent.
    pub fn is_done(&self) -> bool {
        self.sent.load(Ordering::Relaxed)
    }

    /// Whether there are records that the group has not committed.
    pub fn is_mid_stream(&self, kafka: &Kafka, world: &World) -> bool {
        let ends = kafka.ends(&world.name, world.partitions);
        *self.ends.lock().expect("not poisoned") = ends.clone();
        kafka.committed(&world.name, &world.name, world.partitions) != ends
    }

    /// Sends the rest at once, and a visit of just now into every partition: a partition that has fallen silent is
    /// taken to be as far behind as its last record was, and these ran many times as fast as the clock.
    pub fn finish(mut self, world: &World) {
        self.hurry.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("everything was sent");
        }
        let producer = world.producer();
        for partition in 0..world.partitions {
            let line = request(now(), "198.18.0.1", "/", 200);
            producer.send(&world.name, Some(partition), None, line.as_bytes());
        }
        producer.flush();
    }
}

/// Each (incident, event) was told under one id, however often.
pub fn one_id_for_each_message(world: &World) {
    let mut ids: std::collections::BTreeMap<(String, String), BTreeSet<String>> = Default::default();
    for call in world.hook.calls() {
        let incident = call.body["data"]["id"].as_str().unwrap_or_default().to_owned();
        let event = call.body["type"].to_string();
        assert!(!incident.is_empty(), "{}", call.body);
        ids.entry((incident, event)).or_default().insert(call.id);
    }
    for (message, ids) in ids {
        assert_eq!(ids.len(), 1, "{message:?} was told as {ids:?}");
    }
}
