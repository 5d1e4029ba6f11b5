//! What people do to an incident. No fold of facts undoes it, but for what is said there.

use beaconfire_model::{Kind, SubjectKind, Untrusted, Wall};

use crate::work::Work;
use crate::{Acknowledgement, Folded, Incident, Knobs, Status, TimelineEntry, Transition};

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
    /// Say that what the workload does, or the service gets, is as it should be: closes the incident, and the engines learn that as usual.
    Accept,
    /// Give it to somebody, or, with an empty name, to nobody. Tells nobody.
    Assign(String),
    /// Write a line into its timeline.
    Note(String),
}

/// Why a command changes nothing, in words for the person who gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused(pub String);

/// Longest name of somebody, in bytes.
const NAME_MAX: usize = 128;

/// Longest note, in bytes.
const NOTE_MAX: usize = 2_000;

/// Folds what a person does. Refused, in words, where it makes no sense.
///
/// - Acknowledging holds for `ack_expiry`; somebody else takes it over, and whoever has it already only renews it,
///   which tells nobody.
/// - Reopening takes back an acknowledgement or a manual resolve. What clearance resolved reopens by itself when it
///   holds again. The caller refuses where a later episode is open: of one fingerprint, one incident is.
pub fn fold_command(
    current: &Incident,
    actor: &Actor,
    command: Command,
    now: Wall,
    knobs: &Knobs,
) -> Result<Folded, Refused> {
    let name = Untrusted::new(actor.0.trim(), NAME_MAX).clean().to_owned();
    if name.is_empty() {
        return refuse("nobody's name was given");
    }
    let mut work = Work::on(current.clone());
    match command {
        Command::Acknowledge => acknowledge(&mut work, &name, now, knobs)?,
        Command::Resolve => {
            if current.status == Status::Resolved {
                return refuse("it is resolved already");
            }
            resolve(&mut work, &name, now);
        }
        Command::Accept => {
            if !can_accept(current) {
                return refuse(
                    "only what is held against what is usual can be accepted: mining, resource, surge, and floods that are more than usual",
                );
            }
            if current.status != Status::Resolved {
                resolve(&mut work, &name, now);
            }
            work.line(line("accepted", &name, "what is so now is learned as usual".to_owned(), now));
        }
        Command::Reopen => reopen(&mut work)?,
        Command::Assign(who) => assign(&mut work, &name, &who, now)?,
        Command::Note(text) => {
            let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
            if text.is_empty() {
                return refuse("the note is empty");
            }
            let text = Untrusted::new(&text, NOTE_MAX).clean().to_owned();
            work.line(line("noted", &name, text, now));
        }
    }
    Ok(work.close(now, &name))
}

fn acknowledge(work: &mut Work, name: &str, now: Wall, knobs: &Knobs) -> Result<(), Refused> {
    let incident = work.incident_mut();
    if incident.status == Status::Resolved {
        return refuse("it is resolved: there is nothing left to take on");
    }
    let until = now.plus(knobs.ack_expiry);
    match &mut incident.acknowledged {
        Some(held) if incident.status == Status::Acknowledged && held.by == name => {
            held.until = until;
            work.line(line("acknowledged", name, format!("{name} is still on it"), now));
        }
        _ => {
            incident.status = Status::Acknowledged;
            incident.acknowledged = Some(Acknowledgement { by: name.to_owned(), at: now, until });
            work.push(Transition::Acknowledged { by: name.to_owned() });
        }
    }
    Ok(())
}

fn assign(work: &mut Work, name: &str, who: &str, now: Wall) -> Result<(), Refused> {
    let who = who.split_whitespace().collect::<Vec<_>>().join(" ");
    let who = Untrusted::new(&who, NAME_MAX).clean().to_owned();
    let given = Some(who).filter(|who| !who.is_empty());
    let incident = work.incident_mut();
    if incident.assignee == given {
        return refuse("it is so already");
    }
    let text = given.as_ref().map_or_else(|| "to nobody".to_owned(), |who| format!("to {who}"));
    incident.assignee = given;
    work.line(line("assigned", name, text, now));
    Ok(())
}

/// Whether engines learn what is usual of its target, and found it by that, so that a person can [`Command::Accept`] it.
pub fn can_accept(incident: &Incident) -> bool {
    match incident.target.kind {
        SubjectKind::Workload => matches!(incident.kind, Kind::Mining | Kind::Resource),
        // What rules count is not learned: a service's own flood is, as the engine found it.
        SubjectKind::Service => {
            incident.kind == Kind::Surge
                || incident.rules.keys().any(|rule| &**rule == "distributed-flood: points")
        }
        _ => false,
    }
}

fn resolve(work: &mut Work, name: &str, now: Wall) {
    let incident = work.incident_mut();
    let through = incident.closed_through.map_or(incident.holds_until, |held| held.max(incident.holds_until));
    incident.closed_through = Some(through);
    work.resolve(Some(name.to_owned()), now);
}

fn reopen(work: &mut Work) -> Result<(), Refused> {
    let incident = work.incident_mut();
    match (incident.status, &incident.resolved_by) {
        (Status::Open, _) => refuse("it is open already"),
        (Status::Resolved, None) => {
            refuse("it has stopped: it opens by itself when it happens again, and nobody closed it by hand")
        }
        (Status::Acknowledged, _) => {
            work.tell(Transition::Unacknowledged);
            Ok(())
        }
        (Status::Resolved, Some(_)) => {
            incident.status = Status::Open;
            incident.resolved_at = None;
            incident.resolved_by = None;
            incident.closed_through = None;
            work.tell(Transition::Reopened);
            Ok(())
        }
    }
}

fn refuse<T>(why: &str) -> Result<T, Refused> {
    Err(Refused(why.to_owned()))
}

fn line(what: &str, actor: &str, text: String, now: Wall) -> TimelineEntry {
    TimelineEntry { at: now, event_at: None, actor: actor.to_owned(), what: what.to_owned(), text }
}
