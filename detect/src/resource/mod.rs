//! From resource samples to what each workload used, slice by slice.
//!
//! Producers tell of one container in many records: here a counter, there a limit, for each processor or interface one.
//! [`Rates`] keeps them by workload and container (the name that outlives a rollout: the pods of a Deployment are copies
//! of one workload), makes rates of counters, joins limits from whichever samples carry them, adds up parts and copies,
//! and hands one [`Usage`] for each workload, container and closed slice to whoever learns from it.
//!
//! # What it does not depend on
//!
//! Values wait until their slice closes and are then taken in order of their time, equal ones in order of their size. So in
//! whatever order samples arrive, the slices are the same, as long as each arrives before its slice closes: what comes
//! after that is `late` and changes nothing. The order of arrival decides only where a bound is hit, and then it is
//! told: which workloads are known when the table is full ([`Flaw::Full`]), which values wait when there are too many
//! ([`Flaw::Crowded`]).
//!
//! # What it makes of gaps and mistakes
//!
//! A value that cannot be is counted by its [`Flaw`] and changes nothing; `counter.rs` has what a counter that runs backwards
//! means. A copy that says nothing holds its last value for two and a half of its periods, since a scrape may fail
//! once, and then counts no more; a series that is marked as ended counts no more at once. A rate belongs to the slice
//! in which its interval ends.

mod counter;
mod flaw;
mod part;
mod snapshot;
mod usage;

use std::collections::BTreeMap;
use std::time::Duration;

use beaconfire_model::{EventTime, Metric, ResourceSample};

pub use flaw::{Flaw, Flaws};
use part::{Part, Point};
pub use snapshot::BadRates;
use usage::{Bounds, Values};
pub use usage::{Figures, Usage};

/// What an entry of a table takes beside its own size: its share of the tree's nodes.
const ENTRY_BYTES: usize = 32;

/// How rates are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateKnobs {
    /// The length of a slice. Whole milliseconds, at least one.
    pub slice: Duration,
    /// Samples whose clock is off by more, against the log's, are not believed.
    pub clock_off: Duration,
    /// Copies that said nothing for so long are forgotten, and limits that nobody told again.
    pub silence: Duration,
    /// What all tables together may take.
    pub bytes_max: usize,
}

impl Default for RateKnobs {
    fn default() -> Self {
        Self {
            slice: Duration::from_mins(1),
            clock_off: Duration::from_hours(1),
            silence: Duration::from_mins(30),
            bytes_max: 64 << 20,
        }
    }
}

/// See the file's head.
#[derive(Debug)]
pub struct Rates {
    knobs: RateKnobs,
    /// By workload, in it by container: both in order, so that slices are handed over in the same order everywhere.
    workloads: BTreeMap<Box<str>, BTreeMap<Box<str>, Container>>,
    closed_through: Option<EventTime>,
    bytes: usize,
    flaws: Flaws,
}

/// One container of a workload, with all its copies.
#[derive(Debug, Default)]
struct Container {
    bounds: Bounds,
    /// By copy, in it by part.
    copies: BTreeMap<Box<str>, BTreeMap<Box<str>, Part>>,
}

impl Rates {
    /// Nothing known yet.
    pub fn new(knobs: RateKnobs) -> Self {
        Self { knobs, workloads: BTreeMap::new(), closed_through: None, bytes: 0, flaws: Flaws::default() }
    }

    /// What was wrong with samples so far.
    pub fn flaws(&self) -> &Flaws {
        &self.flaws
    }

    /// What the tables take.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Slices before this are closed.
    pub fn closed_through(&self) -> Option<EventTime> {
        self.closed_through
    }

