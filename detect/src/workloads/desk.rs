//! The shard's half: waits until a slice is closed, puts together what was used in it, and asks the engines.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use beaconfire_model::{EntryId, EventTime, Signal, Subject, SubjectKind};

use super::bounds::{Bounds, Minute};
use super::facts;
use super::gather::{SLICE, SLICE_MILLIS, begin_of, slice_of};
use super::owned::{Gathered, Sighting};
use super::rollouts::Rollouts;
use super::usual::{Learned, Usual};
use crate::baseline::Metric;
use crate::engine::mining::{Finding, Mining, Slice};
use crate::resource::{Figures, RateKnobs, Rates};
use crate::{Plan, TableCensus};

/// Sightings that may wait for their slice; beyond, they are judged as they come.
const WAITING_MAX: usize = 1 << 18;
/// Slices of which requests are kept: lateness and drift reach an hour and some.
const SLICES_MAX: usize = 256;

/// Workloads of which is kept whom they serve.
const TIED_MAX: usize = 20_000;

/// What a workload used in a slice, its containers together.
#[derive(Debug)]
struct Used {
    slice: i64,
    workload: Box<str>,
    copies: u32,
    cpu_cores: Option<f64>,
    cpu_limit_cores: Option<f64>,
    memory_bytes: Option<f64>,
    received: Option<f64>,
    sent: Option<f64>,
    gpu_share: Option<f64>,
    restarts: u32,
    memory_of_limit: Option<f64>,
    oom_kills: f64,
    throttled: Option<f64>,
}

impl Used {
    fn of(slice: i64, workload: &str, figures: &Figures) -> Self {
        let none = Self {
            slice,
            workload: workload.into(),
            copies: 0,
            cpu_cores: None,
            cpu_limit_cores: None,
            memory_bytes: None,
            received: None,
            sent: None,
            gpu_share: None,
            restarts: 0,
            memory_of_limit: None,
            oom_kills: 0.0,
            throttled: None,
        };
        let mut used = none;
        used.add(figures);
        used
    }

    /// Adds a container's figures. Limits are by copy there, and here of all copies; where a container has none, there is
    /// none for the whole.
    fn add(&mut self, figures: &Figures) {
        let limit = figures.cpu_limit_cores.map(|limit| limit * f64::from(figures.copies.max(1)));
        self.cpu_limit_cores = match (self.cpu_cores.is_some(), figures.cpu_cores.is_some()) {
            (true, true) => self.cpu_limit_cores.zip(limit).map(|(a, b)| a + b),
            (_, false) => self.cpu_limit_cores,
            (false, true) => limit,
        };
        self.cpu_cores = sum(self.cpu_cores, figures.cpu_cores);
        self.memory_bytes = sum(self.memory_bytes, figures.memory_bytes);
        self.received = sum(self.received, figures.net_rx_bytes_per_second);
        self.sent = sum(self.sent, figures.net_tx_bytes_per_second);
        self.gpu_share = self.gpu_share.or(figures.gpu_share);
        self.copies = self.copies.max(figures.copies);
        // The fullest, or the most held back, of all containers.
        let most = |a: Option<f64>, b: Option<f64>| if b > a { b } else { a };
        self.memory_of_limit = most(self.memory_of_limit, figures.memory_of_limit);
        self.throttled = most(self.throttled, figures.throttled);
        self.oom_kills += figures.oom_kills;
        // Restarts are whole and few.
        self.restarts = self.restarts.saturating_add(figures.restarts as u32);
    }
}

/// The sum of what is known.
fn sum(a: Option<f64>, b: Option<f64>) -> Option<f64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a + b),
        (a, b) => a.or(b),
    }
}

/// Requests of one service in one slice, and how many of them it failed.
#[derive(Debug, Clone, Copy, Default)]
struct Asked {
    requests: u64,
    errors: u64,
}

/// Requests of the services in one slice.
type Flows = BTreeMap<Arc<str>, Asked>;

/// Owns all workloads. Time is the clearance of the entries that feed it.
#[derive(Debug)]
pub(crate) struct Desk {
    plan: Arc<Plan>,
    mining: Option<Mining>,
    usual: Option<Usual>,
    bounds: Bounds,
    rates: Rates,
    rollouts: Rollouts,
    /// By slice.
    flows: BTreeMap<i64, Flows>,
    /// Requests of services are known from here on.
    flows_from: Option<i64>,
    /// The services that had requests; the plan bounds them.
    services: BTreeSet<Arc<str>>,
    /// By workload: those of them that it serves. Begun anew when another service is seen.
    tied: BTreeMap<Box<str>, Vec<Arc<str>>>,
    sightings: BTreeSet<Sighting>,
    /// The entries that feed it: only they are waited for.
    entries: BTreeSet<EntryId>,
    /// Which entry a workload's samples were last read in.
    last_entry: EntryId,
    /// The first slice that is not closed.
    open: i64,
    /// Sightings that found no room to wait.
    hurried: u64,
}

