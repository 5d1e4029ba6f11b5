//! What keeps receivers from hearing of an incident at a moment: it is inhibited, their route is muted, or somebody has
//! silenced it. It changes nothing about the incident; when it ends while the incident is open, they are told then.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use beaconfire_incident::{Incident, Status};
use beaconfire_model::Wall;

use crate::desire::{integration, now_of, set, shows_silence};
use crate::{
    Fate, InhibitRule, Inhibitors, Receivers, Route, Row, Silence, SilenceState, Suppressed, TimeInterval,
    Told,
};

/// What the configuration says of keeping quiet.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct QuietRules {
    /// `time_intervals`, by name.
    pub intervals: BTreeMap<Arc<str>, TimeInterval>,
    /// `inhibit_rules`.
    pub inhibit: Vec<InhibitRule>,
}

/// Why a receiver does not hear of an incident.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hushed {
    /// The reason that its row is kept under.
    pub why: Suppressed,
    /// Who silenced it and the silence's id, the time intervals' names, or the other incident's id.
    pub by: Arc<str>,
    /// Until when, where that is known.
    pub until: Option<Wall>,
}

impl Hushed {
    /// In words.
    pub fn said(&self) -> String {
        match (self.why, self.until) {
            (Suppressed::Silenced, Some(until)) => format!("silenced by {} until {until}", self.by),
            (Suppressed::Muted, _) => format!("muted at this time: {}", self.by),
            (Suppressed::Inhibited, _) => format!("inhibited while {} is not resolved", self.by),
            (why, _) => format!("{} by {}", why.name(), self.by),
        }
    }
}

/// Who does not hear of one incident at one moment, and why. The default is that everybody does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Quiet {
    inhibited: Option<Hushed>,
    muted: BTreeMap<Arc<str>, Hushed>,
    silenced: Option<Hushed>,
}

impl Quiet {
    /// Why this receiver does not hear of it; `None` where it does. Of several reasons the first counts that
    /// Alertmanager comes to.
    pub fn toward(&self, receiver: &str) -> Option<&Hushed> {
        self.inhibited.as_ref().or_else(|| self.muted.get(receiver)).or(self.silenced.as_ref())
    }

    /// Whether everybody hears of it.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    /// The silence, where there is one, whatever else keeps quiet.
    pub fn silenced(&self) -> Option<&Hushed> {
        self.silenced.as_ref()
    }
}

/// What keeps quiet at one moment, ready to be asked of incidents.
pub struct Hush<'a> {
    route: &'a Route,
    /// The intervals that the moment lies in.
    open: BTreeSet<&'a str>,
    silences: Vec<&'a Silence>,
    inhibitors: Inhibitors<'a>,
}

impl<'a> Hush<'a> {
    /// What keeps quiet at `now`.
    pub fn new(
        route: &'a Route,
        rules: &'a QuietRules,
        silences: &'a [Silence],
        inhibitors: Inhibitors<'a>,
        now: Wall,
    ) -> Self {
        let open = rules.intervals.iter().filter(|(_, interval)| interval.contains(now));
        let active = |silence: &&Silence| silence.state(now) == SilenceState::Active;
        let mut silences: Vec<&Silence> = silences.iter().filter(active).collect();
        // The one that lasts longest is the one that people are told of.
        silences.sort_by(|a, b| (b.ends_at, &a.id).cmp(&(a.ends_at, &b.id)));
        Self { route, open: open.map(|(name, _)| &**name).collect(), silences, inhibitors }
    }

    /// Who does not hear of this incident.
    pub fn of(&self, incident: &Incident) -> Quiet {
        let silence = self.silences.iter().find(|silence| silence.matches(&incident.labels));
        let inhibited = self.inhibitors.of(incident).map(|by| Hushed {
            why: Suppressed::Inhibited,
            by: by.as_str().into(),
            until: None,
        });
        let silenced = silence.map(|silence| Hushed {
            why: Suppressed::Silenced,
            by: silence.signed(),
            until: Some(silence.ends_at),
        });
        Quiet { inhibited, muted: self.muted(incident), silenced }
    }

    /// Receivers that every way to which is muted now.
    fn muted(&self, incident: &Incident) -> BTreeMap<Arc<str>, Hushed> {
        if !self.route.has_hours() {
            return BTreeMap::new();
        }
        let mut muted = BTreeMap::new();
        for (receiver, ways) in self.route.ways(&incident.labels) {
            let closed: Option<Vec<String>> = ways.iter().map(|way| self.closed(way)).collect();
            if let Some(names) = closed {
                let by = names.join(", ").into();
                muted.insert(receiver, Hushed { why: Suppressed::Muted, by, until: None });
            }
        }
        muted
    }

    /// What closes a route now.
    fn closed(&self, way: &Route) -> Option<String> {
        if let Some(name) = way.mute_times.iter().find(|name| self.open.contains(&***name)) {
            return Some(name.to_string());
        }
        let outside =
            !way.active_times.is_empty() && !way.active_times.iter().any(|name| self.open.contains(&**name));
        outside.then(|| format!("outside of {}", way.active_times.join(", ")))
    }
}

/// The rows of an incident that change because what keeps quiet has changed: what was kept back is told, what has
/// not been told is kept back. What is under way at this moment arrives all the same, and counts. While somebody is on
/// it, nothing is told that was kept back: they hear of it when that runs out.
pub fn review(
    receivers: &Receivers,
    incident: &Incident,
    quiet: &Quiet,
    rows: &[Row],
    now: Wall,
) -> Vec<Row> {
    if incident.status == Status::Resolved || incident.stale {
        return Vec::new();
    }
    let desired = now_of(incident);
    let each = |row: &Row| {
        let hushed = quiet.toward(&row.key.receiver);
        let silenced = shows_silence(integration(receivers, &row.key)?, hushed);
        reviewed(row, hushed, silenced, desired, now)
    };
    rows.iter().filter_map(each).collect()
}

fn reviewed(row: &Row, hushed: Option<&Hushed>, silenced: bool, desired: Told, now: Wall) -> Option<Row> {
    let is_open = desired.status == Status::Open;
    let (fate, desired) = match (&row.fate, hushed) {
        (Fate::Suppressed(held), Some(hushed)) if held.is_quiet() && *held != hushed.why => {
            (Fate::Suppressed(hushed.why), desired)
        }
        (Fate::Suppressed(held), None) if held.is_quiet() && is_open => (Fate::Pending, desired),
        (Fate::Pending | Fate::Held(_), Some(hushed)) => (Fate::Suppressed(hushed.why), desired),
        (fate @ (Fate::Delivered | Fate::InDigest(_)), _) => {
            let wanted = match (row.told, hushed) {
                // What it should hear of besides is kept back.
                (Some(told), Some(_)) if is_open || row.desired.status == Status::Open => told,
                // What it should have heard meanwhile was kept back.
                (_, None) if is_open && row.desired.revision < desired.revision => desired,
                _ => row.desired,
            };
            let wanted = Told { silenced, ..wanted };
            if wanted == row.desired && row.hushed == hushed.is_some() {
                return None;
            }
            (fate.clone(), wanted)
        }
        _ => return None,
    };
    Some(set(row.clone(), fate, desired, hushed.is_some(), now))
}
