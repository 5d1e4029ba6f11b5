//! One fingerprint's episodes, one cause, and what comes of it. Pure: the store decides whether it may be written.

use beaconfire_model::{EventTime, Signal, Wall};

use crate::{
    Context, Incident, Knobs, ParticipantRow, RatePoint, SampleRow, SignalRow, TimelineEntry, Transition,
};

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
pub fn fold_signals(
    episodes: &[Incident],
    last_episode: u32,
    signals: Vec<Signal>,
    clear_through: EventTime,
    now: Wall,
    context: &Context,
    knobs: &Knobs,
) -> (Vec<Folded>, Vec<Signal>) {
    let _ = (episodes, last_episode, clear_through, now, context, knobs);
    (Vec::new(), signals)
}

/// Folds what a person does.
pub fn fold_command(
    current: &Incident,
    actor: &Actor,
    command: Command,
    now: Wall,
    knobs: &Knobs,
) -> Result<Folded, Refused> {
    let _ = (current, actor, command, now, knobs);
    Err(Refused(String::new()))
}

/// Folds the passing of time: resolves where `clear_through` is at least `holds_until + resolve_after`, ends an
/// acknowledgement that has run out. `None` where nothing changes.
pub fn fold_time(current: &Incident, clear_through: EventTime, now: Wall, knobs: &Knobs) -> Option<Folded> {
    let _ = (current, clear_through, now, knobs);
    None
}
