//! What workloads use, held against what is usual for them; what services are asked for is learned, and told of only where
//! the plan says so.
//!
//! Each slice of five minutes goes to the series' two heads ([`crate::baseline`]). The quiet head alone is a warning, the
//! local head alone is shown, both together are an error. A series says nothing on its first day.

use std::collections::BTreeMap;
use std::sync::Arc;

use beaconfire_model::{
    Earliest, EntryId, EventTime, Evidence, Kind, Latest, Peak, Severity, Signal, Specimen, Subject,
    SubjectKind, Untrusted,
};

use crate::baseline::{Amount, Baselines, Fed, Finding, Metric, SLICE, SeriesKey, Slices, Verdict, View};
use crate::{Learning, TableCensus};

/// Series that may have open slices: each takes some hundred bytes.
const KEYS_MAX: usize = 200_000;
/// A service that is not asked for so long has no rate of 0 any more: it is gone.
pub(super) const FORGET_AFTER: std::time::Duration = std::time::Duration::from_hours(24);
/// Requests in a slice that a service must get, or usually gets, for what is unusual of it to matter: below, it is shown
/// only. One client may send as many in a minute, by the rules that ship.
const MATTERS: u64 = 600;
/// A fact holds for so many slices beyond the one that told it: heads tell a thing once and hold it then.
const HOLDS: u32 = 3;

/// Series that are handed out for the store at once: some 4 KiB each, in one transaction.
const LEARNED_MAX: usize = 2_000;

/// What was learned of one series, or by one engine of one workload, for the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Learned {
    /// Which series: its subject's kind, its subject and its metric, or the engine's name.
    pub series: String,
    /// The last slice in it: what is read again of that and before changes nothing.
    pub closed_through: EventTime,
    /// Its state.
    pub state: Vec<u8>,
}

/// All series.
#[derive(Debug)]
pub(super) struct Usual {
    slices: Slices<SeriesKey>,
    baselines: Baselines,
    /// The first slice that was judged and may not have been handed out for the store.
    unsaved_from: Option<EventTime>,
    /// Or only learned.
    tell_services: bool,
    /// Series that learned silently when slices were closed last.
    learning: Learning,
    /// The slices before this one are closed.
    compared: i64,
    /// Requests by slice and service, of slices that are open.
    asked: BTreeMap<(i64, Subject), u64>,
}

/// The slice that a time lies in.
fn slice_of(at: EventTime) -> i64 {
    at.millis().div_euclid(i64::try_from(SLICE.as_millis()).unwrap_or(i64::MAX))
}

fn name_of(key: &SeriesKey) -> String {
    format!("{}/{}/{}", key.subject.kind.name(), key.subject.value, key.metric)
}

fn key_of(name: &str) -> Option<SeriesKey> {
    let (kind, rest) = name.split_once('/')?;
    let (value, metric) = rest.rsplit_once('/')?;
    let subject = Subject::new(SubjectKind::parse(kind)?, value);
    Some(SeriesKey { subject, metric: Metric::parse(metric)? })
}

impl Usual {
    pub(super) fn new(memory: usize, seed: u64, tell_services: bool) -> Self {
        let slices = Slices::new(SLICE, KEYS_MAX, FORGET_AFTER);
        Self {
            slices,
            baselines: Baselines::new(memory, seed),
            unsaved_from: None,
            tell_services,
            learning: Learning::default(),
            compared: i64::MIN,
            asked: BTreeMap::new(),
        }
    }

    /// Takes a value of a minute.
    pub(super) fn value(&mut self, subject: &Subject, metric: Metric, at: EventTime, value: Option<f64>) {
        if let Some(value) = value {
            self.add(subject, metric, at, Amount::Value(value));
        }
    }

    /// Takes a count of a minute.
    pub(super) fn count(&mut self, subject: &Subject, metric: Metric, at: EventTime, count: u64) {
        if self.tell_services && self.asked.len() < KEYS_MAX {
            *self.asked.entry((slice_of(at), subject.clone())).or_default() += count;
        }
        self.add(subject, metric, at, Amount::Count(count));
    }

    fn add(&mut self, subject: &Subject, metric: Metric, at: EventTime, amount: Amount) {
        let key = SeriesKey { subject: subject.clone(), metric };
        // What is left out (bad, late, beyond the bound) is counted by the slices.
        let _counted = self.slices.add(&key, metric.gather(), at, amount);
    }

