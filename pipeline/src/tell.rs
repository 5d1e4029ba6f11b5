//! Whom to tell of what was folded, whom not at this moment, and whom next.
//!
//! What keeps quiet (silences, time intervals, inhibition) is judged twice: when something is to be told, and by the
//! second pass once it has changed for an incident, so that what was kept back is told when that ends. The second is
//! cheap while nothing changes: rows are read only of incidents for which it did.

use std::collections::{BTreeMap, BTreeSet};

use beaconfire_incident::{Folded, Incident, IncidentId, Status, TimelineEntry, Transition};
use beaconfire_model::{Kind, Wall};
use beaconfire_outbox::{Escalation, Fate, Hush, Inhibitors, Quiet, Row, begin, desire, due, reach, review};

use crate::{Changes, Keeper, Policy, Shelf};

/// The actor of what nobody did by hand.
const OURSELVES: &str = "beaconfire";

impl Policy {
    /// Asks what keeps quiet at `now`, with these unresolved incidents.
    pub fn hush<T>(
        &self,
        shelf: &Shelf,
        unresolved: &[&Incident],
        now: Wall,
        ask: impl FnOnce(&Hush<'_>) -> T,
    ) -> T {
        let ties = |service: &str, workload: &str| {
            self.plan.as_ref().is_some_and(|plan| plan.ties(service, workload))
        };
        let inhibitors = Inhibitors::new(&self.quiet.inhibit, unresolved, &ties);
        ask(&Hush::new(&self.route, &self.quiet, &shelf.silences, inhibitors, now))
    }

    /// Whether another incident may keep one of this kind from being told.
    pub fn can_be_inhibited(&self, kind: Kind) -> bool {
        !self.quiet.inhibit.is_empty() || (kind == Kind::Resource && self.plan.is_some())
    }
}

impl Keeper {
    pub(crate) fn can_be_inhibited(&self, kind: Kind) -> bool {
        self.policy().can_be_inhibited(kind)
    }

    /// The rows that the folds ask for.
    pub(crate) fn tell(&mut self, shelf: &Shelf, now: Wall, changes: &mut Changes) {
        if !changes.folded.iter().any(tells) {
            return;
        }
        let policy = self.policy().clone();
        let standing = standing(shelf, &changes.folded);
        let by_incident = by_incident(shelf);
        let wanted: Vec<_> = policy.hush(shelf, &standing, now, |hush| {
            let each = |folded: &Folded| {
                let quiet = hush.of(&folded.incident);
                let rows = by_incident.get(&folded.incident.id).map(Vec::as_slice).unwrap_or_default();
                let wanted = desire(
                    &policy.route,
                    &policy.receivers,
                    &folded.incident,
                    &folded.transitions,
                    rows,
                    &quiet,
                    now,
                );
                let lines = lines(rows, &wanted, &quiet, now);
                (wanted, lines, quiet)
            };
            changes.folded.iter().map(|folded| tells(folded).then(|| each(folded))).collect()
        });
        for (folded, told) in changes.folded.iter_mut().zip(wanted) {
            let Some((rows, lines, quiet)) = told else { continue };
            // The second pass has to see this end, also where it ends before it has seen it begin.
            if let Some(held) = self.quiet.as_mut().filter(|_| !quiet.is_nothing()) {
                held.insert(folded.incident.id.clone(), quiet);
            }
            folded.timeline.extend(lines);
            changes.rows.extend(rows);
        }
    }

