//! One fingerprint's episodes, one cause, and what comes of it. Pure: the store decides whether it may be written.

use std::collections::{BTreeMap, BTreeSet};

use beaconfire_model::{Earliest, EventTime, Labels, Participant, Signal, SubjectKind, Untrusted, Wall};

use crate::{
    Acknowledgement, Context, Fingerprint, Incident, IncidentId, Knobs, ParticipantRow, RatePoint, RulePeak, SampleRow,
    SignalRow, Status, TimelineEntry, Transition, title,
};

/// Rules kept in one incident.
const RULES_MAX: usize = 100;

/// Who writes the timeline where no person does.
const OURSELVES: &str = "beaconfire";

/// Who gives a command: a person's or token's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor(pub String);

/// What a person can do to an incident.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Take it.
    Acknowledge,
    /// Close it by hand: facts up to the furthest one known change nothing more.
    Resolve,
    /// Take the acknowledgement or the manual resolve back.
    Reopen,
    /// Write a line into its timeline.
    Note(String),
}

/// What can change an incident.
#[derive(Debug, Clone, PartialEq)]
pub enum Cause {
    /// Detection states facts.
    Signals(Vec<Signal>),
    /// A person says so.
    Command(Actor, Command),
    /// Time has passed.
    Time,
}

/// What came of a fold: a row to write under the version it was read with, and what hangs on it.
#[derive(Debug, Clone, PartialEq)]
pub struct Folded {
    /// The new state; its `version` is still the one that was read.
    pub incident: Incident,
    /// What happened, in order; empty where only rows below were joined.
    pub transitions: Vec<Transition>,
    /// (rule, subject) rows to upsert by join.
    pub signals: Vec<SignalRow>,
    /// Participants to upsert by join.
    pub participants: Vec<ParticipantRow>,
    /// Chart points to upsert by maximum.
    pub points: Vec<RatePoint>,
    /// Raw records to keep, while there are fewer than ten.
    pub samples: Vec<SampleRow>,
    /// Lines for the timeline.
    pub timeline: Vec<TimelineEntry>,
}

/// Why a command changes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused(pub String);

/// Folds facts of one fingerprint into its stored episodes.
///
/// `episodes` are the latest episodes of the fingerprint, oldest first; `last_episode` the highest number it ever
/// had (kept beyond retention). Facts that would begin a new episode while `clear_through` (the clearance of the
/// entries that feed the newest episode) has not passed its end come back in the second list: hold on to them.
///
/// A fact that lies before or between stored episodes, too far from each to belong to it, is history that was told
/// already or never will be: it raises the closest episode's peaks and nothing else.
pub fn fold_signals(
    episodes: &[Incident],
    last_episode: u32,
    mut signals: Vec<Signal>,
    clear_through: EventTime,
    now: Wall,
    context: &Context,
    knobs: &Knobs,
) -> (Vec<Folded>, Vec<Signal>) {
    signals.sort_by(|a, b| (a.first, &a.rule, &a.subject).cmp(&(b.first, &b.rule, &b.subject)));
    let mut desk = Desk {
        work: episodes.iter().cloned().map(Work::on).collect(),
        last_episode: episodes.iter().map(|incident| incident.episode).max().unwrap_or(0).max(last_episode),
        now,
        context,
        knobs,
    };
    let mut waiting = Vec::new();
    for signal in signals {
        if let Err(signal) = desk.take(signal, clear_through) {
            waiting.push(*signal);
        }
    }
    (desk.work.into_iter().filter_map(|work| work.finish(now, context)).collect(), waiting)
}

/// The episodes of one fingerprint while facts are folded into them.
struct Desk<'a> {
    work: Vec<Work>,
    last_episode: u32,
    now: Wall,
    context: &'a Context,
    knobs: &'a Knobs,
}

/// What a fact does where it belongs.
enum Place {
    /// It belongs to this episode.
    In(usize),
    /// It only raises this episode's peaks.
    Peaks(usize),
    /// It begins a new one.
    New,
    /// It would begin a new one, but the newest may not be over.
    Wait,
}