impl Desk {
    /// Nothing is known yet; `None` where the configuration asks for none of it.
    pub(crate) fn new(plan: &Arc<Plan>) -> Option<Self> {
        if !plan.watches_workloads() {
            return None;
        }
        Some(Self {
            plan: plan.clone(),
            mining: plan.mining.clone().map(Mining::new),
            usual: plan.baselines.map(|memory| Usual::new(memory, plan.seed)),
            bounds: Bounds::default(),
            rollouts: Rollouts::new(plan.seeded),
            rates: Rates::new(RateKnobs { slice: SLICE, ..RateKnobs::default() }),
            flows: BTreeMap::new(),
            flows_from: None,
            services: BTreeSet::new(),
            tied: BTreeMap::new(),
            sightings: BTreeSet::new(),
            entries: BTreeSet::new(),
            last_entry: EntryId(0),
            open: i64::MIN,
            hurried: 0,
        })
    }

    /// Takes what a worker gathered. Slices that were closed already take nothing more: what is late was left out by the
    /// worker, by its own source's watermark.
    pub(crate) fn take(&mut self, gathered: Gathered, signals: &mut Vec<Signal>) {
        let Gathered { readings, sightings, flows } = gathered;
        for reading in readings {
            self.entries.insert(reading.entry);
            self.last_entry = reading.entry;
            let sample = reading.sample();
            let slice = slice_of(sample.time);
            if slice >= self.open {
                self.rollouts.see(slice, sample.workload, sample.image, sample.pod);
            }
            self.rates.observe(&sample, None);
        }
        for sighting in sightings {
            self.entries.insert(sighting.entry);
            if self.sightings.len() >= WAITING_MAX {
                self.hurried += 1;
                self.judge(&sighting, signals);
            } else {
                self.sightings.insert(sighting);
            }
        }
        for flow in flows {
            self.entries.insert(flow.entry);
            if flow.slice < self.open {
                continue;
            }
            if !self.services.contains(&flow.service) {
                self.services.insert(flow.service.clone());
                self.tied.clear();
            }
            let asked = self.flows.entry(flow.slice).or_default().entry(flow.service).or_default();
            asked.requests += flow.requests;
            asked.errors += flow.errors;
            self.flows_from = Some(self.flows_from.map_or(flow.slice, |from| from.min(flow.slice)));
        }
        while self.flows.len() > SLICES_MAX {
            // Without workloads nothing closes; what is oldest explains nothing any more.
            self.flows.pop_first();
        }
    }

    /// The entries that feed it have come so far: closes what is over.
    pub(crate) fn close(
        &mut self,
        cleared: impl Fn(EntryId) -> Option<EventTime>,
        signals: &mut Vec<Signal>,
    ) {
        // An entry that is not read any more is not waited for.
        let Some(cleared) = self.entries.iter().filter_map(|entry| cleared(*entry)).min() else { return };
        let end = slice_of(cleared);
        if end > self.open {
            self.open = end;
            self.close_slices(end, cleared, signals);
        }
        // What was seen is not kept waiting for the rest of its slice: nothing older comes.
        self.judge_sightings(cleared, signals);
    }

    fn close_slices(&mut self, end: i64, cleared: EventTime, signals: &mut Vec<Signal>) {
        let mut used: Vec<Used> = Vec::new();
        self.rates.close(cleared, |usage| {
            let slice = slice_of(usage.slice);
            match used.last_mut().filter(|last| last.slice == slice && &*last.workload == usage.workload) {
                Some(last) => last.add(&usage.figures),
                None => used.push(Used::of(slice, usage.workload, &usage.figures)),
            }
        });
        for used in &used {
            self.judge_sightings(begin_of(used.slice.saturating_add(1)), signals);
            self.judge_usage(used, signals);
        }
        self.judge_sightings(begin_of(end), signals);
        self.compare(end, signals);
        self.flows = self.flows.split_off(&end);
        self.rollouts.forget_before(end);
        self.bounds.forget_before(end);
    }

    /// Judges what was seen before this time.
    fn judge_sightings(&mut self, until: EventTime, signals: &mut Vec<Signal>) {
        while let Some(sighting) = self.sightings.pop_first() {
            if sighting.time >= until {
                self.sightings.insert(sighting);
                return;
            }
            self.judge(&sighting, signals);
        }
    }

