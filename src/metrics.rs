//! Every metric of the process, by the names of the README's table. Pure crates return counts; this file feeds them
//! in. Labels are bounded: topics, rules and receivers come from the configuration, never from a record.
//!
//! Not in this version: `throttle_breaker_open`. There is no breaker yet, and a 0 would say that it is closed.

use std::collections::BTreeMap;

use beaconfire_detect::{Census, Learning};
use beaconfire_model::{Names, Wall};
use beaconfire_pipeline::{Counted, Tally};
use prometheus::core::Collector;
use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry,
};

/// Names of a sensor's own rules that may become label values; the rest count as `other`.
const RULES_MAX: usize = 200;

/// What is learned silently, of all threads. One of them knows.
pub fn learning(by_thread: &BTreeMap<usize, Census>) -> Learning {
    by_thread
        .values()
        .map(|census| census.learning)
        .max_by_key(|learning| learning.series)
        .unwrap_or_default()
}

/// Handles to the process's metrics. `Clone` shares them.
#[derive(Debug, Clone)]
pub struct Metrics {
    reloaded: IntGauge,
    records: IntCounterVec,
    late: IntCounterVec,
    skewed: IntCounterVec,
    rejected: IntCounterVec,
    keys: IntGaugeVec,
    evictions: IntCounterVec,
    memory: IntGaugeVec,
    flaws: IntCounterVec,
    learning: IntGauge,
    learning_left: Gauge,
    /// Wall clock less the least advanced watermark.
    pub watermark_delay: Gauge,
    signals: IntCounterVec,
    /// Open incidents.
    pub incidents_open: IntGaugeVec,
    /// Incidents opened.
    pub incidents: IntCounterVec,
    /// Event time to incident.
    pub detection_delay: Histogram,
    /// Attempts, by outcome.
    pub notifications: IntCounterVec,
    /// Messages that fell back to their built-in form, by kind of channel.
    pub template_errors: IntCounterVec,
    /// Rows still to be told.
    pub pending: IntGaugeVec,
    /// Age of the oldest of them.
    pub oldest_pending: GaugeVec,
    /// Incident to accepted.
    pub notification_delay: HistogramVec,
    /// 1 while an endpoint is paused.
    pub paused: IntGaugeVec,
    /// Active decisions.
    pub decisions_active: IntGaugeVec,
    /// Decisions made.
    pub decisions: IntCounterVec,
    /// Subjects that were left alone, by reason.
    pub decisions_refused: IntCounterVec,
    /// 1 while the store answers.
    pub store_up: IntGauge,
    /// Facts that were folded without waiting for the clearance of the episode before.
    pub impatient: IntCounter,
    /// 1 while a worker's reading is paused.
    pub reading_paused: IntGaugeVec,
}

fn register<C: Collector + Clone + 'static>(
    registry: &Registry,
    collector: prometheus::Result<C>,
) -> anyhow::Result<C> {
    let collector = collector?;
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}

impl Metrics {
    /// Registers all of them.
    pub fn register(registry: &Registry) -> anyhow::Result<Self> {
        let opts = |name: &str, help: &str| Opts::new(format!("beaconfire_{name}"), help);
        let counters =
            |name, help, labels: &[&str]| register(registry, IntCounterVec::new(opts(name, help), labels));
        let gauges =
            |name, help, labels: &[&str]| register(registry, IntGaugeVec::new(opts(name, help), labels));
        let metrics = Self {
            records: counters(
                "records_total",
                "Records read, by what became of them.",
                &["topic", "format", "result"],
            )?,
            late: counters(
                "late_records_total",
                "Events older than their partition's watermark, left out of windows.",
                &["topic"],
            )?,
            skewed: counters(
                "skewed_records_total",
                "Events dated ahead of the log's timestamp, which stood in.",
                &["topic"],
            )?,
            rejected: counters(
                "rejected_records_total",
                "Records that did not decode, by reason.",
                &["topic", "reason"],
            )?,
            keys: gauges("detect_keys", "Keys held, by table.", &["table"])?,
            evictions: counters(
                "detect_evictions_total",
                "Keys evicted at the memory bound; exactness is promised while 0.",
                &["table"],
            )?,
            memory: gauges("detect_memory_bytes", "Memory of the tables.", &["table"])?,
            flaws: counters(
                "sample_flaws_total",
                "Resource samples that were left out, or stand for less, by reason.",
                &["reason"],
            )?,
            learning: register(
                registry,
                IntGauge::with_opts(opts(
                    "baseline_series_learning",
                    "Series of what is usual that learn before anything is told of them.",
                )),
            )?,
            learning_left: register(
                registry,
                Gauge::with_opts(opts(
                    "baseline_learning_seconds",
                    "Time until the last of them has learned enough.",
                )),
            )?,
            watermark_delay: register(
                registry,
                Gauge::with_opts(opts(
                    "watermark_delay_seconds",
                    "Wall clock less the least advanced watermark.",
                )),
            )?,
            signals: counters("signals_total", "Facts stated by detection.", &["rule"])?,
            incidents_open: gauges(
                "incidents_open",
                "Incidents that are not resolved.",
                &["kind", "severity"],
            )?,
            incidents: counters("incidents_total", "Incidents opened.", &["kind", "severity"])?,
            detection_delay: register(
                registry,
                Histogram::with_opts(
                    HistogramOpts::new(
                        "beaconfire_incident_detection_delay_seconds",
                        "From the event time of the violation to the incident.",
                    )
                    .buckets(vec![0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0]),
                ),
            )?,
            notifications: counters(
                "notifications_total",
                "Attempts to tell a receiver, by outcome.",
                &["receiver", "integration", "outcome"],
            )?,

            template_errors: counters(
                "template_errors_total",
                "Messages that went out in their built-in form, because a template of their channel failed.",
                &["channel"],
            )?,
            pending: gauges(
                "notifications_pending",
                "Rows still to be told.",
                &["receiver", "integration", "lane"],
            )?,
            oldest_pending: register(
                registry,
                GaugeVec::new(
                    opts("notification_oldest_pending_seconds", "Age of the oldest row still to be told."),
                    &["receiver", "integration"],
                ),
            )?,
            notification_delay: register(
                registry,
                HistogramVec::new(
                    HistogramOpts::new(
                        "beaconfire_notification_delay_seconds",
                        "From the incident's change to the receiver's acceptance.",
                    )
                    .buckets(vec![0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0]),
                    &["lane"],
                ),
            )?,
            paused: gauges(
                "notification_paused",
                "1 while an endpoint is paused at its own wish.",
                &["receiver", "integration"],
            )?,
            decisions_active: gauges(
                "throttle_decisions_active",
                "Throttle decisions that hold.",
                &["action", "mode"],
            )?,
            decisions: counters(
                "throttle_decisions_total",
                "Throttle decisions made.",
                &["action", "mode", "origin"],
            )?,
            decisions_refused: counters(
                "throttle_refused_total",
                "Subjects that were left alone, by reason.",
                &["reason"],
            )?,
            store_up: register(
                registry,
                IntGauge::with_opts(opts("store_up", "1 while the store answers and takes what is written.")),
            )?,
            impatient: register(
                registry,
                IntCounter::with_opts(opts(
                    "facts_impatient_total",
                    "Facts folded without waiting for the clearance of the episode before.",
                )),
            )?,
            reloaded: register(
                registry,
                IntGauge::with_opts(opts(
                    "config_last_reload_successful",
                    "1 where the configuration last read was good.",
                )),
            )?,
            reading_paused: gauges("reading_paused", "1 while a worker has paused reading.", &["worker"])?,
        };
        let info =
            register(registry, IntGaugeVec::new(opts("build_info", "Always 1."), &["version", "revision"]))?;
        info.with_label_values(&[
            env!("CARGO_PKG_VERSION"),
            option_env!("BEACONFIRE_REVISION").unwrap_or("unknown"),
        ])
        .set(1);
        metrics.reloaded.set(1);
        let loaded_at = register(
            registry,
            IntGauge::with_opts(opts(
                "config_last_reload_success_timestamp_seconds",
                "When a good configuration was last read.",
            )),
        )?;
        loaded_at.set(crate::threads::now().millis() / 1000);
        metrics.store_up.set(1);
        Ok(metrics)
    }

