//! A log of records, a way to run it through combiners and shards as a process would, and an exact recount of it.

#![allow(dead_code, reason = "each test binary uses its part")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use beaconfire_detect::{
    Census, Combiner, Count, EntrySpec, Field, Plan, PlanSpec, RuleSpec, Seen, Shard, ShardKnobs, Watch,
};
use beaconfire_model::{
    Client, EntryId, Event, EventTime, Kind, Matchers, Offset, Request, RuntimeDetails, RuntimeEvent,
    RuntimeKind, Severity, Signal, Source, TopicId,
};

/// Where the tests' time begins: the start of a minute, which is also the start of a bucket of every window used.
pub(crate) const T0: i64 = 1_700_000_040_000;
/// The tests' lateness.
pub(crate) const LATENESS: i64 = 30_000;

pub(crate) fn rule(name: &str, by: Field, count: Count, threshold: f64) -> RuleSpec {
    RuleSpec {
        name: name.into(),
        kind: Kind::Flood,
        matchers: Matchers::default(),
        except: Matchers::default(),
        by: vec![by],
        count,
        window: Duration::from_secs(60),
        threshold,
        severity: Severity::Warning,
        critical_above: None,
        min_clients: None,
    }
}

pub(crate) fn spec(rules: Vec<RuleSpec>) -> PlanSpec {
    PlanSpec {
        rules,
        lists: BTreeMap::new(),
        services: BTreeMap::new(),
        entries: vec![
            EntrySpec {
                name: "edge".into(),
                service: Some("shop".into()),
                lateness: Duration::from_millis(LATENESS as u64),
                ..EntrySpec::default()
            },
            EntrySpec {
                name: "mesh".into(),
                service: None,
                lateness: Duration::from_millis(LATENESS as u64),
                ..EntrySpec::default()
            },
        ],
        finding_window: Duration::from_secs(60),
        seed: 7,
        ..PlanSpec::default()
    }
}

pub(crate) fn plan(rules: Vec<RuleSpec>) -> Arc<Plan> {
    Arc::new(Plan::compile(spec(rules)).unwrap())
}

pub(crate) fn source(partition: i32) -> Source {
    Source { entry: EntryId(0), topic: TopicId(0), partition }
}

pub(crate) fn request(time: i64, client: &str) -> Request<'_> {
    Request {
        time: EventTime::from_millis(time),
        client: client.parse().ok().map(Client::of),
        service: "",
        method: "GET",
        host: "",
        path: "/",
        query: "",
        http_version: "1.1",
        status: 200,
        bytes_sent: 10,
        duration_micros: None,
        user_agent: "",
        request_id: "",
        target: beaconfire_model::TargetForm::Path,
    }
}

pub(crate) fn finding<'a>(
    time: i64,
    workload: &'a str,
    rule: &'a str,
    severity: Severity,
) -> RuntimeEvent<'a> {
    RuntimeEvent {
        time: EventTime::from_millis(time),
        kind: RuntimeKind::Finding,
        workload,
        container: "",
        image: "",
        process: "xmrig",
        cmdline: "xmrig -o pool",
        remote: "",
        domain: "",
        path: "",
        rule,
        severity: Some(severity),
        details: RuntimeDetails::NONE,
    }
}

/// One record of a log, in the order in which it arrives.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Line {
    pub(crate) time: i64,
    pub(crate) client: u8,
    pub(crate) partition: i32,
    pub(crate) status: u16,
    pub(crate) bytes: u64,
}

/// How a log is run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run {
    pub(crate) threads: usize,
    /// Records between two parcels.
    pub(crate) batch: usize,
    /// Parcels between two flushes.
    pub(crate) flush: usize,
    pub(crate) early: bool,
}

impl Default for Run {
    fn default() -> Self {
        Self { threads: 1, batch: 100, flush: 3, early: true }
    }
}

/// A combiner with its shards.
pub(crate) struct Rig {
    pub(crate) combiner: Combiner,
    pub(crate) shards: Vec<Shard>,
    pub(crate) signals: Vec<Signal>,
    offsets: BTreeMap<Source, i64>,
    /// Of sources that have left: how many of their records were held before.
    merged: BTreeMap<Source, i64>,
}

