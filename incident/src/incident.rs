//! The incident as a value, the rows that hang on it, and what can happen to it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use beaconfire_model::{Crowd, EventTime, Kind, Labels, Participant, Severity, Specimen, Subject, Wall};

use crate::{Fingerprint, IncidentId};

/// Where an incident stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// It holds, and nobody has taken it.
    Open,
    /// It holds, and somebody is on it.
    Acknowledged,
    /// It no longer holds, or somebody closed it.
    Resolved,
}

impl Status {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Open, Self::Acknowledged, Self::Resolved];

    /// The name in JSON and SQL.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Acknowledged => "acknowledged",
            Self::Resolved => "resolved",
        }
    }

    /// The status with this [`name`](Self::name).
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.name() == name)
    }
}

/// One episode of one fingerprint.
#[derive(Debug, Clone, PartialEq)]
pub struct Incident {
    /// `H(fingerprint, episode)`.
    pub id: IncidentId,
    /// `H(kind, target)`.
    pub fingerprint: Fingerprint,
    /// Which run of facts of this fingerprint it is, from 1.
    pub episode: u32,
    /// The version the row had when it was read; 0 for one that is not stored yet. A write asks for it.
    pub version: i64,
    /// What sort of trouble it is.
    pub kind: Kind,
    /// The worst of its signals.
    pub severity: Severity,
    /// Where it stands.
    pub status: Status,
    /// What is attacked or abused.
    pub target: Subject,
    /// For routing: alertname, kind, service or workload, severity, then the rule's, the service's, external ones.
    pub labels: Labels,
    /// The peak of each rule that holds in it, by the rule's name: the first 100 by name where there are more.
    pub rules: BTreeMap<Arc<str>, RulePeak>,
    /// 1 where more than 100 rules held, else 0: a count of those beyond could not be rebuilt by a replay.
    pub rules_beyond: u32,
    /// The start of the first sub-bucket with anything in it of the first window that exceeded.
    pub started_at: EventTime,
    /// The end of the first sub-bucket whose window exceeded.
    pub detected_at: EventTime,
    /// The end of the last bucket above the hold line, over all its signals.
    pub holds_until: EventTime,
    /// The entries of `kafka.topics` that fed it, by name: resolving waits for their clearance.
    pub entries: BTreeSet<String>,
    /// When we opened it.
    pub opened_at: Wall,
    /// When anything about it changed last.
    pub changed_at: Wall,
    /// When it was resolved, by our clock.
    pub resolved_at: Option<Wall>,
    /// Who resolved it by hand; `None` where clearance did.
    pub resolved_by: Option<String>,
    /// Who is on it, since when and until when; kept when it resolves, as who had it then.
    pub acknowledged: Option<Acknowledgement>,
    /// Whom somebody has given it to. It tells nobody, and no fact undoes it.
    pub assignee: Option<String>,
    /// Who is told next while it is open and nobody has taken it, and when: absolute times, soonest first.
    pub steps: Vec<Step>,
    /// Facts up to here were closed by hand: they change nothing but peaks.
    pub closed_through: Option<EventTime>,
    /// Rises whenever every receiver must be told again; what receivers were told is compared with it. Its value says
    /// nothing else: it begins above 1 where an opening brings more than one rule or more than information.
    pub revision: u32,
    /// How many took part: exact up to 10,000.
    pub participants_total: u64,
    /// Whether `participants_total` is an estimate.
    pub participants_estimated: bool,
    /// It was older than `incidents.max_age` when it was found: stored, and told to nobody.
    pub stale: bool,
    /// What facts older than `incidents.max_age` brought into it while it was open: recorded, and told by the first
    /// fresh fact of the kind.
    pub untold: Untold,
}

/// What is recorded of an incident and was told to nobody.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Untold {
    /// The severity it had before it rose untold.
    pub rose_from: Option<Severity>,
    /// Rules that joined untold.
    pub rules: BTreeSet<Arc<str>>,
}

/// One step of an escalation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// When.
    pub due: Wall,
    /// The receiver.
    pub receiver: Arc<str>,
    /// Whether its time has come.
    pub done: bool,
}

/// Somebody is on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acknowledgement {
    /// Who.
    pub by: String,
    /// Since when.
    pub at: Wall,
    /// Until when: then it is open again and everybody is told.
    pub until: Wall,
}

/// The highest point of one rule in one incident, with the subject that reached it.
#[derive(Debug, Clone, PartialEq)]
pub struct RulePeak {
    /// The worst severity it had.
    pub severity: Severity,
    /// The highest value in any one window of any one subject (ties go to the smaller subject).
    pub observed: f64,
    /// What that exceeded.
    pub threshold: f64,
    /// The window.
    pub window: Duration,
    /// Who reached the peak.
    pub subject: Subject,
    /// The largest crowd that took part, where the rule asks for one.
    pub crowd: Option<Crowd>,
    /// The earliest detection by this rule.
    pub first: EventTime,
    /// The latest hold by this rule.
    pub holds_until: EventTime,
}

/// One (rule, subject) in an incident, stored as a row of its own and upserted by join.
#[derive(Debug, Clone, PartialEq)]
pub struct SignalRow {
    /// The rule.
    pub rule: Arc<str>,
    /// Who.
    pub subject: Subject,
    /// How bad at its peak.
    pub severity: Severity,
    /// Joined by maximum.
    pub observed: f64,
    /// What it exceeded, as of the peak.
    pub threshold: f64,
    /// The window.
    pub window: Duration,
    /// Joined by minimum: the end of the first sub-bucket whose window exceeded.
    pub first: EventTime,
    /// Joined by maximum.
    pub holds_until: EventTime,
}