impl Desk<'_> {
    fn take(&mut self, signal: Signal, clear_through: EventTime) -> Result<(), Box<Signal>> {
        let (place, clipped) = self.place(&signal, clear_through);
        match place {
            Place::In(at) => self.work[at].fold(clipped, self.now, self.context, self.knobs),
            Place::Peaks(at) => self.work[at].raise(&clipped),
            Place::Wait => return Err(Box::new(signal)),
            Place::New => {
                if let Some(newest) = self.work.last_mut().filter(|work| work.incident.status != Status::Resolved) {
                    newest.resolve(None, self.now);
                }
                self.last_episode += 1;
                self.work.push(Work::open(&clipped, self.last_episode, self.now, self.knobs));
                if let Some(work) = self.work.last_mut() {
                    work.fold(clipped, self.now, self.context, self.knobs);
                }
            }
        }
        Ok(())
    }

    /// Where a fact belongs. What a person closed stays closed: a fact that goes on beyond the closed span counts from
    /// the end of that span.
    fn place(&self, signal: &Signal, clear_through: EventTime) -> (Place, Signal) {
        let mut signal = signal.clone();
        let gap = self.knobs.resolve_after(signal.kind) + self.knobs.flap_window;
        let closed = self.work.iter().enumerate().rev().find_map(|(at, work)| work.incident.closed_through.map(|through| (at, through)));
        let mut open_from = 0;
        if let Some((at, through)) = closed {
            let floor = through.plus(self.knobs.flap_window);
            if signal.holds_until.0 <= floor {
                let own = self.work[..=at].iter().rposition(|work| work.incident.detected_at <= signal.holds_until.0);
                return (Place::Peaks(own.unwrap_or(at)), signal);
            }
            if signal.first.0 < floor {
                signal.first = Earliest(floor);
                signal.began = Earliest(signal.began.0.max(through));
            }
            open_from = at + 1;
        }
        let (first, until) = (signal.first.0, signal.holds_until.0);
        let candidates = || (open_from..self.work.len()).map(|at| (at, &self.work[at].incident));
        let fits = |incident: &Incident| first <= incident.holds_until.plus(gap) && incident.detected_at <= until.plus(gap);
        let place = if let Some((at, _)) =
            candidates().rev().find(|(_, held)| fits(held) && held.detected_at <= first).or_else(|| candidates().find(|(_, held)| fits(held)))
        {
            Place::In(at)
        } else {
            match candidates().next_back() {
                None => Place::New,
                Some((_, newest)) if first > newest.holds_until => {
                    if clear_through >= newest.holds_until.plus(gap) { Place::New } else { Place::Wait }
                }
                Some(_) => {
                    let distance = |held: &Incident| held.detected_at.since(until).max(first.since(held.holds_until));
                    let closest = candidates().min_by_key(|(_, held)| distance(held)).map_or(0, |(at, _)| at);
                    Place::Peaks(closest)
                }
            }
        };
        (place, signal)
    }
}

/// One episode while facts are folded into it.
struct Work {
    incident: Incident,
    before: Option<Incident>,
    transitions: Vec<Transition>,
    signals: Vec<SignalRow>,
    participants: BTreeMap<beaconfire_model::Subject, ParticipantRow>,
    points: Vec<RatePoint>,
    samples: Vec<SampleRow>,
    timeline: Vec<TimelineEntry>,
}

impl Work {
    fn on(incident: Incident) -> Self {
        Self {
            before: Some(incident.clone()),
            incident,
            transitions: Vec::new(),
            signals: Vec::new(),
            participants: BTreeMap::new(),
            points: Vec::new(),
            samples: Vec::new(),
            timeline: Vec::new(),
        }
    }