    /// Whether the store takes writes, as far as is known.
    pub fn store_is_up(&self) -> bool {
        self.store_up.get() == 1
    }

    /// A configuration was read that is not good, or cannot be run.
    pub fn reload_failed(&self) {
        self.reloaded.set(0);
    }

    /// Adds a worker's counts.
    pub fn tally(&self, tally: &Tally, names: &Names) {
        for (topic, what, n) in tally.counts() {
            let topic = names.name(topic);
            match what {
                Counted::Decoded(format) => {
                    self.records.with_label_values(&[&*topic, format.name(), "decoded"]).inc_by(n)
                }
                Counted::Rejected(reason) => {
                    self.records.with_label_values(&[&*topic, "unknown", "rejected"]).inc_by(n);
                    self.rejected.with_label_values(&[&*topic, reason.name()]).inc_by(n);
                }
                Counted::Late => self.late.with_label_values(&[&*topic]).inc_by(n),
                Counted::Skewed => self.skewed.with_label_values(&[&*topic]).inc_by(n),
                Counted::Partial => {}
            }
        }
    }

    /// Shows the tables as they are, summed over the shards' threads.
    pub fn census(&self, by_thread: &BTreeMap<usize, Census>) {
        let mut sums: BTreeMap<&str, (u64, u64, u64)> = BTreeMap::new();
        for census in by_thread.values() {
            for table in &census.tables {
                let sum = sums.entry(table.name).or_default();
                *sum = (sum.0 + table.keys, sum.1 + table.bytes, sum.2 + table.evictions);
            }
        }
        for (reason, count) in by_thread.values().flat_map(|census| &census.flaws) {
            let counter = self.flaws.with_label_values(&[*reason]);
            counter.inc_by(count.saturating_sub(counter.get()));
        }
        let learning = learning(by_thread);
        self.learning.set(i64::try_from(learning.series).unwrap_or(i64::MAX));
        self.learning_left.set(learning.left.as_secs_f64());
        for (table, (keys, bytes, evictions)) in sums {
            self.keys.with_label_values(&[table]).set(i64::try_from(keys).unwrap_or(i64::MAX));
            self.memory.with_label_values(&[table]).set(i64::try_from(bytes).unwrap_or(i64::MAX));
            let counter = self.evictions.with_label_values(&[table]);
            counter.inc_by(evictions.saturating_sub(counter.get()));
        }
    }

    /// Counts a stated fact. `known` are the configured rules' names; a sensor's own rules are bounded.
    pub fn signal(&self, rule: &str, seen: &mut std::collections::BTreeSet<String>) {
        let label = if seen.contains(rule) || (seen.len() < RULES_MAX && seen.insert(rule.to_owned())) {
            rule
        } else {
            "other"
        };
        self.signals.with_label_values(&[label]).inc();
    }

    /// Sets how far the least advanced watermark lies behind the clock.
    pub fn delay(&self, least: Option<beaconfire_model::EventTime>, now: Wall) {
        let seconds = least.map_or(0.0, |least| now.as_event_time().since(least).as_secs_f64());
        self.watermark_delay.set(seconds);
    }
}
