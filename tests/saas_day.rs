//! An ordinary day of a company that sells software as a service: nobody attacks, so nobody is paged.
//!
//! Everything in it has tripped somebody's rules: an office behind one address, a customer's batch job, an application
//! that fires forty requests a page, carriers that put many phones behind few addresses, crawlers, a deploy.

use std::io::Write as _;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::Value;

use crate::harness::beaconfire::run;

/// 2026-03-03T00:00:00Z, a Tuesday.
const MIDNIGHT: i64 = 1_772_496_000;
const HOUR: u32 = 3_600;
const SEED: u64 = 20_260_303;

/// What the operator wrote: the customer with a contract has lines of its own.
const CONFIG: &str = r#"
services:
  api:
    rules:
      requests-per-client: {threshold: 6000, critical_above: 60000}
      request-burst: {threshold: 1000, critical_above: 10000}
"#;

/// One request, to be written down.
struct Hit {
    at_ms: u32,
    client: String,
    service: &'static str,
    method: &'static str,
    path: String,
    status: u16,
    agent: String,
}

struct Day {
    dice: StdRng,
    hits: Vec<Hit>,
}

/// Who asks, of which service.
#[derive(Clone, Copy)]
struct Who<'a> {
    client: &'a str,
    service: &'static str,
    agent: &'a str,
}

impl Day {
    fn hit(&mut self, at_ms: u32, who: Who<'_>, method: &'static str, path: String, status: u16) {
        // A deploy: for a minute, one request in sixteen meets a server that has just gone.
        let deploying = (15 * HOUR..15 * HOUR + 60).contains(&(at_ms / 1_000));
        let status = if deploying && self.dice.random_ratio(1, 16) { 502 } else { status };
        let Who { client, service, agent } = who;
        let (client, agent) = (client.to_owned(), agent.to_owned());
        self.hits.push(Hit { at_ms, client, service, method, path, status, agent });
    }

    /// A moment within these seconds, in milliseconds.
    fn moment(&mut self, from: u32, to: u32) -> u32 {
        self.dice.random_range(from * 1_000..to * 1_000)
    }

    /// A page as browsers load it: the page, then what it pulls in, some of it missing.
    fn page(&mut self, at_ms: u32, who: Who<'_>) {
        let article = self.dice.random_range(0..400);
        self.hit(at_ms, who, "GET", format!("/articles/{article}"), 200);
        for part in 0..7 {
            let later = at_ms + self.dice.random_range(50..1_500);
            let ends = ["css", "js", "png", "svg", "woff2", "jpg", "webp"][part];
            let status = if self.dice.random_ratio(1, 60) { 404 } else { 200 };
            self.hit(later, who, "GET", format!("/assets/{article}/part-{part}.{ends}"), status);
        }
        if self.dice.random_ratio(1, 40) {
            self.hit(at_ms + 20_000, who, "GET", format!("/search?q=select+union+{article}"), 200);
        }
        if self.dice.random_ratio(1, 80) {
            self.hit(at_ms + 30_000, who, "GET", format!("/gone/{article}"), 404);
        }
    }

    /// A page of the single-page application: forty requests, most of them for data.
    fn screen(&mut self, at_ms: u32, who: Who<'_>) {
        let project = self.dice.random_range(0..5_000);
        for n in 0..40 {
            let later = at_ms + self.dice.random_range(0..2_500);
            match n {
                0..10 => self.hit(later, who, "GET", format!("/app/chunk-{n}.js"), 200),
                10..14 => self.hit(later, who, "POST", format!("/api/projects/{project}/query"), 200),
                // Pictures of people who have none.
                14..16 => self.hit(later, who, "GET", format!("/api/users/{n}/avatar"), 404),
                _ => self.hit(later, who, "GET", format!("/api/projects/{project}/parts/{n}"), 200),
            }
        }
    }

    /// 400 people behind one address, from eight to six; most of them log in around nine.
    fn office(&mut self) {
        let office = "198.51.100.10";
        for person in 0..400 {
            let agent = desktop(person % 40);
            let who = Who { client: office, service: "www", agent: &agent };
            let login = self.moment(8 * HOUR + 1_800, 9 * HOUR + 1_800);
            for wrong in 0..2 {
                if self.dice.random_ratio(1, 12) {
                    self.hit(login + wrong * 8_000, who, "POST", "/login".to_owned(), 401);
                }
            }
            self.hit(login + 20_000, who, "POST", "/login".to_owned(), 302);
            for _ in 0..36 {
                let at = self.moment(8 * HOUR, 18 * HOUR);
                self.page(at, who);
            }
        }
    }

    /// Everybody else at a desk, each at an address of their own: half of them read, half of them work.
    fn people(&mut self) {
        for person in 0..2_000_u32 {
            let client = format!("198.18.{}.{}", person / 200, 1 + person % 200);
            let agent = desktop(person % 60);
            let at = self.moment(6 * HOUR, 22 * HOUR);
            for visit in 0..2 {
                let who = Who { client: &client, service: "www", agent: &agent };
                self.page(at + visit * 45_000, who);
            }
            if person % 8 == 0 {
                let who = Who { client: &client, service: "app", agent: &agent };
                for screen in 0..6 {
                    self.screen(at + screen * 12_000, who);
                }
                // The session has run out: what was under way is refused, then the person logs in again.
                for n in 0..4 {
                    self.hit(at + 80_000 + n * 10, who, "POST", "/api/projects/1/query".to_owned(), 401);
                }
                self.hit(at + 90_000, who, "POST", "/api/session".to_owned(), 200);
            }
        }
    }