impl Rig {
    pub(crate) fn new(plan: &Arc<Plan>, threads: usize, early: bool, memory: usize, drift: Duration) -> Self {
        let watch = Arc::new(Watch::default());
        let knobs = ShardKnobs { memory: memory / threads, early, drift };
        let shards = (0..threads)
            .map(|thread| Shard::new(plan.clone(), thread, threads, knobs.clone(), watch.clone()))
            .collect();
        Self {
            combiner: Combiner::new(plan.clone(), watch, 1 << 16),
            shards,
            signals: Vec::new(),
            offsets: BTreeMap::new(),
            merged: BTreeMap::new(),
        }
    }

    /// Live, with room, two threads, reading partition 0 of entry 0.
    pub(crate) fn live(plan: &Arc<Plan>) -> Self {
        let mut rig = Self::new(plan, 2, true, 64 << 20, Duration::from_secs(60));
        rig.begin(source(0), 0, None);
        rig
    }

    /// What was stated since the last call: rule, subject, peak, severity.
    pub(crate) fn said(&mut self) -> Vec<String> {
        let signals = std::mem::take(&mut self.signals);
        let said = |signal: &Signal| {
            let Signal { rule, subject, severity, evidence, .. } = signal;
            format!(
                "{rule} {} {} {} {}",
                subject.kind.name(),
                subject.value,
                evidence.observed.0,
                severity.name()
            )
        };
        signals.iter().map(said).collect()
    }

    pub(crate) fn begin(&mut self, source: Source, at: i64, seed: Option<i64>) {
        self.offsets.insert(source, at);
        self.combiner.begin(source, Offset(at), seed.map(EventTime::from_millis));
    }

    /// A source is given up; it is expected back.
    pub(crate) fn give_up(&mut self, source: Source) {
        self.merge();
        self.combiner.end(source);
    }

    /// It did not come back. When it does, so many of its records were held once before.
    pub(crate) fn left(&mut self, source: Source, merged: i64) {
        for shard in &mut self.shards {
            shard.left(source, &mut self.signals);
        }
        self.merged.insert(source, merged);
    }

    pub(crate) fn see(&mut self, source: Source, event: Event<'_>) -> Seen {
        let offset = self.offsets.get_mut(&source).unwrap();
        *offset += 1;
        let again = self.merged.get(&source).is_some_and(|merged| *offset <= *merged);
        self.combiner.observe(source, Offset(*offset - 1), &event, again)
    }

    pub(crate) fn ask(&mut self, time: i64, client: &str) -> Seen {
        self.see(source(0), Event::Request(request(time, client)))
    }

    pub(crate) fn clear(&mut self, partition: i32, at: i64) {
        self.combiner.clear(source(partition), EventTime::from_millis(at));
    }

    pub(crate) fn merge(&mut self) {
        let parcels = self.combiner.take(self.shards.len());
        for (shard, parcel) in self.shards.iter_mut().zip(parcels) {
            shard.merge(parcel, &mut self.signals);
        }
    }

    pub(crate) fn flush(&mut self) {
        for shard in &mut self.shards {
            shard.flush(&mut self.signals);
        }
    }

    pub(crate) fn finish(&mut self) {
        self.merge();
        for shard in &mut self.shards {
            shard.finish(&mut self.signals);
        }
    }

    pub(crate) fn evictions(&self) -> u64 {
        self.shards.iter().map(|shard| evictions(&shard.census())).sum()
    }
}

pub(crate) fn evictions(census: &Census) -> u64 {
    census.tables.iter().map(|table| table.evictions).sum()
}

pub(crate) fn address(client: u8) -> String {
    format!("198.51.{client}.{client}")
}

/// Runs a log through one combiner and its shards; the sources need not be aligned.
pub(crate) fn run(plan: &Arc<Plan>, log: &[Line], how: Run) -> Vec<Signal> {
    let mut rig = Rig::new(plan, how.threads, how.early, 64 << 20, Duration::from_secs(3_600));
    let mut partitions: Vec<i32> = log.iter().map(|line| line.partition).collect();
    partitions.sort_unstable();
    partitions.dedup();
    for partition in partitions {
        rig.begin(source(partition), 0, None);
    }
    for (at, line) in log.iter().enumerate() {
        let client = address(line.client);
        let mut event = request(line.time, &client);
        (event.status, event.bytes_sent) = (line.status, line.bytes);
        assert_ne!(rig.see(source(line.partition), Event::Request(event)), Seen::Ignored);
        if at % how.batch == how.batch - 1 {
            rig.merge();
            if (at / how.batch + 1).is_multiple_of(how.flush) {
                rig.flush();
            }
        }
    }
    rig.finish();
    assert_eq!(rig.evictions(), 0);
    rig.signals
}

