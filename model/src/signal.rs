//! Signals: facts that detection states. "This rule held of this subject from `first` until `holds_until`, and this
//! is the evidence." Facts merge by minimum and maximum; no message says that something cleared.

use std::sync::Arc;
use std::time::Duration;

use crate::{Client, Earliest, EntryId, EventTime, Latest, Peak, Subject};

/// What sort of trouble a rule finds. Together with the target it identifies an incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// More requests or bytes than a service should have to bear.
    Flood,
    /// Search for weak spots.
    Probing,
    /// Guessing of passwords.
    Login,
    /// A service answers with errors.
    Errors,
    /// More traffic than was expected or allocated.
    Surge,
    /// Cryptomining.
    Mining,
    /// A run-time finding.
    Intrusion,
    /// An image that should not run.
    Image,
    /// A resource out of its bounds.
    Resource,
    /// An input or sensor has gone blind.
    Sensor,
    /// An alert from elsewhere.
    External,
    /// Our own throttle's breaker.
    Throttle,
}

impl Kind {
    /// All kinds, for parsing and for tests.
    pub const ALL: [Self; 12] = [
        Self::Flood,
        Self::Probing,
        Self::Login,
        Self::Errors,
        Self::Surge,
        Self::Mining,
        Self::Intrusion,
        Self::Image,
        Self::Resource,
        Self::Sensor,
        Self::External,
        Self::Throttle,
    ];

    /// The name in JSON, SQL, labels and configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Flood => "flood",
            Self::Probing => "probing",
            Self::Login => "login",
            Self::Errors => "errors",
            Self::Surge => "surge",
            Self::Mining => "mining",
            Self::Intrusion => "intrusion",
            Self::Image => "image",
            Self::Resource => "resource",
            Self::Sensor => "sensor",
            Self::External => "external",
            Self::Throttle => "throttle",
        }
    }

    /// The kind with this [`name`](Self::name).
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// How bad it is: `Info` is shown only, `Warning` and `Error` make a ticket, `Critical` pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Shown only.
    Info,
    /// A ticket.
    Warning,
    /// A ticket, and soon.
    Error,
    /// A page.
    Critical,
}

impl Severity {
    /// All severities, mildest first.
    pub const ALL: [Self; 4] = [Self::Info, Self::Warning, Self::Error, Self::Critical];

    /// The name in JSON, SQL, labels and configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Critical => "critical",
        }
    }

    /// The severity with this [`name`](Self::name).
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|severity| severity.name() == name)
    }
}

/// A fact: `rule` held of `subject` from `first` until `holds_until`.
#[derive(Debug, Clone, PartialEq)]
pub struct Signal {
    /// The rule's name; for run-time findings the sensor's rule (an attacker cannot choose it, but show it escaped).
    pub rule: Arc<str>,
    /// What sort of trouble it is.
    pub kind: Kind,
    /// How bad it is at its peak.
    pub severity: Severity,
    /// What is attacked or abused: with `kind` it makes the incident's fingerprint.
    pub target: Subject,
    /// Who does it, or the target itself where nobody can be named.
    pub subject: Subject,
    /// The end of the first sub-bucket whose window exceeded the threshold.
    pub first: Earliest,
    /// The start of the first sub-bucket of that window with anything in it.
    pub began: Earliest,
    /// The end of the last bucket whose window was above the hold line.
    pub holds_until: Latest,
    /// The numbers behind it.
    pub evidence: Evidence,
    /// Who took part, each with its own peak. Empty where the subject alone took part (it is added by the fold).
    pub participants: Vec<Participant>,
    /// A few raw records, outside the determinism promise.
    pub samples: Vec<Specimen>,
    /// The entry of `kafka.topics` it was seen in: resolving waits for that entry's clearance.
    pub entry: EntryId,
}

/// The numbers behind a signal.
#[derive(Debug, Clone, PartialEq)]
pub struct Evidence {
    /// The highest value in any one window: a count, bytes, or a share from 0 to 1.
    pub observed: Peak,
    /// What it exceeded.
    pub threshold: f64,
    /// The window's length.
    pub window: Duration,
    /// How many took part, where that is a condition of the rule.
    pub crowd: Option<Crowd>,
    /// `(end of sub-bucket, value of the window ending there)`, oldest first, at most 120: for the chart, outside
    /// the determinism promise.
    pub series: Vec<(EventTime, f64)>,
}

/// Those who took part in what a signal states, without any that is flagged for itself: the largest numbers of any one
/// window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crowd {
    /// Clients.
    pub clients: u64,
    /// Their networks: /24s and /48s.
    pub networks: u64,
    /// Not everybody was looked at: there are about so many at least.
    pub sampled: bool,
}

impl Crowd {
    /// The larger numbers of the two.
    pub fn join(self, other: Self) -> Self {
        Self {
            clients: self.clients.max(other.clients),
            networks: self.networks.max(other.networks),
            sampled: self.sampled || other.sampled,
        }
    }
}

/// One that took part in what a signal states.
#[derive(Debug, Clone, PartialEq)]
pub struct Participant {
    /// Who.
    pub subject: Subject,
    /// The highest count in any one window.
    pub events: Peak,
    /// The start of the first sub-bucket it was seen in, while the signal held.
    pub first_seen: Earliest,
    /// The end of the last sub-bucket it was seen in, while the signal held.
    pub last_seen: Latest,
}

/// A raw record that shows what the numbers speak of. Every text in it is hostile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Specimen {
    /// When it happened.
    pub time: EventTime,
    /// Who sent it.
    pub client: Option<Client>,
    /// A request line (`GET /path?query 404`) or a command line, at most 512 bytes, cleaned.
    pub text: crate::Untrusted,
    /// The user agent or process, at most 256 bytes, cleaned.
    pub by: crate::Untrusted,
}