    /// Takes steps whose time has come: their receivers are told, unless they are already.
    pub(crate) fn take_steps(
        &mut self,
        due: Vec<(Folded, usize)>,
        shelf: &Shelf,
        now: Wall,
        changes: &mut Changes,
    ) {
        if due.is_empty() {
            return;
        }
        let policy = self.policy().clone();
        let standing = standing(shelf, &changes.folded);
        let by_incident = by_incident(shelf);
        let taken: Vec<_> = policy.hush(shelf, &standing, now, |hush| {
            let take = |(mut folded, place): (Folded, usize)| {
                let incident = &folded.incident;
                let rows = by_incident.get(&incident.id).map(Vec::as_slice).unwrap_or_default();
                let quiet = hush.of(incident);
                let receiver = &incident.steps[place].receiver;
                let wanted = reach(&policy.receivers, incident, receiver, rows, &quiet, now);
                let known = if wanted.is_empty() { ", for whom there is a message already" } else { "" };
                let said = format!(
                    "step {} of {}: nobody has taken it, next is {receiver}{known}",
                    place + 1,
                    incident.steps.len()
                );
                // Its other rows too are brought in line with what keeps quiet: the second pass leaves it out.
                let mut wanted = wanted;
                wanted.extend(review(&policy.receivers, incident, &quiet, rows, now));
                let told = lines(rows, &wanted, &quiet, now);
                folded.timeline.push(line("step", said, now));
                folded.timeline.extend(told);
                (folded, wanted, quiet)
            };
            due.into_iter().map(take).collect()
        });
        for (folded, rows, quiet) in taken {
            if let Some(held) = &mut self.quiet {
                held.remove(&folded.incident.id);
                if !quiet.is_nothing() {
                    held.insert(folded.incident.id.clone(), quiet);
                }
            }
            changes.folded.push(folded);
            changes.rows.extend(rows);
        }
    }

    /// The unresolved incidents for which something else keeps quiet than when their rows were brought in line with it
    /// last: all of them the first time, since nobody knows what ended while no process ran.
    pub fn stirred(&self, shelf: &Shelf, now: Wall) -> BTreeSet<IncidentId> {
        let quiet = self.quiet_of(shelf, now);
        let Some(held) = &self.quiet else {
            return shelf.unresolved.iter().map(|incident| incident.id.clone()).collect();
        };
        let ids = shelf.unresolved.iter().map(|incident| &incident.id);
        ids.filter(|id| held.get(*id) != quiet.get(*id)).cloned().collect()
    }

    /// Brings the rows of these incidents in line with what keeps quiet, but for those that `changes` has folded: their
    /// turn comes next. `shelf` has their rows.
    pub fn review(&self, stirred: &BTreeSet<IncidentId>, shelf: &Shelf, now: Wall, changes: &mut Changes) {
        let folded: BTreeSet<IncidentId> =
            changes.folded.iter().map(|folded| folded.incident.id.clone()).collect();
        let mut quiet = self.quiet_of(shelf, now);
        let nothing = Quiet::default();
        let by_incident = by_incident(shelf);
        for incident in shelf.unresolved.iter().filter(|incident| stirred.contains(&incident.id)) {
            if folded.contains(&incident.id) {
                match self.quiet.as_ref().and_then(|held| held.get(&incident.id)) {
                    Some(held) => quiet.insert(incident.id.clone(), held.clone()),
                    None => quiet.remove(&incident.id),
                };
                continue;
            }
            let rows = by_incident.get(&incident.id).map(Vec::as_slice).unwrap_or_default();
            let of = quiet.get(&incident.id).unwrap_or(&nothing);
            let changed = review(&self.policy().receivers, incident, of, rows, now);
            if !changed.is_empty() {
                let timeline = lines(rows, &changed, of, now);
                changes.folded.push(Folded { timeline, ..untouched(incident) });
                changes.rows.extend(changed);
            }
        }
        // The first time nothing is held of those that were folded: they have resolved, or were told anew, in line with
        // what keeps quiet now.
        changes.quiet = Some(quiet);
    }

