//! What this crate counts, under the names that `surfaces` promise.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use prometheus::{IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

/// Handles to the process's ingest metrics. Cloning shares them.
#[derive(Debug, Clone)]
pub struct Metrics {
    up: IntGauge,
    /// What each worker's client last saw: one blind worker must not be hidden by the others.
    seen: Arc<Mutex<BTreeMap<usize, bool>>>,
    /// Workers that have joined the group at least once.
    joined: Arc<Mutex<BTreeSet<usize>>>,
    lag: IntGaugeVec,
    /// The same, for those who ask in words.
    lags: Arc<Mutex<BTreeMap<(String, i32), i64>>>,
    dead: IntCounterVec,
}

impl Metrics {
    /// Registers `beaconfire_kafka_up`, `beaconfire_kafka_lag_records` and `beaconfire_dead_letters_total`; an error
    /// where one of these names is taken already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let up = IntGauge::new(
            "beaconfire_kafka_up",
            "1 while every worker has a broker that answers, 0 while one has none or no worker runs",
        )?;
        let lag = IntGaugeVec::new(
            Opts::new(
                "beaconfire_kafka_lag_records",
                "Records between our position and the end of the partition",
            ),
            &["topic", "partition"],
        )?;
        let dead = IntCounterVec::new(
            Opts::new("beaconfire_dead_letters_total", "Records that did not decode, by reason"),
            &["topic", "reason"],
        )?;
        registry.register(Box::new(up.clone()))?;
        registry.register(Box::new(lag.clone()))?;
        registry.register(Box::new(dead.clone()))?;
        Ok(Self { up, seen: Arc::default(), joined: Arc::default(), lag, lags: Arc::default(), dead })
    }

    /// Whether Kafka answers, as `beaconfire_kafka_up` says it.
    pub fn kafka_up(&self) -> bool {
        self.up.get() == 1
    }

    /// How many workers have joined the group at least once, with partitions or without.
    pub fn joined(&self) -> usize {
        self.joined.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Records between our position and the end of a partition; `None` while nothing is known of it.
    pub fn lag(&self, topic: &str, partition: i32) -> Option<u64> {
        let lags = self.lags.lock().unwrap_or_else(PoisonError::into_inner);
        lags.get(&(topic.to_owned(), partition)).and_then(|lag| u64::try_from(*lag).ok())
    }

    pub(crate) fn set_joined(&self, worker: usize) {
        self.joined.lock().unwrap_or_else(PoisonError::into_inner).insert(worker);
    }

    /// Notes whether a worker's client reaches a broker; `None` when the worker has gone.
    pub(crate) fn set_up(&self, worker: usize, up: Option<bool>) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match up {
            Some(up) => seen.insert(worker, up),
            None => seen.remove(&worker),
        };
        self.up.set(i64::from(!seen.is_empty() && seen.values().all(|up| *up)));
    }

    /// Whether a worker's client reaches a broker.
    pub(crate) fn is_up(&self, worker: usize) -> bool {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(&worker).copied().unwrap_or(false)
    }

    pub(crate) fn set_lag(&self, topic: &str, partition: i32, records: i64) {
        self.lag.with_label_values(&[topic, partition.to_string().as_str()]).set(records);
        let mut lags = self.lags.lock().unwrap_or_else(PoisonError::into_inner);
        lags.insert((topic.to_owned(), partition), records);
    }

    /// Without this a partition that moved to another member would show its last lag for ever.
    pub(crate) fn forget_lag(&self, topic: &str, partition: i32) {
        // The series is missing where nothing was read since the assignment: then there is nothing to forget.
        let _ = self.lag.remove_label_values(&[topic, partition.to_string().as_str()]);
        let mut lags = self.lags.lock().unwrap_or_else(PoisonError::into_inner);
        lags.remove(&(topic.to_owned(), partition));
    }

    #[cfg(test)]
    pub(crate) fn lag_of(&self, topic: &str, partition: i32) -> i64 {
        self.lag.with_label_values(&[topic, partition.to_string().as_str()]).get()
    }

    pub(crate) fn count_dead(&self, topic: &str, reason: &'static str) {
        self.dead.with_label_values(&[topic, reason]).inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_blind_worker_is_not_hidden_by_the_others() {
        let metrics = Metrics::register(&Registry::new()).unwrap();
        assert!(!metrics.kafka_up());
        metrics.set_up(0, Some(true));
        metrics.set_up(1, Some(false));
        assert!(!metrics.kafka_up());
        metrics.set_up(1, Some(true));
        assert!(metrics.kafka_up());
        metrics.set_up(1, Some(false));
        metrics.set_up(1, None);
        assert!(metrics.kafka_up());
        metrics.set_up(0, None);
        assert!(!metrics.kafka_up());
    }

    #[test]
    fn a_second_registration_is_refused() {
        let registry = Registry::new();
        let _held = Metrics::register(&registry).unwrap();
        assert!(Metrics::register(&registry).is_err());
    }
}
