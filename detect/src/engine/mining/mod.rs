//! The mining engine: which workload mines coins.
//!
//! It is given minutes of resources ([`Slice`]) and what sensors saw ([`Deed`]), and answers with [`Finding`]s. To begin with, read
//! `class.rs` (the kinds of evidence), then `suspicion.rs` (how they become one score, and when it is a page),
//! `workload.rs` (more CPU than usual, since when, and what is learned) and `shape.rs` (what that CPU looks like).
//! `command.rs` and `deed.rs` turn what was seen into evidence, `lists.rs` has the names.
//!
//! What it cannot see: a miner in a workload of its own that serves nobody and did nothing else before, unless an indicator
//! names it; one that is told to use less than an eighth of the limit; one that was there before we were, unless requests
//! fail to explain it.

mod class;
mod command;
mod deed;
mod finding;
mod first_sight;
mod lists;
mod pairing;
mod profile;
mod regression;
mod shape;
mod slice;
mod stored;
mod suspicion;
mod window;
mod workload;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use beaconfire_model::{EventTime, Kind, Severity};

pub use class::{Class, EVIDENCE_BYTES, Indicator};
pub use deed::Deed;
pub(crate) use deed::{DROPPER, tells};
pub use finding::Finding;
pub use lists::{ENTRIES_MAX, ListError, Lists};
pub use slice::{BadSlice, Slice};
pub use stored::Stored;
pub use suspicion::Contribution;
pub(crate) use suspicion::PAGE;

use workload::Workload;

/// What an operator sets.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Knobs {
    /// `mining.allow`: workloads that may look as they like, `*` standing for anything. They need evidence that names
    /// mining.
    pub allow: Vec<Box<str>>,
    /// Names to look for.
    pub lists: Lists,
    /// At most so many workloads; 0 stands for 20,000.
    pub workloads_max: usize,
}

/// How much there is, and what was refused.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Census {
    /// Workloads known.
    pub workloads: usize,
    /// Bytes they take, about.
    pub bytes: usize,
    /// Slices with numbers that cannot be.
    pub bad: u64,
    /// Slices of minutes that were closed.
    pub late: u64,
    /// Slices and deeds of workloads there was no room for.
    pub full: u64,
}

/// What was last said of a workload, so that only news and renewals are said.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Said {
    kind: Kind,
    severity: Severity,
    classes: u32,
    at: EventTime,
}

impl Default for Said {
    fn default() -> Self {
        Self { kind: Kind::Mining, severity: Severity::Info, classes: 0, at: EventTime::MIN }
    }
}

/// A finding holds for so long after the minute it was stated for, and is stated anew before that.
pub const HOLDS: Duration = Duration::from_secs(600);
const RENEWED: Duration = Duration::from_secs(300);
/// What only lasts is looked for once an hour.
const HOLDS_HOURLY: Duration = Duration::from_secs(3900);
/// A plateau without a miner's dataset is a loop, a merge or a backup; when it has lasted for so long it deserves a ticket.
const LONG: Duration = Duration::from_secs(3 * 3600);
/// A workload that was silent for so long may be forgotten when there is no room.
const FORGOTTEN_MINUTES: i64 = 7 * 1440;
const ONSETS: usize = 256;

/// Judges workloads. One owner, event time, no clock.
#[derive(Debug)]
pub struct Mining {
    knobs: Knobs,
    workloads: BTreeMap<Box<str>, Box<Workload>>,
    /// Recent beginnings of plateaus that no rollout explains, for seeing that they spread.
    onsets: VecDeque<(EventTime, Box<str>)>,
    /// The first minute that changed a workload which was not handed out for the store since.
    unsaved_from: Option<i64>,
    census: Census,
}

impl Mining {
    /// An engine that knows no workload yet.
    pub fn new(mut knobs: Knobs) -> Self {
        if knobs.workloads_max == 0 {
            knobs.workloads_max = 20_000;
        }
        let (workloads, onsets) = (BTreeMap::new(), VecDeque::new());
        Self { knobs, workloads, onsets, unsaved_from: None, census: Census::default() }
    }

    /// Takes a closed slice. Slices of one workload come in order of time.
    pub fn slice(&mut self, slice: &Slice<'_>, findings: &mut Vec<Finding>) -> Result<(), BadSlice> {
        let folded = slice::Folded::of(slice).inspect_err(|_| self.census.bad += 1)?;
        let Some(workload) = self.workload(slice.workload, folded.minute) else {
            self.census.full += 1;
            return Err(BadSlice::Full);
        };
        if workload.is_late(folded.minute) {
            self.census.late += 1;
            return Err(BadSlice::Late);
        }
        if workload.take(folded, slice.span >= Duration::from_secs(60)) {
            let closed = workload.last_minute;
            self.spread(slice.workload);
            self.state(slice.workload, slice.at, findings);
            self.mark(slice.workload, closed);
        }
        Ok(())
    }

    /// Takes something that a workload was seen doing.
    pub fn deed(&mut self, name: &str, at: EventTime, deed: &Deed<'_>, findings: &mut Vec<Finding>) {
        let mut found = Vec::new();
        let known = self.workloads.get(name);
        if known.is_some_and(|known| at < known.judged) {
            // It is in what was stored.
            return;
        }
        let nobody = pairing::Pairing::default();
        deed::read(deed, &self.knobs.lists, known.map_or(&nobody, |known| &known.answers), &mut found);
        // Most deeds are nothing to us, and make no workload known.
        if found.is_empty() {
            return;
        }
        let minute = at.millis().div_euclid(slice::MINUTE_MILLIS);
        let Some(workload) = self.workload(name, minute) else {
            self.census.full += 1;
            return;
        };
        if let Deed::Lookup { answers, .. } = deed {
            workload.answers.learn(answers);
        }
        let plateau = workload.now.plateau;
        for indicator in found {
            workload.suspicion.add(indicator, at, plateau);
        }
        self.state(name, at, findings);
        self.mark(name, minute);
    }

