//! The shard's half: waits until a slice is closed, puts together what was used in it, and asks the engines.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use beaconfire_model::{EntryId, EventTime, Signal};

use super::facts;
use super::gather::{SLICE, SLICE_MILLIS, slice_of};
use super::owned::{Gathered, Sighting};
use super::rollouts::Rollouts;
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
    network_bytes_per_second: Option<f64>,
    restarts: u32,
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
            network_bytes_per_second: None,
            restarts: 0,
        };
        let mut used = none;
        used.add(figures);
        used
    }

    /// Adds a container's figures. Limits are by copy there, and here of all copies; where a container has none, there is
    /// none for the whole.
    fn add(&mut self, figures: &Figures) {
        let sum = |a: Option<f64>, b: Option<f64>| match (a, b) {
            (Some(a), Some(b)) => Some(a + b),
            (a, b) => a.or(b),
        };
        let limit = figures.cpu_limit_cores.map(|limit| limit * f64::from(figures.copies.max(1)));
        self.cpu_limit_cores = match (self.cpu_cores.is_some(), figures.cpu_cores.is_some()) {
            (true, true) => self.cpu_limit_cores.zip(limit).map(|(a, b)| a + b),
            (_, false) => self.cpu_limit_cores,
            (false, true) => limit,
        };
        self.cpu_cores = sum(self.cpu_cores, figures.cpu_cores);
        self.memory_bytes = sum(self.memory_bytes, figures.memory_bytes);
        let network = sum(figures.net_rx_bytes_per_second, figures.net_tx_bytes_per_second);
        self.network_bytes_per_second = sum(self.network_bytes_per_second, network);
        self.copies = self.copies.max(figures.copies);
        // Restarts are whole and few.
        self.restarts = self.restarts.saturating_add(figures.restarts as u32);
    }
}

/// Requests of the services in one slice.
type Flows = BTreeMap<Arc<str>, u64>;

/// Owns all workloads. Time is the clearance of the entries that feed it.
#[derive(Debug)]
pub(crate) struct Desk {
    plan: Arc<Plan>,
    mining: Mining,
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
        let knobs = plan.mining.clone()?;
        Some(Self {
            plan: plan.clone(),
            mining: Mining::new(knobs),
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
            *self.flows.entry(flow.slice).or_default().entry(flow.service).or_default() += flow.requests;
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
        if end <= self.open {
            return;
        }
        self.open = end;
        let mut used: Vec<Used> = Vec::new();
        self.rates.close(cleared, |usage| {
            let slice = slice_of(usage.slice);
            match used.last_mut().filter(|last| last.slice == slice && &*last.workload == usage.workload) {
                Some(last) => last.add(&usage.figures),
                None => used.push(Used::of(slice, usage.workload, &usage.figures)),
            }
        });
        for used in &used {
            self.judge_sightings(used.slice + 1, signals);
            self.judge_usage(used, signals);
        }
        self.judge_sightings(end, signals);
        self.flows = self.flows.split_off(&end);
        self.rollouts.forget_before(end);
    }

    /// Judges what was seen before a slice began.
    fn judge_sightings(&mut self, slice: i64, signals: &mut Vec<Signal>) {
        while let Some(sighting) = self.sightings.pop_first() {
            if slice_of(sighting.time) >= slice {
                self.sightings.insert(sighting);
                return;
            }
            self.judge(&sighting, signals);
        }
    }

    fn judge_usage(&mut self, used: &Used, signals: &mut Vec<Signal>) {
        let Some(cpu_cores) = used.cpu_cores else { return };
        let slice = Slice {
            workload: &used.workload,
            at: EventTime::from_millis(used.slice.saturating_mul(SLICE_MILLIS)),
            span: SLICE,
            cpu_cores,
            cpu_limit_cores: used.cpu_limit_cores,
            requests_per_second: self.requests(used.slice, &used.workload),
            memory_bytes: used.memory_bytes,
            network_bytes_per_second: used.network_bytes_per_second,
            replicas: used.copies,
            restarts: used.restarts,
            image_changed: self.rollouts.began_in(used.slice, &used.workload),
        };
        let mut findings = Vec::new();
        // The engine counts bad slices, and those without room.
        let _counted = self.mining.slice(&slice, &mut findings);
        for finding in &findings {
            facts::state(finding, self.last_entry, signals);
        }
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
        let sum: u64 = tied.iter().filter_map(|service| flows.get(service)).sum();
        Some(sum as f64 * 1_000.0 / SLICE_MILLIS as f64)
    }

    fn judge(&mut self, sighting: &Sighting, signals: &mut Vec<Signal>) {
        let mut findings: Vec<Finding> = Vec::new();
        self.mining.deed(sighting.workload(), sighting.time, &sighting.deed(), &mut findings);
        for finding in &findings {
            facts::state(finding, sighting.entry, signals);
        }
    }

    /// What it holds.
    pub(crate) fn census(&self) -> TableCensus {
        let mining = self.mining.census();
        TableCensus {
            name: "workloads",
            keys: mining.workloads as u64,
            bytes: mining.bytes as u64,
            evictions: mining.full + self.hurried,
        }
    }
}