    /// While a workload is suspected, what it uses is not learned.
    pub(super) fn freeze(&mut self, workload: &str, frozen: bool) {
        let subject = Subject::new(SubjectKind::Workload, workload);
        // A series that is not there has nothing to learn.
        self.baselines.freeze(&SeriesKey { subject, metric: Metric::Cpu }, frozen);
    }

    /// Requests a second of a service that are usual at this time of the day, where that is known.
    pub(super) fn requests(&self, service: &str, at: EventTime) -> Option<f64> {
        let subject = Subject::new(SubjectKind::Service, service);
        let series = self.baselines.get(&SeriesKey { subject, metric: Metric::Requests })?;
        series.usual_at(at).map(|rate| rate.max(0.0))
    }

    /// While a service is attacked, what it gets is not learned.
    pub(super) fn freeze_requests(&mut self, service: &str, frozen: bool) {
        let subject = Subject::new(SubjectKind::Service, service);
        // A series that is not there has nothing to learn.
        self.baselines.freeze(&SeriesKey { subject, metric: Metric::Requests }, frozen);
    }

    /// Services whose requests are not learned now.
    pub(super) fn frozen(&self, services: impl Iterator<Item = Box<str>>) -> Vec<Box<str>> {
        let frozen = |service: &str| {
            let subject = Subject::new(SubjectKind::Service, service);
            let series = self.baselines.get(&SeriesKey { subject, metric: Metric::Requests });
            series.is_some_and(crate::baseline::Series::is_frozen)
        };
        services.filter(|service| frozen(service)).collect()
    }

    /// Judges the slices that are over.
    pub(super) fn close(
        &mut self,
        cleared: EventTime,
        home: impl Fn(&Subject) -> EntryId,
        signals: &mut Vec<Signal>,
    ) {
        let open = slice_of(cleared);
        if open <= self.compared {
            return;
        }
        self.compared = open;
        let Self { slices, baselines, unsaved_from, tell_services, asked, learning, .. } = self;
        slices.close(cleared, |key, at, value| {
            unsaved_from.get_or_insert(at);
            let Fed::Taken(Verdict::Judged { quiet, local }) = baselines.feed(key, at, value) else { return };
            let (severity, found) = match (quiet.finding, local.finding) {
                (None, None) => return,
                (Some(found), None) => {
                    let both = local.off_since.is_some();
                    (if both { Severity::Error } else { Severity::Warning }, found)
                }
                (None, Some(found)) => (Severity::Info, found),
                (Some(found), Some(_)) => (Severity::Error, found),
            };
            let of_service = key.subject.kind == SubjectKind::Service;
            if of_service && !*tell_services {
                return;
            }
            let got = asked.get(&(slice_of(at), key.subject.clone())).copied().unwrap_or(0);
            let usually = match key.metric {
                Metric::Requests => found.expected.1.max(0.0) * SLICE.as_secs_f64(),
                _ => 0.0,
            };
            let matters = !of_service || got.max(usually as u64) >= MATTERS;
            let severity = if matters { severity } else { Severity::Info };
            signals.push(signal(key, severity, &found, at, home(&key.subject)));
        });
        asked.retain(|(slice, _), _| *slice >= open);
        let (series, left) = baselines.learning();
        *learning = Learning { series: series as u64, left };
    }

    /// What was learned since it was last asked for.
    pub(super) fn learned(&mut self) -> Vec<Learned> {
        let changes = self.baselines.changes(LEARNED_MAX);
        if changes.len() < LEARNED_MAX {
            self.unsaved_from = None;
        }
        let learned = changes.into_iter().filter_map(|(key, through, state)| {
            Some(Learned { series: name_of(&key), closed_through: through?, state })
        });
        learned.collect()
    }

    /// Goes on from what the store has; how many could not be read, or found no room.
    pub(super) fn remember(&mut self, learned: &[&Learned]) -> usize {
        let newest = learned.iter().map(|learned| learned.closed_through).max().unwrap_or(EventTime::MIN);
        let gone = newest.minus(FORGET_AFTER);
        learned.iter().filter(|learned| !self.remember_one(learned, gone)).count()
    }

    /// Takes what this subject does now for usual; whether anything was known of it.
    pub(super) fn accept(&mut self, subject: &Subject) -> bool {
        let mut is_known = false;
        for metric in Metric::ALL {
            is_known |= self.baselines.accept(&SeriesKey { subject: subject.clone(), metric });
        }
        is_known
    }

