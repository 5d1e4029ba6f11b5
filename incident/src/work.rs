//! One episode while it is being folded: what is joined, and what is told because of it.
//!
//! All that facts touch is a minimum, a maximum or a peak, and the revision counts what was told by what is recorded
//! (each rule one, each step of severity one, being fresh one), not by how facts were batched: a replay that cuts the
//! same facts otherwise ends with the same incident, and its messages carry the same ids.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use beaconfire_model::{
    Earliest, EventTime, Kind, Labels, Latest, Participant, Peak, Severity, Signal, Subject, SubjectKind,
    Untrusted, Wall,
};

use crate::{
    Context, Fingerprint, Folded, Incident, IncidentId, Knobs, ParticipantRow, RatePoint, RulePeak,
    SampleRow, SignalRow, Status, TimelineEntry, Transition, Untold, title,
};

/// Rules kept in an incident: the first so many by name, which is the same set in whatever order they come.
pub(crate) const RULES_MAX: usize = 100;

/// Raw records handed on by one fold.
const SAMPLES_MAX: usize = 10;

/// The actor of what nobody did by hand.
pub(crate) const OURSELVES: &str = "beaconfire";

/// The smallest step of event time.
const TICK: Duration = Duration::from_millis(1);

/// What of a fact's time counts in an episode.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    pub(crate) began: EventTime,
    pub(crate) first: EventTime,
    pub(crate) until: EventTime,
}

impl Span {
    /// All of it. A fact holds at least at the moment it was first seen.
    pub(crate) fn of(signal: &Signal) -> Self {
        let first = signal.first.0;
        Self { began: signal.began.0.min(first), first, until: signal.holds_until.0.max(first) }
    }

    /// What of it lies after `end`; nothing of it began before `began`.
    pub(crate) fn after(mut self, end: EventTime, began: EventTime) -> Self {
        self.first = self.first.max(end.plus(TICK));
        self.began = self.began.max(began);
        self
    }

    /// What of it lies up to `end`.
    pub(crate) fn up_to(mut self, end: EventTime) -> Self {
        self.first = self.first.min(end);
        self.until = self.until.min(end);
        self
    }
}

/// See the file's head.
pub(crate) struct Work {
    incident: Incident,
    /// As it was read; `None` for an episode that begins here.
    before: Option<Incident>,
    transitions: Vec<Transition>,
    signals: BTreeMap<(Arc<str>, Subject), SignalRow>,
    participants: BTreeMap<Subject, ParticipantRow>,
    points: BTreeMap<(Arc<str>, EventTime), f64>,
    samples: Vec<SampleRow>,
    timeline: Vec<TimelineEntry>,
}

impl Work {
    /// A stored episode.
    pub(crate) fn on(incident: Incident) -> Self {
        Self {
            before: Some(incident.clone()),
            incident,
            transitions: Vec::new(),
            signals: BTreeMap::new(),
            participants: BTreeMap::new(),
            points: BTreeMap::new(),
            samples: Vec::new(),
            timeline: Vec::new(),
        }
    }

    /// A new episode, into which its first fact is still to be folded.
    pub(crate) fn open(signal: &Signal, span: Span, episode: u32, now: Wall, knobs: &Knobs) -> Self {
        let fingerprint = Fingerprint::of(signal.kind, &signal.target);
        let stale = is_stale(span, now, knobs);
        let mut work = Self::on(Incident {
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
            started_at: span.began,
            detected_at: span.first,
            holds_until: span.until,
            entries: BTreeSet::new(),
            opened_at: now,
            changed_at: now,
            resolved_at: None,
            resolved_by: None,
            acknowledged: None,
            assignee: None,
            steps: Vec::new(),
            closed_through: None,
            revision: steps(Severity::Info, signal.severity) + u32::from(!stale),
            participants_total: 0,
            participants_estimated: false,
            stale,
            untold: Untold::default(),
        });
        work.before = None;
        work.transitions.push(Transition::Opened);
        work
    }

    pub(crate) fn incident(&self) -> &Incident {
        &self.incident
    }

    pub(crate) fn incident_mut(&mut self) -> &mut Incident {
        &mut self.incident
    }

