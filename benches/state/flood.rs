//! The flooded process: a combiner and a shard, and clients that come once each.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use beaconfire_detect::{Combiner, Shard, ShardKnobs, Watch};
use beaconfire_model::{Client, Event, EventTime, Offset, Request, Signal, Subject, SubjectKind, TargetForm};
use beaconfire_pipeline::WorkerKnobs;
use serde_json::{Value, json};

use crate::shared::{cpu, memory, rules};

/// Clients of each sort.
const CLIENTS: u64 = 10_000_000;
/// One in so many requests is the heavy client's.
const HEAVY: u64 = 1_000;
/// Requests a millisecond of event time.
const RATE: u64 = 100;
/// Requests between two parcels: every 250 ms, as workers do.
const FLUSH: u64 = 250 * RATE;
/// Milliseconds, where event time begins.
const BEGIN: u64 = 1_767_323_040_000;

/// A shard under attack.
struct Flooded {
    combiner: Combiner,
    shard: Shard,
    seen: u64,
    /// The heavy clients so far: what is known of an earlier one is still stated when it ends.
    heavy: Vec<Subject>,
}

/// Floods, and says what it took.
pub(crate) fn run() -> Value {
    let config = rules::load("{}\n");
    let worker = WorkerKnobs::default();
    let (plan, watch) = (rules::shipped(&config), Arc::new(Watch::default()));
    let bound = config.limits.detect_memory;
    let knobs = ShardKnobs { memory: bound, early: true, drift: worker.drift };
    let mut combiner = Combiner::new(plan.clone(), watch.clone(), worker.combiner_capacity);
    combiner.begin(rules::SOURCE, Offset(0), None);
    let mut flooded =
        Flooded { combiner, shard: Shard::new(plan, 0, 1, knobs, watch), seen: 0, heavy: Vec::new() };
    let idle = memory::resident(std::process::id());
    let heavy = "203.0.113.66".parse().expect("an address");
    let first = flooded.flood(forged_ipv4, heavy, (idle, bound as f64));
    let heavy = "2001:db8:66::1".parse().expect("an address");
    let then = flooded.flood(forged_ipv6, heavy, (idle, bound as f64));
    let tables = flooded.shard.census().tables.into_iter().map(|table| {
        let said =
            json!({"keys": table.keys, "counted_mb": megabytes(table.bytes), "evictions": table.evictions});
        (table.name.to_owned(), said)
    });
    json!({
        "bound_mb": bound as f64 / 1e6,
        "idle_mb": idle / 1e6,
        "ipv4": first,
        "ipv6": then,
        "tables": Value::Object(tables.collect()),
    })
}

impl Flooded {
    fn flood(&mut self, forged: fn(u64) -> IpAddr, heavy: IpAddr, (idle, bound): (f64, f64)) -> Value {
        let heavy = Client::of(heavy);
        let subject = Subject::client(heavy);
        self.heavy.push(subject.clone());
        let (begun, spent, evicted) = (self.now(), cpu::spent(), self.evictions());
        let (mut found, mut accused) = (None, 0);
        let mut signals: Vec<Signal> = Vec::new();
        for number in 0..CLIENTS + CLIENTS / HEAVY {
            let client = if number.is_multiple_of(HEAVY) { heavy } else { Client::of(forged(number)) };
            let event = Event::Request(request(self.now(), client));
            self.combiner.observe(rules::SOURCE, Offset(self.seen as i64), &event, false);
            self.seen += 1;
            if self.seen.is_multiple_of(FLUSH) || self.combiner.is_full() {
                for parcel in self.combiner.take(1) {
                    self.shard.merge(parcel, &mut signals);
                }
                for signal in signals.drain(..) {
                    if signal.subject == subject {
                        found.get_or_insert_with(|| self.now());
                    } else if is_somebody(&signal.subject) && !self.heavy.contains(&signal.subject) {
                        accused += 1;
                    }
                }
            }
        }
        let records = (CLIENTS + CLIENTS / HEAVY) as f64;
        let (census, peak) = (self.shard.census(), memory::peak());
        let found = found.map_or(f64::INFINITY, |at| at.since(begun).as_secs_f64());
        json!({
            "peak_mb": peak / 1e6,
            "over_bound": (peak - idle) / bound,
            "counted_mb": megabytes(census.tables.iter().map(|table| table.bytes).sum()),
            // JSON has no infinity.
            "found_seconds": found.min(1e9),
            "others_accused": accused,
            "evictions": self.evictions() - evicted,
            "keys": census.tables.iter().map(|table| table.keys).sum::<u64>(),
            "cpu_us": (cpu::spent() - spent).as_secs_f64() * 1e6 / records,
        })
    }

    fn now(&self) -> EventTime {
        EventTime::from_millis((BEGIN + self.seen / RATE) as i64)
    }

    fn evictions(&self) -> u64 {
        self.shard.census().tables.iter().map(|table| table.evictions).sum()
    }
}

/// Whether a signal accuses an address or a network. That the service is flooded is said, and true.
fn is_somebody(subject: &Subject) -> bool {
    matches!(subject.kind, SubjectKind::Client | SubjectKind::Prefix)
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// All over the address space, each once.
fn forged_ipv4(number: u64) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from((number as u32).wrapping_mul(0x9e37_79b1)))
}

/// A /64 of its own for each, all over what is given out (2000::/3).
fn forged_ipv6(number: u64) -> IpAddr {
    let spread = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let spread = spread ^ spread >> 29;
    IpAddr::V6(Ipv6Addr::from_bits(u128::from(spread >> 3 | 1 << 61) << 64 | u128::from(number)))
}

fn request(time: EventTime, client: Client) -> Request<'static> {
    Request {
        time,
        client: Some(client),
        service: "",
        method: "GET",
        host: "",
        path: "/",
        query: "",
        http_version: "1.1",
        status: 200,
        bytes_sent: 512,
        duration_micros: None,
        user_agent: "Mozilla/5.0",
        request_id: "",
        target: TargetForm::Path,
    }
}
