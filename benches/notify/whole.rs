//! The binary as it is installed, fed with alerts on `POST /api/v2/alerts`, which become incidents and are told.

use std::time::{Duration, Instant, SystemTime};

use beaconfire::standins::{PagerDuty, ROUTING_KEY, SLACK_TOKEN, Slack, WEBHOOK_SECRET, Webhook};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::broker::{Broker, Topic};
use crate::harness::beaconfire::{Beaconfire, post};
use crate::shared::figures::{bar, rounded};
use crate::shared::memory::resident;

/// Seconds from the alert to the first byte, of the slowest in a hundred.
const FIRST_BAR: f64 = 0.25;
const FIRSTS: usize = 200;
/// Seconds for all of them.
const MANY_BAR: f64 = 10.0;
const MANY: usize = 10_000;
/// Receivers in the route.
const RECEIVERS: u64 = 4;
/// Alerts that are updated, and in one request.
const UPDATED: usize = 1_000;
const PATIENCE: Duration = Duration::from_secs(300);

pub(crate) struct Whole {
    service: Beaconfire,
    hook: Webhook,
    _others: (Slack, PagerDuty, Webhook),
    _topic: Topic,
    _dir: tempfile::TempDir,
    _runtime: tokio::runtime::Runtime,
}

/// Alerts of this name.
fn alerts(name: &str, from: usize, count: usize, said: &str) -> Value {
    let now = Timestamp::now();
    let ends = now + Duration::from_secs(3_600);
    let one = |n: usize| {
        let severity = if n.is_multiple_of(10) { "critical" } else { "warning" };
        json!({
            "labels": {"alertname": name, "service": "shop", "src": n.to_string(), "severity": severity},
            "annotations": {"summary": said},
            "startsAt": now.to_string(), "endsAt": ends.to_string(),
        })
    };
    (from..from + count).map(one).collect()
}

impl Whole {
    pub(crate) fn start(broker: &Broker) -> Self {
        let topic = broker.topic("notify", 1);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let (hook, slack, pager, spare) = runtime.block_on(async {
            let started = (
                Webhook::start().await,
                Slack::start().await,
                PagerDuty::start().await,
                Webhook::start().await,
            );
            (
                started.0.expect("a webhook"),
                started.1.expect("slack"),
                started.2.expect("pagerduty"),
                started.3.expect("a webhook"),
            )
        });
        let dir = tempfile::tempdir().expect("a directory");
        let config = format!(
            "kafka:\n  brokers: [\"{}\"]\n  group: notify\n  topics: [{{name: {}, format: beaconfire}}]\n\
             global: {{pagerduty_url: \"{}\"}}\n\
             route: {{receiver: hook, routes: [{{receiver: hook, continue: true}}, {{receiver: chat, continue: true}}, \
             {{receiver: pager, continue: true}}, {{receiver: spare}}]}}\n\
             receivers:\n  - name: hook\n    webhook_configs: [{{url: \"{}\", signing_secret: \"{WEBHOOK_SECRET}\"}}]\n  \
             - name: chat\n    slack_configs: [{{app_token: \"{SLACK_TOKEN}\", app_url: \"{}\", channel: \"#oncall\"}}]\n  \
             - name: pager\n    pagerduty_configs: [{{routing_key: \"{ROUTING_KEY}\"}}]\n  \
             - name: spare\n    webhook_configs: [{{url: \"{}\", signing_secret: \"{WEBHOOK_SECRET}\"}}]\n\
             store: {{url: \"sqlite:{}/beaconfire.db\"}}\n",
            topic.bootstrap,
            topic.name,
            pager.url(),
            hook.url(),
            slack.app_url(),
            spare.url(),
            dir.path().display(),
        );
        let service = Beaconfire::start(dir.path(), "notify", &config);
        service.ready();
        Self { service, hook, _others: (slack, pager, spare), _topic: topic, _dir: dir, _runtime: runtime }
    }

    fn send(&self, alerts: &Value) {
        assert_eq!(post(&format!("{}/api/v2/alerts", self.service.url), alerts), Some(200));
    }

