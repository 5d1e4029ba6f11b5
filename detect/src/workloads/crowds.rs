//! Services, minute by minute: hands what requests looked like to the surge engine, and states what it finds.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use beaconfire_model::{
    Crowd, Earliest, EntryId, EventTime, Evidence, Latest, Peak, Signal, Specimen, Subject, SubjectKind,
    Untrusted,
};

use super::desk::Asked;
use super::gather::{SLICE, begin_of};
use super::usual::Learned;
use crate::TableCensus;
use crate::baseline;
use crate::engine::surge::{Around, BACKLOG_PAGE, CLIENTS_KEPT, Finding, Row, Sketch, Surge, Verdict};
use crate::plan::SurgePlan;

/// A service that nobody asks is heard of so many minutes more: then it is gone rather than silent.
const SILENT_MAX: i64 = 1_440;
/// Services handed out for the store at once: some 1 to 70 KB each, in one transaction.
const LEARNED_MAX: usize = 500;
/// They change each minute, and are handed out so often, in event time.
const HAND_OUT_EVERY: Duration = Duration::from_mins(5);
/// Where a series has its metric.
const ENGINE: &str = "surge";

/// What was seen of a service's workloads in a minute.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Mark {
    /// One of them had its CPU at the limit.
    pub(super) saturated: bool,
    /// One of them got a new version.
    pub(super) rolled_out: bool,
}

/// All services.
#[derive(Debug)]
pub(super) struct Crowds {
    surge: Surge,
    /// When each was asked last.
    asked: BTreeMap<Arc<str>, i64>,
    /// Those that are attacked, until when at least nothing is learned of them.
    frozen: BTreeMap<Box<str>, EventTime>,
    /// When services were handed out for the store last, by the last minute that was judged.
    handed: EventTime,
    /// By slice and service.
    marks: BTreeMap<(i64, Arc<str>), Mark>,
}

impl Crowds {
    pub(super) fn new(plan: &SurgePlan) -> Self {
        let surge = Surge::new(plan.knobs.clone());
        Self {
            surge,
            asked: BTreeMap::new(),
            frozen: BTreeMap::new(),
            handed: EventTime::MIN,
            marks: BTreeMap::new(),
        }
    }

    /// Something happened to a workload that serves this service.
    pub(super) fn mark(&mut self, slice: i64, service: &Arc<str>, mark: Mark) {
        if mark.saturated || mark.rolled_out {
            let held = self.marks.entry((slice, service.clone())).or_default();
            held.saturated |= mark.saturated;
            held.rolled_out |= mark.rolled_out;
        }
    }

    /// Whether there is anybody to listen to.
    pub(super) fn is_empty(&self) -> bool {
        self.asked.is_empty()
    }

    /// Those whose attack is over, and with it the slice of the baseline that it ended in: they are learned again.
    pub(super) fn thaw(&mut self, now: EventTime) -> Vec<Box<str>> {
        let surge = &self.surge;
        let over =
            self.frozen.iter().filter(|(service, until)| **until <= now && !surge.is_attacked(service));
        let over: Vec<_> = over.map(|(service, _)| service.clone()).collect();
        over.iter().for_each(|service| {
            self.frozen.remove(service);
        });
        over
    }

    /// Those whose attack goes on: what they get is not learned. Those of which that is new.
    pub(super) fn freeze(&mut self, slice: i64) -> Vec<Box<str>> {
        let closes = baseline::SLICE.as_millis() as i64;
        let now = begin_of(slice).millis();
        let until = EventTime::from_millis(now.saturating_sub(now.rem_euclid(closes)).saturating_add(closes));
        let attacked: Vec<Box<str>> = self.surge.attacked().map(Box::from).collect();
        attacked.into_iter().filter(|service| self.frozen.insert(service.clone(), until).is_none()).collect()
    }

    /// These were frozen when the store was written.
    pub(super) fn were_frozen(&mut self, services: Vec<Box<str>>) {
        self.frozen.extend(services.into_iter().map(|service| (service, EventTime::MIN)));
    }

    /// An operator says that what a service gets is as it should be; whether anything was known of it.
    pub(super) fn accept(&mut self, service: &str) -> bool {
        self.surge.accept(service)
    }

    /// Judges a minute: `flows` has what each service was asked, `expected` what its baseline says.
    pub(super) fn minute(
        &mut self,
        slice: i64,
        flows: Option<&BTreeMap<Arc<str>, Asked>>,
        expected: impl Fn(&str, EventTime) -> Option<f64>,
    ) -> Vec<Finding> {
        let (nothing, at, mut findings) = (Sketch::default(), begin_of(slice), Vec::new());
        for service in flows.iter().flat_map(|flows| flows.keys()) {
            self.asked.insert(service.clone(), slice);
        }
        self.asked.retain(|_, last| slice.saturating_sub(*last) <= SILENT_MAX);
        for service in self.asked.keys() {
            let asked = flows.and_then(|flows| flows.get(service));
            // A minute that was too large to keep is not known, rather than silent.
            let Some(sketch) = asked.map_or(Some(&nothing), |asked| asked.sketch.as_deref()) else {
                continue;
            };
            let mark = self.marks.get(&(slice, service.clone())).copied().unwrap_or_default();
            let Mark { saturated, rolled_out } = mark;
            let around = Around { expected: expected(service, at), saturated, rolled_out };
            // The engine counts what finds no room.
            let _counted = self.surge.take(service, at, sketch, around, &mut findings);
        }
        self.marks.retain(|(marked, _), _| *marked > slice);
        findings
    }