    fn judge_usage(&mut self, used: &Used, signals: &mut Vec<Signal>) {
        let slice = Slice {
            workload: &used.workload,
            at: begin_of(used.slice),
            span: SLICE,
            cpu_cores: used.cpu_cores.unwrap_or(0.0),
            cpu_limit_cores: used.cpu_limit_cores,
            requests_per_second: self.requests(used.slice, &used.workload),
            memory_bytes: used.memory_bytes,
            network_bytes_per_second: sum(used.received, used.sent),
            replicas: used.copies,
            restarts: used.restarts,
            image_changed: self.rollouts.began_in(used.slice, &used.workload),
        };
        let mut findings = Vec::new();
        if let Some(mining) = self.mining.as_mut().filter(|_| used.cpu_cores.is_some()) {
            // The engine counts bad slices, and those without room.
            let _counted = mining.slice(&slice, &mut findings);
            if let Some(usual) = &mut self.usual {
                usual.freeze(&used.workload, mining.suspects(&used.workload));
            }
        }
        for finding in &findings {
            facts::state(finding, self.last_entry, signals);
        }
        let minute = Minute {
            slice: used.slice,
            memory_of_limit: used.memory_of_limit,
            oom_kills: used.oom_kills,
            throttled: used.throttled,
        };
        self.bounds.take(&used.workload, minute, self.last_entry, signals);
        if let Some(usual) = &mut self.usual {
            let subject = Subject::new(SubjectKind::Workload, &*used.workload);
            usual.value(&subject, Metric::Cpu, slice.at, used.cpu_cores);
            usual.value(&subject, Metric::Memory, slice.at, used.memory_bytes);
            usual.value(&subject, Metric::Received, slice.at, used.received);
            usual.value(&subject, Metric::Sent, slice.at, used.sent);
            usual.value(&subject, Metric::Gpu, slice.at, used.gpu_share);
        }
    }

    /// Holds what was over before this slice against what is usual.
    fn compare(&mut self, end: i64, signals: &mut Vec<Signal>) {
        let Some(usual) = &mut self.usual else { return };
        for (slice, flows) in self.flows.range(..end) {
            let at = begin_of(*slice);
            for (service, flow) in flows {
                let subject = Subject::new(SubjectKind::Service, &**service);
                usual.count(&subject, Metric::Requests, at, flow.requests);
                usual.value(
                    &subject,
                    Metric::Errors,
                    at,
                    Some(flow.errors as f64 / flow.requests.max(1) as f64),
                );
            }
        }
        usual.close(begin_of(end), self.last_entry, signals);
    }

    /// Requests a second of the services that a workload serves, where any is known and was read all the slice.
    fn requests(&mut self, slice: i64, workload: &str) -> Option<f64> {
        // Where nobody had any, their log is away rather than everybody idle.
        let flows = self.flows.get(&slice)?;
        if self.flows_from.is_none_or(|from| slice <= from) {
            return None;
        }
        if !self.tied.contains_key(workload) {
            if self.tied.len() >= TIED_MAX {
                self.tied.clear();
            }
            let tied = self.services.iter().filter(|service| self.plan.ties(service, workload));
            self.tied.insert(workload.into(), tied.cloned().collect());
        }
        let tied = self.tied.get(workload).filter(|tied| !tied.is_empty())?;
        let sum: u64 = tied.iter().filter_map(|service| flows.get(service)).map(|asked| asked.requests).sum();
        Some(sum as f64 * 1_000.0 / SLICE_MILLIS as f64)
    }

    fn judge(&mut self, sighting: &Sighting, signals: &mut Vec<Signal>) {
        let Some(mining) = &mut self.mining else { return };
        let mut findings: Vec<Finding> = Vec::new();
        mining.deed(sighting.workload(), sighting.time, &sighting.deed(), &mut findings);
        for finding in &findings {
            facts::state(finding, sighting.entry, signals);
        }
    }

    /// What was learned since it was last asked for, for the store.
    pub(crate) fn learned(&mut self) -> Vec<Learned> {
        self.usual.as_mut().map(Usual::learned).unwrap_or_default()
    }

    /// Goes on from what the store has; how many series could not be read, or found no room.
    pub(crate) fn remember(&mut self, learned: &[Learned]) -> usize {
        let Some(usual) = &mut self.usual else { return 0 };
        learned.iter().filter(|learned| !usual.remember(learned)).count()
    }

    /// From when on records must be read again after a restart, of every entry that feeds it: what is open, and what the
    /// store may not have.
    pub(crate) fn floors(&self) -> impl Iterator<Item = (EntryId, EventTime)> {
        let open = begin_of(self.open);
        let floor = self.usual.as_ref().map_or(open, |usual| usual.floor(open));
        // Before the first slice nothing is open.
        let entries = self.entries.iter().filter(|_| self.open > i64::MIN);
        entries.map(move |entry| (*entry, floor))
    }

    /// What it holds.
    pub(crate) fn census(&self) -> impl Iterator<Item = TableCensus> {
        let mining = self.mining.as_ref().map(Mining::census).unwrap_or_default();
        let workloads = TableCensus {
            name: "workloads",
            keys: mining.workloads as u64,
            bytes: mining.bytes as u64,
            evictions: mining.full + self.hurried + self.bounds.full,
        };
        [Some(workloads), self.usual.as_ref().map(Usual::census)].into_iter().flatten()
    }
}
