//! The demo: a small SaaS with staged attacks, on an embedded broker, told to local receivers.
//!
//! From the consumer on everything is what `run` runs. The broker, the store and the receivers live in this process
//! and end with it.

pub mod traffic;

use std::fmt::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use beaconfire_config::{Config, Sources};
use beaconfire_ingest::{Broker, Produced, Producer};
use beaconfire_model::LogFault;
use tokio::time::{MissedTickBehavior, interval};

use crate::app::{App, Extras};
use crate::standins::{AlertState, MailSink, PagerDuty, ROUTING_KEY, SLACK_TOKEN, Slack};
use crate::threads::now;
use traffic::{API, EDGE, ORDERS, RUNTIME, Traffic, USAGE};

/// How often traffic is made.
const TICK: Duration = Duration::from_millis(100);

/// How often the receivers are looked at.
const LOOK: Duration = Duration::from_millis(200);

/// What the demo is asked for.
#[derive(Debug, Clone)]
pub struct Wishes {
    /// The same seed gives the same traffic.
    pub seed: u64,
    /// How fast the attacks follow one another; 1 takes some 40 s.
    pub speed: f64,
    /// Where the console listens; port 0 takes a free one.
    pub listen: SocketAddr,
}

/// The demo, ready to run.
pub struct Demo {
    app: App,
    receivers: Receivers,
    traffic: Traffic,
    producer: Producer,
    // Dropped last: the service leaves the group first.
    broker: Broker,
    _home: tempfile::TempDir,
}

/// The receivers, and how much of what they got was printed.
struct Receivers {
    mail: MailSink,
    slack: Slack,
    pager: PagerDuty,
    mails: usize,
    messages: Vec<u32>,
    alerts: std::collections::BTreeMap<String, (AlertState, u32)>,
}

fn fault(fault: LogFault) -> anyhow::Error {
    anyhow::anyhow!("{fault}")
}

impl Demo {
    /// Starts broker, receivers and service.
    pub async fn start(wishes: &Wishes) -> anyhow::Result<Self> {
        let home = tempfile::tempdir().context("making a directory for the store")?;
        let broker =
            Broker::start(&[(EDGE, 3), (API, 3), (ORDERS, 3), (RUNTIME, 1), (USAGE, 1)]).map_err(fault)?;
        let receivers = Receivers::start().await.context("starting the local receivers")?;
        let listen = free(wishes.listen)?;
        let file = home.path().join("beaconfire.yaml");
        let text = configuration(broker.bootstrap(), listen, home.path(), &receivers);
        std::fs::write(&file, text).context("writing the demo's configuration")?;
        // The user's environment is not the demo's.
        let sources = Sources { file: Some(file), ..Sources::default() };
        let config = Config::load(&sources).map_err(|complaints| {
            let said: Vec<String> = complaints.iter().map(ToString::to_string).collect();
            anyhow::anyhow!("the demo's configuration is not good:\n{}", said.join("\n"))
        })?;
        let producer = Producer::open(broker.bootstrap()).map_err(fault)?;
        let mut traffic = Traffic::new(wishes.seed, now(), wishes.speed);
        // All of it before anybody reads: what is usual is learned in order of time.
        produce(&producer, traffic.history())?;
        producer.flush(Duration::from_secs(20)).map_err(fault)?;
        let app = App::start(config, Extras::default()).await?;
        Ok(Self { app, receivers, traffic, producer, broker, _home: home })
    }

    /// Where the console is.
    pub fn url(&self) -> String {
        format!("http://{}/", self.app.address())
    }

    /// Makes traffic and prints what receivers get, until `stop` is done.
    pub async fn run(
        self,
        stop: impl Future<Output = ()> + Send,
        mut print: impl FnMut(&str),
    ) -> anyhow::Result<()> {
        let Self { app, mut receivers, mut traffic, producer, broker: _broker, _home } = self;
        let (mut tick, mut look) = (interval(TICK), interval(LOOK));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        let mut serving = tokio::spawn(app.run(async move {
            // Told to end, or the demo has gone: both mean the end.
            let _ = ended.await;
        }));
        tokio::pin!(stop);
        let result = loop {
            tokio::select! {
                _ = tick.tick() => produce(&producer, traffic.tick(now(), TICK))?,
                _ = look.tick() => receivers.print_news(&mut print),
                () = &mut stop => {
                    // Whoever listened has ended: then that is seen below.
                    let _ = end.send(());
                    break (&mut serving).await;
                }
                served = &mut serving => break served,
            }
        };
        receivers.print_news(&mut print);
        result.context("the service's task")?.map(|_all_ended| ())
    }
}

