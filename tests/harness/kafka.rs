//! Apache Kafka 4.1.1, a single node in KRaft mode, with a plain listener and one for SASL_SSL with SCRAM-SHA-512.

use std::collections::BTreeMap;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::error::KafkaResult;
use rdkafka::message::{Header, Headers as _, Message as _};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::{Leashed, certificates, eventually, free_port, has, lasting_dir, parts};

/// A running broker.
pub struct Kafka {
    pub bootstrap: String,
    pub sasl_bootstrap: Option<String>,
    dir: Option<PathBuf>,
    process: Mutex<Option<Leashed>>,
}

pub const SASL_USER: &str = "beaconfire";
pub const SASL_PASSWORD: &str = "correct-horse";

fn libs() -> PathBuf {
    parts().join("kafka/libs")
}

fn java(program: &[&str]) -> Vec<String> {
    let classpath = format!("{}/*", libs().display());
    let mut command = vec!["java".to_owned(), "-cp".to_owned(), classpath];
    command.extend(program.iter().map(|part| (*part).to_owned()));
    command
}

/// The environment variable that names a running broker.
const LENT: &str = "BEACONFIRE_TEST_KAFKA";

/// Whether there is a broker to share: a running one, or what it takes to start one.
pub fn is_there() -> bool {
    std::env::var_os(LENT).is_some() || Kafka::is_there()
}

/// The broker that scenarios share; `None` where it is missing and may be.
pub fn shared() -> Option<&'static Kafka> {
    static SHARED: OnceLock<Kafka> = OnceLock::new();
    has("kafka", is_there()).then(|| {
        SHARED.get_or_init(|| match std::env::var(LENT) {
            Ok(bootstrap) => Kafka { bootstrap, sasl_bootstrap: None, dir: None, process: Mutex::new(None) },
            Err(_) => Kafka::start(),
        })
    })
}

impl Kafka {
    fn is_there() -> bool {
        parts().join("kafka/complete").exists()
    }

    /// A broker of one's own, to stop and kill; `None` where the part is missing and may be.
    pub fn own() -> Option<Self> {
        has("kafka", Self::is_there()).then(Self::start)
    }

    fn start() -> Self {
        let dir = lasting_dir();
        let (plain, controller, sasl) = (free_port(), free_port(), free_port());
        let keys = certificates::make(&dir);
        let keystore = format!("{}{}", keys.leaf_key_pkcs8(), keys.leaf());
        std::fs::write(dir.join("keystore.pem"), keystore).expect("the keystore can be written");
        let path = dir.display();
        let properties = format!(
            "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.bootstrap.servers=127.0.0.1:{controller}\n\
             listeners=PLAINTEXT://127.0.0.1:{plain},SASL_SSL://127.0.0.1:{sasl},CONTROLLER://127.0.0.1:{controller}\n\
             advertised.listeners=PLAINTEXT://127.0.0.1:{plain},SASL_SSL://127.0.0.1:{sasl}\n\
             controller.listener.names=CONTROLLER\ninter.broker.listener.name=PLAINTEXT\n\
             listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL\n\
             sasl.enabled.mechanisms=SCRAM-SHA-512\n\
             listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;\n\
             ssl.keystore.type=PEM\nssl.keystore.location={path}/keystore.pem\n\
             log.dirs={path}/data\nnum.partitions=3\noffsets.topic.replication.factor=1\noffsets.topic.num.partitions=4\n\
             transaction.state.log.replication.factor=1\ntransaction.state.log.min.isr=1\ntransaction.state.log.num.partitions=4\n\
             share.coordinator.state.topic.replication.factor=1\nshare.coordinator.state.topic.min.isr=1\n\
             group.initial.rebalance.delay.ms=0\n"
        );
        std::fs::write(dir.join("server.properties"), properties).expect("the properties can be written");
        std::fs::write(
            dir.join("log4j2.properties"),
            "rootLogger.level=WARN\nrootLogger.appenderRef.stdout.ref=STDOUT\nappender.stdout.type=Console\nappender.stdout.name=STDOUT\nappender.stdout.layout.type=PatternLayout\nappender.stdout.layout.pattern=%d %p %c %m%n\n",
        )
        .expect("the log configuration can be written");
        let scram = format!("SCRAM-SHA-512=[name={SASL_USER},password={SASL_PASSWORD}]");
        let format = java(&[
            "kafka.tools.StorageTool",
            "format",
            "--standalone",
            "-t",
            "Mkq9Z3p1TqW0l5Jm8dXhYg",
            "-c",
            &format!("{path}/server.properties"),
            "--add-scram",
            &scram,
        ]);
        let done = Command::new(&format[0]).args(&format[1..]).output().expect("java runs");
        assert!(
            done.status.success(),
            "formatting the broker's storage: {}",
            String::from_utf8_lossy(&done.stderr)
        );
        let kafka = Self {
            bootstrap: format!("127.0.0.1:{plain}"),
            sasl_bootstrap: Some(format!("localhost:{sasl}")),
            dir: Some(dir),
            process: Mutex::new(None),
        };
        kafka.resume();
        kafka
    }