/// One participant in an incident, stored as a row of its own and upserted by join.
pub type ParticipantRow = Participant;

/// What happened to an incident; a transition is what people and enforcers hear of.
#[derive(Debug, Clone, PartialEq)]
pub enum Transition {
    /// A new episode began.
    Opened,
    /// A fact within the flap window took it up again.
    Reopened,
    /// The worst severity rose.
    Escalated {
        /// From this one.
        from: Severity,
    },
    /// Another rule holds for the first time.
    Joined {
        /// Which.
        rule: Arc<str>,
    },
    /// Peaks or the end of the run moved: receivers that update in place may, nobody is disturbed.
    Grew,
    /// Somebody took it.
    Acknowledged {
        /// Who.
        by: String,
    },
    /// The acknowledgement ran out, or somebody reopened it.
    Unacknowledged,
    /// It no longer holds.
    Resolved {
        /// Who closed it by hand; `None` where clearance did.
        by: Option<String>,
    },
}

impl Transition {
    /// Whether every receiver is to be told (again).
    pub const fn tells(&self) -> bool {
        !matches!(self, Self::Grew)
    }

    /// Whether people are to look (again).
    pub const fn disturbs(&self) -> bool {
        match self {
            Self::Opened
            | Self::Reopened
            | Self::Escalated { .. }
            | Self::Joined { .. }
            | Self::Unacknowledged => true,
            Self::Grew | Self::Acknowledged { .. } | Self::Resolved { .. } => false,
        }
    }

    /// The name in timelines.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Reopened => "reopened",
            Self::Escalated { .. } => "escalated",
            Self::Joined { .. } => "joined",
            Self::Grew => "grew",
            Self::Acknowledged { .. } => "acknowledged",
            Self::Unacknowledged => "unacknowledged",
            Self::Resolved { .. } => "resolved",
        }
    }
}

/// One line of an incident's timeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimelineEntry {
    /// When we wrote it.
    pub at: Wall,
    /// When it happened in event time, where it did.
    pub event_at: Option<EventTime>,
    /// Who did it: a person's name, or `beaconfire`.
    pub actor: String,
    /// The transition's name, or `noted`.
    pub what: String,
    /// In words; may hold a stranger's text, cleaned.
    pub text: String,
}

/// The operator's times, from `incidents`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Knobs {
    /// How long after the last fact an incident resolves.
    pub resolve_after: Duration,
    /// The same for run-time findings (kinds intrusion and image).
    pub finding_resolve_after: Duration,
    /// How long after resolving a fact reopens it.
    pub flap_window: Duration,
    /// How long an acknowledgement holds.
    pub ack_expiry: Duration,
    /// Facts older than this when found tell nobody.
    pub max_age: Duration,
}

impl Default for Knobs {
    fn default() -> Self {
        let minutes = |n: u64| Duration::from_secs(60 * n);
        Self {
            resolve_after: minutes(5),
            finding_resolve_after: minutes(60),
            flap_window: minutes(5),
            ack_expiry: minutes(240),
            max_age: minutes(60),
        }
    }
}

impl Knobs {
    /// How long after the last fact an incident of this kind resolves.
    pub fn resolve_after(&self, kind: Kind) -> Duration {
        match kind {
            Kind::Intrusion | Kind::Image => self.finding_resolve_after,
            // Its sender says until when it holds.
            Kind::External => Duration::ZERO,
            _ => self.resolve_after,
        }
    }
}

/// What the configuration knows that a fold needs for labels.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Context {
    /// `external_labels`.
    pub external: Labels,
    /// `services`, by name.
    pub services: BTreeMap<String, ServiceFacts>,
    /// `labels` of rules, by the rule's name.
    pub rules: BTreeMap<String, Labels>,
    /// The names of the entries of `kafka.topics`, by [`EntryId`](beaconfire_model::EntryId).
    pub entries: Vec<String>,
}

/// What the configuration says of one service.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ServiceFacts {
    /// Its labels.
    pub labels: Labels,
    /// Its annotations (`runbook_url`, …).
    pub annotations: Labels,
}

/// A chart point of a rule in an incident: the highest value of any subject's window ending at `at`.
#[derive(Debug, Clone, PartialEq)]
pub struct RatePoint {
    /// The rule.
    pub rule: Arc<str>,
    /// The end of the window.
    pub at: EventTime,
    /// Its value.
    pub value: f64,
}

/// A raw record kept with an incident.
pub type SampleRow = Specimen;

/// An incident with all that hangs on it, as it is shown and told.
#[derive(Debug, Clone, PartialEq)]
pub struct Dossier {
    /// The row.
    pub incident: Incident,
    /// Its (rule, subject) rows, by (first, rule, subject), at most 10,000.
    pub signals: Vec<SignalRow>,
    /// Its participants, heaviest first (ties by value), at most 10,000.
    pub participants: Vec<ParticipantRow>,
    /// What happened, oldest first.
    pub timeline: Vec<TimelineEntry>,
    /// A few raw records.
    pub samples: Vec<SampleRow>,
    /// The chart, by rule, then time.
    pub points: Vec<RatePoint>,
}