    /// Phones of one carrier, in the evening: 2,400 of them behind eight addresses.
    fn carrier(&mut self) {
        for phone in 0..2_400_u32 {
            let client = format!("203.0.113.{}", 16 + phone % 8);
            let model = self.dice.random_range(0..90);
            let agent = format!("Mozilla/5.0 (Linux; Android 14; Model {model}) Mobile Safari/537.36");
            let at = self.moment(17 * HOUR, 23 * HOUR);
            for visit in 0..2 {
                self.page(at + visit * 40_000, Who { client: &client, service: "www", agent: &agent });
            }
        }
    }

    /// A customer's nightly job: 50 requests a second for twenty minutes.
    fn customer(&mut self) {
        let who = Who { client: "192.0.2.44", service: "api", agent: "acme-sync/4.2" };
        for n in 0..60_000_u32 {
            let at = 3 * HOUR * 1_000 + n * 20;
            let method = if n % 5 == 0 { "PUT" } else { "GET" };
            self.hit(at, who, method, format!("/v2/orders/{n}"), if n % 500 == 0 { 409 } else { 200 });
        }
    }

    fn machines(&mut self) {
        let monitors = [
            ("192.0.2.101", "Mozilla/5.0 (compatible; UptimeRobot/2.0; http://www.uptimerobot.com/)"),
            ("192.0.2.102", "Blackbox Exporter/0.25.0"),
            ("10.0.3.7", "kube-probe/1.30"),
        ];
        for (client, agent) in monitors {
            for service in ["www", "app", "api"] {
                for n in 0..24 * 120 {
                    self.hit(n * 30_000, Who { client, service, agent }, "GET", "/healthz".to_owned(), 200);
                }
            }
        }
        // Two crawlers: one goes steadily, one in bursts; both follow dead links.
        let steady = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)";
        let bursts = "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)";
        for n in 0..17_000_u32 {
            let status = if n % 25 == 0 { 404 } else { 200 };
            let who = Who { client: "192.0.2.66", service: "www", agent: steady };
            self.hit(n * 5_000, who, "GET", format!("/articles/{n}"), status);
        }
        for n in 0..9_000_u32 {
            let at = (n / 900) * 2 * HOUR * 1_000 + (n % 900) * 300;
            let status = if n % 12 == 0 { 404 } else { 200 };
            let who = Who { client: "192.0.2.157", service: "www", agent: bursts };
            self.hit(at, who, "GET", format!("/tags/{n}/"), status);
        }
    }
}

fn desktop(n: u32) -> String {
    format!("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/{}.0.0.0", 90 + n)
}

/// The day's log, in order.
fn written(folder: &std::path::Path) -> u64 {
    let mut day = Day { dice: StdRng::seed_from_u64(SEED), hits: Vec::new() };
    day.office();
    day.people();
    day.carrier();
    day.customer();
    day.machines();
    day.hits.sort_by_key(|hit| hit.at_ms);
    let file = std::fs::File::create(folder.join("day.ndjson")).unwrap();
    let mut file = std::io::BufWriter::new(file);
    for hit in &day.hits {
        let (seconds, millis) = (MIDNIGHT + i64::from(hit.at_ms / 1_000), hit.at_ms % 1_000);
        let Hit { client, service, method, path, status, agent, .. } = hit;
        writeln!(
            file,
            r#"{{"kind":"request","time":{seconds}.{millis:03},"client":"{client}","service":"{service}","method":"{method}","path":"{path}","status":{status},"bytes_sent":20000,"http_version":"2.0","user_agent":"{agent}"}}"#
        )
        .unwrap();
    }
    file.into_inner().unwrap().sync_all().unwrap();
    day.hits.len() as u64
}

#[test]
fn an_ordinary_day_pages_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let records = written(dir.path());
    std::fs::write(dir.path().join("beaconfire.yaml"), CONFIG).unwrap();
    let arguments = ["replay", "--output", "ndjson", "--show", "incidents,signals,decisions", "day.ndjson"];
    let (code, out, err) = run(dir.path(), &arguments, None);
    assert_eq!(code, 0, "{err}");
    let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let summary = lines.last().unwrap();
    assert_eq!(
        (&summary["decoded"], &summary["late"]),
        (&records.into(), &0.into()),
        "every record counts: {summary}"
    );
    let incidents = |severities: &[&str]| -> Vec<String> {
        lines
            .iter()
            .filter(|line| line["type"] == "incident")
            .filter(|line| line["severity"].as_str().is_some_and(|severity| severities.contains(&severity)))
            .map(|line| format!("{} {} {}", line["started_at"], line["severity"], line["title"]))
            .collect()
    };
    assert_eq!(incidents(&["critical"]), Vec::<String>::new(), "somebody is paged");
    let tickets = incidents(&["warning", "error"]);
    assert!(tickets.len() <= 3, "{tickets:#?}");
    // Nobody of these is banned, even if every rule is enforced.
    let bans: Vec<_> = lines.iter().filter(|line| line["type"] == "decision").collect();
    assert!(bans.is_empty(), "{bans:?}");
    eprintln!("{records} records: {tickets:?}; shown only: {}", incidents(&["info"]).len());
}
