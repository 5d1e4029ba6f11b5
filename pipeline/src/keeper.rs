//! The keeper: signals in, a transaction out, and the barriers that it makes durable.
//!
//! It holds no copy of the incidents. Each round takes the rows that the waiting facts concern (its caller reads them),
//! folds, and hands out [`Changes`] to be written under the rows' versions; on a conflict the caller reads again and
//! the same facts are folded again. What cannot be folded yet (a fact that would begin an episode before the one
//! before it is known to be over) waits, and holds back every barrier behind it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use beaconfire_detect::{Learned, Plan};
use beaconfire_incident::{
    Actor, Command, Context, Fingerprint, Folded, Incident, IncidentId, Knobs, Refused, fold_command,
    fold_signals, fold_time,
};
use beaconfire_model::{EventTime, Kind, Labels, Signal, Wall};
use beaconfire_outbox::{Escalation, Quiet, QuietRules, Receivers, Route, Row, Silence};
use beaconfire_throttle::{Allows, Decision, Refusal, Standing, Throttle, Verdict};

use crate::{Barrier, Mark, Report, WorkerId, tell};

/// How long a fact may wait for the clearance of the episode before it.
const WAIT_MAX: Duration = Duration::from_secs(10);

/// Facts held at most; at the bound the keeper takes no more reports, and the shards' queues fill up behind it.
const FACTS_MAX: usize = 100_000;

/// What the configuration says of incidents and of whom to tell.
#[derive(Debug, Clone)]
pub struct Policy {
    /// For labels.
    pub context: Context,
    /// The times.
    pub knobs: Knobs,
    /// The routing tree.
    pub route: Route,
    /// The receivers' integrations.
    pub receivers: Receivers,
    /// When they are not told.
    pub quiet: QuietRules,
    /// Who is told next while nobody has taken an incident.
    pub escalations: Vec<Escalation>,
    /// Which services' requests explain which workloads; without it nothing is explained.
    pub plan: Option<Arc<Plan>>,
}

/// What the store has of the fingerprints that a round concerns.
#[derive(Debug, Clone, Default)]
pub struct Shelf {
    /// The latest episodes of each fingerprint, oldest first, and the highest number it ever had.
    pub episodes: BTreeMap<Fingerprint, (Vec<Incident>, u32)>,
    /// The outbox rows of those incidents.
    pub rows: Vec<Row>,
    /// The clearance of each entry of `kafka.topics`, by name: the minimum over its sources.
    pub clearances: BTreeMap<String, EventTime>,
    /// Decisions that are active now.
    pub decisions: Vec<Decision>,
    /// What rules leave alone for a while.
    pub allows: Allows,
    /// Silences that are not over.
    pub silences: Vec<Silence>,
    /// What is unresolved, where [`Keeper::asks_for_unresolved`]: it may keep others from being told.
    pub unresolved: Vec<Incident>,
}

/// One transaction's worth.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// Incidents and what hangs on them, each to be written under the version it was read with.
    pub folded: Vec<Folded>,
    /// Outbox rows, likewise.
    pub rows: Vec<Row>,
    /// New decisions.
    pub decisions: Vec<Decision>,
    /// Subjects that were left alone, and why: counted, and told in the log.
    pub refused: Vec<Refusal>,
    /// What was learned of series.
    pub learned: Vec<Learned>,
    /// How far each source has come, for resolving; from the barriers below.
    pub progress: Vec<Mark>,
    /// Barriers that become durable with this transaction.
    pub barriers: Vec<Barrier>,
    /// Facts that waited their full time and were folded without clearance.
    pub impatient: u64,
    taken: Vec<Held>,
    /// What keeps quiet from now on, where all of it was judged.
    pub(crate) quiet: Option<BTreeMap<IncidentId, Quiet>>,
}

impl Changes {
    /// Whether there is nothing to write and nothing to answer.
    pub fn is_empty(&self) -> bool {
        self.folded.is_empty()
            && self.rows.is_empty()
            && self.decisions.is_empty()
            && self.learned.is_empty()
            && self.barriers.is_empty()
    }
}