    fn open(signal: &Signal, episode: u32, now: Wall, knobs: &Knobs) -> Self {
        let fingerprint = Fingerprint::of(signal.kind, &signal.target);
        let incident = Incident {
            id: IncidentId::of(&fingerprint, episode),
            fingerprint,
            episode,
            version: 0,
            kind: signal.kind,
            severity: signal.severity,
            status: Status::Open,
            target: signal.target.clone(),
            labels: Labels::default(),
            rules: BTreeMap::new(),
            rules_beyond: 0,
            started_at: signal.began.0,
            detected_at: signal.first.0,
            holds_until: signal.holds_until.0,
            entries: BTreeSet::new(),
            opened_at: now,
            changed_at: now,
            resolved_at: None,
            resolved_by: None,
            acknowledged: None,
            closed_through: None,
            revision: 1,
            participants_total: 0,
            participants_estimated: false,
            stale: is_stale(signal, now, knobs),
        };
        let mut work = Self::on(incident);
        work.before = None;
        work.transitions.push(Transition::Opened);
        work
    }

    /// Folds a fact that belongs here.
    fn fold(&mut self, signal: Signal, now: Wall, context: &Context, knobs: &Knobs) {
        let opened_here = self.transitions.contains(&Transition::Opened);
        let known = self.incident.clone();
        if self.incident.stale && !is_stale(&signal, now, knobs) {
            // Fresh news of what was found too late to tell: now it is told.
            self.incident.stale = false;
            if !opened_here {
                self.tell(Transition::Opened);
            }
        }
        if known.status == Status::Resolved && signal.holds_until.0 > known.holds_until {
            self.incident.status = Status::Open;
            self.incident.resolved_at = None;
            self.incident.resolved_by = None;
            self.tell(Transition::Reopened);
        }
        let resolved = self.incident.status == Status::Resolved;
        if signal.severity > known.severity {
            self.incident.severity = signal.severity;
            if !opened_here && !resolved {
                self.tell(Transition::Escalated { from: known.severity });
            }
        }
        if !known.rules.is_empty() && !known.rules.contains_key(&signal.rule) && !opened_here && !resolved && known.rules.len() < RULES_MAX {
            self.tell(Transition::Joined { rule: signal.rule.clone() });
        }
        let incident = &mut self.incident;
        incident.started_at = incident.started_at.min(signal.began.0);
        incident.detected_at = incident.detected_at.min(signal.first.0);
        incident.holds_until = incident.holds_until.max(signal.holds_until.0);
        if let Some(entry) = context.entries.get(usize::from(signal.entry.0)) {
            incident.entries.insert(entry.clone());
        }
        self.raise(&signal);
    }

    /// Something that everybody must hear of again: what was acknowledged is open again.
    fn tell(&mut self, transition: Transition) {
        if self.incident.status == Status::Acknowledged {
            self.incident.status = Status::Open;
        }
        self.incident.acknowledged = None;
        self.incident.revision += 1;
        self.transitions.push(transition);
    }

    /// Joins a fact's numbers.
    fn raise(&mut self, signal: &Signal) {
        let observed = signal.evidence.observed.0;
        let rules = &mut self.incident.rules;
        if let Some(peak) = rules.get_mut(&signal.rule) {
            let higher = observed > peak.observed || (observed == peak.observed && signal.subject < peak.subject);
            if higher {
                peak.observed = observed;
                peak.threshold = signal.evidence.threshold;
                peak.window = signal.evidence.window;
                peak.subject = signal.subject.clone();
            }
            peak.severity = peak.severity.max(signal.severity);
            peak.first = peak.first.min(signal.first.0);
            peak.holds_until = peak.holds_until.max(signal.holds_until.0);
        } else if rules.len() < RULES_MAX {
            rules.insert(signal.rule.clone(), RulePeak {
                severity: signal.severity,
                observed,
                threshold: signal.evidence.threshold,
                window: signal.evidence.window,
                subject: signal.subject.clone(),
                first: signal.first.0,
                holds_until: signal.holds_until.0,
            });
        } else {
            self.incident.rules_beyond = 1;
        }
        self.signals.push(SignalRow {
            rule: signal.rule.clone(),
            subject: signal.subject.clone(),
            severity: signal.severity,
            observed,
            threshold: signal.evidence.threshold,
            window: signal.evidence.window,
            first: signal.first.0,
            holds_until: signal.holds_until.0,
        });
        if !signal.participants.is_empty() {
            for participant in &signal.participants {
                self.join(participant.clone());
            }
        } else if signal.subject != signal.target {
            self.join(Participant {
                subject: signal.subject.clone(),
                events: signal.evidence.observed,
                first_seen: signal.began,
                last_seen: signal.holds_until,
            });
        }
        self.points.extend(signal.evidence.series.iter().map(|(at, value)| RatePoint { rule: signal.rule.clone(), at: *at, value: *value }));
        self.samples.extend(signal.samples.iter().cloned());
    }

