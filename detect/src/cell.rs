//! The window of one key, and the run of violations in it.
//!
//! Two readings of the same counts: *early*, as records arrive (counts only grow, so a window that exceeds now
//! exceeds for good), and *closed*, once nothing older can come. Whatever early reading states is a lower bound of what
//! closed reading will state: its peak is no higher, its first violation no earlier, its end no later. So joining all
//! statements by minimum and maximum gives what closed reading alone gives.

use std::collections::BTreeMap;

use beaconfire_model::{Client, Earliest, EventTime, Latest, Participant, Peak, Severity, Subject};

use crate::plan::{BUCKETS, Cut, Lines};
use crate::ring::{Ring, Sums};

/// A rule goes on holding while a closed window is above this share of its threshold.
const HOLD: f64 = 0.9;
/// Fewer hosts of a prefix than this are no distributed flood.
const HOSTS_MIN: usize = 8;
/// Hosts told apart in one prefix.
const HOSTS_MAX: usize = 10_000;
/// A chart point every so many buckets.
const POINT_EVERY: i64 = 5;
/// Chart points stated at once.
const POINTS_MAX: i64 = 24;

/// How a cell's windows are valued.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Value {
    /// The count.
    Count,
    /// The share that matched, where there are enough.
    Share { min_requests: u64 },
    /// The count of hosts that are not flagged for themselves.
    Prefix,
}

/// What a rule asks of a cell.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ask {
    pub(crate) value: Value,
    pub(crate) lines: Lines,
    pub(crate) cut: Cut,
    pub(crate) severity: Severity,
}

impl Ask {
    fn severity(&self, observed: f64) -> Severity {
        if self.lines.critical_above.is_some_and(|line| observed > line) {
            Severity::Critical
        } else {
            self.severity
        }
    }
}

/// A run of violations, as a fact.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Run {
    pub(crate) first: i64,
    pub(crate) began: i64,
    pub(crate) last: i64,
    pub(crate) peak: f64,
    pub(crate) severity: Severity,
    pub(crate) hosts: BTreeMap<Client, Host>,
}

/// One host of a prefix, while a run held.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Host {
    peak: u64,
    first: i64,
    last: i64,
}

impl Run {
    fn absorb(&mut self, other: &Self) {
        self.first = self.first.min(other.first);
        self.began = self.began.min(other.began);
        self.last = self.last.max(other.last);
        self.peak = self.peak.max(other.peak);
        self.severity = self.severity.max(other.severity);
    }
}

/// The window of one key.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cell {
    pub(crate) ring: Ring,
    hosts: BTreeMap<Client, Ring>,
    /// The worst severity a sensor gave (findings).
    pub(crate) worst: Option<Severity>,
    /// All buckets up to here have been read closed.
    read_through: Option<i64>,
    /// The run that closed reading is in.
    run: Option<Run>,
    /// What early reading has found beyond that.
    early: Option<Run>,
    /// Runs that are over, still to be stated.
    over: Vec<Run>,
    /// Whether what is known goes beyond what was stated.
    dirty: bool,
    /// Whether the run (or early run) at hand was stated at all.
    stated: Option<Severity>,
    /// Chart points were stated up to this bucket.
    pointed: i64,
}

/// What a cell has to say.
#[derive(Debug)]
pub(crate) struct Statement {
    pub(crate) run: Run,
    pub(crate) series: Vec<(EventTime, f64)>,
}

impl Cell {
    /// Adds a partial. For prefixes, under the host it came from.
    pub(crate) fn add(&mut self, bucket: i64, count: u64, matched: u64, host: Option<Client>) -> bool {
        self.ring.add(bucket, count, matched);
        let Some(host) = host else { return true };
        let room = self.hosts.len() < HOSTS_MAX;
        match self.hosts.entry(host) {
            std::collections::btree_map::Entry::Occupied(mut ring) => ring.get_mut().add(bucket, count, 0),
            std::collections::btree_map::Entry::Vacant(slot) if room => {
                slot.insert(Ring::default()).add(bucket, count, 0)
            }
            // Beyond the bound a host counts in the total only.
            std::collections::btree_map::Entry::Vacant(_) => return false,
        }
        true
    }