    /// Folds a fact that belongs here. Only the newest episode may be taken up again: one is open at a time, and what
    /// is known late of an older one has been overtaken.
    pub(crate) fn fold(
        &mut self,
        signal: &Signal,
        span: Span,
        newest: bool,
        now: Wall,
        context: &Context,
        knobs: &Knobs,
    ) {
        let fresh = !is_stale(span, now, knobs);
        let resolved = self.incident.status == Status::Resolved;
        let reopens = resolved && newest && fresh && span.until > self.incident.holds_until;
        let quiet = resolved && !reopens;
        if reopens {
            self.incident.status = Status::Open;
            self.incident.resolved_at = None;
            self.incident.resolved_by = None;
            self.tell(Transition::Reopened);
        }
        if self.incident.stale && fresh && !quiet {
            self.incident.stale = false;
            self.news(1, (!reopens).then_some(Transition::Opened));
        }
        // What was found too late moves the record, and the revision with it, and disturbs nobody.
        let hushed = !fresh && !self.incident.stale && !quiet;
        if signal.severity > self.incident.severity {
            let from = std::mem::replace(&mut self.incident.severity, signal.severity);
            if hushed {
                self.incident.revision += steps(from, signal.severity);
                let untold = &mut self.incident.untold.rose_from;
                *untold = Some(untold.map_or(from, |held| held.min(from)));
            } else if !quiet {
                self.news(steps(from, signal.severity), Some(Transition::Escalated { from }));
            }
        }
        if self.join_rule(signal, span) && !quiet {
            // Parts of an engine's finding explain it, and are no news by themselves.
            let is_part = matches!(signal.kind, Kind::Flood | Kind::Surge) && signal.rule.contains(": ");
            let silent = is_part || self.incident.rules.len() == 1;
            if hushed {
                self.incident.revision += 1;
                if !is_part {
                    self.incident.untold.rules.insert(signal.rule.clone());
                }
            } else {
                self.news(1, (!silent).then(|| Transition::Joined { rule: signal.rule.clone() }));
            }
        }
        if fresh && !quiet {
            self.tell_untold(signal);
        }
        let incident = &mut self.incident;
        incident.started_at = incident.started_at.min(span.began);
        incident.detected_at = incident.detected_at.min(span.first);
        incident.holds_until = incident.holds_until.max(span.until);
        if let Some(entry) = context.entries.get(usize::from(signal.entry.0)) {
            incident.entries.insert(entry.clone());
        }
        self.join_rows(signal, span);
    }

    /// Tells what old facts brought in, now that a fresh one says the same.
    fn tell_untold(&mut self, signal: &Signal) {
        if let Some(from) = self.incident.untold.rose_from.filter(|from| *from < signal.severity) {
            self.news(0, Some(Transition::Escalated { from }));
        }
        if self.incident.untold.rules.remove(&signal.rule) {
            self.news(0, Some(Transition::Joined { rule: signal.rule.clone() }));
        }
    }

    /// Takes note of a fact that belongs to no episode, this one being closest: its rows are kept, and a rule that is
    /// here already may rise. Severity and new rules are left alone, or a later fact that belongs here and brings
    /// them would tell nobody.
    pub(crate) fn note(&mut self, signal: &Signal, span: Span) {
        if let Some(peak) = self.incident.rules.get_mut(&signal.rule) {
            let held = Span { began: peak.first, first: peak.first, until: peak.holds_until };
            raise(peak, signal, held);
        }
        self.join_rows(signal, span);
    }

    /// Ends an episode that time has ended; nothing where it is resolved already.
    pub(crate) fn end(&mut self, now: Wall) {
        if self.incident.status != Status::Resolved {
            self.resolve(None, now);
        }
    }

    pub(crate) fn resolve(&mut self, by: Option<String>, now: Wall) {
        self.incident.status = Status::Resolved;
        self.incident.resolved_at = Some(now);
        self.incident.resolved_by.clone_from(&by);
        self.incident.revision += 1;
        self.transitions.push(Transition::Resolved { by });
    }

    /// Something that everybody must hear of: what was acknowledged is open again.
    pub(crate) fn tell(&mut self, transition: Transition) {
        self.news(1, Some(transition));
    }

