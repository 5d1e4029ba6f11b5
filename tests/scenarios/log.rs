//! Access logs to attack: a real one with its times moved to the present, or, where that is not there, one of ours.

use std::io::Read as _;
use std::path::PathBuf;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::json;

use super::world::World;

/// One line and the event time it holds, in milliseconds.
#[derive(Debug, Clone)]
pub struct Line {
    pub at: i64,
    pub client: String,
    pub text: String,
}

/// The lines of the real log, or of ours, in their order, moved so that the last event is at `end`.
pub fn background(end: i64) -> Vec<Line> {
    let lines = as_it_stands();
    let last = lines.iter().map(|line| line.at).max().expect("lines");
    let moved = |line: Line| {
        let at = end - end.rem_euclid(1_000) - (last - line.at);
        let (before, rest) = line.text.split_once('[').expect("a time");
        let (_, after) = rest.split_once(']').expect("a time");
        Line { at, text: format!("{before}[{}]{after}", stamp(at)), ..line }
    };
    lines.into_iter().map(moved).collect()
}

/// The same with the times that it has, of 2015.
pub fn as_it_stands() -> Vec<Line> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../shared/data/access-logs/elastic-examples-apache.log.gz");
    let lines = match std::fs::File::open(path) {
        Ok(file) => {
            let mut text = Vec::new();
            flate2::read::GzDecoder::new(file).read_to_end(&mut text).expect("the log can be read");
            String::from_utf8_lossy(&text).lines().map(str::to_owned).collect()
        }
        Err(_) => ours(),
    };
    let line = |text: String| {
        let client = text.split(' ').next().expect("a client").to_owned();
        Line { at: time_of(&text), client, text }
    };
    lines.into_iter().map(line).collect()
}

/// Two days of a small blog: one visit a minute by one of 300 readers, out of order by up to 59 s.
fn ours() -> Vec<String> {
    (0..3_000_i64)
        .map(|n| {
            let at = 1_431_857_103_000 + (n * 60 - (n * 37) % 59) * 1_000;
            let (reader, page) = ((n * 7) % 300, (n * 11) % 40);
            request(at, &format!("198.18.{}.{}", reader / 200, reader % 200), &format!("/blog/{page}"), 200)
        })
        .collect()
}

fn time_of(line: &str) -> i64 {
    let text = line.split_once('[').and_then(|(_, rest)| rest.split_once(']')).expect("a time").0;
    let at = jiff::fmt::strtime::parse("%d/%b/%Y:%H:%M:%S %z", text).expect("a time of the log");
    at.to_timestamp().expect("a time").as_millisecond()
}

fn stamp(at: i64) -> String {
    let at = Timestamp::from_millisecond(at).expect("a time").to_zoned(TimeZone::UTC);
    at.strftime("%d/%b/%Y:%H:%M:%S +0000").to_string()
}

/// A request in the combined format.
pub fn request(at: i64, client: &str, path: &str, status: u16) -> String {
    format!(r#"{client} - - [{}] "GET {path} HTTP/1.1" {status} 512 "-" "Mozilla/5.0""#, stamp(at))
}

/// A Falco alert of this rule and priority about a process in a pod of `shop/WORKLOAD`.
pub fn finding(at: i64, workload: &str, rule: &str, priority: &str, command: &str) -> String {
    json!({
        "time": Timestamp::from_millisecond(at).expect("a time").to_string(),
        "rule": rule, "priority": priority, "source": "syscall", "output": "see the fields",
        "output_fields": {
            "k8s.ns.name": "shop", "k8s.pod.name": format!("{workload}-7d9f8c6b5d-x2x9k"),
            "container.id": "5f0c2b9d1e77", "proc.name": "sh", "proc.cmdline": command,
        },
    })
    .to_string()
}

/// `count` requests by each of `clients`, spread evenly over `seconds` from `at`.
pub fn flood(at: i64, seconds: i64, clients: &[String], count: i64) -> Vec<Line> {
    let mut lines = Vec::new();
    for n in 0..count {
        for client in clients {
            let at = at + n * seconds * 1_000 / count;
            lines.push(Line {
                at,
                client: client.clone(),
                text: request(at, client, &format!("/?{n}"), 200),
            });
        }
    }
    lines
}

/// Lays attacks over a background: each line before the first of the background that is later.
pub fn lay(background: Vec<Line>, attacks: Vec<Line>) -> Vec<Line> {
    let mut attacks = attacks;
    attacks.sort_by_key(|line| line.at);
    let mut attacks = attacks.into_iter().peekable();
    let (mut all, mut reached) = (Vec::new(), i64::MIN);
    for line in background {
        reached = reached.max(line.at);
        while let Some(attack) = attacks.next_if(|attack| attack.at <= reached) {
            all.push(attack);
        }
        all.push(line);
    }
    all.extend(attacks);
    all
}

/// Sends lines into the world's topic, keyed by the client's /16 as deployments with several processes do.
pub fn send(world: &World, lines: &[Line]) {
    let producer = world.producer();
    for line in lines {
        producer.send(&world.name, None, Some(&key(&line.client)), line.text.as_bytes());
    }
    producer.flush();
}

/// The client's /16.
pub fn key(client: &str) -> String {
    client.splitn(3, '.').take(2).collect::<Vec<_>>().join(".")
}