    /// What has changed since it was handed out last.
    pub(super) fn learned(&mut self, open: EventTime) -> impl Iterator<Item = Learned> {
        let due = open >= self.handed.plus(HAND_OUT_EVERY);
        let learned = if due { self.surge.learned(LEARNED_MAX) } else { Vec::new() };
        // Where there are more, they follow with the next barriers.
        if due && learned.len() < LEARNED_MAX {
            self.handed = open;
        }
        learned.into_iter().map(|(service, closed_through, state)| Learned {
            series: format!("{}/{service}/{ENGINE}", SubjectKind::Service.name()),
            closed_through,
            state,
        })
    }

    /// Goes on from a row of the store; whether it could be read, and found room.
    pub(super) fn remember(&mut self, row: &Learned) -> bool {
        let Some(service) = service_of(row) else { return false };
        let known = matches!(self.surge.restore(service, &row.state), Ok(true));
        if known {
            self.asked.insert(service.into(), super::gather::slice_of(row.closed_through));
        }
        known
    }

    /// What is older has been judged and handed out.
    pub(super) fn unsaved_from(&self) -> Option<EventTime> {
        self.surge.unsaved_from()
    }

    pub(super) fn census(&self) -> TableCensus {
        let held = self.surge.census();
        TableCensus {
            name: "surges",
            keys: held.services as u64,
            bytes: held.bytes as u64,
            evictions: held.full,
        }
    }
}

/// The service that a row is of, where the row is the surge engine's. No metric has the engine's name.
pub(super) fn service_of(row: &Learned) -> Option<&str> {
    let (kind, rest) = row.series.split_once('/')?;
    let (service, of) = rest.rsplit_once('/')?;
    (kind == SubjectKind::Service.name() && of == ENGINE).then_some(service)
}

/// States a finding: one signal with what the service gets beside what is usual, and one for each row of the table, so that
/// the incident shows them all.
pub(super) fn state(finding: &Finding, entry: EntryId, signals: &mut Vec<Signal>) {
    let service = Subject::new(SubjectKind::Service, finding.service.as_str());
    let end = finding.at.plus(SLICE);
    let crowd = finding.clients.map(|clients| Crowd {
        clients: clients.round() as u64,
        networks: finding.networks.unwrap_or(0.0).round() as u64,
        sampled: clients > CLIENTS_KEPT as f64,
    });
    let signal = |rule: Arc<str>, observed: f64, threshold: f64, samples: Vec<Specimen>| Signal {
        rule,
        kind: finding.kind,
        severity: finding.severity,
        target: service.clone(),
        subject: service.clone(),
        first: Earliest(end),
        began: Earliest(finding.at),
        // Until the next minute has been judged.
        holds_until: Latest(end.plus(SLICE)),
        evidence: Evidence {
            observed: Peak(observed),
            threshold,
            window: SLICE,
            crowd: None,
            series: Vec::new(),
        },
        participants: Vec::new(),
        samples,
        entry,
    };
    let a_minute = SLICE.as_secs_f64();
    let bears = finding.load.map(|load| load.capacity.requests_per_second());
    let beside = match (finding.line, finding.verdict) {
        (Some(line), _) => line,
        (None, Some(_)) => finding.expected * a_minute,
        (None, None) => bears.unwrap_or(finding.expected) * a_minute,
    };
    let requests = finding.observed * a_minute;
    // The same words each minute would tell nothing more.
    let words = if finding.is_new { specimens(finding) } else { Vec::new() };
    let mut whole = signal(finding.rule.into(), requests, beside, words);
    whole.evidence.crowd = crowd;
    whole.evidence.series = vec![(end, requests)];
    signals.push(whole);
    let mut part = |name: &str, observed: f64, threshold: f64| {
        let rule = format!("{}: {name}", finding.rule);
        signals.push(signal(rule.into(), observed, threshold, Vec::new()));
    };
    if !finding.rows.is_empty() {
        part("points", f64::from(finding.points), f64::from(Verdict::ATTACK_FROM));
    }
    for row in &finding.rows {
        if let Some(value) = row.value {
            part(row.what, value, row.usual.unwrap_or(0.0));
        }
    }
    if let Some(load) = finding.load {
        part("requests beside what it can bear", requests, load.capacity.requests_per_second() * a_minute);
        part("seconds of work that wait", load.backlog_seconds, BACKLOG_PAGE);
        if let Some(exhausted) = load.exhausted_in {
            part("seconds until it can bear no more", exhausted.as_secs_f64(), 0.0);
        }
    }
}

/// The rows that decided, in words, as lines among the raw records.
fn specimens(finding: &Finding) -> Vec<Specimen> {
    let told = |row: &Row| {
        let points = format!("{:+}", row.points);
        let value = row.value.map_or_else(|| "not known".to_owned(), number);
        let usual = row.usual.map(|usual| format!(", usually {}", number(usual))).unwrap_or_default();
        Specimen {
            time: finding.at,
            client: None,
            text: Untrusted::new(&format!("{points} {}: {value}{usual}", row.what), 512),
            by: Untrusted::new(finding.verdict.map_or("", Verdict::name), 256),
        }
    };
    finding.rows.iter().filter(|row| row.points != 0).map(told).collect()
}

/// Three digits that count.
fn number(value: f64) -> String {
    let size = value.abs();
    if size == 0.0 || !size.is_finite() || size >= 1e15 {
        return format!("{value:.0}");
    }
    let digits = (2 - size.log10().floor() as i32).clamp(0, 4);
    format!("{value:.*}", digits as usize)
}