    /// Moves the revision and tells of it; what an opening brings along is told with it.
    fn news(&mut self, by: u32, transition: Option<Transition>) {
        self.incident.revision += by;
        if self.incident.status == Status::Acknowledged {
            self.incident.status = Status::Open;
        }
        if self.incident.status == Status::Open {
            self.incident.acknowledged = None;
        }
        let Some(transition) = transition.filter(|_| self.before.is_some()) else {
            return;
        };
        let rose = |held: &Transition| matches!(held, Transition::Escalated { .. });
        if rose(&transition) && self.transitions.iter().any(rose) {
            // The first of several rises in one fold says where it came from; the incident says where it went.
            return;
        }
        self.transitions.push(transition);
    }

    /// A transition that moves the revision and leaves an acknowledgement be.
    pub(crate) fn push(&mut self, transition: Transition) {
        self.incident.revision += 1;
        self.transitions.push(transition);
    }

    pub(crate) fn line(&mut self, line: TimelineEntry) {
        self.timeline.push(line);
    }

    /// Joins a fact into its rule's peak. Whether the rule is new here, and was let in.
    fn join_rule(&mut self, signal: &Signal, span: Span) -> bool {
        let rules = &mut self.incident.rules;
        if let Some(peak) = rules.get_mut(&signal.rule) {
            raise(peak, signal, span);
            return false;
        }
        let full = rules.len() >= RULES_MAX;
        if full {
            self.incident.rules_beyond = 1;
            if rules.last_key_value().is_some_and(|(last, _)| *last <= signal.rule) {
                return false;
            }
            rules.pop_last();
        }
        let peak = RulePeak {
            severity: signal.severity,
            observed: observed(signal),
            threshold: signal.evidence.threshold,
            window: signal.evidence.window,
            subject: signal.subject.clone(),
            crowd: signal.evidence.crowd,
            first: span.first,
            holds_until: span.until,
        };
        rules.insert(signal.rule.clone(), peak);
        !full
    }

    /// Joins what is stored in rows of its own.
    fn join_rows(&mut self, signal: &Signal, span: Span) {
        let row = SignalRow {
            rule: signal.rule.clone(),
            subject: signal.subject.clone(),
            severity: signal.severity,
            observed: observed(signal),
            threshold: signal.evidence.threshold,
            window: signal.evidence.window,
            first: span.first,
            holds_until: span.until,
        };
        self.signals
            .entry((row.rule.clone(), row.subject.clone()))
            .and_modify(|held| {
                if (held.observed, held.threshold, held.window) < (row.observed, row.threshold, row.window) {
                    (held.observed, held.threshold, held.window) = (row.observed, row.threshold, row.window);
                }
                held.severity = held.severity.max(row.severity);
                held.first = held.first.min(row.first);
                held.holds_until = held.holds_until.max(row.holds_until);
            })
            .or_insert(row);
        for participant in &signal.participants {
            self.join_participant(participant.clone());
        }
        if signal.participants.is_empty() && signal.subject != signal.target {
            self.join_participant(Participant {
                subject: signal.subject.clone(),
                events: Peak(observed(signal)),
                first_seen: Earliest(span.began),
                last_seen: Latest(span.until),
            });
        }
        for (at, value) in &signal.evidence.series {
            let point = self.points.entry((signal.rule.clone(), *at)).or_insert(*value);
            *point = point.max(*value);
        }
        let room = SAMPLES_MAX - self.samples.len();
        self.samples.extend(signal.samples.iter().take(room).cloned());
    }

    fn join_participant(&mut self, participant: ParticipantRow) {
        self.participants
            .entry(participant.subject.clone())
            .and_modify(|held| {
                held.events = held.events.join(participant.events);
                held.first_seen = held.first_seen.join(participant.first_seen);
                held.last_seen = held.last_seen.join(participant.last_seen);
            })
            .or_insert(participant);
    }

    /// Whether there is anything to write.
    pub(crate) fn is_touched(&self) -> bool {
        !self.signals.is_empty() || !self.transitions.is_empty()
    }

    /// What is to be written after facts were folded.
    pub(crate) fn finish(mut self, now: Wall, context: &Context) -> Folded {
        let took_part = u64::try_from(self.participants.len()).unwrap_or(u64::MAX);
        self.incident.participants_total = self.incident.participants_total.max(took_part);
        self.incident.labels = labels(&self.incident, context);
        if self.before.as_ref() != Some(&self.incident) && self.transitions.is_empty() {
            self.transitions.push(Transition::Grew);
        }
        self.close(now, OURSELVES)
    }