    fn quiet_of(&self, shelf: &Shelf, now: Wall) -> BTreeMap<IncidentId, Quiet> {
        let all: Vec<&Incident> = shelf.unresolved.iter().collect();
        self.policy().hush(shelf, &all, now, |hush| {
            let each = all.iter().map(|incident| (incident.id.clone(), hush.of(incident)));
            each.filter(|(_, quiet)| !quiet.is_nothing()).collect()
        })
    }
}

fn tells(folded: &Folded) -> bool {
    folded.transitions.iter().any(Transition::tells)
}

fn by_incident(shelf: &Shelf) -> BTreeMap<&IncidentId, Vec<Row>> {
    let mut rows: BTreeMap<&IncidentId, Vec<Row>> = BTreeMap::new();
    for row in &shelf.rows {
        rows.entry(&row.key.incident).or_default().push(row.clone());
    }
    rows
}

/// What is unresolved when these folds are written.
fn standing<'a>(shelf: &'a Shelf, folded: &'a [Folded]) -> Vec<&'a Incident> {
    let newer: BTreeMap<&IncidentId, &Incident> =
        folded.iter().map(|folded| (&folded.incident.id, &folded.incident)).collect();
    let stored = shelf.unresolved.iter().filter(|incident| !newer.contains_key(&incident.id));
    stored.chain(newer.values().copied()).filter(|incident| incident.status != Status::Resolved).collect()
}

/// Begins or ends the counting of steps as the fold asks: taken and over is counted no more; what disturbs begins where
/// nothing is counted. A rise while it is open leaves what is counted as it is.
pub(crate) fn count_steps(escalations: &[Escalation], folded: &mut Folded, now: Wall) {
    let incident = &mut folded.incident;
    if incident.status != Status::Open || incident.stale {
        incident.steps.clear();
    } else if incident.steps.is_empty() && folded.transitions.iter().any(Transition::disturbs) {
        incident.steps = begin(escalations, incident, now);
    }
}

/// The next step of an incident, where its time has come, as taken.
pub(crate) fn step(incident: &Incident, now: Wall) -> Option<(Folded, usize)> {
    let place = due(incident, now)?;
    let mut folded = untouched(incident);
    folded.incident.steps[place].done = true;
    Some((folded, place))
}

fn untouched(incident: &Incident) -> Folded {
    Folded {
        incident: incident.clone(),
        transitions: Vec::new(),
        signals: Vec::new(),
        participants: Vec::new(),
        points: Vec::new(),
        samples: Vec::new(),
        timeline: Vec::new(),
    }
}

/// Lines on who is kept from hearing of it, by what, and who hears of it now.
fn lines(before: &[Row], after: &[Row], quiet: &Quiet, now: Wall) -> Vec<TimelineEntry> {
    let quiet_before = |row: &Row| {
        let held = before.iter().find(|held| held.key == row.key);
        matches!(held.map(|held| &held.fate), Some(Fate::Suppressed(why)) if why.is_quiet())
    };
    let mut kept: BTreeMap<(&str, String), BTreeSet<&str>> = BTreeMap::new();
    let mut told = BTreeSet::new();
    for row in after {
        let receiver = &*row.key.receiver;
        match (&row.fate, quiet.toward(receiver)) {
            (Fate::Suppressed(why), Some(hushed)) if why.is_quiet() => {
                kept.entry((why.name(), hushed.said())).or_default().insert(receiver);
            }
            (Fate::Pending, _) if quiet_before(row) => {
                told.insert(receiver);
            }
            _ => {}
        }
    }
    let names = |of: BTreeSet<&str>| of.into_iter().collect::<Vec<_>>().join(", ");
    let kept = kept
        .into_iter()
        .map(|((why, said), of)| line(why, format!("{} is not told: {said}", names(of)), now));
    let told = (!told.is_empty())
        .then(|| line("released", format!("{} is told: nothing keeps it back any more", names(told)), now));
    kept.chain(told).collect()
}

fn line(what: &str, text: String, now: Wall) -> TimelineEntry {
    TimelineEntry { at: now, event_at: None, actor: OURSELVES.to_owned(), what: what.to_owned(), text }
}