fn produce(producer: &Producer, records: Vec<traffic::Produced>) -> anyhow::Result<()> {
    for record in records {
        let produced = Produced {
            topic: record.topic,
            key: Some(record.key.as_bytes()),
            payload: Some(record.payload.as_bytes()),
            ..Produced::default()
        };
        producer.send(produced).map_err(fault)?;
    }
    Ok(())
}

/// The address with a port, so that links in messages can name it.
fn free(listen: SocketAddr) -> anyhow::Result<SocketAddr> {
    if listen.port() != 0 {
        return Ok(listen);
    }
    let taken = TcpListener::bind(listen).with_context(|| format!("cannot listen on {listen}"))?;
    taken.local_addr().context("asking for a free port")
}

/// Short times, so that incidents also resolve before one's eyes.
fn configuration(brokers: &str, listen: SocketAddr, home: &Path, receivers: &Receivers) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write!(
        text,
        r##"kafka:
  brokers: ["{brokers}"]
  group: beaconfire-demo
  topics:
    - {{name: {EDGE}, format: combined, service: shop, start: earliest}}
    - {{name: {API}, format: auto, service: api, start: earliest}}
    - {{name: {ORDERS}, format: combined, service: orders, start: earliest}}
    - {{name: {RUNTIME}, format: falco, start: earliest}}
    - {{name: {USAGE}, format: beaconfire, start: earliest}}
services:
  orders: {{capacity: {{requests_per_second: 12}}}}
  shop: {{annotations: {{runbook_url: "https://wiki.example.com/shop"}}}}
rules:
  - {{name: request-burst, throttle: {{action: ban, for: 10m}}}}
incidents: {{resolve_after: 20s, finding_resolve_after: 40s, flap_window: 20s}}
global: {{smtp_smarthost: "{mail}", smtp_from: beaconfire@example.com, pagerduty_url: "{pager}"}}
route:
  receiver: mail
  routes:
    - {{matchers: ['severity="critical"'], receiver: pager, continue: true}}
    - {{receiver: chat, continue: true}}
    - {{receiver: mail}}
receivers:
  - {{name: mail, email_configs: [{{to: oncall@example.com, require_tls: false}}]}}
  - {{name: chat, slack_configs: [{{app_token: "{SLACK_TOKEN}", app_url: "{slack}", channel: "#oncall"}}]}}
  - {{name: pager, pagerduty_configs: [{{routing_key: "{ROUTING_KEY}"}}]}}
store: {{url: "sqlite:{home}/demo.db"}}
http: {{listen: "{listen}", external_url: "http://{listen}"}}
limits: {{lateness: 2s, detect_memory: 64MiB}}
pipeline: {{workers: 1, shards: 1}}
"##,
        mail = receivers.mail.address(),
        pager = receivers.pager.url(),
        slack = receivers.slack.app_url(),
        home = home.display(),
    );
    text
}

impl Receivers {
    async fn start() -> std::io::Result<Self> {
        Ok(Self {
            mail: MailSink::start().await?,
            slack: Slack::start().await?,
            pager: PagerDuty::start().await?,
            mails: 0,
            messages: Vec::new(),
            alerts: std::collections::BTreeMap::new(),
        })
    }

    /// Prints what arrived since the last look.
    fn print_news(&mut self, print: &mut impl FnMut(&str)) {
        let mails = self.mail.mails();
        for mail in &mails[self.mails.min(mails.len())..] {
            print(&format!("mail       to {}: {}", mail.to.join(", "), mail.header("Subject")));
        }
        self.mails = mails.len();
        for (at, message) in self.slack.messages().iter().enumerate() {
            let what = match (self.messages.get(at), &message.thread_ts) {
                (Some(updates), _) if *updates == message.updates => continue,
                (Some(_), _) => "updated",
                (None, Some(_)) => "reply",
                (None, None) => "message",
            };
            print(&format!("slack      {what}: {}", first_line(&message.text)));
            if at < self.messages.len() {
                self.messages[at] = message.updates;
            } else {
                self.messages.push(message.updates);
            }
        }
        for (key, alert) in self.pager.alerts() {
            let state = (alert.state, alert.triggers);
            if self.alerts.get(&key) != Some(&state) {
                let what = match alert.state {
                    AlertState::Triggered => "triggered",
                    AlertState::Acknowledged => "acknowledged",
                    AlertState::Resolved => "resolved",
                };
                print(&format!("pagerduty  {what}: {}", first_line(&alert.summary)));
                self.alerts.insert(key, state);
            }
        }
    }
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}
