//! A small SaaS's traffic, seeded: three services with people who read, log in and buy, a few crawlers, and three
//! attacks on a timetable. The same seed gives the same requests; only the clock they are laid over differs.
//!
//! What is usual cannot be learned in a minute, so the demo begins in the middle of a day: two and a half hours of one
//! service's requests and of two workloads' use lie in Kafka already ([`Traffic::history`]). At their end a news link has
//! brought a crowd, and one of the workloads computes for somebody else.

use std::time::Duration;

use beaconfire_model::{EventTime, Wall};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

/// One record to produce.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Produced {
    /// Into which topic.
    pub topic: &'static str,
    /// With which key (the client's /16, so that partitions follow clients).
    pub key: String,
    /// The value.
    pub payload: String,
}

/// The topic of request logs (combined format).
pub const EDGE: &str = "edge-access";
/// The topic of JSON request logs of the API.
pub const API: &str = "api-access";
/// The topic of run-time findings.
pub const RUNTIME: &str = "runtime-falco";

/// The topic of the service that a crowd comes to (combined format).
pub const ORDERS: &str = "orders-access";
/// The topic of what workloads use.
pub const USAGE: &str = "usage";

/// How much has happened before the demo begins.
const BEFORE: Duration = Duration::from_mins(150);
/// For how long the crowd has been there then, and the miner.
const CROWDED: Duration = Duration::from_mins(5);
const MINED: Duration = Duration::from_mins(25);
/// Seconds of the demo until the crowd has gone.
pub const CROWD_LEAVES: u64 = 60;
/// Requests a second to the orders, usually and with the crowd.
const ORDERS_USUAL: f64 = 3.0;
const ORDERS_CROWDED: f64 = 14.0;
/// Workloads say what they use so often.
const USED_EVERY: Duration = Duration::from_secs(15);

/// When the flood begins and ends, in seconds from the demo's start.
pub const FLOOD: std::ops::Range<u64> = 3..40;
/// When the login attack does.
pub const LOGIN: std::ops::Range<u64> = 12..35;
/// When the miner is found.
pub const FINDING: u64 = 20;

/// The flood's address (TEST-NET-3, RFC 5737: nobody's).
pub const FLOODER: &str = "203.0.113.66";
/// The login attack's address (TEST-NET-2).
pub const GUESSER: &str = "198.51.100.23";

/// Makes the traffic, one tick at a time.
#[derive(Debug)]
pub struct Traffic {
    random: StdRng,
    started: Wall,
    speed: f64,
    found: bool,
    used: Wall,
}

const PAGES: [&str; 9] = [
    "/",
    "/pricing",
    "/docs/start",
    "/docs/api",
    "/blog/why-we-moved",
    "/cart",
    "/checkout",
    "/account",
    "/search?q=keyboard",
];
const AGENTS: [&str; 4] = [
    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_5) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Safari/605.1.15",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_2 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
];

impl Traffic {
    /// Traffic that begins at `started`. The attacks' timetable runs `speed` times as fast, with as many requests.
    pub fn new(seed: u64, started: Wall, speed: f64) -> Self {
        Self { random: StdRng::seed_from_u64(seed), started, speed, found: false, used: started }
    }

    /// What happened before the demo began, by topic in order of time.
    pub fn history(&mut self) -> Vec<Produced> {
        let mut records = Vec::new();
        for ago in (1..=BEFORE.as_secs()).rev() {
            let ago = Duration::from_secs(ago);
            let at = Wall::from_millis(self.started.millis() - i64::try_from(ago.as_millis()).unwrap_or(0));
            self.order(at, ago <= CROWDED, 1.0, &mut records);
            if ago.as_secs().is_multiple_of(USED_EVERY.as_secs()) {
                records.extend(self.usage(at, ago <= MINED, ago <= CROWDED));
            }
        }
        records
    }