    fn remember_one(&mut self, learned: &Learned, gone: EventTime) -> bool {
        let Some(key) = key_of(&learned.series) else { return false };
        if !matches!(self.baselines.restore(&key, &learned.state), Ok(true)) {
            return false;
        }
        // A rate of 0 is not owed to what was gone before the restart.
        if learned.closed_through >= gone {
            let gather = key.metric.gather();
            self.slices.resume(key, gather, learned.closed_through);
        }
        true
    }

    /// What services are asked for is seen here only in part from now on, or only from now on in whole: it is learned anew.
    pub(super) fn forget_services(&mut self) {
        let of_service = |key: &SeriesKey| key.subject.kind == SubjectKind::Service;
        self.slices.forget(of_service);
        self.baselines.forget(of_service);
    }

    /// What is older has been judged and handed out.
    pub(super) fn floor(&self, open: EventTime) -> EventTime {
        let slice = i64::try_from(SLICE.as_millis()).unwrap_or(i64::MAX);
        let begun = EventTime::from_millis(open.millis().saturating_sub(open.millis().rem_euclid(slice)));
        self.unsaved_from.map_or(begun, |from| from.min(begun))
    }

    /// Series that learn silently.
    pub(super) fn learning(&self) -> Learning {
        self.learning
    }

    pub(super) fn census(&self) -> TableCensus {
        let held = self.baselines.census();
        TableCensus {
            name: "baselines",
            keys: held.series as u64,
            bytes: held.bytes as u64,
            evictions: held.evicted + held.refused,
        }
    }
}

fn kind_of(metric: Metric) -> Kind {
    match metric {
        Metric::Cpu | Metric::Memory | Metric::Received | Metric::Sent | Metric::Gpu => Kind::Resource,
        Metric::Requests | Metric::Clients => Kind::Surge,
        Metric::Errors | Metric::Latency => Kind::Errors,
    }
}

fn signal(key: &SeriesKey, severity: Severity, found: &Finding, at: EventTime, entry: EntryId) -> Signal {
    let end = at.plus(SLICE);
    let (low, high) = found.expected;
    let beyond = if found.observed < low { low } else { high };
    let rule: Arc<str> = format!("unusual-{}", key.metric).into();
    let words = format!(
        "{}: {} (observed {}, expected {} to {}, since {})",
        key.metric,
        found.view,
        shown(key.metric, found.observed),
        shown(key.metric, low),
        shown(key.metric, high),
        found.since,
    );
    Signal {
        rule,
        kind: kind_of(key.metric),
        severity,
        target: key.subject.clone(),
        subject: key.subject.clone(),
        first: Earliest(end),
        began: Earliest(found.since.min(at)),
        holds_until: Latest(end.plus(SLICE * HOLDS)),
        evidence: Evidence {
            observed: Peak(found.observed),
            threshold: beyond,
            window: SLICE,
            crowd: None,
            series: Vec::new(),
        },
        participants: Vec::new(),
        samples: vec![Specimen {
            time: at,
            client: None,
            text: Untrusted::new(&words, 512),
            by: Untrusted::new(view_name(found.view), 256),
        }],
        entry,
    }
}

fn view_name(view: View) -> &'static str {
    match view {
        View::Value { .. } => "value",
        View::MeanAtNew(_) => "mean",
        View::VolatilityAtNew(_) => "volatility",
        View::Shape => "shape",
        View::MeanFarOff(_) => "level",
        View::UnusualFor { .. } => "time of day",
        View::Deviations(_) => "deviations",
    }
}

/// Numbers for people: four digits that count, and bytes in their units.
fn shown(metric: Metric, value: f64) -> String {
    let size = value.abs();
    if matches!(metric, Metric::Memory | Metric::Received | Metric::Sent) && size >= 1_024.0 {
        let units = ["KiB", "MiB", "GiB", "TiB"];
        let power = (size.log2() / 10.0).floor().clamp(1.0, 4.0);
        return format!("{:.2} {}", value / 1_024f64.powf(power), units[power as usize - 1]);
    }
    if size == 0.0 || !size.is_finite() {
        return format!("{value:.0}");
    }
    let digits = (3 - size.log10().floor() as i32).clamp(0, 6);
    format!("{value:.*}", digits as usize)
}