    /// What is to be written, with the timeline's lines in `actor`'s name.
    pub(crate) fn close(mut self, now: Wall, actor: &str) -> Folded {
        if self.transitions.iter().any(Transition::disturbs) {
            // Whoever is disturbed is shown the incident whole.
            self.incident.untold = Untold::default();
        }
        if self.before.as_ref() != Some(&self.incident) {
            self.incident.changed_at = now;
        }
        for transition in self.transitions.iter().filter(|transition| transition.tells()) {
            self.timeline.push(entry(&self.incident, transition, actor, now));
        }
        let points = self.points.into_iter().map(|((rule, at), value)| RatePoint { rule, at, value });
        Folded {
            incident: self.incident,
            transitions: self.transitions,
            signals: self.signals.into_values().collect(),
            participants: self.participants.into_values().collect(),
            points: points.collect(),
            samples: self.samples,
            timeline: self.timeline,
        }
    }
}

/// Joins a fact into a rule's peak. Ties of the peak are broken by all that is shown of it, so that the order in
/// which facts come does not matter.
fn raise(peak: &mut RulePeak, signal: &Signal, span: Span) {
    let evidence = &signal.evidence;
    let order = observed(signal)
        .total_cmp(&peak.observed)
        .then_with(|| peak.subject.cmp(&signal.subject))
        .then_with(|| evidence.threshold.total_cmp(&peak.threshold))
        .then_with(|| evidence.window.cmp(&peak.window));
    if order.is_gt() {
        peak.observed = observed(signal);
        peak.threshold = evidence.threshold;
        peak.window = evidence.window;
        peak.subject = signal.subject.clone();
    }
    peak.crowd = match (peak.crowd, evidence.crowd) {
        (Some(held), Some(new)) => Some(held.join(new)),
        (held, new) => held.or(new),
    };
    peak.severity = peak.severity.max(signal.severity);
    peak.first = peak.first.min(span.first);
    peak.holds_until = peak.holds_until.max(span.until);
}

/// The peak of a fact; what is not a number counts as nothing, or an incident would not equal itself.
fn observed(signal: &Signal) -> f64 {
    let peak = signal.evidence.observed.0;
    if peak.is_nan() { 0.0 } else { peak }
}

fn is_stale(span: Span, now: Wall, knobs: &Knobs) -> bool {
    now.as_event_time().since(span.until) > knobs.max_age
}

/// How many steps worse `to` is than `from`.
fn steps(from: Severity, to: Severity) -> u32 {
    Severity::ALL.into_iter().map(|severity| u32::from(from < severity && severity <= to)).sum()
}

/// The labels that routes and receivers see. Outer ones are set first (external, the service's, those of the rule
/// that fired first), so that an incident's own win.
fn labels(incident: &Incident, context: &Context) -> Labels {
    let earliest = incident.rules.iter().min_by_key(|(name, peak)| (peak.first, *name)).map(|(name, _)| name);
    let service = (incident.target.kind == SubjectKind::Service)
        .then(|| context.services.get(&*incident.target.value))
        .flatten()
        .map(|facts| &facts.labels);
    let rule = earliest.and_then(|name| context.rules.get(&**name));
    let mut labels = context.external.clone();
    for (name, value) in service.into_iter().chain(rule).flat_map(Labels::iter) {
        labels.set(name, value);
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
        Transition::Reopened => (Some(incident.holds_until), "open again".to_owned()),
        Transition::Escalated { from } => {
            (None, format!("severity rose from {} to {}", from.name(), incident.severity.name()))
        }
        Transition::Joined { rule } => {
            let first = incident.rules.get(rule).map(|peak| peak.first);
            (first, format!("{} fires too", Untrusted::new(rule, 256).clean()))
        }
        Transition::Grew => (Some(incident.holds_until), "grew".to_owned()),
        Transition::Acknowledged { by } => (None, format!("{by} is on it")),
        Transition::Unacknowledged => (None, "nobody is on it any more".to_owned()),
        Transition::Resolved { by: Some(by) } => (None, format!("closed by {by}")),
        Transition::Resolved { by: None } => (Some(incident.holds_until), "it has stopped".to_owned()),
    };
    TimelineEntry { at: now, event_at, actor: actor.to_owned(), what: transition.name().to_owned(), text }
}
