//! Incidents that explain one another: what a flood or a surge does to the workloads that serve it.
//!
//! A link is seen when somebody looks, from the two incidents' spans and targets alone; it is not stored, mutes nothing,
//! and needs no order of arrival. Mining is never explained by requests: what requests explain is no evidence of it.

use std::time::Duration;

use beaconfire_model::{Kind, SubjectKind};

use crate::Incident;

/// How one incident stands to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Relation {
    /// The other brings this one about.
    Cause,
    /// This one brings the other about.
    Effect,
}

impl Relation {
    /// The name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cause => "cause",
            Self::Effect => "effect",
        }
    }
}

/// An effect is looked for so long before and after its cause: series of use are judged in slices of five minutes.
const NEAR: Duration = Duration::from_mins(10);

/// What kinds of incidents can stand in a relation to one of this kind.
pub fn linkable(kind: Kind) -> &'static [Kind] {
    match kind {
        Kind::Flood => &[Kind::Surge, Kind::Resource],
        Kind::Surge => &[Kind::Flood, Kind::Resource],
        Kind::Resource => &[Kind::Flood, Kind::Surge],
        _ => &[],
    }
}

/// How `other` stands to `incident`, and why; `ties` knows which services' requests explain a workload.
pub fn link(
    incident: &Incident,
    other: &Incident,
    ties: impl Fn(&str, &str) -> bool,
) -> Option<(Relation, &'static str)> {
    let touch = |a: &Incident, b: &Incident| a.started_at <= b.holds_until.plus(NEAR);
    if incident.id == other.id || !touch(incident, other) || !touch(other, incident) {
        return None;
    }
    let drives = |cause: &Incident, effect: &Incident| {
        let (from, to) = (&cause.target, &effect.target);
        if from.kind != SubjectKind::Service {
            return None;
        }
        match (cause.kind, effect.kind, to.kind) {
            (Kind::Flood | Kind::Surge, Kind::Resource, SubjectKind::Workload)
                if ties(&from.value, &to.value) =>
            {
                Some("requests to the service explain what the workload uses")
            }
            (Kind::Flood, Kind::Surge, SubjectKind::Service) if from.value == to.value => {
                Some("the flood is part of what the service gets")
            }
            _ => None,
        }
    };
    drives(incident, other)
        .map(|why| (Relation::Effect, why))
        .or_else(|| drives(other, incident).map(|why| (Relation::Cause, why)))
}
