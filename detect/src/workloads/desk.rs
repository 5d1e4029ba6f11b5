//! The shard's half: waits until a slice is closed, puts together what was used in it, and asks the engines.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use beaconfire_model::{EntryId, EventTime, Signal, Subject, SubjectKind};

use super::bounds::{Bounds, Minute};
use super::crowds::{self, Crowds, Mark};
use super::facts;
use super::gather::{SLICE, SLICE_MILLIS, begin_of, slice_of};
use super::kept;
use super::owned::{Gathered, Sighting};
use super::rollouts::Rollouts;
use super::used::{Used, sum};
use super::usual::{Learned, Usual};
use crate::baseline::Metric;
use crate::engine::mining::{DROPPER, Deed, Finding, Mining, Slice, tells};
use crate::engine::surge::{Around, Networks, Sketch};
use crate::resource::{Flaw, RateKnobs, Rates};
use crate::{Learning, Plan, TableCensus};

/// Bytes of sightings that may wait until nothing older comes; beyond, they are judged as they come.
const WAITING_MAX: usize = 32 << 20;
/// Services and slices of which requests are kept, some hundred bytes each; beyond, the oldest slice goes.
const FLOWS_MAX: usize = 1 << 18;
/// Requests in a minute below which a share of errors says nothing.
const ERRORS_OF: u64 = 10;

/// So much is read again before what is open: a counter makes a rate only with what it was before, and the first slice of a
/// request log is not whole.
const RUN_UP: Duration = Duration::from_mins(5);

/// Minutes without any request that are still judged one by one.
const SILENT_MAX: u32 = 30;
/// A source that comes later than so many minutes brings more of the same services: they are learned anew.
const SETTLED: u32 = 10;

/// The share of its limit from which on a workload's CPU is full.
const SATURATED: f64 = 0.95;

/// Bytes of what requests look like; beyond, that of the oldest goes, until half is free.
const SKETCHED_MAX: usize = 128 << 20;

/// Workloads and services of which is kept where they were read.
const HOMES_MAX: usize = 100_000;
/// Workloads of which is kept whom they serve.
const TIED_MAX: usize = 20_000;

/// When a slice has all but ended: what is known of it as a whole is judged behind all that was seen in it, whatever came
/// first.
fn end_of(slice: i64) -> EventTime {
    begin_of(slice.saturating_add(1)).minus(Duration::from_millis(1))
}

/// Requests of one service in one slice, how many of them it failed, and what they look like.
#[derive(Debug, Default)]
pub(super) struct Asked {
    requests: u64,
    errors: u64,
    pub(super) sketch: Option<Box<Sketch>>,
    /// There was no room for that.
    lost: bool,
    droppers: u64,
}

/// Requests of the services in one slice.
type Flows = BTreeMap<Arc<str>, Asked>;

/// What the sketches of a slice take.
fn sketched(flows: &Flows) -> usize {
    flows.values().filter_map(|asked| asked.sketch.as_ref()).map(|sketch| sketch.bytes()).sum()
}

