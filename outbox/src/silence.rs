//! Silences, as Alertmanager has them: for a while, nothing that these matchers match is told.

use std::sync::Arc;

use beaconfire_incident::Incident;
use beaconfire_model::{Kind, Labels, Matcher, Matchers, Op, Wall};

/// A silence. It changes no incident: only what is told of those that it matches.
#[derive(Debug, Clone, PartialEq)]
pub struct Silence {
    /// 32 hex digits.
    pub id: Arc<str>,
    /// All must match; at least one asks for something.
    pub matchers: Matchers,
    /// Who made it.
    pub author: String,
    /// Why, in words.
    pub comment: String,
    /// From then on.
    pub starts_at: Wall,
    /// Up to then; expiring it by hand moves this.
    pub ends_at: Wall,
    /// When somebody changed it last.
    pub updated_at: Wall,
}

/// Where a silence stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SilenceState {
    /// It has not begun.
    Pending,
    /// It holds.
    Active,
    /// It is over.
    Expired,
}

impl SilenceState {
    /// The name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Expired => "expired",
        }
    }
}

impl Silence {
    /// Where it stands at `now`.
    pub fn state(&self, now: Wall) -> SilenceState {
        if self.ends_at <= now {
            SilenceState::Expired
        } else if now < self.starts_at {
            SilenceState::Pending
        } else {
            SilenceState::Active
        }
    }

    /// Who made it, with its id: what people are told of it.
    pub fn signed(&self) -> Arc<str> {
        let Self { id, author, .. } = self;
        if author.is_empty() { id.clone() } else { format!("{author} ({id})").into() }
    }

    /// Whether it concerns what has these labels, at any time.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.matchers.matches(|name| labels.get(name))
    }
}

/// The matchers that find this incident and later ones of the same kind and target, by its labels.
pub fn alike(incident: &Incident) -> Matchers {
    let target = incident.target.kind.name();
    // What an alert from elsewhere is known by are all its labels; how bad it is may change.
    let tells = |name: &str| match incident.kind {
        Kind::External => name != "severity",
        _ => name == "kind" || name == target,
    };
    let matcher = |(name, value): (&str, &str)| Matcher::new(name, Op::Equal, value).ok();
    Matchers(incident.labels.iter().filter(|(name, _)| tells(name)).filter_map(matcher).collect())
}

/// Whether matchers ask for anything: those that an incident without labels would match silence everything, which
/// nobody means (Alertmanager refuses the same).
pub fn asks_for_something(matchers: &Matchers) -> bool {
    matchers.0.iter().any(|matcher| !matcher.matches(""))
}