/// A fact, with its place in the order of arrival and since when it waits.
#[derive(Debug, Clone)]
struct Held {
    order: u64,
    since: Wall,
    fingerprint: Fingerprint,
    signal: Signal,
    /// Labels of its own, of an alert from elsewhere: they stand over those that the configuration gives.
    labels: Labels,
}

/// A barrier on its way through the shards.
#[derive(Debug)]
struct Passing {
    barrier: Barrier,
    seen: BTreeSet<usize>,
    /// Once every shard has passed it on: facts up to here must be durable first.
    behind: Option<u64>,
}

/// See the file's head.
#[derive(Debug)]
pub struct Keeper {
    threads: usize,
    policy: Arc<Policy>,
    throttle: Throttle,
    facts: Vec<Held>,
    /// What was learned of series and is not written yet, the latest of each, with the facts before it.
    learned: BTreeMap<String, (u64, Learned)>,
    passing: BTreeMap<(WorkerId, u64), Passing>,
    order: u64,
    /// What kept quiet, of each incident where anything did, when the rows were brought in line with it last; `None`
    /// before the first time.
    pub(crate) quiet: Option<BTreeMap<IncidentId, Quiet>>,
}

impl Keeper {
    /// A keeper behind so many shard threads.
    pub fn new(threads: usize, policy: Arc<Policy>, throttle: Throttle) -> Self {
        let learned = BTreeMap::new();
        let passing = BTreeMap::new();
        Self { threads, policy, throttle, facts: Vec::new(), learned, passing, order: 0, quiet: None }
    }

    /// Takes facts from outside the shards, and answers with their place: they are written once
    /// [`oldest_waiting`](Self::oldest_waiting) is beyond it after a round was saved.
    pub fn receive_facts(&mut self, facts: impl IntoIterator<Item = (Signal, Labels)>, now: Wall) -> u64 {
        for (signal, labels) in facts {
            self.order += 1;
            let fingerprint = Fingerprint::of(signal.kind, &signal.target);
            self.facts.push(Held { order: self.order, since: now, fingerprint, signal, labels });
        }
        self.order
    }

    /// The place of the oldest fact that is not folded yet; `u64::MAX` where none waits.
    pub fn oldest_waiting(&self) -> u64 {
        self.facts.iter().map(|held| held.order).min().unwrap_or(u64::MAX)
    }

    /// Takes what a shard reports.
    pub fn receive(&mut self, report: Report, now: Wall) {
        self.receive_facts(report.signals.into_iter().map(|signal| (signal, Labels::default())), now);
        for learned in report.learned {
            self.learned.insert(learned.series.clone(), (self.order, learned));
        }
        if let Some(barrier) = report.barrier {
            let key = (barrier.worker, barrier.number);
            let floors = barrier.floors.clone();
            let passing = self.passing.entry(key).or_insert_with(|| Passing {
                barrier,
                seen: BTreeSet::new(),
                behind: None,
            });
            passing.barrier.hold_back(floors);
            passing.seen.insert(report.thread);
            if passing.seen.len() == self.threads {
                passing.behind = Some(self.order);
            }
        }
    }

    /// Whether so many facts wait that no more should be received before a round has been saved.
    pub fn is_full(&self) -> bool {
        self.facts.len() >= FACTS_MAX
    }

    /// Whether a round would have anything to do.
    pub fn has_work(&self) -> bool {
        !self.facts.is_empty() || self.passing.values().any(|passing| passing.behind.is_some())
    }

    /// Whether what is unresolved has a say in what comes of the waiting facts.
    pub fn asks_for_unresolved(&self) -> bool {
        let explained = |held: &Held| self.can_be_inhibited(held.signal.kind);
        self.facts.iter().any(explained)
    }