    /// An operator says that what this workload does is as it should be: it is learned, and old evidence is forgotten.
    /// Whether it is known.
    pub fn accept(&mut self, name: &str, at: EventTime) -> bool {
        let Some(workload) = self.workloads.get_mut(name) else {
            return false;
        };
        let minute = workload.accept(at);
        self.mark(name, minute);
        true
    }

    /// Whether a workload is suspected, so that nothing should be learned of what it does.
    pub fn suspects(&self, name: &str) -> bool {
        self.workloads.get(name).is_some_and(|workload| workload.now.holds)
    }

    /// Whether a workload's ways are not known yet; `None` where the workload is not known at all.
    pub fn is_learning(&self, name: &str) -> Option<bool> {
        self.workloads.get(name).map(|workload| workload.learning())
    }

    /// How much there is.
    pub fn census(&self) -> Census {
        let mut bytes = 0;
        for (name, workload) in &self.workloads {
            bytes += name.len() + size_of::<(Box<str>, Box<Workload>)>() + size_of::<Workload>();
            bytes += workload.suspicion.bytes() + workload.answers.bytes();
        }
        Census { workloads: self.workloads.len(), bytes, ..self.census }
    }

    fn workload(&mut self, name: &str, minute: i64) -> Option<&mut Workload> {
        if !self.workloads.contains_key(name) {
            if self.workloads.len() >= self.knobs.workloads_max {
                self.workloads.retain(|_, workload| minute - workload.last_minute <= FORGOTTEN_MINUTES);
            }
            if self.workloads.len() >= self.knobs.workloads_max {
                return None;
            }
            self.workloads.insert(name.into(), Box::new(Workload::new()));
        }
        self.workloads.get_mut(name).map(|workload| &mut **workload)
    }

    /// The same onset within five minutes in three workloads that were not rolled out is one hand at work.
    fn spread(&mut self, name: &str) {
        const APART: Duration = Duration::from_secs(300);
        let Some(workload) = self.workloads.get(name) else {
            return;
        };
        if !workload.now.ticket || workload.shape.is_none() || workload.rollout_near() {
            return;
        }
        let onset = workload.onset();
        let near = |other: EventTime| onset.since(other).max(other.since(onset)) <= APART;
        let mut noted = workload.noted;
        if !self.onsets.iter().any(|(at, who)| **who == *name && near(*at)) {
            self.note_onset(onset, name);
            noted = Some(onset);
        }
        let mut with: Vec<&str> =
            self.onsets.iter().filter(|(at, _)| near(*at)).map(|(_, who)| &**who).collect();
        with.sort_unstable();
        with.dedup();
        let with = with.len();
        if let Some(workload) = self.workloads.get_mut(name) {
            workload.spread_with = with;
            workload.noted = noted;
        }
    }

    /// States what there is to say of a workload, if it is news.
    fn state(&mut self, name: &str, at: EventTime, findings: &mut Vec<Finding>) {
        let allowed = self.knobs.allow.iter().any(|pattern| glob(pattern, name));
        let Some(workload) = self.workloads.get_mut(name) else {
            return;
        };
        if workload.suspicion.is_empty()
            && !workload.now.plateau
            && !workload.now.holds
            && !workload.now.ticket
        {
            return;
        }
        let Some((mut severity, score)) = workload.suspicion.judge(workload.now, allowed, at) else {
            return;
        };
        let mut kind = Kind::Mining;
        if workload.now.plateau
            && !workload.now.holds
            && !workload.now.ticket
            && workload.suspicion.classes(at) == 0
        {
            kind = Kind::Resource;
            let long = at.since(workload.onset()) >= LONG;
            severity = if long { Severity::Warning } else { Severity::Info };
        }
        let shape = if workload.now.points > 0.0 { 1 << Class::Shape.number() } else { 0 };
        let classes = workload.suspicion.classes(at) | shape;
        let hourly = workload.first_sight.is_some();
        let said = Said { kind, severity, classes, at };
        let old = workload.said.filter(|old| at.since(old.at) < RENEWED && at >= old.at);
        let news =
            old.is_none_or(|old| old.kind != kind || severity > old.severity || classes & !old.classes != 0);
        if news {
            workload.said = Some(said);
            let holds = if hourly { HOLDS_HOURLY } else { HOLDS };
            findings.push(finding::of(name, workload, kind, severity, score, at, at.plus(holds)));
        }
    }
}

/// Whether `name` matches a pattern in which `*` stands for anything.
pub(crate) fn glob(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| name.strip_prefix(first)) else {
        return false;
    };
    let mut last = None;
    for part in parts {
        if let Some(between) = last.replace(part) {
            match rest.split_once(between) {
                Some((_, after)) => rest = after,
                None => return false,
            }
        }
    }
    last.map_or(rest.is_empty(), |end| rest.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::glob;

    #[test]
    fn patterns_match_whole_names() {
        for (pattern, name, wanted) in [
            ("ci/*", "ci/runner", true),
            ("ci/*", "acid/runner", false),
            ("*/train-*", "ml/train-7", true),
            ("*/train-*-gpu", "ml/train-7", false),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "axxcyyb", false),
            ("shop/web", "shop/web", true),
            ("shop/web", "shop/web2", false),
            ("*", "", true),
        ] {
            assert_eq!(glob(pattern, name), wanted, "{pattern} {name}");
        }
    }
}
