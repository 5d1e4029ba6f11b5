//! A Kafka in this process: librdkafka's mock cluster, for `demo` and the fast tests.
//!
//! It speaks the real protocol on loopback, groups and commits included, but keeps only 5 MiB a partition, answers
//! every offset by time with "the end", and fakes transactions. What depends on those is shown on Apache Kafka.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use beaconfire_model::LogFault;
use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaResult;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, DefaultProducerContext, Producer as _};
#[cfg(test)]
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use crate::drain;

/// An embedded broker with the topics it was started with. It stops when dropped.
pub struct Broker {
    bootstrap: String,
    orders: Option<Sender<Order>>,
    thread: Option<JoinHandle<()>>,
}

type Answer = Sender<KafkaResult<()>>;

enum Order {
    Create(String, i32, Answer),
    Down(Answer),
    Up(Answer),
    #[cfg(test)]
    Refuse(RDKafkaApiKey, usize, Answer),
}

impl Broker {
    /// Starts a broker on a free loopback port and makes these topics, each with so many partitions.
    pub fn start(topics: &[(&str, i32)]) -> Result<Self, LogFault> {
        let (orders, inbox) = mpsc::channel();
        let (tell, told) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("embedded-broker".to_owned())
            .spawn(move || run(&tell, &inbox))
            .map_err(|error| {
                LogFault::Fatal(format!("cannot start the embedded broker's thread: {error}"))
            })?;
        let bootstrap = told
            .recv()
            .map_err(|_| LogFault::Fatal("the embedded broker ended while it started".to_owned()))?
            .map_err(|said| LogFault::Fatal(format!("cannot start the embedded broker: {said}")))?;
        let broker = Self { bootstrap, orders: Some(orders), thread: Some(thread) };
        for (topic, partitions) in topics {
            broker.create(topic, *partitions)?;
        }
        Ok(broker)
    }

    /// `host:port`, as `kafka.brokers` takes it.
    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// Makes a topic.
    pub fn create(&self, topic: &str, partitions: i32) -> Result<(), LogFault> {
        self.order(|answer| Order::Create(topic.to_owned(), partitions, answer))
    }

    /// Closes all connections and takes no new ones; what was stored stays.
    pub fn down(&self) -> Result<(), LogFault> {
        self.order(Order::Down)
    }

    /// Takes connections again.
    pub fn up(&self) -> Result<(), LogFault> {
        self.order(Order::Up)
    }

    /// Lets the next `times` look-ups of committed offsets fail.
    #[cfg(test)]
    pub(crate) fn refuse_look_ups(&self, times: usize) -> Result<(), LogFault> {
        self.order(|answer| Order::Refuse(RDKafkaApiKey::OffsetFetch, times, answer))
    }

    /// Lets the next `times` commits fail.
    #[cfg(test)]
    pub(crate) fn refuse_commits(&self, times: usize) -> Result<(), LogFault> {
        self.order(|answer| Order::Refuse(RDKafkaApiKey::OffsetCommit, times, answer))
    }

    fn order(&self, order: impl FnOnce(Answer) -> Order) -> Result<(), LogFault> {
        let (answer, answered) = mpsc::channel();
        let gone = || LogFault::Fatal("the embedded broker has ended".to_owned());
        self.orders.as_ref().ok_or_else(gone)?.send(order(answer)).map_err(|_| gone())?;
        let done = answered.recv().map_err(|_| gone())?;
        done.map_err(|error| LogFault::Fatal(format!("the embedded broker refused: {error}")))
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // The thread ends when nobody can give orders any more.
        self.orders = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the embedded broker's thread panicked");
        }
    }
}

/// The cluster belongs to a client, and both stay on this thread.
fn run(tell: &Sender<Result<String, String>>, inbox: &Receiver<Order>) {
    let made = ClientConfig::new()
        .set("test.mock.num.brokers", "1")
        .set("client.id", "beaconfire-embedded-broker")
        .set_log_level(RDKafkaLogLevel::Warning)
        .create::<BaseProducer>();
    let client = match made {
        Ok(client) => client,
        Err(error) => {
            // Whoever started us has gone where this cannot be told.
            let _ = tell.send(Err(error.to_string()));
            return;
        }
    };
    let Some(cluster) = client.client().mock_cluster() else {
        let _ = tell.send(Err("this librdkafka has no mock cluster".to_owned()));
        return;
    };
    drain::hasten_groups(client.client());
    if tell.send(Ok(cluster.bootstrap_servers())).is_err() {
        return;
    }
    loop {
        match inbox.recv_timeout(Duration::from_millis(500)) {
            Ok(order) => obey(&cluster, order),
            // Serves the client's own log queue.
            Err(RecvTimeoutError::Timeout) => client.poll(Duration::ZERO),
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

fn obey(cluster: &MockCluster<'_, DefaultProducerContext>, order: Order) {
    let (done, answer) = match order {
        Order::Create(topic, partitions, answer) => (cluster.create_topic(&topic, partitions, 1), answer),
        Order::Down(answer) => (cluster.broker_down(-1), answer),
        Order::Up(answer) => (cluster.broker_up(-1), answer),
        #[cfg(test)]
        Order::Refuse(request, times, answer) => {
            let refusal = RDKafkaRespErr::RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED;
            cluster.request_errors(request, &vec![refusal; times]);
            (Ok(()), answer)
        }
    };
    // Nobody waits any more: the broker is being dropped.
    let _ = answer.send(done);
}
