//! What comes too slowly for the cumulative sum: a miner that takes days to become what it is teaches the regression as it
//! grows. So once a day it is noted what is used without requests and how much memory is held at least; both well above
//! that, with no rollout between, is what a dataset and its threads leave behind.

use super::super::first_sight::FirstSight;
use super::super::shape::{DATASET_MIB, enough};
use super::super::suspicion::ShapeNow;
use super::super::window::KEPT;
use super::{NEVER, Workload};
use crate::sealed::End;

/// Days that are looked back on.
const DAYS: usize = 5;
/// Minutes after a rollout before a new version's ways are noted.
const SETTLED: i64 = 720;
/// Looks, once an hour, that must find it and are not outweighed by those that do not: a merge or a backup is over by then.
const HOURS: u8 = 5;

/// What a workload was at the end of a day.
#[derive(Debug, Clone, Copy, Default)]
struct Day {
    minute: i64,
    /// Cores without requests.
    rest: f64,
    /// The least memory of the last minutes, in MiB.
    memory: f64,
}

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Creep {
    days: [Option<Day>; DAYS],
    /// By how many cores it has grown, and the memory that it must keep for that to hold.
    found: Option<(f64, f64)>,
    /// How often it was seen, less how often it was not.
    hours: u8,
}

impl Creep {
    pub(super) fn is_found(&self) -> bool {
        self.found.is_some()
    }

    pub(super) fn walk(&mut self, end: &mut impl End) {
        for day in &mut self.days {
            end.option(day, Day::default(), |end, Day { minute, rest, memory }| {
                end.i64(minute);
                end.real(rest);
                end.amount(memory);
            });
        }
        end.option(&mut self.found, (0.0, 0.0), |end, (grown, memory)| {
            end.real(grown);
            end.amount(memory);
        });
        end.u8(&mut self.hours);
        end.check(self.hours <= HOURS);
    }
}

impl Workload {
    /// Looks once an hour, and notes once a day; what was found holds until its memory is given back.
    pub(super) fn look_for_creep(&mut self, minute: i64) {
        let memory =
            self.window.last(KEPT).map(|minute| f64::from(minute.memory)).fold(f64::INFINITY, f64::min);
        let now = f64::from(self.window.last(1).next().unwrap_or_default().memory);
        self.creep.found =
            self.creep.found.filter(|(_, kept)| now >= *kept && minute - self.rolled_out > SETTLED);
        let settled = self.tied && !self.learning() && minute - self.rolled_out > SETTLED && memory > 0.0;
        if self.rolled_out != NEVER && minute == self.rolled_out {
            self.creep.days = [None; DAYS];
        }
        if settled && minute % 60 == 0 && !self.now.ticket && !self.now.holds && !self.creep.is_found() {
            self.compare(minute, memory);
        }
        if let Some((grown, _)) = self.creep.found.filter(|_| !self.now.ticket && !self.now.holds) {
            let cores = self.window.last(1).next().map_or(0.0, |minute| f64::from(minute.cores));
            self.now = ShapeNow { points: 6.0, excess: true, holds: true, ticket: true, ..ShapeNow::NONE };
            self.shape = None;
            self.first_sight = Some(FirstSight { cores, grown: Some(grown), ..FirstSight::default() });
        }
    }

    fn compare(&mut self, minute: i64, memory: f64) {
        let rest = self.model.rest(self.scale());
        // What is frozen shows in the excess instead.
        let excess = self.shape.filter(|_| self.now.plateau).map_or(0.0, |shape| shape.excess);
        let least = (0.2 * self.scale()).max(enough(self.limit));
        let grown = |day: &Day| rest.cores - 3.0 * rest.spread + excess - day.rest;
        let days = self.creep.days.iter().flatten();
        let found = days.rev().find(|day| grown(day) >= least && memory >= day.memory + DATASET_MIB);
        self.creep.hours =
            if found.is_some() { self.creep.hours + 1 } else { self.creep.hours.saturating_sub(1) };
        self.creep.hours = self.creep.hours.min(HOURS);
        let sure = found.filter(|_| self.creep.hours >= HOURS);
        self.creep.found = sure.map(|day| (grown(day), day.memory + 0.5 * DATASET_MIB));
        let due = self.creep.days[DAYS - 1].is_none_or(|last| minute - last.minute >= 1440);
        if due && found.is_none() && !self.now.plateau {
            self.creep.days.rotate_left(1);
            self.creep.days[DAYS - 1] = Some(Day { minute, rest: rest.cores, memory });
        }
    }
}
