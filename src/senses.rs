//! Absence is news: every ten seconds a look at topics, partitions and receivers, and incidents of kind `sensor` where
//! something that was heard is heard no more, or what comes is not understood, or nobody is told. The rules are in
//! `senses/watch.rs`; what holds goes to the keeper like any other fact.

mod watch;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use beaconfire_model::{EventTime, Labels, Names};
use beaconfire_pipeline::{Counted, Tides};
use beaconfire_store::Store;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

use crate::bells::Place;
use crate::desk::Seen;
use crate::keep::Facts;
use crate::sender::Condition;
use crate::threads::now;
use watch::{Look, Receiver, Senses, Topic};

/// How often it looks.
const EVERY: Duration = Duration::from_secs(10);

/// The task, over what it looks at.
pub struct Sentry {
    /// Where what holds goes.
    pub facts: mpsc::Sender<Facts>,
    /// What was read.
    pub seen: Seen,
    /// How far sources have come.
    pub tides: Arc<Tides>,
    /// The topics' names.
    pub names: Names,
    /// How Kafka is.
    pub ingest: beaconfire_ingest::Metrics,
    /// What waits for receivers.
    pub store: Store,
    /// How each integration is doing.
    pub conditions: BTreeMap<Place, Condition>,
}

impl Sentry {
    /// Looks for as long as the process lives.
    pub async fn run(self) {
        let mut senses = Senses::default();
        let mut tick = interval(EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            let look = self.look().await;
            let signals = senses.look(&look, now());
            if signals.is_empty() {
                continue;
            }
            for signal in &signals {
                tracing::warn!(
                    rule = &*signal.rule,
                    subject = &*signal.subject.value,
                    "something is amiss with the watch itself"
                );
            }
            // The keeper ends with the process.
            let signals = signals.into_iter().map(|signal| (signal, Labels::default())).collect();
            if self.facts.send(Facts { signals, over: Vec::new(), durable: None }).await.is_err() {
                return;
            }
        }
    }

    async fn look(&self) -> Look {
        let at = now();
        let mut topics: BTreeMap<Arc<str>, Topic> = BTreeMap::new();
        for (source, tide) in self.tides.snapshot() {
            let name = self.names.name(source.topic);
            let topic = topics.entry(name.clone()).or_default();
            topic.partitions.insert(source.partition);
            let left = self.ingest.lag(&name, source.partition).unwrap_or(0);
            if !tide.caught_up && tide.watermark > EventTime::MIN {
                topic.behind.push((source.partition, left, at.as_event_time().since(tide.watermark)));
            }
        }
        self.seen.with(|tally| {
            for (id, what, count) in tally.counts() {
                let Some(topic) = topics.get_mut(&*self.names.name(id)) else { continue };
                match what {
                    Counted::Decoded(_) => topic.records += count,
                    Counted::Rejected(_) => {
                        topic.records += count;
                        topic.rejected += count;
                    }
                    Counted::Late | Counted::Skewed | Counted::Partial => {}
                }
            }
        });
        // While the store is away nobody can write what would be found, and the direct page says so.
        let backlog = self.store.backlog().await.unwrap_or_default();
        let receivers = self.conditions.iter().map(|(place, condition)| {
            let waiting =
                backlog.iter().filter(|line| (&line.receiver, &line.integration) == (&place.0, &place.1));
            (
                place.clone(),
                Receiver { oldest: waiting.map(|line| line.oldest).min(), said: condition.failing() },
            )
        });
        Look { kafka_up: self.ingest.kafka_up(), topics, receivers: receivers.collect() }
    }
}