/// Owns all workloads. Time is the clearance of the entries that feed it.
#[derive(Debug)]
pub(crate) struct Desk {
    plan: Arc<Plan>,
    mining: Option<Mining>,
    usual: Option<Usual>,
    crowds: Option<Crowds>,
    bounds: Bounds,
    rates: Rates,
    rollouts: Rollouts,
    /// By slice.
    flows: BTreeMap<i64, Flows>,
    /// What the sketches among them take.
    sketched: usize,
    /// Requests in minutes whose sketches went for want of room.
    unsketched: u64,
    /// The entries that brought requests.
    asking: BTreeSet<EntryId>,
    /// Minutes without any request until now.
    silent: u32,
    /// Minutes of services that were judged since the sources were last others, behind what the store had.
    minutes: u32,
    /// What the store had of services ends here.
    remembered: EventTime,
    /// Requests of services are known from here on.
    flows_from: Option<i64>,
    /// The services that had requests; the plan bounds them.
    services: BTreeSet<Arc<str>>,
    /// By workload: those of them that it serves. Begun anew when another service is seen.
    tied: BTreeMap<Box<str>, Vec<Arc<str>>>,
    sightings: BTreeSet<Sighting>,
    /// What they take.
    waiting: usize,
    /// The entries that feed it.
    entries: BTreeSet<EntryId>,
    /// The entry that a workload or service was read in; of several, the first in the configuration.
    homes: BTreeMap<Subject, EntryId>,
    /// The first slice that is not closed.
    open: i64,
    /// What sensors saw before this time was judged.
    judged: EventTime,
    /// The first and the last slice with anything in it.
    span: Option<(i64, i64)>,
    /// Sightings and flows that found no room, or came too late.
    left_out: u64,
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
            usual: plan.baselines.map(|memory| Usual::new(memory, plan.seed, plan.tell_services)),
            crowds: plan.surge.as_ref().map(Crowds::new),
            bounds: Bounds::default(),
            rollouts: Rollouts::new(plan.seeded),
            rates: Rates::new(RateKnobs { slice: SLICE, ..RateKnobs::default() }),
            flows: BTreeMap::new(),
            sketched: 0,
            unsketched: 0,
            asking: BTreeSet::new(),
            silent: 0,
            minutes: 0,
            remembered: EventTime::MIN,
            flows_from: None,
            services: BTreeSet::new(),
            tied: BTreeMap::new(),
            sightings: BTreeSet::new(),
            waiting: 0,
            entries: BTreeSet::new(),
            homes: BTreeMap::new(),
            open: i64::MIN,
            judged: EventTime::MIN,
            span: None,
            left_out: 0,
        })
    }

    /// Takes what a worker gathered. Slices that were closed already take nothing more: what is late was left out by the
    /// worker, by its own source's watermark.
    pub(crate) fn take(&mut self, gathered: Gathered, signals: &mut Vec<Signal>) {
        let Gathered { readings, sightings, flows } = gathered;
        for reading in readings {
            let sample = reading.sample();
            let slice = slice_of(sample.time);
            self.note(reading.entry, slice);
            if slice >= self.open {
                self.settle(SubjectKind::Workload, sample.workload, reading.entry);
                if self.rollouts.see(slice, sample.workload, sample.image, sample.pod) {
                    self.deploy(slice, reading.entry, sample.workload, sample.image, signals);
                }
            }
            self.rates.observe(&sample, None);
        }
        for sighting in sightings {
            self.note(sighting.entry, slice_of(sighting.time));
            self.wait(sighting, signals);
        }
        for flow in flows {
            self.note(flow.entry, flow.slice);
            if flow.slice < self.open {
                self.left_out += flow.requests;
                continue;
            }
            self.settle(SubjectKind::Service, &flow.service, flow.entry);
            self.asking.insert(flow.entry);
            if !self.services.contains(&flow.service) {
                self.services.insert(flow.service.clone());
                self.tied.clear();
            }
            let asked = self.flows.entry(flow.slice).or_default().entry(flow.service).or_default();
            asked.requests += flow.requests;
            asked.errors += flow.errors;
            let before = asked.sketch.as_ref().map_or(0, |sketch| sketch.bytes());
            match (&mut asked.sketch, flow.sketch) {
                (Some(held), Some(more)) => held.merge(&more),
                // A part of a minute says nothing of it.
                (held, more) if !asked.lost => *held = held.take().or(more),
                _ => {}
            }
            let after = asked.sketch.as_ref().map_or(0, |sketch| sketch.bytes());
            self.sketched = self.sketched + after - before;
            asked.droppers += flow.droppers;
            self.flows_from = Some(self.flows_from.map_or(flow.slice, |from| from.min(flow.slice)));
        }
        while self.flows.values().map(BTreeMap::len).sum::<usize>() > FLOWS_MAX {
            // Another entry is so far behind that what is oldest cannot be kept until it comes.
            let Some((_, gone)) = self.flows.pop_first() else { break };
            self.left_out += gone.values().map(|asked| asked.requests).sum::<u64>();
            self.sketched -= sketched(&gone);
        }
        if self.sketched > SKETCHED_MAX {
            self.drop_sketches();
        }
    }

    /// Counts stay; what requests look like goes, the oldest first, until there is room again.
    fn drop_sketches(&mut self) {
        for asked in self.flows.values_mut().flat_map(BTreeMap::values_mut) {
            if self.sketched <= SKETCHED_MAX / 2 {
                return;
            }
            if let Some(sketch) = asked.sketch.take() {
                asked.lost = true;
                self.sketched -= sketch.bytes();
                self.unsketched += asked.requests;
            }
        }
    }

    /// A copy of this image was seen in a slice: evidence while it runs, where it is a miner's.
    fn deploy(&mut self, slice: i64, entry: EntryId, workload: &str, image: &str, signals: &mut Vec<Signal>) {
        let Some(knobs) = &self.plan.mining else { return };
        if tells(&Deed::Deploy { image }, &knobs.lists) {
            self.wait(Sighting::deploy(entry, end_of(slice), workload, image), signals);
        }
    }

    /// Keeps a sighting until nothing older comes.
    fn wait(&mut self, sighting: Sighting, signals: &mut Vec<Signal>) {
        let bytes = sighting.bytes();
        if self.waiting + bytes > WAITING_MAX {
            self.left_out += 1;
            self.judge(&sighting, signals);
        } else if self.sightings.insert(sighting) {
            self.waiting += bytes;
        }
    }

    /// Something of this slice was read in an entry.
    fn note(&mut self, entry: EntryId, slice: i64) {
        self.entries.insert(entry);
        let (first, last) = self.span.unwrap_or((slice, slice));
        self.span = Some((first.min(slice), last.max(slice)));
    }

    /// A workload or service was read in an entry.
    fn settle(&mut self, kind: SubjectKind, name: &str, entry: EntryId) {
        let subject = Subject::new(kind, name);
        if let Some(held) = self.homes.get_mut(&subject) {
            *held = entry.min(*held);
        } else if self.homes.len() < HOMES_MAX {
            self.homes.insert(subject, entry);
        }
    }

    fn home(&self, subject: &Subject) -> EntryId {
        let any = || self.entries.first().copied().unwrap_or(EntryId(0));
        self.homes.get(subject).copied().unwrap_or_else(any)
    }

    /// A source of this entry is no longer read here: of its services only a part is seen.
    pub(crate) fn left(&mut self, entry: EntryId) {
        if self.asking.contains(&entry) {
            self.learn_anew();
        }
    }

    /// A source of this entry is read here from now on: of its services more is seen. Those that come at the beginning are
    /// what the store has learned of.
    pub(crate) fn came(&mut self, entry: EntryId) {
        if self.asking.contains(&entry) && self.minutes >= SETTLED {
            self.learn_anew();
        }
    }

    fn learn_anew(&mut self) {
        self.minutes = 0;
        if let Some(usual) = &mut self.usual {
            usual.forget_services();
        }
        self.crowds = self.plan.surge.as_ref().map(Crowds::new);
    }

    /// All entries that are read have come so far: closes what is over. Also one that has brought nothing yet is waited
    /// for: it may have been behind before we began.
    pub(crate) fn close(&mut self, cleared: EventTime, signals: &mut Vec<Signal>) {
        let Some((_, last)) = self.span else { return };
        // Where the input has ended, time ends with the last slice that is whole.
        let cleared = if cleared == EventTime::MAX { begin_of(last.saturating_add(1)) } else { cleared };
        let end = slice_of(cleared);
        if end > self.open {
            let from = std::mem::replace(&mut self.open, end);
            self.close_slices(from, end, cleared, signals);
        }
        // What was seen is not kept waiting for the rest of its slice: nothing older comes.
        self.judge_sightings(cleared, signals);
        self.judged = cleared;
    }

    /// Slice by slice, so that nothing depends on how many a parcel closes.
    fn close_slices(&mut self, from: i64, end: i64, cleared: EventTime, signals: &mut Vec<Signal>) {
        let mut used: VecDeque<Used> = VecDeque::new();
        self.rates.close(cleared, |usage| {
            let slice = slice_of(usage.slice);
            match used.back_mut().filter(|last| last.slice == slice && &*last.workload == usage.workload) {
                Some(last) => last.add(&usage.figures),
                None => used.push_back(Used::of(slice, usage.workload, &usage.figures)),
            }
        });
        let mut at = from;
        loop {
            let asked = self.flows.range(at..end).next().map(|(slice, _)| *slice);
            // Silence is judged for a while; what is beyond is passed over.
            let listens = self.crowds.as_ref().is_some_and(|crowds| !crowds.is_empty());
            let silent = (listens && at > i64::MIN && self.silent < SILENT_MAX).then_some(at);
            let next = [used.front().map(|used| used.slice), asked, silent].into_iter().flatten().min();
            let Some(slice) = next.filter(|slice| *slice < end) else { break };
            self.close_usual(begin_of(slice), signals);
            while let Some(used) = used.pop_front_if(|used| used.slice <= slice) {
                self.judge_sightings(begin_of(slice.saturating_add(1)), signals);
                self.judge_usage(&used, signals);
            }
            self.judge_sightings(begin_of(slice.saturating_add(1)), signals);
            self.judge_services(slice, signals);
            self.compare(slice);
            self.silent = if self.flows.contains_key(&slice) { 0 } else { self.silent.saturating_add(1) };
            at = slice.saturating_add(1);
        }
        self.judge_sightings(begin_of(end), signals);
        self.close_usual(begin_of(end), signals);
        let open = self.flows.split_off(&end);
        let closed = std::mem::replace(&mut self.flows, open);
        self.sketched -= closed.values().map(sketched).sum::<usize>();
        self.rollouts.forget_before(end);
        self.bounds.forget_before(end);
    }

    /// Holds what was over before this time against what is usual.
    fn close_usual(&mut self, until: EventTime, signals: &mut Vec<Signal>) {
        if let Some(mut usual) = self.usual.take() {
            usual.close(until, |subject| self.home(subject), signals);
            self.usual = Some(usual);
        }
    }

    /// Judges what was seen before this time.
    fn judge_sightings(&mut self, until: EventTime, signals: &mut Vec<Signal>) {
        while let Some(sighting) = self.sightings.pop_first() {
            if sighting.time >= until {
                self.sightings.insert(sighting);
                return;
            }
            self.waiting -= sighting.bytes();
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
        if let Some(crowds) = &mut self.crowds {
            let full = slice.cpu_limit_cores.is_some_and(|limit| slice.cpu_cores >= SATURATED * limit);
            let mark = Mark { saturated: full, rolled_out: slice.image_changed };
            for service in self.tied.get(&used.workload).into_iter().flatten() {
                crowds.mark(used.slice, service, mark);
            }
        }
        let mut findings = Vec::new();
        if let Some(mining) = self.mining.as_mut().filter(|_| used.cpu_cores.is_some()) {
            // The engine counts bad slices, and those without room.
            let _counted = mining.slice(&slice, &mut findings);
            let suspected = mining.suspects(&used.workload);
            // An engine that knows nothing yet, as after a restart, thaws nothing.
            if let Some(usual) = &mut self.usual
                && (suspected || mining.is_learning(&used.workload) == Some(false))
            {
                usual.freeze(&used.workload, suspected);
            }
        }
        let subject = Subject::new(SubjectKind::Workload, &*used.workload);
        let home = self.home(&subject);
        if self.is_tried(used.slice, &used.workload)
            && let Some(mining) = &mut self.mining
        {
            let deed = Deed::Agent { user_agent: DROPPER, outbound: false };
            mining.deed(&used.workload, end_of(used.slice), &deed, &mut findings);
        }
        for finding in &findings {
            facts::state(finding, home, signals);
        }
        let minute = Minute {
            slice: used.slice,
            memory_of_limit: used.memory_of_limit,
            oom_kills: used.oom_kills,
            throttled: used.throttled,
        };
        self.bounds.take(&used.workload, minute, home, signals);
        if let Some(usual) = &mut self.usual {
            usual.value(&subject, Metric::Cpu, slice.at, used.cpu_cores);
            usual.value(&subject, Metric::Memory, slice.at, used.memory_bytes);
            usual.value(&subject, Metric::Received, slice.at, used.received);
            usual.value(&subject, Metric::Sent, slice.at, used.sent);
            usual.value(&subject, Metric::Gpu, slice.at, used.gpu_share);
        }
    }

    /// Hands a minute to the surge engine.
    fn judge_services(&mut self, slice: i64, signals: &mut Vec<Signal>) {
        if self.flows_from.is_none() {
            return;
        }
        let Some(mut crowds) = self.crowds.take() else { return };
        if let Some(usual) = &mut self.usual {
            crowds.thaw(begin_of(slice)).iter().for_each(|service| usual.freeze_requests(service, false));
        }
        let expected = |service: &str, at| self.usual.as_ref().and_then(|usual| usual.requests(service, at));
        let found = crowds.minute(slice, self.flows.get(&slice), expected);
        if let Some(usual) = &mut self.usual {
            crowds.freeze(slice).iter().for_each(|service| usual.freeze_requests(service, true));
        }
        for finding in &found {
            let home = self.home(&Subject::new(SubjectKind::Service, finding.service.as_str()));
            crowds::state(finding, home, signals);
        }
        self.minutes = self.minutes.saturating_add(u32::from(begin_of(slice) > self.remembered));
        self.crowds = Some(crowds);
    }

    /// Adds what services were asked to what is held against what is usual.
    fn compare(&mut self, slice: i64) {
        let Some(usual) = &mut self.usual else { return };
        let at = begin_of(slice);
        for (service, flow) in self.flows.get(&slice).into_iter().flatten() {
            let subject = Subject::new(SubjectKind::Service, &**service);
            usual.count(&subject, Metric::Requests, at, flow.requests);
            let share = (flow.requests >= ERRORS_OF).then(|| flow.errors as f64 / flow.requests as f64);
            usual.value(&subject, Metric::Errors, at, share);
            if let Some(sketch) = &flow.sketch {
                let minute = sketch.minute(service, at, Around::default(), &Networks::default());
                usual.value(&subject, Metric::Clients, at, minute.clients);
                usual.value(&subject, Metric::Latency, at, minute.latency_p95);
            }
        }
    }

    /// Requests a second of the services that a workload serves, where any is known and was read all the slice.
    fn requests(&mut self, slice: i64, workload: &str) -> Option<f64> {
        if self.flows_from.is_none_or(|from| slice <= from) {
            return None;
        }
        let sum: u64 = self.asked(slice, workload)?.map(|asked| asked.requests).sum();
        Some(sum as f64 * 1_000.0 / SLICE_MILLIS as f64)
    }

    /// Whether a dropper tried one of the services that a workload serves.
    fn is_tried(&mut self, slice: i64, workload: &str) -> bool {
        self.asked(slice, workload).is_some_and(|mut asked| asked.any(|asked| asked.droppers > 0))
    }

    /// What the services that a workload serves were asked; `None` where none is tied to it.
    fn asked(&mut self, slice: i64, workload: &str) -> Option<impl Iterator<Item = &Asked>> {
        // Where nobody had any, their log is away rather than everybody idle.
        let flows = self.flows.get(&slice)?;
        if !self.tied.contains_key(workload) {
            if self.tied.len() >= TIED_MAX {
                self.tied.clear();
            }
            let tied = self.services.iter().filter(|service| self.plan.ties(service, workload));
            self.tied.insert(workload.into(), tied.cloned().collect());
        }
        let tied = self.tied.get(workload).filter(|tied| !tied.is_empty())?;
        Some(tied.iter().filter_map(|service| flows.get(service)))
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
        let mut learned = self.usual.as_mut().map(Usual::learned).unwrap_or_default();
        learned.extend(self.crowds.iter_mut().flat_map(|crowds| crowds.learned(begin_of(self.open))));
        learned.extend(self.mining.iter_mut().flat_map(|mining| kept::learned(mining, self.judged)));
        learned
    }

    /// Goes on from what the store has; how many rows could not be read, or found no room.
    pub(crate) fn remember(&mut self, learned: &[Learned]) -> usize {
        let (mined, usual): (Vec<&Learned>, Vec<&Learned>) =
            learned.iter().partition(|row| kept::is_mining(row));
        let (crowds, usual): (Vec<&Learned>, Vec<&Learned>) =
            usual.into_iter().partition(|row| crowds::service_of(row).is_some());
        // A service that nobody asks anything just now is asked nothing, rather than unknown.
        self.services.extend(kept::services(&usual));
        let mut lost = self.usual.as_mut().map_or(0, |held| held.remember(&usual));
        if let Some(held) = &mut self.crowds {
            lost += crowds.iter().filter(|row| !held.remember(row)).count();
            // What was attacked before the restart may not be any more.
            let services = self.services.iter().map(|service| Box::from(&**service));
            held.were_frozen(self.usual.as_ref().map(|usual| usual.frozen(services)).unwrap_or_default());
            self.remembered = crowds.iter().map(|row| row.closed_through).max().unwrap_or(EventTime::MIN);
        }
        lost + self.mining.as_mut().map_or(0, |mining| kept::remember(mining, mined))
    }

    /// An operator says that what a workload or service does now is as it should be: learning resumes, and what is told of
    /// it ends. Whether anything was known of it.
    pub(crate) fn accept(&mut self, target: &Subject) -> bool {
        let mut is_known = self.usual.as_mut().is_some_and(|usual| usual.accept(target));
        if let Some(crowds) = self.crowds.as_mut().filter(|_| target.kind == SubjectKind::Service) {
            is_known |= crowds.accept(&target.value);
        }
        if let Some(mining) = self.mining.as_mut().filter(|_| target.kind == SubjectKind::Workload) {
            is_known |= mining.accept(&target.value, begin_of(self.open));
        }
        is_known
    }

    /// From when on records must be read again after a restart, of every entry that feeds it: what is open, and what the
    /// store may not have.
    pub(crate) fn floors(&self) -> impl Iterator<Item = (EntryId, EventTime)> {
        // Before the first slice is closed, all that was read is open.
        let open = begin_of(self.open.max(self.span.map_or(i64::MIN, |(first, _)| first)));
        let usual = self.usual.as_ref().map_or(open, |usual| usual.floor(open));
        let mined = self.mining.as_ref().and_then(Mining::unsaved_from).unwrap_or(open);
        let crowds = self.crowds.as_ref().and_then(Crowds::unsaved_from).unwrap_or(open);
        let floor = usual.min(mined).min(crowds).minus(RUN_UP);
        self.entries.iter().map(move |entry| (*entry, floor))
    }

    /// Samples that were left out, or stood for less, by reason.
    pub(crate) fn flaws(&self) -> Vec<(&'static str, u64)> {
        let flaws = self.rates.flaws();
        Flaw::ALL.into_iter().map(|flaw| (flaw.name(), flaws.of(flaw))).collect()
    }

    /// Series that learn before anything is told of them.
    pub(crate) fn learning(&self) -> Learning {
        self.usual.as_ref().map(Usual::learning).unwrap_or_default()
    }

    /// What it holds.
    pub(crate) fn census(&self) -> impl Iterator<Item = TableCensus> {
        let mining = self.mining.as_ref().map(Mining::census).unwrap_or_default();
        let flaws = self.rates.flaws();
        let crowded = flaws.of(Flaw::Crowded) + flaws.of(Flaw::Full) + flaws.of(Flaw::Late);
        let workloads = TableCensus {
            name: "workloads",
            keys: mining.workloads as u64,
            bytes: (mining.bytes + self.rates.bytes() + self.waiting) as u64,
            evictions: mining.full + self.left_out + self.bounds.full + self.rollouts.full + crowded,
        };
        let services = self.crowds.as_ref().map(|crowds| {
            let held = crowds.census();
            let bytes = held.bytes + self.sketched as u64;
            TableCensus { bytes, evictions: held.evictions + self.unsketched, ..held }
        });
        [Some(workloads), self.usual.as_ref().map(Usual::census), services].into_iter().flatten()
    }
}