    /// Reads the windows that a change in `bucket` touched, before they close. Whether a violation is new, or worse.
    pub(crate) fn read_early(&mut self, ask: &Ask, bucket: i64) -> bool {
        let mut found: Option<Run> = None;
        for end in self.ring.buckets(bucket, bucket + BUCKETS - 1) {
            if self.read_through.is_some_and(|through| end <= through) {
                continue;
            }
            let observed = self.ring.window(end).count as f64;
            if observed > ask.lines.threshold {
                let began = self.ring.first_in_window(end).unwrap_or(end);
                let severity = ask.severity(observed).max(self.worst.unwrap_or(Severity::Info));
                let run =
                    Run { first: end, began, last: end, peak: observed, severity, hosts: BTreeMap::new() };
                match &mut found {
                    Some(held) => held.absorb(&run),
                    None => found = Some(run),
                }
            }
        }
        let Some(found) = found else { return false };
        self.dirty = true;
        match &mut self.early {
            Some(held) => held.absorb(&found),
            None => self.early = Some(found.clone()),
        }
        self.stated.is_none_or(|stated| found.severity > stated)
    }

    /// Reads every bucket up to `through`, which has closed. `covers_from` is the first bucket whose window is whole.
    pub(crate) fn read_closed(&mut self, ask: &Ask, through: i64, covers_from: Option<i64>) {
        let Some((first, last)) = self.ring.span() else {
            self.end_run();
            self.read_through = Some(through);
            return;
        };
        let from = self.read_through.map_or(first, |done| (done + 1).max(first.min(done + 1)));
        // Behind the last count by a whole window, windows are empty.
        let to = through.min(last + BUCKETS);
        for bucket in from.max(first)..=to {
            let whole = covers_from.is_none_or(|covers| bucket - BUCKETS + 1 > covers);
            let judged = ask.value == Value::Count || whole;
            let (observed, hosts) = if judged { self.value(ask, bucket) } else { (0.0, Vec::new()) };
            if observed > ask.lines.threshold {
                let began = self.ring.first_in_window(bucket).unwrap_or(bucket);
                let severity = ask.severity(observed).max(self.worst.unwrap_or(Severity::Info));
                let run = Run {
                    first: bucket,
                    began,
                    last: bucket,
                    peak: observed,
                    severity,
                    hosts: BTreeMap::new(),
                };
                match &mut self.run {
                    Some(held) => held.absorb(&run),
                    None => self.run = Some(run),
                }
                self.dirty = true;
            } else if let Some(run) = &mut self.run {
                if observed > ask.lines.threshold * HOLD {
                    run.last = bucket;
                    run.peak = run.peak.max(observed);
                    self.dirty = true;
                } else {
                    self.end_run();
                }
            }
            if let Some(run) = &mut self.run {
                for (client, count, first, last) in hosts {
                    let host = run.hosts.entry(client).or_insert(Host { peak: 0, first, last });
                    *host = Host {
                        peak: host.peak.max(count),
                        first: host.first.min(first),
                        last: host.last.max(last),
                    };
                }
            }
        }
        if through > to {
            self.end_run();
        }
        self.read_through = Some(through);
        if self.early.as_ref().is_some_and(|early| early.last <= through) {
            self.early = None;
        }
    }

    fn end_run(&mut self) {
        if let Some(run) = self.run.take() {
            self.over.push(run);
            self.dirty = true;
        }
    }

    /// The value of the window that ends with `bucket`, and the hosts that make it up.
    fn value(&self, ask: &Ask, bucket: i64) -> (f64, Vec<(Client, u64, i64, i64)>) {
        let sums = self.ring.window(bucket);
        match ask.value {
            Value::Count => (sums.count as f64, Vec::new()),
            Value::Share { min_requests } => (share(sums, min_requests), Vec::new()),
            Value::Prefix => {
                if (sums.count as f64) <= ask.lines.threshold * HOLD {
                    return (0.0, Vec::new());
                }
                let mut total = 0;
                let mut hosts = Vec::new();
                for (client, ring) in &self.hosts {
                    let count = ring.window(bucket).count;
                    if count > 0 && (count as f64) <= ask.lines.host_limit {
                        total += count;
                        let first = ring.first_in_window(bucket).unwrap_or(bucket);
                        let last = ring.last_in_window(bucket).unwrap_or(bucket);
                        hosts.push((*client, count, first, last));
                    }
                }
                if hosts.len() < HOSTS_MIN { (0.0, Vec::new()) } else { (total as f64, hosts) }
            }
        }
    }