    /// Takes a sample in; `stamped` is when the log got it.
    pub fn observe(&mut self, sample: &ResourceSample<'_>, stamped: Option<EventTime>) {
        if flaw::is_off(sample.time, stamped, self.knobs.clock_off) {
            return self.flaws.note(Flaw::Clock);
        }
        if self.closed_through.is_some_and(|closed| sample.time < closed) {
            return self.flaws.note(Flaw::Late);
        }
        let mut points = sample.measured.iter().filter_map(|measured| {
            let point = Point { at: sample.time, metric: measured.metric, value: measured.value };
            match flaw::judge(point.metric, point.value) {
                Ok(()) => Some(point),
                Err(flaw) => {
                    flaw.into_iter().for_each(|flaw| self.flaws.note(flaw));
                    // The end of a series is worth knowing.
                    (flaw == Some(Flaw::NotANumber) && !point.metric.is_bound()).then_some(point)
                }
            }
        });
        let Some(first) = points.next() else { return };
        let points: Vec<Point> = std::iter::once(first).chain(points).collect();
        // A container's name tells copies apart outside Kubernetes, where it is made up anew for each.
        let (container, copy) = match (sample.pod, sample.instance) {
            ("", "") => ("", sample.container),
            ("", instance) => ("", instance),
            (pod, _) => (sample.container, pod),
        };
        let Some(part) = part(
            &mut self.workloads,
            &mut self.bytes,
            self.knobs.bytes_max,
            [sample.workload, container, copy, sample.part],
        ) else {
            return self.flaws.note(Flaw::Full);
        };
        let before = part.bytes();
        for point in points {
            let room = (self.knobs.bytes_max + before).saturating_sub(self.bytes + part.bytes());
            if let Err(flaw) = part.wait(point, room) {
                self.flaws.note(flaw);
            }
        }
        self.bytes += part.bytes() - before;
    }