    /// Orders of `seconds`.
    fn order(&mut self, at: Wall, crowded: bool, seconds: f64, records: &mut Vec<Produced>) {
        // A crowd is many people, each of whom looks at few pages.
        let (people, a_second) = if crowded { (2_400, ORDERS_CROWDED) } else { (500, ORDERS_USUAL) };
        for _ in 0..self.about(a_second * seconds) {
            let n = self.random.random_range(0..people);
            let client = format!("198.19.{}.{}", n / 10, 1 + n % 10);
            let page = ["/orders", "/orders/new", "/static/app.js", "/static/app.css"][n % 4];
            let agent = AGENTS[self.random.random_range(0..AGENTS.len())];
            let bytes = self.random.random_range(300..9_000);
            records.push(combined(ORDERS, at, &client, "GET", page, 200, bytes, agent));
        }
    }

    /// What the two workloads use: one serves the orders, the other computes now and then, or all the time for a miner.
    fn usage(&mut self, at: Wall, mined: bool, crowded: bool) -> [Produced; 2] {
        let mut about = |mean: f64, spread: f64| mean + spread * (self.random.random::<f64>() - 0.5);
        let worker = if mined { about(1.94, 0.02) } else { about(0.35, 0.3) };
        let orders = if crowded { about(0.9, 0.1) } else { about(0.22, 0.06) };
        [("shop/worker", "worker-7d9f8c6b5d-x2x9k", worker), ("shop/orders", "orders-5c9d7f6b8-q8zlm", orders)].map(
            |(workload, pod, cores)| {
                let payload = serde_json::json!({
                    "kind": "resource",
                    "time": EventTime::from_millis(at.millis()).to_string(),
                    "workload": workload,
                    "pod": pod,
                    "container": "app",
                    "image": format!("registry.example.com/{workload}:4.2"),
                    "cpu_cores": cores,
                    "cpu_limit_cores": 2.0,
                    "memory_bytes": if mined && workload == "shop/worker" { 2_870_000_000u64 } else { 410_000_000 },
                    "memory_limit_bytes": 4_294_967_296u64,
                });
                Produced { topic: USAGE, key: workload.to_owned(), payload: payload.to_string() }
            },
        )
    }

    /// The records of the `span` that ends at `now`.
    pub fn tick(&mut self, now: Wall, span: Duration) -> Vec<Produced> {
        // Truncated: the timetable counts whole seconds.
        let since = (now.since(self.started).as_secs_f64() * self.speed) as u64;
        let (share, attack) = (span.as_secs_f64(), span.as_secs_f64() * self.speed);
        let mut records = Vec::new();
        for _ in 0..self.about(60.0 * share) {
            records.push(self.visit(now));
        }
        for _ in 0..self.about(25.0 * share) {
            records.push(self.call(now));
        }
        if FLOOD.contains(&since) {
            for _ in 0..self.about(150.0 * attack) {
                let path = format!("/search?q={:08x}", self.random.random::<u32>());
                records.push(combined(EDGE, now, FLOODER, "GET", &path, 200, 4_212, "python-requests/2.32"));
            }
        }
        if LOGIN.contains(&since) {
            for _ in 0..self.about(4.0 * attack) {
                records.push(combined(EDGE, now, GUESSER, "POST", "/login", 401, 187, "Mozilla/5.0"));
            }
        }
        let crowded = since < CROWD_LEAVES;
        self.order(now, crowded, share, &mut records);
        if now.since(self.used) >= USED_EVERY {
            self.used = now;
            records.extend(self.usage(now, true, crowded));
        }
        if since >= FINDING && !self.found {
            self.found = true;
            records.push(finding(now));
        }
        records
    }

    /// A whole number whose mean is `mean`.
    fn about(&mut self, mean: f64) -> u32 {
        let whole = mean.floor();
        // Traffic is never so heavy that this would not fit.
        whole as u32 + u32::from(self.random.random::<f64>() < mean - whole)
    }