    /// The fingerprints that the waiting facts concern: read their rows for [`fold`](Self::fold).
    pub fn fingerprints(&self) -> Vec<Fingerprint> {
        let distinct: BTreeSet<_> = self.facts.iter().map(|held| &held.fingerprint).collect();
        distinct.into_iter().cloned().collect()
    }

    /// Folds what waits into the rows that the store has. Nothing is forgotten before [`saved`](Self::saved): on a
    /// conflict or a failure give the changes back with [`undo`](Self::undo).
    pub fn fold(&mut self, shelf: &Shelf, now: Wall) -> Changes {
        let mut changes = Changes::default();
        let mut by_fingerprint: BTreeMap<Fingerprint, Vec<Held>> = BTreeMap::new();
        for held in std::mem::take(&mut self.facts) {
            by_fingerprint.entry(held.fingerprint.clone()).or_default().push(held);
        }
        for (fingerprint, held) in by_fingerprint {
            let (episodes, last_episode) = shelf.episodes.get(&fingerprint).cloned().unwrap_or_default();
            let (patient, impatient): (Vec<_>, Vec<_>) =
                held.into_iter().partition(|held| now.since(held.since) < WAIT_MAX);
            let newest = episodes.last();
            let clear = newest.map_or(EventTime::MAX, |incident| self.clearance(incident, shelf, now));
            // Without a fact that has waited its full time, those that must wait do; with one, all of this
            // fingerprint go, in order.
            let clear = if impatient.is_empty() { clear } else { EventTime::MAX };
            let signals: Vec<Signal> =
                patient.iter().chain(&impatient).map(|held| held.signal.clone()).collect();
            let (folded, waiting) = fold_signals(
                &episodes,
                last_episode,
                &signals,
                clear,
                now,
                &self.policy.context,
                &self.policy.knobs,
            );
            // An alert's labels are what it is known by, so all its facts have the same.
            let labels = patient.iter().chain(&impatient).next_back().map(|held| held.labels.clone());
            changes.impatient += impatient.len() as u64;
            for (place, held) in patient.into_iter().chain(impatient).enumerate() {
                if waiting.contains(&place) {
                    self.facts.push(held);
                } else {
                    changes.taken.push(held);
                }
            }
            for mut folded in folded {
                if folded.incident.kind == Kind::External {
                    for (name, value) in labels.iter().flat_map(Labels::iter) {
                        folded.incident.labels.set(name, value);
                    }
                    folded.incident.labels.set("kind", Kind::External.name());
                }
                self.consequences(folded, shelf, now, &mut changes);
            }
        }
        self.tell(shelf, now, &mut changes);
        let oldest_waiting = self.oldest_waiting();
        // What was learned of a slice is written no sooner than what was found in it: read again, it tells nothing.
        let due = self.learned.extract_if(.., |_, (behind, _)| *behind < oldest_waiting);
        changes.learned = due.map(|(_, (_, learned))| learned).collect();
        for passing in self.passing.values() {
            if passing.behind.is_some_and(|behind| behind < oldest_waiting) {
                changes.barriers.push(passing.barrier.clone());
            }
        }
        changes.progress =
            changes.barriers.iter().flat_map(|barrier| barrier.sources.iter().cloned()).collect();
        changes
    }

    /// Folds the passing of time into unresolved incidents: what is over resolves, acknowledgements run out, and the
    /// next step of an escalation is taken.
    pub fn fold_time(&mut self, unresolved: &[Incident], shelf: &Shelf, now: Wall) -> Changes {
        let mut changes = Changes::default();
        let mut due = Vec::new();
        for incident in unresolved {
            let clear = self.clearance(incident, shelf, now);
            match fold_time(incident, clear, now, &self.policy.knobs) {
                Some(folded) => self.consequences(folded, shelf, now, &mut changes),
                // After a start the rows are brought in line first.
                None if self.quiet.is_some() => due.extend(tell::step(incident, now)),
                None => {}
            }
        }
        self.tell(shelf, now, &mut changes);
        self.take_steps(due, shelf, now, &mut changes);
        changes
    }