    /// Closes the slices that end at or before `through`, and hands over what was used in each, in order of time, workload
    /// and container. Slices of which nothing is known are passed over.
    pub fn close(&mut self, through: EventTime, mut each: impl FnMut(&Usage<'_>)) {
        while let Some(begin) = self.next_slice() {
            let end = begin.plus(self.knobs.slice);
            if end > through || end <= begin {
                break;
            }
            self.forget(end.minus(self.knobs.silence));
            self.close_slice(begin, end, &mut each);
            self.closed_through = Some(end);
        }
        let through = floor(through, self.knobs.slice);
        if self.closed_through.is_none_or(|closed| closed < through) {
            self.closed_through = Some(through);
        }
        self.forget(through.minus(self.knobs.silence));
    }

    /// When the next slice begins of which something is known.
    fn next_slice(&self) -> Option<EventTime> {
        let parts = || {
            let containers = self.workloads.values().flat_map(BTreeMap::values);
            containers.flat_map(|container| container.copies.values().flat_map(BTreeMap::values))
        };
        if let Some(closed) = self.closed_through
            && parts().any(|part| part.holds(closed.plus(self.knobs.slice)))
        {
            return Some(closed);
        }
        Some(floor(parts().filter_map(Part::earliest).min()?, self.knobs.slice))
    }

    fn close_slice(&mut self, begin: EventTime, end: EventTime, each: &mut impl FnMut(&Usage<'_>)) {
        let (flaws, bytes) = (&mut self.flaws, &mut self.bytes);
        let silent = end.minus(self.knobs.silence);
        for (workload, containers) in &mut self.workloads {
            let mut told = Vec::new();
            for (name, container) in containers.iter_mut() {
                let figures = container.close(end, silent, flaws, bytes);
                if figures.copies > 0 {
                    told.push((name.clone(), figures));
                }
            }
            // What is told of a pod as a whole holds what its containers use.
            let inside = |of: &dyn Fn(&Figures) -> bool| {
                told.iter().any(|(name, figures)| !name.is_empty() && of(figures))
            };
            let (has_cpu, has_memory) = (
                inside(&|figures| figures.cpu_cores.is_some()),
                inside(&|figures| figures.memory_bytes.is_some()),
            );
            for (name, mut figures) in told {
                if name.is_empty() {
                    figures.cpu_cores = figures.cpu_cores.filter(|_| !has_cpu);
                    figures.memory_bytes = figures.memory_bytes.filter(|_| !has_memory);
                }
                each(&Usage { slice: begin, workload, container: &name, figures });
            }
        }
    }

    /// Forgets what was silent since. Of what comes again nothing is left that a new one would not have: it makes no
    /// difference how often this is done.
    fn forget(&mut self, silent: EventTime) {
        let bytes = &mut self.bytes;
        self.workloads.retain(|workload, containers| {
            containers.retain(|name, container| container.retain(name, silent, bytes));
            if containers.is_empty() {
                *bytes = bytes.saturating_sub(workload.len() + ENTRY_BYTES);
            }
            !containers.is_empty()
        });
    }
}

impl Container {
    /// What its copies used in the slice that ends at `end`.
    fn close(&mut self, end: EventTime, silent: EventTime, flaws: &mut Flaws, bytes: &mut usize) -> Figures {
        self.bounds.forget(silent);
        let mut copies = Vec::with_capacity(self.copies.len());
        for parts in self.copies.values_mut() {
            let mut values = Values::default();
            let mut wholes = [false; Metric::ALL.len()];
            let mut told = Vec::new();
            for (name, part) in parts.iter_mut() {
                let before = part.bytes();
                let is_whole = matches!(&**name, "total" | "cpu-total" | "_total");
                part.close(end, silent, &mut self.bounds, flaws, |metric, value| {
                    wholes[metric as usize] |= is_whole;
                    told.push((is_whole, metric, value));
                });
                *bytes = (*bytes + part.bytes()).saturating_sub(before);
            }
            // Where the sum of all parts is told beside them, it counts alone.
            for (is_whole, metric, value) in told {
                if is_whole || !wholes[metric as usize] {
                    values.add(metric, value);
                }
            }
            if let (Some(cores), Some(share)) = (
                values.get(Metric::CpuSeconds).or(values.get(Metric::CpuCores)),
                values.get(Metric::CpuOfLimit),
            ) {
                self.bounds.work_out(end, cores, share);
            }
            if !values.is_empty() {
                copies.push(values);
            }
        }
        usage::figures(&copies, &self.bounds)
    }

    /// Forgets the parts and copies that were silent since; whether anything is left.
    fn retain(&mut self, name: &str, silent: EventTime, bytes: &mut usize) -> bool {
        self.copies.retain(|copy, parts| {
            parts.retain(|name, part| {
                let stays = part.last >= silent || part.earliest().is_some();
                if !stays {
                    *bytes = bytes.saturating_sub(name.len() + part.bytes() + ENTRY_BYTES);
                }
                stays
            });
            if parts.is_empty() {
                *bytes = bytes.saturating_sub(copy.len() + ENTRY_BYTES);
            }
            !parts.is_empty()
        });
        if self.copies.is_empty() {
            *bytes = bytes.saturating_sub(name.len() + size_of::<Self>() + ENTRY_BYTES);
        }
        !self.copies.is_empty()
    }
}

/// The part of this name, made where it is not known yet; `None` where there is no room for it.
fn part<'m>(
    workloads: &'m mut BTreeMap<Box<str>, BTreeMap<Box<str>, Container>>,
    bytes: &mut usize,
    bytes_max: usize,
    [workload, container, copy, part]: [&str; 4],
) -> Option<&'m mut Part> {
    let known = workloads.get(workload);
    let of = known.and_then(|containers| containers.get(container));
    let parts = of.and_then(|container| container.copies.get(copy));
    let mut more = 0;
    for (is_known, name, size) in [
        (known.is_some(), workload, 0),
        (of.is_some(), container, size_of::<Container>()),
        (parts.is_some(), copy, 0),
        (parts.is_some_and(|parts| parts.contains_key(part)), part, size_of::<Part>()),
    ] {
        if !is_known {
            more += name.len() + size + ENTRY_BYTES;
        }
    }
    if more == 0 {
        // As nearly always: nothing is allocated.
        return workloads.get_mut(workload)?.get_mut(container)?.copies.get_mut(copy)?.get_mut(part);
    }
    if bytes.saturating_add(more) > bytes_max {
        return None;
    }
    *bytes += more;
    let container = workloads.entry(workload.into()).or_default().entry(container.into()).or_default();
    Some(container.copies.entry(copy.into()).or_default().entry(part.into()).or_default())
}

/// The begin of the slice that a time is in.
fn floor(time: EventTime, slice: Duration) -> EventTime {
    let slice = i64::try_from(slice.as_millis()).unwrap_or(i64::MAX).max(1);
    EventTime::from_millis(time.millis().saturating_sub(time.millis().rem_euclid(slice)))
}