    /// Whether closed reading could find or end anything here.
    pub(crate) fn is_hot(&self, ask: &Ask) -> bool {
        if self.run.is_some() || self.early.is_some() {
            return true;
        }
        match ask.value {
            Value::Share { .. } => true,
            Value::Count | Value::Prefix => self.ring.total() as f64 > ask.lines.threshold * HOLD,
        }
    }

    /// Whether anything is known that was not stated.
    pub(crate) fn is_dirty(&self) -> bool {
        self.dirty
    }

    /// States what is known: runs that are over, and the one at hand.
    pub(crate) fn state(&mut self, ask: &Ask, with_early: bool, out: &mut Vec<Statement>) {
        self.dirty = false;
        for run in std::mem::take(&mut self.over) {
            let series = self.series(ask, run.last);
            out.push(Statement { run, series });
            self.stated = None;
        }
        let mut at_hand = self.run.clone();
        if with_early && let Some(early) = &self.early {
            match &mut at_hand {
                Some(run) => run.absorb(early),
                None => at_hand = Some(early.clone()),
            }
        }
        if let Some(run) = at_hand {
            self.stated = Some(run.severity);
            let series = self.series(ask, run.last);
            out.push(Statement { run, series });
        }
    }

    /// Chart points up to `last` that were not stated yet.
    fn series(&mut self, ask: &Ask, last: i64) -> Vec<(EventTime, f64)> {
        let from = (last - POINTS_MAX * POINT_EVERY).max(self.pointed + 1);
        self.pointed = self.pointed.max(last);
        (from..=last)
            .filter(|bucket| bucket.rem_euclid(POINT_EVERY) == 0 || *bucket == last)
            .map(|bucket| {
                let value = match ask.value {
                    Value::Share { min_requests } => share(self.ring.window(bucket), min_requests),
                    Value::Count | Value::Prefix => self.ring.window(bucket).count as f64,
                };
                (ask.cut.end(bucket), value)
            })
            .collect()
    }

    /// Forgets counts that no open window needs. Whether nothing is left.
    pub(crate) fn forget_before(&mut self, bucket: i64) -> bool {
        self.ring.forget_before(bucket);
        self.hosts.retain(|_, ring| {
            ring.forget_before(bucket);
            !ring.is_empty()
        });
        self.ring.is_empty() && self.run.is_none() && self.early.is_none() && !self.dirty
    }

    /// What makes a key worth keeping at the memory bound.
    pub(crate) fn weight(&self) -> (bool, u64) {
        (self.run.is_some() || self.early.is_some(), self.ring.total())
    }

    /// Bytes, with the table's own share.
    pub(crate) fn bytes(&self) -> usize {
        let hosts: usize = self.hosts.values().map(|ring| ring.bytes() + 96).sum();
        let run = self.run.as_ref().map_or(0, |run| run.hosts.len() * 64);
        size_of::<Self>() + 128 + self.ring.bytes() + hosts + run
    }

    /// The event time from which records must be read again for the run at hand to be found again.
    pub(crate) fn hold_floor(&self, ask: &Ask) -> Option<EventTime> {
        self.run.as_ref().map(|run| ask.cut.start(run.last - BUCKETS + 1))
    }
}

fn share(sums: Sums, min_requests: u64) -> f64 {
    if sums.count < min_requests.max(1) { 0.0 } else { sums.matched as f64 / sums.count as f64 }
}

impl Run {
    /// The fact's times.
    pub(crate) fn times(&self, cut: Cut) -> (Earliest, Earliest, Latest) {
        (Earliest(cut.end(self.first)), Earliest(cut.start(self.began)), Latest(cut.end(self.last)))
    }

    /// The hosts as participants.
    pub(crate) fn participants(&self, cut: Cut) -> Vec<Participant> {
        self.hosts
            .iter()
            .map(|(client, host)| Participant {
                subject: Subject::client(*client),
                events: Peak(host.peak as f64),
                first_seen: Earliest(cut.start(host.first)),
                last_seen: Latest(cut.end(host.last)),
            })
            .collect()
    }
}