/// A fact: who, from when, began, until when, how much.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Fact {
    pub(crate) rule: String,
    pub(crate) subject: String,
    pub(crate) first: i64,
    pub(crate) began: i64,
    pub(crate) until: i64,
    pub(crate) peak: f64,
    pub(crate) severity: Severity,
}

/// What was stated, joined as the fold joins it: statements about one subject that overlap are one fact.
pub(crate) fn joined(signals: &[Signal]) -> Vec<Fact> {
    let mut facts: Vec<Fact> = signals
        .iter()
        .map(|signal| Fact {
            rule: signal.rule.to_string(),
            subject: signal.subject.value.to_string(),
            first: signal.first.0.millis() - T0,
            began: signal.began.0.millis() - T0,
            until: signal.holds_until.0.millis() - T0,
            peak: signal.evidence.observed.0,
            severity: signal.severity,
        })
        .collect();
    facts.sort_by(|a, b| (&a.rule, &a.subject, a.first).cmp(&(&b.rule, &b.subject, b.first)));
    let mut out: Vec<Fact> = Vec::new();
    for fact in facts {
        match out.last_mut() {
            Some(held)
                if (&held.rule, &held.subject) == (&fact.rule, &fact.subject) && fact.first <= held.until =>
            {
                held.began = held.began.min(fact.began);
                held.until = held.until.max(fact.until);
                held.peak = held.peak.max(fact.peak);
                held.severity = held.severity.max(fact.severity);
            }
            _ => out.push(fact),
        }
    }
    out
}

/// Counts the whole log anew for every bucket: no rings, no order, no closing. `value` is given the records of a window.
pub(crate) fn recount(
    log: &[Line],
    rule: &RuleSpec,
    key: impl Fn(&Line) -> String,
    value: impl Fn(&[&Line]) -> f64,
) -> Vec<Fact> {
    let width = i64::try_from(rule.window.as_millis()).unwrap() / 60;
    let mut largest: BTreeMap<i32, i64> = BTreeMap::new();
    let mut keys: BTreeMap<String, BTreeMap<i64, Vec<&Line>>> = BTreeMap::new();
    for line in log {
        let seen = largest.entry(line.partition).or_insert(line.time);
        if line.time >= *seen - LATENESS {
            keys.entry(key(line)).or_default().entry(line.time.div_euclid(width)).or_default().push(line);
        }
        *seen = (*seen).max(line.time);
    }
    let mut facts = Vec::new();
    for (subject, buckets) in keys {
        let (first, last) = (*buckets.keys().next().unwrap(), *buckets.keys().last().unwrap());
        let mut held: Option<Fact> = None;
        for bucket in first..=last + 61 {
            let window: Vec<&Line> =
                buckets.range(bucket - 59..=bucket).flat_map(|(_, n)| n.clone()).collect();
            let value = value(&window);
            let end = (bucket + 1) * width - T0;
            if value > rule.threshold {
                let began = buckets.range(bucket - 59..=bucket).next().unwrap().0 * width - T0;
                let fact = held.get_or_insert(Fact {
                    rule: rule.name.to_string(),
                    subject: subject.clone(),
                    first: end,
                    began,
                    until: end,
                    peak: value,
                    severity: rule.severity,
                });
                fact.until = end;
                fact.peak = fact.peak.max(value);
                if rule.critical_above.is_some_and(|line| value > line) {
                    fact.severity = Severity::Critical;
                }
            } else if value > rule.threshold * 0.9
                && let Some(fact) = &mut held
            {
                fact.until = end;
            } else {
                facts.extend(held.take());
            }
        }
        assert!(held.is_none(), "an empty window holds nothing");
    }
    facts
}
