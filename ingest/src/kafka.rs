//! One member of the consumer group, as a [`Log`].
//!
//! One thread owns it and keeps polling. Records come from one queue for each partition (`drain`); the consumer's own
//! queue, polled at least every 20 ms meanwhile, brings only the group's wishes, errors and statistics. Because each
//! partition has its own queue, holding one back or pausing all of them is simply not draining: nothing fetched is
//! thrown away (librdkafka's own pause purges it), librdkafka's limits bound what waits, and membership goes on.
//!
//! A broker outage is no error: `kafka_up` falls to 0, polling goes on, and librdkafka connects again.

use std::sync::{Arc, mpsc};
use std::time::Duration;

use beaconfire_model::{Committed, Log, LogFault, Names, Record, Source, Start, Turn};
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer};

use crate::member::Member;
use crate::rebalance::Context;
use crate::settings::{self, Entries};
use crate::{KafkaKnobs, Metrics};

/// One worker's consumer.
pub struct KafkaLog {
    /// `None` once closed.
    live: Option<Member>,
    worker: usize,
    metrics: Metrics,
}

impl KafkaLog {
    /// Makes the consumer and subscribes; connecting goes on in the background, so brokers that are away are no error.
    ///
    /// [`LogFault::Fatal`] where the configuration cannot work: no brokers, no topics, a pattern that does not begin
    /// with `^`, a property that is ours or that librdkafka does not know.
    pub fn open(knobs: &KafkaKnobs, worker: usize, names: Names, metrics: Metrics) -> Result<Self, LogFault> {
        let entries = Entries::of(&knobs.topics)?;
        let config = settings::consumer(knobs, worker)?;
        let context = Context::new(worker, metrics.clone());
        let client = BaseConsumer::from_config_and_context(&config, context).map_err(|error| {
            LogFault::Fatal(format!("cannot make a Kafka client: {error}; check kafka.properties"))
        })?;
        let client = Arc::new(client);
        client
            .subscribe(&entries.subscribed())
            .map_err(|error| LogFault::Fatal(format!("cannot subscribe: {error}; check kafka.topics")))?;
        let instance = knobs.instance.as_ref().map(|instance| format!("{instance}-{worker}"));
        let live = Member::new(client, entries, names, metrics.clone(), instance);
        Ok(Self { live: Some(live), worker, metrics })
    }

    fn live(&mut self) -> Result<&mut Member, LogFault> {
        self.live.as_mut().ok_or_else(|| LogFault::Fatal("the Kafka consumer was closed".to_owned()))
    }
}

impl Log for KafkaLog {
    fn poll(&mut self, wait: Duration) -> Result<Turn, LogFault> {
        self.live()?.poll(wait)
    }

    fn records(&self) -> impl Iterator<Item = Record<'_>> {
        self.live.iter().flat_map(|member| member.reader().records())
    }

    fn start(&mut self, at: &[Start]) -> Result<(), LogFault> {
        self.live()?.start(at)
    }

    fn release(&mut self, _sources: &[Source]) -> Result<(), LogFault> {
        self.live()?.release()
    }

    fn commit(&mut self, offsets: &[Committed]) -> Result<(), LogFault> {
        self.live()?.commit(offsets)
    }

    fn pause(&mut self, held: bool) -> Result<(), LogFault> {
        self.live()?.reader_mut().pause(held);
        Ok(())
    }

    fn hold(&mut self, ahead: &[Source]) {
        if let Some(live) = &mut self.live {
            live.reader_mut().hold(ahead);
        }
    }

    fn answers(&self) -> bool {
        self.metrics.is_up(self.worker)
    }

    fn answers_for(&self, source: Source) -> bool {
        self.live.as_ref().is_none_or(|member| member.reader().has_leader(source))
    }

    /// Leaves the group (a static member only disconnects) after the commits that are under way, and commits nothing
    /// itself. Closing a consumer can hang in librdkafka, so it happens on a thread of its own that we stop waiting
    /// for after `within`; the process may then exit regardless.
    fn close(&mut self, within: Duration) {
        let Some(live) = self.live.take() else { return };
        let client = live.shut();
        self.metrics.set_up(self.worker, None);
        let (done, closed) = mpsc::channel();
        let spawned = std::thread::Builder::new().name("kafka-close".to_owned()).spawn(move || {
            drop(client);
            // Nobody listens any more where it took too long.
            let _ = done.send(());
        });
        if spawned.is_err() || closed.recv_timeout(within).is_err() {
            tracing::warn!(
                worker = self.worker,
                ?within,
                "the Kafka consumer did not close in time; leaving it behind"
            );
        }
    }
}

impl Drop for KafkaLog {
    fn drop(&mut self) {
        self.close(Duration::from_secs(2));
    }
}

#[cfg(test)]
#[path = "kafka_tests.rs"]
mod tests;
