//! The broker that records are read from, always in another process, so that its CPU time is not ours: Apache Kafka
//! where `BEACONFIRE_TEST_KAFKA` names one or `tests/run` has fetched it, else the embedded one.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};

use beaconfire_ingest::Broker as Embedded;

use crate::harness::kafka::{self, Kafka};

/// The argument that makes this program an embedded broker.
pub(crate) const EMBEDDED: &str = "--embedded-broker";

/// A running broker.
pub(crate) enum Broker {
    Apache(&'static Kafka),
    /// Its process, which ends when its standard input does.
    Embedded,
}

/// A topic, and what holds it.
pub(crate) struct Topic {
    pub(crate) bootstrap: String,
    pub(crate) name: String,
    pub(crate) partitions: i32,
    _process: Option<Process>,
}

struct Process {
    child: Child,
    stdin: Option<ChildStdin>,
}

impl Drop for Process {
    fn drop(&mut self) {
        // Its end is what the child waits for.
        self.stdin = None;
        let _ = self.child.wait();
    }
}

impl Broker {
    pub(crate) fn start() -> Self {
        match kafka::is_there().then(kafka::shared).flatten() {
            Some(kafka) => Self::Apache(kafka),
            None => Self::Embedded,
        }
    }

    pub(crate) fn what(&self) -> &'static str {
        match self {
            Self::Apache(_) => "apache kafka",
            Self::Embedded => "embedded",
        }
    }

    /// How many records to measure with, and in how many partitions. The embedded broker keeps 5 MiB of each partition.
    pub(crate) fn load(&self) -> (usize, i32) {
        match self {
            Self::Apache(_) => (1_000_000, 3),
            Self::Embedded => (200_000, 16),
        }
    }

    /// An empty topic; on the embedded broker, with a broker of its own.
    pub(crate) fn topic(&self, name: &str, partitions: i32) -> Topic {
        self.topic_with(name, partitions, &[])
    }

    /// The same with these settings, which only Apache Kafka has.
    pub(crate) fn topic_with(&self, name: &str, partitions: i32, settings: &[(&str, &str)]) -> Topic {
        let name = format!("bench-{name}-{}", std::process::id());
        match self {
            Self::Apache(kafka) => {
                kafka.topic_with(&name, partitions, settings);
                Topic { bootstrap: kafka.bootstrap.clone(), name, partitions, _process: None }
            }
            Self::Embedded => {
                let program = std::env::current_exe().expect("this program has a path");
                let mut child = Command::new(program)
                    .args([EMBEDDED, &name, &partitions.to_string()])
                    .stdin(Stdio::piped())
                    .stdout(Stdio::piped())
                    .spawn()
                    .expect("this program starts again");
                let stdin = child.stdin.take();
                let mut bootstrap = String::new();
                let stdout = child.stdout.take().expect("a pipe");
                BufReader::new(stdout).read_line(&mut bootstrap).expect("the broker says where it is");
                let process = Process { child, stdin };
                Topic { bootstrap: bootstrap.trim().to_owned(), name, partitions, _process: Some(process) }
            }
        }
    }
}

/// The child's part: a broker with this topic, until standard input ends.
pub(crate) fn serve(topic: &[String]) {
    let [name, partitions] = topic else { panic!("a topic and its number of partitions") };
    let partitions = partitions.parse().expect("a number of partitions");
    let broker = Embedded::start(&[(name, partitions)]).expect("an embedded broker");
    println!("{}", broker.bootstrap());
    std::io::stdout().flush().expect("somebody listens");
    let mut rest = Vec::new();
    std::io::stdin().read_to_end(&mut rest).expect("standard input ends");
}
