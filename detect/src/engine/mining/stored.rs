//! What is stored of workloads, and how the engine goes on from it after a restart.
//!
//! A workload's state is that of its last closed minute; slices of that minute and before are refused as late, and deeds
//! before the time through which deeds were judged are left out. So whoever reads the log again from
//! [`Mining::unsaved_from`], or from what was open, gets the findings of an undisturbed run, and none of them twice.

use beaconfire_model::EventTime;

use super::slice::MINUTE_MILLIS;
use super::workload::Workload;
use super::{Mining, ONSETS};
use crate::sealed::SnapshotError;

/// What is known of one workload, for the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Which workload.
    pub workload: Box<str>,
    /// The last minute in it; of one that was only seen doing things, the time through which deeds were judged.
    pub closed_through: EventTime,
    /// Its state: at most 6 KB.
    pub state: Vec<u8>,
}

impl Mining {
    /// Workloads that have changed since they were last handed out, at most so many, those that wait longest first.
    /// All deeds before `judged` have been taken.
    pub fn learned(&mut self, judged: EventTime, most: usize) -> Vec<Stored> {
        let mut changed: Vec<(i64, &str)> =
            self.workloads.iter().filter_map(|(name, workload)| Some((workload.unsaved?, &**name))).collect();
        changed.sort_unstable();
        self.unsaved_from = changed.get(most).map(|(minute, _)| *minute);
        changed.truncate(most);
        let names: Vec<Box<str>> = changed.into_iter().map(|(_, name)| name.into()).collect();
        let mut learned = Vec::with_capacity(names.len());
        for name in names {
            if let Some(workload) = self.workloads.get_mut(&name) {
                workload.unsaved = None;
                let closed_through = workload.closed_through().unwrap_or(judged);
                learned.push(Stored { closed_through, state: workload.snapshot(judged), workload: name });
            }
        }
        learned
    }

    /// From when on slices and deeds must be read again after a restart, for what was not handed out yet.
    pub fn unsaved_from(&self) -> Option<EventTime> {
        self.unsaved_from.map(|minute| EventTime::from_millis(minute.saturating_mul(MINUTE_MILLIS)))
    }

    /// Goes on from what was stored of a workload; whether there was room for it.
    ///
    /// # Errors
    ///
    /// Where the bytes are not what was written, or another version wrote them: the workload learns anew.
    pub fn restore(&mut self, name: &str, state: &[u8]) -> Result<bool, SnapshotError> {
        let workload = Workload::restore(state)?;
        if !self.workloads.contains_key(name) && self.workloads.len() >= self.knobs.workloads_max {
            return Ok(false);
        }
        if let Some(onset) = workload.noted {
            self.note_onset(onset, name);
        }
        self.workloads.insert(name.into(), Box::new(workload));
        Ok(true)
    }

    /// Keeps a beginning, in the order of time; the earliest goes where there is no room.
    pub(super) fn note_onset(&mut self, onset: EventTime, name: &str) {
        let place = self.onsets.partition_point(|(at, who)| (*at, &**who) < (onset, name));
        self.onsets.insert(place, (onset, name.into()));
        if self.onsets.len() > ONSETS {
            self.onsets.pop_front();
        }
    }

    /// Something changed this workload.
    pub(super) fn mark(&mut self, name: &str, minute: i64) {
        if let Some(workload) = self.workloads.get_mut(name) {
            workload.unsaved.get_or_insert(minute);
            self.unsaved_from = Some(self.unsaved_from.map_or(minute, |from| from.min(minute)));
        }
    }
}