    /// The authority that signed the broker's certificate.
    pub fn ca(&self) -> PathBuf {
        self.dir.as_ref().expect("a broker of ours").join("ca.pem")
    }

    /// Sends the broker a signal by its name: `STOP`, `CONT`.
    pub fn signal(&self, name: &str) {
        let process = self.process.lock().expect("not poisoned");
        process.as_ref().expect("a broker of ours that runs").signal(name);
    }

    /// `kill -9`.
    pub fn kill(&self) {
        if let Some(mut process) = self.process.lock().expect("not poisoned").take() {
            process.kill();
        }
    }

    /// Starts it again on the same data and ports, and waits until it answers.
    pub fn resume(&self) {
        let path = self.dir.as_ref().expect("a broker of ours").clone();
        let mut command = java(&["kafka.Kafka", &format!("{}/server.properties", path.display())]);
        let options = ["-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"].map(str::to_owned);
        command.splice(1..1, options);
        command.insert(1, format!("-Dlog4j2.configurationFile={}/log4j2.properties", path.display()));
        *self.process.lock().expect("not poisoned") =
            Some(Leashed::start(&command, &path.join("broker.log")));
        eventually("Kafka accepts connections", Duration::from_secs(60), || {
            TcpStream::connect(&self.bootstrap).is_ok()
        });
        let admin = self.admin();
        eventually("Kafka answers", Duration::from_secs(60), || {
            admin
                .inner()
                .fetch_metadata(None, Duration::from_secs(2))
                .is_ok_and(|metadata| !metadata.brokers().is_empty())
        });
    }

    fn admin(&self) -> AdminClient<rdkafka::client::DefaultClientContext> {
        ClientConfig::new().set("bootstrap.servers", &self.bootstrap).create().expect("an admin client")
    }

    /// Makes a topic.
    pub fn topic(&self, name: &str, partitions: i32) {
        self.topic_with(name, partitions, &[]);
    }

    /// The same with these settings.
    pub fn topic_with(&self, name: &str, partitions: i32, settings: &[(&str, &str)]) {
        let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
        let topic = settings.iter().fold(topic, |topic, (key, value)| topic.set(key, value));
        let made = asked(self.admin().create_topics([&topic], &AdminOptions::new()));
        assert!(made.iter().all(Result::is_ok), "{made:?}");
    }

    /// Deletes a topic, and waits until the broker knows nothing of it.
    pub fn delete_topic(&self, name: &str) {
        let admin = self.admin();
        let gone = asked(admin.delete_topics(&[name], &AdminOptions::new()));
        assert!(gone.iter().all(Result::is_ok), "{gone:?}");
        eventually("the topic is gone", Duration::from_secs(30), || {
            admin
                .inner()
                .fetch_metadata(None, Duration::from_secs(5))
                .is_ok_and(|metadata| metadata.topics().iter().all(|topic| topic.name() != name))
        });
    }

    /// Adds partitions to a topic, so that it has so many.
    pub fn partitions(&self, name: &str, count: usize) {
        let wanted = NewPartitions::new(name, count);
        let made = asked(self.admin().create_partitions([&wanted], &AdminOptions::new()));
        assert!(made.iter().all(Result::is_ok), "{made:?}");
    }

    /// Deletes a partition's records before an offset, as retention does.
    pub fn delete_records(&self, name: &str, partition: i32, before: i64) {
        let mut list = rdkafka::TopicPartitionList::new();
        list.add_partition_offset(name, partition, rdkafka::Offset::Offset(before)).expect("an offset");
        let gone = asked(self.admin().delete_records(&list, &AdminOptions::new()));
        assert!(gone.elements().iter().all(|element| element.error().is_ok()), "{gone:?}");
    }