    fn join(&mut self, participant: ParticipantRow) {
        match self.participants.get_mut(&participant.subject) {
            Some(held) => {
                held.events = held.events.join(participant.events);
                held.first_seen = held.first_seen.join(participant.first_seen);
                held.last_seen = held.last_seen.join(participant.last_seen);
            }
            None => {
                self.participants.insert(participant.subject.clone(), participant);
            }
        }
    }

    fn resolve(&mut self, by: Option<String>, now: Wall) {
        self.incident.status = Status::Resolved;
        self.incident.resolved_at = Some(now);
        self.incident.resolved_by.clone_from(&by);
        self.incident.acknowledged = None;
        self.incident.revision += 1;
        self.transitions.push(Transition::Resolved { by });
    }

    /// What is to be written, if anything is.
    fn finish(mut self, now: Wall, context: &Context) -> Option<Folded> {
        self.incident.labels = labels(&self.incident, context);
        let same = self.before.as_ref() == Some(&self.incident);
        if same && self.transitions.is_empty() && self.signals.is_empty() {
            return None;
        }
        if !same {
            self.incident.changed_at = now;
            if self.transitions.is_empty() {
                self.transitions.push(Transition::Grew);
            }
        }
        for transition in self.transitions.iter().filter(|transition| transition.tells()) {
            self.timeline.push(entry(&self.incident, transition, OURSELVES, now));
        }
        Some(Folded {
            incident: self.incident,
            transitions: self.transitions,
            signals: self.signals,
            participants: self.participants.into_values().collect(),
            points: self.points,
            samples: self.samples,
            timeline: self.timeline,
        })
    }
}

fn is_stale(signal: &Signal, now: Wall, knobs: &Knobs) -> bool {
    now.as_event_time().since(signal.holds_until.0) > knobs.max_age
}

/// The labels that routes and receivers see: outer ones first, so that an incident's own win.
fn labels(incident: &Incident, context: &Context) -> Labels {
    let mut labels = context.external.clone();
    let earliest = incident.rules.iter().min_by_key(|(name, peak)| (peak.first, *name)).map(|(name, _)| name);
    let service = (incident.target.kind == SubjectKind::Service).then(|| context.services.get(&*incident.target.value)).flatten();
    for extra in service.map(|service| &service.labels).into_iter().chain(earliest.and_then(|name| context.rules.get(&**name))) {
        for (name, value) in extra.iter() {
            labels.set(name, value);
        }
    }
    let target = Untrusted::new(&incident.target.value, 256);
    labels.set(incident.target.kind.name(), target.clean());
    labels.set("kind", incident.kind.name());
    labels.set("severity", incident.severity.name());
    if let Some(name) = earliest {
        labels.set("alertname", Untrusted::new(name, 256).clean());
    }
    labels
}

/// A transition as a line of the timeline.
fn entry(incident: &Incident, transition: &Transition, actor: &str, now: Wall) -> TimelineEntry {
    let (event_at, text) = match transition {
        Transition::Opened => (Some(incident.detected_at), title(incident)),
        Transition::Reopened => (Some(incident.holds_until), "it holds again".to_owned()),
        Transition::Escalated { from } => (None, format!("severity rose from {} to {}", from.name(), incident.severity.name())),
        Transition::Joined { rule } => (None, format!("{} holds too", Untrusted::new(rule, 256).clean())),
        Transition::Grew => (None, String::new()),
        Transition::Acknowledged { by } => (None, format!("{by} is on it")),
        Transition::Unacknowledged => (None, "nobody is on it any more".to_owned()),
        Transition::Resolved { by: Some(by) } => (Some(incident.holds_until), format!("closed by {by}")),
        Transition::Resolved { by: None } => (Some(incident.holds_until), "it no longer holds".to_owned()),
    };
    TimelineEntry { at: now, event_at, actor: actor.to_owned(), what: transition.name().to_owned(), text }
}