    /// Ends incidents whose sender says that they are over, whenever they were to end by themselves.
    pub fn fold_over(&mut self, over: &[Incident], shelf: &Shelf, now: Wall) -> Changes {
        let mut changes = Changes::default();
        for incident in over {
            if let Some(mut folded) = fold_time(incident, EventTime::MAX, now, &self.policy.knobs) {
                // Not until the end that was announced: what fires again before then is news.
                let held = &mut folded.incident.holds_until;
                *held = (*held).min(now.as_event_time());
                self.consequences(folded, shelf, now, &mut changes);
            }
        }
        self.tell(shelf, now, &mut changes);
        changes
    }

    /// Folds what a person does.
    pub fn fold_command(
        &mut self,
        incident: &Incident,
        actor: &Actor,
        command: Command,
        shelf: &Shelf,
        now: Wall,
    ) -> Result<Changes, Refused> {
        let folded = fold_command(incident, actor, command, now, &self.policy.knobs)?;
        let mut changes = Changes::default();
        self.consequences(folded, shelf, now, &mut changes);
        self.tell(shelf, now, &mut changes);
        Ok(changes)
    }

    /// Whom to throttle because of one fold; whom to tell is decided when all are folded.
    fn consequences(&mut self, mut folded: Folded, shelf: &Shelf, now: Wall, changes: &mut Changes) {
        tell::count_steps(&self.policy.escalations, &mut folded, now);
        let active: Vec<Decision> = shelf.decisions.iter().chain(&changes.decisions).cloned().collect();
        let max_age = self.policy.knobs.max_age;
        let standing = Standing { now, active: &active, allows: &shelf.allows, max_age };
        for verdict in self.throttle.consider(&folded, standing) {
            match verdict {
                Verdict::Decide(decision) => changes.decisions.push(decision),
                Verdict::Refuse(_, refusal) => changes.refused.push(refusal),
            }
        }
        changes.folded.push(folded);
    }

    /// The changes are durable: forgets what they held, and hands out the barriers to answer.
    pub fn saved(&mut self, changes: Changes) -> Vec<Barrier> {
        if changes.quiet.is_some() {
            self.quiet = changes.quiet;
        }
        for barrier in &changes.barriers {
            self.passing.remove(&(barrier.worker, barrier.number));
        }
        changes.barriers
    }

    /// The changes could not be written: their facts wait again, in their old order.
    pub fn undo(&mut self, changes: Changes) {
        for learned in changes.learned {
            // What came meanwhile is newer.
            // Its facts wait again too, and are written with it or before.
            self.learned.entry(learned.series.clone()).or_insert((self.order, learned));
        }
        self.facts.extend(changes.taken);
        self.facts.sort_by_key(|held| held.order);
    }

    /// The time up to which everything that could concern an incident is known: the minimum over the entries that fed
    /// it. An entry without a clearance (never read to where it was) holds back; one that is no longer configured does
    /// not, since nothing will come from it. What no entry fed came by the wall clock, and ends by it.
    fn clearance(&self, incident: &Incident, shelf: &Shelf, now: Wall) -> EventTime {
        if incident.entries.is_empty() {
            return now.as_event_time();
        }
        let configured = incident.entries.iter().filter(|entry| self.policy.context.entries.contains(entry));
        let of = |entry: &String| shelf.clearances.get(entry).copied().unwrap_or(EventTime::MIN);
        configured.map(of).min().unwrap_or(EventTime::MAX)
    }

    /// What the configuration says.
    pub fn policy(&self) -> &Arc<Policy> {
        &self.policy
    }
}

impl Shelf {
    /// The ids of all its episodes, for reading their outbox rows.
    pub fn ids(&self) -> Vec<IncidentId> {
        self.episodes
            .values()
            .flat_map(|(episodes, _)| episodes)
            .map(|incident| incident.id.clone())
            .collect()
    }
}