    /// Rows ever made.
    fn rows(&self) -> u64 {
        let ledger = self.service.json("/api/v1/ledger");
        let lines = ledger["items"].as_array().cloned().unwrap_or_default();
        lines.iter().filter_map(|line| line["created"].as_u64()).sum()
    }

    /// One alert at a time, with nothing else to do.
    pub(crate) fn first(&self) -> Value {
        let mut delays = Vec::new();
        for n in 0..FIRSTS {
            // A webhook may be told ten times a second.
            std::thread::sleep(Duration::from_millis(150));
            let heard = self.hook.calls().len();
            let sent = SystemTime::now();
            self.send(&alerts("First", n, 1, "it fires"));
            let until = Instant::now() + PATIENCE;
            while self.hook.calls().len() == heard {
                assert!(Instant::now() < until, "it was never told; it said:\n{}", self.service.log());
                std::thread::sleep(Duration::from_millis(1));
            }
            let at = self.hook.calls()[heard].at;
            delays.push(at.duration_since(sent).unwrap_or_default().as_secs_f64());
        }
        delays.sort_by(f64::total_cmp);
        let (p50, p99) = (delays[FIRSTS / 2], delays[FIRSTS * 99 / 100 - 1]);
        println!("\nfirst, {FIRSTS} alerts one at a time, to the first byte at a webhook, seconds");
        println!("{:<36} {p50:>10.3}", "median");
        println!("{:<36} {p99:>10.3}  {}", "p99", bar(p99, FIRST_BAR));
        json!({"p50_seconds": rounded(p50), "p99_seconds": rounded(p99), "bar": FIRST_BAR, "met": p99 <= FIRST_BAR})
    }

    /// As fast as it takes them.
    pub(crate) fn many(&self) -> Value {
        let before = self.rows();
        let begun = Instant::now();
        for first in (0..MANY).step_by(500) {
            self.send(&alerts("Many", first, 500, "it fires"));
        }
        let taken = begun.elapsed().as_secs_f64();
        while self.rows() < before + RECEIVERS * MANY as u64 {
            assert!(begun.elapsed() < PATIENCE, "some were never written; it said:\n{}", self.service.log());
            std::thread::sleep(Duration::from_millis(20));
        }
        let planned = begun.elapsed().as_secs_f64();
        println!("\nmany, {MANY} alerts to incidents and {RECEIVERS} rows each, seconds");
        println!("{:<36} {taken:>10.2}", "taken");
        println!("{:<36} {planned:>10.2}  {}", "written and planned", bar(planned, MANY_BAR));
        json!({"seconds": rounded(planned), "bar": MANY_BAR, "met": planned <= MANY_BAR})
    }

    /// The same alerts again and again, each time with something else to say.
    pub(crate) fn flat(&self, updates: usize) -> Value {
        let rounds = updates.div_ceil(UPDATED).max(10);
        let mut held = Vec::new();
        let begun = Instant::now();
        for round in 0..rounds {
            for first in (0..UPDATED).step_by(500) {
                self.send(&alerts("Flat", first, 500, &format!("round {round}")));
            }
            if (round + 1) % (rounds / 10) == 0 {
                held.push(resident(self.service.pid()) / 1e6);
            }
        }
        let rate = (rounds * UPDATED) as f64 / begun.elapsed().as_secs_f64();
        let (early, late) = (held[0], held.iter().copied().fold(0.0, f64::max));
        let shown: Vec<String> = held.iter().map(|megabytes| format!("{megabytes:.0}")).collect();
        println!("\nflat, {} updates of {UPDATED} incidents at {rate:.0}/s", rounds * UPDATED);
        println!("{:<36} {}", "resident after each tenth, MB", shown.join(" "));
        println!("{:<36} {:>10.3}", "most / after the first tenth", late / early);
        json!({"updates": rounds * UPDATED, "resident_mb": held.iter().map(|held| rounded(*held)).collect::<Vec<_>>()})
    }
}
