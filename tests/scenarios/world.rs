//! A small world around the binary: a topic of its own on the shared broker, an SMTP server with TLS, and stand-ins for
//! Slack, PagerDuty and a webhook.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use beaconfire::standins::{PagerDuty, ROUTING_KEY, SLACK_TOKEN, Slack, WEBHOOK_SECRET, Webhook};
use tokio::runtime::Runtime;

use crate::harness::beaconfire::Beaconfire;
use crate::harness::kafka::{self, Kafka};
use crate::harness::smtp::{self, Smtp};
use crate::harness::{eventually, kafka::Producer};

/// How long anything that must happen may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// So many incidents wait before a storm is declared: more than any scenario has that follows each message to whom it
/// reaches. Storms have scenarios of their own.
pub const ONE_BY_ONE: u32 = 10_000;

/// Everything outside the binary.
pub struct World {
    pub name: String,
    pub partitions: i32,
    pub kafka: &'static Kafka,
    pub smtp: Smtp,
    pub slack: Slack,
    pub pager: PagerDuty,
    pub hook: Webhook,
    pub dir: tempfile::TempDir,
    // The stand-ins live on it.
    runtime: Runtime,
}

/// Now, in milliseconds since 1970.
pub fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970").as_millis() as i64
}

impl World {
    /// A world with a topic and a consumer group called `name`; `None` where a part is missing and may be.
    pub fn new(name: &str, partitions: i32) -> Option<Self> {
        let kafka = kafka::shared()?;
        Self::on(kafka, name, partitions)
    }

    /// The same on a broker of one's own.
    pub fn on(kafka: &'static Kafka, name: &str, partitions: i32) -> Option<Self> {
        Self::with(kafka, name, partitions, &[])
    }

    /// The same with settings for the topic.
    pub fn with(
        kafka: &'static Kafka,
        name: &str,
        partitions: i32,
        settings: &[(&str, &str)],
    ) -> Option<Self> {
        let smtp = Smtp::start()?;
        let name = format!("{name}-{}", std::process::id());
        kafka.topic_with(&name, partitions, settings);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let (slack, pager, hook) = runtime.block_on(async {
            let started = (Slack::start().await, PagerDuty::start().await, Webhook::start().await);
            (started.0.expect("slack"), started.1.expect("pagerduty"), started.2.expect("a webhook"))
        });
        let dir = tempfile::tempdir().expect("a directory");
        Some(Self { name, partitions, kafka, smtp, slack, pager, hook, dir, runtime })
    }

    /// Another stand-in, which lives as long as this world.
    pub fn another<T>(&self, starting: impl Future<Output = std::io::Result<T>>) -> T {
        self.runtime.block_on(starting).expect("it starts")
    }

    pub fn producer(&self) -> Producer {
        self.kafka.producer()
    }

    /// A configuration that reads the topic as `entry` says, tells all four receivers of everything, and has these
    /// further sections.
    pub fn config(&self, entry: &str, sections: &str) -> String {
        self.config_of(&self.kafka.bootstrap, "", entry, sections)
    }

    /// The same with other brokers and further keys of `kafka`.
    pub fn config_of(&self, brokers: &str, kafka: &str, entry: &str, sections: &str) -> String {
        format!(
            r##"kafka:
  brokers: ["{brokers}"]
  group: {name}
{kafka}
  topics:
    - {{name: {name}, start: earliest, {entry}}}
global: {{smtp_from: beaconfire@example.com, smtp_smarthost: "127.0.0.1:{smtp}", pagerduty_url: "{pager}"}}
route:
  receiver: mail
  routes:
    - {{receiver: mail, continue: true}}
    - {{receiver: chat, continue: true}}
    - {{receiver: pager, continue: true}}
    - {{receiver: hook}}
receivers:
  - name: mail
    digest_after: {ONE_BY_ONE}
    email_configs:
      - {{to: oncall@example.com, auth_username: {user}, auth_password: "{password}", tls_config: {{ca_file: "{ca}"}}}}
  - name: chat
    digest_after: {ONE_BY_ONE}
    slack_configs: [{{app_token: "{SLACK_TOKEN}", app_url: "{slack}", channel: "#oncall"}}]
  - name: pager
    digest_after: {ONE_BY_ONE}
    pagerduty_configs: [{{routing_key: "{ROUTING_KEY}"}}]
  - name: hook
    digest_after: {ONE_BY_ONE}
    webhook_configs: [{{url: "{hook}", signing_secret: "{WEBHOOK_SECRET}"}}]
store: {{url: "sqlite:{store}"}}
{sections}
"##,
            name = self.name,
            smtp = self.smtp.port,
            ca = self.smtp.ca().display(),
            user = smtp::USER,
            password = smtp::PASSWORD,
            pager = self.pager.url(),
            slack = self.slack.app_url(),
            hook = self.hook.url(),
            store = self.store().display(),
        )
    }

    /// The store's file.
    pub fn store(&self) -> std::path::PathBuf {
        self.dir.path().join("beaconfire.db")
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Waits until the group has committed the end of every partition.
    #[track_caller]
    pub fn read_to_the_end(&self) {
        // A broker that has just come back may owe an answer; where it says nothing, -1 would be waited for in vain.
        let mut ends = Vec::new();
        eventually("the broker says where the partitions end", PATIENCE, || {
            ends = self.kafka.ends(&self.name, self.partitions);
            ends.iter().all(|end| *end >= 0)
        });
        eventually("everything is read and committed", PATIENCE, || {
            self.kafka.committed(&self.name, &self.name, self.partitions) == ends
        });
    }

    /// Breaches of contracts that the stand-ins saw: there must be none.
    pub fn faults(&self) -> Vec<String> {
        [self.slack.faults(), self.pager.faults(), self.hook.faults()].concat()
    }

    /// Waits until no notification is pending any more, and checks that the ledger adds up.
    #[track_caller]
    pub fn all_told(&self, service: &Beaconfire) -> Vec<serde_json::Value> {
        let mut items = Vec::new();
        eventually("everybody is told", PATIENCE, || {
            items = service.json("/api/v1/ledger")["items"].as_array().cloned().unwrap_or_default();
            !items.is_empty()
                && items.iter().all(|line| line["pending"] == 0)
                && service.json("/api/v1/status")["receivers"]
                    .as_array()
                    .is_some_and(|all| all.iter().all(|receiver| receiver["pending"] == 0))
        });
        for line in &items {
            let count = |name: &str| line[name].as_u64().expect("a count");
            let suppressed: u64 = line["suppressed"]
                .as_object()
                .map_or(0, |reasons| reasons.values().filter_map(serde_json::Value::as_u64).sum());
            let sum = count("delivered") + count("in_digest") + suppressed + count("dead") + count("pending");
            assert_eq!(count("created"), sum, "{line}");
        }
        items
    }
}