    /// One of some 400 visitors. Their addresses are from the shared-address and test ranges of RFC 5737 and 2544.
    fn visitor(&mut self) -> String {
        let n = self.random.random_range(0..400u32);
        // A few visit often: the square leans towards small numbers.
        let n = n * n / 400;
        format!("198.18.{}.{}", n / 200, 1 + n % 200)
    }

    fn visit(&mut self, now: Wall) -> Produced {
        let client = self.visitor();
        let page = PAGES[self.random.random_range(0..PAGES.len())];
        let agent = AGENTS[self.random.random_range(0..AGENTS.len())];
        let status = if self.random.random_ratio(1, 90) { 404 } else { 200 };
        let bytes = self.random.random_range(800..40_000);
        combined(EDGE, now, &client, "GET", page, status, bytes, agent)
    }

    fn call(&mut self, now: Wall) -> Produced {
        let client = self.visitor();
        let path = ["/v1/items", "/v1/orders", "/v1/me"][self.random.random_range(0..3usize)];
        let status = if self.random.random_ratio(1, 150) { 500 } else { 200 };
        let payload = serde_json::json!({
            "time": EventTime::from_millis(now.millis()).to_string(),
            "remote_addr": client,
            "request_method": "GET",
            "host": "api.example.com",
            "request_uri": path,
            "status": status,
            "body_bytes_sent": self.random.random_range(90..9_000),
            "request_time": "0.021",
            "http_user_agent": AGENTS[self.random.random_range(0..AGENTS.len())],
        });
        Produced { topic: API, key: key(&client), payload: payload.to_string() }
    }
}

/// The client's /16.
fn key(client: &str) -> String {
    client.rsplitn(3, '.').last().unwrap_or(client).to_owned()
}

#[allow(clippy::too_many_arguments, reason = "the fields of one log line")]
fn combined(
    topic: &'static str,
    now: Wall,
    client: &str,
    method: &str,
    path: &str,
    status: u16,
    bytes: u32,
    agent: &str,
) -> Produced {
    let stamp = jiff::Timestamp::from_millisecond(now.millis()).unwrap_or_default();
    let time = stamp.strftime("%d/%b/%Y:%H:%M:%S +0000");
    let payload =
        format!(r#"{client} - - [{time}] "{method} {path} HTTP/1.1" {status} {bytes} "-" "{agent}""#);
    Produced { topic, key: key(client), payload }
}

fn finding(now: Wall) -> Produced {
    let time = EventTime::from_millis(now.millis()).to_string();
    let payload = serde_json::json!({
        "hostname": "node-3",
        "output": "Critical stratum protocol in a container",
        "priority": "Critical",
        "rule": "Detect crypto miners using the Stratum protocol",
        "source": "syscall",
        "tags": ["T1496", "mitre_impact"],
        "time": time,
        "output_fields": {
            "container.id": "5f0c2b9d1e77",
            "container.image.repository": "registry.example.com/shop/worker",
            "k8s.ns.name": "shop",
            "k8s.pod.name": "worker-7d9f8c6b5d-x2x9k",
            "proc.name": "kworkerd",
            "proc.cmdline": "kworkerd -o stratum+tcp://pool.example.net:3333 -u 4x",
        },
    });
    Produced { topic: RUNTIME, key: "shop/worker".to_owned(), payload: payload.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_traffic() {
        let start = Wall::from_millis(1_767_323_045_000);
        let run = |seed| {
            let mut traffic = Traffic::new(seed, start, 1.0);
            (0..30u64)
                .flat_map(|s| traffic.tick(start.plus(Duration::from_secs(s)), Duration::from_secs(1)))
                .collect::<Vec<_>>()
        };
        assert_eq!(run(1), run(1));
        assert_ne!(run(1), run(2));
        let all = run(1);
        assert_eq!(all.iter().filter(|record| record.topic == RUNTIME).count(), 1);
        let flood = all.iter().filter(|record| record.payload.starts_with(FLOODER)).count();
        assert!(flood > 2_000, "the flood is far over the limit: {flood}");
    }
}