    /// A producer for it.
    pub fn producer(&self) -> Producer {
        let inner = ClientConfig::new()
            .set("bootstrap.servers", &self.bootstrap)
            .set("queue.buffering.max.messages", "2000000")
            .set("linger.ms", "20")
            // The topic's own limit decides.
            .set("message.max.bytes", "16777216")
            .create()
            .expect("a producer");
        Producer { inner }
    }

    /// The committed offsets of a group, by partition; -1 where there is none.
    pub fn committed(&self, group: &str, topic: &str, partitions: i32) -> Vec<i64> {
        use rdkafka::consumer::{BaseConsumer, Consumer as _};
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", &self.bootstrap)
            .set("group.id", group)
            .create()
            .expect("a consumer");
        let mut list = TopicPartitionList::new();
        for partition in 0..partitions {
            list.add_partition(topic, partition);
        }
        let Ok(committed) = consumer.committed_offsets(list, Duration::from_secs(10)) else {
            return Vec::new();
        };
        committed
            .elements()
            .iter()
            .map(|element| element.offset().to_raw().filter(|raw| *raw >= 0).unwrap_or(-1))
            .collect()
    }

    /// All records of a topic, by partition and offset.
    pub fn records(&self, topic: &str, partitions: i32) -> Vec<Got> {
        use rdkafka::consumer::{BaseConsumer, Consumer as _};
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", &self.bootstrap)
            .set("group.id", "records")
            .create()
            .expect("a consumer");
        let mut list = TopicPartitionList::new();
        for partition in 0..partitions {
            list.add_partition_offset(topic, partition, Offset::Beginning).expect("a partition");
        }
        consumer.assign(&list).expect("partitions can be assigned");
        let expected: i64 = self.ends(topic, partitions).iter().sum();
        let mut all = Vec::new();
        while (all.len() as i64) < expected {
            let polled = consumer.poll(Duration::from_secs(30)).expect("the broker has more");
            let message = polled.expect("a record");
            let header = |header: Header<'_, &[u8]>| {
                let value = String::from_utf8_lossy(header.value.unwrap_or_default()).into_owned();
                (header.key.to_owned(), value)
            };
            all.push(Got {
                partition: message.partition(),
                offset: message.offset(),
                key: String::from_utf8_lossy(message.key().unwrap_or_default()).into_owned(),
                payload: message.payload().map(<[u8]>::to_vec),
                headers: message
                    .headers()
                    .map(|headers| headers.iter().map(header).collect())
                    .unwrap_or_default(),
            });
        }
        all.sort_by_key(|got| (got.partition, got.offset));
        all
    }

    /// The end offsets, by partition.
    pub fn ends(&self, topic: &str, partitions: i32) -> Vec<i64> {
        use rdkafka::consumer::{BaseConsumer, Consumer as _};
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", &self.bootstrap)
            .set("group.id", "ends")
            .create()
            .expect("a consumer");
        (0..partitions)
            .map(|partition| {
                consumer
                    .fetch_watermarks(topic, partition, Duration::from_secs(10))
                    .map_or(-1, |(_, end)| end)
            })
            .collect()
    }
}

/// The answer to an administrator's request.
fn asked<T>(request: impl Future<Output = KafkaResult<T>>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(request).expect("the broker answers")
}

/// A record as a consumer sees it.
#[derive(Debug, Clone)]
pub struct Got {
    pub partition: i32,
    pub offset: i64,
    pub key: String,
    pub payload: Option<Vec<u8>>,
    pub headers: BTreeMap<String, String>,
}

/// Sends records.
pub struct Producer {
    inner: ThreadedProducer<DefaultProducerContext>,
}

impl Producer {
    /// Sends one record, waiting where the queue is full.
    pub fn send(&self, topic: &str, partition: Option<i32>, key: Option<&str>, payload: &[u8]) {
        self.send_at(topic, partition, key, Some(payload), None);
    }

    /// The same with or without a value, and with a timestamp of one's own.
    pub fn send_at(
        &self,
        topic: &str,
        partition: Option<i32>,
        key: Option<&str>,
        payload: Option<&[u8]>,
        stamp: Option<i64>,
    ) {
        let mut record = BaseRecord::<str, [u8]>::to(topic);
        (record.key, record.partition, record.payload, record.timestamp) = (key, partition, payload, stamp);
        while let Err((error, back)) = self.inner.send(record) {
            assert!(error.to_string().contains("Queue full"), "{error}");
            std::thread::sleep(Duration::from_millis(20));
            record = back;
        }
    }

    /// Waits until everything has arrived.
    pub fn flush(&self) {
        self.inner.flush(Duration::from_secs(60)).expect("everything sent arrives");
    }
}