/// Folds what a person does. Refused, in words, where it makes no sense.
pub fn fold_command(current: &Incident, actor: &Actor, command: Command, now: Wall, knobs: &Knobs) -> Result<Folded, Refused> {
    let mut work = Work::on(current.clone());
    let name = Untrusted::new(&actor.0, 128).clean().to_owned();
    let refuse = |said: &str| Err(Refused(said.to_owned()));
    match command {
        Command::Acknowledge => {
            match current.status {
                Status::Resolved => return refuse("it is resolved: there is nothing to take"),
                Status::Acknowledged if current.acknowledged.as_ref().is_some_and(|held| held.by == name) => {
                    return refuse("you have it already");
                }
                Status::Open | Status::Acknowledged => {}
            }
            work.incident.status = Status::Acknowledged;
            work.incident.acknowledged = Some(Acknowledgement { by: name.clone(), at: now, until: now.plus(knobs.ack_expiry) });
            work.incident.revision += 1;
            work.transitions.push(Transition::Acknowledged { by: name.clone() });
        }
        Command::Resolve => {
            if current.status == Status::Resolved {
                return refuse("it is resolved already");
            }
            work.incident.closed_through = Some(current.holds_until);
            work.resolve(Some(name.clone()), now);
        }
        Command::Reopen => {
            match current.status {
                Status::Open => return refuse("it is open already"),
                Status::Acknowledged => work.transitions.push(Transition::Unacknowledged),
                Status::Resolved if current.closed_through.is_none() => {
                    return refuse("it no longer holds: if it happens again, it opens by itself");
                }
                Status::Resolved => work.transitions.push(Transition::Reopened),
            }
            work.incident.status = Status::Open;
            work.incident.acknowledged = None;
            work.incident.resolved_at = None;
            work.incident.resolved_by = None;
            work.incident.closed_through = None;
            work.incident.revision += 1;
        }
        Command::Note(text) => {
            let text = Untrusted::new(text.trim(), 2_000);
            if text.clean().is_empty() {
                return refuse("the note is empty");
            }
            work.timeline.push(TimelineEntry {
                at: now, event_at: None, actor: name.clone(), what: "noted".to_owned(), text: text.clean().to_owned(),
            });
        }
    }
    work.incident.changed_at = now;
    let told: Vec<_> = work.transitions.iter().map(|transition| entry(&work.incident, transition, &name, now)).collect();
    work.timeline.extend(told);
    Ok(Folded {
        incident: work.incident,
        transitions: work.transitions,
        signals: Vec::new(),
        participants: Vec::new(),
        points: Vec::new(),
        samples: Vec::new(),
        timeline: work.timeline,
    })
}

/// Folds the passing of time: resolves where `clear_through` is at least `holds_until + resolve_after`, ends an
/// acknowledgement that has run out. `None` where nothing changes.
pub fn fold_time(current: &Incident, clear_through: EventTime, now: Wall, knobs: &Knobs) -> Option<Folded> {
    let mut work = Work::on(current.clone());
    if current.status == Status::Resolved {
        return None;
    }
    if clear_through >= current.holds_until.plus(knobs.resolve_after(current.kind)) {
        work.resolve(None, now);
    } else if current.acknowledged.as_ref().is_some_and(|held| held.until <= now) {
        work.tell(Transition::Unacknowledged);
    } else {
        return None;
    }
    work.incident.changed_at = now;
    let timeline = work.transitions.iter().map(|transition| entry(&work.incident, transition, OURSELVES, now)).collect();
    Some(Folded {
        incident: work.incident,
        transitions: work.transitions,
        signals: Vec::new(),
        participants: Vec::new(),
        points: Vec::new(),
        samples: Vec::new(),
        timeline,
    })
}
